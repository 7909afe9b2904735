"""The trace as data: pure, typed, immutable. Imports nothing of pytest or crewAI."""

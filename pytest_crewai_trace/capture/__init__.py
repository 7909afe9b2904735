"""From crewAI's events to a trace. The only part, with ``replay``, that touches crewAI."""

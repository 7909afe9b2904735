"""What a run gets instead of the world: scripted models, faults, no network."""

"""What a run gets instead of the world: scripted models, recorded replies, faults, no network."""

"""The inputs of a run that needs no model and no network: recorded replies."""

"""What the tests share: a scripted model, and the stand-ins that need a real server."""

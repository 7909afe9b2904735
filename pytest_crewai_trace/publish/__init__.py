"""Traces of test runs in CrewAI AMP: what is sent, under whose name, and the client that sends it."""

"""Traces shown to people."""

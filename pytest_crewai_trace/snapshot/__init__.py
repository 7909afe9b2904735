"""Snapshots of traces, for syrupy: text that changes only when behaviour changes."""

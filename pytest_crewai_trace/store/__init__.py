"""Traces on disk: written by the process that ran the test, read by everybody else."""

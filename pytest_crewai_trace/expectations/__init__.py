"""Assertions on a trace that say, when they fail, what happened instead."""

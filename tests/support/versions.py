"""Which crewAI is installed, for expectations that differ because crewAI itself does."""

from __future__ import annotations

from importlib.metadata import version

from packaging.version import Version


def before(other: str) -> bool:
    """Whether the installed crewAI is older than ``other``."""
    return Version(version("crewai")) < Version(other)

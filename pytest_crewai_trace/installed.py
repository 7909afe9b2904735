"""What is installed, and in which version."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache  # the answer is read from a file
def version_of(package: str) -> str | None:
    """The version of an installed package, ``None`` where it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None

"""Disks with faults: real ones, where this machine lets us mount them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[None]:
    """Something is mounted at a folder, inside; where that cannot be, the test is skipped."""
    done = (
        subprocess.run(["mount", *options, str(place)], capture_output=True, check=False)
        if os.name == "posix"
        else None
    )
    if done is None or done.returncode:
        pytest.skip("cannot mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


@contextmanager
def small(place: Path, kilobytes: int) -> Iterator[None]:
    """A folder is a file system of its own, with so much room."""
    with mounted(place, "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs"):
        yield


@contextmanager
def read_only(folder: Path) -> Iterator[str]:
    """Nobody may write into a folder; what the system says to who tries. For root nothing less than a mount will do."""
    if os.name == "posix" and os.geteuid() != 0:
        folder.chmod(0o500)
        try:
            yield "Permission denied"
        finally:
            folder.chmod(0o700)
        return
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield "Read-only file system"

"""Where the viewer may be written. Looked at before a run begins, so it imports next to nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pytest_crewai_trace.errors import CrewaiTraceError

GENERATOR = "pytest-crewai-trace"
_HEAD_BYTES = 2_000  # of a file, in which it says that we made it


class ViewerError(CrewaiTraceError):
    """The viewer cannot be written to the path that was asked for."""


def key(test_id: str, attempt: int) -> str:
    """What the viewer's address has after ``#`` for an attempt at a test: the same in every run."""
    return f"{hashlib.sha256(test_id.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}-{attempt}"


def check(path: Path, *, force: bool = False) -> None:
    """Whether the viewer may be written to ``path``.

    Raises:
        ViewerError: it is a folder, its folder is not one, or there is a file that is no viewer of ours and that
            nobody wants replaced (``force``).
    """
    try:
        if path.is_dir():
            raise ViewerError(f"{path} is a folder; name a file in it, such as {path / 'traces.html'}")
        if path.exists() and not (path.is_file() and (force or _is_ours(path))):
            raise ViewerError(f"{path} exists and is no viewer of traces; remove it, or name another file")
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if not above.is_dir():
            raise ViewerError(f"{above} is no folder, so {path} cannot be written")
    except OSError as error:
        raise ViewerError(f"{path}: {error.strerror or error}") from None


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return f'<meta name="generator" content="{GENERATOR}'.encode() in file.read(_HEAD_BYTES)

"""``crewai-trace merge``: one folder of several, such as those of a CI run's shards."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pytest_crewai_trace.cli.places import NothingFoundError, console, find, progress, skipped
from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.files import PRIVATE, replacing
from pytest_crewai_trace.store.reader import files_in
from pytest_crewai_trace.store.writer import ENVELOPE, PUBLISHED, RUN_NAME, new_folder


def merge(folders: Sequence[str], output: str, *, force: bool) -> int:
    """Copy each trace once."""
    target = Path(output)
    sources = [Path(folder) for folder in folders]
    for source in sources:
        if not source.is_dir():
            raise NothingFoundError(f"{str(source)!r} is no folder")
        if target.resolve().is_relative_to(source.resolve()):
            raise NothingFoundError(f"{str(target)!r} lies inside {str(source)!r}; name another folder with -o")
    if target.exists() and not target.is_dir():
        raise NothingFoundError(f"{str(target)!r} is a file; name a folder with -o")
    if not force and target.is_dir() and not all(_is_ours(path) for path in target.iterdir()):
        raise NothingFoundError(f"{str(target)!r} holds other things than traces; --force writes into it all the same")
    found = find(sources)
    for path, reason in found.skipped:
        skipped(path, reason)
    waiting = _outbox(sources)
    if not found.stored and not waiting:
        raise NothingFoundError(f"there are no traces in {', '.join(folders)}")
    new_folder(target)
    copied = 0
    for one in progress(found.stored, "merging", len(found.stored)):
        # By the run: two shards may have a test of the same name.
        copied += _copied(one.path, target, one.attempt.run)
    for path in waiting:
        _copied(path, target, path.parent.name)
    again = len(found.stored) - copied
    there = f", {again} were there already" if again else ""
    console().print(f"{plural(copied, 'trace')} of {plural(len(found.runs), 'run')} in {target}{there}")
    return 0


def _outbox(sources: Sequence[Path]) -> list[Path]:
    """What is to be published, and what came of it."""
    return [path for source in sources for path in files_in(source, (ENVELOPE, PUBLISHED))]


def _copied(path: Path, target: Path, run: str) -> bool:
    """Copy a file to its run's folder, unless it is there; whether it was copied."""
    folder = target / (run if RUN_NAME.fullmatch(run) else "other")
    new_folder(folder)
    to = folder / path.name
    if to.exists():
        return False
    with open(path, "rb") as source, replacing(to, PRIVATE) as file:
        shutil.copyfileobj(source, file)
    return True


def _is_ours(path: Path) -> bool:
    return path.name in (".gitignore", "other") or RUN_NAME.fullmatch(path.name) is not None

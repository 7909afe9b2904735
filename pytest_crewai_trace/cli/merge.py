"""``crewai-trace merge``: one folder of several, such as those of a CI run's shards."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pytest_crewai_trace.cli.places import NothingFoundError, console, progress, skipped
from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.store.reader import find
from pytest_crewai_trace.store.writer import RUN_NAME, new_folder


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
    if not found.stored:
        raise NothingFoundError(f"there are no traces in {', '.join(folders)}")
    new_folder(target)
    copied = 0
    for one in progress(found.stored, "merging", len(found.stored)):
        # By the run: two shards may have a test of the same name.
        run = target / (one.attempt.run if RUN_NAME.fullmatch(one.attempt.run) else "other")
        new_folder(run)
        to = run / one.path.name
        if not to.exists():
            temporary = run / f".writing-{one.path.name}"
            shutil.copyfile(one.path, temporary)
            temporary.chmod(0o600)
            temporary.replace(to)
            copied += 1
    again = len(found.stored) - copied
    there = f", {again} were there already" if again else ""
    console().print(f"{plural(copied, 'trace')} of {plural(len(found.runs), 'run')} in {target}{there}")
    return 0


def _is_ours(path: Path) -> bool:
    return path.name in (".gitignore", "other") or RUN_NAME.fullmatch(path.name) is not None

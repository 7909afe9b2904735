"""Which traces a command is about, and how it says things."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pytest_crewai_trace.errors import TraceDocumentError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

    from pytest_crewai_trace.store.reader import Found, Stored
    from pytest_crewai_trace.trace.trace import Trace

T = TypeVar("T")
_FOLDER = ".crewai-traces"
_WIDE = 200  # columns where nobody's terminal says how many there are
_LONG = 1.0  # seconds after which progress is shown


class NothingFoundError(Exception):
    """There is no trace of what was asked for."""


def console(*, stderr: bool = False) -> Console:
    """Text as it is: no markup, no links, no emoji, no wrapped lines."""
    from rich.console import Console

    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)
    if not made.is_terminal:
        made.width = _WIDE
    return made


def default_folder() -> Path:
    """CREWAI_TRACE_DIR, or the nearest ``.crewai-traces`` here or above."""
    named = os.environ.get("CREWAI_TRACE_DIR", "").strip()
    if named:
        return Path(named).expanduser()
    here = Path.cwd()
    return next((each / _FOLDER for each in (here, *here.parents) if (each / _FOLDER).is_dir()), Path(_FOLDER))


def look_up(what: Sequence[str], folder: str | None, *, all_runs: bool = False) -> list[Stored]:
    """The traces that arguments name: files, folders, parts of test ids; without any, those of the last run.

    Raises:
        NothingFoundError: there are none; the message says what to do.
    """
    place = default_folder() if folder is None else Path(folder)
    paths = [Path(each) for each in what if Path(each).exists()]
    tests = [each for each in what if not Path(each).exists()]
    found: list[Stored] = []
    if paths:
        found += read_in(paths)
    if tests or not what:
        if not place.exists():
            missing = f"{tests[0]!r} is no file, and " if tests else ""
            raise NothingFoundError(
                f"{missing}there is no folder {str(place)!r}; pytest --crewai-trace makes it when a traced test fails, "
                "--crewai-trace-keep=all whenever something ran"
            )
        kept = read_in([place])
        if tests:
            found += [one for test in tests for one in _last_run(_matching(test, kept, place), all_runs=all_runs)]
        else:
            found += _last_run(kept, all_runs=all_runs)
    if not found:
        where = ", ".join(map(str, paths)) if paths else str(place)
        raise NothingFoundError(f"there are no traces in {where}")
    return list({one.path: one for one in found}.values())


def _last_run(stored: list[Stored], *, all_runs: bool) -> list[Stored]:
    return [one for one in stored if all_runs or one.attempt.run == stored[-1].attempt.run]


def _matching(test: str, kept: list[Stored], place: Path) -> list[Stored]:
    matching = [one for one in kept if test in one.attempt.test_id]
    if not matching:
        names = {one.attempt.test_id.rpartition("::")[2] for one in kept}
        said = f"no test in {place} has {test!r} in its id;{did_you_mean(test, names)}"
        raise NothingFoundError(said.rstrip(";"))
    return matching


def find(paths: Sequence[Path]) -> Found:
    """What is at the paths; reading many files tells how far it is."""
    from pytest_crewai_trace.store import reader

    return reader.find(paths, lambda files: progress(files, "looking at files", len(files)))


def read_in(paths: Sequence[Path]) -> list[Stored]:
    """What was found; what was skipped is named."""
    found = find(paths)
    for path, reason in found.skipped:
        skipped(path, reason)
    return list(found.stored)


def skipped(path: Path, reason: str) -> None:
    from pytest_crewai_trace.trace.render import printable

    console(stderr=True).print(f"skipped: {printable(str(path))}: {printable(reason)}")


def traces(stored: Sequence[Stored], *, bar: bool = True) -> Iterator[tuple[Stored, Trace]]:
    """Each with its trace; those that cannot be read are named and left out. No ``bar`` where they are printed."""
    for one in progress(stored, "reading traces", len(stored)) if bar else stored:
        try:
            trace = one.trace()
        except TraceDocumentError as error:
            skipped(one.path, str(error))
        else:
            yield one, trace


def progress(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """The items; from the moment that it takes long, and where somebody looks on, with a bar."""
    shown = console(stderr=True)
    if not shown.is_terminal or total < 2:
        yield from items
        return
    from rich.progress import Progress

    began, bar, task = time.monotonic(), None, None
    try:
        for number, item in enumerate(items):
            if bar is None and time.monotonic() - began > _LONG:
                bar = Progress(console=shown, transient=True)
                bar.start()
                task = bar.add_task(what, total=total)
            if bar is not None and task is not None:
                bar.update(task, completed=number)
            yield item
    finally:
        if bar is not None:
            bar.stop()

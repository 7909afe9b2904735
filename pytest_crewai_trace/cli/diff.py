"""``crewai-trace diff``: what two traces, or the tests of two runs, did differently, in the words of the snapshots."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from pytest_crewai_trace.cli.places import NothingFoundError, console, default_folder, look_up
from pytest_crewai_trace.errors import CrewaiTraceError, plural
from pytest_crewai_trace.snapshot.messages import difference
from pytest_crewai_trace.snapshot.options import Level, Options
from pytest_crewai_trace.snapshot.render import tree_text
from pytest_crewai_trace.store.writer import RUN_NAME
from pytest_crewai_trace.trace.redact import Redactor
from pytest_crewai_trace.trace.render import printable

if TYPE_CHECKING:
    from rich.console import Console

    from pytest_crewai_trace.store.reader import Stored

_STYLES = {"-": "red", "+": "green"}


def diff(before: str, now: str, folder: str | None, *, level: Level, full: bool) -> int:
    """Print what differs; 1 where behaviour does, or could not be compared."""
    one, other = (_tests(name, folder) for name in (before, now))
    if len(one) == len(other) == 1 and Path(before).is_file() and Path(now).is_file():
        pairs = [(next(iter(one.values())), next(iter(other.values())))]
    else:
        pairs = [(one[test], other[test]) for test in sorted(one.keys() & other.keys())]
    out = console()
    counts = Counter(_compare(out, *pair, level=level, full=full or len(pairs) == 1) for pair in pairs)
    parts = [
        f"{counts[name]} {name}" for name in ("equal", "differ in behaviour", "differ in detail", "not comparable")
    ]
    said = [part for part in parts if not part.startswith("0 ")]
    for where, tests in ((before, one.keys() - other.keys()), (now, other.keys() - one.keys())):
        if tests and len(pairs) < max(len(one), len(other)):
            said.append(f"{len(tests)} only in {where}")
    out.print(f"{plural(len(pairs), 'test')} compared: {', '.join(said)}")
    return int(counts["differ in behaviour"] + counts["not comparable"] > 0)


def _tests(name: str, folder: str | None) -> dict[str, Stored]:
    """The last attempt at each test, in a file, a folder or a run of the trace folder."""
    place = Path(name)
    if not place.exists() and RUN_NAME.fullmatch(name):
        place = (default_folder() if folder is None else Path(folder)) / name
    if not place.exists():
        raise NothingFoundError(
            f"{name!r} is neither a trace file nor a folder nor a run; crewai-trace list --all names them"
        )
    return {stored.attempt.test_id: stored for stored in look_up([str(place)], None)}


def _compare(out: Console, before: Stored, now: Stored, *, level: Level, full: bool) -> str:
    """Print one test, unless nothing differs; what is said of it in the last line."""
    title = Text(printable(now.attempt.test_id), style="bold")
    ended = (before.attempt.outcome, now.attempt.outcome)
    if ended[0] != ended[1]:
        title.append(f"  ({ended[0]}, now {ended[1]})")
    try:
        options, redactor = Options.of(level=level), Redactor()
        texts = [tree_text(stored.trace(), options, redactor) for stored in (before, now)]
    except CrewaiTraceError as error:
        out.print(title, f"  not comparable: {printable(str(error))}", sep="\n")
        return "not comparable"
    if texts[0] == texts[1]:
        return "equal"
    found, lines = difference(*texts)
    out.print(title)
    for what, sentences in (("behaviour", found.behaviour), ("detail", found.detail)):
        if sentences:
            out.print(f"  {what}:")
            for sentence in sentences:
                out.print(f"    {printable(sentence)}")
    if full:
        out.print()
        for line in lines:
            out.print(Text(f"  {line}", style=_STYLES.get(line[:1], "")))
    return "differ in behaviour" if found.behaviour else "differ in detail"

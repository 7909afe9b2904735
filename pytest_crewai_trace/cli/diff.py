"""``crewai-trace diff``: what two traces, or the tests of two runs, did differently, in the words of the snapshots."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from pytest_crewai_trace.cli.places import NothingFoundError, console, default_folder, look_up, progress
from pytest_crewai_trace.errors import CrewaiTraceError, plural
from pytest_crewai_trace.snapshot.messages import difference
from pytest_crewai_trace.snapshot.options import Level, Options
from pytest_crewai_trace.snapshot.render import tree_text
from pytest_crewai_trace.store.writer import RUN_NAME
from pytest_crewai_trace.trace.redact import Redactor
from pytest_crewai_trace.trace.render import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_crewai_trace.store.reader import Stored

_STYLES = {"-": "red", "+": "green"}


def diff(names: Sequence[str], folder: str | None, *, level: Level, full: bool) -> int:
    """Print what differs, by default of the last two runs; 1 where behaviour does, or could not be compared."""
    before, now = names or _last_two(folder)
    one, other = _tests(before, folder), _tests(now, folder)
    if len(one) == len(other) == 1 and _is_one(before) and _is_one(now):
        pairs = [(next(iter(one.values())), next(iter(other.values())))]
    else:
        pairs = [(one[test], other[test]) for test in sorted(one.keys() & other.keys())]
    out = console()
    full = full or len(pairs) == 1
    compared = [_compare(*pair, level=level, full=full) for pair in progress(pairs, "comparing", len(pairs))]
    for _, lines in compared:
        for line in lines:
            out.print(line)
    counts = Counter(said for said, _ in compared)
    parts = [
        f"{counts[name]} {name}" for name in ("equal", "differ in behaviour", "differ in detail", "not comparable")
    ]
    said = [part for part in parts if not part.startswith("0 ")]
    for where, tests in ((before, one.keys() - other.keys()), (now, other.keys() - one.keys())):
        if tests and len(pairs) < max(len(one), len(other)):
            said.append(f"{len(tests)} only in {where}")
    out.print(f"{plural(len(pairs), 'test')} compared: {', '.join(said)}")
    return int(counts["differ in behaviour"] + counts["not comparable"] > 0)


def _last_two(folder: str | None) -> list[str]:
    runs = sorted({stored.attempt.run for stored in look_up([], folder, all_runs=True)})
    if len(runs) < 2:
        raise NothingFoundError("there is only one run; crewai-trace diff A B compares two traces, folders or tests")
    return runs[-2:]


def _is_one(name: str) -> bool:
    """Whether it names a trace or a test, which is compared whatever the other one is called."""
    return not Path(name).is_dir() and not RUN_NAME.fullmatch(name)


def _tests(name: str, folder: str | None) -> dict[str, Stored]:
    """The last attempt at each test: in a file, a folder or a run of the trace folder, or of which it is a part."""
    place = Path(name)
    if not place.exists() and RUN_NAME.fullmatch(name):
        place = (default_folder() if folder is None else Path(folder)) / name
        if not place.exists():
            raise NothingFoundError(f"there is no run {name!r}; crewai-trace list --all names them")
    found = look_up([str(place)], None) if place.exists() else look_up([name], folder)
    return {stored.attempt.test_id: stored for stored in found}


def _compare(before: Stored, now: Stored, *, level: Level, full: bool) -> tuple[str, list[str | Text]]:
    """What is said of one test in the last line, and the lines about it; none where nothing differs."""
    title = Text(printable(now.attempt.test_id), style="bold")
    ended = (before.attempt.outcome, now.attempt.outcome)
    if ended[0] != ended[1]:
        title.append(f"  ({ended[0]}, now {ended[1]})")
    try:
        options, redactor = Options.of(level=level), Redactor()
        texts = [tree_text(stored.trace(), options, redactor) for stored in (before, now)]
    except CrewaiTraceError as error:
        return "not comparable", [title, f"  not comparable: {printable(str(error))}"]
    if texts[0] == texts[1]:
        return "equal", []
    found, lines = difference(*texts)
    said: list[str | Text] = [title]
    for what, sentences in (("behaviour", found.behaviour), ("detail", found.detail)):
        if sentences:
            said += [f"  {what}:", *(f"    {printable(sentence)}" for sentence in sentences)]
    if full:
        said += ["", *(Text(f"  {line}", style=_STYLES.get(line[:1], "")) for line in lines)]
    return "differ in behaviour" if found.behaviour else "differ in detail", said

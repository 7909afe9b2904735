"""``crewai-trace export``: the traces as other programs read them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.cli.places import NothingFoundError, look_up, traces
from pytest_crewai_trace.files import PRIVATE, replacing
from pytest_crewai_trace.report.chrome import trace_events
from pytest_crewai_trace.report.otlp import resource_spans

if TYPE_CHECKING:
    from pytest_crewai_trace.store.reader import Stored
    from pytest_crewai_trace.trace.trace import Trace


def export(
    what: Sequence[str], folder: str | None, form: str, output: str | None, *, all_runs: bool, force: bool
) -> int:
    """Write them to a file or to standard output, test by test."""
    stored = look_up(what, folder, all_runs=all_runs)
    parts = {"otlp-json": _otlp, "chrome": _chrome, "jsonl": _lines}[form](traces(stored, bar=output is not None))
    if output is None:
        for part in parts:
            sys.stdout.write(part)
        return 0
    path = Path(output)
    if path.is_dir() or (path.exists() and not force):
        why = "is a folder" if path.is_dir() else "is there already; --force replaces it"
        raise NothingFoundError(f"{output!r} {why}")
    with replacing(path, PRIVATE) as file:
        file.writelines(part.encode() for part in parts)
    return 0


def _otlp(read: Iterator[tuple[Stored, Trace]]) -> Iterator[str]:
    return _in_list("resourceSpans", (resource_spans(one.attempt, trace) for one, trace in read))


def _chrome(read: Iterator[tuple[Stored, Trace]]) -> Iterator[str]:
    numbered = enumerate(read, start=1)
    events = (event for number, (one, trace) in numbered for event in trace_events(number, one.attempt, trace))
    return _in_list("traceEvents", events)


def _in_list(name: str, items: Iterator[dict[str, Any]]) -> Iterator[str]:
    """A JSON object with one list, of which only one item is in memory at a time."""
    yield f'{{"{name}": ['
    for number, item in enumerate(items):
        yield f"{',' if number else ''}\n{json.dumps(item, allow_nan=False)}"
    yield "\n]}\n"


def _lines(read: Iterator[tuple[Stored, Trace]]) -> Iterator[str]:
    for one, trace in read:
        told = one.attempt
        test = {"test_id": told.test_id, "outcome": told.outcome, "run": told.run, "attempt": told.attempt}
        for span in trace.all_spans:
            fields = {"kind": span.kind, **span.model_dump(mode="json", exclude_defaults=True)}
            yield f"{json.dumps({**test, **fields}, allow_nan=False)}\n"

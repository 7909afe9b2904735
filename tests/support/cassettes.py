"""A cassette without a test of its own: to record and replay in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_crewai_trace.replay.cassette import load, save
from pytest_crewai_trace.replay.matching import Index, InOrder, Volatile, Who
from pytest_crewai_trace.replay.player import playing
from pytest_crewai_trace.replay.tape import Tape
from pytest_crewai_trace.trace.redact import Redactor


def new_tape(
    *,
    record: bool = False,
    redactor: Redactor | None = None,
    who: Callable[[], Who] = lambda: (None, None),
    explain: Callable[..., str] = lambda request, who, number: f"no reply to {request.method} {request.url}",
) -> Tape:
    return Tape(
        play=None, record=record, redactor=redactor or Redactor(), who=who, detached=lambda: False, explain=explain
    )


@contextmanager
def recording(path: Path, **options: Any) -> Iterator[Tape]:
    tape = new_tape(record=True, **options)
    with playing(path, tape):
        yield tape
    assert tape.problems == []
    save(path, [call for _, call in sorted(tape.new, key=lambda made: made[0])], "test", "pytest test")


@contextmanager
def replaying(path: Path, *, in_order: bool = False, volatile: Iterable[str] = (), **options: Any) -> Iterator[Tape]:
    tape = new_tape(**options)
    calls = load(path).calls
    tape.play = InOrder(calls) if in_order else Index(calls, Volatile(volatile), tape.clean)
    with playing(path, tape):
        yield tape

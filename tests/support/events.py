"""Events as crewAI's bus gives them, without crewAI: what matters is the module of their class and their fields."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from pytest_crewai_trace.capture.recorder import Recorder
from pytest_crewai_trace.capture.spans import trace_of
from pytest_crewai_trace.trace.trace import Trace, TraceOrigin


class Event:
    __module__ = "crewai.events.types"

    def __init__(self, type: str, **fields: Any) -> None:
        self.__dict__.update(fields, type=type)

    def __repr__(self) -> str:
        return f"Event({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


class UsersEvent:
    """An event class of a user's own; crewAI's bus takes those too."""

    __init__ = Event.__init__
    __repr__ = Event.__repr__


class Source:
    """What emits."""

    def __repr__(self) -> str:
        return "Source()"


class Machinery:
    """crewAI's own flows: the agent executor, encoding and recall of memories."""

    __module__ = "crewai.agents"
    suppress_flow_events = True

    def __repr__(self) -> str:
        return "Machinery()"


def recorder() -> Recorder:
    return Recorder(began=0, began_at=datetime(2026, 1, 1, tzinfo=timezone.utc))


def take(record: Recorder, event: Any, sequence: int, source: Any = None, **more: Any) -> None:
    """As the hook on the bus calls it."""
    told = {"given_start": False, "replayed": False, "parent": None, **more}
    record.take(source, event, sequence, sequence * 1_000, **told)


def recorded(*events: Any, source: Any = None) -> Recorder:
    """A record of the events in this order."""
    record = recorder()
    for number, event in enumerate(events):
        take(record, event, number, source)
    return record


def built(record: Recorder, incomplete: Sequence[str] = ()) -> Trace:
    return trace_of(record, TraceOrigin(), incomplete)

"""Traces made by hand: what ran inside what, in which order, without crewAI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from pytest_crewai_trace.trace.semconv import Kind
from pytest_crewai_trace.trace.span import SPAN_CLASSES
from pytest_crewai_trace.trace.trace import Trace
from pytest_crewai_trace.trace.values import Error, Origin

NEEDED: dict[str, dict[str, Any]] = {
    "memory": {"operation": "query"},
    "knowledge": {"operation": "retrieval"},
    "planning": {"operation": "execute"},
    "a2a": {"operation": "delegation"},
    "human_feedback": {"operation": "feedback"},
    "skill": {"operation": "discovery"},
}


@dataclass(eq=False)
class Sketch:
    """A span to be made, with those that ran inside it, one after the other unless ``together`` said otherwise."""

    kind: Kind
    name: str
    inside: Sequence[Sketch | list[Sketch]] = ()
    fields: dict[str, Any] = field(default_factory=dict)


def span(kind: Kind, name: str = "", *inside: Sketch | list[Sketch], **fields: Any) -> Sketch:
    """``error="boom"`` or ``open=True`` for one that failed or did not end; the rest are fields of the kind."""
    return Sketch(kind, name or kind, inside, fields)


def together(*sketches: Sketch) -> list[Sketch]:
    """Spans that ran at the same time: all begin before the first ends."""
    return list(sketches)


def trace(*roots: Sketch | list[Sketch], **fields: Any) -> Trace:
    """The trace of what the sketches say."""
    return trace_of(list(_sequence(roots)), **fields)


def trace_of(happened: list[tuple[str, Sketch]], **fields: Any) -> Trace:
    """The trace of a list of begins and ends, in the order in which they happened."""
    inside = {id(child): sketch for _, sketch in happened for child in _flat(sketch.inside)}
    numbers: dict[int, int] = {}
    places: dict[tuple[str, int], int] = {}
    for place, (what, sketch) in enumerate(happened):
        places[what, id(sketch)] = place
        if what == "begin":
            numbers[id(sketch)] = len(numbers)
    made = []
    for what, sketch in happened:
        if what == "begin":
            above = inside.get(id(sketch))
            made.append(
                _span(
                    sketch,
                    numbers[id(sketch)],
                    None if above is None else numbers[id(above)],
                    places["begin", id(sketch)],
                    places.get(("end", id(sketch))),
                )
            )
    return Trace(all_spans=tuple(made), **fields)


def happenings(sketch: Sketch) -> list[tuple[str, Sketch]]:
    """The begins and ends of a sketch and what is inside it."""
    end = [] if sketch.fields.get("open") else [("end", sketch)]
    return [("begin", sketch), *_sequence(sketch.inside), *end]


def _sequence(sketches: Sequence[Sketch | list[Sketch]]) -> Iterator[tuple[str, Sketch]]:
    for entry in sketches:
        if isinstance(entry, Sketch):
            yield from happenings(entry)
        else:
            each = [happenings(sketch) for sketch in entry]
            yield from (first for first, *_ in each)
            for _, *rest in each:
                yield from rest


def _flat(sketches: Sequence[Sketch | list[Sketch]]) -> Iterator[Sketch]:
    for entry in sketches:
        yield from [entry] if isinstance(entry, Sketch) else entry


def _span(sketch: Sketch, number: int, parent: int | None, begin: int, end: int | None) -> Any:
    fields = {**NEEDED.get(sketch.kind, {}), **sketch.fields}
    is_open, error = fields.pop("open", False), fields.pop("error", None)
    identifiers, own_thread = fields.pop("identifiers", {}), fields.pop("own_thread", True)
    if isinstance(error, str):
        error = Error(type="RuntimeError", message=error)
    origin = Origin(
        event_id=f"begin {begin}",
        end_event_id=fields.pop("end_event_id", None if end is None else f"end {end}"),
        sequence=begin,
        end_sequence=end,
        started_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
        identifiers=identifiers,
        own_thread=own_thread,
    )
    return SPAN_CLASSES[sketch.kind](
        kind=sketch.kind,
        id=number,
        parent_id=parent,
        name=sketch.name,
        status=fields.pop("status", "error" if error else "unset" if is_open else "ok"),
        error=error,
        start=float(begin),
        end=None if end is None else float(end),
        origin=origin,
        **fields,
    )

"""Random traces, with every field of every kind."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from datetime import datetime, timedelta, timezone
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from pytest_crewai_trace.trace.messages import Messages
from pytest_crewai_trace.trace.semconv import KINDS
from pytest_crewai_trace.trace.span import SPAN_CLASSES
from pytest_crewai_trace.trace.trace import EventCounts, Trace, TraceOrigin
from pytest_crewai_trace.trace.values import Error, Origin, SpanEvent, ToolCall
from tests.support.spans import Sketch, span, trace_of

text = st.text(st.characters(codec="utf-8"), max_size=8)  # all of Unicode but lone surrogates
numbers = st.floats(allow_nan=False, allow_infinity=False)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | numbers | text,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(text, values, max_size=3),
    max_leaves=5,
)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.sampled_from([timezone.utc]))  # noqa: DTZ001

_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: text,
    int: st.integers(-(2**63), 2**63),
    float: numbers,
    bool: st.booleans(),
    type(None): st.none(),
    Any: plain_values,
    datetime: times,
    Error: st.deferred(lambda: fields_of(Error)),
    SpanEvent: st.deferred(lambda: fields_of(SpanEvent)),
    Origin: st.deferred(lambda: fields_of(Origin)),
    Messages: st.deferred(lambda: conversations.map(Messages)),
    ToolCall: st.builds(ToolCall, text, st.dictionaries(text, plain_values, max_size=2)),
}


def _of(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation in _BY_TYPE:
        return _BY_TYPE[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return st.one_of(*map(_of, inner))
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple:
        return st.lists(_of(inner[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(_of(inner[0]), _of(inner[1]), max_size=2)
    raise NotImplementedError(annotation)  # a field of a new type must not go untested


def fields_of(model: type[Any], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A model with all its fields random but those that are given."""
    types = (
        get_type_hints(model)
        if is_dataclass(model)
        else {name: field.annotation for name, field in model.model_fields.items()}
    )
    chosen = {name: _of(of) for name, of in types.items() if name not in given and not name.startswith("_")}
    return st.builds(model, **chosen, **given)


conversations = st.lists(st.dictionaries(text, plain_values, max_size=2), max_size=3)


@st.composite
def shared_messages(draw: st.DrawFn, earlier: list[Messages]) -> Messages:
    """A conversation; it may go on from one that was drawn earlier, at any place of it."""
    tail = draw(conversations)
    base = draw(st.none() | st.sampled_from(earlier)) if earlier else None
    made = Messages(tail, base, 0 if base is None else draw(st.integers(0, len(base))))
    earlier.append(made)
    return made


@st.composite
def traces(draw: st.DrawFn, max_spans: int = 8) -> Trace:
    """A trace of any shape, of every kind of span, with every field random."""
    earlier: list[Messages] = []
    made = []
    for number in range(draw(st.integers(0, max_spans))):
        kind = draw(st.sampled_from(KINDS))
        given: dict[str, Any] = {
            "id": st.just(number),
            "parent_id": st.none() | st.integers(0, number - 1) if number else st.none(),
        }
        if kind == "llm":
            given["messages"] = shared_messages(earlier)
        made.append(draw(fields_of(SPAN_CLASSES[kind], **given)))
    return Trace(
        all_spans=tuple(made),
        events=tuple(draw(st.lists(fields_of(SpanEvent), max_size=2))),
        incomplete=tuple(draw(st.lists(text, max_size=1))),
        event_counts=draw(fields_of(EventCounts)),
        origin=draw(fields_of(TraceOrigin)),
    )


@st.composite
def sketches(draw: st.DrawFn, depth: int = 3) -> Sketch:
    """A span with others inside it, of few kinds and names, so that some are equal."""
    kind = draw(st.sampled_from(["crew", "task", "agent", "tool", "llm"]))
    fields = {"tool": {"result": draw(st.sampled_from(["a", "b", "x" * 200 + "a", "x" * 100 + "a" + "x" * 100]))}}
    inside = draw(st.lists(sketches(depth - 1), max_size=3)) if depth else []
    return span(kind, draw(st.sampled_from("ab")), *inside, **fields.get(kind, {}))


@st.composite
def interleavings(draw: st.DrawFn, lists: list[list[Any]]) -> list[Any]:
    """The lists merged into one, each in its own order."""
    left = [list(reversed(one)) for one in lists if one]
    merged = []
    while left:
        taken = draw(st.integers(0, len(left) - 1))
        merged.append(left[taken].pop())
        if not left[taken]:
            del left[taken]
    return merged


def shifted(trace: Trace, seconds: float) -> Trace:
    """The same behaviour at another time, with other ids of crewAI's."""
    spans = []
    for one in trace.all_spans:
        at = None if one.origin.started_at is None else one.origin.started_at + timedelta(seconds=seconds)
        origin = replace(one.origin, event_id="another", started_at=at)
        end = None if one.end is None else one.end * 3 + seconds
        spans.append(one.model_copy(update={"origin": origin, "start": one.start + seconds, "end": end}))
    return Trace(all_spans=tuple(spans))


__all__ = ["interleavings", "plain_values", "shared_messages", "shifted", "sketches", "text", "trace_of", "traces"]

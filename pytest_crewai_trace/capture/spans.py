"""From the drafts to the typed, immutable trace."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pytest_crewai_trace.capture.build import Builder
from pytest_crewai_trace.capture.readers import requested_calls
from pytest_crewai_trace.trace.span import SPAN_CLASSES, Span
from pytest_crewai_trace.trace.trace import EventCounts, Trace, TraceOrigin
from pytest_crewai_trace.trace.values import Error, Origin, SpanEvent, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_crewai_trace.capture.draft import Draft
    from pytest_crewai_trace.capture.recorder import Recorder


def trace_of(recorder: Recorder, origin: TraceOrigin, incomplete: Iterable[str] = ()) -> Trace:
    """The trace of what a recorder holds now."""
    built = Builder(recorder)
    shown = sorted((draft for draft in built.drafts if not draft.hidden), key=lambda draft: draft.sequence)
    numbers = {id(draft): number for number, draft in enumerate(shown)}
    return Trace(
        all_spans=tuple(_span(recorder, draft, numbers) for draft in shown),  # type: ignore[misc]  # one of the union
        events=tuple(built.events),
        incomplete=tuple(incomplete),
        event_counts=EventCounts(**built.counts, chunks=recorder.chunk_events, ignored=built.ignored),
        origin=origin,
    )


def _span(recorder: Recorder, draft: Draft, numbers: dict[int, int]) -> Span:
    row, values = draft.row, draft.values
    above = None if draft.above is None else draft.above.visible()
    values.pop("plan_number", None)
    if draft.kind == "llm":
        _complete_call(recorder, draft)
    if draft.kind == "human_feedback" and not values.get("name"):  # 1.13 does not say which method asked
        values["name"] = "" if above is None else above.values.get("name", "")
    _belong(draft)
    common: dict[str, Any] = {
        "id": numbers[id(draft)],
        "parent_id": None if above is None else numbers[id(above)],
        "status": "error" if draft.error else "unset" if draft.open or values.get("paused") else "ok",
        "error": Error(**draft.error) if draft.error else None,
        "start": (draft.at - recorder.began) / 1e9,
        "end": None if draft.closed_at is None else (draft.closed_at - recorder.began) / 1e9,
        "events": tuple(draft.events),
        "origin": Origin(
            event_id=row.event_id,
            end_event_id=None if draft.end is None else draft.end.event_id,
            sequence=int(4 * draft.sequence),  # a span that was made for an end without a start lies between two events
            end_sequence=None if draft.closed_seq is None else int(4 * draft.closed_seq),
            started_at=recorder.began_at + timedelta(microseconds=(draft.at - recorder.began) / 1000),
            own_thread=row.thread == recorder.thread,
            identifiers=row.identifiers,
        ),
    }
    cls = SPAN_CLASSES[draft.kind]  # type: ignore[index]  # a begin has a kind
    try:
        return cls(**values, **common)
    except ValidationError as error:
        # A user's event, or one of a newer crewAI, has other types: kept as an event, not as a typed field.
        misfits = {str(problem["loc"][0]) for problem in error.errors()}
        told = {name: values.pop(name) for name in misfits if name in values}
        common["events"] += (SpanEvent(name=row.type, attributes=told, time=common["start"], note="unexpected types"),)
        return cls(**{"name": draft.kind, **values}, **common)


def _complete_call(recorder: Recorder, draft: Draft) -> None:
    values = draft.values
    values["requested_tool_calls"] = tuple(ToolCall(**call) for call in requested_calls(values.get("response")))
    chunks = recorder.chunks.get(draft.row.identifiers.get("call_id", ""))
    if chunks is not None:
        values["chunks"] = chunks.count
        values["time_to_first_chunk"] = (chunks.first - draft.at) / 1e9


def _belong(draft: Draft) -> None:
    """Fill in the agent and the task of a span from what it is inside of, where its event did not say."""
    above = draft.above
    if above is None or above.kind in ("crew", "flow", "method"):
        return
    for name in ("agent_role", "task_name"):
        if draft.values.get(name) is None:
            draft.values[name] = above.values.get(name)

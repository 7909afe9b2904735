"""Envelopes for AMP, made by hand."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pytest_crewai_trace.publish.delivery import Parcel, Progress
from pytest_crewai_trace.publish.envelope import Envelope


def uuid(number: int) -> str:
    return str(UUID(int=number + 1))


def otlp(execution_uuid: str, count: int, text: str = "hello") -> bytes:
    """An ``ExportTraceServiceRequest`` as crewAI's: one root, and below it all others."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "crewai"
    scope = resource.scope_spans.add()
    scope.scope.name = "crewai"
    for number in range(count):
        span = scope.spans.add(trace_id=UUID(execution_uuid).bytes, span_id=(number + 1).to_bytes(8, "big"))
        span.name = f"span {number}"
        span.parent_span_id = (1).to_bytes(8, "big") if number else b""
        span.attributes.add(key="crewai.execution_uuid").value.string_value = execution_uuid
        span.attributes.add(key="gen_ai.output.messages").value.string_value = text
    return made.SerializeToString()


def events(count: int, text: str = "hello") -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "event_id": uuid(number),
            "timestamp": "2026-11-23T00:00:00+00:00",
            "type": "llm_call_started",
            "event_data": {"messages": [{"role": "user", "content": text}]},
            "emission_sequence": number + 1,
            "parent_event_id": None,
            "previous_event_id": None,
            "triggered_by_event_id": None,
        }
        for number in range(count)
    )


def envelope(number: int = 0, spans: int | None = 3, **given: Any) -> Envelope:
    """An envelope with spans; with ``spans=None`` one for the batch protocol alone."""
    key = uuid(number)
    fields: dict[str, Any] = {"name": "crew", "crewai_version": "1.15.30", "test": {"test.case.name": "test_it"}}
    if spans is not None:
        fields["spans"] = otlp(key, spans)
    return Envelope(execution_uuid=key, **{**fields, **given})


def parcels(*envelopes: Envelope, progress: Progress | None = None) -> list[Parcel]:
    """Parcels with the keys "0", "1", ..."""
    return [Parcel(str(number), lambda one=one: one, progress) for number, one in enumerate(envelopes)]

"""What is to be sent for one execution, in requests that keep AMP's limits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_crewai_trace.publish.cutting import Cutter, cut_span, fitted, thin_span
from pytest_crewai_trace.trace.document import as_json

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

    from pytest_crewai_trace.publish.envelope import Attribute, Envelope

MOST_ITEMS = 200
MOST_BYTES = 3_072_000
_SMALL = 65_536  # bytes; a server to which a single item of this size is too large gets no smaller one
_INT64 = 2**63

_Item = TypeVar("_Item")


class Cargo(ABC, Generic[_Item]):
    """The items that are left to send, in their order. ``cut``: values that were shortened so far."""

    what: str

    def __init__(self, items: list[_Item], skip: int) -> None:
        self.total = len(items)
        self.done = min(skip, self.total)
        self.cut = 0
        left = items[self.done :]
        self._parts = deque(left[start : start + MOST_ITEMS] for start in range(0, len(left), MOST_ITEMS))

    @abstractmethod
    def encode(self, items: list[_Item]) -> bytes:
        """The body of a request."""

    @abstractmethod
    def shorten(self, item: _Item, most: int) -> tuple[_Item, int] | None:
        """The item, so that a request with it alone has at most ``most`` bytes, and how many values were cut."""

    def body(self) -> bytes | None:
        """The body of the next request, or ``None`` where all is sent or the next item cannot be made to fit."""
        while self._parts:
            body = self.encode(self._parts[0])
            if len(body) <= MOST_BYTES:
                return body
            if not self._smaller(MOST_BYTES):
                return None
        return None

    def took(self) -> int:
        """The request has arrived; how many items it held."""
        taken = len(self._parts.popleft())
        self.done += taken
        return taken

    def refused(self, size: int) -> bool:
        """A request of this size was too large for the server. Whether there is a smaller one."""
        return (len(self._parts[0]) > 1 or size > _SMALL) and self._smaller(max(size // 2, _SMALL))

    def _smaller(self, most: int) -> bool:
        part = self._parts.popleft()
        if len(part) > 1:
            half = len(part) // 2
            self._parts.extendleft((part[half:], part[:half]))
            return True
        shorter = self.shorten(part[0], most)
        self._parts.appendleft(part if shorter is None else [shorter[0]])
        self.cut += 0 if shorter is None else shorter[1]
        return shorter is not None


class Spans(Cargo["tuple[ResourceSpans, ScopeSpans, Span]"]):
    """Spans, each with the resource and the scope that it came in."""

    what = "spans"

    def __init__(self, envelope: Envelope, skip: int = 0) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        whole = ExportTraceServiceRequest.FromString(envelope.spans or b"")
        add_attributes(whole, envelope.test)
        items = [
            (resource, scope, span)
            for resource in whole.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        super().__init__(items, skip)

    def encode(self, items: list[tuple[ResourceSpans, ScopeSpans, Span]]) -> bytes:
        return bytes(_request(items).SerializeToString())

    def shorten(
        self, item: tuple[ResourceSpans, ScopeSpans, Span], most: int
    ) -> tuple[tuple[ResourceSpans, ScopeSpans, Span], int] | None:
        resource, scope, span = item

        def copied() -> Span:
            fresh = type(span)()
            fresh.CopyFrom(span)
            return fresh

        def attempt(longest: int) -> tuple[tuple[Span, int], int]:
            cutter, shorter = Cutter(longest), copied()
            cut_span(shorter, cutter)
            return (shorter, cutter.cut), _request([(resource, scope, shorter)]).ByteSize()

        found = fitted(most, attempt)
        if found is None:
            empty = _request([(resource, scope, type(span)())]).ByteSize() + 16
            shorter, _ = attempt(1_024)[0]
            found = shorter, thin_span(shorter, most - empty)
            if _request([(resource, scope, shorter)]).ByteSize() > most:
                return None
        return (resource, scope, found[0]), found[1]


def _request(items: list[tuple[ResourceSpans, ScopeSpans, Span]]) -> ExportTraceServiceRequest:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    made = ExportTraceServiceRequest()
    last_resource = last_scope = None
    for resource, scope, span in items:
        if resource is not last_resource:
            made.resource_spans.add(schema_url=resource.schema_url).resource.CopyFrom(resource.resource)
            last_resource, last_scope = resource, None
        if scope is not last_scope:
            made.resource_spans[-1].scope_spans.add(schema_url=scope.schema_url).scope.CopyFrom(scope.scope)
            last_scope = scope
        made.resource_spans[-1].scope_spans[-1].spans.append(span)
    return made


def add_attributes(whole: ExportTraceServiceRequest, attributes: dict[str, Attribute]) -> None:
    """Put attributes on the root spans; on the first span where there is no root."""
    spans = [span for resource in whole.resource_spans for scope in resource.scope_spans for span in scope.spans]
    for span in [span for span in spans if not span.parent_span_id] or spans[:1]:
        kept = [attribute for attribute in span.attributes if attribute.key not in attributes]
        del span.attributes[:]
        span.attributes.extend(kept)
        for key, value in attributes.items():
            made = span.attributes.add(key=key).value
            if isinstance(value, bool):
                made.bool_value = value
            elif isinstance(value, int) and -_INT64 <= value < _INT64:
                made.int_value = value
            elif isinstance(value, float):
                made.double_value = value
            else:
                made.string_value = str(value)


class Events(Cargo[dict[str, Any]]):
    """Events of the batch protocol; what we add stands in the data of the first."""

    what = "events"

    def __init__(self, envelope: Envelope, skip: int = 0) -> None:
        items = list(envelope.events)
        if items and envelope.test:
            data = items[0].get("event_data")
            added = {**(data if isinstance(data, dict) else {}), **envelope.test}
            items[0] = {**items[0], "event_data": added}
        self._sequence = 1
        super().__init__(items, skip)

    def encode(self, items: list[dict[str, Any]]) -> bytes:
        count = {"events_count": len(items), "batch_sequence": self._sequence, "is_final_batch": False}
        return as_json({"events": items, "batch_metadata": count})

    def took(self) -> int:
        self._sequence += 1
        return super().took()

    def shorten(self, item: dict[str, Any], most: int) -> tuple[dict[str, Any], int] | None:
        data = item.get("event_data")

        def attempt(longest: int) -> tuple[tuple[dict[str, Any], int], int]:
            cutter = Cutter(longest)
            shorter = {**item, "event_data": cutter.value(data)}
            return (shorter, cutter.cut), len(self.encode([shorter]))

        found = fitted(most, attempt)
        if found is None:
            size = len(self.encode([item]))
            found = {**item, "event_data": {"truncated": True, "original_size_bytes": size}}, 1
        return found if len(self.encode([found[0]])) <= most else None

"""Shortens what no request can hold, and marks every cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

_Whole = TypeVar("_Whole")
_LEAST = 64  # bytes; shorter values are never cut


class Cutter:
    """Cuts texts to ``most`` bytes each and counts them in ``cut``."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.cut = 0

    def text(self, text: str) -> str:
        """The text, or its beginning and how long it was."""
        encoded = text.encode("utf-8", "replace")
        if len(encoded) <= self.most:
            return text
        self.cut += 1
        return f"{encoded[: self.most].decode('utf-8', 'ignore')}… [cut, {len(encoded):,} bytes]"

    def value(self, value: Any) -> Any:
        """Plain data with every text cut."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def written(self, text: str) -> str:
        """A text that may be JSON, which it stays: cut is what is in it, while that is enough."""
        if len(text) * 4 <= self.most or len(text.encode("utf-8", "replace")) <= self.most:
            return text
        try:
            parsed = json.loads(text)
            if isinstance(parsed, dict | list):
                inner = Cutter(max(self.most // 4, _LEAST))
                shorter = json.dumps(inner.value(parsed), ensure_ascii=False)
                if inner.cut and len(shorter.encode("utf-8", "replace")) <= self.most:
                    self.cut += 1
                    return shorter
        except (ValueError, RecursionError):
            pass
        return self.text(text)


def fitted(most: int, attempt: Callable[[int], tuple[_Whole, int]]) -> _Whole | None:
    """The longest of ever shorter attempts that is at most ``most`` bytes; ``None`` where none is.

    ``attempt`` makes one with texts of at most so many bytes, and says its size.
    """
    shortest, size = attempt(_LEAST)
    if size > most:
        return None
    longest = most // 2
    while longest > _LEAST:
        whole, size = attempt(longest)
        if size <= most:
            return whole
        longest //= 2
    return shortest


def cut_span(span: Span, cutter: Cutter) -> None:
    """Cut the texts of an OTLP span, in place. A cut attribute gets ``<name>.truncated`` and
    ``<name>.original_size_bytes`` beside it, as crewAI marks its own."""
    span.name = cutter.text(span.name)
    if span.HasField("status"):
        span.status.message = cutter.text(span.status.message)
    marks: list[tuple[str, int]] = []
    for attribute in span.attributes:
        before, counted = attribute.value.ByteSize(), cutter.cut
        _cut_value(attribute.value, cutter)
        if cutter.cut > counted:
            marks.append((attribute.key, before))
    for key, size in marks:
        span.attributes.add(key=f"{key}.truncated").value.bool_value = True
        span.attributes.add(key=f"{key}.original_size_bytes").value.int_value = size
    for inner in (*span.events, *span.links):
        for attribute in inner.attributes:
            _cut_value(attribute.value, cutter)


def _cut_value(value: AnyValue, cutter: Cutter) -> None:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        value.string_value = cutter.written(value.string_value)
    elif kind == "bytes_value" and len(value.bytes_value) > cutter.most:
        value.bytes_value = value.bytes_value[: cutter.most]
        cutter.cut += 1
    elif kind == "array_value":
        for item in value.array_value.values:
            _cut_value(item, cutter)
    elif kind == "kvlist_value":
        for pair in value.kvlist_value.values:
            _cut_value(pair.value, cutter)


def thin_span(span: Span, most: int) -> int:
    """Leave out events, links, then attributes until the span is at most ``most`` bytes; how many went.

    OTLP has counters for that in every span.
    """
    gone = len(span.events) + len(span.links)
    span.dropped_events_count += len(span.events)
    span.dropped_links_count += len(span.links)
    del span.events[:], span.links[:]
    while span.attributes and span.ByteSize() > most:
        half = (len(span.attributes) + 1) // 2
        del span.attributes[-half:]
        span.dropped_attributes_count += half
        gone += half
    return gone

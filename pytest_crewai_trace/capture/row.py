"""What a record keeps of one event."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_crewai_trace.capture.mapping import Rule


class Row:
    """One event. ``source`` is the ``id()`` of what emitted it; ``hidden`` ones are of crewAI's own machinery."""

    __slots__ = (
        "at",
        "error",
        "event_id",
        "fields",
        "given_start",
        "hidden",
        "identifiers",
        "parent_id",
        "replayed",
        "rule",
        "sequence",
        "source",
        "start_id",
        "task",
        "thread",
        "type",
    )

    def __init__(self, rule: Rule, event_type: str, sequence: float, at: int) -> None:
        self.rule = rule
        self.type = event_type
        self.sequence = sequence
        self.at = at
        self.event_id = ""
        self.parent_id: str | None = None
        self.start_id: str | None = None
        self.given_start = False
        self.source = 0
        self.thread = 0
        self.task: weakref.ref[asyncio.Task[Any]] | None = None
        self.hidden = False
        self.replayed = False
        self.fields: dict[str, Any] = {}
        self.identifiers: dict[str, str] = {}
        self.error: dict[str, Any] | None = None


class Chunks:
    """How many chunks an LLM call gave, and when the first came."""

    __slots__ = ("count", "first")

    def __init__(self, first: int) -> None:
        self.count = 0
        self.first = first

"""Tells the trace what was injected into a run: an event of our own on crewAI's bus, inside the span it hit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crewai.events import crewai_event_bus
from crewai.events.base_events import BaseEvent

from pytest_crewai_trace.trace.semconv import FAULT_INJECTED


class FaultInjectedEvent(BaseEvent):
    """A fault of ``crewai_faults`` was injected: ``fault`` names it, ``into`` is what it hit."""

    type: str = FAULT_INJECTED
    fault: str
    into: str


def tell(source: Any, fault: Mapping[str, Any]) -> None:
    """Emit it."""
    crewai_event_bus.emit(source, event=FaultInjectedEvent(**fault))

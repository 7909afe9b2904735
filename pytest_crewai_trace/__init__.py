"""Trace-based testing of crewAI agents."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_crewai_trace.errors import (
        CassetteError,
        CrewaiTraceError,
        HookError,
        NetworkBlockedError,
        ReplayError,
        ScriptError,
        SpanLookupError,
        TraceAssertionError,
        TraceDocumentError,
        TraceIncompleteError,
        UnusedReplyError,
    )
    from pytest_crewai_trace.expectations.fluent import Expectation, expect
    from pytest_crewai_trace.expectations.message import Mismatch
    from pytest_crewai_trace.replay.deck import Cassette
    from pytest_crewai_trace.replay.fault import Faults
    from pytest_crewai_trace.replay.reply import Request
    from pytest_crewai_trace.replay.script import Script
    from pytest_crewai_trace.trace.span import Span
    from pytest_crewai_trace.trace.trace import Trace
    from pytest_crewai_trace.trace.usage import Usage
    from pytest_crewai_trace.trace.values import Error, SpanEvent, ToolCall

__all__ = [
    "Cassette",
    "CassetteError",
    "CrewaiTraceError",
    "Error",
    "Expectation",
    "Faults",
    "HookError",
    "Mismatch",
    "NetworkBlockedError",
    "ReplayError",
    "Request",
    "Script",
    "ScriptError",
    "Span",
    "SpanEvent",
    "SpanLookupError",
    "ToolCall",
    "Trace",
    "TraceAssertionError",
    "TraceDocumentError",
    "TraceIncompleteError",
    "UnusedReplyError",
    "Usage",
    "expect",
]

_HOMES = {
    "Span": "trace.span",
    **dict.fromkeys(("Error", "SpanEvent", "ToolCall"), "trace.values"),
    **dict.fromkeys(("Expectation", "expect"), "expectations.fluent"),
    "Cassette": "replay.deck",
    "Mismatch": "expectations.message",
    "Faults": "replay.fault",
    "Request": "replay.reply",
    "Script": "replay.script",
    "Trace": "trace.trace",
    "Usage": "trace.usage",
}


def __getattr__(name: str) -> Any:
    # Every pytest run of everyone who installed the plugin imports this module: pydantic only when a name is used.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)

"""Memory that is kept of one agent with 10 to 200 tool calls."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

from benchmarks.event_cost import frozen, wrapped
from benchmarks.measure import Table, exponent, verdict
from benchmarks.runs import in_a_context_of_its_own, run_crew, undisturbed
from pytest_crewai_trace.capture.bus import Recording
from pytest_crewai_trace.capture.spans import trace_of
from pytest_crewai_trace.trace.trace import TraceOrigin

TOOL_CALLS = (10, 50, 100, 200)
CHARACTERS = 500  # of each tool result
MOST_EXPONENT = 1.1

# What one span says, without the live objects that an event holds.
_SLIM = (
    *("type", "event_id", "parent_event_id", "started_event_id", "agent_role", "task_name", "call_id"),
    *("model", "messages", "response", "tool_name", "tool_args", "output", "error", "usage"),
)

Kept = list[Any]


def as_they_are(run: Callable[[], None]) -> Kept:
    kept: Kept = []
    with wrapped(lambda source, event: kept.append(event)):
        run()
    return kept


def slim(run: Callable[[], None]) -> Kept:
    kept: Kept = []

    def keep(source: Any, event: Any) -> None:
        fields = event.__dict__
        if event.type == "llm_call_completed":  # repeats the messages of its start
            fields = {**fields, "messages": None}
        kept.append({name: frozen(fields[name]) for name in _SLIM if fields.get(name) is not None})

    with wrapped(keep):
        run()
    return kept


def traced(run: Callable[[], None]) -> Kept:
    """As a test's record goes: the trace is built, then the record lets go of its rows."""
    recording = Recording(warn=lambda message: None)
    recording.start()
    try:
        recorder = recording.begin()
        run()
        trace = trace_of(recorder, TraceOrigin())
        recording.end(recorder)
    finally:
        recording.stop()
    recorder.release()
    return [trace, recorder]


CONFIGURATIONS: dict[str, Callable[[Callable[[], None]], Kept]] = {
    "events as they are": as_they_are,
    "slim spans, nothing shared": slim,
    "pytest-crewai-trace": traced,
}


def measure(configuration: Callable[[Callable[[], None]], Kept], tool_calls: int) -> tuple[int, int]:
    """Bytes that are freed when what was kept is let go of, and the number of spans."""
    tracemalloc.start()
    try:
        with undisturbed():
            kept = in_a_context_of_its_own(
                lambda: configuration(lambda: run_crew(agents=1, tools=1, tool_calls=tool_calls, characters=CHARACTERS))
            )
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        spans = len(kept[0].all_spans) if configuration is traced else 0
        kept.clear()
        gc.collect()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return held - left, spans


def table() -> Table:
    measure(traced, 1)  # what is made once per process
    made = Table(
        "Memory kept of one agent",
        ("kept", *(f"{n} tool calls, kB" for n in TOOL_CALLS), "bytes a span at the most", "exponent", "target", "met"),
        note=f"Each tool result is a text of its own, {CHARACTERS} characters long, and comes back in later calls of"
        " the model. Bytes by tracemalloc.",
    )
    spans: list[int] = []
    for name, configuration in reversed(CONFIGURATIONS.items()):
        sizes = []
        for number in TOOL_CALLS:
            size, count = measure(configuration, number)
            sizes.append(size)
            if configuration is traced:
                spans.append(count)
        slope = exponent(TOOL_CALLS, sizes)
        per_span = max(size / count for size, count in zip(sizes, spans, strict=True))
        ours = configuration is traced
        made.add(
            name,
            *(f"{size / 1e3:,.0f}" for size in sizes),
            f"{per_span:,.0f}",
            f"{slope:.2f}",
            f"exponent at most {MOST_EXPONENT}" if ours else "",
            verdict(slope, MOST_EXPONENT) if ours else "",
        )
    made.note += f" An agent with {TOOL_CALLS[-1]} tool calls has {spans[-1]} spans."
    return made

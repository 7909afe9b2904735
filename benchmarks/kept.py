"""Memory that is kept of one agent with 10 to 200 tool calls."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from crewai.events.event_bus import crewai_event_bus

from benchmarks.measure import Table, exponent
from benchmarks.peers import SLIM, frozen, tracers, wrapped
from benchmarks.runs import in_a_context_of_its_own, run_crew, undisturbed
from pytest_crewai_trace.capture.bus import Recording
from pytest_crewai_trace.capture.spans import trace_of
from pytest_crewai_trace.trace.trace import TraceOrigin

TOOL_CALLS = (10, 50, 100, 200)
CHARACTERS = 500  # of each tool result
MOST_EXPONENT = 1.1
MOST_A_SPAN = 3_500  # bytes
_OTHERS = 2  # sizes that are measured of the others: what they keep grows, and counting slows all down

Kept = list[Any]
Way = Callable[[Callable[[], None]], Kept]
OURS = "pytest-crewai-trace"


def as_they_are(run: Callable[[], None]) -> Kept:
    kept: Kept = []
    with wrapped(lambda source, event: kept.append(event)):
        run()
    return kept


def slim(run: Callable[[], None], *, share: bool = False) -> Kept:
    """``share``: a message that came before is kept once."""
    kept: Kept = []
    known: dict[str, Any] = {}

    def shared(message: Any) -> Any:
        return known.setdefault(repr(message), message)

    def keep(source: Any, event: Any) -> None:
        fields = event.__dict__
        if event.type == "llm_call_completed":  # repeats the messages of its start
            fields = {**fields, "messages": None}
        span = {name: frozen(fields[name]) for name in SLIM if fields.get(name) is not None}
        if share and isinstance(span.get("messages"), list):
            span["messages"] = [shared(message) for message in span["messages"]]
        kept.append(span)

    with wrapped(keep):
        run()
    known.clear()
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


def exported(name: str) -> Way:
    """What a tracer has in memory: its exporter holds the spans."""

    def way(run: Callable[[], None]) -> Kept:
        with tracers()[name]() as take:
            run()
            return list(take())

    return way


def ways() -> dict[str, Way]:
    return {
        "events as they are": as_they_are,
        "slim spans, nothing shared": slim,
        "slim spans that share messages": lambda run: slim(run, share=True),
        **{name: exported(name) for name in tracers()},
        OURS: traced,
    }


def measure(way: Way, tool_calls: int) -> tuple[int, int]:
    """Bytes that are freed when what was kept is let go of, and the number of spans."""
    with _counted():
        with undisturbed():
            kept = in_a_context_of_its_own(
                lambda: way(lambda: run_crew(agents=1, tools=1, tool_calls=tool_calls, characters=CHARACTERS))
            )
        forget = getattr(crewai_event_bus, "reset_runtime_state", None)
        if forget is not None:
            forget()  # it holds the events of the last run
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        spans = len(kept[0].all_spans) if way is traced else 0
        kept.clear()
        gc.collect()
        left, _ = tracemalloc.get_traced_memory()
    return held - left, spans


@contextmanager
def _counted() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def table(*, full: bool) -> Table:
    measure(traced, 1)  # what is made once per process
    made = Table(
        "Memory kept of one agent",
        ("kept", *(f"{n} tool calls, kB" for n in TOOL_CALLS), "bytes a span at the most", "exponent"),
        note=f"Each tool result is a text of its own, {CHARACTERS} characters long, and comes back in later calls of"
        " the model. Bytes by tracemalloc.",
    )
    spans: list[int] = []
    sizes: dict[str, list[int]] = {}
    for name, way in reversed(ways().items()):
        for number in TOOL_CALLS if full or way is traced else TOOL_CALLS[:_OTHERS]:
            size, count = measure(way, number)
            sizes.setdefault(name, []).append(size)
            if way is traced:
                spans.append(count)
    most = {name: max(size / count for size, count in zip(of, spans, strict=False)) for name, of in sizes.items()}
    for name, of in sizes.items():
        shown = [f"{size / 1e3:,.0f}" for size in of] + [""] * (len(TOOL_CALLS) - len(of))
        made.add(name, *shown, f"{most[name]:,.0f}", f"{exponent(TOOL_CALLS[: len(of)], of):.2f}")
    again = measure(traced, TOOL_CALLS[1])[0]
    slope = exponent(TOOL_CALLS, sizes[OURS])
    made.promise(
        f"memory kept of one agent with {'/'.join(map(str, TOOL_CALLS))} tool calls",
        f"{_sizes(sizes[OURS])} MB, {most[OURS] / 1e3:.1f} kB a span",
        "; ".join(f"{name} {_sizes(of)} MB" for name, of in sizes.items() if name != OURS),
        f"at most {MOST_A_SPAN / 1e3} kB a span at any length",
        met=most[OURS] <= MOST_A_SPAN and slope <= MOST_EXPONENT,
        apart=abs(again / sizes[OURS][1] - 1),
    )
    drawn = {
        name: [(float(number), size / 1e6) for number, size in zip(TOOL_CALLS, of, strict=False)]
        for name, of in sizes.items()
    }
    made.curves["memory kept, MB, over the tool calls of one agent"] = drawn
    made.note += f" An agent with {TOOL_CALLS[-1]} tool calls has {spans[-1]} spans."
    return made


def _sizes(of: list[int]) -> str:
    return " / ".join(f"{size / 1e6:.2f}" for size in of)

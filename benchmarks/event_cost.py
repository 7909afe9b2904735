"""CPU that each configuration adds per event, when recorded events are emitted again through the real bus."""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from crewai.events.event_bus import CrewAIEventsBus, crewai_event_bus

from benchmarks.measure import Cpu, Spread, Table, interleave, verdict
from benchmarks.runs import Emitted, Recorded, ToEmit, in_a_context_of_its_own, run_crew, run_flow, undisturbed
from pytest_crewai_trace.capture.bus import Recording, _record
from pytest_crewai_trace.capture.spans import trace_of
from pytest_crewai_trace.trace.trace import TraceOrigin

try:
    from crewai.telemetry.tracing.session import TraceSession
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
except ImportError:  # before 1.15.22
    TraceSession = None  # type: ignore[assignment,misc]

MOST_ADDED = 10.0  # us an event
LEAST_RATIO = 40.0  # of crewAI's TraceSession

# What a wrapper that knows what it wants would copy.
_PAYLOAD = (
    *("type", "event_id", "parent_event_id", "started_event_id", "messages", "response"),
    *("tool_name", "tool_args", "output", "error", "usage"),
)

RUNS: Mapping[str, Callable[[], None]] = {
    "crew, native tool calls": lambda: run_crew(native=True),
    "crew, ReAct": lambda: run_crew(native=False),
    "flow of 30 methods": run_flow,
}


def emit_all(events: ToEmit, finish: Callable[[], object] = lambda: None) -> Cpu:
    """Emit as one run does, inside what a run finds."""

    def emit() -> Cpu:
        bus = crewai_event_bus
        with Cpu() as cpu:
            for source, event in events:
                bus.emit(source, event)
            finish()
        return cpu

    return in_a_context_of_its_own(emit)


@contextmanager
def wrapped(keep: Callable[[Any, Any], None]) -> Iterator[None]:
    """A plain wrapper on the bus class."""
    original = CrewAIEventsBus.emit

    def emit(bus: CrewAIEventsBus, source: Any, event: Any) -> Any:
        try:
            return original(bus, source, event)
        finally:
            keep(source, event)

    CrewAIEventsBus.emit = emit  # type: ignore[method-assign]
    try:
        yield
    finally:
        CrewAIEventsBus.emit = original  # type: ignore[method-assign]


def without(events: ToEmit) -> Cpu:
    return emit_all(events)


def appending(events: ToEmit) -> Cpu:
    kept: Emitted = []
    with wrapped(lambda source, event: kept.append((source, event))):
        return emit_all(events)


def copying(events: ToEmit) -> Cpu:
    kept: list[dict[str, Any]] = []

    def keep(source: Any, event: Any) -> None:
        fields = event.__dict__
        kept.append({name: frozen(fields[name]) for name in _PAYLOAD if name in fields})

    with wrapped(keep):
        return emit_all(events)


def frozen(value: Any) -> Any:
    if type(value) is list:
        return [dict(item) if type(item) is dict else item for item in value]
    return dict(value) if type(value) is dict else value


def ours(events: ToEmit, *, build: bool = False) -> Cpu:
    recording = Recording(warn=lambda message: None)
    recording.start()
    try:
        recorder = recording.begin()
        cpu = emit_all(events)
        recording.end(recorder)
    finally:
        recording.stop()
    if recorder.error is not None:
        raise recorder.error
    if build:
        with Cpu() as building:
            trace_of(recorder, TraceOrigin())
        cpu.seconds += building.seconds
        cpu.collecting += building.collecting
    return cpu


def crewais(events: ToEmit) -> Cpu:
    """crewAI's own ``TraceSession``, exporting to memory."""
    exporter = InMemorySpanExporter()
    session = TraceSession(str(uuid.uuid4()), [exporter])
    with session.activate():
        cpu = emit_all(events, finish=lambda: (crewai_event_bus.flush(), session.flush()))
    session.shutdown()
    if not exporter.get_finished_spans():
        raise AssertionError("TraceSession made no spans")
    return cpu


def recorder_alone(events: ToEmit) -> Cpu:
    """The recorder fed with events that the bus has already seen."""
    seen = list(events)
    emit_all(seen)
    recording = Recording(warn=lambda message: None)
    recorder = recording.begin()
    with Cpu() as cpu:
        for sequence, (source, event) in enumerate(seen):
            _record(recording, source, event, sequence, sequence, False, False)
    if recorder.error is not None:
        raise recorder.error
    return cpu


CONFIGURATIONS: dict[str, Callable[[ToEmit], Cpu]] = {
    "without us": without,
    "a wrapper that appends": appending,
    "a wrapper with a frozen copy of 11 fields": copying,
    "pytest-crewai-trace": ours,
    "pytest-crewai-trace, with the trace built": lambda events: ours(events, build=True),
    "its recorder alone": recorder_alone,
}
if TraceSession is not None:
    CONFIGURATIONS["crewAI's TraceSession"] = crewais


def tables(*, rounds: int) -> Iterator[Table]:
    for what, run in RUNS.items():
        recorded = Recorded(run)

        def case(configuration: Callable[[ToEmit], Cpu], recorded: Recorded = recorded) -> Callable[[], Cpu]:
            def measured() -> Cpu:
                events = recorded.again()
                with undisturbed():
                    return configuration(events)

            return measured

        taken = interleave(rounds, {name: case(configuration) for name, configuration in CONFIGURATIONS.items()})
        yield table(f"CPU per event: {what}", taken, len(recorded))


def table(title: str, taken: Mapping[str, list[Cpu]], events: int) -> Table:
    floor = taken["without us"]
    added = {
        name: [
            (cpu.seconds - (0.0 if name == "its recorder alone" else base.seconds)) / events
            for cpu, base in zip(cpus, floor, strict=True)
        ]
        for name, cpus in taken.items()
        if name != "without us"
    }
    our_median = statistics.median(added["pytest-crewai-trace"])
    plain = Spread.of([cpu.seconds / events for cpu in floor])
    made = Table(
        title,
        ("configuration", "adds us an event", "least", "ratio to ours", "garbage collector, us", "target", "met"),
        note=f"{events} events, {len(floor)} rounds. The bus itself takes {plain.show(1e6)} us an event. The least is"
        " between the quickest rounds with and without: what is added when nothing else runs on the machine.",
    )
    for name, values in added.items():
        spread = Spread.of(values)
        collecting = statistics.median(cpu.collecting / events for cpu in taken[name])
        quickest = 0.0 if name == "its recorder alone" else min(cpu.seconds for cpu in floor)
        least = (min(cpu.seconds for cpu in taken[name]) - quickest) / events
        target, met = "", ""
        if name == "pytest-crewai-trace":
            target, met = f"at most {MOST_ADDED:.0f}", verdict(spread.median * 1e6, MOST_ADDED)
        elif name == "crewAI's TraceSession":
            target = f"ours at most 1/{LEAST_RATIO:.0f}"
            met = verdict(LEAST_RATIO, spread.median / our_median)
        made.add(
            name,
            spread.show(1e6, 2 if spread.median < 1e-5 else 1),
            f"{least * 1e6:.1f}",
            f"{spread.median / our_median:.2f}",
            f"{collecting * 1e6:.2f}",
            target,
            met,
        )
    return made

"""Building the trace of 1,000, 10,000 and 100,000 spans, in four shapes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.measure import Cpu, Table, exponent
from pytest_crewai_trace.capture.bus import Recording, _record
from pytest_crewai_trace.capture.recorder import Recorder
from pytest_crewai_trace.capture.spans import trace_of
from pytest_crewai_trace.trace.trace import TraceOrigin
from pytest_crewai_trace.trace.tree import Tree

MOST_EXPONENT = 1.1
SIZES = (1_000, 10_000, 100_000)
BRANCHES = 8

# Start and end of the kinds that may lie inside one another, in the order in which a chain takes them.
_CYCLE = (
    ("flow_started", "flow_finished"),
    ("method_execution_started", "method_execution_finished"),
    ("crew_kickoff_started", "crew_kickoff_completed"),
    ("task_started", "task_completed"),
    ("agent_execution_started", "agent_execution_completed"),
    ("tool_usage_started", "tool_usage_finished"),
)
_LEAVES = (("llm_call_started", "llm_call_completed"), ("tool_usage_started", "tool_usage_finished"))
_AGENTS = (("agent_execution_started", "agent_execution_completed"),)


class Event:
    """An event by its fields; the recorder looks at nothing else."""

    def __init__(self, event_type: str, number: int, parent: int | None, start: int | None) -> None:
        self.type = event_type
        self.event_id = f"{'end' if start is not None else 'start'} {number}"
        self.parent_event_id = None if parent is None else f"start {parent}"
        self.started_event_id = None if start is None else f"start {start}"
        if event_type.startswith("llm"):
            self.call_id = f"call {number}"
            self.model = "openai/gpt-4o-mini"
            self.response = f"response {number}"
        elif event_type.startswith("tool"):
            self.tool_name = "search"
            self.tool_args = {"query": f"q {number}"}
            self.output = f"result {number}"


Event.__module__ = "crewai.events"  # by which the recorder knows crewAI's events from a user's


def parent_of(shape: str, number: int) -> int | None:
    if number == 0:
        return None
    if shape == "chain":
        return number - 1
    return (number - 1) // BRANCHES if shape == "bushy" else 0


def events_of(shape: str, size: int) -> Iterator[Event]:
    """Starts and ends in the order of a depth-first run."""
    children: dict[int, list[int]] = {}
    for number in range(1, size):
        children.setdefault(parent_of(shape, number) or 0, []).append(number)
    stack: list[tuple[int, int, bool]] = [(0, 0, False)]  # number, depth, whether all inside has ended
    while stack:
        number, depth, left = stack.pop()
        inside = children.get(number)
        pairs = _AGENTS if shape == "flat, agents" else _LEAVES
        begin, end = _CYCLE[depth % len(_CYCLE)] if inside or shape == "chain" else pairs[number % len(pairs)]
        if left:
            yield Event(end, number, None, number)
            continue
        yield Event(begin, number, parent_of(shape, number), None)
        stack.append((number, depth, True))
        stack.extend((child, depth + 1, False) for child in reversed(inside or ()))


SHAPES = ("bushy", "flat", "flat, agents", "chain")


def recorded(shape: str, size: int) -> Recorder:
    recording = Recording(warn=lambda message: None)
    recorder = recording.begin()
    source = object()
    for sequence, event in enumerate(events_of(shape, size)):
        _record(recording, source, event, sequence, sequence, False, False)
    if recorder.error is not None:
        raise recorder.error
    return recorder


def table(*, rounds: int) -> Table:
    made = Table(
        "Building the trace",
        (
            "shape",
            *(f"{size:,} spans, ms" for size in SIZES),
            "us a span",
            "exponent",
            "of it the index, us a span",
            "its exponent",
            "garbage collector at the largest, ms",
        ),
        note=f"From the record of a test to its Trace. Medians of {rounds} rounds (thrice as many of the smaller).",
    )
    worst, of_a_span = 0.0, []
    for shape in SHAPES:
        building, indexing, collecting = [], [], 0.0
        for size in SIZES:
            built: list[Cpu] = []
            indexed: list[Cpu] = []
            recorder = recorded(shape, size)
            for _ in range(rounds if size == SIZES[-1] else 3 * rounds):
                with Cpu() as cpu:
                    trace = trace_of(recorder, TraceOrigin())
                built.append(cpu)
                if len(trace.all_spans) != size:
                    raise AssertionError(f"{shape}: {len(trace.all_spans)} spans of {size}")
                with Cpu() as cpu:
                    Tree(trace.all_spans)
                indexed.append(cpu)
                del trace
            building.append(statistics.median(cpu.seconds for cpu in built))
            indexing.append(statistics.median(cpu.seconds for cpu in indexed))
            collecting = statistics.median(cpu.collecting for cpu in built)
        slope = exponent(SIZES, building)
        index_slope = exponent(SIZES, indexing)
        made.add(
            shape,
            *(f"{seconds * 1e3:,.1f}" for seconds in building),
            f"{building[-1] / SIZES[-1] * 1e6:.1f}",
            f"{slope:.2f}",
            f"{indexing[-1] / SIZES[-1] * 1e6:.2f}",
            f"{index_slope:.2f}",
            f"{collecting * 1e3:,.0f}",
        )
        worst = max(worst, slope, index_slope)
        of_a_span.append(f"{building[-1] / SIZES[-1] * 1e6:.0f}")
        points = [(float(size), taken * 1e3) for size, taken in zip(SIZES, building, strict=True)]
        made.curves.setdefault("from the record to the trace, ms, over the spans", {})[shape] = points
    made.promise(
        "from the record of a test to its typed trace, 1k / 10k / 100k spans",
        f"{' / '.join(of_a_span)} us a span ({', '.join(SHAPES)}), exponent {worst:.2f}",
        "nothing: no peer makes typed data of events",
        f"exponent at most {MOST_EXPONENT} on any shape",
        met=worst <= MOST_EXPONENT,
    )
    return made

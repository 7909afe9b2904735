"""CPU that each configuration adds per event, when recorded events are emitted again through the real bus."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from crewai.events.event_bus import crewai_event_bus

from benchmarks.measure import MORE, Case, Cpu, Ratio, Spread, Table, in_two_groups, interleave, seconds, verdict
from benchmarks.peers import (
    APPENDING,
    COPYING,
    LEGACY,
    OPENINFERENCE,
    SLIM_SPAN,
    TRACE_SESSION,
    Peer,
    collectors,
    payload,
    slim_span,
)
from benchmarks.runs import Recorded, ToEmit, in_a_context_of_its_own, run_crew, run_flow, undisturbed
from pytest_crewai_trace.capture.bus import Recording, _record
from pytest_crewai_trace.capture.spans import trace_of
from pytest_crewai_trace.trace.trace import TraceOrigin

MOST_ADDED = 5.0  # us an event, with the bus; as much for the recorder fed alone
LEAST_TIMES = {TRACE_SESSION: 60.0, OPENINFERENCE: 40.0}
OURS, BUILT, WITHOUT = "pytest-crewai-trace", "pytest-crewai-trace, with the trace built", "without"
_SLOW = {TRACE_SESSION, OPENINFERENCE, LEGACY}

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


def beside(peer: Peer) -> Callable[[ToEmit], Cpu]:
    def run(events: ToEmit) -> Cpu:
        arrived: list[object] = []
        with peer() as take:
            cpu = emit_all(events, finish=lambda: arrived.extend(take()))
        if not arrived:
            raise AssertionError("nothing arrived")
        return cpu

    return run


def configurations() -> dict[str, Callable[[ToEmit], Cpu]]:
    return {
        WITHOUT: emit_all,
        OURS: ours,
        BUILT: lambda events: ours(events, build=True),
        **{name: beside(peer) for name, peer in collectors().items()},
    }


def tables(*, rounds: int) -> Iterator[Table]:
    for what, run in RUNS.items():
        recorded = Recorded(run)
        cases = {name: _emitted(recorded, configuration) for name, configuration in configurations().items()}
        slow = {name: case for name, case in cases.items() if name in _SLOW}
        quick = {name: case for name, case in cases.items() if name not in _SLOW}
        yield table(what, in_two_groups(rounds, WITHOUT, quick, slow), len(recorded))
    yield alone(Recorded(RUNS["crew, native tool calls"]), rounds=rounds)


def _emitted(recorded: Recorded, configuration: Callable[[ToEmit], Cpu]) -> Case:
    def measured() -> Cpu:
        events = recorded.again()
        with undisturbed():
            return configuration(events)

    return measured


def table(what: str, groups: Sequence[Mapping[str, list[Cpu]]], events: int) -> Table:
    """``groups`` of cases that took turns, each with ``WITHOUT`` among them."""
    added: dict[str, list[float]] = {}
    least: dict[str, float] = {}
    for group in groups:
        for name, cpus in group.items():
            if name != WITHOUT:
                pairs = zip(cpus, group[WITHOUT], strict=True)
                added[name] = [(cpu.seconds - base.seconds) / events for cpu, base in pairs]
                least[name] = (min(seconds(cpus)) - min(seconds(group[WITHOUT]))) / events
    taken = {name: cpus for group in reversed(groups) for name, cpus in group.items()}
    floor = taken[WITHOUT]
    mine = statistics.median(added[OURS])
    plain = Spread.of([cpu.seconds / events for cpu in floor])
    made = Table(
        f"CPU per event: {what}",
        ("configuration", "adds us an event", "least", "times ours", "garbage collector, us"),
        note=f"{events} events, {len(floor)} rounds, of the slow ones {len(floor) // MORE}. The bus itself takes"
        f" {plain.show(1e6)} us an event. The least is between the quickest rounds with and without: what is added when"
        " nothing else runs on the machine.",
    )
    for name, values in added.items():
        spread = Spread.of(values)
        collecting = statistics.median(cpu.collecting / events for cpu in taken[name])
        digits = 2 if spread.median < 1e-5 else 1
        made.add(
            name,
            spread.show(1e6, digits),
            f"{least[name] * 1e6:.1f}",
            f"{spread.median / mine:.2f}",
            f"{collecting * 1e6:.2f}",
        )
    times = {name: statistics.median(added[name]) / mine for name in LEAST_TIMES if name in added}
    enough = all(value >= LEAST_TIMES[name] for name, value in times.items())
    made.promise(
        f"CPU added per event: {what}",
        f"{mine * 1e6:.1f} us",
        "; ".join(
            [
                *(
                    f"{name} +{statistics.median(added[name]) * 1e6:.0f} us, {value:.0f} times"
                    for name, value in times.items()
                ),
                *(
                    f"{name} +{statistics.median(added[name]) * 1e6:.1f}"
                    for name in added
                    if name not in (OURS, BUILT, *times)
                ),
            ]
        ),
        f"at most {MOST_ADDED:.0f} us; " + ", ".join(f"1/{least:.0f} of {name}" for name, least in LEAST_TIMES.items()),
        met=mine * 1e6 <= MOST_ADDED and enough,
        apart=Ratio.of(added[OURS], added[COPYING]).apart,
    )
    return made


def alone(recorded: Recorded, *, rounds: int) -> Table:
    """The recorder, and what a wrapper would do, fed with events that the bus has already seen."""
    cases: dict[str, Case] = {OURS: lambda: _recorder_alone(recorded)}
    floors = {APPENDING: lambda event: event, SLIM_SPAN: slim_span, COPYING: payload}
    for name, keep in floors.items():
        cases[name] = lambda keep=keep: _fed(recorded, keep)  # type: ignore[misc]
    taken = interleave(rounds, cases)
    made = Table("The recorder fed alone", ("", "us an event", "least"), note="Without the bus.")
    for name, cpus in taken.items():
        made.add(
            name,
            Spread.of([cpu.seconds / len(recorded) for cpu in cpus]).show(1e6, 2),
            f"{min(seconds(cpus)) / len(recorded) * 1e6:.2f}",
        )
    mine = statistics.median(seconds(taken[OURS])) / len(recorded) * 1e6
    ratio = Ratio.of(seconds(taken[OURS]), seconds(taken[COPYING]))
    made.promise(
        "the recorder fed alone, an event",
        f"{mine:.1f} us",
        "; ".join(f"{name} {statistics.median(seconds(taken[name])) / len(recorded) * 1e6:.1f} us" for name in floors),
        f"at most {MOST_ADDED:.0f} us: twice the floor",
        met=verdict(mine, MOST_ADDED) == "yes",
        apart=ratio.apart,
    )
    return made


def _recorder_alone(recorded: Recorded) -> Cpu:
    seen = list(recorded.again())
    with undisturbed():
        emit_all(seen)
    recording = Recording(warn=lambda message: None)
    recorder = recording.begin()
    with Cpu() as cpu:
        for sequence, (source, event) in enumerate(seen):
            _record(recording, source, event, sequence, sequence, False, False)
    if recorder.error is not None:
        raise recorder.error
    return cpu


def _fed(recorded: Recorded, keep: Callable[[object], object]) -> Cpu:
    seen = list(recorded.again())
    with undisturbed():
        emit_all(seen)
    kept: list[object] = []
    with Cpu() as cpu:
        for _, event in seen:
            kept.append(keep(event))
    return cpu

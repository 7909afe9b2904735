"""Streams of events, as a run gives them and then damaged: each is in one record, and a trace comes of them."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_crewai_trace.capture.bus import Recording, _record
from pytest_crewai_trace.capture.mapping import RULES
from pytest_crewai_trace.capture.recorder import Recorder
from pytest_crewai_trace.capture.spans import trace_of
from pytest_crewai_trace.trace.document import load
from pytest_crewai_trace.trace.trace import Trace, TraceOrigin
from tests.support.events import Event, Machinery, Source, UsersEvent, built, recorder, take
from tests.unit.strategies import interleavings

ENDS = {rule.partner: name for name, rule in sorted(RULES.items()) if rule.role == "end" and not rule.failed}
FAILS = {rule.partner: name for name, rule in sorted(RULES.items()) if rule.role == "end" and rule.failed}
BEGINS = sorted(ENDS)
COMMON = ["crew_kickoff_started", "task_started", "agent_execution_started", "llm_call_started", "tool_usage_started"]
COMMON += ["flow_started", "method_execution_started", "memory_save_started"]

Emitted = tuple[Any, Any]  # source, event


@st.composite
def runs(draw: st.DrawFn, prefix: str = "") -> list[Emitted]:
    """A run as it should be: what begins ends, what is inside lies inside."""
    numbers = itertools.count()
    emitted: list[Emitted] = []

    def run(parent: str | None, depth: int) -> None:
        begin = draw(st.sampled_from(COMMON) | st.sampled_from(BEGINS))
        name, source = f"{prefix}{next(numbers)}", draw(st.sampled_from([Source, Source, Source, Machinery]))()
        told = {"call_id": name, "tool_name": "search", "agent_role": "Ann", "task_name": "look", "model": "gpt"}
        emitted.append((source, Event(begin, event_id=name, parent_event_id=parent, **told)))
        for _ in range(draw(st.integers(0, 3 if depth else 0))):
            run(name, depth - 1)
        if begin == "llm_call_started":
            chunks = [Event("llm_stream_chunk", event_id=f"{name} chunk", call_id=name, chunk="x")]
            emitted.extend((source, event) for event in chunks * draw(st.integers(0, 2)))
        failed = draw(st.booleans()) and begin in FAILS
        end = Event((FAILS if failed else ENDS)[begin], event_id=f"{name} end", started_event_id=name, **told)
        emitted.append((source, end))

    run(None, draw(st.integers(0, 4)))
    return emitted


@st.composite
def damaged(draw: st.DrawFn) -> list[Emitted]:
    """Runs one among the other, of which events are lost, doubled, moved, paired wrongly, or of other classes."""
    several = draw(st.lists(st.integers(0, 9).flatmap(lambda n: runs(f"{n}-")), min_size=1, max_size=3))
    emitted = draw(interleavings(several))
    for _ in range(draw(st.integers(0, 6))):
        if not emitted:
            break
        place, other = (draw(st.integers(0, len(emitted) - 1)) for _ in range(2))
        source, event = emitted[place]
        fields = dict(event.__dict__)
        told = fields.pop("type")
        match draw(st.sampled_from(["lose", "double", "move", "pair", "parent", "retype", "class", "source"])):
            case "lose":
                del emitted[place]
            case "double":
                emitted.insert(other, emitted[place])
            case "move":
                emitted.insert(other, emitted.pop(place))
            case "pair":
                emitted[place] = source, Event(told, **{**fields, "started_event_id": f"0-{other}"})
            case "parent":
                emitted[place] = source, Event(told, **{**fields, "parent_event_id": f"0-{other}"})
            case "retype":
                emitted[place] = source, Event(draw(st.sampled_from(sorted(RULES))), **fields)
            case "class":
                emitted[place] = source, UsersEvent(told, **fields)
            case "source":
                emitted[place] = emitted[other][0], event
    return emitted


def events_in(record: Recorder) -> int:
    return len(record.rows) + record.chunk_events


def is_sound(made: Trace) -> None:
    for span in made.all_spans:
        assert span.parent_id is None or span.parent_id < span.id
        assert span.open == (span.end is None)
        assert span.end is None or span.end >= span.start
    assert load(made.to_json()).to_json() == made.to_json()
    assert len(made.render().splitlines()) == (len(made.all_spans) or 1)


@given(damaged(), st.lists(st.integers(0, 60), max_size=6))
def test_each_event_is_in_one_record_of_several_tests(emitted, borders):
    """Whatever is lost, doubled or late, and wherever one test ends and the next begins."""
    recording = Recording(warn=lambda message: None)
    records: list[Recorder] = []
    traces: list[Trace] = []
    for number, (source, event) in enumerate(emitted):
        for _ in range(borders.count(number)):
            current = recording.current
            if current is None:
                records.append(recording.begin())
            else:
                current.settle(0)
                traces.append(trace_of(current, TraceOrigin()))
                recording.end(current)
                current.release()
        before = [events_in(record) for record in records]
        _record(recording, source, event, number, number, False, False)
        grown = [after - was for after, was in zip(map(events_in, records), before, strict=True)]
        assert sum(grown) == 1 or (sum(grown) == 0 and recording.current is None)
        assert set(grown) <= {0, 1}
    if recording.current is not None:
        traces.append(trace_of(recording.current, TraceOrigin()))

    assert all(record.error is None for record in records)
    for made in traces:
        is_sound(made)


@given(damaged())
def test_every_event_is_accounted_for(emitted):
    record = recorder()
    for number, (source, event) in enumerate(emitted):
        take(record, event, number, source)
    made = built(record)

    assert record.error is None
    assert made.event_counts.total == len(emitted)
    is_sound(made)


@given(st.data())
def test_a_run_is_the_same_alone_and_among_others(data):
    several = [data.draw(runs(f"{number}-")) for number in range(data.draw(st.integers(2, 3)))]
    alone = Counter(tree for one in several for tree in trees(one))

    together = trees(data.draw(interleavings(several)))

    assert Counter(together) == alone


def trees(emitted: list[Emitted]) -> list[str]:
    record = recorder()
    for number, (source, event) in enumerate(emitted):
        take(record, event, number, source)
    made = built(record)
    return [] if made.empty else [root.render() for root in made.roots]

"""Whatever the bus emits, in whatever order: the run goes on, no event is lost, and a trace comes of it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_crewai_trace import Trace
from pytest_crewai_trace.capture.mapping import IGNORED, RULES, rule_of
from tests.support import hostile
from tests.support.events import Event, Machinery, Source, UsersEvent, built, recorded, recorder, take

pytestmark = pytest.mark.timeout(120)  # a loop without end is a failure, not a hanging suite

IDS = ["a", "b", "c", "d", "e"]
TYPES = sorted(RULES)
BEGINS = [name for name, rule in RULES.items() if rule.role == "begin"]


# -- random records ---------------------------------------------------------------------------------------------------

ids = st.none() | st.sampled_from(IDS)
names = st.none() | st.sampled_from(["x", "y", ""])
odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, 5, 1.5, True, b"x", [], ["x"], {}, {"name": "x"}, object, "\ud800", "x" * 50]
)
messages = st.lists(st.sampled_from([{"role": "user", "content": n} for n in "xyz"] + ["text", 5]), max_size=4)

fields = st.fixed_dictionaries(
    {"event_id": st.sampled_from(IDS)},
    optional={
        "parent_event_id": ids,
        "started_event_id": ids,
        "triggered_by_event_id": ids,
        "call_id": ids,
        "task_id": names,
        "agent_id": names,
        "agent_role": names | odd,
        "task_name": names | odd,
        "tool_name": names | odd,
        "tool_args": odd,
        "method_name": names,
        "flow_name": names,
        "crew_name": names,
        "step_number": st.none() | st.integers(0, 2) | odd,
        "plan_step_number": st.none() | st.integers(0, 2),
        "session_id": names,
        "messages": messages | odd,
        "tools": odd,
        "error": odd | st.builds(ValueError, st.text(max_size=2)),
        "output": odd,
        "result": odd,
        "response": odd,
        "usage": odd,
        "success": odd,
        "retry_count": odd,
        "guardrail": odd,
        "query": odd,
        "inputs": odd,
        "params": odd,
        "state": odd,
        "agent": odd,
        "task": odd,
        "failure": odd,
        "chunk": odd,
        "attempt": odd,
        "run_attempts": odd,
        "model": odd,
    },
)
few = ["crew_kickoff_started", "crew_kickoff_completed", "task_started", "task_failed", "agent_execution_started"]
few += ["agent_execution_error", "llm_call_started", "llm_call_failed", "tool_usage_started", "tool_usage_finished"]
few += ["flow_started", "flow_finished", "method_execution_started", "method_execution_failed", "llm_stream_chunk"]
few += ["tool_selection_error", "agent_reasoning_started", "conversation_turn_started", "memory_save_started"]
events = st.builds(
    lambda cls, name, fields: cls(name, **fields),
    st.sampled_from([Event, Event, Event, Event, UsersEvent]),
    st.sampled_from(few) | st.sampled_from(TYPES) | st.sampled_from(["users_own_started", "x"]),
    fields,
)
SOURCES = [Source(), Source(), Machinery()]
records = st.lists(
    st.tuples(
        events,
        st.sampled_from(SOURCES),
        st.fixed_dictionaries(
            {},
            optional={"given_start": st.booleans(), "replayed": st.sampled_from([False, False, True]), "parent": ids},
        ),
    ),
    max_size=25,
)


def fill(record, numbered):
    for number, (event, source, more) in numbered:
        take(record, event, number, source, **more)
    assert record.error is None
    return record


@settings(max_examples=300)
@given(records)
def test_any_events_make_a_trace(happened):
    """S07, S09, S10, S11: each event is in exactly one place, and what comes out is a tree."""
    record = fill(recorder(), enumerate(happened))

    made = built(record)

    assert made.event_counts.total == len(happened)
    assert made.event_counts.chunks == sum(rule_of(event).role == "chunk" for event, *_ in happened)
    assert len(made.all_spans) <= made.event_counts.spans <= 2 * len(made.all_spans) + len(happened)
    told = [*made.events, *(event for one in made.all_spans for event in one.events)]
    assert len(told) >= made.event_counts.span_events
    for one in made.all_spans:
        assert one.parent_id is None or one.parent_id < one.id
        assert one.open == (one.origin.end_sequence is None)
        assert one.open or one.origin.end_sequence >= one.origin.sequence
        assert (one.status == "error") == (one.error is not None)
    assert Trace.from_json(made.to_json()).to_json() == made.to_json()
    assert len(made.render().splitlines()) == (len(made.all_spans) or 1)


@settings(max_examples=200)
@given(records)
def test_building_again_gives_the_same(happened):
    """The fixture builds each time it is asked, while more goes on."""
    record = recorder()
    half = len(happened) // 2
    fill(record, [*enumerate(happened)][:half])
    built(record)
    fill(record, [*enumerate(happened)][half:])

    made = built(record)

    assert made.to_json() == built(record).to_json()
    assert made.to_json() == built(fill(recorder(), enumerate(happened))).to_json()


@settings(max_examples=200)
@given(records, st.randoms(use_true_random=False))
def test_the_order_in_which_threads_are_let_in_does_not_matter(happened, random):
    """S10: the number that an event was given when it was emitted is its place."""
    numbered = [*enumerate(happened)]
    others = random.sample(numbered, len(numbered))

    one, other = built(fill(recorder(), numbered)), built(fill(recorder(), others))

    assert one.render() == other.render()
    assert one.event_counts == other.event_counts
    assert [(span.name, span.parent_id, span.status) for span in one.all_spans] == [
        (span.name, span.parent_id, span.status) for span in other.all_spans
    ]


@settings(max_examples=200)
@given(records, records)
def test_whose_a_late_event_is_is_always_said(happened, late):
    """S10: after the test too, without an end, an error or a wait."""
    record = fill(recorder(), enumerate(happened))
    record.settle(0)
    record.closed = True
    for event, source, _ in late:
        assert record.claims(rule_of(event), event.__dict__, source) in (True, False)
    record.release()
    for event, source, _ in late:
        assert record.claims(rule_of(event), event.__dict__, source) in (True, False)
    record.settle(0)


# -- runs as they should be, and what may go wrong with them ----------------------------------------------------------


def started(type: str, name: str, parent: str | None = None, **fields: Any) -> Event:
    return Event(f"{type}_started", event_id=name, parent_event_id=parent, **fields)


def ended(type: str, name: str, **fields: Any) -> Event:
    return Event(type, event_id=f"{name} end", started_event_id=name, parent_event_id=None, **fields)


def crew_run() -> list[Event]:
    return [
        started("crew_kickoff", "crew", crew_name="press"),
        started("task", "task", "crew", task_name="research"),
        started("agent_execution", "agent", "task", agent_role="Researcher"),
        started("llm_call", "llm", "agent", call_id="1", model="gpt", messages=[{"role": "user", "content": "hi"}]),
        Event("llm_stream_chunk", event_id="chunk 1", call_id="1", chunk="a"),
        Event("llm_stream_chunk", event_id="chunk 2", call_id="1", chunk="b"),
        ended("llm_call_completed", "llm", call_id="1", response="ab"),
        started("tool_usage", "tool", "agent", tool_name="search", tool_args={"q": 1}),
        Event("agent_logs_started", event_id="log", parent_event_id="agent"),
        Event("default_env", event_id="env"),
        ended("tool_usage_finished", "tool", tool_name="search", output="found"),
        ended("agent_execution_completed", "agent", output="done"),
        ended("task_completed", "task"),
        ended("crew_kickoff_completed", "crew", output="done"),
    ]


TREE = """\
crew press
  task research
    agent agent
      llm gpt -> 'ab'
      tool search(q=1) -> 'found'"""


def test_a_run():
    made = built(recorded(*crew_run()))

    assert made.render() == TREE
    assert made.event_counts.model_dump() == {"spans": 10, "span_events": 1, "chunks": 2, "ignored": {"default_env": 1}}
    assert made.llm_calls.one().chunks == 2
    assert made.llm_calls.one().streamed
    assert made.llm_calls.one().time_to_first_chunk == pytest.approx(1e-6)
    assert [event.name for event in made.agents.one().events] == ["agent_logs_started"]
    assert made.complete
    assert not any(one.open for one in made.all_spans)


@pytest.mark.parametrize("lost", range(len(crew_run())))
def test_one_event_is_lost(lost):
    """S09"""
    events = crew_run()
    del events[lost]

    made = built(recorded(*events))

    assert made.event_counts.total == len(events)
    assert len(made.all_spans) >= 4
    made.render()


@pytest.mark.parametrize("twice", range(len(crew_run())))
def test_one_event_comes_twice(twice):
    events = crew_run()
    events.insert(twice + 1, events[twice])

    made = built(recorded(*events))

    assert made.event_counts.total == len(events)
    assert [one.kind for one in made.all_spans] == ["crew", "task", "agent", "llm", "tool"]
    told = [event.note for one in made.all_spans for event in one.events if event.note]
    if events[twice].type in BEGINS:
        assert told == ["begun a second time"]
    elif rule_of(events[twice]).role == "end":
        assert told == ["ended a second time"]
    else:
        assert told == []


def test_ends_that_the_bus_pairs_with_the_wrong_start():
    """S11: the bus closes whatever scope is on top when something raises; a type that does not fit is not taken."""
    failed = [
        *crew_run()[:3],
        started("llm_call", "llm", "agent", call_id="1", model="gpt"),
        Event("llm_call_failed", event_id="1", started_event_id="llm", call_id="1", error="down"),
        Event("llm_call_failed", event_id="2", started_event_id="agent", call_id="1", error="down"),
        Event("agent_execution_error", event_id="3", started_event_id="task", error="down"),
        Event("task_failed", event_id="4", started_event_id="crew", error="down"),
        Event("crew_kickoff_failed", event_id="5", started_event_id="crew", error="down"),
    ]
    made = built(recorded(*failed))

    assert [(one.kind, one.status) for one in made.all_spans] == [
        (k, "error") for k in ("crew", "task", "agent", "llm")
    ]
    assert made.event_counts.total == len(failed)
    assert [event.note for event in made.llm_calls.one().events] == ["ended a second time"]


def test_an_end_that_names_the_wrong_start_leaves_it_open():
    """S10, S11: else the record would neither wait for what goes on in it nor claim its events."""
    record = recorded(
        started("agent_execution", "agent"),
        Event("llm_call_failed", event_id="1", started_event_id="agent", call_id="1", error="down"),
    )

    assert record.has_open
    take(record, ended("agent_execution_completed", "agent"), 2)
    assert not record.has_open


def test_runs_without_a_scope_are_not_put_into_anothers_plan():
    """S10: as the item of a plan that runs meanwhile."""
    made = built(
        recorded(
            started("plan_step", "item", step_number=1),
            started("agent_execution", "other", agent_role="Ann"),
            ended("plan_step_completed", "item"),
            ended("agent_execution_completed", "other"),
        )
    )

    assert [one.parent for one in made.all_spans] == [None, None]


def test_what_never_ends_is_open():
    """S11"""
    made = built(recorded(*crew_run()[:4]))

    assert [one.open for one in made.all_spans] == [True] * 4
    assert {one.status for one in made.all_spans} == {"unset"}
    assert made.render().splitlines()[-1] == "      llm gpt (open)"


def test_an_end_without_a_start_is_kept_with_a_note():
    made = built(recorded(started("crew_kickoff", "crew"), ended("tool_usage_finished", "lost", tool_name="x")))

    (event,) = [*made.events, *made.crews.one().events]
    assert (event.name, event.note) == ("tool_usage_finished", "no start was seen")
    assert made.event_counts.total == 2


def test_events_of_a_users_own_class_are_points_in_time():
    """Whatever their type says: crewAI's bus pairs nothing by it."""
    own = UsersEvent("task_started", event_id="own", parent_event_id="crew", note={"a": 1}, live=hostile.Everything())
    made = built(recorded(started("crew_kickoff", "crew"), own, UsersEvent(5, event_id=7)))

    assert made.tasks == ()
    (event,) = made.crews.one().events
    assert event.name == "task_started"
    assert event.attributes["note"] == {"a": 1}
    assert made.events[0].name == "UsersEvent"
    assert made.event_counts.total == 3


def test_starts_that_are_each_others_parents():
    """No loop: ids are the emitter's, and may be anything."""
    a, b = started("task", "a", "b"), started("crew_kickoff", "b", "a")
    record = recorded(a, b)

    made = built(record)

    assert len(made.all_spans) == 2
    record.settle(0)
    record.closed = True
    late = started("llm_call", "c", "a")
    assert record.claims(rule_of(late), late.__dict__, None) in (True, False)
    itself = recorded(started("task", "x", "x"))
    assert built(itself).tasks.one().parent is None
    itself.settle(0)


@pytest.mark.parametrize("name", ["event_id", "parent_event_id", "started_event_id", "call_id", "task_id", "agent_id"])
@pytest.mark.parametrize("make", [lambda: 5, lambda: {5: [5]}, lambda: b"x", hostile.Everything], ids=range(4))
def test_ids_of_other_types(name, make):
    """S59: of a user's own event, or a newer crewAI."""
    events = crew_run()
    for event in events:
        event.__dict__[name] = make()
    record = recorded(*events)

    assert record.error is None
    assert built(record).event_counts.total == len(events)


@pytest.mark.parametrize("make", [lambda: "a\ud800b", hostile.Everything, lambda: 5], ids=range(3))
def test_a_model_whose_name_is_no_text(make):
    """S58, S59"""
    record = recorded(started("llm_call", "llm", model=make()), Event("llm_stream_chunk", event_id="c", call_id=make()))

    assert record.error is None
    made = built(record).llm_calls.one()
    assert f"{made.name} {made.model}".encode()


def test_tools_that_are_anything():
    """S59"""
    record = recorded(call(1, said(1), tools=hostile.Everything()), call(2, said(1), tools=()))

    assert record.error is None
    assert len(built(record).llm_calls) == 2


def test_an_error_that_is_anything():
    """S59"""
    made = built(recorded(started("task", "t"), Event("task_failed", started_event_id="t", error=hostile.Everything())))

    assert made.tasks.one().status == "error"


def test_an_error_of_ours_is_kept_and_the_run_goes_on():
    """S07"""

    class Broken(Event):
        def __init__(self):
            pass

        @property
        def __dict__(self):
            raise ZeroDivisionError

    record = recorder()
    take(record, Broken(), 0)
    take(record, started("crew_kickoff", "crew"), 1)

    assert isinstance(record.error, ZeroDivisionError)
    assert built(record).crews.names == ["crew"]


def test_infrastructure_is_hidden_and_what_is_inside_moves_up():
    machinery = Machinery()
    record = recorder()
    take(record, started("agent_execution", "agent"), 0)
    take(record, started("flow", "flow", "agent", flow_name="Executor"), 1, machinery)
    take(record, started("method_execution", "method", "flow", method_name="call"), 2, machinery)
    take(record, started("llm_call", "llm", "method", model="gpt"), 3)
    take(record, ended("llm_call_completed", "llm", response="x"), 4)
    take(record, ended("method_execution_finished", "method"), 5, machinery)
    take(record, ended("flow_finished", "flow"), 6, machinery)

    made = built(record)

    assert made.render() == "agent agent (open)\n  llm gpt -> 'x'"
    assert made.event_counts.total == 7


class Infrastructure:
    """Cannot be asked whether it is one."""

    def __getattr__(self, name):
        raise ZeroDivisionError(name)


def test_a_source_that_cannot_be_asked():
    """S59"""
    record = recorder()
    take(record, started("flow", "flow", flow_name="Own"), 0, Infrastructure())
    take(record, started("llm_call", "llm", "flow"), 1, Infrastructure())

    assert record.error is None
    assert built(record).render() == "flow Own (open)\n  llm unknown (open)"


# -- conversations ----------------------------------------------------------------------------------------------------


def call(number: int, messages: Any, **fields: Any) -> Event:
    return started("llm_call", f"llm {number}", messages=messages, model="gpt", **fields)


def said(count: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"message {number}"} for number in range(count)]


@given(
    st.lists(st.integers(0, 6).map(said) | messages.filter(lambda m: all(isinstance(x, dict) for x in m)), max_size=8)
)
def test_conversations_read_as_they_were(conversations):
    """However one goes on from another."""
    made = built(recorded(*(call(number, messages) for number, messages in enumerate(conversations))))

    assert [one.messages.to_list() for one in made.all_spans] == conversations


def test_each_message_is_kept_once():
    """S60: 200 calls, each with the whole conversation so far."""
    conversation = said(200)
    made = built(recorded(*(call(number, [*map(dict, conversation[:number])]) for number in range(1, 201))))

    assert len(made.llm_calls.last.messages) == 200
    assert len({id(message) for one in made.llm_calls for message in one.messages}) == 200
    assert len(json.loads(made.to_json())["messages"]) == 200
    assert made.to_json().count("message 100") == 1


def test_messages_that_change_afterwards_stay_as_they_were():
    live = [{"role": "user", "content": ["a"]}]
    record = recorder()
    take(record, call(1, live), 0)
    live[0]["content"].append("b")
    live.append({"role": "user", "content": "c"})
    take(record, call(2, live), 1)

    first, second = built(record).llm_calls
    assert first.messages == [{"role": "user", "content": ["a"]}]
    assert second.messages == [{"role": "user", "content": ["a", "b"]}, {"role": "user", "content": "c"}]


@pytest.mark.parametrize("change", [lambda live: live.update(a=2, b=3), lambda live: live["deep"].append("b")])
def test_what_changes_afterwards_stays_as_it_was(change):
    for live in ({"a": 1, "c": "text"}, {"a": 1, "deep": ["a"]}):
        was = json.loads(json.dumps(live))
        record = recorded(
            Event("method_execution_started", event_id="a", method_name="go", params=live),
            Event("method_execution_finished", event_id="b", started_event_id="a", method_name="go", state=live),
        )
        with contextlib.suppress(KeyError):
            change(live)

        method = built(record).methods.one()
        assert (method.params, method.state) == (was, was)


def test_a_list_that_changes_afterwards_stays_as_it_was():
    live = ["a"]
    record = recorded(
        Event("method_execution_started", event_id="a", method_name="go"),
        Event("method_execution_finished", event_id="b", started_event_id="a", method_name="go", result=live),
    )
    live.append("b")

    assert built(record).methods.one().result == ["a"]


class Array:
    """As numpy's arrays are compared: element by element, and then nobody knows."""

    def __eq__(self, other):
        return self

    def __bool__(self):
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None


class Liar:
    """As ``unittest.mock.ANY`` is compared."""

    def __eq__(self, other):
        return True

    __hash__ = None


@pytest.mark.parametrize("make", [hostile.Everything, Array], ids=["anything", "array"])
def test_messages_with_live_objects(make):
    """S59: they are not asked whether they are equal."""
    record = recorder()
    for number in range(3):
        take(record, call(number, [{"role": "user", "content": make()}], tools=[{"schema": make()}]), number)

    assert record.error is None
    assert len(built(record).llm_calls) == 3


@pytest.mark.parametrize(
    ("messages", "count"),
    [(hostile.Everything(), 0), (hostile.subclass(list)([{"content": "a"}]), 1), (hostile.subclass(str)("a"), 1)],
    ids=["anything", "list", "text"],
)
def test_s59_messages_that_are_anything(messages, count):
    """They are not asked what they are."""
    record = recorder()
    take(record, call(1, messages), 0)

    assert record.error is None
    assert len(built(record).llm_calls.one().messages) == count


def test_a_message_that_lies_about_being_equal():
    """S59"""
    record = recorder()
    take(record, call(1, [{"role": "user", "content": "a"}]), 0)
    take(record, call(2, [{"role": "user", "content": Liar()}]), 1)

    assert record.error is None
    assert built(record).llm_calls[1].messages != [{"role": "user", "content": "a"}]


def test_messages_of_any_form():
    texts = ["hello", None, 5, {"role": "user"}, [], ["a"], [None], ({"role": "user"},)]
    record = recorded(*(call(number, messages) for number, messages in enumerate(texts)))

    assert record.error is None
    read = [one.messages.to_list() for one in built(record).llm_calls]
    assert read[0] == [{"role": "user", "content": "hello"}]
    assert read[5] == [{"content": "a"}]
    assert built(record).to_json()


def test_tools_that_were_offered_again_are_kept_once():
    """S60"""
    tools = [{"type": "function", "function": {"name": "search", "parameters": {"x": [1]}}}]
    made = built(recorded(*(call(n, said(n), tools=json.loads(json.dumps(tools))) for n in range(3))))

    assert made.llm_calls[0].tool_definitions == tuple(tools)
    assert len({id(one.tool_definitions[0]) for one in made.llm_calls}) == 1


# -- the table --------------------------------------------------------------------------------------------------------


def test_each_end_ends_a_start_of_its_kind():
    for name, rule in RULES.items():
        if rule.role == "end":
            assert RULES[rule.partner].role == "begin", name
            assert RULES[rule.partner].kind == rule.kind, name
        if rule.role == "begin":
            assert any(other.partner == name for other in RULES.values()), name
        assert (rule.role == "ignored") == (name in IGNORED)


@pytest.mark.parametrize("name", TYPES)
def test_each_event_may_have_no_fields_but_its_id(name):
    """S59: of a newer crewAI."""
    bare = Event(name, event_id="1")
    record = recorded(bare, ended(name, "1"), source=Source())

    assert record.error is None
    assert built(record).event_counts.total == 2


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(max_examples=15)
def test_each_event_may_have_any_fields(name, data):
    """S59"""
    start = RULES[name].partner
    told = data.draw(st.lists(fields, min_size=2, max_size=2))
    events = [Event(start or name, **told[0]), Event(name, **{**told[1], "started_event_id": told[0]["event_id"]})]
    record = recorded(*events, source=Source())

    assert record.error is None
    made = built(record)
    assert made.event_counts.total == 2
    assert made.to_json()
    assert len(made.render().splitlines()) == (len(made.all_spans) or 1)

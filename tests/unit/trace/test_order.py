"""Comparison, and the order that is the same on every machine."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_crewai_trace import Error, SpanEvent, ToolCall, Trace
from pytest_crewai_trace.trace.messages import Messages
from pytest_crewai_trace.trace.render import walk
from pytest_crewai_trace.trace.semconv import KINDS
from pytest_crewai_trace.trace.span import SPAN_CLASSES, LLMSpan
from tests.support.spans import NEEDED, happenings, span, together, trace, trace_of
from tests.unit.strategies import fields_of, interleavings, shifted, sketches, traces

# -- what is compared ------------------------------------------------------------------------------------------------


@given(traces(), st.floats(-1e6, 1e6))
def test_ids_times_and_where_it_came_from_are_not_compared(made, seconds):
    assume(made.all_spans)
    made = Trace(all_spans=made.all_spans)
    later = shifted(made, seconds)

    assert made == later
    assert made.all_spans[0] == later.all_spans[0]
    assert made.render() == later.render()


@given(traces(), st.data())
def test_any_other_difference_is_seen(made, data):
    """A field of any span that says what it did, or where it stands."""
    assume(made.all_spans)
    made = Trace(all_spans=made.all_spans)
    one = data.draw(st.sampled_from(made.all_spans))
    name = data.draw(st.sampled_from(sorted(set(type(one).model_fields) - NOT_COMPARED)))
    another = data.draw(fields_of(type(one), id=st.just(one.id), parent_id=st.just(one.parent_id)))
    assume(getattr(one, name) != getattr(another, name))

    changed = [*made.all_spans]
    changed[one.id] = one.model_copy(update={name: getattr(another, name)})

    assert Trace(all_spans=tuple(changed)) != made


NOT_COMPARED = {
    *("id", "parent_id", "kind", "start", "end", "origin", "events", "error", "time_to_first_chunk", "response_id"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_compared_is_not_what_a_span_did(kind):
    """Each field of each kind is compared, but for those that differ from run to run."""
    fields = set(SPAN_CLASSES[kind].model_fields)
    one, other = {**NEEDED.get(kind, {})}, {**NEEDED.get(kind, {}), "start": 2.0, "events": (SpanEvent(name="x"),)}
    if kind == "llm":
        other |= {"time_to_first_chunk": 1.0, "response_id": "x"}

    assert fields & NOT_COMPARED - {"kind", "id", "parent_id", "end", "origin", "error"} == set(other) - set(one)
    assert SPAN_CLASSES[kind](id=0, name="x", **one) == SPAN_CLASSES[kind](id=1, name="x", **other)


def test_status_error_and_openness_are_compared():
    ok, failed, is_open = (
        trace(span("task", "t")),
        trace(span("task", "t", error="x")),
        trace(span("task", "t", open=True)),
    )

    assert ok != failed
    assert ok != is_open
    assert failed != trace(span("task", "t", error="y"))
    assert failed != trace(span("task", "t", error=Error(type="OSError", message="x")))
    assert failed == trace(span("task", "t", error=Error(type="RuntimeError", message="x", traceback="line 7")))


def test_where_a_span_stands_is_compared():
    inside = trace(span("crew", "c", span("task", "t", span("tool", "x"))))

    assert inside != trace(span("crew", "c", span("task", "t"), span("tool", "x")))
    assert inside != trace(span("crew", "c", span("task", "t", span("tool", "x"), span("tool", "x"))))
    assert inside != trace(span("crew", "c", span("task", "t")))
    assert inside.task("t") == trace(span("flow", "f", span("task", "t", span("tool", "x")))).task("t")


def test_one_after_the_other_is_compared():
    ab, ba = trace(span("task", "a"), span("task", "b")), trace(span("task", "b"), span("task", "a"))

    assert ab != ba
    assert ab.render() == "task a\ntask b"
    assert ba.render() == "task b\ntask a"


def test_a_trace_equals_only_a_trace():
    made = trace(span("task", "a"))

    assert made != made.render()
    assert made.all_spans[0] != made
    assert made != made.all_spans[0]
    with pytest.raises(TypeError, match="unhashable"):
        hash(made)
    with pytest.raises(TypeError, match="unhashable"):
        hash(made.all_spans[0])


# -- concurrent spans ------------------------------------------------------------------------------------------------


@given(st.lists(sketches(), min_size=2, max_size=4), st.booleans(), st.data())
def test_what_ran_at_the_same_time_may_run_in_any_order(concurrent, nested, data):
    """S50: whoever came first, the trace is equal and so is its text."""

    def run():
        each = [happenings(sketch) for sketch in data.draw(st.permutations(concurrent))]
        happened = [first for first, *_ in each] + data.draw(interleavings([rest for _, *rest in each]))
        if not nested:
            return trace_of(happened)
        outer = span("crew", "outer", together(*concurrent))
        return trace_of([("begin", outer), *happened, ("end", outer)])

    one, other = run(), run()

    assert one.render() == other.render()
    assert one == other


def test_concurrent_spans_that_look_the_same_are_told_apart_by_what_is_cut():
    """S50"""
    beginnings = [span("tool", "t", result="x" * 100 + letter + "x" * 100) for letter in "abc"]
    inner = [span("task", "t", span("llm", "gpt", messages=[{"content": letter}])) for letter in "abc"]

    for alike in (beginnings, inner):
        runs = [trace(span("crew", "c", together(*order))) for order in permutations(alike)]
        assert all(run == runs[0] for run in runs)


def test_concurrent_spans_are_ordered_by_what_a_reader_sees():
    made = trace(
        together(
            span("tool", "a"),
            span("crew", "b"),
            span("crew", "a", inputs={"topic": "dogs"}),
            span("crew", "a", inputs={"topic": "cats"}, output="z"),
            span("crew", "aa", own_thread=False),
            span("crew", "a", span("task", "x"), inputs={"topic": "dogs"}),
        ),
        span("crew", "0"),
    )

    assert [(one.name, getattr(one, "inputs", None), len(one.spans)) for _, one in walk(made.tree, None)] == [
        ("a", {"topic": "cats"}, 0),
        ("a", {"topic": "dogs"}, 0),
        ("a", {"topic": "dogs"}, 1),
        ("x", None, 0),
        ("b", None, 0),
        ("a", None, 0),
        ("aa", None, 0),
        ("0", None, 0),
    ]


def test_overlapping_in_a_row_is_one_group():
    """``a`` ends after ``b`` began, ``b`` after ``c`` began: no order among the three is safe."""
    a, b, c, d = (span("task", name) for name in "dcba")
    happened = [("begin", a), ("begin", b), ("end", a), ("begin", c), ("end", b), ("end", c), ("begin", d), ("end", d)]

    assert trace_of(happened).render() == "task b\ntask c\ntask d\ntask a"


def test_what_ran_during_a_long_span_is_in_one_group_with_it():
    long, first, second = span("task", "z"), span("task", "b"), span("task", "a")
    inside = [*happenings(first), *happenings(second)]

    assert trace_of([("begin", long), *inside, ("end", long)]).render() == "task a\ntask b\ntask z"


def test_an_open_span_lasts_as_long_as_what_is_inside_it():
    late = span("tool", "late")
    first, second = span("task", "b", late, open=True), span("task", "a")
    third = span("task", "0")
    happened = [("begin", first), ("begin", second), ("end", second), ("begin", late), ("end", late)]

    made = trace_of([*happened, ("begin", third), ("end", third)])
    assert made.render() == "task a\ntask b (open)\n  tool late() -> None\ntask 0"


def test_async_tasks_are_concurrent_though_one_was_done_before_the_other():
    """crewAI starts them in threads; whether they overlap is a race."""
    a, b = span("task", "a", asynchronous=True), span("task", "b", asynchronous=True)
    last, first = span("task", "0 last"), span("task", "z first")

    runs = [trace(span("crew", "c", first, x, y, last)) for x, y in [(a, b), (b, a)]]
    runs.append(trace(span("crew", "c", first, together(b, a), last)))

    assert {run.render() for run in runs} == {"crew c\n  task z first\n  task a\n  task b\n  task 0 last"}
    assert trace(b, span("task", "a")).tasks.names == ["b", "a"]


# -- tools that one reply asked for ----------------------------------------------------------------------------------

CALLS = (ToolCall("search", {"q": 1}), ToolCall("add", {"a": 2}), ToolCall("search", {"q": 0}))


def reply(*calls: ToolCall):
    return span("llm", "gpt", requested_tool_calls=calls)


def tools(*calls: ToolCall):
    return [span("tool", call.name, arguments=call.arguments) for call in calls]


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_tools_of_one_reply_are_in_the_order_in_which_it_asked(order):
    """crewAI calls them in a pool; whether they overlap is a race."""
    called = [tools(*CALLS)[place] for place in order]
    later = span("tool", "0 another")

    runs = [
        trace(span("agent", "A", reply(*CALLS), *called, reply(), later)),
        trace(span("agent", "A", reply(*CALLS), together(*called), reply(), later)),
        trace(span("agent", "A", reply(*CALLS), together(*called[:2]), called[2], reply(), later)),
        trace(span("agent", "A", reply(*CALLS), called[0], together(*called[1:]), reply(), later)),
    ]

    for run in runs:
        lines = run.render().splitlines()
        assert [line.strip() for line in lines[2:5]] == [
            "tool search(q=1) -> None",
            "tool add(a=2) -> None",
            "tool search(q=0) -> None",
        ]
        assert lines[-1].strip() == "tool 0 another() -> None"
    assert all(run == runs[0] for run in runs)


def test_tools_that_more_than_one_reply_asked_for_stay_in_their_order():
    made = trace(
        reply(ToolCall("b")), *tools(ToolCall("b")), reply(ToolCall("a")), *tools(ToolCall("a")), *tools(ToolCall("0"))
    )

    assert made.render().splitlines()[1::2] == ["tool b() -> None", "tool a() -> None"]
    assert made.render().splitlines()[-1] == "tool 0() -> None"


# -- methods of a flow -----------------------------------------------------------------------------------------------


def method(name: str, after: str | None = None, **fields):
    """``after``: the end of the method that triggered this one, which is the method's name if not said otherwise."""
    identifiers = {} if after is None else {"triggered_by_event_id": after}
    return span("method", name, identifiers=identifiers, **{"params": {}, "end_event_id": name, **fields})


def names(made: Trace) -> list[str]:
    return [one.name for _, one in walk(made.tree, None) if one.kind == "method"]


def test_methods_are_ordered_by_what_triggered_them():
    """Two versions of crewAI overlap the branches of a flow in different ways."""
    a, b, after_a, after_b, last = (
        method("a"),
        method("b"),
        method("z after a", "a"),
        method("y after b", "b"),
        method("0 last", "y after b"),
    )
    runs = [
        trace(span("flow", "F", a, b, after_a, after_b, last)),
        trace(span("flow", "F", a, after_a, b, after_b, last)),
        trace(span("flow", "F", b, after_b, last, a, after_a)),
        trace(span("flow", "F", together(b, a), together(after_b, after_a), last)),
    ]

    for run in runs:
        assert names(run) == ["a", "b", "y after b", "z after a", "0 last"]
    assert all(run == runs[0] for run in runs)


@pytest.mark.parametrize("order", [("a", "z"), ("z", "a")])
def test_methods_that_nothing_triggered_are_of_one_generation_though_one_is_open(order):
    waiting = {"a": method("a"), "z": span("method", "z", params={}, open=True)}

    assert names(trace(span("flow", "F", *(waiting[name] for name in order)))) == ["a", "z"]


def test_a_router_that_goes_back_begins_a_new_round():
    rounds = [
        method("draft", end_event_id="draft 1"),
        method("a review", "draft 1", end_event_id="review 1"),
        method("draft", end_event_id="draft 2"),
        method("a review", "draft 2", end_event_id="review 2"),
    ]

    assert names(trace(span("flow", "F", *rounds))) == ["draft", "a review", "draft", "a review"]


def test_what_follows_a_pause_stays_behind_it():
    made = trace(span("flow", "F", method("z"), method("draft", params=None), method("a after")))

    assert names(made)[-1] == "a after"


def test_other_spans_of_a_flow_keep_their_places_among_methods():
    made = trace(span("flow", "F", method("b"), span("llm", "gpt"), method("a"), span("tool", "t")))

    assert [line.strip().split()[0] for line in made.render().splitlines()] == [
        "flow",
        "method",
        "llm",
        "method",
        "tool",
    ]


# -- memories that are saved in the background -------------------------------------------------------------------------


def saved(value: str):
    return span("memory", "save", operation="save", value=value, background=True)


def test_background_saves_come_last_whenever_they_happened():
    task, other = span("task", "research"), span("task", "write")
    runs = [
        trace(span("crew", "c", task, saved("b"), saved("a"), other)),
        trace(span("crew", "c", task, other, together(saved("a"), saved("b")))),
        trace(span("crew", "c", saved("a"), task, saved("b"), other)),
    ]

    expected = "crew c\n  task research\n  task write\n  memory save 'a'\n  memory save 'b'"
    assert {run.render() for run in runs} == {expected}
    assert all(run == runs[0] for run in runs)


def test_what_a_memory_does_inside_is_in_no_order():
    made = trace(span("memory", "save", span("llm", "b"), span("llm", "a"), saved("x"), operation="save", value="v"))

    assert made.render() == "memory save 'v'\n  llm a -> None\n  llm b -> None\n  memory save 'x'"


def test_messages_are_compared_however_they_are_kept():
    one = LLMSpan(id=0, name="gpt", messages=[{"content": "a"}, {"content": "b"}])
    chained = Messages([{"content": "b"}], Messages([{"content": "a"}, {"content": "x"}]), 1)
    assert one == LLMSpan(id=0, name="gpt", messages=chained)

"""The message as a whole, what it is about, and where it is raised."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from pytest_crewai_trace import Mismatch, Span, ToolCall, Trace, TraceAssertionError, expect
from pytest_crewai_trace.errors import CrewaiTraceError
from pytest_crewai_trace.live import LiveTrace
from pytest_crewai_trace.trace.span import SPAN_CLASSES, AgentSpan
from tests.support.spans import span
from tests.unit.expectations.stories import agent, failure, llm, research, story, told, tool


def big(agents: int = 100, calls: int = 2) -> Trace:
    """About 500 spans; one call of the last agent but two is the odd one."""
    made = []
    for number in range(agents):
        searches = [
            tool("search", "text", query="odd" if number == agents - 3 and place == 1 else f"q{number} {place}")
            for place in range(calls)
        ]
        worker = agent(f"Agent {number}", llm("Go"), *searches, tools=("search",), output="ok")
        made.append(span("task", f"task {number}", worker, output="ok"))
    return story(span("crew", "crew", *made, output="ok"))


BIG = big()
ODD = BIG.tools.of(agent="Agent 97")[1]


@pytest.mark.parametrize(
    ("expectation", "spans"),
    [
        (lambda: expect(BIG).not_to_call_tool("search", {"query": "odd"}), [ODD.id]),
        (lambda: expect(BIG).to_call_tool("search", {"query": "odds"}), None),
        (lambda: expect(BIG).to_call_tools(["search"] * 150), None),
        (lambda: expect(BIG).to_call_tool("search", times=3), None),
        (lambda: expect(BIG).to_follow("Agent 98", "Agent 97"), None),
        (lambda: expect(BIG.task("task 97")).to_call_tool("search", {"query": "even"}), None),
        (lambda: expect(BIG).to_call_llm(times=1), None),
        (lambda: expect(BIG).to_stay_within(llm_calls=3, total_tokens=5, tool_calls=1, seconds=1, cost=0), None),
        (lambda: expect(BIG).to_output({"x": list(range(100))}), None),
        (lambda: expect(BIG).to_fail(), None),
        (lambda: expect(BIG).to_hit_cache("search"), None),
    ],
)
def test_under_60_lines_on_500_spans(expectation, spans):
    assert len(BIG.spans) == 501
    with pytest.raises(TraceAssertionError) as caught:
        expectation()
    message = str(caught.value)
    assert len(message.splitlines()) < 60
    shown = [line for line in message.splitlines() if line.startswith(">")]
    assert shown or not caught.value.mismatches[0].spans
    if spans is not None:
        assert list(caught.value.mismatches[0].spans) == spans
        assert shown == [">       tool search(query='odd') -> 'text'"]


def test_bounded_though_every_failure_is_somewhere_else():
    def many():
        with expect.all():
            for number in range(3, 90, 10):
                expect(BIG.task(f"task {number}")).not_to_call_tool("search")

    with pytest.raises(TraceAssertionError) as caught:
        many()
    assert len(caught.value.mismatches) == 9
    assert len(caught.value.trace.splitlines()) <= 41


def test_the_parts_are_fields():
    with pytest.raises(TraceAssertionError) as caught:
        expect(research("Al")).to_call_tool("search", {"query": "AI"})
    error = caught.value
    assert isinstance(error, AssertionError)
    assert error.expected == "search(query='AI') to be called"
    assert error.actual == "search was called once, but never so"
    assert error.nearest.startswith("called as search(query='Al')")
    assert error.advice.startswith("The arguments are the model's")
    assert error.trace.splitlines()[4] == ">       tool search(query='Al') -> 'three articles'"
    assert error.mismatches[0].spans == (4,)
    assert isinstance(error.mismatches[0], Mismatch)
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == str(copy.copy(error))


def test_the_traceback_ends_in_the_users_line():
    for expectation in (
        lambda: expect(research()).to_call_tool("fetch"),
        lambda: expect(research()).to_call_tool("fetch", times=-1),
    ):
        with pytest.raises(Exception, match=r".") as caught:
            expectation()
        ours = [
            entry for entry in caught.traceback if "expectations" in str(entry.path) and "tests" not in str(entry.path)
        ]
        assert ours
        assert all(entry.ishidden(caught) for entry in ours)


def test_each_call_gives_the_expectation_back():
    expectation = expect(research())

    assert expectation.to_succeed() is expectation
    assert repr(expectation) == "expect(<Trace: 1 crew, 2 task, 2 agent, 3 llm, 1 tool>)"


def test_s77_an_empty_trace():
    assert failure(lambda: expect(Trace()).to_have_no_errors()) == told(
        """
        expected: a trace to look at
        actual:   the trace is empty: nothing of crewAI has run in this test
        next:     Run the crew, flow or agent in the test before. To say that nothing runs: assert crewai_trace.empty.
        """
    )


def test_s77_an_incomplete_trace_and_its_spans():
    whole = research()
    lost = Trace(all_spans=whole.all_spans, incomplete=("recording failed: ValueError: boom",))

    for subject in (lost, lost.all_spans[1]):
        message = failure(lambda subject=subject: expect(subject).to_succeed())
        assert message.splitlines()[:2] == [
            "expected: a trace to look at",
            "actual:   the trace is incomplete: recording failed: ValueError: boom",
        ]


EVERY = [
    lambda e: e.to_call_tool("search"),
    lambda e: e.not_to_call_tool("search", unknown_ok=True),
    lambda e: e.to_call_tools(["search"]),
    lambda e: e.to_follow("A"),
    lambda e: e.to_route("A"),
    lambda e: e.to_delegate("A", to="B"),
    lambda e: e.to_use_output_of("A"),
    lambda e: e.to_use_tool_result("A"),
    lambda e: e.to_call_llm(),
    lambda e: e.not_to_call_llm(unknown_ok=True),
    lambda e: e.to_say("A"),
    lambda e: e.not_to_say("A", unknown_ok=True),
    lambda e: e.to_see("A"),
    lambda e: e.not_to_see("A", unknown_ok=True),
    lambda e: e.to_succeed(),
    lambda e: e.to_fail(),
    lambda e: e.to_have_no_errors(),
    lambda e: e.to_recover_from(True),
    lambda e: e.to_pass_guardrail(),
    lambda e: e.to_hit_cache("A"),
    lambda e: e.to_finish_before_max_iter(),
    lambda e: e.to_stay_within(llm_calls=100),
    lambda e: e.to_have_no_loops(),
    lambda e: e.to_output("A"),
]


def error_of(check, subject):
    try:
        check(expect(subject))
    except TraceAssertionError as error:
        return error
    return None


def chain(size=10_000):
    kinds = ("crew", "task", "agent", "tool", "llm")
    spans = []
    for number in range(size):
        kind = kinds[number % len(kinds)]
        parent = number - 1 if number else None
        spans.append(SPAN_CLASSES[kind](id=number, parent_id=parent, name=f"{kind} {number}", status="ok", end=1.0))
    return Trace(all_spans=tuple(spans))


CHAIN = chain()


def test_all_of_them_are_tried_here():
    tried = {name for check in EVERY for name in check.__code__.co_names}

    assert {name for name in dir(expect(research())) if not name.startswith("_")} == {n for n in tried if "to_" in n}


@pytest.mark.parametrize("check", EVERY, ids=[check.__code__.co_names[0] for check in EVERY])
def test_s77_nothing_holds_of_an_empty_or_incomplete_trace(check):
    for subject in (Trace(), Trace(all_spans=research().all_spans, incomplete=("why",))):
        with pytest.raises(TraceAssertionError, match=r"the trace is (empty|incomplete)"):
            check(expect(subject))


@pytest.mark.parametrize("check", EVERY, ids=[check.__code__.co_names[0] for check in EVERY])
@pytest.mark.parametrize("number", range(9))
def test_every_span_can_be_asked(check, number):
    """Whatever the kind of span: it holds, or it fails as an expectation does, in all five parts."""
    subject = research().all_spans[number]
    error = error_of(check, subject)
    if error is not None:
        assert error.expected
        assert error.actual
        assert error.advice
        assert error.trace
        assert "\n\n" not in str(error)


@pytest.mark.parametrize("check", EVERY, ids=[check.__code__.co_names[0] for check in EVERY])
def test_s60_a_chain_of_10_000_spans(check):
    error = error_of(check, CHAIN)

    assert error is None or len(str(error).splitlines()) < 60


def test_a_trace_that_goes_on():
    """The fixture's trace: an expectation that was made before the run looks at it as it stands."""
    now = Trace()
    live = LiveTrace(lambda: now)
    expectation = expect(live)

    with pytest.raises(TraceAssertionError, match="the trace is empty"):
        expectation.to_succeed()
    now = research()
    expectation.to_succeed().to_call_tool("search")
    assert re.match(r"expected: fetch to be called\n", failure(lambda: expectation.to_call_tool("fetch")))


def test_a_span_that_is_in_no_trace():
    with pytest.raises(CrewaiTraceError, match="this span is not part of a trace"):
        expect(AgentSpan(id=0, name="A")).to_succeed()
    assert isinstance(AgentSpan(id=0, name="A"), Span)


def test_s51_model_output_is_shown_escaped():
    hostile = "\x1b[2J\x07\u202e::error::"
    trace = story(
        agent(
            hostile,
            llm(hostile, says=hostile),
            tool(hostile, hostile, **{hostile: hostile}),
            tools=(hostile,),
            output=hostile,
        )
    )
    for check in EVERY:
        message = str(error_of(check, trace) or "")
        assert all(line.isprintable() for line in message.splitlines())
    for expectation in (
        lambda: expect(trace).to_call_tool(hostile, {"a": hostile}, by=hostile),
        lambda: expect(trace).to_call_tools([ToolCall(hostile, {hostile: 1})]),
        lambda: expect(trace).to_follow(hostile, "nowhere"),
        lambda: expect(trace).not_to_say(hostile),
        lambda: expect(trace).not_to_see(hostile),
        lambda: expect(trace).to_output("x"),
    ):
        assert all(line.isprintable() for line in failure(expectation).splitlines())

"""The questions that a trace and its spans answer, and what they say when the answer is not one span."""

from __future__ import annotations

import pickle
from copy import copy, deepcopy

import pytest
from hypothesis import given

from pytest_crewai_trace import SpanLookupError, ToolCall, Trace, TraceIncompleteError
from pytest_crewai_trace.trace.semconv import KINDS
from pytest_crewai_trace.trace.span import SPAN_CLASSES, Span, ToolSpan
from tests.support.spans import span, trace
from tests.unit.strategies import traces

PROPERTIES = {
    "crew": "crews",
    "flow": "flows",
    "method": "methods",
    "task": "tasks",
    "agent": "agents",
    "llm": "llm_calls",
    "tool": "tools",
    "memory": "memory",
    "knowledge": "knowledge",
    "guardrail": "guardrails",
    "reasoning": "reasoning",
    "planning": "planning",
    "mcp": "mcp_connections",
    "a2a": "a2a",
    "human_feedback": "human_feedback",
    "conversation": "conversation_turns",
    "skill": "skills",
    "evaluation": "evaluations",
}


@pytest.fixture
def research() -> Trace:
    return trace(
        span(
            "crew",
            "press",
            span(
                "task",
                "research",
                span(
                    "agent",
                    "Researcher",
                    span("llm", "gpt", agent_role="Researcher", task_name="research"),
                    span("tool", "search", arguments={"query": "AI"}, error="slow", agent_role="Researcher"),
                    span("tool", "search", arguments={"query": "AI"}, result="found", agent_role="Researcher"),
                    span("tool", "fetch_page", result="text", agent_role="Researcher", task_name="research"),
                ),
            ),
            span("task", "write", span("agent", "Writer", span("llm", "gpt", agent_role="Writer", task_name="write"))),
        ),
    )


def lookup_error(question) -> str:
    with pytest.raises(SpanLookupError) as caught:
        question()
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_a_question_of_its_own_and_a_type(kind):
    made = trace(span("crew", "outer", span(kind, "it"), span("flow" if kind != "flow" else "tool", "other")))

    assert getattr(made, PROPERTIES[kind]).last.name == "it"
    assert type(made.find(kind=kind, name="it").one()) is SPAN_CLASSES[kind]
    assert getattr(made.roots[0], PROPERTIES[kind]).names == ["it"]  # itself is not inside itself


def test_names_are_in_start_order_with_repetitions(research):
    assert research.tools.names == ["search", "search", "fetch_page"]
    assert research.spans.names[:4] == ["press", "research", "Researcher", "gpt"]


def test_lists_can_be_asked_on(research):
    assert research.tools.named("search").names == ["search", "search"]
    assert research.tools.named("nothing") == ()
    assert research.tools.failed.one().arguments == {"query": "AI"}
    assert research.tools.named("search").failed.first is research.tools.first
    assert research.tools.last.name == "fetch_page"
    assert research.llm_calls.of(agent="Writer").one().task_name == "write"
    assert research.llm_calls.of(task="research").one().agent_role == "Researcher"
    assert research.tools.of(agent="Researcher", task="research").names == ["fetch_page"]
    assert research.tools.of(agent="Writer") == ()
    with pytest.raises(TypeError, match="agent=, task= or both"):
        research.tools.of()


def test_find_by_kind_name_and_status(research):
    assert research.find().names == research.spans.names
    assert len(research.find(kind="tool", status="ok")) == 2
    assert research.find(name="search", status="error").one().kind == "tool"
    assert research.find(kind="task", name="search") == ()
    assert research.find(status="unset") == ()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            {"kind": "tols"},
            "unknown kind 'tols'; did you mean 'tool'? valid: crew, flow, method, task, agent, llm, tool,",
        ),
        ({"kind": "TOOL"}, "unknown kind 'TOOL'; did you mean 'tool'? valid: crew,"),
        ({"kind": ["tool"]}, "unknown kind ['tool'];"),
        ({"status": "failed"}, "unknown status 'failed'; valid: unset, ok, error"),
        ({"status": 1}, "unknown status 1; valid: unset, ok, error"),
    ],
)
def test_find_refuses_what_it_does_not_know(research, asked, says):
    with pytest.raises(ValueError, match=r"^unknown") as caught:
        research.find(**asked)
    assert str(caught.value).startswith(says)


def test_what_happened_inside_a_span(research):
    writer = research.agent("Writer")

    assert writer.parent is research.task("write")
    assert writer.parent.parent is research.crew("press")
    assert research.roots.one().parent is None
    assert writer.children.one() is writer.llm_calls.one()
    assert writer.tools == ()
    assert research.task("research").tool_calls == research.tool_calls
    with pytest.raises(SpanLookupError):
        writer.tool("search")


def test_one_span_is_given_by_its_name(research):
    assert research.agent("Researcher").kind == "agent"
    assert research.task("research").kind == "task"
    assert research.tool("fetch_page").result == "text"
    assert research.crew("press").kind == "crew"
    made = trace(span("flow", "Ask", span("method", "first")))
    assert made.flow("Ask").method("first") is made.method("first")


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (lambda t: t.tool("serach"), "no tool span 'serach'; did you mean 'search'? tools: 'search', 'fetch_page'"),
        (lambda t: t.tool("zzz"), "no tool span 'zzz'; tools: 'search', 'fetch_page'"),
        (
            lambda t: t.agent("researcher"),
            "no agent span 'researcher'; did you mean 'Researcher'? agents: 'Researcher', 'Writer'",
        ),
        (lambda t: t.task("WRITE"), "no task span 'WRITE'; did you mean 'write'? tasks: 'research', 'write'"),
        (lambda t: t.flow("press"), "no flow span 'press'; there are no flow spans here"),
        (lambda t: t.agent("Writer").tool("search"), "no tool span 'search'; there are no tool spans here"),
        (lambda t: t.tool(""), "no tool span ''; tools: 'search', 'fetch_page'"),
        (
            lambda t: t.tool("search"),
            "2 tool spans are named 'search', expected one; .tools.named('search') gives them all",
        ),
        (
            lambda t: t.tool("Search"),
            "2 tool spans are named 'search', expected one; .tools.named('search') gives them all",
        ),
        (lambda t: t.tools.one(), "expected one tool span, found 3: 'search', 'search', 'fetch_page'"),
        (lambda t: t.llm_calls.one(), "expected one LLM call span, found 2: 'gpt', 'gpt'"),
        (lambda t: t.tools.named("x").one(), "expected one tool span, found none"),
        (lambda t: t.spans.named("x").one(), "expected one span, found none"),
        (lambda t: t.flows.first, "there is no flow span here"),
        (lambda t: t.human_feedback.last, "there is no human feedback span here"),
        (lambda t: t.find(name="x").first, "there is no span here"),
    ],
)
def test_a_look_up_says_what_there_is(research, question, says):
    assert lookup_error(lambda: question(research)) == says


def test_a_tool_is_found_by_the_name_it_was_given():
    """Models see ``search_the_web`` where the tool is called ``Search the Web``."""
    made = trace(span("tool", "search_the_web", result=1), span("tool", "поиск", result=2))

    assert made.tool("Search the Web").result == 1
    assert made.tool("Поиск").result == 2


def test_a_name_that_could_mean_two_tools_means_neither():
    made = trace(span("tool", "web_search"), span("tool", "WebSearch"))

    assert made.tool("WebSearch").name == "WebSearch"
    assert (
        lookup_error(lambda: made.tool("web search"))
        == "2 tool spans are named like 'web search', expected one: 'web_search', 'WebSearch'"
    )


def test_names_of_nothing_but_signs_are_not_alike():
    made = trace(span("tool", "***"))

    assert lookup_error(lambda: made.tool("!!!")) == "no tool span '!!!'; tools: '***'"


def test_long_lists_and_long_names_are_cut_in_messages():
    made = trace(*(span("tool", f"tool_{n:02}") for n in range(20)), span("task", "Write about\n" + "x" * 5_000))

    message = lookup_error(lambda: made.tool("zzz"))
    assert message.endswith("'tool_10', 'tool_11' and 8 more")
    message = lookup_error(lambda: made.task("zzz"))
    assert message == f"no task span 'zzz'; tasks: 'Write about\\n{'x' * 47}…'"


def test_hostile_names_are_escaped_in_messages():
    """S51"""
    made = trace(span("tool", "search\x1b[31m\u202e"), span("tool", "\x9b\r::error::"))

    message = lookup_error(lambda: made.tool("search"))
    assert message.isprintable()
    assert "'search\\x1b[31m\\u202e'" in message


def test_tool_calls_compare_by_what_both_sides_have_set(research):
    calls = research.tool_calls

    assert calls == [ToolCall("search", {"query": "AI"}), ToolCall("search", {"query": "AI"}), ToolCall("fetch_page")]
    assert calls[0] == ToolCall("search", {"query": "AI"}, error="RuntimeError: slow", result=None)
    assert calls[1] == ToolCall("search", {"query": "AI"}, result="found", error=None, cached=False)
    assert calls[2] == ToolCall("fetch_page", agent="Researcher", task="research")
    assert calls[1] != ToolCall("search", {"query": "AI"}, result="lost")
    assert calls[1] != ToolCall("search", {"query": "AI"}, cached=True)
    assert calls[1] != ToolCall("search", {"query": "art"})
    assert calls[1] != ToolCall("search")
    assert calls[1] != "search"
    assert repr(calls[1]) == (
        "ToolCall('search', {'query': 'AI'}, result='found', error=None, agent='Researcher', task=None, cached=False)"
    )
    assert repr(ToolCall("search")) == "ToolCall('search', {})"


def test_tool_calls_take_matchers_for_values(research):
    """As dirty-equals has them."""

    class StartsWithA:
        def __eq__(self, other):
            return other.startswith("A")

        __hash__ = None

    class StartsWithB(StartsWithA):
        def __eq__(self, other):
            return other.startswith("B")

        __hash__ = None

    assert research.tool_calls[1] == ToolCall("search", {"query": StartsWithA()}, result="found")
    assert research.tool_calls[1] != ToolCall("search", {"query": StartsWithB()})


def test_a_tool_call_refuses_what_it_does_not_know():
    with pytest.raises(TypeError, match="argument"):
        ToolCall("search", args={})


def test_errors_are_in_start_order():
    made = trace(
        span("crew", "c", span("task", "t", span("tool", "x", error="slow"), span("tool", "y")), error="outer"),
    )

    assert [str(error) for error in made.errors] == ["RuntimeError: outer", "RuntimeError: slow"]
    assert [str(error) for error in made.crew("c").errors] == ["RuntimeError: slow"]
    assert made.tool("y").errors == []


def test_duration_is_from_the_first_start_to_the_last_end():
    made = trace(span("crew", "a"), span("crew", "b", span("task", "t", open=True)))

    assert made.duration == made.crew("b").end - made.crew("a").start
    assert made.crew("a").duration == 1.0
    assert made.task("t").duration is None
    assert made.task("t").open
    assert trace(span("crew", "a", open=True)).duration == 0.0


def test_output_is_that_of_the_last_run():
    assert trace(span("crew", "a", output="x"), span("crew", "b", output={"y": 1})).output == {"y": 1}
    assert trace(span("crew", "a", output="x"), span("llm", "gpt", response="hi")).output == "hi"
    assert trace(span("crew", "a", output="x"), span("crew", "b", error="boom")).output is None


QUESTIONS = {
    **{name: lambda t, name=name: getattr(t, name) for name in PROPERTIES.values()},
    "spans": lambda t: t.spans,
    "roots": lambda t: t.roots,
    "tool_calls": lambda t: t.tool_calls,
    "usage": lambda t: t.usage,
    "cost": lambda t: t.cost,
    "errors": lambda t: t.errors,
    "duration": lambda t: t.duration,
    "output": lambda t: t.output,
    "find": lambda t: t.find(kind="tool"),
    "tool": lambda t: t.tool("search"),
    "==": lambda t: t == trace(span("crew", "c")),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_empty_trace_answers_nothing(name):
    """S77: in a trace of nothing, no tool was called for no reason."""
    with pytest.raises(TraceIncompleteError) as caught:
        QUESTIONS[name](Trace())
    assert str(caught.value) == (
        "the trace is empty: nothing of crewAI has run in this test"
        " (to say that this is meant: assert crewai_trace.empty)"
    )


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_incomplete_trace_answers_nothing(name):
    """S77"""
    made = trace(span("crew", "c"), incomplete=("the bus was replaced", "an event was lost"))

    with pytest.raises(TraceIncompleteError) as caught:
        QUESTIONS[name](made)
    assert str(caught.value) == "the trace is incomplete: the bus was replaced; an event was lost"


def test_whether_a_trace_is_empty_or_incomplete_can_be_asked():
    """S77"""
    assert Trace().empty
    assert Trace().complete
    incomplete = trace(span("crew", "c"), incomplete=("why",))
    assert not incomplete.empty
    assert not incomplete.complete
    assert repr(Trace()) == "<Trace: empty>"
    assert repr(incomplete) == "<Trace: 1 crew, incomplete>"
    assert incomplete.render() == str(incomplete) == "incomplete: why\ncrew c"
    assert Trace().render() == "(empty)"
    assert Trace(incomplete=("a\x1b[31m", "b")).render() == "incomplete: a\\x1b[31m\nincomplete: b\n(empty)"


def test_an_empty_trace_is_an_assertion_error_and_a_lookup_is_a_lookup_error():
    with pytest.raises(AssertionError):
        assert Trace().tools == ()
    with pytest.raises(LookupError):
        trace(span("crew", "c")).tool("x")


def test_a_trace_and_its_spans_cannot_be_changed(research):
    for thing, name in [(research, "all_spans"), (research.tools[0], "result"), (research.tools[0].error, "message")]:
        with pytest.raises(ValueError, match="frozen"):
            setattr(thing, name, None)
        with pytest.raises(ValueError, match="frozen"):
            delattr(thing, name)
    with pytest.raises(TypeError):
        research.tools[0] = None
    with pytest.raises(ValueError, match=r"[Ee]xtra"):
        ToolSpan(id=0, name="search", argumnts={})


@pytest.mark.parametrize(
    "copied",
    [
        copy,
        deepcopy,
        lambda t: pickle.loads(pickle.dumps(t)),
        lambda t: t.model_copy(),
        lambda t: t.model_copy(deep=True),
    ],
    ids=["copy", "deepcopy", "pickle", "model_copy", "deep model_copy"],
)
def test_a_copy_answers_as_the_original(research, copied):
    again = copied(research)

    assert again == research
    assert again.all_spans[0].children.names == ["research", "write"]
    assert again.agent("Writer").parent.name == "write"
    assert again.agent("Writer") is not research.agent("Writer")
    assert research.agent("Writer").parent is research.task("write")


def test_a_trace_of_some_of_the_spans_leaves_the_others_where_they_are(research):
    part = research.model_copy(update={"all_spans": research.all_spans[:1]})

    assert part.spans.names == ["press"]
    assert part.crew("press").children == ()
    assert research.crew("press").children.names == ["research", "write"]


def test_a_span_outside_a_trace_has_nothing_inside():
    alone = ToolSpan(id=0, name="search", arguments={"query": "AI"}, result="found", status="ok", end=2.0)

    assert alone == ToolSpan(id=7, name="search", arguments={"query": "AI"}, result="found", status="ok", end=5.0)
    assert alone != ToolSpan(id=0, name="search", arguments={"query": "art"}, result="found", status="ok", end=2.0)
    assert alone.call == ToolCall("search", {"query": "AI"}, result="found")
    assert trace(span("tool", "search", arguments={"query": "AI"}, result="found")).tools.one() == alone
    for question in (lambda: alone.children, lambda: alone.tools, lambda: alone.usage, alone.render):
        assert lookup_error(question) == "this span is not part of a trace"


def inside_by_hand(made: Trace, root: Span) -> list[int]:
    found = []
    for one in made.all_spans:
        above = one.parent_id
        while above is not None and above != root.id:
            above = made.all_spans[above].parent_id
        if above is not None:
            found.append(one.id)
    return found


@given(traces(max_spans=12))
def test_what_is_inside_a_span_is_what_leads_up_to_it(made):
    made = Trace(all_spans=made.all_spans)
    if made.empty:
        return
    for root in made.spans:
        inside = inside_by_hand(made, root)
        assert [one.id for one in root.spans] == inside
        for kind, question in PROPERTIES.items():
            assert [one.id for one in getattr(root, question)] == [i for i in inside if made.all_spans[i].kind == kind]
        assert [one.id for one in root.children] == [one.id for one in made.all_spans if one.parent_id == root.id]
        for one in made.spans:
            assert made.tree.is_inside(one.id, root.id) == (one.id in inside)
        assert len(root.errors) == sum(made.all_spans[i].error is not None for i in inside)
    for kind, question in PROPERTIES.items():
        assert list(getattr(made, question)) == [one for one in made.all_spans if one.kind == kind]

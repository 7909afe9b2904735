"""The text tree: a line for every kind of span, escaped and cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crewai_trace import Error, ToolCall, Trace
from pytest_crewai_trace.trace.render import excerpt, failing, label, printable, short
from pytest_crewai_trace.trace.semconv import KINDS
from pytest_crewai_trace.trace.span import SPAN_CLASSES
from tests.support.spans import span, together, trace
from tests.unit.strategies import text, traces

LINES = [
    (span("crew", "press"), "crew press"),
    (span("crew", "press", operation="train"), "crew train press"),
    (span("crew", "press", operation="test"), "crew test press"),
    (span("flow", "Ask"), "flow Ask"),
    (span("flow", "Ask", paused=True, open=True), "flow Ask (paused)"),
    (span("method", "first", result="go"), "method first -> 'go'"),
    (span("method", "first"), "method first"),
    (span("method", "first", paused=True), "method first (paused)"),
    (span("task", "research"), "task research"),
    (span("agent", "Researcher"), "agent Researcher"),
    (span("llm", "gpt-4o", response="Hello"), "llm gpt-4o -> 'Hello'"),
    (span("llm", "gpt-4o", response={"a": 1}), "llm gpt-4o -> {'a': 1}"),
    (span("llm", "gpt-4o"), "llm gpt-4o -> None"),
    (
        span("llm", "gpt-4o", response=[1], requested_tool_calls=(ToolCall("a", {"x": 1}), ToolCall("b"))),
        "llm gpt-4o -> a(x=1), b()",
    ),
    (span("tool", "search", arguments={"query": "AI", "n": 2}, result=["x"]), "tool search(query='AI', n=2) -> ['x']"),
    (span("tool", "search", result="x", cached=True), "tool search() -> 'x' (cached)"),
    (span("tool", "search", error="slow", result="x", cached=True), "tool search() !! RuntimeError: slow"),
    (span("tool", "search", open=True), "tool search() (open)"),
    (span("memory", "query", query="AI"), "memory query 'AI'"),
    (span("memory", "save", operation="save", value={"a": 1}), "memory save {'a': 1}"),
    (span("memory", "retrieval", operation="retrieval"), "memory retrieval"),
    (span("knowledge", "retrieval", query="AI"), "knowledge retrieval 'AI'"),
    (span("knowledge", "query", operation="query"), "knowledge query"),
    (span("guardrail", "short", success=True), "guardrail short -> passed"),
    (span("guardrail", "short", success=False, feedback="no"), "guardrail short -> rejected: 'no'"),
    (span("guardrail", "short", success=False, attempt=2), "guardrail short (attempt 2) -> rejected: None"),
    (span("guardrail", "short", success=True, attempt=3), "guardrail short (attempt 3) -> passed"),
    (span("guardrail", "short"), "guardrail short"),
    (span("guardrail", "short", error="boom"), "guardrail short !! RuntimeError: boom"),
    (span("reasoning", "Researcher", attempt=2), "reasoning Researcher"),
    (span("planning", "x", number=2, description="look it up"), "planning execute 2 'look it up'"),
    (span("planning", "x", operation="observe", number=2), "planning observe 2"),
    (span("mcp", "localhost:80/mcp"), "mcp localhost:80/mcp"),
    (span("a2a", "remote"), "a2a delegation remote"),
    (span("human_feedback", "draft", feedback="fine"), "human_feedback feedback draft -> 'fine'"),
    (span("human_feedback", "draft", feedback="fine", outcome="ok"), "human_feedback feedback draft -> 'fine' (ok)"),
    (span("human_feedback", "draft", operation="input", open=True), "human_feedback input draft (open)"),
    (span("conversation", "Chat"), "conversation Chat"),
    (span("skill", "skills"), "skill discovery skills"),
    (span("evaluation", "Writer", score=9.5), "evaluation Writer -> 9.5"),
    (span("evaluation", "Writer"), "evaluation Writer"),
    (span("agent", "A", error=Error(type="ValueError")), "agent A !! ValueError"),
    (span("agent", "A", error=Error(message="boom")), "agent A !! boom"),
    (span("agent", "A", error=Error()), "agent A !!"),
    (span("agent", "A", error=Error(type="E", message="a\n  b\t\u2028c", traceback="x")), "agent A !! E: a b c"),
    (span("agent", "A", status="error"), "agent A !!"),
]


@pytest.mark.parametrize(("sketch", "line"), LINES, ids=[line for _, line in LINES])
def test_a_line(sketch, line):
    assert trace(sketch).render() == line


def test_every_kind_has_a_line():
    assert {sketch.kind for sketch, _ in LINES} == set(KINDS)


def test_the_tree_is_indented_and_concurrent_spans_are_in_an_order_of_their_own():
    made = trace(
        span("crew", "crew", span("task", "b", together(span("tool", "z"), span("tool", "y")), span("tool", "x"))),
        span("crew", "crew"),
    )
    expected = """\
crew crew
  task b
    tool y() -> None
    tool z() -> None
    tool x() -> None
crew crew"""

    assert made.render() == str(made) == expected
    assert made.task("b").render() == "\n".join(line[2:] for line in expected.splitlines()[1:5])


def test_names_are_on_one_line_and_cut():
    made = trace(span("task", "Write about\n\n  AI " + "x" * 100))

    assert made.render() == "task Write about AI " + "x" * 44 + "…"


def test_long_values_are_cut_in_the_middle():
    made = trace(span("tool", "t", arguments={"a": "x" * 1_000, "b": list(range(100))}, result=10**100))

    line = made.render(width=1_000)
    assert line.startswith(f"tool t(a='{'x' * 32}...{'x' * 33}', b=[0, 1, 2, 3, 4, 5, 6, 7, ...]) -> 1000")
    assert len(line) < 250


def test_an_error_is_cut():
    line = trace(span("agent", "A", error="x" * 1_000)).render(width=1_000)

    assert line == f"agent A !! RuntimeError: {'x' * 145}…"


@pytest.mark.parametrize(("width", "longest"), [(120, 120), (80, 80), (10, 40)])
def test_lines_are_cut_at_the_width_but_say_something(width, longest):
    made = trace(span("tool", "t" * 30, arguments={str(n): n for n in range(20)}, result="x" * 200))

    line = made.render(width=width)
    assert len(line) == longest
    assert line.endswith("…")


def test_deep_spans_say_how_deep_they_are():
    deep = span("tool", "last")
    for _ in range(40):
        deep = span("task", "t", deep)

    lines = trace(deep).render().splitlines()
    assert lines[30] == "  " * 30 + "task t"
    assert lines[31] == "  " * 30 + "(31) task t"
    assert lines[40] == "  " * 30 + "(40) tool last() -> None"


HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://x\x07link\x1b]8;;\x07",
    "\x9b31m",
    "\x07",
    "a\rb",
    "a\bb",
    "a\x00b",
    "\u202eevil",
    "\u2066x\u2069",
    "z\u200bw\u200d",
    "\ufeff",
    "\ud800",
    "\n::error::x",
    "\u2028",
    "\x85",
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_everything_that_a_terminal_would_act_on_is_escaped(hostile):
    """S51, S52, S53: one line, nothing but printable characters, wherever the text stands."""
    call = ToolCall.model_construct(name=hostile, arguments={hostile: hostile})
    for kind, cls in SPAN_CLASSES.items():
        texts = {n: hostile for n, field in cls.model_fields.items() if field.annotation in (str, str | None, Any)}
        for error in (None, Error.model_construct(type=hostile, message=hostile)):
            for calls, success in [((), False), ((call,), True)]:
                more = {"arguments": call.arguments, "requested_tool_calls": calls, "success": success}
                fields = {**texts, "error": error, "status": "error" if error else "ok", "end": 1.0, "attempt": 2}
                made = cls.model_construct(**fields, **{n: v for n, v in more.items() if n in cls.model_fields})
                assert label(made).isprintable(), kind
                assert not label(made).startswith("::")


@given(st.text())
def test_printable_text_stays_and_the_rest_is_escaped(value):
    shown = printable(value)

    assert shown.isprintable()
    assert printable(shown) == shown
    if value.isprintable():
        assert shown == value


@given(st.recursive(text | st.integers() | st.floats(), lambda v: st.lists(v) | st.dictionaries(text, v)))
def test_any_value_is_shown_on_one_short_line(value):
    shown = short(value)

    assert shown.isprintable()
    assert len(shown) < 100_000


@given(traces(max_spans=10))
def test_any_trace_renders_a_line_a_span(made):
    lines = made.render().split("\n")

    assert len(lines) == len(made.incomplete) + (len(made.all_spans) or 1)
    assert all(line.isprintable() and len(line) <= 120 for line in lines)
    assert made.render() == Trace.from_json(made.to_json()).render()
    for one in made.all_spans:
        assert one.render().split("\n")[0] == label(one)[:120] or label(one)[:119] + "…" == one.render().split("\n")[0]


# -- the part of a tree that is shown of a failed test ---------------------------------------------------------------


def test_the_spans_where_trouble_began():
    made = trace(
        span("crew", "c", span("task", "a", span("tool", "x", error="1"), error="2"), span("task", "b", error="3")),
        span("crew", "d", span("task", "e")),
    )

    assert [made.all_spans[number].name for number in failing(made.tree)] == ["x", "b"]
    assert failing(Trace().tree) == []


def test_a_small_tree_is_shown_whole_with_marks_and_numbers():
    made = trace(
        span(
            "crew", "c", span("llm", "gpt", reported_usage={"prompt_tokens": 5, "completion_tokens": 2}, response="x")
        ),
        span("tool", "t", error="boom"),
        span("flow", "f", open=True),
    )

    assert (
        excerpt(made.tree, failing(made.tree))
        == """\
  crew c  [3.00 s]
    llm gpt -> 'x'  [1.00 s, 7 tokens]
> tool t() !! RuntimeError: boom  [1.00 s]
  flow f (open)"""
    )


def many(failed: set[int], size: int = 500) -> Trace:
    tasks = (
        span(
            "task",
            f"task {task}",
            *(span("tool", f"t{n}", **({"error": "no"} if n in failed else {})) for n in range(task, task + 10)),
        )
        for task in range(0, size, 10)
    )
    return trace(span("crew", "c", *tasks))


@pytest.mark.parametrize(
    "failed", [set(), {0}, {250}, {499}, {3, 250, 499}, set(range(500))], ids=lambda f: f"{len(f)} failed"
)
def test_a_large_tree_is_shown_in_part(failed):
    """S60: bounded, what failed is marked, and what is left out is counted where it was."""
    made = many(failed)

    lines = excerpt(made.tree, failing(made.tree), most=40).split("\n")

    spans = [line for line in lines if " more" not in line]
    left_out = [int(line.split()[1]) for line in lines if " more" in line]
    assert len(spans) == 40
    assert len(lines) <= 81
    assert len(spans) + sum(left_out) == len(made.all_spans)
    marked = [line for line in spans if line.startswith("> ")]
    assert len(marked) == len([line for line in spans if "!!" in line])
    assert len(marked) >= min(len(failed), 10)
    assert all(line.startswith(("> ", "  ")) for line in lines)
    for number in list(failed)[:10] if len(failed) < 10 else ():
        place = next(at for at, line in enumerate(lines) if f" tool t{number}()" in line)
        above = [line for line in lines[:place] if "task " in line]
        assert above[-1].split("  [")[0] == f"    task task {number // 10 * 10}"


def test_all_that_is_marked_comes_before_what_leads_to_it():
    deep = span("tool", "deep", error="no")
    for _ in range(100):
        deep = span("task", "t", deep)
    made = trace(span("crew", "c", span("tool", "early", error="no"), deep, span("tool", "late", error="no")))

    lines = excerpt(made.tree, failing(made.tree), most=20).split("\n")

    marked = [line for line in lines if line.startswith("> ")]
    assert ["early" in marked[0], "deep" in marked[1], "late" in marked[2]] == [True] * len(marked)


@given(traces(max_spans=20), st.integers(1, 15))
def test_any_tree_is_shown_in_bounds(made, most):
    """S51, S60"""
    lines = excerpt(made.tree, failing(made.tree), most=most).split("\n") if made.all_spans else []

    assert len([line for line in lines if " more" not in line]) <= most + sum(" more" in line for line in lines)
    assert len(lines) <= 2 * most + 1
    assert all(line.isprintable() and len(line) <= 122 for line in lines)

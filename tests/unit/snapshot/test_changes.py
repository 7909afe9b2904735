"""Edit one behaviour at a time: the first line says which."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crewai_trace.snapshot.align import common
from pytest_crewai_trace.snapshot.changes import changes
from pytest_crewai_trace.snapshot.extension import Compared, Rendered
from pytest_crewai_trace.snapshot.messages import nearest
from pytest_crewai_trace.snapshot.options import Options
from pytest_crewai_trace.snapshot.reading import Reading
from pytest_crewai_trace.snapshot.text import Snapshot
from tests.support.spans import span, trace
from tests.unit.strategies import sketches

DEFAULTS = {
    "query": "AI 2024",
    "result": "three",
    "calls": 1,
    "searches": 1,
    "writer": "Writer",
    "tool": "search",
    "model": "gpt-4o",
    "error": None,
    "tasks": ("research", "write"),
    "route": "revise",
    "output": "An article.",
    "passed": True,
    "response": "x",
    "backstory": "Curious.",
}


def run(**edits):
    now = {**DEFAULTS, **edits}
    outcome = {"error": now["error"]} if now["error"] else {"result": now["result"]}
    searches = [span("tool", now["tool"], arguments={"query": now["query"]}, **outcome) for _ in range(now["searches"])]
    written = [span("llm", now["model"], messages=[{"content": now["backstory"]}]) for _ in range(now["calls"])]
    agents = {
        "research": ("Researcher", [span("llm", now["model"], response=now["response"]), *searches]),
        "write": (now["writer"], written),
        "review": ("Editor", []),
    }
    tasks = []
    for name in now["tasks"]:
        role, inside = agents[name]
        output = now["output"] if name == "write" else "found"
        tasks.append(span("task", name, span("agent", role, *inside), output=output))
    crew = span("crew", "c", *tasks, span("guardrail", "short", success=now["passed"]))
    return trace(
        span("flow", "F", span("method", "draft", crew), span("method", "review", result=now["route"], router=True))
    )


def snapshot(level="content", **edits):
    return Rendered.of(Compared(run(**edits), Options.of(level=level)))


def found(old, new, level="content"):
    texts = [snapshot(level, **edits).snapshot.variants[0] for edits in (old, new)]
    return changes(*map(Reading().tree, texts))


@pytest.mark.parametrize(
    ("old", "new", "behaviour"),
    [
        ({}, {"query": "AI 2025"}, ['tool \'search\' was called with query="AI 2025" instead of "AI 2024"']),
        ({}, {"calls": 2}, ["Writer made 2 LLM calls instead of 1"]),
        ({"calls": 3}, {}, ["Writer made 1 LLM call instead of 3"]),
        ({}, {"searches": 2}, ["Researcher also called tool 'search' with query=\"AI 2024\""]),
        ({"searches": 3}, {}, ["Researcher did not call tool 'search' with query=\"AI 2024\" (2 times)"]),
        ({}, {"tool": "browse"}, ["Researcher called tool 'browse' instead of 'search'"]),
        ({}, {"writer": "Poet"}, ["task 'write' was done by 'Poet' instead of 'Writer'"]),
        ({}, {"error": "boom"}, ["tool 'search' failed: \"RuntimeError: boom\""]),
        ({"error": "boom"}, {}, ["tool 'search' no longer fails (\"RuntimeError: boom\")"]),
        (
            {"error": "boom"},
            {"error": "bang"},
            ['tool \'search\' failed with "RuntimeError: bang" instead of "RuntimeError: boom"'],
        ),
        ({}, {"route": "approve"}, ['method \'review\' chose "approve" instead of "revise"']),
        ({}, {"passed": False}, ["guardrail 'short' did not pass"]),
        ({}, {"tasks": ("research", "write", "review")}, ["task 'review' is new"]),
        ({}, {"tasks": ("research",)}, ["task 'write' is gone"]),
        ({}, {"tasks": ("write", "research")}, ["task 'write' ran in another order"]),
        ({}, {}, []),
        ({}, {"output": "Another."}, []),
        ({}, {"result": "four"}, []),
        ({}, {"response": "y"}, []),
        ({}, {"model": "gpt-5"}, []),
    ],
)
def test_behaviour_in_one_sentence(old, new, behaviour):
    assert found(old, new).behaviour == behaviour


@pytest.mark.parametrize(
    ("new", "detail"),
    [
        ({"output": "Another."}, ['task \'write\' has output="Another." instead of "An article."']),
        ({"result": "four"}, ['tool \'search\' returned "four" instead of "three"']),
        ({"response": "y"}, ['an LLM call of Researcher was answered with "y" instead of "x"']),
        (
            {"model": "gpt-5"},
            [
                "an LLM call of Researcher went to 'gpt-5' instead of 'gpt-4o'",
                "an LLM call of Writer went to 'gpt-5' instead of 'gpt-4o'",
            ],
        ),
    ],
)
def test_detail_is_told_apart(new, detail):
    assert found({}, new).detail == detail


def test_a_failure_is_told_once_where_it_began():
    def failing(error):
        outcome = {"error": error} if error else {}
        return trace(span("crew", "c", span("task", "t", span("tool", "t", **outcome), **outcome), **outcome))

    texts = [Compared(failing(error)).snapshot().variants[0] for error in (None, "boom")]
    assert changes(*map(Reading().tree, texts)).behaviour == ["tool 't' failed: \"RuntimeError: boom\""]


def test_long_values_are_shown_where_they_differ():
    sentence = found({"query": "x" * 300 + "a" + "y" * 300}, {"query": "x" * 300 + "b" + "y" * 300}).behaviour[0]

    assert "…xxxxxxxxxxxxxxxxxxxxb" in sentence
    assert "…xxxxxxxxxxxxxxxxxxxxa" in sentence
    assert len(sentence) < 300


def test_only_a_prompt_or_the_version_of_crewai():
    assert found({}, {"backstory": "Lazy."}).size == 0
    full = found({}, {"backstory": "Lazy."}, "full")
    assert full.only_full
    assert full.behaviour == []
    assert full.size == 1
    assert not found({}, {"backstory": "Lazy.", "output": "x"}, "full").only_full


def test_the_nearest_variant():
    texts = [
        snapshot(**edits).snapshot.variants[0] for edits in ({"query": "a", "calls": 5}, {"query": "b"}, {"tasks": ()})
    ]

    found_ = nearest(Snapshot("content", tuple(texts)), snapshot(query="c"))

    assert found_.place == 1
    assert found_.changes.size == 1


# -- the alignment ----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_common_items_rise_on_both_sides(one, other):
    pairs = common(one, other)

    assert all(one[i] == other[j] for i, j in pairs)
    for (i, j), (k, m) in pairwise(pairs):
        assert i < k
        assert j < m
    if one == other:
        assert len(pairs) == len(one)


def test_long_lists_are_aligned_around_what_is_new():
    one = [str(n) for n in range(3_000)]
    other = [*one[:500], "new", *one[500:1_500], *one[1_600:]]

    pairs = common(one, other)

    assert len(pairs) == 2_900
    assert (500, 501) in pairs
    assert common(["a"] * 5_000, ["a"] * 4_000 + ["b"]) == [(n, n) for n in range(4_000)]


@given(sketches(), sketches())
def test_no_change_is_told_if_and_only_if_there_is_none(one, other):
    texts = [Compared(trace(sketch)).snapshot().variants[0] for sketch in (one, other)]
    told = changes(*map(Reading().tree, texts))

    assert (told.size == 0) == (texts[0] == texts[1])
    assert bool(told.behaviour or told.detail) == (texts[0] != texts[1])

"""What ``assert trace.tool_calls == [...]`` says when it fails."""

from __future__ import annotations

import re

import pytest
from dirty_equals import IsStr

from pytest_crewai_trace import ToolCall
from pytest_crewai_trace.expectations.compare import explain
from tests.unit.expectations.stories import flaky, told

AI, PAGE = ToolCall("search", {"query": "AI"}), ToolCall("fetch", {"url": "x", "tries": 3})

DIFFERENT = {
    "an argument": (
        [AI, PAGE],
        [AI, ToolCall("fetch", {"url": "y", "tries": 3})],
        """
        2 tool calls == 2 tool calls

        call 2 differs:
          url: 'x' != 'y'

        left:
          1. search(query='AI')
        > 2. fetch(url='x', tries=3)
        right:
          1. search(query='AI')
        > 2. fetch(url='y', tries=3)
        """,
    ),
    "a matcher": (
        [AI, PAGE],
        [ToolCall("search", {"query": IsStr()}), ToolCall("fetch", {"url": IsStr(regex="z.*"), "tries": 3})],
        """
        2 tool calls == 2 tool calls

        call 2 differs:
          url: 'x' != IsStr(regex='z.*')

        left:
          1. search(query='AI')
        > 2. fetch(url='x', tries=3)
        right:
          1. search(query=IsStr())
        > 2. fetch(url=IsStr(regex='z.*'), tries=3)
        """,
    ),
    "arguments on one side": (
        [ToolCall("fetch", {"url": "x", "retry": True})],
        [PAGE],
        """
        1 tool call == 1 tool call

        call 1 differs:
          tries: only on the right: 3
          retry: only on the left: True

        left:
        > 1. fetch(url='x', retry=True)
        right:
        > 1. fetch(url='x', tries=3)
        """,
    ),
    "another tool": (
        [AI],
        [ToolCall("serach", {"query": "AI"})],
        """
        1 tool call == 1 tool call

        call 1 differs:
          tool: 'search' != 'serach'; did you mean 'serach'?

        left:
        > 1. search(query='AI')
        right:
        > 1. serach(query='AI')
        """,
    ),
    "one more": (
        [AI, PAGE],
        [AI],
        """
        2 tool calls == 1 tool call

        the left one has 1 call more, from call 2: fetch(url='x', tries=3)

        left:
          1. search(query='AI')
        > 2. fetch(url='x', tries=3)
        right:
          1. search(query='AI')
        """,
    ),
    "none": (
        [],
        [AI],
        """
        0 tool calls == 1 tool call

        the right one has 1 call more, from call 1: search(query='AI')

        left: no tool call
        right:
        > 1. search(query='AI')
        """,
    ),
    "the error": (
        flaky().tool_calls[:1],
        [ToolCall("fetch", {"url": "x.org"}, error="TimeoutError: too slow")],
        """
        1 tool call == 1 tool call

        call 1 differs:
          error: 'RuntimeError: too slow' != 'TimeoutError: too slow'

        left:
        > 1. fetch(url='x.org')
        right:
        > 1. fetch(url='x.org')
        """,
    ),
    "what equals nothing": (
        [AI],
        [ToolCall("search", {"query": re.compile("AI")})],
        """
        1 tool call == 1 tool call

        call 1 differs:
          a callable or a regular expression equals nothing: expect(trace).to_call_tools(...) takes them

        left:
        > 1. search(query='AI')
        right:
        > 1. search(query=/AI/)
        """,
    ),
    "one call": (
        AI,
        ToolCall("search", {"query": "ML"}),
        """
        search(query='AI') == search(query='ML')

        query: 'AI' != 'ML'
        """,
    ),
}


@pytest.mark.parametrize(("left", "right", "message"), DIFFERENT.values(), ids=DIFFERENT)
def test_the_first_call_that_differs(left, right, message):
    assert left != right
    assert explain("==", left, right) == told(message).splitlines()


def test_of_many_calls_those_around_it_are_shown():
    left = [ToolCall("search", {"query": number}) for number in range(500)]
    right = [*left[:300], ToolCall("search", {"query": "x"}), *left[301:]]

    lines = explain("==", left, right)
    assert len(lines) < 40
    assert lines[2:4] == ["call 301 differs:", "  query: 300 != 'x'"]
    assert "> 301. search(query=300)" in lines
    assert lines.count("  ... 294 more") == 2


@pytest.mark.parametrize(
    ("op", "left", "right"),
    [("!=", [AI], [AI]), ("in", AI, [PAGE]), ("==", [1], [2]), ("==", [], []), ("==", [AI], [1]), ("==", AI, 3)],
)
def test_where_pytest_says_as_much(op, left, right):
    assert explain(op, left, right) is None

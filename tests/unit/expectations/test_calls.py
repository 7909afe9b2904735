"""Lists of tool calls."""

from __future__ import annotations

import pytest
from dirty_equals import IsStr

from pytest_crewai_trace import ToolCall, expect
from tests.unit.expectations.stories import agent, failure, flaky, llm, research, story, told, tool

AI, ML, PAGE = ToolCall("search", {"query": "AI"}), ToolCall("search", {"query": "ML"}), ToolCall("fetch", {"url": "x"})


def three():
    """Three calls: search(AI), fetch(x), search(ML)."""
    return story(
        agent(
            "Researcher",
            llm("Go"),
            tool("search", "a", query="AI"),
            tool("fetch", "b", url="x"),
            tool("search", "c", query="ML"),
            tools=("search", "fetch"),
        )
    )


@pytest.mark.parametrize(
    "expectation",
    [
        lambda: expect(three()).to_call_tools(["search", "fetch", "search"]),
        lambda: (
            expect(three())
            .to_call_tools([AI, PAGE, ML])
            .to_call_tools([AI, "fetch", ML], "in_order", allow_extra=False)
        ),
        lambda: expect(three()).to_call_tools([AI, ML], "in_order").to_call_tools(["fetch"], order="in_order"),
        lambda: (
            expect(three())
            .to_call_tools([ML, AI, PAGE], "any_order")
            .to_call_tools([ML], "any_order", allow_extra=True)
        ),
        lambda: expect(three()).to_call_tools([ToolCall("search", {"query": IsStr()}), AI, "fetch"], "any_order"),
        lambda: expect(three()).to_call_tools([ToolCall("search", {}), "fetch", ML], partial=True),
        lambda: expect(three()).to_call_tools([ML, PAGE, AI], overrides={"search": "ignore"}),
        lambda: expect(three()).to_call_tools(
            [ML, PAGE, AI], overrides={"search": lambda expected, actual: "query" in actual}
        ),
        lambda: expect(three()).to_call_tools([AI, ToolCall("fetch", {}), ML], overrides={"fetch": "partial"}),
        lambda: expect(three()).to_call_tools(
            [ToolCall("search", {"query": "AI"}, result="a", agent="Researcher"), "fetch", "search"]
        ),
        lambda: expect(flaky()).to_call_tools(
            [ToolCall("fetch", {"url": "x.org"}, error="RuntimeError: too slow"), "fetch"]
        ),
        lambda: expect(research().task("research")).to_call_tools([AI]),
    ],
)
def test_it_holds(expectation):
    expectation()


FAILURES = {
    "the first that differs": (
        lambda: expect(three()).to_call_tools([AI, PAGE, AI]),
        """
        expected: 3 tool calls: search(query='AI'), fetch(url='x'), search(query='AI'), in this order, and no other
        actual:   3 tool calls: search(query='AI'), fetch(url='x'), search(query='ML')
        nearest:  call 3 of 3 is search(query='ML') by 'Researcher'
                  query: expected 'AI', got 'ML'
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
            tool search(query='AI') -> 'a'
            tool fetch(url='x') -> 'b'
        >   tool search(query='ML') -> 'c'
        next:     The first call that differs is marked: see what its model was told.
        """,
    ),
    "another tool": (
        lambda: expect(three()).to_call_tools(["search", "search", "fetch"]),
        """
        expected: 3 tool calls: search, search, fetch, in this order, and no other
        actual:   3 tool calls: search(query='AI'), fetch(url='x'), search(query='ML')
        nearest:  call 2 of 3 is fetch(url='x') by 'Researcher'
                  tool: expected search, got fetch
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
            tool search(query='AI') -> 'a'
        >   tool fetch(url='x') -> 'b'
            tool search(query='ML') -> 'c'
        next:     The first call that differs is marked: see what its model was told.
        """,
    ),
    "one is missing": (
        lambda: expect(three()).to_call_tools([AI, PAGE, ML, "write"]),
        """
        expected: 4 tool calls: search(query='AI'), fetch(url='x'), search(query='ML'), write, in this order, and no other
        actual:   3 tool calls: search(query='AI'), fetch(url='x'), search(query='ML')
        nearest:  all of these are as expected; then write is missing
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
            tool search(query='AI') -> 'a'
            tool fetch(url='x') -> 'b'
        >   tool search(query='ML') -> 'c'
        next:     See what the model answered instead of calling it.
        """,  # noqa: E501
    ),
    "one too many": (
        lambda: expect(three()).to_call_tools([AI, PAGE]),
        """
        expected: 2 tool calls: search(query='AI'), fetch(url='x'), in this order, and no other
        actual:   3 tool calls: search(query='AI'), fetch(url='x'), search(query='ML')
        nearest:  the expected ones are there; then search(query='ML') by 'Researcher' came too
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
            tool search(query='AI') -> 'a'
            tool fetch(url='x') -> 'b'
        >   tool search(query='ML') -> 'c'
        next:     Where other calls may come, write order='in_order' (between them) or allow_extra=True.
        """,
    ),
    "none at all": (
        lambda: expect(research().task("write")).to_call_tools(["search"]),
        """
        expected: 1 tool call: search, in this order, and no other in task 'write'
        actual:   no tool was called
        nearest:  search is missing
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
        >   task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     See what the model answered instead of calling it.
        """,
    ),
    "not in this order": (
        lambda: expect(three()).to_call_tools([ML, AI], "in_order"),
        """
        expected: 2 tool calls: search(query='ML'), search(query='AI'), in this order, others may come too
        actual:   3 tool calls: search(query='AI'), fetch(url='x'), search(query='ML')
        nearest:  search(query='AI') was not called after search(query='ML') by 'Researcher', but before it
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
            tool search(query='AI') -> 'a'
            tool fetch(url='x') -> 'b'
        >   tool search(query='ML') -> 'c'
        next:     The calls that were found are marked; the next one should come after them.
        """,
    ),
    "never, in order": (
        lambda: expect(three()).to_call_tools([AI, ToolCall("fetch", {"url": "y"})], "in_order"),
        """
        expected: 2 tool calls: search(query='AI'), fetch(url='y'), in this order, others may come too
        actual:   3 tool calls: search(query='AI'), fetch(url='x'), search(query='ML')
        nearest:  fetch(url='y') was not called after search(query='AI') by 'Researcher'; nearest is fetch(url='x') by 'Researcher'
                  url: expected 'y', got 'x'
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
        >   tool search(query='AI') -> 'a'
            tool fetch(url='x') -> 'b'
            tool search(query='ML') -> 'c'
        next:     The calls that were found are marked; the next one should come after them.
        """,  # noqa: E501
    ),
    "never of that name, in order": (
        lambda: expect(three()).to_call_tools(["search", "fetsh"], "in_order"),
        """
        expected: 2 tool calls: search, fetsh, in this order, others may come too
        actual:   3 tool calls: search(query='AI'), fetch(url='x'), search(query='ML')
        nearest:  fetsh was never called; did you mean 'fetch'?
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
        >   tool search(query='AI') -> 'a'
            tool fetch(url='x') -> 'b'
            tool search(query='ML') -> 'c'
        next:     The calls that were found are marked; the next one should come after them.
        """,
    ),
    "one is missing, in any order": (
        lambda: expect(three()).to_call_tools([AI, AI, "fetch"], "any_order"),
        """
        expected: 3 tool calls: search(query='AI'), search(query='AI'), fetch, in any order, and no other
        actual:   3 tool calls: search(query='AI'), fetch(url='x'), search(query='ML')
        nearest:  search(query='AI') is missing; nearest to it is search(query='ML') by 'Researcher'
                  query: expected 'AI', got 'ML'
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
            tool search(query='AI') -> 'a'
            tool fetch(url='x') -> 'b'
        >   tool search(query='ML') -> 'c'
        next:     The calls that nobody expected are marked.
        """,
    ),
    "one too many, in any order": (
        lambda: expect(three()).to_call_tools([ML, AI], "any_order"),
        """
        expected: 2 tool calls: search(query='ML'), search(query='AI'), in any order, and no other
        actual:   3 tool calls: search(query='AI'), fetch(url='x'), search(query='ML')
        nearest:  the expected ones are there; fetch(url='x') by 'Researcher' came too
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
            tool search(query='AI') -> 'a'
        >   tool fetch(url='x') -> 'b'
            tool search(query='ML') -> 'c'
        next:     Where other calls may come, write allow_extra=True.
        """,
    ),
    "another result": (
        lambda: expect(three()).to_call_tools([ToolCall("search", {"query": "AI"}, result="z"), "fetch", "search"]),
        """
        expected: 3 tool calls: search(query='AI'), fetch, search, in this order, and no other
        actual:   3 tool calls: search(query='AI'), fetch(url='x'), search(query='ML')
        nearest:  call 1 of 3 is search(query='AI') by 'Researcher'
                  result: expected 'z', got 'a'
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
        >   tool search(query='AI') -> 'a'
            tool fetch(url='x') -> 'b'
            tool search(query='ML') -> 'c'
        next:     The first call that differs is marked: see what its model was told.
        """,
    ),
}


@pytest.mark.parametrize(("expectation", "message"), FAILURES.values(), ids=FAILURES)
def test_it_fails_and_says_why(expectation, message):
    assert failure(expectation) == told(message)


def test_a_call_is_given_to_the_one_that_needs_it():
    """The first expected call could take either, the second only the first of them."""
    anything = ToolCall("search", {"query": IsStr()})

    expect(three()).to_call_tools([anything, AI, "fetch"], "any_order")
    expect(three()).to_call_tools([anything, anything, "fetch"], "any_order")

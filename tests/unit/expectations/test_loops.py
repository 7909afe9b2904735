"""Trouble that costs money unseen."""

from __future__ import annotations

import pytest

from pytest_crewai_trace import expect
from tests.unit.expectations.stories import agent, delegating, failure, flaky, llm, research, span, story, told, tool


def same(*queries, **fields):
    """One agent that searches again and again."""
    calls = [tool("search", "three", query=query, **fields) for query in queries]
    return story(agent("Researcher", llm("Go"), *calls, tools=("search",)))


def ring(*roles):
    """Each of these agents delegates to the next."""
    made = agent(roles[-1], llm("Go"))
    for role in reversed(roles[:-1]):
        made = agent(role, llm("Go"), tool("delegate_work_to_coworker", "ok", made))
    return story(span("crew", "crew", span("task", "report", made)))


def by_itself():
    """A tool that runs a crew of its own, in which the same role works."""
    inner = tool("ask_crew", "ok", span("crew", "inner", agent("Boss", llm("Go"))))
    return story(agent("Boss", llm("Go"), inner))


@pytest.mark.parametrize(
    "expectation",
    [
        lambda: expect(research()).to_have_no_loops(),
        lambda: expect(same("a", "a", "b")).to_have_no_loops(),
        lambda: expect(same("a", "b", "a")).to_have_no_loops(repeats=3),
        lambda: expect(same("a", "a", "a", _error="down", _attempt=2)).to_have_no_loops(),
        lambda: expect(delegating()).to_have_no_loops(),
        lambda: expect(ring("Boss", "Researcher", "Writer")).to_have_no_loops(),
        lambda: expect(by_itself()).to_have_no_loops(),
        lambda: expect(flaky()).to_have_no_loops(),
    ],
)
def test_it_holds(expectation):
    expectation()


FAILURES = {
    "the same call": (
        lambda: expect(same("a", "b", "a", "a")).to_have_no_loops(),
        """
        expected: no loops
        actual:   search(query='a') by 'Researcher' was called 3 times; each time it gave 'three'
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
        >   tool search(query='a') -> 'three'
            tool search(query='b') -> 'three'
        >   tool search(query='a') -> 'three'
        >   tool search(query='a') -> 'three'
        next:     The model does not get on: see what it makes of the result, or have the tool say that it is final.
        """,
    ),
    "the same call, twice": (
        lambda: expect(same("a", "a")).to_have_no_loops(repeats=2),
        """
        expected: no loops
        actual:   search(query='a') by 'Researcher' was called 2 times; each time it gave 'three'
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
        >   tool search(query='a') -> 'three'
        >   tool search(query='a') -> 'three'
        next:     The model does not get on: see what it makes of the result, or have the tool say that it is final.
        """,
    ),
    "the same error": (
        lambda: expect(same("a", "b", "c", _error="down")).to_have_no_loops(),
        """
        expected: no loops
        actual:   search by 'Researcher' failed 3 times with the same error: RuntimeError: down
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
        >   tool search(query='a') !! RuntimeError: down
        >   tool search(query='b') !! RuntimeError: down
        >   tool search(query='c') !! RuntimeError: down
        next:     The model cannot mend it: see whether the error says how to call the tool.
        """,
    ),
    "a ring": (
        lambda: expect(ring("Boss", "Researcher", "Boss")).to_have_no_loops(),
        """
        expected: no loops
        actual:   agents delegate in a ring: 'Boss' > 'Researcher' > 'Boss'
        trace:
          crew crew
            task report
        >     agent Boss
                llm gpt-4o-mini -> 'done'
                tool delegate_work_to_coworker() -> 'ok'
        >         agent Researcher
                    llm gpt-4o-mini -> 'done'
                    tool delegate_work_to_coworker() -> 'ok'
        >             agent Boss
                        llm gpt-4o-mini -> 'done'
        next:     Take allow_delegation from one of them, or tell it what it has to do itself.
        """,
    ),
}


@pytest.mark.parametrize(("expectation", "message"), FAILURES.values(), ids=FAILURES)
def test_it_fails_and_says_why(expectation, message):
    assert failure(expectation) == told(message)

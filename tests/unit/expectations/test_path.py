"""Which way it went."""

from __future__ import annotations

import pytest

from pytest_crewai_trace import expect
from tests.unit.expectations.stories import delegating, failure, research, review, told


@pytest.mark.parametrize(
    "expectation",
    [
        lambda: expect(research()).to_follow("Researcher", ..., "Writer"),
        lambda: expect(research()).to_follow("Researcher", "Writer"),
        lambda: expect(research()).to_follow("Researcher", "search", "Writer"),
        lambda: expect(research()).to_follow("research", "Researcher", "search", ..., "write", "Writer"),
        lambda: expect(research()).to_follow(..., "search", ...),
        lambda: expect(delegating()).to_follow("Boss", ..., "Researcher"),
        lambda: expect(research().task("research")).to_follow("Researcher", "Search"),
        lambda: expect(review()).to_route("draft", ..., "approved"),
        lambda: expect(review()).to_route("draft", "judge", "publish").to_route("judge", "approved", "publish"),
    ],
)
def test_it_holds(expectation):
    expectation()


FAILURES = {
    "a skipped agent": (
        lambda: expect(research()).to_follow("Researcher", ..., "Editor", ..., "Writer"),
        """
        expected: 'Researcher' > ... > 'Editor' > ... > 'Writer' to come in this order
        actual:   'Editor' never came
        nearest:  what came: 'Researcher' > 'Writer'
        trace:
          crew crew
            task research
        >     agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
        >     agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     Mend the name, or see why it was left out: what did run is in the tree.
        """,
    ),
    "a tool that was at hand": (
        lambda: expect(research()).to_follow("Researcher", ..., "fetch"),
        """
        expected: 'Researcher' > ... > 'fetch' to come in this order
        actual:   'fetch' never came
        nearest:  what came: 'Researcher' > 'Writer'
        trace:
          crew crew
            task research
        >     agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     'Researcher' had the tool and did not call it: see what the model answered instead.
        """,
    ),
    "the wrong order": (
        lambda: expect(research()).to_follow("Writer", ..., "Researcher"),
        """
        expected: 'Writer' > ... > 'Researcher' to come in this order
        actual:   'Researcher' did not come after 'Writer'
        nearest:  what came: 'Researcher' > 'Writer'
        trace:
          crew crew
            task research
        >     agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
        >     agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     What came too early, or not again, is marked.
        """,
    ),
    "something in between": (
        lambda: expect(research()).to_follow("Researcher", "Writer", "search"),
        """
        expected: 'Researcher' > 'Writer' > 'search' to come in this order
        actual:   after 'Researcher' came 'search', not 'Writer'
        nearest:  what came: 'Researcher' > 'search' > 'Writer'
        trace:
          crew crew
            task research
        >     agent Researcher
                llm gpt-4o-mini -> search(query='AI')
        >       tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     Where others may come in between, write 'Researcher', ..., 'Writer'.
        """,
    ),
    "nothing more": (
        lambda: expect(research()).to_follow("Researcher", "search", "Writer", "search"),
        """
        expected: 'Researcher' > 'search' > 'Writer' > 'search' to come in this order
        actual:   after 'Writer' came nothing, not 'search'
        nearest:  what came: 'Researcher' > 'search' > 'Writer'
        trace:
          crew crew
            task research
        >     agent Researcher
                llm gpt-4o-mini -> search(query='AI')
        >       tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
        >     agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     It is the last that came: see why the run went no further.
        """,
    ),
    "not in this part": (
        lambda: expect(research().task("write")).to_follow("Researcher"),
        """
        expected: 'Researcher' to come in task 'write'
        actual:   'Researcher' never came
        nearest:  what came: 'write' > 'Writer'
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
        next:     It is in the trace, but not in this part of it.
        """,
    ),
    "a method, which is on no such path": (
        lambda: expect(review()).to_follow("draft", "judge"),
        """
        expected: 'draft' > 'judge' to come in this order
        actual:   'draft' never came
        nearest:  what came: nothing
        trace:
          flow Review
            method draft -> 'a text'
            method judge -> 'approved'
            method publish -> 'out'
        next:     It is the name of a method: to_route takes the methods of a flow.
        """,
    ),
    "an agent, which is on no route": (
        lambda: expect(research().task("write")).to_route("Writer"),
        """
        expected: the flow to go 'Writer' in task 'write'
        actual:   'Writer' never came
        nearest:  what came: nothing
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
        next:     It is the name of an agent: to_follow takes agents, tasks and tools.
        """,
    ),
    "no flow": (
        lambda: expect(research().task("write")).to_route("draft"),
        """
        expected: the flow to go 'draft' in task 'write'
        actual:   'draft' never came
        nearest:  what came: nothing
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
        next:     No flow ran: to_route is for the methods of a flow, to_follow for agents, tasks and tools.
        """,
    ),
    "the wrong route": (
        lambda: expect(review("rejected")).to_route("draft", ..., "approved"),
        """
        expected: the flow to go 'draft' > ... > 'approved'
        actual:   'approved' never came; routers chose 'rejected'
        nearest:  what came: 'draft' > 'judge' > 'rejected' > 'discard'
        trace:
          flow Review
        >   method draft -> 'a text'
        >   method judge -> 'rejected'
            method discard -> 'out'
        next:     Mend the name, or see why it was left out: what did run is in the tree.
        """,
    ),
    "a result of what is no router": (
        lambda: expect(review()).to_route("draft", ..., "out"),
        """
        expected: the flow to go 'draft' > ... > 'out'
        actual:   'out' never came; routers chose 'approved'
        nearest:  what came: 'draft' > 'judge' > 'approved' > 'publish'
        trace:
          flow Review
        >   method draft -> 'a text'
        >   method judge -> 'approved'
            method publish -> 'out'
        next:     Mend the name, or see why it was left out: what did run is in the tree.
        """,
    ),
    "routes in another order": (
        lambda: expect(review()).to_route("publish", ..., "judge"),
        """
        expected: the flow to go 'publish' > ... > 'judge'
        actual:   'judge' did not come after 'publish'
        nearest:  what came: 'draft' > 'judge' > 'publish'
        trace:
          flow Review
            method draft -> 'a text'
        >   method judge -> 'approved'
        >   method publish -> 'out'
        next:     What came too early, or not again, is marked.
        """,
    ),
}


@pytest.mark.parametrize(("expectation", "message"), FAILURES.values(), ids=FAILURES)
def test_it_fails_and_says_why(expectation, message):
    assert failure(expectation) == told(message)

"""One tool: called, called so, not called."""

from __future__ import annotations

import re

import pytest
from dirty_equals import IsStr

from pytest_crewai_trace import expect
from tests.unit.expectations.stories import delegating, failure, flaky, research, told


@pytest.mark.parametrize(
    "expectation",
    [
        lambda: expect(research()).to_call_tool("search"),
        lambda: expect(research()).to_call_tool(
            "search", {"query": "AI"}, times=1, by="Researcher", in_task="research"
        ),
        lambda: expect(research()).to_call_tool("search", {"query": IsStr(regex="A.")}, result=IsStr(min_length=3)),
        lambda: expect(research()).to_call_tool("search", {"query": re.compile("^A")}, result=re.compile("three")),
        lambda: expect(research()).to_call_tool("search", {"query": str.isupper}),
        lambda: expect(research()).to_call_tool(
            "search", lambda arguments: "query" in arguments, at_least=1, at_most=3
        ),
        lambda: expect(research()).to_call_tool("search", {}, partial=True, error=False),
        lambda: expect(research()).to_call_tool("Search"),
        lambda: expect(research().task("research")).to_call_tool("search").to_call_tool("search", at_most=1),
        lambda: expect(research().tool("search")).to_call_tool("search"),
        lambda: (
            expect(flaky()).to_call_tool("fetch", times=1, error="too slow").to_call_tool("fetch", times=1, error=False)
        ),
        lambda: (
            expect(flaky()).to_call_tool("fetch", error=RuntimeError).to_call_tool("fetch", {"url": "x.org"}, times=2)
        ),
        lambda: expect(delegating()).to_call_tool(
            "delegate_work_to_coworker", {"coworker": "Researcher"}, partial=True
        ),
        lambda: expect(research()).not_to_call_tool("fetch"),
        lambda: expect(research()).not_to_call_tool("search", {"query": "ML"}),
        lambda: expect(research()).not_to_call_tool("search", by="Writer"),
        lambda: expect(research()).not_to_call_tool("delete", unknown_ok=True),
        lambda: expect(research().task("write")).not_to_call_tool("search"),
    ],
)
def test_it_holds(expectation):
    expectation()


FAILURES = {
    "a wrong argument": (
        lambda: expect(research("Al")).to_call_tool("search", {"query": "AI"}),
        """
        expected: search(query='AI') to be called
        actual:   search was called once, but never so
        nearest:  called as search(query='Al') by 'Researcher' in task 'research': differs in 1 of 1 argument
                  query: expected 'AI', got 'Al'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='Al')
        >       tool search(query='Al') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     The arguments are the model's: see what it was told in the LLM call above the one marked.
        """,
    ),
    "a wrong argument of many": (
        lambda: expect(delegating()).to_call_tool(
            "delegate_work_to_coworker", {"coworker": "Writer", "task": IsStr()}, partial=True
        ),
        """
        expected: delegate_work_to_coworker(coworker='Writer', task=IsStr(), ...) to be called
        actual:   delegate_work_to_coworker was called once, but never so
        nearest:  called as delegate_work_to_coworker(coworker='Researcher', task='Find facts', context='') by 'Boss' in task 'report': differs in 1 of 3 arguments
                  coworker: expected 'Writer', got 'Researcher'
        trace:
          crew crew
            task report
              agent Boss
                llm gpt-4o-mini -> delegate_work_to_coworker(coworker='Researcher', task='Find facts', context='')
        >       tool delegate_work_to_coworker(coworker='Researcher', task='Find facts', context='') -> 'the facts'
                  agent Researcher
                    llm gpt-4o-mini -> 'the facts'
                llm gpt-4o-mini -> 'the report'
        next:     The arguments are the model's: see what it was told in the LLM call above the one marked.
        """,  # noqa: E501
    ),
    "missing and additional arguments": (
        lambda: expect(research()).to_call_tool("search", {"topic": "AI"}),
        """
        expected: search(topic='AI') to be called
        actual:   search was called once, but never so
        nearest:  called as search(query='AI') by 'Researcher' in task 'research': differs in 2 of 2 arguments
                  topic: expected 'AI', got nothing
                  query: expected nothing, got 'AI'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
        >       tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     The arguments are the model's: see what it was told in the LLM call above the one marked.
        """,
    ),
    "arguments by callable": (
        lambda: expect(research()).to_call_tool("search", lambda arguments: False),
        """
        expected: search with arguments a value that passes <lambda> to be called
        actual:   search was called once, but never so
        nearest:  called as search(query='AI') by 'Researcher' in task 'research': differs in its arguments
                  arguments: expected a value that passes <lambda>, got {'query': 'AI'}
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
        >       tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     The arguments are the model's: see what it was told in the LLM call above the one marked.
        """,
    ),
    "never called, though at hand": (
        lambda: expect(research()).to_call_tool("fetch"),
        """
        expected: fetch to be called
        actual:   it was never called; tools called: 'search'
        nearest:  'Researcher' had it at hand and did not call it
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
        next:     The model chose not to call it: see what it was told, and what it answered instead.
        """,
    ),
    "a misspelt tool": (
        lambda: expect(research()).to_call_tool("serach"),
        """
        expected: serach to be called
        actual:   it was never called; tools called: 'search'
        nearest:  no agent has a tool 'serach'; did you mean 'search'?
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
        next:     Give the agent the tool, or name one of its tools: 'search', 'fetch'.
        """,
    ),
    "called elsewhere": (
        lambda: expect(research().task("write")).to_call_tool("search"),
        """
        expected: search to be called in task 'write'
        actual:   it was never called; tools called in task 'write': none
        nearest:  called elsewhere: search(query='AI') by 'Researcher' in task 'research'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
        >       tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     The model chose not to call it: see what it was told, and what it answered instead.
        """,
    ),
    "too seldom": (
        lambda: expect(research()).to_call_tool("search", times=2),
        """
        expected: search to be called 2 times
        actual:   it was called so once
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
        >       tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     Each call that counts is marked.
        """,
    ),
    "too often": (
        lambda: expect(flaky()).to_call_tool("fetch", at_most=1),
        """
        expected: fetch to be called at most once
        actual:   it was called so 2 times
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> fetch(url='x.org')
        >       tool fetch(url='x.org') !! RuntimeError: too slow
        >       tool fetch(url='x.org') -> 'page'
                llm gpt-4o-mini -> 'All is well.'
        next:     Each call that counts is marked.
        """,
    ),
    "too seldom so": (
        lambda: expect(flaky()).to_call_tool("fetch", at_least=2, error=False),
        """
        expected: fetch to be called at least 2 times without an error
        actual:   it was called so once
        nearest:  called as fetch(url='x.org') by 'Researcher' in task 'research': differs in its error
                  error: expected none, got RuntimeError: too slow
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> fetch(url='x.org')
                tool fetch(url='x.org') !! RuntimeError: too slow
        >       tool fetch(url='x.org') -> 'page'
                llm gpt-4o-mini -> 'All is well.'
        next:     Each call that counts is marked.
        """,
    ),
    "by another agent": (
        lambda: expect(research()).to_call_tool("search", by="Writer"),
        """
        expected: search to be called by 'Writer'
        actual:   search was called once, but never so
        nearest:  called as search(query='AI') by 'Researcher' in task 'research': differs in its agent
                  by: expected 'Writer', got 'Researcher'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
        >       tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     See who made the call that is marked, and in which task.
        """,
    ),
    "by an unknown agent": (
        lambda: expect(research()).to_call_tool("search", by="Resercher"),
        """
        expected: search to be called by 'Resercher'
        actual:   the trace has no agent 'Resercher'; did you mean 'Researcher'?
        nearest:  called as search(query='AI') by 'Researcher' in task 'research': differs in its agent
                  by: expected 'Resercher', got 'Researcher'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
        >       tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     agents of this trace: 'Researcher', 'Writer'
        """,
    ),
    "another result": (
        lambda: expect(research()).to_call_tool("search", result="four articles"),
        """
        expected: search to be called with result 'four articles'
        actual:   search was called once, but never so
        nearest:  called as search(query='AI') by 'Researcher' in task 'research': differs in its result
                  result: expected 'four articles', got 'three articles'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
        >       tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     What came back is the tool's: see the call that is marked.
        """,
    ),
    "an error that is another one": (
        lambda: expect(flaky()).to_call_tool("fetch", error=ConnectionError),
        """
        expected: fetch to be called failing with ConnectionError
        actual:   fetch was called 2 times, but never so
        nearest:  called as fetch(url='x.org') by 'Researcher' in task 'research': differs in its error
                  error: expected ConnectionError, got RuntimeError: too slow
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> fetch(url='x.org')
        >       tool fetch(url='x.org') !! RuntimeError: too slow
                tool fetch(url='x.org') -> 'page'
                llm gpt-4o-mini -> 'All is well.'
        next:     What came back is the tool's: see the call that is marked.
        """,
    ),
    "called, and should not be": (
        lambda: expect(research()).not_to_call_tool("search"),
        """
        expected: search not to be called
        actual:   it was called once: search(query='AI') by 'Researcher' in task 'research'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
        >       tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     See what the model was told in the LLM call above the one marked.
        """,
    ),
    "S77: not called, but nobody could": (
        lambda: expect(research()).not_to_call_tool("serach"),
        """
        expected: serach not to be called
        actual:   no agent of the trace has a tool 'serach', so it could not be called; did you mean 'search'?
        nearest:  tools of this trace: 'search', 'fetch'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     Mend the name, or write unknown_ok=True to say that the tool may be unknown.
        """,
    ),
    "S77: not called by an agent who is not there": (
        lambda: expect(research()).not_to_call_tool("search", by="Editor"),
        """
        expected: search not to be called by 'Editor'
        actual:   the trace has no agent 'Editor'
        nearest:  agents of this trace: 'Researcher', 'Writer'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     Mend the name, or write unknown_ok=True to say that it may be unknown.
        """,
    ),
}


@pytest.mark.parametrize(("expectation", "message"), FAILURES.values(), ids=FAILURES)
def test_it_fails_and_says_why(expectation, message):
    assert failure(expectation) == told(message)

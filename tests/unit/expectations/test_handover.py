"""What was handed on."""

from __future__ import annotations

import pytest

from pytest_crewai_trace import expect
from tests.unit.expectations.stories import (
    agent,
    delegating,
    failure,
    flaky,
    llm,
    research,
    span,
    story,
    told,
    tool,
)


def cut_off():
    """The run ends after a tool call."""
    return story(agent("Researcher", llm("Go"), tool("search", "three articles", query="AI"), tools=("search",)))


def answered_by_tool():
    """A tool whose result is the answer (``result_as_answer``)."""
    call = tool("search", "three articles", query="AI")
    return story(agent("Researcher", llm("Go"), call, tools=("search",), output="three articles"))


def between_methods():
    """A flow that calls a tool in one method and a model in the next."""
    first = span("method", "look", tool("search", "three articles", query="AI"), result="three articles")
    return story(span("flow", "Direct", first, span("method", "say", llm("Sum up: three articles"))))


@pytest.mark.parametrize(
    "expectation",
    [
        lambda: expect(delegating()).to_delegate("Boss", to="Researcher"),
        lambda: expect(delegating().task("report")).to_delegate("Boss", to="Researcher"),
        lambda: expect(research().task("write")).to_use_output_of("research"),
        lambda: expect(research().task("write")).to_use_output_of("Researcher"),
        lambda: expect(research()).to_use_output_of("research"),
        lambda: expect(between_methods().method("say")).to_use_output_of("look"),
        lambda: expect(research()).to_use_tool_result("search"),
        lambda: expect(answered_by_tool()).to_use_tool_result("search"),
        lambda: expect(between_methods()).to_use_tool_result("search"),
        lambda: expect(flaky()).to_use_tool_result("fetch"),
        lambda: expect(delegating()).to_use_tool_result("delegate_work_to_coworker"),
    ],
)
def test_it_holds(expectation):
    expectation()


FAILURES = {
    "delegated to another": (
        lambda: expect(delegating(to="Writer")).to_delegate("Boss", to="Researcher"),
        """
        expected: 'Boss' to delegate to 'Researcher'
        actual:   'Boss' delegated once, but not to 'Researcher'
        nearest:  delegate_work_to_coworker(coworker='Writer', task='Find facts', context='') by 'Boss' in task 'report': no agent worked on it: 'Error: no coworker Writer'
        trace:
          crew crew
            task report
              agent Boss
                llm gpt-4o-mini -> delegate_work_to_coworker(coworker='Writer', task='Find facts', context='')
        >       tool delegate_work_to_coworker(coworker='Writer', task='Find facts', context='') -> 'Error: no coworker Writer'
                llm gpt-4o-mini -> 'the report'
        next:     The model names the coworker; agents of this trace: 'Boss'.
        """,  # noqa: E501
    ),
    "nobody delegates": (
        lambda: expect(research()).to_delegate("Researcher", to="Writer"),
        """
        expected: 'Researcher' to delegate to 'Writer'
        actual:   'Researcher' delegated nothing
        nearest:  nobody delegated anything
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
        next:     It had no tool for it: 'Researcher' needs allow_delegation=True and a coworker.
        """,
    ),
    "an unknown agent": (
        lambda: expect(delegating()).to_delegate("Bos", to="Researcher"),
        """
        expected: 'Bos' to delegate to 'Researcher'
        actual:   no agent 'Bos' was at work; did you mean 'Boss'?
        nearest:  who delegated: 'Boss' to 'Researcher'
        trace:
          crew crew
            task report
              agent Boss
                llm gpt-4o-mini -> delegate_work_to_coworker(coworker='Researcher', task='Find facts', context='')
                tool delegate_work_to_coworker(coworker='Researcher', task='Find facts', context='') -> 'the facts'
                  agent Researcher
                    llm gpt-4o-mini -> 'the facts'
                llm gpt-4o-mini -> 'the report'
        next:     agents of this trace: 'Boss', 'Researcher'
        """,
    ),
    "a missing hand-over": (
        lambda: expect(research(handed="").task("write")).to_use_output_of("research"),
        """
        expected: the output of 'research' in a prompt in task 'write'
        actual:   its prompt does not have it
        nearest:  task 'research' came to 'Three articles were found.'
                  the prompt ends with 'Write. '
        trace:
          crew crew
        >   task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
        >       llm gpt-4o-mini -> 'An article.'
        next:     Hand it on: the later task needs context=[research], or to come after it in a sequential crew.
        """,
    ),
    "only a part of a word": (
        lambda: expect(research(handed="xThree articles were found.").task("write")).to_use_output_of("research"),
        """
        expected: the output of 'research' in a prompt in task 'write'
        actual:   its prompt does not have it
        nearest:  task 'research' came to 'Three articles were found.'
                  the prompt ends with 'Write. xThree articles were found.'
        trace:
          crew crew
        >   task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
        >       llm gpt-4o-mini -> 'An article.'
        next:     Hand it on: the later task needs context=[research], or to come after it in a sequential crew.
        """,
    ),
    "an unknown task": (
        lambda: expect(research().task("write")).to_use_output_of("reserch"),
        """
        expected: the output of 'reserch' in a prompt in task 'write'
        actual:   the trace has no task 'reserch'; did you mean 'research'?
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
        next:     tasks of this trace: 'research', 'write'
        """,
    ),
    "what comes later": (
        lambda: expect(research().task("research")).to_use_output_of("write"),
        """
        expected: the output of 'write' in a prompt in task 'research'
        actual:   no LLM call in task 'research' came after it
        nearest:  task 'write' came to 'An article.'
        trace:
          crew crew
        >   task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
        >   task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     An output can only be used by what runs later: see the order in the tree.
        """,
    ),
    "an ignored result": (
        lambda: expect(research(found="nothing")).to_use_tool_result("search"),
        """
        expected: the result of search in the next LLM call
        actual:   the LLM call after search(query='AI') by 'Researcher' in task 'research' does not have it
        nearest:  it gave 'three articles'
                  the prompt ends with 'nothing'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
        >       tool search(query='AI') -> 'three articles'
        >       llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     The result was dropped between the tool and the model: see the two spans that are marked.
        """,
    ),
    "nobody reads the result": (
        lambda: expect(cut_off()).to_use_tool_result("search"),
        """
        expected: the result of search in the next LLM call
        actual:   no LLM call came after search(query='AI') by 'Researcher'
        nearest:  it gave 'three articles'
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
        >   tool search(query='AI') -> 'three articles'
        next:     Nobody read the result: the run ended, or went on without the agent that asked for it.
        """,
    ),
    "a tool that gave nothing": (
        lambda: expect(flaky(then=None)).to_use_tool_result("fetch"),
        """
        expected: the result of fetch in the next LLM call
        actual:   fetch was called once and gave nothing
        nearest:  tool fetch(url='x.org') !! RuntimeError: too slow
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> fetch(url='x.org')
        >       tool fetch(url='x.org') !! RuntimeError: too slow
                llm gpt-4o-mini -> 'All is well.'
        next:     See why the tool failed, or came to nothing.
        """,
    ),
    "never called": (
        lambda: expect(research()).to_use_tool_result("fetch"),
        """
        expected: the result of fetch in the next LLM call
        actual:   fetch was never called
        nearest:  tools called: 'search'
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
        next:     tools of this trace: 'search', 'fetch'
        """,
    ),
}


@pytest.mark.parametrize(("expectation", "message"), FAILURES.values(), ids=FAILURES)
def test_it_fails_and_says_why(expectation, message):
    assert failure(expectation) == told(message)

"""How it ended."""

from __future__ import annotations

import pytest

from pytest_crewai_trace import expect
from tests.unit.expectations.stories import (
    FORCED,
    agent,
    down,
    failure,
    flaky,
    llm,
    research,
    review,
    span,
    story,
    told,
    tool,
)


def guarded(*verdicts):
    """A task whose guardrail says yes or no, attempt by attempt."""
    checks = []
    for attempt, passed in enumerate(verdicts, start=1):
        checks.append(agent("Writer", llm("Write", says="a text")))
        checks.append(
            span("guardrail", "long", success=passed, attempt=attempt, feedback=None if passed else "too short")
        )
    return story(span("crew", "crew", span("task", "write", *checks, output="a text"), output="a text"))


def cached(*from_cache):
    """The same call, from the cache or not."""
    calls = [tool("search", "three", query="AI", _cached=hit) for hit in from_cache]
    return story(agent("Researcher", llm("Go"), *calls, tools=("search",)))


def forced():
    """An agent whom crewAI made to answer."""
    calls = [llm("Go"), tool("search", "three", query="AI"), llm("Go", "three", FORCED, says="my best guess")]
    return story(agent("Researcher", *calls, max_iter=1, tools=("search",)))


def paused():
    return story(
        span("flow", "Review", span("method", "ask", paused=True, status="unset"), paused=True, status="unset")
    )


def survived_and_failed():
    """A tool fails and is survived; later the model is down."""
    calls = [tool("fetch", url="x.org", _error="too slow"), llm("Go", error="model down")]
    broken = agent("Researcher", llm("Go"), *calls, error="model down", tools=("fetch",))
    return story(span("crew", "crew", span("task", "research", broken, error="model down"), error="model down"))


def refused():
    """A tool fails in an agent that goes on; the task fails because of its guardrail."""
    worker = agent("Writer", llm("Go"), tool("fetch", url="x.org", _error="too slow"), llm("Go"), tools=("fetch",))
    verdict = span("guardrail", "long", success=False, feedback="too short")
    return story(span("crew", "crew", span("task", "write", worker, verdict, error="refused"), error="refused"))


def interrupted():
    """An exception left the crew without an end."""
    broken = agent("Researcher", llm("Go", error="boom"), open=True)
    return story(span("crew", "crew", span("task", "research", broken, open=True), open=True))


@pytest.mark.parametrize(
    "expectation",
    [
        lambda: expect(research()).to_succeed().to_have_no_errors(),
        lambda: expect(review()).to_succeed(),
        lambda: expect(flaky()).to_succeed(),
        lambda: expect(down()).to_fail().to_fail(RuntimeError).to_fail("model d.wn").to_fail(with_="RuntimeError: "),
        lambda: expect(interrupted()).to_fail("boom"),
        lambda: expect(survived_and_failed()).to_fail("model down"),
        lambda: expect(refused()).to_fail("refused"),
        lambda: expect(down().task("research")).to_fail(),
        lambda: expect(flaky()).to_recover_from("too slow").to_recover_from(RuntimeError).to_recover_from(True),
        lambda: expect(guarded(True)).to_pass_guardrail().to_pass_guardrail("long", attempts=1),
        lambda: expect(guarded(False, True)).to_pass_guardrail("long", attempts=2).to_pass_guardrail(at_most=2),
        lambda: expect(cached(False, True)).to_hit_cache("search").to_hit_cache("search", times=1),
        lambda: expect(research()).to_finish_before_max_iter().to_finish_before_max_iter("Writer"),
    ],
)
def test_it_holds(expectation):
    expectation()


FAILURES = {
    "it failed": (
        lambda: expect(down()).to_succeed(),
        """
        expected: the run to succeed
        actual:   crew 'crew' failed: RuntimeError: model down
        nearest:  trouble began here: llm gpt-4o-mini !! RuntimeError: model down
        trace:
        > crew crew !! RuntimeError: model down
            task research !! RuntimeError: model down
              agent Researcher !! RuntimeError: model down
        >       llm gpt-4o-mini !! RuntimeError: model down
        next:     See the span that is marked; its error has the traceback: .error.traceback.
        """,
    ),
    "it is paused": (
        lambda: expect(paused()).to_succeed(),
        """
        expected: the run to succeed
        actual:   flow 'Review' is paused, waiting for a person
        trace:
        > flow Review (paused)
            method ask (paused)
        next:     See what it was doing last.
        """,
    ),
    "it did not end": (
        lambda: expect(interrupted()).to_succeed(),
        """
        expected: the run to succeed
        actual:   crew 'crew' did not end
        nearest:  trouble began here: llm gpt-4o-mini !! RuntimeError: boom
        trace:
        > crew crew (open)
            task research (open)
              agent Researcher (open)
        >       llm gpt-4o-mini !! RuntimeError: boom
        next:     See the span that is marked; its error has the traceback: .error.traceback.
        """,
    ),
    "it succeeded": (
        lambda: expect(research()).to_fail(),
        """
        expected: the run to fail
        actual:   it succeeded
        trace:
        > crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     See whether the test brings the failure about, and who caught it.
        """,
    ),
    "it survived": (
        lambda: expect(flaky()).to_fail(RuntimeError),
        """
        expected: the run to fail with RuntimeError
        actual:   it succeeded
        nearest:  survived: tool fetch(url='x.org') !! RuntimeError: too slow
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> fetch(url='x.org')
        >       tool fetch(url='x.org') !! RuntimeError: too slow
                tool fetch(url='x.org') -> 'page'
                llm gpt-4o-mini -> 'All is well.'
        next:     An error that was survived is no failed run: see to_recover_from, or find(status='error').
        """,
    ),
    "another error": (
        lambda: expect(down()).to_fail(TimeoutError),
        """
        expected: the run to fail with TimeoutError
        actual:   it failed with RuntimeError: model down
        trace:
        > crew crew !! RuntimeError: model down
            task research !! RuntimeError: model down
              agent Researcher !! RuntimeError: model down
        >       llm gpt-4o-mini !! RuntimeError: model down
        next:     with_ takes the exception's class, or a regular expression for 'Type: message'.
        """,
    ),
    "an error that was survived before": (
        lambda: expect(survived_and_failed()).to_fail("too slow"),
        """
        expected: the run to fail with /too slow/
        actual:   it failed with RuntimeError: model down
        trace:
        > crew crew !! RuntimeError: model down
            task research !! RuntimeError: model down
              agent Researcher !! RuntimeError: model down
                llm gpt-4o-mini -> 'done'
                tool fetch(url='x.org') !! RuntimeError: too slow
        >       llm gpt-4o-mini !! RuntimeError: model down
        next:     with_ takes the exception's class, or a regular expression for 'Type: message'.
        """,
    ),
    "an error that was survived inside": (
        lambda: expect(refused()).to_fail("too slow"),
        """
        expected: the run to fail with /too slow/
        actual:   it failed with RuntimeError: refused
        trace:
        > crew crew !! RuntimeError: refused
        >   task write !! RuntimeError: refused
              agent Writer
                llm gpt-4o-mini -> 'done'
                tool fetch(url='x.org') !! RuntimeError: too slow
                llm gpt-4o-mini -> 'done'
              guardrail long -> rejected: 'too short'
        next:     with_ takes the exception's class, or a regular expression for 'Type: message'.
        """,
    ),
    "where it began": (
        lambda: expect(survived_and_failed()).to_succeed(),
        """
        expected: the run to succeed
        actual:   crew 'crew' failed: RuntimeError: model down
        nearest:  trouble began here: llm gpt-4o-mini !! RuntimeError: model down
        trace:
        > crew crew !! RuntimeError: model down
            task research !! RuntimeError: model down
              agent Researcher !! RuntimeError: model down
                llm gpt-4o-mini -> 'done'
                tool fetch(url='x.org') !! RuntimeError: too slow
        >       llm gpt-4o-mini !! RuntimeError: model down
        next:     See the span that is marked; its error has the traceback: .error.traceback.
        """,
    ),
    "a swallowed error": (
        lambda: expect(flaky(then=None)).to_have_no_errors(),
        """
        expected: no errors
        actual:   tool 'fetch' failed, and the run went on as if nothing had happened
        nearest:  tool fetch(url='x.org') !! RuntimeError: too slow
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> fetch(url='x.org')
        >       tool fetch(url='x.org') !! RuntimeError: too slow
                llm gpt-4o-mini -> 'All is well.'
        next:     See what the model made of the error, after the span that is marked.
        """,
    ),
    "no recovery": (
        lambda: expect(flaky(then=None)).to_recover_from("too slow"),
        """
        expected: a recovery from /too slow/
        actual:   tool 'fetch' failed once and did not succeed after that
        nearest:  tool fetch(url='x.org') !! RuntimeError: too slow
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> fetch(url='x.org')
        >       tool fetch(url='x.org') !! RuntimeError: too slow
                llm gpt-4o-mini -> 'All is well.'
        next:     It was not tried again: see what came after it.
        """,
    ),
    "nothing to recover from": (
        lambda: expect(research()).to_recover_from(TimeoutError),
        """
        expected: a recovery from TimeoutError
        actual:   nothing failed
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
        next:     Without the error there is nothing to recover from: see whether the test brings it about.
        """,
    ),
    "another error to recover from": (
        lambda: expect(flaky()).to_recover_from(TimeoutError),
        """
        expected: a recovery from TimeoutError
        actual:   nothing failed so
        nearest:  what failed: tool fetch(url='x.org') !! RuntimeError: too slow
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> fetch(url='x.org')
        >       tool fetch(url='x.org') !! RuntimeError: too slow
                tool fetch(url='x.org') -> 'page'
                llm gpt-4o-mini -> 'All is well.'
        next:     Without the error there is nothing to recover from: see whether the test brings it about.
        """,
    ),
    "a guardrail that never says yes": (
        lambda: expect(guarded(False, False)).to_pass_guardrail("long"),
        """
        expected: guardrail 'long' to pass
        actual:   guardrail 'long' did not pass at attempt 2
        nearest:  it said: 'too short'
        trace:
          crew crew
            task write
              agent Writer
                llm gpt-4o-mini -> 'a text'
        >     guardrail long -> rejected: 'too short'
              agent Writer
                llm gpt-4o-mini -> 'a text'
        >     guardrail long (attempt 2) -> rejected: 'too short'
        next:     Each verdict is marked.
        """,
    ),
    "a guardrail that says yes late": (
        lambda: expect(guarded(False, True)).to_pass_guardrail("long", attempts=1),
        """
        expected: guardrail 'long' to pass at attempt 1
        actual:   guardrail 'long' passed at attempt 2
        nearest:  it said: 'too short'
        trace:
          crew crew
            task write
              agent Writer
                llm gpt-4o-mini -> 'a text'
        >     guardrail long -> rejected: 'too short'
              agent Writer
                llm gpt-4o-mini -> 'a text'
        >     guardrail long (attempt 2) -> passed
        next:     Each verdict is marked.
        """,
    ),
    "no guardrail": (
        lambda: expect(research()).to_pass_guardrail("long"),
        """
        expected: guardrail 'long' to pass
        actual:   no guardrail 'long' checked anything
        nearest:  guardrails: none
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
        next:     Give the task its guardrail=.
        """,
    ),
    "no cache": (
        lambda: expect(cached(False, False)).to_hit_cache("search"),
        """
        expected: search to be answered from the cache
        actual:   it was called 2 times, and answered from the cache never
        nearest:  its calls: tool search(query='AI') -> 'three'
                  tool search(query='AI') -> 'three'
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
        >   tool search(query='AI') -> 'three'
        >   tool search(query='AI') -> 'three'
        next:     The cache answers the same tool with the same arguments again; the crew needs cache=True.
        """,
    ),
    "cached, but never called": (
        lambda: expect(research()).to_hit_cache("fetch"),
        """
        expected: fetch to be answered from the cache
        actual:   it was never called
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
    "max_iter": (
        lambda: expect(forced()).to_finish_before_max_iter(),
        """
        expected: every agent to finish before its max_iter
        actual:   'Researcher' reached max_iter=1: crewAI then made it answer
        nearest:  the answer it was made to give: 'my best guess'
        trace:
        > agent Researcher
            llm gpt-4o-mini -> 'done'
            tool search(query='AI') -> 'three'
        >   llm gpt-4o-mini -> 'my best guess'
        next:     See which calls took it so long; give it a better task, or a higher max_iter.
        """,
    ),
    "max_iter of an unknown agent": (
        lambda: expect(forced()).to_finish_before_max_iter("Reseacher"),
        """
        expected: 'Reseacher' to finish before its max_iter
        actual:   no agent 'Reseacher' was at work; did you mean 'Researcher'?
        trace:
          agent Researcher
            llm gpt-4o-mini -> 'done'
            tool search(query='AI') -> 'three'
            llm gpt-4o-mini -> 'my best guess'
        next:     agents of this trace: 'Researcher'
        """,
    ),
}


@pytest.mark.parametrize(("expectation", "message"), FAILURES.values(), ids=FAILURES)
def test_it_fails_and_says_why(expectation, message):
    assert failure(expectation) == told(message)

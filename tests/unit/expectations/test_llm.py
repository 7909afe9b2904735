"""What models were called, said and saw."""

from __future__ import annotations

import re

import pytest

from pytest_crewai_trace import expect
from tests.unit.expectations.stories import down, failure, research, review, told


@pytest.mark.parametrize(
    "expectation",
    [
        lambda: (
            expect(research())
            .to_call_llm()
            .to_call_llm("gpt-4o-mini", times=3)
            .to_call_llm(model="openai/gpt-4o-mini", at_least=2)
        ),
        lambda: (
            expect(research())
            .to_call_llm(by="Writer", times=1)
            .to_call_llm(in_task="research", times=2, model="gpt-4o-mini")
        ),
        lambda: expect(research().agent("Writer")).to_call_llm(times=1),
        lambda: expect(review()).not_to_call_llm(),
        lambda: (
            expect(research()).not_to_call_llm("gpt-5", unknown_ok=True).not_to_call_llm(by="Editor", unknown_ok=True)
        ),
        lambda: expect(research()).to_say("An article.", by="Writer").to_say(re.compile("^Three"), in_task="research"),
        lambda: expect(research()).to_say(lambda text: text.endswith("found.")),
        lambda: (
            expect(research()).not_to_say("password").not_to_say("Three", by="Writer").not_to_say(re.compile("x{3}"))
        ),
        lambda: expect(review()).to_say("out"),
        lambda: (
            expect(research()).to_see("three articles", by="Researcher").to_see(re.compile("^You are"), by="Writer")
        ),
        lambda: expect(research()).not_to_see("password").not_to_see("three articles", by="Writer"),
    ],
)
def test_it_holds(expectation):
    expectation()


FAILURES = {
    "a model that was not called": (
        lambda: expect(research()).to_call_llm("gpt-4o"),
        """
        expected: an LLM call of gpt-4o to be made
        actual:   gpt-4o was never called; did you mean 'gpt-4o-mini'?
        nearest:  models called: 'openai/gpt-4o-mini' (3 times)
        trace:
          crew crew
            task research
              agent Researcher
        >       llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
        >       llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
        >       llm gpt-4o-mini -> 'An article.'
        next:     Mend the name, or see which model the agents were given.
        """,
    ),
    "too often": (
        lambda: expect(research()).to_call_llm(times=2),
        """
        expected: an LLM call to be made 2 times
        actual:   it was made 3 times
        trace:
          crew crew
            task research
              agent Researcher
        >       llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
        >       llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
        >       llm gpt-4o-mini -> 'An article.'
        next:     Each call that counts is marked.
        """,
    ),
    "too seldom": (
        lambda: expect(research()).to_call_llm(by="Writer", at_least=2),
        """
        expected: an LLM call by 'Writer' to be made at least 2 times
        actual:   it was made once
        nearest:  models called: 'openai/gpt-4o-mini'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
        >       llm gpt-4o-mini -> 'An article.'
        next:     Each call that counts is marked.
        """,
    ),
    "no model at all": (
        lambda: expect(review()).to_call_llm(),
        """
        expected: an LLM call to be made
        actual:   no model was called
        trace:
          flow Review
            method draft -> 'a text'
            method judge -> 'approved'
            method publish -> 'out'
        next:     See what ran; a model that is replaced by a mock is not traced.
        """,
    ),
    "an unknown agent": (
        lambda: expect(research()).to_call_llm(by="Resercher"),
        """
        expected: an LLM call by 'Resercher' to be made
        actual:   the trace has no agent 'Resercher'; did you mean 'Researcher'?
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
        next:     agents of this trace: 'Researcher', 'Writer'
        """,
    ),
    "called, and should not be": (
        lambda: expect(research()).not_to_call_llm(by="Writer"),
        """
        expected: no LLM call by 'Writer'
        actual:   a model was called once
        nearest:  models called: 'openai/gpt-4o-mini'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
        >       llm gpt-4o-mini -> 'An article.'
        next:     Each call is marked.
        """,
    ),
    "S77: an unknown model": (
        lambda: expect(research()).not_to_call_llm("gpt-4o-min"),
        """
        expected: no LLM call of gpt-4o-min
        actual:   no LLM call of the trace is of gpt-4o-min, so it proves nothing; did you mean 'gpt-4o-mini'?
        nearest:  models called: 'openai/gpt-4o-mini' (3 times)
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
    "not said": (
        lambda: expect(research()).to_say("four articles"),
        """
        expected: 'four articles' to be said by anyone
        actual:   it is in none of 8 answers and outputs
        nearest:  LLM call 'gpt-4o-mini' said 'An article.'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
        >       llm gpt-4o-mini -> 'An article.'
        next:     See what the model was told in the LLM call that is marked.
        """,
    ),
    "only the case": (
        lambda: expect(research()).to_say("AN ARTICLE", by="Writer"),
        """
        expected: 'AN ARTICLE' to be said by 'Writer'
        actual:   it is in none of 2 answers and outputs
        nearest:  LLM call 'gpt-4o-mini' said 'An article.': only the case differs
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
        >       llm gpt-4o-mini -> 'An article.'
        next:     See what the model was told in the LLM call that is marked.
        """,
    ),
    "nobody said anything": (
        lambda: expect(down()).to_say("article"),
        """
        expected: 'article' to be said by anyone
        actual:   nothing was said: no model answered and nothing has an output
        trace:
          crew crew !! RuntimeError: model down
            task research !! RuntimeError: model down
              agent Researcher !! RuntimeError: model down
                llm gpt-4o-mini !! RuntimeError: model down
        next:     See what ran; a model that is replaced by a mock is not traced.
        """,
    ),
    "said": (
        lambda: expect(research()).not_to_say("articles"),
        """
        expected: 'articles' not to be said by anyone
        actual:   LLM call 'gpt-4o-mini' said 'Three articles were found.'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
        >       llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     See what the model was told in the span that is marked.
        """,
    ),
    "S77: nobody said anything, so it proves nothing": (
        lambda: expect(down()).not_to_say("articles"),
        """
        expected: 'articles' not to be said by anyone
        actual:   nothing was said, so it proves nothing: no model answered and nothing has an output
        trace:
          crew crew !! RuntimeError: model down
            task research !! RuntimeError: model down
              agent Researcher !! RuntimeError: model down
                llm gpt-4o-mini !! RuntimeError: model down
        next:     See why nothing ran, or write unknown_ok=True to say that this may be so.
        """,
    ),
    "S77: an agent who is not there said nothing": (
        lambda: expect(research()).not_to_say("articles", by="Editor"),
        """
        expected: 'articles' not to be said by 'Editor'
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
    "not seen": (
        lambda: expect(research()).to_see("four articles", by="Writer"),
        """
        expected: 'four articles' to be in a prompt of 'Writer'
        actual:   it is in none of 2 messages
        nearest:  the last one: 'Write. Three articles were found.'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
        >       llm gpt-4o-mini -> 'An article.'
        next:     What is not in a prompt the model cannot know: see the task's description and context.
        """,
    ),
    "seen": (
        lambda: expect(research()).not_to_see(re.compile("art.cles")),
        """
        expected: /art.cles/ not to be in a prompt
        actual:   the user message of LLM call 'gpt-4o-mini' has it: 'three articles'
        trace:
          crew crew
            task research
              agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
        >       llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
                llm gpt-4o-mini -> 'An article.'
        next:     The first LLM call that was sent it is marked.
        """,
    ),
    "S77: nobody was asked": (
        lambda: expect(review()).not_to_see("secret"),
        """
        expected: 'secret' not to be in a prompt
        actual:   no model was asked anything, so it proves nothing
        trace:
          flow Review
            method draft -> 'a text'
            method judge -> 'approved'
            method publish -> 'out'
        next:     See why nothing ran, or write unknown_ok=True to say that this may be so.
        """,
    ),
}


@pytest.mark.parametrize(("expectation", "message"), FAILURES.values(), ids=FAILURES)
def test_it_fails_and_says_why(expectation, message):
    assert failure(expectation) == told(message)

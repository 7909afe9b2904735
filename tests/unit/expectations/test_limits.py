"""What may be used."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pytest_crewai_trace import expect
from tests.unit.expectations.stories import agent, failure, llm, research, review, story, told


def unpriced():
    return story(agent("Researcher", llm("Go", model="acme/secret-1")))


def unreported():
    return story(agent("Researcher", llm("Go"), llm("Go", tokens=None)))


def unfinished():
    return story(agent("Researcher", llm("Go"), open=True))


@pytest.mark.parametrize(
    "expectation",
    [
        lambda: expect(research()).to_stay_within(
            llm_calls=3, tool_calls=1, input_tokens=500, output_tokens=60, total_tokens=560
        ),
        lambda: (
            expect(research())
            .to_stay_within(cost="0.01", seconds=60)
            .to_stay_within(cost=0.01)
            .to_stay_within(cost=Decimal(1))
        ),
        lambda: expect(research().agent("Writer")).to_stay_within(llm_calls=1, tool_calls=0, total_tokens=320),
        lambda: expect(research().task("write")).to_stay_within(seconds=10),
        lambda: expect(review()).to_stay_within(llm_calls=0),
        lambda: expect(unreported()).to_stay_within(llm_calls=2),
    ],
)
def test_it_holds(expectation):
    expectation()


FAILURES = {
    "too many tokens": (
        lambda: expect(research()).to_stay_within(total_tokens=500),
        """
        expected: at most 500 tokens
        actual:   560 tokens, 60 too many
        nearest:  what used most:
                  320 tokens: llm gpt-4o-mini -> 'An article.' by 'Writer'
                  120 tokens: llm gpt-4o-mini -> search(query='AI') by 'Researcher'
                  120 tokens: llm gpt-4o-mini -> 'Three articles were found.' by 'Researcher'
        trace:
          crew crew  [17.00 s]
            task research  [9.00 s]
              agent Researcher  [7.00 s]
        >       llm gpt-4o-mini -> search(query='AI')  [1.00 s, 120 tokens]
                tool search(query='AI') -> 'three articles'  [1.00 s]
        >       llm gpt-4o-mini -> 'Three articles were found.'  [1.00 s, 120 tokens]
            task write  [5.00 s]
              agent Writer  [3.00 s]
        >       llm gpt-4o-mini -> 'An article.'  [1.00 s, 320 tokens]
        next:     The spans that used most are marked.
        """,
    ),
    "several limits": (
        lambda: expect(research()).to_stay_within(llm_calls=2, tool_calls=0, input_tokens=499, seconds=3),
        """
        expected: at most 2 LLM calls, 0 tool calls, 499 input tokens, 3 s
        actual:   3 LLM calls, 1 too many
                  1 tool call, 1 too many
                  500 input tokens, 1 too many
                  17 s, 14 s too much
        nearest:  what used most:
                  1 LLM call: llm gpt-4o-mini -> search(query='AI') by 'Researcher'
                  1 LLM call: llm gpt-4o-mini -> 'Three articles were found.' by 'Researcher'
                  1 LLM call: llm gpt-4o-mini -> 'An article.' by 'Writer'
        trace:
          crew crew  [17.00 s]
            task research  [9.00 s]
              agent Researcher  [7.00 s]
        >       llm gpt-4o-mini -> search(query='AI')  [1.00 s, 120 tokens]
                tool search(query='AI') -> 'three articles'  [1.00 s]
        >       llm gpt-4o-mini -> 'Three articles were found.'  [1.00 s, 120 tokens]
            task write  [5.00 s]
              agent Writer  [3.00 s]
        >       llm gpt-4o-mini -> 'An article.'  [1.00 s, 320 tokens]
        next:     The spans that used most are marked.
        """,
    ),
    "too expensive": (
        lambda: expect(research()).to_stay_within(cost="0.0001"),
        """
        expected: at most $0.0001
        actual:   $0.000111, $0.000011 too much
        nearest:  what used most:
                  $0.000057: llm gpt-4o-mini -> 'An article.' by 'Writer'
                  $0.000027: llm gpt-4o-mini -> search(query='AI') by 'Researcher'
                  $0.000027: llm gpt-4o-mini -> 'Three articles were found.' by 'Researcher'
        trace:
          crew crew  [17.00 s]
            task research  [9.00 s]
              agent Researcher  [7.00 s]
        >       llm gpt-4o-mini -> search(query='AI')  [1.00 s, 120 tokens]
                tool search(query='AI') -> 'three articles'  [1.00 s]
        >       llm gpt-4o-mini -> 'Three articles were found.'  [1.00 s, 120 tokens]
            task write  [5.00 s]
              agent Writer  [3.00 s]
        >       llm gpt-4o-mini -> 'An article.'  [1.00 s, 320 tokens]
        next:     The spans that used most are marked.
        """,
    ),
    "of one agent": (
        lambda: expect(research().agent("Researcher")).to_stay_within(output_tokens=39),
        """
        expected: at most 39 output tokens in agent 'Researcher'
        actual:   40 output tokens, 1 too many
        nearest:  what used most:
                  20 output tokens: llm gpt-4o-mini -> search(query='AI') by 'Researcher'
                  20 output tokens: llm gpt-4o-mini -> 'Three articles were found.' by 'Researcher'
        trace:
          crew crew  [17.00 s]
            task research  [9.00 s]
              agent Researcher  [7.00 s]
        >       llm gpt-4o-mini -> search(query='AI')  [1.00 s, 120 tokens]
                tool search(query='AI') -> 'three articles'  [1.00 s]
        >       llm gpt-4o-mini -> 'Three articles were found.'  [1.00 s, 120 tokens]
            task write  [5.00 s]
              agent Writer  [3.00 s]
                llm gpt-4o-mini -> 'An article.'  [1.00 s, 320 tokens]
        next:     The spans that used most are marked.
        """,
    ),
    "S78: tokens that were never reported": (
        lambda: expect(unreported()).to_stay_within(total_tokens=10_000),
        """
        expected: at most 10,000 tokens
        actual:   1 of 2 LLM calls did not report its tokens
        trace:
          agent Researcher  [5.00 s]
            llm gpt-4o-mini -> 'done'  [1.00 s, 120 tokens]
        >   llm gpt-4o-mini -> 'done'  [1.00 s]
        next:     An unknown number is within no limit. Have the model report its usage, or limit llm_calls instead.
        """,
    ),
    "S78: a cost without a price": (
        lambda: expect(unpriced()).to_stay_within(cost=1),
        """
        expected: at most $1.00
        actual:   no price is known for acme/secret-1
        trace:
          agent Researcher  [3.00 s]
            llm gpt-4o-mini -> 'done'  [1.00 s, 120 tokens]
        next:     An unknown number is within no limit. Use a model whose price genai-prices knows, or limit tokens or calls instead.
        """,  # noqa: E501
    ),
    "S78: tokens, and no model was called": (
        lambda: expect(review()).to_stay_within(total_tokens=100, cost=1),
        """
        expected: at most 100 tokens, $1.00
        actual:   no LLM call was traced, so nothing is known of tokens or cost
        trace:
          flow Review  [7.00 s]
            method draft -> 'a text'  [1.00 s]
            method judge -> 'approved'  [1.00 s]
            method publish -> 'out'  [1.00 s]
        next:     An unknown number is within no limit. See why no model was asked, or limit llm_calls instead.
        """,
    ),
    "S78: the time of what did not end": (
        lambda: expect(unfinished()).to_stay_within(seconds=100),
        """
        expected: at most 100 s
        actual:   the run did not end, so nothing is known of its time
        trace:
          agent Researcher (open)
            llm gpt-4o-mini -> 'done'  [1.00 s, 120 tokens]
        next:     An unknown number is within no limit. See what did not end.
        """,
    ),
}


@pytest.mark.parametrize(("expectation", "message"), FAILURES.values(), ids=FAILURES)
def test_it_fails_and_says_why(expectation, message):
    assert failure(expectation) == told(message)

"""What came out."""

from __future__ import annotations

import re

import pytest
from dirty_equals import IsPositiveInt, IsStr
from pydantic import BaseModel

from pytest_crewai_trace import expect
from tests.unit.expectations.stories import down, failure, research, review, span, story, told


class Report(BaseModel):
    title: str
    pages: int


def reported(data=None, text="a text"):
    """A task with an output as data, as text, or both."""
    return story(span("task", "report", output=text, output_data=data))


DATA = {"title": "AI", "pages": 3, "parts": [{"name": "one"}]}


@pytest.mark.parametrize(
    "expectation",
    [
        lambda: expect(research()).to_output("An article."),
        lambda: expect(research().task("research")).to_output(re.compile("Three")),
        lambda: expect(research().agent("Writer")).to_output(lambda text: text.startswith("An")),
        lambda: expect(reported(DATA)).to_output(Report).to_output(DATA).to_output({"pages": 3}, partial=True),
        lambda: expect(reported(DATA).task("report")).to_output(
            {"title": IsStr(), "pages": IsPositiveInt, "parts": [{"name": "one"}]}
        ),
        lambda: expect(reported({"title": "AI", "pages": 3})).to_output(Report(title="AI", pages=3)),
        lambda: expect(reported(text='{"title": "AI", "pages": 3}')).to_output(Report),
        lambda: expect(reported(text='```json\n{"title": "AI", "pages": 3}\n```')).to_output(
            {"title": "AI", "pages": 3}
        ),
        lambda: expect(review().method("judge")).to_output("approved"),
        lambda: expect(research().tool("search")).to_output("three articles"),
        lambda: expect(research().llm_calls.last).to_output("An article."),
    ],
)
def test_it_holds(expectation):
    expectation()


FAILURES = {
    "another text": (
        lambda: expect(research()).to_output("An Article."),
        """
        expected: the output of crew 'crew' to be 'An Article.'
        actual:   it is 'An article.'
        nearest:  differs in 1 place
                  expected 'An Article.', got 'An article.'
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
        next:     See the answer that became the output, in the last LLM call of the span that is marked.
        """,
    ),
    "long texts, cut around the difference": (
        lambda: expect(reported(text="a" * 200 + "b" + "c" * 200)).to_output("a" * 200 + "x" + "c" * 200),
        """
        expected: the output of task 'report' to be 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...ccccccccccccccccccccccccccccccccc'
        actual:   it is 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...ccccccccccccccccccccccccccccccccc'
        nearest:  differs in 1 place
                  expected …'aaaaaaaaaaaaaaaaaaaaxccccccccccccccccccccccccccccccccccccccc'…, got …'aaaaaaaaaaaaaaaaaaaabccccccccccccccccccccccccccccccccccccccc'…
        trace:
        > task report
        next:     See the answer that became the output, in the last LLM call of the span that is marked.
        """,  # noqa: E501
    ),
    "other data": (
        lambda: expect(reported(DATA)).to_output({"title": "AI", "pages": 4, "parts": [{"name": "two"}], "more": 1}),
        """
        expected: the output of task 'report' to be {'more': 1, 'pages': 4, 'parts': [{'name': 'two'}], 'title': 'AI'}
        actual:   it is {'pages': 3, 'parts': [{'name': 'one'}], 'title': 'AI'}
        nearest:  differs in 3 places
                  pages: expected 4, got 3
                  parts[0].name: expected 'two', got 'one'
                  more: expected 1, got nothing
        trace:
        > task report
        next:     See the answer that became the output, in the last LLM call of the span that is marked.
        """,
    ),
    "a model that refuses it": (
        lambda: expect(reported({"title": 1})).to_output(Report),
        """
        expected: the output of task 'report' to be a Report
        actual:   it is {'title': 1}
        nearest:  differs in 2 places
                  title: expected Input should be a valid string, got 1
                  pages: expected Field required, got {'title': 1}
        trace:
        > task report
        next:     See the answer that became the output, in the last LLM call of the span that is marked.
        """,
    ),
    "no JSON": (
        lambda: expect(reported()).to_output(Report),
        """
        expected: the output of task 'report' to be a Report
        actual:   it is a text and not JSON: 'a text'
        trace:
        > task report
        next:     Give the task output_pydantic= or output_json=.
        """,
    ),
    "a callable": (
        lambda: expect(reported()).to_output(str.isupper),
        """
        expected: the output of task 'report' to be a value that passes isupper
        actual:   it is 'a text'
        nearest:  differs in 1 place
                  expected a value that passes isupper, got 'a text'
        trace:
        > task report
        next:     See the answer that became the output, in the last LLM call of the span that is marked.
        """,
    ),
    "it failed": (
        lambda: expect(down()).to_output("An article."),
        """
        expected: the output of crew 'crew' to be 'An article.'
        actual:   crew 'crew' failed, so it has no output: RuntimeError: model down
        trace:
        > crew crew !! RuntimeError: model down
            task research !! RuntimeError: model down
              agent Researcher !! RuntimeError: model down
                llm gpt-4o-mini !! RuntimeError: model down
        next:     See the last thing that happened inside the span that is marked.
        """,
    ),
    "no output": (
        lambda: expect(reported(text=None)).to_output("a text"),
        """
        expected: the output of task 'report' to be 'a text'
        actual:   task 'report' has no output
        trace:
        > task report
        next:     See the last thing that happened inside the span that is marked.
        """,
    ),
}


@pytest.mark.parametrize(("expectation", "message"), FAILURES.values(), ids=FAILURES)
def test_it_fails_and_says_why(expectation, message):
    assert failure(expectation) == told(message)

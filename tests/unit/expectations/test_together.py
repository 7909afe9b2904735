"""``expect.all()``: several failures, told together."""

from __future__ import annotations

import pytest

from pytest_crewai_trace import TraceAssertionError, expect
from tests.unit.expectations.stories import failure, research, review, told


def test_all_failures_are_told_with_one_tree():
    trace = research()

    def several():
        with expect.all():
            expect(trace).to_call_tool("fetch")
            expect(trace).to_call_tool("search")
            expect(trace.agent("Writer")).to_say("four").to_have_no_errors()

    assert failure(several) == told(
        """
        2 expectations do not hold

        1.
        expected: fetch to be called
        actual:   it was never called; tools called: 'search'
        nearest:  'Researcher' had it at hand and did not call it
        next:     The model chose not to call it: see what it was told, and what it answered instead.

        2.
        expected: 'four' to be said by anyone in agent 'Writer'
        actual:   it is in none of 2 answers and outputs
        nearest:  LLM call 'gpt-4o-mini' said 'An article.'
        next:     See what the model was told in the LLM call that is marked.

        trace:
          crew crew
            task research
        >     agent Researcher
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'three articles'
                llm gpt-4o-mini -> 'Three articles were found.'
            task write
              agent Writer
        >       llm gpt-4o-mini -> 'An article.'
        """
    )


def test_one_failure_reads_as_it_would_alone():
    trace = research()

    def alone():
        with expect.all():
            expect(trace).to_call_tool("fetch")

    assert failure(alone) == failure(lambda: expect(trace).to_call_tool("fetch"))


def test_nothing_to_tell():
    with expect.all():
        expect(research()).to_succeed()
    with expect.all():
        pass


def test_two_traces_are_two_trees():
    def several():
        with expect.all():
            expect(research()).to_call_tool("fetch")
            expect(review()).to_route("nowhere")

    message = failure(several)
    assert message.count("trace:") == 1
    assert "  crew crew" in message
    assert "  flow Review" in message


def test_a_block_in_a_block():
    def several():
        with expect.all():
            with expect.all():
                expect(research()).to_call_tool("fetch")
            expect(research()).to_say("four")

    with pytest.raises(TraceAssertionError, match="2 expectations do not hold"):
        several()


def test_after_the_block_failures_are_raised_at_once():
    with pytest.raises(TraceAssertionError), expect.all():
        expect(research()).to_call_tool("fetch")
    with pytest.raises(TraceAssertionError) as caught:
        expect(research()).to_call_tool("fetch")
    assert len(caught.value.mismatches) == 1


def test_what_else_is_raised_goes_on_with_a_note():
    def broken():
        with expect.all():
            expect(research()).to_call_tool("fetch")
            return 1 / 0

    with pytest.raises(ZeroDivisionError) as caught:
        broken()
    assert caught.value.__notes__[0].startswith("before that, expected: fetch to be called\n")

    with pytest.raises(AssertionError, match="plain") as caught, expect.all():
        assert not "x", "plain"
    assert not hasattr(caught.value, "__notes__")


def test_a_mistake_is_not_collected():
    with pytest.raises(ValueError, match="times=-1"), expect.all():
        expect(research()).to_call_tool("fetch", times=-1)

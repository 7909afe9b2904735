"""S77: no assertion passes because nothing was seen."""

from __future__ import annotations

import pytest

QUESTIONS = [
    "trace.tool_calls == []",
    "trace.spans == ()",
    "not trace.tools",
    "len(trace.crews) == 0",
    "trace.errors == []",
    "'search' not in trace.tools.names",
    "not trace.tools.named('search')",
    "not trace.find(kind='tool')",
    "not trace.roots",
    "trace.usage.total_tokens < 1000",
    "trace.usage.total_tokens == 0",
    "not trace.cost",
    "trace.output is None",
    "trace.duration < 10",
    "trace.tools.failed == ()",
    "not trace.agents.of(agent='Researcher')",
    "trace.tool('search')",
    "trace.task('research')",
    "trace == trace.model_copy()",
    "trace != Trace()",
]


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ("", "TraceIncompleteError: the trace is empty: nothing of crewAI has run in this test*"),
        (
            "run(); mock_bus()",
            "TraceIncompleteError: the trace is incomplete: crewai_event_bus.emit was replaced (by a mock?)*",
        ),
    ],
    ids=["empty", "incomplete"],
)
def test_s77_a_question_fails_and_says_why(crews, events, said):
    crews.tests(f"""
        from unittest.mock import patch
        from crewai.events import crewai_event_bus

        @pytest.fixture
        def mock_bus():
            mocked = patch.object(crewai_event_bus, "emit")
            yield mocked.start
            patch.stopall()

        @pytest.mark.parametrize("question", {QUESTIONS!r})
        def test_one(crewai_trace, mock_bus, question):
            {events}
            trace = crewai_trace
            with pytest.raises(TraceIncompleteError) as raised:
                assert eval(question)
            told.add(f"TraceIncompleteError: {{raised.value}}")

        told = set()

        def test_told():
            (said,) = told
            print("SAID", said)
        """)

    result = crews.run("-s")

    result.assert_outcomes(passed=len(QUESTIONS) + 1)
    result.stdout.fnmatch_lines([f"*SAID {said}".replace("[", "[[]")])


def test_s77_an_assertion_shows_the_reason_and_not_our_frames(crews):
    crews.tests("def test_one(crewai_trace): assert crewai_trace.tool_calls == []")

    result = crews.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *TraceIncompleteError: the trace is empty: *(to say that this is meant: assert *)"])
    assert "pytest_crewai_trace/" not in str(result.stdout)


def test_s77_that_nothing_ran_can_be_asked(crews):
    crews.tests("""
        def test_empty(crewai_trace):
            assert crewai_trace.empty
            assert crewai_trace.complete
            assert crewai_trace.incomplete == ()
            assert repr(crewai_trace) == "<Trace: empty>"

        def test_not(crewai_trace):
            run()
            assert not crewai_trace.empty
            assert crewai_trace.tool_calls == []
        """)

    crews.run().assert_outcomes(passed=2)

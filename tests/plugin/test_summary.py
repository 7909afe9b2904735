"""The one line at the end: how many traces, calls and tokens, what they cost, how long the tools took."""

from __future__ import annotations

import pytest

from pytest_crewai_trace.report.terminal import Counts, summary
from pytest_crewai_trace.trace.usage import Usage
from tests.plugin.terminal import summary_line


def test_one_of_each(crews):
    crews.tests("def test_one(): run()")

    assert summary_line(crews.run("--crewai-trace")) == (
        "crewai-trace: 1 trace, 1 LLM call, 15 tokens, $0.0000045, T s in tools"
    )


def test_more_of_each(crews):
    crews.tests("""
        def test_one():
            run(react("search", query="AI"), final("done"), tools=[search])

        def test_two(): run()

        def test_three(): pass

        def test_four():
            run()
            assert False
        """)

    result = crews.run("--crewai-trace")

    result.assert_outcomes(passed=3, failed=1)
    assert summary_line(result) == "crewai-trace: 3 traces, 4 LLM calls, 60 tokens, $0.000018, T s in tools"


def test_what_fixtures_ran_is_counted_too(crews):
    crews.tests("""
        @pytest.fixture
        def article():
            run()
            yield
            run()

        def test_one(article): run()
        """)

    assert summary_line(crews.run("--crewai-trace")).startswith("crewai-trace: 1 trace, 3 LLM calls, 45 tokens, ")


def test_no_model_was_called(crews):
    crews.tests("""
        class Greeting(Flow):
            @start()
            def hello(self):
                return "hello"

        def test_one(): Greeting().kickoff()
        """)

    assert summary_line(crews.run("--crewai-trace")) == "crewai-trace: 1 trace, 0 LLM calls, T s in tools"


def test_a_model_without_a_price(crews):
    crews.tests("""
        def test_one(): ScriptedLLM("hi", model="openai/nobody-sells-this").call("hello")

        def test_two(): ScriptedLLM("hi").call("hello")
        """)

    result = crews.run("--crewai-trace")
    assert summary_line(result) == (
        "crewai-trace: 2 traces, 2 LLM calls, 30 tokens, $0.0000045 and 1 model without a price, T s in tools"
    )
    # Where no price is known, no cost is claimed.
    result = crews.run("--crewai-trace", "-k", "test_one")
    assert summary_line(result) == "crewai-trace: 1 trace, 1 LLM call, 15 tokens, T s in tools"


def test_calls_that_did_not_say(crews):
    crews.tests("""
        class Silent(ScriptedLLM):
            def _emit_call_completed_event(self, *args, usage=None, **options):
                super()._emit_call_completed_event(*args, usage=None, **options)

        def test_one(): Silent("hi").call("hello")

        def test_two(): Silent("hi").call("hello")

        def test_three(): ScriptedLLM("hi").call("hello")
        """)

    assert summary_line(crews.run("--crewai-trace")) == (
        "crewai-trace: 3 traces, 3 LLM calls, 15 tokens (2 calls did not say), $0.0000045, T s in tools"
    )
    assert summary_line(crews.run("--crewai-trace", "-k", "test_one")) == (
        "crewai-trace: 1 trace, 1 LLM call, 0 tokens (1 call did not say), T s in tools"
    )


def test_silent_when_nothing_was_traced(crews):
    crews.tests("""
        def test_one(): pass

        @pytest.mark.crewai_trace(enabled=False)
        def test_two(): run()
        """)

    assert summary_line(crews.run("--crewai-trace")) is None
    assert "crewai-trace" not in str(crews.run().stdout)


def test_without_an_option_only_the_tests_that_ask_are_counted(crews):
    crews.tests("def test_one(crewai_trace): run()\ndef test_two(): run()")

    result = crews.run()

    assert summary_line(result) == "crewai-trace: 1 trace, 1 LLM call, 15 tokens, $0.0000045, T s in tools"
    assert str(result.stdout).count("crewai-trace:") == 1


@pytest.mark.parametrize("option", ["-q", "-qq", "-v"])
def test_however_much_pytest_says(crews, option):
    crews.tests("def test_one(): run()")

    assert summary_line(crews.run("--crewai-trace", option)) is not None


def test_without_a_terminal(crews):
    crews.tests("def test_one(): run()\ndef test_two(): assert False")

    result = crews.run("--crewai-trace", "-p", "no:terminal")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert not result.outlines
    assert not crews.traces["test_one"].empty


def test_s12_s47_each_attempt_is_a_trace(crews):
    pytest.importorskip("pytest_rerunfailures")
    crews.tests("""
        attempts = []

        def test_one(crewai_trace):
            attempts.append(1)
            run(name=f"attempt {len(attempts)}")
            assert crewai_trace.crews.names == [f"attempt {len(attempts)}"]
            assert len(attempts) == 3
        """)

    result = crews.run("-p", "pytest_rerunfailures", "--reruns", "4")

    result.assert_outcomes(passed=1)
    assert summary_line(result) == "crewai-trace: 3 traces, 3 LLM calls, 45 tokens, $0.000014, T s in tools"
    assert [trace.crews.names for _, trace in crews.captured] == [["attempt 1"], ["attempt 2"], ["attempt 3"]]


def counts(tokens=0, calls=1, cost="0", seconds=0.0):
    usage = Usage(input_tokens=tokens, requests=calls).model_dump()
    return Counts(test="t", attempt="1", empty=False, usage=usage, costs={"m": cost}, tool_seconds=seconds)


@pytest.mark.parametrize(
    ("traced", "said"),
    [
        ([counts(999)], "1 trace, 1 LLM call, 999 tokens, $0, 0.0 s in tools"),
        ([counts(1_000)], "1 trace, 1 LLM call, 1.0k tokens, $0, 0.0 s in tools"),
        ([counts(999_949)], "1 trace, 1 LLM call, 999.9k tokens, $0, 0.0 s in tools"),
        ([counts(999_950)], "1 trace, 1 LLM call, 1.0M tokens, $0, 0.0 s in tools"),
        ([counts(3, 2, "12.345"), counts(4, 3, "0.005")], "2 traces, 5 LLM calls, 7 tokens, $12.35, 0.0 s in tools"),
        (
            [counts(1, 1, "0.04"), counts(1, 1, None)],
            "2 traces, 2 LLM calls, 2 tokens, $0.04 and 1 model without a price",
        ),
        ([counts(5_000, 34, "0.04", 0.75)] * 2, "2 traces, 68 LLM calls, 10.0k tokens, $0.08, 1.5 s in tools"),
        ([counts(1, 1, "0.00012")], "1 trace, 1 LLM call, 1 tokens, $0.00012, 0.0 s in tools"),
    ],
)
def test_numbers_as_people_read_them(traced, said):
    assert summary(traced).startswith(said)

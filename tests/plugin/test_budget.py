"""The marker ``crewai_budget`` and its ini: limits that a test states without code."""

from __future__ import annotations

import re

import pytest

from tests.plugin.conftest import Project

BUDGETS = """
    @pytest.mark.crewai_budget(llm_calls=1, total_tokens=15, cost="0.01", seconds=100)
    def test_kept():
        run()

    @pytest.mark.crewai_budget(total_tokens=14)
    def test_broken():
        run()

    @pytest.mark.crewai_budget(llm_calls=1)
    def test_with_the_fixture(crewai_trace):
        run(react("search", query="AI"), final("done"), tools=[search])

    @pytest.mark.crewai_budget(total_tokens=1)
    def test_fails_anyway():
        run()
        assert "its own reason" == ""

    @pytest.mark.crewai_budget(total_tokens=1)
    def test_skips():
        run()
        pytest.skip("no network")

    @pytest.mark.xfail(strict=True)
    @pytest.mark.crewai_budget(total_tokens=1)
    def test_known_to_be_dear():
        run()
"""


def test_a_test_that_breaks_its_budget_fails_with_what_used_most(crewai_imported, project: Project):
    project.tests(BUDGETS)

    result = project.run()

    result.assert_outcomes(passed=1, failed=3, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_broken _*",
            "the test passed, but not its budget: 15 tokens, 1 too many",
            "expected: at most 14 tokens",
            "actual:   15 tokens, 1 too many",
            "nearest:  what used most:",
            "          15 tokens: llm gpt-4o-mini -> * by 'Researcher'",
            "trace:",
            "  crew crew  [[]*]",
            ">       llm gpt-4o-mini -> *15 tokens]",
            "next:     The spans that used most are marked.",
        ]
    )
    result.stdout.fnmatch_lines(["*_ test_with_the_fixture _*", "actual:   2 LLM calls, 1 too many"])
    result.stdout.fnmatch_lines(["*its own reason*"])
    broken = result.stdout.str().partition("_ test_broken _")[2].partition("_ test_with_the_fixture _")[0]
    assert "crewai trace -" not in broken, "the tree is shown once"
    assert "session.py" not in broken
    assert result.stdout.str().count("\nthe test passed, but not its budget: ") == 2


def test_s78_a_budget_of_what_is_not_known(crewai_imported, project: Project):
    project.tests(
        """
        @pytest.mark.crewai_budget(llm_calls=5)
        def test_nothing_runs():
            pass

        class Silent(ScriptedLLM):
            def _emit_call_completed_event(self, **fields):
                super()._emit_call_completed_event(**{**fields, "usage": None})

        @pytest.mark.crewai_budget(total_tokens=1000)
        def test_nothing_is_reported():
            one_agent_crew(Silent(final("done"))).kickoff(inputs={"topic": "AI"})

        @pytest.mark.crewai_budget(cost=1)
        def test_no_price():
            one_agent_crew(ScriptedLLM(final("done"), model="acme/one")).kickoff(inputs={"topic": "AI"})
        """
    )

    result = project.run()

    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "actual:   the trace is empty: nothing of crewAI has run in this test",
            "actual:   the LLM call did not report its tokens",
            "actual:   no price is known for acme/one",
        ]
    )


def test_the_nearest_limit_decides(crewai_imported, project: Project):
    """Test over class over module over ini, limit by limit; ``None`` lifts one."""
    project.write("pytest.ini", "[pytest]\ncrewai_budget =\n    llm_calls = 0\n    tool_calls = 0\n    cost = 0.5\n")
    project.tests(
        """
        pytestmark = pytest.mark.crewai_budget(total_tokens=1)

        @pytest.mark.crewai_budget(total_tokens=100)
        class TestClass:
            @pytest.mark.crewai_budget(llm_calls=1)
            def test_class_over_module_and_test_over_ini(self):
                run()

            @pytest.mark.crewai_budget(llm_calls=None, total_tokens=14)
            def test_own(self):
                run()

            def test_ini(self):
                run()

        @pytest.mark.crewai_budget(llm_calls=None, total_tokens=None)
        def test_lifted():
            run()
        """
    )

    result = project.run()

    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*_ TestClass.test_own _*", "expected: at most 0 tool calls, 14 tokens, $0.50"])
    result.stdout.fnmatch_lines(["*_ TestClass.test_ini _*", "actual:   1 LLM call, 1 too many"])


def test_ini_is_for_every_traced_test(crewai_imported, project: Project):
    """What runs nothing, or no model, breaks no limit of ini; what is not traced is not watched."""
    project.write("pytest.ini", "[pytest]\ncrewai_budget =\n    llm_calls = 0\n    total_tokens = 5\n")
    project.tests(
        """
        def test_nothing():
            pass

        def test_no_model():
            class F(Flow):
                @start()
                def go(self):
                    return 1
            F().kickoff()

        def test_too_much():
            run()
        """
    )

    project.run("--crewai-trace").assert_outcomes(passed=2, failed=1)
    project.run().assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (
            "tokens=3",
            "unknown limit 'tokens'; did you mean 'total_tokens'? valid: llm_calls, tool_calls, input_tokens,",
        ),
        ("llm_call=3", "unknown limit 'llm_call'; did you mean 'llm_calls'? valid: "),
        ("llm_calls=-1", "llm_calls=-1: it takes 0 or more"),
        ("cost='a lot'", "cost='a lot': it takes US dollars, such as '0.02'"),
        ("seconds='3'", "seconds='3': it takes a number of seconds"),
        ("5", "takes keyword arguments only, not 5; valid: llm_calls=, tool_calls=,"),
        ("", "takes at least one limit; valid: llm_calls=, tool_calls=,"),
    ],
)
def test_a_mistake_in_a_marker_ends_collection(project: Project, marker, message):
    project.tests(f"@pytest.mark.crewai_budget({marker})\ndef test_it():\n    pass\n", crews=False)

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.re_match_lines([rf"ERROR: test_it.py::test_it: marker crewai_budget:? {re.escape(message)}"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("llm_calls", "ini crewai_budget: 'llm_calls' is no limit; write name = number, a line each"),
        ("tokens = 3", "ini crewai_budget: unknown limit 'tokens';"),
        ("llm_calls = many", "ini crewai_budget: llm_calls='many': it takes a whole number, 0 or more"),
        ("seconds = -1", "ini crewai_budget: seconds='-1': it takes a number of seconds, 0 or more"),
        ("cost = nan", "ini crewai_budget: cost='nan': it takes 0 or more"),
        ("llm_calls = 1\n    llm_calls = 2", "ini crewai_budget: llm_calls is there twice"),
    ],
)
def test_a_mistake_in_ini_ends_collection(project: Project, line, message):
    project.write("pytest.ini", f"[pytest]\ncrewai_budget =\n    {line}\n")
    project.tests("def test_it():\n    pass\n", crews=False)

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.re_match_lines([f"ERROR: {re.escape(message)}"])


def test_a_budget_for_a_test_that_must_not_be_traced(project: Project):
    project.tests(
        """
        @pytest.mark.crewai_trace(enabled=False)
        @pytest.mark.crewai_budget(llm_calls=1)
        def test_it():
            pass
        """,
        crews=False,
    )

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *: asks for a budget (marker crewai_budget), but its marker crewai_trace(*"])


def test_s50_a_budget_under_xdist(crewai_imported, project: Project, entry_point):
    pytest.importorskip("xdist")
    project.tests(BUDGETS)

    result = project.run_apart("-p", "xdist.plugin", "-n", "2")

    result.assert_outcomes(passed=1, failed=3, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(
        ["the test passed, but not its budget: 15 tokens, 1 too many", "expected: at most 14 tokens"]
    )

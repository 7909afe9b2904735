"""How failed expectations and comparisons look in a report."""

from __future__ import annotations

from tests.plugin.conftest import Project


def test_the_report_of_a_failed_expectation(crewai_imported, project: Project):
    """It ends in the user's line, and shows the tree once."""
    project.tests(
        """
        from pytest_crewai_trace import expect

        def test_it(crewai_trace):
            run(react("search", query="Al"), final("done"), tools=[search])

            expect(crewai_trace).to_call_tool("search", {"query": "AI"})
        """
    )

    result = project.run("--tb=short")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py:*: in test_it",
            '    expect(crewai_trace).to_call_tool("search", {"query": "AI"})',
            "E   pytest_crewai_trace.errors.TraceAssertionError: expected: search(query='AI') to be called",
            "E   actual:   search was called once, but never so",
            "E   nearest:  called as search(query='Al') by 'Researcher' in task 'research': differs in 1 of 1 argument",
            "E             query: expected 'AI', got 'Al'",
            "E   >       tool search(query='Al') -> 'results for Al'",
        ],
        consecutive=False,
    )
    result.stdout.no_fnmatch_line("*fluent.py*")
    result.stdout.no_fnmatch_line("*- crewai trace -*")


def test_the_report_of_tool_calls_that_differ(crewai_imported, project: Project):
    project.tests(
        """
        def test_it(crewai_trace):
            run(react("search", query="Al"), final("done"), tools=[search])

            assert crewai_trace.tool_calls == [ToolCall("search", {"query": "AI"})]

        def test_other_lists():
            assert [1, 2] == [1, 3]
        """
    )

    result = project.run()

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E       AssertionError: assert 1 tool call == 1 tool call",
            "E         call 1 differs:",
            "E           query: 'Al' != 'AI'",
        ]
    )
    result.stdout.fnmatch_lines(["E       assert [[]1, 2[]] == [[]1, 3[]]", "*At index 1 diff: 2 != 3"])


def test_several_expectations_and_a_chain(crewai_imported, project: Project):
    project.tests(
        """
        from pytest_crewai_trace import expect

        def test_it(crewai_trace):
            run(react("search", query="AI"), final("done"), tools=[search])

            with expect.all():
                expect(crewai_trace).to_call_tool("search").to_call_tool("fetch")
                expect(crewai_trace).not_to_say("done").to_succeed()
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       with expect.all():",
            "E * 2 expectations do not hold",
            "E * 1.",
            "E * 2.",
            "E *trace:",
            "*test_*.py:*Error",
        ]
    )
    result.stdout.no_fnmatch_line("*contextlib.py*")
    result.stdout.no_fnmatch_line("*together.py*")

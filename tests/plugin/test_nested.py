"""S49: pytest in pytest. What the inner run does is the inner run's."""

from __future__ import annotations


def test_s49_inner_and_outer_runs_keep_apart(crews, crewai_trace, request):
    """The outer test is this one."""
    from tests.support.crews import one_agent_crew
    from tests.support.llm import ScriptedLLM, final

    def run(name):
        one_agent_crew(ScriptedLLM(final("done")), name=name).kickoff(inputs={"topic": "AI"})

    crews.tests("""
        def test_inner(crewai_trace):
            run(name="inner")
            assert crewai_trace.crews.names == ["inner"]

        def test_untraced(request):
            run(name="untraced")
        """)
    run("before")
    crews.run().assert_outcomes(passed=2)
    run("between")
    crews.run("--crewai-trace", "-k", "untraced").assert_outcomes(passed=1)
    run("after")

    assert crewai_trace.crews.names == ["before", "between", "after"]
    assert [(name, trace.crews.names) for name, trace in crews.captured] == [
        ("test_inner", ["inner"]),
        ("test_untraced", ["untraced"]),
    ]


def test_s49_an_inner_run_that_does_not_trace(crews, crewai_trace):
    """Nobody else records it, so it is part of what the outer test did."""
    crews.tests("def test_inner(): run(name='inner')")

    crews.run().assert_outcomes(passed=1)

    assert crewai_trace.crews.names == ["inner"]
    assert not crews.captured


def test_s49_three_deep(crews, crewai_trace):
    crews.write(
        "conftest.py",
        """
        from tests.plugin.conftest import *
        """,
    )
    crews.tests(
        """
        def test_middle(crews, crewai_trace):
            crews.tests("def test_inner(crewai_trace): run(name='inner')", "test_innermost.py")
            run(name="before")
            crews.run().assert_outcomes(passed=1)
            run(name="after")
            assert crewai_trace.crews.names == ["before", "after"]
            assert crews.traces["test_inner"].crews.names == ["inner"]
        """
    )

    crews.run("-p", "pytester").assert_outcomes(passed=1)

    assert crewai_trace.empty
    assert crews.traces["test_middle"].crews.names == ["before", "after"]


def test_s49_an_inner_run_that_breaks_off(crews, crewai_trace):
    crews.tests("""
        def test_inner(crewai_trace):
            run(name="inner")
            pytest.exit("enough")
        """)

    crews.run()

    from tests.support.llm import ScriptedLLM

    ScriptedLLM("hello").call("hi")
    assert crewai_trace.render() == "llm gpt-4o-mini -> 'hello'"
    assert crews.traces["test_inner"].crews.names == ["inner"]

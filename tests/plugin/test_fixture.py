"""The fixture ``crewai_trace``: what it shows when, and where it may be asked for."""

from __future__ import annotations

import pytest

from tests.support.crews import tree

DONE = r"'Thought: I now know the final answer.\nFinal Answer: done'"
ONE_CREW = tree(f"""
    crew crew
      task research
        agent Researcher
          llm gpt-4o-mini -> {DONE}
    """)


def test_it_shows_what_has_happened_so_far(crews):
    crews.tests("""
        def test_one(crewai_trace):
            assert crewai_trace.empty
            run()
            assert (len(crewai_trace.crews), len(crewai_trace.llm_calls)) == (1, 1)
            seen = crewai_trace.llm_calls
            run(react("search", query="AI"), final("done"), tools=[search])
            assert crewai_trace.tool_calls == [ToolCall("search", {"query": "AI"})]
            assert len(crewai_trace.llm_calls) == 3
            assert len(seen) == 1

        def test_two(crewai_trace):
            assert crewai_trace.empty
        """)

    crews.run().assert_outcomes(passed=2)

    assert len(crews.traces["test_one"].crews) == 2
    assert crews.traces["test_two"].empty


def test_it_is_read_while_a_crew_runs(crews):
    crews.tests("""
        def test_one(crewai_trace):
            seen = []
            def look(messages):
                seen.append(crewai_trace.render())
                return final("done")
            run(look)
            assert seen[0].splitlines()[0] == "crew crew (open)"
            assert seen[0].splitlines()[-1].strip() == "llm gpt-4o-mini (open)"
        """)

    crews.run().assert_outcomes(passed=1)

    assert crews.trees == {"test_one": ONE_CREW}


def test_it_is_a_trace(crews):
    crews.tests("""
        import copy, pickle
        from pytest_crewai_trace.live import LiveTrace

        def test_one(crewai_trace):
            assert isinstance(crewai_trace, Trace)
            assert isinstance(crewai_trace, LiveTrace)
            run()
            once = crewai_trace.model_copy()
            assert type(once) is Trace
            assert once == crewai_trace
            assert crewai_trace == once
            assert crewai_trace == crewai_trace
            assert Trace.from_json(crewai_trace.to_json()) == crewai_trace
            assert not crewai_trace != once
            assert type(copy.copy(crewai_trace)) is type(copy.deepcopy(crewai_trace)) is Trace
            assert pickle.loads(pickle.dumps(crewai_trace)) == once
            assert repr(crewai_trace) == repr(once) == "<Trace: 1 crew, 1 task, 1 agent, 1 llm>"
            assert str(crewai_trace) == str(once) == once.render()
            assert {"tools", "render", "empty"} <= set(dir(crewai_trace))
            run()
            assert crewai_trace != once
            assert crewai_trace != "a trace"
            with pytest.raises(TypeError):
                hash(crewai_trace)
        """)

    crews.run().assert_outcomes(passed=1)


def test_it_is_frozen(crews):
    crews.tests("""
        from pydantic import ValidationError

        def test_one(crewai_trace):
            run()
            with pytest.raises(ValidationError):
                crewai_trace.incomplete = ("no",)
            with pytest.raises(ValidationError):
                crewai_trace.no_such_thing = 1
            with pytest.raises(ValidationError):
                del crewai_trace.incomplete
            with pytest.raises(AttributeError, match="no_such_thing"):
                crewai_trace.no_such_thing
        """)

    crews.run().assert_outcomes(passed=1)


def test_every_way_to_ask_for_it(crews):
    crews.tests("""
        import unittest

        def test_argument(crewai_trace):
            run()
            assert crewai_trace.crews.one()

        def test_late(request):
            trace = request.getfixturevalue("crewai_trace")
            run()
            assert trace.crews.one()
            assert request.getfixturevalue("crewai_trace") is trace

        @pytest.mark.usefixtures("crewai_trace")
        def test_used():
            run()

        class TestClass:
            @pytest.fixture(autouse=True)
            def trace(self, crewai_trace):
                self.trace = crewai_trace

            def test_method(self):
                run()
                assert self.trace.crews.one()

        @pytest.mark.crewai_trace
        class Unit(unittest.TestCase):
            def test_marked(self):
                run()

        class UnitThatLooks(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def trace(self, crewai_trace):
                self.trace = crewai_trace

            def test_unit(self):
                run()
                assert self.trace.crews.one()

        @pytest.mark.parametrize("name", ["a", "b"])
        def test_parameter(crewai_trace, name):
            run(name=name)
            assert crewai_trace.crews.one().name == name
        """)

    crews.run().assert_outcomes(passed=8)

    names = ["argument", "late", "used", "method", "marked", "unit", "parameter[a]", "parameter[b]"]
    assert sorted(crews.trees) == sorted(f"test_{name}" for name in names)
    for name, rendered in crews.trees.items():
        assert rendered.replace("crew a", "crew crew").replace("crew b", "crew crew") == ONE_CREW, name


def test_what_was_not_seen_before_it_was_asked_for_late(crews):
    """Without an option, a test is traced from when it asks."""
    crews.tests("""
        def test_one(request):
            run(name="before")
            trace = request.getfixturevalue("crewai_trace")
            run(name="after")
            assert trace.crews.names == ["after"]
        """)

    crews.run().assert_outcomes(passed=1)


def test_a_fixture_that_runs_a_crew(crews):
    crews.tests("""
        @pytest.fixture
        def article():
            run(name="setup")
            yield "article"
            run(name="teardown")

        def test_fixture_first(article, crewai_trace):
            assert crewai_trace.crews.names == ["setup"]

        def test_trace_first(crewai_trace, article):
            run(name="call")
            assert crewai_trace.crews.names == ["setup", "call"]

        def test_without(article): pass
        """)

    crews.run("--crewai-trace").assert_outcomes(passed=3)

    assert {name: trace.crews.names for name, trace in crews.traces.items()} == {
        "test_fixture_first": ["setup", "teardown"],
        "test_trace_first": ["setup", "call", "teardown"],
        "test_without": ["setup", "teardown"],
    }


def test_a_fixture_built_on_it(crews):
    crews.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def calls(crewai_trace):
            return lambda: [call.name for call in crewai_trace.tool_calls]
        """,
    )
    crews.tests("""
        def test_one(calls):
            run(react("search", query="AI"), final("done"), tools=[search])
            assert calls() == ["search"]
        """)

    crews.run().assert_outcomes(passed=1)


def test_a_fixture_of_a_module_that_runs_a_crew(crews):
    """It runs once, in the test that asks for it first, and its teardown in the last."""
    crews.tests("""
        @pytest.fixture(scope="module")
        def article():
            run(name="setup")
            yield "article"
            run(name="teardown")

        def test_first(article, crewai_trace):
            assert crewai_trace.crews.names == ["setup"]

        def test_last(article, crewai_trace):
            assert crewai_trace.empty
        """)

    crews.run().assert_outcomes(passed=2)

    assert {name: trace.crews.names for name, trace in crews.traces.items()} == {
        "test_first": ["setup"],
        "test_last": ["teardown"],
    }


def test_a_fixture_of_a_wider_scope_cannot_ask_for_it(crews):
    crews.tests("""
        @pytest.fixture(scope="module")
        def article(crewai_trace): pass

        def test_one(article): pass
        """)

    result = crews.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ScopeMismatch*crewai_trace*"])


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_asynchronous_tests(crews, mode):
    pytest.importorskip("pytest_asyncio")
    crews.tests("""
        @pytest.mark.asyncio
        async def test_akickoff(crewai_trace):
            await crew().akickoff(inputs={"topic": "AI"})
            assert crewai_trace.crews.one()

        @pytest.mark.asyncio
        async def test_kickoff_async(crewai_trace):
            await crew().kickoff_async(inputs={"topic": "AI"})
            assert crewai_trace.crews.one()

        @pytest.mark.asyncio
        async def test_two_at_once(crewai_trace):
            crews = [crew(name=name) for name in ("a", "b")]
            await asyncio.gather(*(one.akickoff(inputs={"topic": "AI"}) for one in crews))
            assert sorted(crewai_trace.crews.names) == ["a", "b"]
        """)

    options = ("-p", "pytest_asyncio.plugin", "-o", f"asyncio_mode={mode}")
    crews.run(*options, "-o", "asyncio_default_fixture_loop_scope=function").assert_outcomes(passed=3)

    assert crews.trees["test_akickoff"] == crews.trees["test_kickoff_async"] == ONE_CREW
    assert crews.trees["test_two_at_once"].count("crew ") == 2


def test_a_doctest(crews):
    crews.write("test_doc.txt", '>>> trace = getfixture("crewai_trace")\n>>> trace.empty\nTrue\n')

    crews.run("--crewai-trace", "--doctest-glob=*.txt").assert_outcomes(passed=1)


def test_the_public_names():
    import pytest_crewai_trace

    for name in pytest_crewai_trace.__all__:
        assert getattr(pytest_crewai_trace, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pytest_crewai_trace.nothing

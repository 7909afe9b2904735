"""The marker ``crewai_trace(enabled=...)``, and mistakes with it."""

from __future__ import annotations

import pytest

MISTAKES = {
    "misspelled": ("enabeld=False", "test_it.py::test_one: marker crewai_trace has no argument 'enabeld'"),
    "wrong type": ("enabled='no'", "test_it.py::test_one: marker crewai_trace: enabled='no'"),
    "a number": ("enabled=1", "test_it.py::test_one: marker crewai_trace: enabled=1"),
    "unknown traces": ("keep='some'", "test_it.py::test_one: marker crewai_trace: keep='some'"),
    "positional": ("False", "test_it.py::test_one: marker crewai_trace takes keyword arguments only, not False"),
}
XDIST = ("-p", "xdist.plugin", "-n", "2")


@pytest.mark.parametrize("option", [(), ("--crewai-trace",)])
def test_the_marker_over_the_option(project, option):
    project.tests(
        """
        @pytest.mark.crewai_trace
        def test_marked(): pass

        @pytest.mark.crewai_trace(enabled=True)
        def test_on(): pass

        @pytest.mark.crewai_trace(enabled=False)
        def test_off(): pass

        def test_unmarked(): pass
        """,
        crews=False,
    )

    project.run("--strict-markers", *option).assert_outcomes(passed=4)

    assert list(project.traces) == ["test_marked", "test_on", *(["test_unmarked"] if option else [])]


def test_the_nearest_marker_counts(project):
    project.tests(
        """
        pytestmark = pytest.mark.crewai_trace(enabled=False)

        def test_module(): pass

        class TestOn:
            pytestmark = pytest.mark.crewai_trace

            def test_class(self): pass

            @pytest.mark.crewai_trace(enabled=False)
            def test_off(self): pass

            @pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.crewai_trace(enabled=False))])
            def test_parameter(self, n): pass
        """,
        crews=False,
    )

    project.run("--crewai-trace").assert_outcomes(passed=5)

    assert list(project.traces) == ["test_class", "test_parameter[1]"]


def test_a_marker_added_while_collecting(project):
    project.write(
        "conftest.py",
        """
        import pytest

        def pytest_collection_modifyitems(items):
            items[0].add_marker(pytest.mark.crewai_trace)
        """,
    )
    project.tests("def test_one(): pass\ndef test_two(): pass", crews=False)

    project.run().assert_outcomes(passed=2)

    assert list(project.traces) == ["test_one"]


@pytest.fixture(params=MISTAKES)
def mistake(project, request):
    """A project with one mistake, and what is said of it."""
    arguments, message = MISTAKES[request.param]
    project.tests(
        f"""
        @pytest.mark.crewai_trace({arguments})
        def test_one(): pass

        def test_two(): raise SystemError("must not run")
        """,
        crews=False,
    )
    return project, f"ERROR: {message}; valid: enabled=True|False, keep='failed'|'all'|'none'"


def check(result, message):
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line.startswith("ERROR")] == [message]
    assert "INTERNALERROR" not in str(result.stdout) + str(result.stderr)
    assert "SystemError" not in str(result.stdout)


@pytest.mark.parametrize("option", [(), ("--crewai-trace",), ("--collect-only",)])
def test_a_mistake_in_the_marker(mistake, option):
    project, message = mistake

    check(project.run(*option), message)


def test_a_mistake_in_the_marker_of_a_test_that_is_deselected_is_nobodys_business(mistake):
    project, _ = mistake

    result = project.run("-k", "test_two")

    assert result.ret == pytest.ExitCode.TESTS_FAILED


CONTRADICTION = """
@pytest.mark.crewai_trace(enabled=False)
def test_one(crewai_trace): pass
"""
CONTRADICTION_SAID = (
    "ERROR: test_it.py::test_one: asks for the fixture crewai_trace, but its marker "
    "crewai_trace(enabled=False) forbids it; drop one of the two"
)


def test_a_marker_that_forbids_what_the_fixture_needs(project):
    project.tests(CONTRADICTION, crews=False)

    check(project.run(), CONTRADICTION_SAID)


@pytest.mark.parametrize("arguments", [(), ("--dist", "loadfile"), ("--dist", "each")])
def test_a_mistake_in_the_marker_with_xdist(project, arguments):
    """A UsageError raised in a worker would be an internal error of xdist."""
    project.tests(CONTRADICTION, crews=False)

    check(project.run_apart(*XDIST, *arguments), CONTRADICTION_SAID)


def test_an_ini_value_that_is_neither_true_nor_false_with_xdist(project):
    project.tests("def test_one(): pass", crews=False)

    result = project.run_apart(*XDIST, "-o", "crewai_trace=maybe")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line.startswith("ERROR: ini crewai_trace:")]
    assert "INTERNALERROR" not in str(result.stdout) + str(result.stderr)


def test_a_fixture_asked_for_late_where_the_marker_forbids_it(project):
    """Collection cannot see ``getfixturevalue``: the test itself fails."""
    project.tests(
        """
        @pytest.mark.crewai_trace(enabled=False)
        def test_one(request):
            request.getfixturevalue("crewai_trace")

        def test_two(request):
            assert request.getfixturevalue("crewai_trace").empty
        """,
        crews=False,
    )

    result = project.run()

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines([f"E *UsageError: {CONTRADICTION_SAID.removeprefix('ERROR: ')}"])
    assert list(project.traces) == ["test_two"]

"""Who may turn tracing on and off, who wins, and what the header says of it."""

from __future__ import annotations

import pytest

from pytest_crewai_trace.settings import ENVIRONMENT

ONE_TEST = "def test_one(): pass"
ASKS = "def test_one(crewai_trace): pass"


@pytest.fixture
def one_test(project):
    """A project of one test in which nothing of crewAI runs; whether it is traced is what the hook is told."""
    project.tests(ONE_TEST, crews=False)
    return project


def ini(project, *lines, name="pytest.ini", section="pytest"):
    project.write(name, "\n".join([f"[{section}]", *lines]))


@pytest.mark.parametrize(
    ("arguments", "environment", "line", "traced", "source"),
    [
        ((), None, "", False, None),
        (("--crewai-trace",), None, "", True, "command line"),
        ((), "true", "", True, ENVIRONMENT),
        ((), "1", "", True, ENVIRONMENT),
        ((), " ", "", False, None),
        ((), None, "crewai_trace = true", True, "ini"),
        ((), None, "crewai_trace = on", True, "ini"),
        ((), None, "crewai_trace = no", False, None),
        # The command line over the environment over the ini file.
        (("--no-crewai-trace",), "true", "crewai_trace = true", False, None),
        (("--crewai-trace",), "false", "crewai_trace = false", True, "command line"),
        ((), "false", "crewai_trace = true", False, None),
        ((), "true", "crewai_trace = false", True, ENVIRONMENT),
        # The last word on the command line; ``-o`` is ini.
        (("--crewai-trace", "--no-crewai-trace"), None, "", False, None),
        (("--no-crewai-trace", "--crewai-trace"), None, "", True, "command line"),
        (("-o", "crewai_trace=true"), None, "crewai_trace = false", True, "ini"),
    ],
)
def test_command_line_over_environment_over_ini(one_test, monkeypatch, arguments, environment, line, traced, source):
    ini(one_test, line)
    if environment is not None:
        monkeypatch.setenv(ENVIRONMENT, environment)

    result = one_test.run(*arguments)

    assert result.ret == 0
    assert bool(one_test.captured) is traced
    header = [line for line in result.outlines if line.startswith("crewai-trace:")]
    assert [line.partition(", crewAI ")[0] for line in header] == (
        [f"crewai-trace: on ({source}), guard on"] if traced else []
    )


@pytest.mark.parametrize("arguments", [(), ("--no-crewai-trace",)])
def test_a_test_that_asks_for_the_fixture_is_traced_whatever_is_set(one_test, monkeypatch, arguments):
    monkeypatch.setenv(ENVIRONMENT, "false")
    one_test.tests("def test_one(crewai_trace): assert crewai_trace.empty\ndef test_two(): pass", crews=False)

    one_test.run(*arguments).assert_outcomes(passed=2)

    assert list(one_test.traces) == ["test_one"]


def test_the_header_names_the_version_of_crewai(one_test):
    from importlib.metadata import version

    result = one_test.run("--crewai-trace")

    result.stdout.fnmatch_lines([f"crewai-trace: on (command line), guard on, crewAI {version('crewai')}"])


@pytest.mark.parametrize("name", ["crewai_trace", "crewai_trace_guard"])
@pytest.mark.parametrize("value", ["maybe", "2", "''"])
def test_an_ini_value_that_is_neither_true_nor_false(one_test, name, value):
    ini(one_test, f"{name} = {value}")

    result = one_test.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: ini {name}: *; valid: true, 1, yes, on, false, 0, no, off"])
    assert "INTERNALERROR" not in str(result.stdout) + str(result.stderr)


def test_an_environment_of_crewais_that_is_neither_true_nor_false_is_ignored_with_a_warning(one_test, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, "maybe")

    result = one_test.run()

    assert result.ret == 0
    assert not one_test.captured
    result.stdout.fnmatch_lines([f"*{ENVIRONMENT}='maybe' is neither true nor false: ignored"])


@pytest.mark.parametrize(("value", "traced"), [("true", True), ("false", False), ('"true"', True), ('"off"', False)])
def test_pyproject(one_test, value, traced):
    ini(one_test, f"crewai_trace = {value}", name="pyproject.toml", section="tool.pytest.ini_options")

    assert one_test.run().ret == 0

    assert bool(one_test.captured) is traced


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="pytest 9 brought its own TOML table")
@pytest.mark.parametrize(("value", "traced"), [("true", True), ("false", False)])
def test_pyproject_with_types(one_test, value, traced):
    ini(one_test, f"crewai_trace = {value}", name="pyproject.toml", section="tool.pytest")

    assert one_test.run().ret == 0

    assert bool(one_test.captured) is traced


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="pytest 9 brought its own TOML table")
def test_pyproject_with_the_wrong_type(one_test):
    ini(one_test, 'crewai_trace_guard = "yes"', name="pyproject.toml", section="tool.pytest")

    result = one_test.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: ini crewai_trace_guard: *expects a bool, got str: 'yes'; valid: true, *"])


@pytest.mark.parametrize(
    ("line", "said", "variable"), [("", "on", "true"), ("crewai_trace_guard = false", "off", None)]
)
def test_the_guard_can_be_left_out(project, line, said, variable):
    ini(project, line)
    project.tests(
        f"""
        import os

        def test_one():
            assert os.environ.get("CREWAI_DISABLE_TELEMETRY") == {variable!r}
            assert ("CREWAI_STORAGE_DIR" in os.environ) is {variable is not None}
        """,
        crews=False,
    )

    result = project.run("--crewai-trace")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"crewai-trace: on (command line), guard {said}, *"])


def test_an_option_with_a_value(one_test):
    result = one_test.run("--crewai-trace=yes")

    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_help_says_what_there_is(one_test):
    result = one_test.run("--help")

    assert result.ret == 0
    text = " ".join(str(result.stdout).split())
    assert "traces of crewAI crews, flows and agents: --crewai-trace trace every crew, flow and agent" in text
    assert f"--no-crewai-trace do not, whatever {ENVIRONMENT} or ini say" in text
    assert "crewai_trace (bool): trace every test, like --crewai-trace: true or false (default: false)" in text
    assert "crewai_trace_guard (bool): while tracing, keep crewAI's own uploads" in text


def test_the_marker_and_the_fixture_are_listed(one_test):
    one_test.run("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.crewai_trace(enabled=True, keep=None): trace this test's *"]
    )
    one_test.run("--fixtures").stdout.re_match_lines(
        [r"crewai_trace -- .*", r" +The trace of this test: every crew, flow, agent, tool and LLM call .*"]
    )


def test_collecting_alone_captures_nothing(one_test):
    result = one_test.run("--crewai-trace", "--collect-only")

    assert result.ret == 0
    assert not one_test.captured

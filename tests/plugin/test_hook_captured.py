"""The hook ``pytest_crewai_trace_captured``: who is told what, how often, and whose mistake is whose."""

from __future__ import annotations

import pytest

# A conftest.py that notes what it is told in the file ``told``.
TELLS = """
from pathlib import Path

def pytest_crewai_trace_captured(item, trace):
    with Path(__file__).with_name("told").open("a") as told:
        print(item.name, "empty" if trace.empty else trace.crews.names, file=told)
"""


def told(project):
    return (project.path / "told").read_text().splitlines()


def test_it_is_called_once_for_every_traced_test(crews):
    crews.write("conftest.py", TELLS)
    crews.tests("""
        @pytest.fixture
        def article():
            run(name="setup")
            yield
            run(name="teardown")

        def test_passed(article): run(name="call")

        def test_failed():
            run(name="failed")
            assert False

        def test_empty(): pass

        def test_skipped(): pytest.skip("no")

        @pytest.mark.skip
        def test_not_even_set_up(): pass

        @pytest.mark.crewai_trace(enabled=False)
        def test_not_traced(): run()

        @pytest.fixture
        def broken():
            run(name="setup")
            raise RuntimeError

        def test_broken(broken): pass
        """)

    crews.run("--crewai-trace").assert_outcomes(passed=3, failed=1, skipped=2, errors=1)

    assert told(crews) == [
        "test_passed ['setup', 'call', 'teardown']",
        "test_failed ['failed']",
        "test_empty empty",
        "test_skipped empty",
        "test_not_even_set_up empty",
        "test_broken ['setup']",
    ]


def test_it_is_not_called_where_nothing_is_traced(project):
    project.write("conftest.py", TELLS)
    project.tests("def test_one(): pass", crews=False)

    project.run().assert_outcomes(passed=1)

    assert not (project.path / "told").exists()


def test_its_trace_is_complete_data(crews):
    crews.write(
        "conftest.py",
        """
        from pytest_crewai_trace import Trace

        traces = []

        def pytest_crewai_trace_captured(item, trace):
            assert type(trace) is Trace
            assert trace.origin.test_id == item.nodeid
            assert trace.origin.started_at is not None
            assert trace.complete
            traces.append((trace, trace.to_json()))

        def pytest_unconfigure():
            assert len(traces) == 2
            for trace, then in traces:
                assert trace.to_json() == then
        """,
    )
    crews.tests("def test_one(): run()\ndef test_two(): run()")

    crews.run("--crewai-trace").assert_outcomes(passed=2)


def test_a_conftest_is_told_of_the_tests_beside_and_below_it(crews):
    for folder in ("a", "b"):
        crews.write(f"{folder}/conftest.py", TELLS)
        crews.tests(f"def test_{folder}(): run(name='{folder}')", f"{folder}/test_{folder}.py")

    crews.run("--crewai-trace").assert_outcomes(passed=2)

    assert [(crews.path / folder / "told").read_text() for folder in ("a", "b")] == ["test_a ['a']\n", "test_b ['b']\n"]


@pytest.mark.parametrize("arguments", [(), ("-p", "xdist.plugin", "-n", "1")])
def test_s07_an_exception_in_it_is_an_error_of_the_test_that_names_the_conftest(project, arguments):
    project.write(
        "conftest.py",
        """
        def pytest_crewai_trace_captured(item, trace):
            if item.name == "test_two":
                raise LookupError("mine")
        """,
    )
    project.write("quiet.py", "def pytest_crewai_trace_captured(item, trace): pass\n")
    project.tests("def test_one(): pass\ndef test_two(): pass\ndef test_three(): pass", crews=False)
    project.pytester.syspathinsert()

    run = project.run_apart if arguments else project.run
    result = run("--crewai-trace", "-p", "quiet", *arguments)

    result.assert_outcomes(passed=3, errors=1)
    conftest = project.path / "conftest.py"
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_two*",
            f"E *HookError: pytest_crewai_trace_captured raised LookupError: mine (in: {conftest})",
        ]
    )
    assert "INTERNALERROR" not in str(result.stdout) + str(result.stderr)


def test_s07_an_exception_in_it_names_the_plugin(project):
    class Sends:
        def pytest_crewai_trace_captured(self, trace):
            raise OSError("no network")

    class Registers:
        def pytest_configure(self, config):
            config.pluginmanager.register(Sends(), "sends-traces")

    project.tests("def test_one(): pass", crews=False)

    result = project.run("--crewai-trace", plugins=(Registers(),))

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["E *raised OSError: no network (in: sends-traces)"])


def test_s07_an_exception_in_it_leaves_the_tests_own_failures(project):
    project.write("conftest.py", "def pytest_crewai_trace_captured(): raise LookupError('mine')\n")
    project.tests(
        """
        @pytest.fixture
        def article():
            yield
            raise RuntimeError("teardown")

        def test_one(article): assert False, "call"
        """,
        crews=False,
    )

    result = project.run("--crewai-trace")

    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(["E *RuntimeError: teardown", "E *HookError: *raised LookupError: mine*"])
    result.stdout.fnmatch_lines(["E *AssertionError: call"])


@pytest.mark.parametrize(
    ("call", "outcomes"), [("fail", {"passed": 1, "errors": 1}), ("skip", {"passed": 1, "skipped": 1})]
)
def test_it_may_use_pytests_own_outcomes(project, call, outcomes):
    project.write("conftest.py", f"import pytest\ndef pytest_crewai_trace_captured(): pytest.{call}('too expensive')\n")
    project.tests("def test_one(): pass", crews=False)

    result = project.run("--crewai-trace", "-rA")

    result.assert_outcomes(**outcomes)
    assert "too expensive" in str(result.stdout)
    assert "HookError" not in str(result.stdout)


def test_an_argument_that_it_does_not_have(project):
    project.write("conftest.py", "def pytest_crewai_trace_captured(item, tracee): pass\n")
    project.tests("def test_one(): pass", crews=False)

    result = project.run_apart("--crewai-trace")

    assert result.ret != 0
    assert "tracee" in str(result.stderr) + str(result.stdout)

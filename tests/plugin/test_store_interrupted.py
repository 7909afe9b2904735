"""Runs that are ended from outside: what had finished is on disk, whole."""

from __future__ import annotations

import os
import signal

import pytest

from pytest_crewai_trace.store.reader import find

posix = pytest.mark.skipif(os.name != "posix", reason="sends signals")
KEEP = ("--crewai-trace", "--crewai-trace-keep=all")
# A call of a model as cheap as a trace can be.
CALL = "ScriptedLLM('x').call('hi')"


def outcomes(project):
    found = find([project.path / ".crewai-traces"])
    assert not found.skipped
    for one in found.stored:
        one.trace()  # whole
    return {one.attempt.test_id.partition("::")[2]: one.attempt.outcome for one in found.stored}


@posix
def test_s36_s37_killed_in_the_middle_of_200_tests(crews):
    crews.tests(f"""
        import signal

        @pytest.mark.parametrize("number", range(200))
        def test_one(number):
            {CALL}
            if number == 120:
                os.kill(os.getpid(), signal.SIGKILL)
        """)

    result = crews.run_apart(*KEEP)

    assert result.ret == -signal.SIGKILL
    assert outcomes(crews) == {f"test_one[{number}]": "passed" for number in range(120)}


@posix
@pytest.mark.parametrize("times", [1, 2])
def test_s34_interrupted(crews, times):
    """Once: the test that it was in is kept too, as interrupted. Twice, while fixtures are torn down: out at once."""
    crews.tests(f"""
        import signal

        @pytest.fixture(scope="session", autouse=True)
        def slow():
            yield
            if {times} == 2:
                os.kill(os.getpid(), signal.SIGINT)

        def test_before(): {CALL}

        def test_during():
            {CALL}
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(60)

        def test_after(): {CALL}
        """)

    result = crews.run_apart(*KEEP)

    assert result.ret == (pytest.ExitCode.INTERRUPTED if times == 1 else -signal.SIGINT)
    assert outcomes(crews) == {"test_before": "passed", "test_during": "interrupted"}


@posix
@pytest.mark.parametrize("guard", [True, False])
def test_s35_terminated(crews, guard):
    """At once, as without crewAI. Without the guard, crewAI's own handler makes a SystemExit of it inside the test."""
    crews.tests(f"""
        import signal

        def test_before(): {CALL}

        def test_during():
            {CALL}
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(60)
        """)
    crews.write("pytest.ini", f"[pytest]\ncrewai_trace_guard = {str(guard).lower()}\n")

    result = crews.run_apart(*KEEP)

    assert outcomes(crews)["test_before"] == "passed"
    if guard:
        assert result.ret == -signal.SIGTERM


def test_s36_what_was_being_written_is_no_trace(crews):
    crews.tests(f"def test_one(): {CALL}")
    crews.run(*KEEP)
    folder = next(path for path in (crews.path / ".crewai-traces").iterdir() if path.is_dir())
    (folder / ".writing-1-half.jsonl").write_text('{"crewai_trace": 1')

    assert outcomes(crews) == {"test_one": "passed"}


@posix
def test_s46_s48_s50_a_killed_worker_and_none_keep_the_same(crews):
    """One run of two workers, of which one is killed, is one run; the test that was lost is kept as crashed."""
    pytest.importorskip("xdist")
    crews.write("crews.py", crews.tests("").read_text())
    crews.write(
        "test_it.py",
        """
        import os
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_one(number):
            from crews import ScriptedLLM
            ScriptedLLM("x").call("hi")
            assert number != 2

        def test_killed(crewai_trace, request):
            if hasattr(request.config, "workerinput"):
                os._exit(9)
        """,
    )

    alone = crews.run_apart(*KEEP, "--crewai-trace-dir=alone")
    apart = crews.run_apart(*KEEP, "--crewai-trace-dir=apart", "-p", "xdist.plugin", "-n", "2")

    alone.assert_outcomes(passed=6, failed=1)
    apart.assert_outcomes(passed=5, failed=2)
    one, two = (find([crews.path / name]) for name in ("alone", "apart"))
    trees = [
        {each.attempt.test_id: (each.attempt.outcome, each.trace().render()) for each in found.stored}
        for found in (one, two)
    ]
    assert trees[1].pop("test_it.py::test_killed") == (
        "crashed",
        "incomplete: the process died, and with it the trace of this test\n(empty)",
    )
    assert trees[0] == trees[1]
    assert len(trees[0]) == 6
    assert len(two.runs) == 1
    assert {each.attempt.worker for each in two.stored} <= {"gw0", "gw1", "gw2"}
    crashed = next(each.attempt for each in two.stored if each.attempt.outcome == "crashed")
    assert "crashed while running 'test_it.py::test_killed'" in crashed.message

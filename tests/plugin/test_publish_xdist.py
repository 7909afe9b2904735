"""S45 - S47: with workers of xdist the controller publishes, every attempt once; a killed one loses its own test."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from tests.plugin.publishing import CALL, PUBLISH, attributes, command, killing, lines, names_sent, sent, waiting
from tests.support.amp import MOST_BYTES, MOST_SPANS, spans_of

pytest.importorskip("xdist")
XDIST = ("-p", "xdist.plugin", "-n")


@pytest.fixture
def suite(crews):
    """20 tests, of which 4 fail and one is rerun; crewAI is imported in tests, so that a new worker starts at once."""
    crews.write("crews.py", crews.tests("").read_text())
    crews.write(
        "test_it.py",
        """
        import os
        import pytest

        @pytest.mark.parametrize("number", range(20))
        def test_one(number):
            from crews import final, react, run, search
            run(react("search", query=str(number)), final("done"), tools=[search], name=f"crew {number}")
            if os.environ.get("KILL") == str(number):
                os._exit(9)
            assert number % 5 != 4
        """,
    )
    return crews


def test_twenty_tests_on_four_workers(suite, amp):
    result = suite.run_apart(PUBLISH, "all", *XDIST, "4")

    result.assert_outcomes(passed=16, failed=4)
    roots = sent(amp)
    assert sorted(names_sent(amp)) == sorted(f"test_one[{number}]" for number in range(20))
    assert {one["test.case.result.status"] for one in roots if one["test.case.name"][-2:] == "4]"} == {"fail"}
    assert sum(one["test.case.result.status"] == "pass" for one in roots) == 16
    assert len({one["crewai.execution_uuid"] for one in roots}) == 20
    uploads = [request for request in amp.requests if request.path == "/v1/traces"]
    assert all(len(request.body) <= MOST_BYTES and len(spans_of(request)) <= MOST_SPANS for request in uploads)
    for request in uploads:  # valid, each span of the execution that its grant is for
        token = request.header("Authorization").removeprefix("Bearer grant-")
        assert {attributes(span)["crewai.execution_uuid"] for span in spans_of(request)} == {token.rpartition("-")[0]}
    said = lines(result)
    assert f"published 20 traces to CrewAI AMP ({amp.url})" in said
    linked = [line.split()[-1] for line in said if line.startswith("  ")]
    assert set(linked) == {f"{amp.url}/traces/{one['crewai.execution_uuid']}" for one in roots}
    assert [line.split()[0] for line in said if line.startswith("  ")][:5] == ["failed"] * 4 + ["passed"]
    assert waiting(suite) == []


def test_s45_workers_never_upload(crews, amp):
    """Nobody but the controller talks to AMP."""
    crews.write(
        "conftest.py",
        """
        import os, sys
        from pathlib import Path

        def watch(event, arguments):
            if event == "socket.connect" and isinstance(arguments[1], tuple):
                if os.environ["CREWAI_PLUS_URL"].endswith(f":{arguments[1][1]}"):
                    Path(__file__).with_name(f"{os.environ.get('PYTEST_XDIST_WORKER', 'controller')} uploads").touch()

        sys.addaudithook(watch)
        """,
    )
    crews.tests(f"def test_one(): {CALL}")

    crews.run_apart(PUBLISH, "all", *XDIST, "1").assert_outcomes(passed=1)

    assert names_sent(amp) == ["test_one"]
    assert [path.name for path in crews.path.glob("* uploads")] == ["controller uploads"]


def test_failed_only(suite, amp):
    suite.run(PUBLISH, "failed").assert_outcomes(passed=16, failed=4)

    assert sorted(names_sent(amp)) == ["test_one[14]", "test_one[19]", "test_one[4]", "test_one[9]"]


def test_s46_a_killed_worker(suite, amp, monkeypatch):
    """What it had finished is published; the test that it died in has no trace to send."""
    monkeypatch.setenv("KILL", "7")

    suite.run_apart(PUBLISH, "all", *XDIST, "2").assert_outcomes(passed=15, failed=5)

    assert sorted(names_sent(amp)) == sorted(f"test_one[{number}]" for number in range(20) if number != 7)


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_killed_controller(suite, amp):
    """Nothing was sent; the command sends what had finished, once."""
    suite.write(
        "conftest.py",
        f"""
        import os

        def pytest_runtest_logreport(report):
            if report.nodeid.endswith("[10]") and report.when == "teardown" and "PYTEST_XDIST_WORKER" not in os.environ:
                os.kill(os.getpid(), {int(signal.SIGKILL) if hasattr(signal, "SIGKILL") else 9})
        """,
    )

    result = suite.run_apart(PUBLISH, "all", *XDIST, "2")

    assert result.ret == -9
    assert amp.requests == []
    finished = {item.path.name for item in waiting(suite)}
    assert len(finished) > 5
    assert command(suite, "publish")[0] == 0
    names = names_sent(amp)
    assert len(names) == len(set(names)) >= len(finished)
    assert "test_one[10]" in names


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_controller_that_is_killed_while_it_publishes(suite, amp):
    """The command sends what it has not, and nothing of what it has."""
    suite.write(
        "conftest.py",
        """
        import os
        from pathlib import Path

        if "PYTEST_XDIST_WORKER" not in os.environ:
            Path("controller").write_text(str(os.getpid()))
        """,
    )

    def kill():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((suite.path / "controller").read_text()), signal.SIGKILL)

    amp.override = killing(suite, kill, after=5)

    result = suite.run_apart(PUBLISH, "all", *XDIST, "2")

    assert result.ret == -signal.SIGKILL
    amp.override = None
    assert len(names_sent(amp)) == 5
    assert len(waiting(suite)) == 15
    assert command(suite, "publish")[0] == 0
    assert sorted(names_sent(amp)) == sorted(f"test_one[{number}]" for number in range(20))


def test_s47_a_test_that_is_rerun_is_two_traces(crews, amp):
    pytest.importorskip("pytest_rerunfailures")
    crews.tests("""
        tries = []

        def test_one():
            run()
            tries.append(1)
            assert len(tries) == 2
        """)

    crews.run(PUBLISH, "all", "-p", "pytest_rerunfailures", "--reruns=1")

    assert [(one["crewai.test.attempt"], one["test.case.result.status"]) for one in sent(amp)] == [
        (1, "fail"),
        (2, "pass"),
    ]

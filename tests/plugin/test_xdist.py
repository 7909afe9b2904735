"""S45 - S50: several processes. The same traces and summary as in one; a killed one loses only its own test."""

from __future__ import annotations

import json
import signal
from typing import ClassVar

import pytest

from tests.plugin.terminal import summary_line, trace_sections
from tests.support.amp import Amp

pytest.importorskip("xdist")
XDIST = ("-p", "xdist.plugin", "-n")
TREES = ("-p", "tests.support.trees")
# In workers: refuse and note what is not loopback. An audit hook stays, so it is not for this process.
WATCH = """
import json, os, sys
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    from tests.support.guarded import contacted, watch_network
    sys.addaudithook(watch_network)

    def pytest_sessionfinish():
        name = os.environ["PYTEST_XDIST_WORKER"]
        Path(__file__).with_name(f"hosts-{name}").write_text(json.dumps(sorted(contacted)))
"""


def trees(folder):
    found = [json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")]
    return {test["nodeid"]: test["tree"] for test in found}


@pytest.fixture
def suite(crews, monkeypatch):
    crews.write("conftest.py", WATCH)
    for name in ("one", "two"):
        crews.tests(
            f"""
            from concurrent.futures import ThreadPoolExecutor

            class Greeting(Flow):
                @start()
                def greet(self):
                    return run(name="{name} inner").raw

            def test_crew(crewai_trace):
                run(react("search", query="{name}"), final("done"), tools=[search], name="{name}")
                assert crewai_trace.tool_calls == [ToolCall("search", {{"query": "{name}"}})]

            def test_flow(): Greeting().kickoff()

            def test_threads():
                together = threading.Barrier(2, timeout=60)

                def meet(messages):
                    together.wait()
                    return final("done")

                with ThreadPoolExecutor(2) as pool:
                    list(pool.map(lambda n: run(meet, name=f"thread {{n}}"), range(2)))

            def test_failed():
                run(react("search", query="{name}"), final("done"), tools=[search], name="{name}")
                assert False

            def test_empty(): pass

            @pytest.mark.parametrize("number", range(4))
            def test_number(number): run(name=f"{name} {{number}}")
            """,
            f"test_{name}.py",
        )
    return crews


def test_s45_s50_two_workers_and_none_give_the_same(suite, monkeypatch):
    """Traces, trees of failures, summary; and no worker asks AMP or anybody else for anything."""
    monkeypatch.setenv("CREWAI_TREES", str(suite.path / "alone"))
    alone = suite.run("--crewai-trace", *TREES)
    monkeypatch.setenv("CREWAI_TREES", str(suite.path / "apart"))
    with Amp() as amp:
        for name, value in {"PLUS_URL": amp.url, "TRACING_ENABLED": "true", "USER_PAT": "pat"}.items():
            monkeypatch.setenv(f"CREWAI_{name}", value)
        apart = suite.run_apart("--crewai-trace", *TREES, *XDIST, "2")

    for result in (alone, apart):
        result.assert_outcomes(passed=16, failed=2)
    assert trees(suite.path / "apart") == trees(suite.path / "alone")
    assert len(trees(suite.path / "alone")) == 18
    assert (
        summary_line(apart)
        == summary_line(alone)
        == ("crewai-trace: 16 traces, 22 LLM calls, 330 tokens, $0.000099, T s in tools")
    )
    assert sorted(trace_sections(apart)) == sorted(trace_sections(alone))
    assert len(trace_sections(apart)) == 2
    assert amp.requests == []
    hosts = [json.loads(path.read_text()) for path in suite.path.glob("hosts-*")]
    assert hosts == [[], []]
    # The header comes once, from the process that runs nothing.
    assert str(apart.stdout).count("crewai-trace: on (") == 1


def test_s48_a_trace_does_not_travel_between_processes(crews):
    """S48: what a report carries, and so what xdist sends, does not grow with the trace."""
    crews.tests("""
        def test_large():
            text = "x" * 10_000_000
            for _ in range(10):
                ScriptedLLM(text).call("hello")
            assert False
        """)

    class Sent:
        sizes: ClassVar[list[int]] = []

        def pytest_configure(self, config):
            self.config = config

        def pytest_runtest_logreport(self, report):
            data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
            self.sizes.append(len(json.dumps(data)))

    crews.run("--crewai-trace", plugins=(Sent(),)).assert_outcomes(failed=1)

    assert sum(len(call.response) for call in crews.traces["test_large"].llm_calls) > 1_000_000
    assert len(Sent.sizes) == 3
    assert max(Sent.sizes) < 20_000


def test_s46_a_killed_worker_loses_only_its_own_test(crews, monkeypatch):
    """S46: what finished before is counted; the test that it died in is shown as incomplete."""
    monkeypatch.setenv("CREWAI_TREES", str(crews.path / "trees"))
    crews.write("crews.py", crews.tests("").read_text())  # imported late, so that a new worker need not wait for crewAI
    crews.write(
        "test_it.py",
        f"""
        import os

        def test_before():
            from crews import run
            run()

        def test_killed(crewai_trace):
            from crews import run
            run()
            os.kill(os.getpid(), {int(getattr(signal, "SIGKILL", signal.SIGTERM))})

        def test_after(): pass
        """,
    )

    result = crews.run_apart("--crewai-trace", *TREES, *XDIST, "1")

    result.assert_outcomes(passed=2, failed=1)
    kept = trees(crews.path / "trees")
    assert kept.keys() == {"test_it.py::test_before", "test_it.py::test_after"}
    assert kept["test_it.py::test_before"].startswith("crew crew")
    assert summary_line(result) == "crewai-trace: 1 trace, 1 LLM call, 15 tokens, $0.0000045, T s in tools"
    result.stdout.fnmatch_lines(
        [
            "worker 'gw0' crashed while running 'test_it.py::test_killed'",
            "*-- crewai trace --*",
            "incomplete: the process died, and with it the trace of this test",
        ]
    )


@pytest.mark.parametrize("dist", ["load", "loadfile", "loadscope", "worksteal"])
def test_s50_each_test_is_told_of_once_however_they_are_dealt_out(project, monkeypatch, dist):
    monkeypatch.setenv("CREWAI_TREES", str(project.path / "trees"))
    for name in ("one", "two", "three"):
        project.tests("def test_one(): pass\ndef test_two(): pass", f"test_{name}.py", crews=False)

    result = project.run_apart("--crewai-trace", *TREES, *XDIST, "2", "--dist", dist)

    result.assert_outcomes(passed=6)
    assert len(trees(project.path / "trees")) == 6
    assert summary_line(result) is None


def test_s46_a_killed_worker_where_nothing_was_traced(project):
    project.tests("import os\ndef test_one(): os._exit(9)", crews=False)

    result = project.run_apart(*XDIST, "1", "--max-worker-restart", "0")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "crewai" not in str(result.stdout).replace(str(project.path), "")

"""S12: with every plugin that people use, installed together: no clash, one trace for each attempt."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import pytest

DISTRIBUTIONS = {
    "anyio",
    "pytest-asyncio",
    "pytest-cov",
    "pytest-html",
    "pytest-playwright",
    "pytest-randomly",
    "pytest-recording",
    "pytest-rerunfailures",
    "pytest-timeout",
    "pytest-xdist",
    "syrupy",
}


@pytest.fixture
def together(crews, entry_point, monkeypatch):
    """A project in a Python where all of them are installed, and so are we: found by their entry points."""
    there = {point.dist.name.lower() for point in entry_points(group="pytest11") if point.dist is not None}
    if missing := DISTRIBUTIONS - there:
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    return crews


def run(project, *arguments):
    return project.pytester.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, timeout=240)


def test_s12_no_option_fixture_or_marker_clashes(together):
    together.write("test_it.py", "def test_one(crewai_trace, snapshot, vcr_cassette_dir, benchmark=None): pass\n")

    helped = run(together, "--help")
    assert helped.ret == 0
    assert "--crewai-trace" in str(helped.stdout)
    for other in ("--reruns", "--timeout=", "--record-mode", "--html=", "--cov=", "--snapshot-update", "--tracing"):
        assert other in str(helped.stdout)
    fixtures = run(together, "--fixtures")
    assert fixtures.ret == 0
    ours = [line for line in fixtures.outlines if "crewai" in line and " -- " in line]
    assert sorted(line.split()[0] for line in ours) == [
        *("crewai_cassette", "crewai_faults", "crewai_llm", "crewai_snapshot", "crewai_trace"),
    ]
    run(together, "--strict-markers", "--strict-config").assert_outcomes(passed=1)


def test_s12_one_trace_for_each_attempt(together):
    together.write(
        "conftest.py",
        """
        from pathlib import Path

        def pytest_crewai_trace_captured(item, trace):
            with Path(__file__).with_name("told").open("a") as told:
                print(item.name, *trace.crews.names, file=told)
        """,
    )
    together.tests("""
        attempts = []

        def test_flaky(crewai_trace):
            attempts.append(1)
            run(name=f"flaky{len(attempts)}")
            assert len(attempts) == 2

        @pytest.mark.timeout(300)
        def test_timeout(crewai_trace): run(name="timeout")

        @pytest.mark.vcr
        def test_cassette(crewai_trace): run(name="cassette")

        def test_snapshot(crewai_trace, snapshot):
            run(name="snapshot")
            assert crewai_trace.tool_calls == snapshot

        class TestAsyncio:
            @pytest.mark.asyncio
            async def test_function(self, crewai_trace):
                await crew(name="function").akickoff(inputs={"topic": "AI"})

            @pytest.mark.asyncio(loop_scope="class")
            async def test_class(self, crewai_trace):
                await crew(name="class").akickoff(inputs={"topic": "AI"})

            @pytest.mark.asyncio(loop_scope="module")
            async def test_module(self, crewai_trace):
                await crew(name="module").akickoff(inputs={"topic": "AI"})

            @pytest.mark.asyncio(loop_scope="package")
            async def test_package(self, crewai_trace):
                await crew(name="package").akickoff(inputs={"topic": "AI"})

            @pytest.mark.asyncio(loop_scope="session")
            async def test_session(self, crewai_trace):
                await crew(name="session").akickoff(inputs={"topic": "AI"})

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_anyio(crewai_trace):
            await crew(name="anyio").akickoff(inputs={"topic": "AI"})
        """)

    result = run(
        together,
        *("--reruns", "2", "--timeout=200", "--snapshot-update", "--html=report.html", "--self-contained-html"),
        *(
            "-n",
            "2",
            "--dist",
            "loadfile",
            "-p",
            "randomly",
            "--cov=tests.support.crews",
            "--cov-report=",
        ),
    )

    result.assert_outcomes(passed=10)
    names = ["timeout", "cassette", "snapshot", "function", "class", "module", "package", "session", "anyio"]
    expected = {f"test_{name} {name}" for name in names} | {"test_flaky flaky1", "test_flaky flaky2"}
    assert sorted((together.path / "told").read_text().splitlines()) == sorted(expected)
    result.stdout.fnmatch_lines(["crewai-trace: 11 traces, 11 LLM calls, 165 tokens, *"])
    assert "INTERNALERROR" not in str(result.stdout) + str(result.stderr)

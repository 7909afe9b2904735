"""S01: installed and not asked for, or asked for where there is no crewAI: nothing is imported, sent or written."""

from __future__ import annotations

import json
import sys

import pytest

# Notes what was imported, which files were made and whom anybody talked to, after everything else.
WATCH = """
import atexit, json, os, sys
from pathlib import Path

hosts = []

def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        hosts.append(str(args[0] if event == "socket.getaddrinfo" else args[1]))

sys.addaudithook(watch)

@atexit.register
def tell():
    modules = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    Path(os.environ["WATCH"]).write_text(json.dumps({"modules": modules, "hosts": hosts}))
"""
HEAVY = {"crewai", "crewai_core", "pydantic", "httpx", "vcr", "syrupy", "wrapt", "genai_prices", "opentelemetry"}


class Watched:
    """One run in a process of its own, in an empty home."""

    def __init__(self, project, *arguments, plugin=True):
        report = project.path.parent / f"{project.path.name}-report.json"
        places = {name: project.path.parent / f"{project.path.name}-{name}" for name in ("home", "tmp")}
        for place in places.values():
            place.mkdir(exist_ok=True)
        environment = {
            "HOME": places["home"],
            "USERPROFILE": places["home"],
            "TMPDIR": places["tmp"],
            "TEMP": places["tmp"],
        }
        environment |= {"WATCH": report, "PYTHONDONTWRITEBYTECODE": "1"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, str(value))
            loaded = ["-p", "crewai_trace"] if plugin else []
            command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *loaded, *arguments]
            self.result = project.pytester.run(*command)
        told = json.loads(report.read_text())
        self.modules = set(told["modules"])
        self.files = {name: path for name, path in told["modules"].items() if path}
        self.hosts = told["hosts"]
        self.written = [str(path) for place in places.values() for path in place.rglob("*")]

    @property
    def heavy(self):
        return HEAVY & {name.partition(".")[0] for name in self.modules}


@pytest.fixture
def installed(project, entry_point):
    project.write("conftest.py", WATCH)
    project.tests("def test_one(): pass\ndef test_two(tmp_path): pass", crews=False)
    return project


@pytest.fixture
def without(installed):
    return Watched(installed, plugin=False)


def test_s01_installed_and_not_asked_for(installed, without):
    run = Watched(installed, "--strict-config", "--strict-markers")

    run.result.assert_outcomes(passed=2)
    assert not run.heavy
    ours = run.modules - without.modules
    assert len(ours) < 10
    # Everything else is the standard library's.
    assert {name.partition(".")[0] for name in ours} <= {"pytest_crewai_trace", *sys.stdlib_module_names}
    assert {name for name in ours if name.startswith("pytest_crewai_trace")} == {
        "pytest_crewai_trace",
        "pytest_crewai_trace.fixtures",
        "pytest_crewai_trace.hooks",
        "pytest_crewai_trace.marks",
        "pytest_crewai_trace.plugin",
        "pytest_crewai_trace.publish",
        "pytest_crewai_trace.publish.options",
        "pytest_crewai_trace.settings",
    }
    assert run.hosts == []
    assert [path for path in run.written if "pytest-of-" not in path] == []
    assert "plugins: crewai-trace-0" in run.result.outlines
    # pytest names its plugins; nothing more is said.
    assert [line for line in run.result.outlines if "plugins:" not in line][:-1] == without.result.outlines[:-1]


def test_s01_not_asked_for_by_the_environment_of_crewai(installed, monkeypatch):
    monkeypatch.setenv("CREWAI_TRACING_ENABLED", "false")

    run = Watched(installed)

    run.result.assert_outcomes(passed=2)
    assert not run.heavy


def test_asked_for_where_there_is_no_crewai(installed):
    """crewAI is not imported, nor anything that only a trace needs."""
    run = Watched(installed, "--crewai-trace")

    run.result.assert_outcomes(passed=2)
    assert run.heavy == {"wrapt"}
    assert run.hosts == []
    assert [path for path in run.written if "pytest-of-" not in path] == []


def test_the_fixture_where_nothing_of_crewai_runs(installed):
    """Looking at a trace needs pydantic, never crewAI."""
    installed.tests("def test_one(crewai_trace): assert crewai_trace.empty", crews=False)

    run = Watched(installed)

    run.result.assert_outcomes(passed=1)
    assert "pydantic" in run.heavy
    assert "crewai" not in run.heavy
    assert [path for path in run.written if "pytest-of-" not in path] == []


@pytest.mark.parametrize("arguments", [["--help"], ["--collect-only"], ["--markers"], ["--fixtures"]])
def test_s01_asking_pytest_itself(installed, arguments):
    run = Watched(installed, *arguments)

    assert run.result.ret == 0
    assert not run.heavy


def test_s75_collecting_and_skipping_alone(installed):
    installed.tests("def test_one(): pytest.skip('no')", crews=False)

    for arguments in (["--collect-only"], [], ["-k", "nothing"]):
        run = Watched(installed, "--crewai-trace", *arguments)
        assert run.result.ret in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
        assert run.heavy <= {"wrapt"}
        assert [path for path in run.written if "pytest-of-" not in path] == []


def test_the_plugin_can_be_removed_whole(installed):
    installed.tests("def test_one(): pass", crews=False)

    run = Watched(installed, "-p", "no:crewai_trace", plugin=False)

    run.result.assert_outcomes(passed=1)
    assert not any(name.startswith("pytest_crewai_trace") for name in run.modules)
    refused = Watched(installed, "-p", "no:crewai_trace", "--crewai-trace", plugin=False)
    assert refused.result.ret == pytest.ExitCode.USAGE_ERROR

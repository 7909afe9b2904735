"""S08: crewAI is not installed, or broken. The plugin does nothing; a test that asks for a trace is told why."""

from __future__ import annotations

import pytest

# A Python in which crewAI was never installed: neither its modules nor what pip knows of it.
ABSENT = """
import sys
from importlib.machinery import PathFinder

class WithoutCrewai:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0].startswith("crewai") else PathFinder.find_spec(name, path, target)

    @staticmethod
    def find_distributions(*context):
        return (found for found in PathFinder.find_distributions(*context) if found.name.lower() != "crewai")

    invalidate_caches = PathFinder.invalidate_caches

sys.meta_path[:] = [WithoutCrewai if finder is PathFinder else finder for finder in sys.meta_path]
"""


@pytest.fixture
def absent(project, monkeypatch):
    project.write("site/sitecustomize.py", ABSENT)
    monkeypatch.setenv("PYTHONPATH", str(project.path / "site"), prepend=":")
    return project


@pytest.fixture
def broken(project, monkeypatch):
    """A crewAI that cannot be imported."""
    project.write("site/crewai/__init__.py", "raise ImportError('a library that crewAI needs is too old')\n")
    monkeypatch.setenv("PYTHONPATH", str(project.path / "site"), prepend=":")
    return project


def check(result, **outcomes):
    result.assert_outcomes(**outcomes)
    assert "INTERNALERROR" not in str(result.stdout) + str(result.stderr)


def test_s08_not_installed(absent):
    absent.tests(
        """
        import importlib.util

        def test_absent():
            assert importlib.util.find_spec("crewai") is None

        @pytest.mark.crewai_trace
        def test_marked(): pass
        """,
        crews=False,
    )

    check(absent.run_apart(), passed=2)
    result = absent.run_apart("--crewai-trace")
    check(result, passed=2)
    result.stdout.fnmatch_lines(["crewai-trace: on (command line), guard on, crewAI not installed"])


def test_s08_not_installed_and_asked_for(absent):
    absent.tests(
        """
        def test_one(crewai_trace): pass

        def test_two(request):
            request.getfixturevalue("crewai_trace")

        def test_three(): pass
        """,
        crews=False,
    )

    result = absent.run_apart()

    check(result, errors=1, failed=1, passed=1)
    said = "the fixture crewai_trace needs crewAI, which is not installed here: pip install crewai"
    assert [line for line in result.outlines if said in line and not line.startswith(("ERROR", "FAILED"))] == [said] * 2


@pytest.mark.parametrize("option", [(), ("--crewai-trace",)])
def test_s08_broken(broken, option):
    """The user sees crewAI's own error, in the tests that import it and in no others."""
    broken.tests("def test_one(): pass", crews=False)
    broken.tests("def test_two(crewai_trace):\n    import crewai", "test_import.py", crews=False)

    result = broken.run_apart(*option)

    check(result, passed=1, failed=1)
    result.stdout.fnmatch_lines(["E *ImportError: a library that crewAI needs is too old"])


def test_s08_broken_and_asked_for(broken):
    """A trace of what cannot run is empty, and an assertion on it fails."""
    broken.tests("def test_one(crewai_trace): assert crewai_trace.tool_calls == []", crews=False)

    result = broken.run_apart()

    check(result, failed=1)
    result.stdout.fnmatch_lines(
        ["E *TraceIncompleteError: the trace is empty: nothing of crewAI has run in this test*"]
    )


def test_s08_a_module_that_is_only_called_crewai(project):
    """A file of the user's own, without an event bus."""
    project.write("crewai.py", "def kickoff(): return 'done'\n")
    project.tests("import crewai\ndef test_one(): assert crewai.kickoff() == 'done'", crews=False)

    check(project.run_apart("--crewai-trace"), passed=1)


def test_s08_a_crewai_whose_bus_has_another_form(broken):
    """One clear line, and tests that pass."""
    broken.write("site/crewai/__init__.py", "\n")
    broken.write("site/crewai/events/__init__.py", "\n")
    broken.write("site/crewai/events/event_bus.py", "class CrewAIEventsBus: pass\n")
    broken.tests("import crewai.events.event_bus\ndef test_one(): pass", crews=False)

    result = broken.run_apart("--crewai-trace")

    check(result, passed=1)
    result.stdout.fnmatch_lines(
        ["*this crewAI has no crewai.events.event_bus.CrewAIEventsBus.emit: nothing can be traced"]
    )

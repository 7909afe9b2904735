from __future__ import annotations

import pytest

from pytest_crewai_trace.cli import main
from tests.support.spans import span
from tests.support.stored import LATER, RUN, crew_trace, keep


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A trace folder of two runs, found from where the command is started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CREWAI_TRACE_DIR", raising=False)
    place = tmp_path / ".crewai-traces"
    keep(place, "tests/test_old.py::test_old", run=RUN)
    keep(place, "tests/test_new.py::test_passed", run=LATER)
    failing = span(
        "tool",
        "search",
        arguments={"query": "AI"},
        error="too slow",
        agent_role="Writer",
        task_name="write",
    )
    made = crew_trace(failing, answer="An [bold]article[/bold].\x1b[2J\u202e")
    keep(
        place,
        "tests/test_new.py::test_failed",
        made,
        run=LATER,
        outcome="failed",
        message="AssertionError: no article\nassert 1 == 2",
    )
    return place


@pytest.fixture
def command(capsys):
    """Run it; its exit code, and the lines of both outputs without blanks at their ends."""

    def run(*arguments):
        try:
            code = main([str(each) for each in arguments])
        except SystemExit as error:  # argparse
            code = error.code
        said = capsys.readouterr()
        return code, [line.rstrip() for line in said.out.splitlines()], said.err.splitlines()

    return run

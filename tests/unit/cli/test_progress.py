"""What takes longer than a second tells on a terminal how far it is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pytest_crewai_trace.cli import places
from tests.support.stored import LATER, RUN


@pytest.fixture
def terminal(monkeypatch):
    """A terminal in the place of standard error; commands that take long."""
    shown = Console(file=io.StringIO(), force_terminal=True, width=100)
    real = places.console
    monkeypatch.setattr(places, "console", lambda *, stderr=False: shown if stderr else real())
    monkeypatch.setattr(places, "_LONG", -1.0)
    return shown


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("list", "--all"), {"looking at files"}),
        (("show", "--dir", ".crewai-traces"), {"looking at files"}),
        (("stats", "--all"), {"looking at files", "reading traces"}),
        (("export", "--all", "--format", "jsonl", "-o", "x.jsonl"), {"looking at files", "reading traces"}),
        (("diff", RUN, LATER), {"looking at files"}),
        (("merge", ".crewai-traces", "-o", "merged"), {"looking at files", "merging"}),
        (("html", ".crewai-traces", "-o", "x.html"), {"looking at files", "writing the viewer"}),
    ],
)
def test_bars(folder, command, terminal, arguments, what):
    code, out, _ = command(*arguments)

    assert code == 0
    said = terminal.file.getvalue()
    every = ("looking at files", "reading traces", "comparing", "merging", "writing the viewer")
    assert {each for each in every if each in said} == what
    assert [line for line in out if "\x1b" in line or "━" in line] == []  # nothing of it where the output goes


def test_no_bar_for_what_is_done_at_once_and_where_nobody_looks(terminal, monkeypatch):
    assert list(places.progress(range(3), "reading", 3)) == [0, 1, 2]
    assert "reading" in terminal.file.getvalue()

    unseen = Console(file=io.StringIO(), force_terminal=False)
    monkeypatch.setattr(places, "console", lambda *, stderr=False: unseen)
    assert list(places.progress(range(3), "reading", 3)) == [0, 1, 2]
    monkeypatch.setattr(places, "console", lambda *, stderr=False: terminal)
    monkeypatch.setattr(places, "_LONG", 1e9)
    before = terminal.file.getvalue()
    assert list(places.progress(range(3), "reading", 3)) == [0, 1, 2]
    assert (unseen.file.getvalue(), terminal.file.getvalue()) == ("", before)

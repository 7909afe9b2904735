"""Reads what the plugin has put on the terminal, without the times."""

from __future__ import annotations

import re

import pytest

TITLE = "crewai trace"


def summary_line(result: pytest.RunResult) -> str | None:
    """The line at the end; the time that the tools took is ``T s``."""
    lines = [line for line in result.outlines if re.match(r"crewai-trace: \d", line)]
    assert len(lines) <= 1
    return re.sub(r"\d+\.\d s in", "T s in", lines[0]) if lines else None


def trace_sections(result: pytest.RunResult) -> list[str]:
    """The trace in each report of a failed test; every time is ``T s``."""
    parts = re.split(rf"^-+ {TITLE} -+\n", str(result.stdout), flags=re.MULTILINE)[1:]
    # What follows: another test or section, the end of the session, our own summary.
    ends = re.compile(r"^(?:([=_-])\1* \S.* \1+|crewai-trace: .*)$", flags=re.MULTILINE)
    sections = [ends.split(part, maxsplit=1)[0].rstrip("\n") for part in parts]
    return [re.sub(r"\d+\.\d\d s", "T s", section) for section in sections]

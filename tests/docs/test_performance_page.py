"""docs/performance.md shows what the benchmarks found last."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "performance.md").read_text("utf-8")
RESULTS = ROOT / "benchmarks" / "results.md"
HEAD = "| what "


def table(text: str) -> list[str]:
    """The lines of the table of promises."""
    lines = text[text.index(HEAD) :].splitlines()
    return list(takewhile(lambda line: line.startswith("|"), lines))


def test_the_page_has_the_table_of_the_last_run():
    if not RESULTS.exists():
        pytest.skip("the benchmarks are no part of a distribution")
    assert len(table(PAGE)) > 20
    assert table(PAGE) == table(RESULTS.read_text("utf-8"))


def test_the_page_says_where_what_is_measured_goes():
    assert PAGE.count("<!-- measured -->") == PAGE.count("<!-- /measured -->") == 1
    assert "](performance.svg)" in PAGE

"""docs/performance.md and its curves, from what a run found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.drawing import Panel, picture
from benchmarks.measure import Promise, Table, grid

BEGIN, END = "<!-- measured -->", "<!-- /measured -->"


def promised(promises: Sequence[Promise]) -> str:
    """Each promise as a line of a table."""
    return grid(Promise.HEAD, [promise.cells() for promise in promises])


def write(docs: Path, promises: Sequence[Promise], tables: Sequence[Table], measured_on: str) -> None:
    """Put the table and the curves into the page; what people wrote around them stays."""
    path = docs / "performance.md"
    measured = f"{BEGIN}\n\n{measured_on}\n\n{promised(promises)}\n{END}"
    text = re.sub(f"{BEGIN}.*{END}", lambda found: measured, path.read_text("utf-8"), flags=re.DOTALL)
    path.write_text(text, encoding="utf-8")
    panels = [
        Panel(title, {name: [(x, max(y, 1e-4)) for x, y in curve] for name, curve in curves.items()}, log=True)
        for table in tables
        for title, curves in table.curves.items()
    ]
    (docs / "performance.svg").write_text(picture(panels), encoding="utf-8")

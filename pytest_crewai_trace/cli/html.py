"""``crewai-trace html``: the viewer of stored traces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_crewai_trace.cli.places import NothingFoundError, console, default_folder, find, progress, skipped
from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.report.html import write
from pytest_crewai_trace.report.target import check


def html(folders: Sequence[str], output: str, *, force: bool) -> int:
    """Write the viewer: of all traces in the folders, else of the last run in the default one."""
    target = Path(output)
    check(target, force=force)
    places = [Path(folder) for folder in folders] or [default_folder()]
    for place in places:
        if not place.exists():
            raise NothingFoundError(f"there is no {str(place)!r}; pytest --crewai-trace-keep=all keeps traces")
    found = find(places)
    if not found.stored:
        raise NothingFoundError(f"there are no traces in {', '.join(map(str, places))}")
    written = write(
        target,
        found if folders else found.of_run(found.runs[-1]),
        earlier=found.stored,
        force=force,
        progress=lambda stored: progress(stored, "writing the viewer", len(stored)),
    )
    for path, reason in written.skipped:
        skipped(path, reason)
    console().print(f"{plural(written.tests, 'trace')} in {target}")
    return 0

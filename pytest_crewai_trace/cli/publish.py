"""``crewai-trace publish``: sends to CrewAI AMP what a run kept for it. Imports no crewAI."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_crewai_trace.cli.places import console, default_folder, skipped
from pytest_crewai_trace.errors import TraceDocumentError, plural
from pytest_crewai_trace.publish import outbox
from pytest_crewai_trace.publish.amp import Amp
from pytest_crewai_trace.publish.sending import Posted, Sending, lines, without_content
from pytest_crewai_trace.trace.render import printable

if TYPE_CHECKING:
    from pytest_crewai_trace.publish.outbox import Item

SENT, SOME_FAILED, REFUSED = 0, 1, 3


def publish(
    folders: Sequence[str],
    *,
    which: str = "all",
    names_only: bool = False,
    anonymous: bool = False,
    seconds: float = 30.0,
    dry_run: bool = False,
    client: Callable[..., Amp] = Amp,
) -> int:
    """Send what waits in the folders, else in the default one."""
    places = [Path(folder) for folder in folders] or [default_folder()]
    # A run that has nothing to send makes no folder, and is no failure of the step that comes after it.
    there = [place for place in places if place.exists()]
    for place in (place for place in places if place not in there):
        console(stderr=True).print(f"there is no {str(place)!r}; pytest --crewai-trace-publish makes what is sent")
    found = [item for item in outbox.find(there) if which == "all" or item.bad]
    waiting = [item for item in found if item.waits and item.path.exists()]
    if dry_run:
        return _show(waiting, names_only=names_only)
    out = console()
    if not waiting:
        sent = sum(item.record is not None and item.record.state == "sent" for item in found)
        before = f"; {plural(sent, 'trace')} sent before" if sent else ""
        out.print(f"nothing to publish in {', '.join(map(str, places))}{before}")
        return SENT
    from pytest_crewai_trace.publish.credentials import NoAccess, find_access

    access = find_access(os.environ, anonymous=anonymous)
    if isinstance(access, NoAccess):
        out.print(f"nothing was published: {printable(access.reason)}")
        return REFUSED
    sending = Sending(access, seconds=seconds, names_only=names_only, client=client)
    with _Shown(len(waiting)) as shown:
        outcome = sending.send(waiting, shown.tell)
    for line in lines(outcome, " ".join(folders) or str(places[0])):
        out.print(line)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return REFUSED if outcome.refused else SENT if outcome.complete else SOME_FAILED


def _show(waiting: Sequence[Item], *, names_only: bool) -> int:
    """Print what would be sent, a JSON object a line."""
    out = console()
    for item in waiting:
        try:
            envelope = item.load()
        except (TraceDocumentError, OSError) as error:
            skipped(item.path, str(error))
            continue
        shown = outbox.shown(without_content(envelope) if names_only else envelope)
        out.print(json.dumps({"file": str(item.path), **shown}))
    console(stderr=True).print(f"{plural(len(waiting), 'trace')} would be sent; nothing was")
    return SENT


class _Shown:
    """Says what comes of each trace: with a bar where somebody looks on, else a line each."""

    def __init__(self, total: int) -> None:
        self._out = console()
        self._bar = None
        self._total = total
        if console(stderr=True).is_terminal:
            from rich.progress import Progress

            self._bar = Progress(console=console(stderr=True), transient=True)

    def __enter__(self) -> _Shown:
        if self._bar is not None:
            self._bar.start()
            self._bar.add_task("publishing", total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, posted: Posted) -> None:
        sent = posted.sent
        said = f"{sent.state:<8}  {printable(posted.test)}"
        for more in (sent.url, sent.reason):
            if more:
                said += f"  {printable(more)}"
        self._out.print(said)
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])

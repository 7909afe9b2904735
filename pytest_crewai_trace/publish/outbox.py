"""What is to be sent, on disk beside the traces, and what came of it.

``<name>.envelope.json`` is what is to be sent, written by the process that ran the test. ``<name>.published.json`` is
what came of it, written by whoever sent it; then the envelope goes. Whoever sends what is in a run's folder holds its
lock, which the operating system lets go when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pytest_crewai_trace.errors import TraceDocumentError, problems_of
from pytest_crewai_trace.files import PRIVATE, FileRefusedError, opened, replacing
from pytest_crewai_trace.publish.delivery import FINAL, Parcel, Progress, Sent, State
from pytest_crewai_trace.publish.envelope import Envelope
from pytest_crewai_trace.store.attempt import BAD
from pytest_crewai_trace.store.reader import MOST_BYTES, files_in
from pytest_crewai_trace.store.writer import ENVELOPE, PUBLISHED, SUFFIX

_LOCK = ".publishing"
_LOOK_AGAIN = 0.1  # seconds between looks at a lock
_MOST_RECORD = 1_000_000


class Record(BaseModel):
    """What came of an envelope: ``state`` as in ``Sent``, when, and how far it has come."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crewai_trace_published: Literal[1] = 1
    execution: str
    state: State
    reason: str = ""
    url: str | None = None
    at: datetime
    progress: Progress | None = None


@dataclass(frozen=True)
class Item:
    """An envelope: where it is or was, and what came of it so far."""

    path: Path
    record: Record | None = None

    @property
    def waits(self) -> bool:
        """Whether it is still to be sent."""
        return self.record is None or self.record.state not in FINAL

    @property
    def bad(self) -> bool:
        """Whether its test is one of those that somebody has to look at."""
        return self.path.name.removesuffix(ENVELOPE).rpartition(".")[2] in BAD

    @property
    def parcel(self) -> Parcel:
        return Parcel(str(self.path), self.load, None if self.record is None else self.record.progress)

    def load(self) -> Envelope:
        """What is to be sent.

        Raises:
            TraceDocumentError: the file is no envelope, or of a newer version, or too large.
            OSError: it cannot be read.
        """
        try:
            with opened(self.path, MOST_BYTES) as file:
                return Envelope.load(file.read())
        except ValidationError as error:
            raise TraceDocumentError(f"not an envelope: {problems_of(error)[0]}") from None
        except FileRefusedError as error:
            raise TraceDocumentError(f"it {error}") from None

    def keep(self, sent: Sent, execution: str) -> None:
        """Remember what came of it; what has been sent is not kept twice.

        Raises:
            OSError: it cannot be written.
        """
        record = Record(
            execution=execution,
            state=sent.state,
            reason=sent.reason,
            url=sent.url,
            at=datetime.now(timezone.utc),
            progress=sent.progress,
        )
        with replacing(_beside(self.path, PUBLISHED), PRIVATE) as file:
            file.write(record.model_dump_json(exclude_none=True).encode())
        if sent.state in ("sent", "partial", "skipped"):
            self.path.unlink(missing_ok=True)


def _beside(path: Path, ending: str) -> Path:
    """The file of another kind that belongs to a file."""
    ours = next((each for each in (SUFFIX, ENVELOPE, PUBLISHED) if path.name.endswith(each)), "")
    return path.with_name(path.name.removesuffix(ours) + ending)


def record_of(path: Path) -> Record | None:
    """What came of publishing a trace, by its file; ``None`` where nothing did, or nothing that can be read."""
    try:
        with open(_beside(path, PUBLISHED), "rb") as file:
            return Record.model_validate_json(file.read(_MOST_RECORD))
    except (OSError, ValidationError):
        return None


def find(places: Iterable[Path]) -> list[Item]:
    """The envelopes at ``places``, each a folder or an envelope, and the records of those that are gone.

    What stands in two places, such as a shard and the folder that it was merged into, counts once.

    Raises:
        OSError: a place does not exist.
    """
    found: dict[tuple[str, str], Item] = {}
    for place in places:
        paths = files_in(place, (ENVELOPE, PUBLISHED)) if place.is_dir() else (place,)
        for path in paths:
            if not place.is_dir():
                path.stat()
            item = Item(_beside(path, ENVELOPE), record_of(path))
            key = (path.parent.name, item.path.name)
            if key not in found or not item.waits:
                found[key] = item
    return [found[key] for key in sorted(found)]


def again(item: Item) -> Item:
    """The same, as it stands now."""
    return Item(item.path, record_of(item.path))


@contextlib.contextmanager
def locked(folder: Path, deadline: float) -> Iterator[str]:
    """Be the only one who sends what is in a folder, as long as this lasts; why not, where that cannot be.

    Waits for somebody else who is at it, at most until ``deadline`` on ``time.monotonic()``.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        file = os.open(folder / _LOCK, flags, 0o600)
    except OSError as error:
        yield f"what was sent could not be remembered: {error.strerror or error} ({folder})"
        return
    try:
        while taken := not _lock(file):
            if time.monotonic() >= deadline:
                break
            time.sleep(_LOOK_AGAIN)
        yield "somebody else is sending it" if taken else ""
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True


def shown(envelope: Envelope) -> dict[str, Any]:
    """An envelope as a person reads it: the spans as OTLP JSON."""
    readable: dict[str, Any] = json.loads(envelope.model_dump_json(exclude={"spans"}))
    if envelope.spans is not None:
        from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # it has no types
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        readable["spans"] = MessageToDict(ExportTraceServiceRequest.FromString(envelope.spans))
    return readable

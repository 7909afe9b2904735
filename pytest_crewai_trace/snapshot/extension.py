"""The syrupy extension: how a trace becomes a file, one for each snapshot, and how it is compared with it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syrupy.extensions.base import AbstractSyrupyExtension
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from pytest_crewai_trace.errors import HookError
from pytest_crewai_trace.files import SHARED, FileRefusedError, replacing, text_of
from pytest_crewai_trace.snapshot.facts import Custom
from pytest_crewai_trace.snapshot.options import Options
from pytest_crewai_trace.snapshot.reading import Entry, Reading
from pytest_crewai_trace.snapshot.text import Snapshot, SnapshotFileError
from pytest_crewai_trace.trace.redact import Redactor

if TYPE_CHECKING:
    from syrupy.data import SnapshotCollection
    from syrupy.location import PyTestLocation

    from pytest_crewai_trace.trace.span import Span
    from pytest_crewai_trace.trace.trace import Trace

MOST_BYTES = 100_000_000  # of a file; more is refused before it is read
_LONGEST_NAME = 200  # bytes; file systems allow 255, and the extension and a temporary name need some
_NOT_IN_NAMES = frozenset('\\/?*:|"<>')
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))}


@dataclass(frozen=True)
class Compared:
    """A trace, or one span of it, and all that decides on its text."""

    trace: Trace | Span
    options: Options = field(default_factory=Options)
    redactor: Redactor = field(default_factory=Redactor)
    custom: Custom = field(default_factory=Custom)
    crewai: str | None = None

    def snapshot(self) -> Snapshot:
        """Its snapshot.

        Raises:
            HookError: somebody's redactor raised; nothing is written.
        """
        from pytest_crewai_trace.snapshot.render import tree_text

        text = tree_text(self.trace, self.options, self.redactor, self.custom)
        if len(text) * self.options.variants > MOST_BYTES:
            raise SnapshotFileError(f"it would have {len(text):,} characters; ignore= and fold= make it smaller")
        if self.redactor.failures:
            first = self.redactor.failures[0]
            raise first if isinstance(first, HookError) else HookError(f"a redactor raised: {first!r}")
        return Snapshot(self.options.level, (text,), self.crewai if self.options.level == "full" else None)


class Rendered(str):
    """The text of a snapshot, which knows what it was made of."""

    __slots__ = ("options", "reading", "snapshot")
    options: Options
    reading: Reading
    snapshot: Snapshot

    @classmethod
    def of(cls, compared: Compared) -> Rendered:
        snapshot = compared.snapshot()
        made = cls(snapshot.write())
        made.snapshot, made.options, made.reading = snapshot, compared.options, Reading()
        return made

    def beside(self, stored: Snapshot) -> tuple[list[Entry], list[list[Entry]]]:
        """Its tree, and that of each stored variant.

        Raises:
            SnapshotFileError: a line of a variant is neither a span nor a fact, or stands where none can.
        """
        return self.reading.tree(self.snapshot.variants[0], is_ours=True), self.reading.trees(stored)


def file_name(name: str) -> str:
    """The name of the file, without its ending, of a snapshot's name: one of its own for each, valid everywhere."""
    cleaned = "".join(c for c in name if c not in _NOT_IN_NAMES and c.isprintable() and ord(c) < 0xE000)
    cleaned = cleaned.rstrip(". ")
    if cleaned.split(".")[0].upper() in _RESERVED or not cleaned:
        cleaned = f"_{cleaned}"
    if cleaned == name and len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{cleaned.encode()[: _LONGEST_NAME - 9].decode('utf-8', 'ignore')}.{digest}"


class TraceSnapshotExtension(SingleFileSnapshotExtension):
    """Keeps each snapshot of a trace in a file ``__snapshots__/<test module>/<test>.crewai``."""

    _write_mode = WriteMode.TEXT
    file_extension = _file_extension = "crewai"  # the second is the name before syrupy 5

    def serialize(self, data: Any, *, exclude: Any = None, include: Any = None, matcher: Any = None) -> str:
        return Rendered.of(data if isinstance(data, Compared) else Compared(data))

    def matches(self, *, serialized_data: Any, snapshot_data: Any) -> bool:
        """Whether the text is one of the accepted variants.

        Raises:
            SnapshotFileError: it is not, and the file is no snapshot.
        """
        stored, made = Snapshot.read(snapshot_data), serialized_data.snapshot
        is_accepted = made.variants[0] in stored.variants and len(stored.variants) <= serialized_data.options.variants
        if stored.level == made.level and is_accepted:
            return True
        serialized_data.beside(stored)
        return False

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: int | str = 0) -> str:
        return file_name(AbstractSyrupyExtension.get_snapshot_name(test_location=test_location, index=index))

    @classmethod
    def matches_test_location(cls, *, test_location: PyTestLocation, snapshot_location: str) -> bool:
        if super().matches_test_location(test_location=test_location, snapshot_location=snapshot_location):
            return True
        path = Path(snapshot_location)
        return path.parent.name == test_location.basename and path.stem == file_name(test_location.snapshot_name)

    def read_snapshot_data_from_location(
        self, *, snapshot_location: str, snapshot_name: str, session_id: str
    ) -> str | None:
        """The text of a file, if there is one.

        Raises:
            SnapshotFileError: it is no snapshot, of a newer format or too large.
        """
        try:
            return _read(Path(snapshot_location))
        except FileNotFoundError:
            return None

    @classmethod
    def write_snapshot_collection(
        cls, *, snapshot_collection: SnapshotCollection, name_order: dict[str, int] | None = None
    ) -> None:
        path = Path(snapshot_collection.location)
        data: Any = next(iter(snapshot_collection)).data
        snapshot: Snapshot = data.snapshot
        if data.options.variants > 1 and path.exists():
            from pytest_crewai_trace.snapshot.variants import joined

            snapshot = joined(Snapshot.read(_read(path)), data)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, SHARED) as file:
            file.write(snapshot.write().encode())
            file.flush()
            os.fsync(file.fileno())

    # The names before syrupy 5.
    _read_snapshot_data_from_location = read_snapshot_data_from_location
    _write_snapshot_collection = write_snapshot_collection


def _read(path: Path) -> str:
    try:
        text = text_of(path, MOST_BYTES)
    except FileRefusedError as error:
        raise SnapshotFileError(f"it {error}") from None
    Snapshot.read(text)
    return text

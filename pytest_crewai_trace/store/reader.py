"""Reads trace files. What is no trace, or not a whole one, is named and skipped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from pytest_crewai_trace.errors import TraceDocumentError, problems_of
from pytest_crewai_trace.files import FileRefusedError, opened
from pytest_crewai_trace.store.attempt import Attempt
from pytest_crewai_trace.store.writer import ENVELOPE, FORMAT, PUBLISHED, VERSION
from pytest_crewai_trace.trace.render import cut, printable
from pytest_crewai_trace.trace.trace import Trace

MOST_BYTES = 200_000_000  # of a file; four times what is written
_MOST_HEADER = 1_000_000


@dataclass(frozen=True)
class Stored:
    """A trace file: what its first line says, and its trace when somebody asks for it."""

    path: Path
    attempt: Attempt
    _whole: bool = field(default=False, repr=False)  # the file is a trace and nothing else

    def trace(self) -> Trace:
        """The trace.

        Raises:
            TraceDocumentError: it is not whole, or not a trace.
        """
        return Trace.from_json(self.text())

    def text(self) -> bytes:
        """The trace as ``Trace.from_json`` takes it.

        Raises:
            TraceDocumentError: it is not whole.
        """
        with _opened(self.path) as file:
            if self._whole:
                return file.read(MOST_BYTES)
            size = _header(file).get("trace_bytes")
            text = file.read(MOST_BYTES).removesuffix(b"\n")
        if len(text) != size:
            raise TraceDocumentError(f"truncated: {len(text):,} of {size!r} bytes")
        return text


@dataclass(frozen=True)
class Found:
    """What is in a folder: the traces, by run and test, and what was skipped, with the reason."""

    stored: tuple[Stored, ...]
    skipped: tuple[tuple[Path, str], ...]

    @property
    def runs(self) -> list[str]:
        """The runs, the latest last."""
        return sorted({one.attempt.run for one in self.stored})

    def of_run(self, run: str) -> Found:
        """Only the traces of one run."""
        return Found(
            tuple(one for one in self.stored if one.attempt.run == run),
            tuple((path, why) for path, why in self.skipped if run in path.parts),
        )


def read(path: Path) -> Stored:
    """The file at ``path``: one of ours, or what ``Trace.to_json`` gave.

    Raises:
        TraceDocumentError: it is neither, or is of a newer format, or is too large to be looked at.
        OSError: it cannot be read.
    """
    with _opened(path) as file:
        header = _header(file)
        if FORMAT not in header:
            file.seek(0)
            trace = Trace.from_json(file.read(MOST_BYTES))
            origin = trace.origin
            attempt = Attempt(
                test_id=origin.test_id or path.name,
                outcome="unknown",
                started_at=origin.started_at,
                spans=len(trace.all_spans),
            )
            return Stored(path, attempt, True)
    version = header.pop(FORMAT)
    if type(version) is not int or version < 1:
        raise TraceDocumentError(f"not a trace file: its version is {printable(cut(repr(version), 40))}")
    if version > VERSION:
        raise TraceDocumentError(
            f"a trace file of version {cut(str(version), 20)};"
            f" this version of pytest-crewai-trace reads up to {VERSION}"
        )
    header.pop("trace_bytes", None)
    try:
        return Stored(path, Attempt.model_validate(header))
    except ValidationError as error:
        raise TraceDocumentError(f"not a trace file: {printable(cut(problems_of(error)[0], 200))}") from None


def _opened(path: Path) -> BinaryIO:
    try:
        return opened(path, MOST_BYTES)
    except FileRefusedError as error:
        raise TraceDocumentError(str(error)) from None


def _header(file: BinaryIO) -> dict[str, Any]:
    """The first line as an object; empty where it is not ours."""
    first = file.readline(_MOST_HEADER)
    if not first.strip():
        raise TraceDocumentError("not a trace file: it is empty" if not first else "not a trace file")
    try:
        header = json.loads(first)
    except (ValueError, RecursionError):
        header = None
    return header if isinstance(header, dict) else {}


def files_in(folder: Path, suffixes: tuple[str, ...] = ()) -> Iterator[Path]:
    """The files with one of these endings, or those that may be traces, at any depth, in the order of their names.

    Links to folders are not followed.
    """
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            fits = name.endswith(suffixes) if suffixes else not name.endswith((ENVELOPE, PUBLISHED))
            if fits and not name.startswith("."):
                yield Path(where, name)


def find(paths: Sequence[Path], progress: Callable[[list[Path]], Iterable[Path]] = iter) -> Found:
    """The traces at ``paths``, each a file or a folder; the same attempt at two places counts once.

    ``progress`` hands on the files, and may tell how far they are.

    Raises:
        OSError: one of the paths does not exist.
    """
    stored: dict[tuple[object, ...], Stored] = {}
    skipped = []
    named = [path for path in paths if not path.is_dir()]
    files = [file for path in paths for file in (files_in(path) if path.is_dir() else (path,))]
    for file in progress(files):
        try:
            one = read(file)
        except TraceDocumentError as error:
            skipped.append((file, str(error)))
        except OSError as error:
            if file in named:
                raise
            skipped.append((file, error.strerror or str(error)))
        else:
            told = one.attempt
            key = (told.run, told.test_id, told.attempt, told.worker, told.started_at, told.outcome)
            stored.setdefault(key if told.run else (file,), one)
    inorder = sorted(stored.values(), key=lambda one: (one.attempt.run, one.attempt.test_id, one.attempt.attempt))
    return Found(tuple(inorder), tuple(skipped))

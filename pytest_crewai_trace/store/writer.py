"""Writes trace files: one for each attempt at a test, whole or not at all, in a folder that does not grow for ever."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_crewai_trace.files import PRIVATE, WRITING, replacing

if TYPE_CHECKING:
    from pytest_crewai_trace.store.attempt import Attempt
    from pytest_crewai_trace.store.clean import Cleaning
    from pytest_crewai_trace.trace.trace import Trace

FORMAT = "crewai_trace"  # the key that says what a file is; its value is the version
VERSION = 1
SUFFIX = ".jsonl"
# Beside a trace: what is to be sent to CrewAI AMP, and what came of it.
ENVELOPE, PUBLISHED = ".envelope.json", ".published.json"
RUN_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_IGNORE = "# Traces of crewAI tests.\n*\n"
_ABANDONED = 3_600.0  # seconds after which a file that was being written is nobody's
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")
_LONGEST_NAME = 80
_FULL = 0.9  # of what the folder may hold, is what is left when something had to go


@dataclass(frozen=True)
class Kept:
    """Where a trace went, or why nowhere; ``dropped`` older ones had to go."""

    path: Path | None = None
    problem: str | None = None
    dropped: int = 0


class _File(NamedTuple):
    bad: bool
    written: float
    path: str
    size: int


class Store:
    """The folder of traces as one process writes to it; no error gets out.

    ``root`` is the project: a folder that nobody chose (``is_default``) may not be a link that leads out of it.
    """

    def __init__(
        self, folder: Path, run: str, cleaning: Cleaning, *, most_bytes: int, root: Path, is_default: bool = False
    ) -> None:
        self.folder = folder
        self.run = run
        self.most_bytes = most_bytes
        self._cleaning = cleaning
        self._root = root
        self._is_default = is_default
        self._names: set[str] = set()
        self._total: int | None = None

    def keep(self, attempt: Attempt, trace: Trace, name: str | None = None) -> Kept:
        """Write the trace of an attempt, under a name that was asked for before or a new one."""
        return self._put(lambda: name or self.name(attempt), lambda: self._content(attempt, trace))

    def put(self, name: str, content: str) -> Kept:
        """Write something else into the folder of this run."""
        return self._put(lambda: name, content.encode)

    def _put(self, name_of: Callable[[], str], content_of: Callable[[], bytes]) -> Kept:
        try:
            content = content_of()
            path = self._made_folder() / name_of()
            with replacing(path, PRIVATE) as file:
                file.write(content)
            return Kept(path, dropped=self._make_room(path, len(content)))
        except OSError as error:
            return Kept(problem=f"{error.strerror or error} ({error.filename or self.folder})")
        except Exception as error:  # noqa: BLE001 - whatever it is, the test has ended and is not to fail with it
            return Kept(problem=f"{type(error).__name__}: {error}")

    def _content(self, attempt: Attempt, trace: Trace) -> bytes:
        document = self._cleaning.json_of(trace)
        facts = attempt.model_dump(mode="json", exclude_defaults=True)
        for name in ("test_id", "message", "git", "ci"):
            if name in facts:
                facts[name] = self._cleaning.value(facts[name], name)
        header = {FORMAT: VERSION, "trace_bytes": len(document), **facts}
        first = json.dumps(header, ensure_ascii=True, allow_nan=False)
        return b"".join((first.encode(), b"\n", document, b"\n"))

    def name(self, attempt: Attempt) -> str:
        """A name for a trace, new each time, that is safe everywhere. Tests whose names are equal after cleaning differ
        in the hash.
        """
        shown = _NOT_IN_NAMES.sub("-", self._cleaning.value(attempt.test_id, "test_id").replace(".py::", "::"))
        digest = hashlib.sha256(attempt.test_id.encode("utf-8", "surrogatepass")).hexdigest()[:10]
        worker = f"-{_NOT_IN_NAMES.sub('', attempt.worker)}" if attempt.worker else ""
        stem = f"{shown.strip('-')[-_LONGEST_NAME:].strip('-') or 'test'}-{digest}-{attempt.attempt}{worker}"
        name, number = f"{stem}.{attempt.outcome}{SUFFIX}", 1
        while name in self._names:  # a test that was named twice on the command line
            number += 1
            name = f"{stem}-{number}.{attempt.outcome}{SUFFIX}"
        self._names.add(name)
        return name

    def _made_folder(self) -> Path:
        """This run's folder."""
        folder = self.folder
        if self._is_default and folder.is_symlink() and not _is_inside(folder, self._root):
            raise OSError(
                0, "a link that leads out of the project; --crewai-trace-dir says that it is meant", str(folder)
            )
        new_folder(folder)
        run = folder / self.run
        if run.is_symlink():
            raise NotADirectoryError(20, "not a folder", str(run))
        new_folder(run)
        return run

    def _make_room(self, written: Path, size: int) -> int:
        """Drop the oldest traces, those of passed tests first, if the folder holds too much; how many went."""
        self._total = sum(file.size for file in self._files()) if self._total is None else self._total + size
        if self._total <= self.most_bytes:
            return 0
        files = sorted(self._files())
        self._total = sum(file.size for file in files)  # other processes write and drop too
        dropped = 0
        for file in files:
            if self._total <= self.most_bytes * _FULL:
                break
            if file.path == str(written):
                continue
            try:
                os.unlink(file.path)
            except OSError:
                continue
            self._total -= file.size
            dropped += file.path.endswith(SUFFIX)
        return dropped

    def _files(self) -> Iterator[_File]:
        """What we wrote, in this run and others; what is not ours is not counted and never touched."""
        for run in _entries(self.folder):
            if RUN_NAME.fullmatch(run.name) and run.is_dir(follow_symlinks=False):
                for entry in _entries(run.path):
                    try:
                        stat = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if entry.name.endswith((SUFFIX, ENVELOPE)) and not entry.name.startswith("."):
                        yield _File(".passed." not in entry.name, stat.st_mtime, entry.path, stat.st_size)
                    elif entry.name.startswith(WRITING) and stat.st_mtime < time.time() - _ABANDONED:
                        _unlink(entry.path)


def new_folder(folder: Path) -> None:
    """Make a folder, if there is none, for its owner alone. The outermost one says to git that it is not its business.

    Raises:
        OSError: there is something else in its place, or it cannot be made.
    """
    if folder.is_dir():
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(20, "not a folder", str(folder)) from None
        return
    if not (folder.parent / ".gitignore").exists() or not RUN_NAME.fullmatch(folder.name):
        (folder / ".gitignore").write_text(_IGNORE, encoding="utf-8")


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)

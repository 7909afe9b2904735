"""The format of a snapshot: a line for each span and each fact, indented, printable, and read back without doubt.

A span is ``kind name``; a fact is ``path: value``; the lines of a text with line breaks follow its path behind ``|``.
Whatever a terminal would act on or not show is written as an escape, by a fixed list, as Python versions disagree on
what is printable.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from pytest_crewai_trace.errors import CrewaiTraceError
from pytest_crewai_trace.snapshot.options import LEVELS, MOST_VARIANTS

VERSION = 1
MOST_INDENT = 40  # deeper, the depth is a number: a chain of 100,000 spans stays linear to write
_MOST_LINES = 20  # of a text that is not folded
_FOLDED_LINES, _FOLDED_CHARACTERS = 5, 300  # that are shown of one that is
_UNSAFE = (
    "\x00-\x1f\x7f-\xa0\xad\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f"
    "\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\uffff\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_ESCAPED = re.compile(f'[{_UNSAFE}"\\\\]')
_ESCAPED_IN_LINE = re.compile(f"[{_UNSAFE}\\\\]| $")
_ESCAPED_IN_NAME = re.compile(f"[{_UNSAFE}\\\\]")
UNSAFE = re.compile(f"[{_UNSAFE}]")
_HEADER = re.compile(r"crewai-trace snapshot (\d{1,9})(?:, level (\w+)(?:, crewAI ([\w.+-]{1,40}))?)?")
_VARIANT = re.compile(r"\nvariant [0-9]{1,3}(?=\n|\Z)")


class SnapshotFileError(CrewaiTraceError, ValueError):
    """A snapshot file is not one, is of a newer format, or is too large to be read. It is left as it is."""


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in '"\\':
        return f"\\{character}"
    known = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    code = ord(character)
    return known or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")


def inline(text: str) -> str:
    """A text on one line, in quotes."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f'"{_ESCAPED.sub(_escape, text)}"'


def in_name(text: str) -> str:
    """A name, without quotes."""
    return _ESCAPED_IN_NAME.sub(_escape, text) or '""'


def in_one_line(value: Any, fold: int | None) -> str | None:
    """A value as it stands behind its path; ``None`` where it takes ``in_lines``."""
    if type(value) is not str:
        return _scalar(value)
    return inline(value) if "\n" not in value and (fold is None or len(value) <= fold) else None


def in_lines(value: str, fold: int | None) -> list[str]:
    """A text as the lines below its path."""
    lines = value.split("\n")
    if fold is None or (len(value) <= fold and len(lines) <= _MOST_LINES):
        return [*map(_in_line, lines)]
    shown = value[:_FOLDED_CHARACTERS].split("\n")[:_FOLDED_LINES]
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    count = "1 line" if len(lines) == 1 else f"{len(lines):,} lines"
    return [*map(_in_line, shown), f"... {len(value):,} characters in {count}, sha256 {digest}"]


def _in_line(line: str) -> str:
    return f"| {_ESCAPED_IN_LINE.sub(_escape, line)}" if line else "|"


def _scalar(value: Any) -> str:
    if type(value) is int:
        return repr(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(inline(item) if isinstance(item, str) else _scalar(item) for item in value)}]"
    return "{}" if isinstance(value, dict) else inline(str(value))


def indented(depth: int) -> str:
    return "  " * depth if depth <= MOST_INDENT else "  " * MOST_INDENT + f"({depth}) "


@dataclass(frozen=True)
class Snapshot:
    """What a file holds: one or more accepted variants, each the text of a tree."""

    level: str
    variants: tuple[str, ...]
    crewai: str | None = None
    lines: tuple[int, ...] = ()  # of the file, with which each variant begins

    def write(self) -> str:
        made = "" if self.crewai is None else f", crewAI {self.crewai}"
        header = f"crewai-trace snapshot {VERSION}, level {self.level}{made}\n"
        if len(self.variants) == 1:
            return f"{header}\n{self.variants[0]}"
        return header + "".join(f"\nvariant {number}\n\n{text}" for number, text in enumerate(self.variants, start=1))

    @classmethod
    def read(cls, text: str) -> Snapshot:
        """What ``write`` wrote; the trees themselves are read by ``Reading``.

        Raises:
            SnapshotFileError: no snapshot, or of a newer format.
        """
        first, _, rest = text.partition("\n")
        header = _HEADER.match(first)
        if header is None:
            raise SnapshotFileError("its first line should be 'crewai-trace snapshot 1, level ...'")
        if int(header[1]) > VERSION:
            raise SnapshotFileError(
                f"it is of format {header[1]}; this version of pytest-crewai-trace reads up to {VERSION}"
            )
        if int(header[1]) < 1 or header.end() != len(first) or header[2] not in LEVELS:
            raise SnapshotFileError("its first line should be 'crewai-trace snapshot 1, level ...'")
        # At the left such a line is no span: no kind is called "variant".
        marks = [*_VARIANT.finditer(text, header.end())]
        if marks and rest[: marks[0].start() - len(first)].strip("\n"):
            raise SnapshotFileError("there is something before its first variant")
        if len(marks) > MOST_VARIANTS:
            raise SnapshotFileError(f"it has {len(marks):,} variants; at most {MOST_VARIANTS} can be accepted")
        starts = [mark.end() for mark in marks] or [len(first)]
        ends = [*(mark.start() for mark in marks[1:]), len(text)]
        texts = tuple(text[start:end].strip("\n") + "\n" for start, end in zip(starts, ends, strict=True))
        begins = tuple(_line_at(text, start) for start in starts)
        return cls(header[2], texts, header[3], begins)


def _line_at(text: str, start: int) -> int:
    """The number of the first line from there on that is not empty."""
    while text.startswith("\n", start):
        start += 1
    return 1 + text.count("\n", 0, start)

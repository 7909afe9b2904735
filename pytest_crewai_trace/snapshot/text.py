"""The format of a snapshot: a line for each span and each fact, indented, printable, and read back without doubt.

A span is ``kind name``; a fact is ``path: value``; the lines of a text with line breaks follow its path behind ``|``.
Whatever a terminal would act on or not show is written as an escape, by a fixed list, as Python versions disagree on
what is printable.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pytest_crewai_trace.errors import CrewaiTraceError
from pytest_crewai_trace.snapshot.options import LEVELS
from pytest_crewai_trace.trace.semconv import KINDS

VERSION = 1
_MOST_INDENT = 40  # deeper, the depth is a number: a chain of 100,000 spans stays linear to write
_MOST_LINES = 20  # of a text that is not folded
_FOLDED_LINES, _FOLDED_CHARACTERS = 5, 300  # that are shown of one that is
_UNSAFE = (
    "\x00-\x1f\x7f-\xa0\xad\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f"
    "\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\uffff\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_ESCAPED = re.compile(f'[{_UNSAFE}"\\\\]')
_ESCAPED_IN_LINE = re.compile(f"[{_UNSAFE}\\\\]| $")
_ESCAPED_IN_NAME = re.compile(f"[{_UNSAFE}\\\\]")
_HEADER = re.compile(r"crewai-trace snapshot (\d{1,9})(?:, level (\w+)(?:, crewAI ([\w.+-]{1,40}))?)?")
_VARIANT = re.compile(r"variant [0-9]{1,3}")
_DEEP = re.compile(r"\(([0-9]{1,7})\) (\S.*)")
_PATH = re.compile(r"[a-z_]+(?:\.[\w-]+)*")
_FACT = re.compile(r'([a-z_]+(?:\.(?:[\w-]+|"(?:[^"\\]|\\.)*"))*):(?: (.+))?')
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|-?inf|nan|true|false|null|\{\}")
_KINDS = frozenset(KINDS)


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


def lines_of(value: Any, fold: int | None) -> list[str]:
    """A value as the lines of a fact: one to stand behind its path, or an empty one and those below it."""
    if not isinstance(value, str):
        return [_scalar(value)]
    if "\n" not in value and (fold is None or len(value) <= fold):
        return [inline(value)]
    lines = value.split("\n")
    if fold is not None and (len(value) > fold or len(lines) > _MOST_LINES):
        shown = value[:_FOLDED_CHARACTERS].split("\n")[:_FOLDED_LINES]
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        count = "1 line" if len(lines) == 1 else f"{len(lines):,} lines"
        return ["", *map(_in_line, shown), f"... {len(value):,} characters in {count}, sha256 {digest}"]
    return ["", *map(_in_line, lines)]


def _in_line(line: str) -> str:
    return f"| {_ESCAPED_IN_LINE.sub(_escape, line)}" if line else "|"


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(inline(item) if isinstance(item, str) else _scalar(item) for item in value)}]"
    return "{}" if isinstance(value, dict) else inline(str(value))


def indented(depth: int) -> str:
    return "  " * depth if depth <= _MOST_INDENT else "  " * _MOST_INDENT + f"({depth}) "


@dataclass(eq=False)
class Entry:
    """A span of a snapshot, as its text has it. ``facts`` maps paths to values as they are written."""

    kind: str
    name: str
    depth: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    children: list[Entry] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The span's own lines."""
        yield f"{indented(self.depth)}{self.kind} {self.name}"
        for path in self.facts:
            yield from self.lines_of_fact(path)

    def lines_of_fact(self, path: str) -> Iterator[str]:
        first, *more = self.facts[path].split("\n")
        yield f"{indented(self.depth + 1)}{path}:{' ' if first else ''}{first}"
        for line in more:
            yield f"{indented(self.depth + 2)}{line}"


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
        """What ``write`` wrote; the trees themselves are read by ``trees``.

        Raises:
            SnapshotFileError: no snapshot, or of a newer format.
        """
        first, *lines = text.split("\n")
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
        marks = [-1, *(n for n, line in enumerate(lines) if line.startswith("variant ") and _VARIANT.fullmatch(line))]
        parts = [lines[mark + 1 : end] for mark, end in zip(marks, [*marks[1:], len(lines)], strict=True)]
        if len(parts) > 1:
            if any(parts[0]):
                raise SnapshotFileError("there is something before its first variant")
            parts, marks = parts[1:], marks[1:]
        begins = tuple(
            mark + 3 + next((place for place, line in enumerate(part) if line), 0)
            for mark, part in zip(marks, parts, strict=True)
        )
        texts = tuple("\n".join(part).strip("\n") + "\n" for part in parts)
        return cls(header[2], texts, header[3], begins)

    def trees(self) -> list[list[Entry]]:
        """The tree of each variant: its outermost spans.

        Raises:
            SnapshotFileError: a line that is neither a span nor a fact, or stands where none can.
        """
        begins = self.lines or (1,) * len(self.variants)
        return [entries(text, begin) for text, begin in zip(self.variants, begins, strict=True)]


def entries(text: str, first_line: int = 1) -> list[Entry]:  # noqa: PLR0912 - a line of a file is one of so many things
    """The tree of one variant, which begins with that line of its file."""
    roots: list[Entry] = []
    above: list[Entry] = []
    paths: dict[str, bool] = {}
    path = ""
    for number, line in enumerate(text.split("\n"), start=first_line):
        if not line:
            continue
        content = line.lstrip(" ")
        depth, odd = divmod(len(line) - len(content), 2)
        if content.startswith("("):
            depth, content = _deep(content, depth, number)
        word = content.split(" ", 1)[0]
        if word in _KINDS and not odd:
            if depth > len(above) or len(word) == len(content):
                raise _nonsense(number, line)
            del above[depth:]
            entry = Entry(word, content[len(word) + 1 :], depth)
            (above[-1].children if above else roots).append(entry)
            above.append(entry)
            path = ""
        elif odd or not above:
            raise _nonsense(number, line)
        elif path and depth == len(above) + 1 and word in ("|", "..."):
            above[-1].facts[path] += f"\n{content}"
        elif depth == len(above):
            path, _, value = content.partition(": ") if content[-1] != ":" else (content[:-1], "", "")
            if path not in paths:
                paths[path] = _PATH.fullmatch(path) is not None
            if not paths[path]:
                # A quoted key may hold what ends a path.
                fact = _FACT.fullmatch(content)
                if fact is None:
                    raise _nonsense(number, line)
                path, value = fact[1], fact[2] or ""
            if path in above[-1].facts or (value and value[0] not in '"[' and not _NUMBER.fullmatch(value)):
                raise _nonsense(number, line)
            above[-1].facts[path] = value
        else:
            raise _nonsense(number, line)
    if not roots:
        raise SnapshotFileError("there is no span in it")
    return roots


def _deep(content: str, depth: int, number: int) -> tuple[int, str]:
    """A line whose depth is a number."""
    match = _DEEP.fullmatch(content)
    if match is None or depth != _MOST_INDENT:
        raise _nonsense(number, content)
    return int(match[1]), match[2]


def _nonsense(number: int, line: str) -> SnapshotFileError:
    shown = json.dumps(line.strip()[:80])
    return SnapshotFileError(f"line {number} is neither a span nor a fact of one: {shown}")

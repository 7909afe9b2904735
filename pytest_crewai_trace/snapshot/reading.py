"""Reads the trees of snapshots back from their text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from pytest_crewai_trace.snapshot.text import MOST_INDENT, Snapshot, SnapshotFileError, indented
from pytest_crewai_trace.trace.semconv import KINDS

_BEGIN = re.compile(r"\n[ (0-9)]*[a-z][a-z0-9_]* ")  # of a span, and of no fact: quick to look for
_SPAN = re.compile(rf"\n( *)(?:\(([0-9]{{1,7}})\) )?({'|'.join(KINDS)}) ")
_BLANK = re.compile(r"\n *(?=\n|\Z)")
_DEEP = re.compile(r"\(([0-9]{1,7})\) (\S.*)")
_PATH = re.compile(r"[a-z_]+(?:\.[\w-]+)*")
_FACT = re.compile(r'([a-z_]+(?:\.(?:[\w-]+|"(?:[^"\\]|\\.)*"))*):(?: (.+))?')
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|-?inf|nan|true|false|null|\{\}")


class _Lines:
    """The lines of one span."""

    __slots__ = ("depth", "facts_of", "kind", "name", "text")

    def __init__(self, text: str, depth: int, kind: str, name: str) -> None:
        self.text = text
        self.depth = depth
        self.kind = kind
        self.name = name
        self.facts_of: dict[str, str] | None = None


class Entry:
    """A span of a snapshot, with all that is inside it; equal ones of one ``Reading`` are the same object."""

    __slots__ = ("children", "own")

    def __init__(self, own: _Lines, children: tuple[Entry, ...]) -> None:
        self.own = own
        self.children = children

    @property
    def kind(self) -> str:
        return self.own.kind

    @property
    def name(self) -> str:
        return self.own.name

    @property
    def depth(self) -> int:
        return self.own.depth

    @property
    def facts(self) -> dict[str, str]:
        """Paths and values, as they are written."""
        if self.own.facts_of is None:
            self.own.facts_of = _facts(self.own.text, self.depth)
        return self.own.facts_of

    def lines(self) -> list[str]:
        """The span's own lines."""
        return self.own.text.split("\n")[1:]

    def lines_of_fact(self, path: str) -> Iterator[str]:
        first, *more = self.facts[path].split("\n")
        yield f"{indented(self.depth + 1)}{path}:{' ' if first else ''}{first}"
        for line in more:
            yield f"{indented(self.depth + 2)}{line}"


class Reading:
    """Reads texts that are compared with each other. What they share, and a text that comes again, is read once."""

    def __init__(self) -> None:
        self._lines: dict[str, _Lines] = {}
        self._trees: dict[str, list[Entry]] = {}
        self._entries: dict[tuple[_Lines, tuple[Entry, ...]], Entry] = {}

    def trees(self, snapshot: Snapshot) -> list[list[Entry]]:
        """The outermost spans of each variant.

        Raises:
            SnapshotFileError: a line that is neither a span nor a fact, or stands where none can.
        """
        begins = snapshot.lines or (1,) * len(snapshot.variants)
        return [self.tree(text, begin) for text, begin in zip(snapshot.variants, begins, strict=True)]

    def tree(self, text: str, first_line: int = 1, *, is_ours: bool = False) -> list[Entry]:
        """The outermost spans of a text, which begins with that line of its file; one that is ours is not checked."""
        if text not in self._trees:
            self._trees[text] = self._tree(text, first_line, is_ours=is_ours)
        return self._trees[text]

    def _tree(self, text: str, first_line: int, *, is_ours: bool) -> list[Entry]:
        text = "\n" + text.rstrip(" \n")
        starts = [match.start() for match in _BEGIN.finditer(text)]
        if not starts:
            raise SnapshotFileError("there is no span in it")
        if text[: starts[0]].strip():
            raise _nonsense(first_line, text[: starts[0]].strip())
        above: list[_Lines] = []
        inside: list[list[Entry]] = [[]]  # of the text, and of each of those above
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
            own = self._lines.get(text[start:end]) or self._read(text, start, end, first_line, is_ours=is_ours)
            if own.depth > len(above):
                raise _nonsense(first_line + text.count("\n", 0, start), own.text)
            while len(above) > own.depth:
                self._close(above, inside)
            above.append(own)
            inside.append([])
        while above:
            self._close(above, inside)
        return inside[0]

    def _close(self, above: list[_Lines], inside: list[list[Entry]]) -> None:
        key = (above.pop(), tuple(inside.pop()))
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Entry(*key)
        inside[-1].append(entry)

    def _read(self, text: str, start: int, end: int, first_line: int, *, is_ours: bool) -> _Lines:
        """One span's lines that were not met before."""
        written = text[start:end]
        block = written if is_ours else _BLANK.sub("", written)
        if block in self._lines:
            return self._lines[block]
        try:
            own = _Lines(block, *_head(block))
            if not is_ours:
                own.facts_of = _facts(written, own.depth)
        except _OddLineError as odd:
            number, line = odd.args
            raise _nonsense(first_line + text.count("\n", 0, start) + number, line) from None
        self._lines[block] = own
        return own


class _OddLineError(Exception):
    """Its place below the span's line, and the line."""


def _head(block: str) -> tuple[int, str, str]:
    """Depth, kind and name."""
    match = _SPAN.match(block)
    line = block[1:].split("\n", 1)[0]
    name = "" if match is None else line[match.end() - 1 :]
    if match is None or len(match[1]) % 2 or (match[2] and len(match[1]) != 2 * MOST_INDENT) or not name:
        raise _OddLineError(0, line)
    return int(match[2] or len(match[1]) // 2), match[3], name


def _facts(block: str, span_depth: int) -> dict[str, str]:
    facts: dict[str, str] = {}
    path = ""
    for number, line in enumerate(block.split("\n")[2:], start=1):
        content = line.lstrip(" ")
        if not content:
            continue
        depth, odd = divmod(len(line) - len(content), 2)
        if content[0] == "(":
            match = _DEEP.fullmatch(content)
            if match is None or depth != MOST_INDENT:
                raise _OddLineError(number, line)
            depth, content = int(match[1]), match[2]
        if odd:
            raise _OddLineError(number, line)
        if path and depth == span_depth + 2 and content.split(" ", 1)[0] in ("|", "..."):
            facts[path] += f"\n{content}"
            continue
        path, value = _fact(content) if depth == span_depth + 1 else ("", "")
        if not path or path in facts:
            raise _OddLineError(number, line)
        facts[path] = value
    return facts


def _fact(content: str) -> tuple[str, str]:
    """Path and value; no path where it is no fact."""
    path, _, value = content.partition(": ") if content[-1] != ":" else (content[:-1], "", "")
    if not _PATH.fullmatch(path):
        match = _FACT.fullmatch(content)  # a quoted key may hold what ends a path
        if match is None:
            return "", ""
        path, value = match[1], match[2] or ""
    return ("", "") if value and value[0] not in '"[' and not _NUMBER.fullmatch(value) else (path, value)


def _nonsense(number: int, line: str) -> SnapshotFileError:
    shown = json.dumps(line.strip()[:80])
    return SnapshotFileError(f"line {number} is neither a span nor a fact of one: {shown}")

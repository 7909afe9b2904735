"""Reads the trees of snapshots back from their text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from pytest_crewai_trace.snapshot.text import MOST_INDENT, UNSAFE, Snapshot, SnapshotFileError, indented
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

    __slots__ = ("children", "depth", "own")

    def __init__(self, own: _Lines, children: tuple[Entry, ...] = ()) -> None:
        self.own = own
        self.children = children
        self.depth = own.depth

    @property
    def kind(self) -> str:
        return self.own.kind

    @property
    def name(self) -> str:
        return self.own.name

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
        self._trees: dict[str, list[Entry]] = {}
        self._leaves: dict[str, Entry] = {}  # spans without what is inside them
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
        levels: list[list[Entry]] = []  # the spans of each depth below the last one above it
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
            leaf = self._leaves.get(text[start:end]) or self._leaf(text, start, end, first_line, is_ours=is_ours)
            if leaf.depth > len(levels):
                raise _nonsense(first_line + text.count("\n", 0, start), leaf.own.text)
            while len(levels) > leaf.depth + 1:
                self._close(levels)
            if len(levels) == leaf.depth:
                levels.append([])
            levels[-1].append(leaf)
        while len(levels) > 1:
            self._close(levels)
        return levels[0]

    def _close(self, levels: list[list[Entry]]) -> None:
        """Put the spans of the last level into the one above them."""
        inside = tuple(levels.pop())
        own = levels[-1][-1].own
        entry = self._entries.get((own, inside))
        if entry is None:
            entry = self._entries[own, inside] = Entry(own, inside)
        levels[-1][-1] = entry

    def _leaf(self, text: str, start: int, end: int, first_line: int, *, is_ours: bool) -> Entry:
        """One span's lines that were not met before."""
        written = text[start:end]
        block = written if is_ours else _BLANK.sub("", written)
        if block in self._leaves:
            return self._leaves[block]
        try:
            own = _Lines(block, *_head(block))
            if not is_ours:
                _check_characters(written)
                own.facts_of = _facts(written, own.depth)
        except _OddLineError as odd:
            number, line = odd.args
            raise _nonsense(first_line + text.count("\n", 0, start) + number, line) from None
        leaf = self._leaves[block] = Entry(own)
        return leaf


class _OddLineError(Exception):
    """Its place below the span's line, and the line."""


def _check_characters(block: str) -> None:
    """What we would have escaped is not shown to a terminal."""
    for number, line in enumerate(block[1:].split("\n")):
        if UNSAFE.search(line):
            raise _OddLineError(number, line)


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

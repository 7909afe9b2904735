"""The YAML that cassettes are written in: JSON's values, laid out for people and quick to read.

What is written is a strict subset of YAML: block mappings and sequences, texts of several lines as literal blocks,
what is short in one line as JSON. It is read line by line. Whatever is not of the subset (edited by hand, formatted by
a tool) goes to PyYAML, without tags, anchors, aliases and repeated keys, and with JSON's scalars only.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from pytest_crewai_trace.replay.handwritten import DEEPEST, LayoutError, read_yaml

INDENT = 2
WIDTH = 100  # what is not longer, as JSON, stands in one line


# -- writing ----------------------------------------------------------------------------------------------------------

_PART = r"[\w .,;/()+\-?=&%@!'*$<>|~^\[\]{}]*"
_WORD = rf"[A-Za-z]{_PART}(?::(?![ \n]|\Z){_PART})*"
_PLAIN = re.compile(rf"{_WORD}(?<! )\Z", re.ASCII)
_PLAIN_KEY = re.compile(r"[A-Za-z$][\w$.\-]*\Z", re.ASCII)
_KEYWORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
# Not printable for YAML, or a line break for it.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def write(value: dict[str, Any] | list[Any], indent: int = 0) -> str:
    """A dict or list of JSON's values as YAML, all of it ``indent`` to the right.

    Raises:
        LayoutError: a value that JSON does not have, a lone surrogate, or more nesting than ``DEEPEST``.
    """
    lines: list[str] = []
    _write(value, indent, "", lines)
    return "\n".join(lines) + "\n"


def _write(value: Any, indent: int, head: str, lines: list[str]) -> None:
    """Write a value after ``head``: a key or dashes, of which the first line consists already."""
    if indent > DEEPEST * INDENT:
        raise LayoutError(f"nested more than {DEEPEST} levels deep")
    pad = " " * indent
    if not isinstance(value, dict | list) or (head and _left(value, WIDTH) > 0):
        lines.append(f"{head}{' ' if head.endswith(':') else ''}{_inline(value, indent)}")
    elif isinstance(value, dict):
        if head.endswith(":"):
            lines.append(head)
            head = pad
        for key, inner in value.items():
            if type(key) is not str:
                raise LayoutError(f"the key {key!r} is no text")
            name = key if _PLAIN_KEY.match(key) and key.lower() not in _KEYWORDS else _quoted(key)
            below = indent + INDENT
            _write(inner, indent if isinstance(inner, list) else below, f"{head or pad}{name}:", lines)
            head = pad
    else:
        if head.endswith(":"):
            lines.append(head)
            head = pad
        for inner in value:
            _write(inner, indent + INDENT, f"{head or pad}- ", lines)
            head = pad


def _left(value: Any, room: int) -> int:
    """How many characters a value leaves of ``room`` in one line, roughly; nothing, if it is too long for one."""
    room -= 4
    if room <= 0:
        return 0
    if isinstance(value, str):
        return 0 if "\n" in value else room - len(value)
    if isinstance(value, dict):
        for key, inner in value.items():
            room = _left(inner, room - len(key) if type(key) is str else room)
    elif isinstance(value, list):
        for inner in value:
            room = _left(inner, room)
    return room


def _inline(value: Any, indent: int) -> str:
    """A value that begins in the line of its key."""
    if type(value) is str:
        return _text(value, indent)
    _check_scalars(value)
    try:
        return _escaped(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise LayoutError(str(error)) from None


def _check_scalars(value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if type(key) is not str:
                raise LayoutError(f"the key {key!r} is no text")
            _check_scalars(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_scalars(inner)


def _text(text: str, indent: int) -> str:
    if _PLAIN.match(text) and text.lower() not in _KEYWORDS:
        return text
    if "\n" in text and text.strip("\n") and not _UNPRINTABLE.search(text):
        if _SURROGATE.search(text):
            raise LayoutError("a lone surrogate")
        body = text.rstrip("\n")
        ends = len(text) - len(body)
        first = str(INDENT) if text[0] in " \t\n" else ""
        # A block's text is indented against what it stands in, which is one level out.
        lines = [f"|{first}{'-' if not ends else '' if ends == 1 else '+'}"]
        pad = " " * indent
        lines.extend(pad + line if line else "" for line in body.split("\n"))
        lines.extend("" for _ in range(ends - 1))
        return "\n".join(lines)
    return _quoted(text)


def _quoted(text: str) -> str:
    return _escaped(json.dumps(text, ensure_ascii=False))


def _escaped(text: str) -> str:
    """JSON with what YAML does not print escaped."""
    if text.isascii() and "\x7f" not in text:
        return text
    if _SURROGATE.search(text):
        raise LayoutError("a lone surrogate")
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


# -- reading ----------------------------------------------------------------------------------------------------------

_RUN = r'[^"\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]*'
_QUOTED = rf'"{_RUN}(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{{4}}){_RUN})*"'
_LINE = re.compile(
    r"(?P<pad> *)(?P<dashes>(?:- )*)"
    rf"(?:(?P<key>[A-Za-z$][\w$.\-]*|{_QUOTED}):(?: (?=\S)|(?=\n)))?"
    rf"(?:(?P<plain>{_WORD})|(?P<quoted>{_QUOTED})|(?P<block>\|2?[-+]?)"
    r"|(?P<json>[\d\-{\[][^\n]*))?\n",
    re.ASCII,
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_REMARKS = re.compile(r"(?:#[^\n]*\n)*")


class _NotOurs(Exception):  # noqa: N818 - never seen outside
    """The text is not of the subset."""


def read(text: str) -> Any:
    """The value that a text holds.

    Raises:
        LayoutError: not YAML, or YAML with tags, anchors, aliases or repeated keys; says where.
    """
    try:
        return _read(text)
    except _NotOurs:
        return read_yaml(text)


def _read(text: str) -> Any:
    """Read the subset, one line after the other."""
    if _UNPRINTABLE.search(text) if not text.isascii() else _has_controls(text):
        raise _NotOurs
    reader = _Reader(text)
    while reader.position < len(text):
        reader.read_line()
    if reader.waiting is not None or not reader.root:
        raise _NotOurs
    return reader.root[0]


class _Reader:
    """Where in a text we are, and what is open there."""

    __slots__ = ("position", "root", "stack", "text", "waiting")

    def __init__(self, text: str) -> None:
        self.text = text
        self.position: int = _REMARKS.match(text).end()  # type: ignore[union-attr]  # matches always
        self.root: list[Any] = []
        self.stack: list[tuple[int, Any]] = []  # of each open collection its indentation, and itself
        # A collection and its key whose value begins in the next line, and the indentation of that key.
        self.waiting: tuple[Any, str | None, int] | None = (self.root, None, -INDENT)

    def read_line(self) -> None:
        found = _LINE.match(self.text, self.position)
        if found is None:
            raise _NotOurs
        pad, dashes, key, plain, quoted, block, flow = found.groups()
        self.position = found.end()
        indent, collection = len(pad), self._collection_at(len(pad), bool(dashes))
        if dashes:
            indent, collection = self._items(indent, collection, len(dashes) // 2, key is not None)
        if key is not None:
            key = self._new_key(collection, key)
        elif not dashes:
            raise _NotOurs
        if plain is not None:
            value = _plain(plain)
        elif quoted is not None:
            value = _unquoted(quoted)
        elif block is not None:
            deeper = indent if key is None else indent + INDENT
            value, self.position = _read_block(self.text, self.position, block, deeper)
        elif flow is not None:
            value = _flow(flow)
        elif key is None:
            raise _NotOurs
        else:
            self.waiting = (collection, key, indent)
            return
        _put(collection, key, value)

    def _collection_at(self, indent: int, listed: bool) -> Any:
        """The collection that a line stands in: one that begins here, or an open one."""
        stack = self.stack
        if self.waiting is not None:
            holder, key, outer = self.waiting
            if indent != (outer if listed and outer >= 0 else outer + INDENT):
                raise _NotOurs
            opened: Any = [] if listed else {}
            _put(holder, key, opened)
            stack.append((indent, opened))
            self.waiting = None
            return opened
        while stack and (
            stack[-1][0] > indent or (stack[-1][0] == indent and not listed and type(stack[-1][1]) is list)
        ):
            stack.pop()
        if not stack or stack[-1][0] != indent or (type(stack[-1][1]) is list) != listed:
            raise _NotOurs
        return stack[-1][1]

    def _items(self, indent: int, collection: Any, dashes: int, keyed: bool) -> tuple[int, Any]:
        """Open what the items of a line begin: lists in lists, and a mapping if there is a key."""
        for left in range(dashes - 1, -1, -1):
            indent += INDENT
            if left or keyed:
                inner: Any = [] if left else {}
                collection.append(inner)
                self.stack.append((indent, inner))
                collection = inner
        return indent, collection

    def _new_key(self, collection: Any, key: str) -> str:
        if key[0] == '"':
            key = _unquoted(key)
        elif key.lower() in _KEYWORDS:
            raise _NotOurs
        if key in collection:
            raise _NotOurs  # PyYAML's way says where
        return key


def _plain(text: str) -> Any:
    if text[-1] == " ":
        raise _NotOurs
    if text.lower() not in _KEYWORDS:
        return text
    if text not in _CONSTANTS:
        raise _NotOurs
    return _CONSTANTS[text]


_CONTROLS = bytes(number for number in range(128) if _UNPRINTABLE.match(chr(number)))


def _has_controls(text: str) -> bool:
    data = text.encode("ascii")
    return len(data.translate(None, _CONTROLS)) != len(data)


def _put(collection: Any, key: str | None, value: Any) -> None:
    if key is None:
        collection.append(value)
    else:
        collection[key] = value


def _flow(text: str) -> Any:
    """A number, or JSON in one line."""
    if _HALF_ESCAPED.search(text):
        raise _NotOurs
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise _NotOurs from None


_HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")  # half a character in JSON, no character in YAML


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(made := dict(pairs)) != len(pairs):
        raise _NotOurs  # PyYAML's way says where
    return made


def _no_constant(name: str) -> Any:
    raise _NotOurs


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)


def _unquoted(text: str) -> str:
    if "\\" not in text:
        return text[1:-1]
    if _HALF_ESCAPED.search(text):
        raise _NotOurs
    value: str = json.loads(text)
    return value


def _read_block(text: str, position: int, mark: str, indent: int) -> tuple[str, int]:
    """A literal block's text, and where what comes after it begins."""
    pad = " " * indent
    found = _block_of(indent).match(text, position)
    if found is None:
        raise _NotOurs
    inner = f"\n{found[0]}".replace(f"\n{pad}", "\n")[1:]
    kept = inner.rstrip("\n")
    if not kept or ("2" not in mark and inner[0] in " \t\n"):
        raise _NotOurs
    return (kept if mark[-1] == "-" else inner if mark[-1] == "+" else f"{kept}\n"), found.end()


@cache
def _block_of(indent: int) -> re.Pattern[str]:
    return re.compile(rf"(?: {{{indent}}}[^\n]*\n|\n)+")

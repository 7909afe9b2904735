"""Live objects as plain data, safely: no code of the value's own class is run, and the size is bounded.

Events hold live agents, message lists and whatever a tool was called with. A ``__repr__``, ``__eq__`` or
``__getattr__`` of such an object may raise, block or lie, so none is called; nor is any of its metaclass.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import ipaddress
import math
import pathlib
import re
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType
from typing import Any

MOST_CHARACTERS = 1_000_000  # of one text
MOST_TEXT = 4_000_000  # characters of one payload, all texts together
MOST_ITEMS = 1_000  # of one collection
MOST_VALUES = 20_000  # of one payload, all levels together
MOST_LEVELS = 40
_BASE64_KEPT = 64
_SHORT = 100
_SMALL_VALUES = 500
_SMALL_LEVELS = 10
_LONGEST_INTEGER = 4_000  # bits; Python refuses to print integers of over 4,300 digits

# Shown by their ``str()``; of these classes only, as a subclass has a say in it.
_BY_STR = frozenset(
    id(cls)
    for cls in (
        *(datetime.date, datetime.timedelta, datetime.timezone, decimal.Decimal, fractions.Fraction, complex),
        *(ipaddress.IPv4Address, ipaddress.IPv6Address, uuid.UUID),
        *(pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath),
    )
)
_SCALARS: dict[type, Callable[[Any], Any]] = {str: str.__str__, int: int.__int__, float: float.__float__}
_SEQUENCES: dict[type, Callable[[Any], Any]] = {list: list.__iter__, tuple: tuple.__iter__, deque: deque.__iter__}
_SETS: dict[type, Callable[[Any], Any]] = {set: set.__iter__, frozenset: frozenset.__iter__}
_BYTES: dict[type, Callable[[Any], int]] = {bytes: bytes.__len__, bytearray: bytearray.__len__}
# crewAI's own results: those that are shown as their text, and those of which only some fields are behaviour.
_OUTPUTS = frozenset({"CrewOutput", "TaskOutput", "LiteAgentOutput"})
# A flow's state before 1.15: a list or dict that is empty itself and guards another.
_PROXIES = {"LockedListProxy": "_list", "LockedDictProxy": "_dict"}
_TELLING = {"HumanFeedbackResult": ("output", "feedback", "outcome")}


def plain(value: Any) -> Any:
    """``value`` as ``None``, ``bool``, ``int``, ``float``, ``str``, ``list`` and ``dict`` with text keys."""
    kind = type(value)
    if kind is str:
        return _text(value)
    if value is None or kind is bool:
        return value
    if kind is dict or kind is list:
        try:
            return _small(value, [_SMALL_VALUES, MOST_CHARACTERS], _SMALL_LEVELS)
        except _NotSmallError:
            pass
    return _Copy().of(value, 0)


class _NotSmallError(Exception):
    """Not a little JSON: other types, a loop, much, or a file."""


def _small(value: Any, left: list[int], levels: int) -> Any:
    """What ``_Copy`` makes of a little JSON, which nearly every payload is, in a third of the time."""
    kind = type(value)
    if kind is str:
        left[1] -= len(value)
        if left[1] < 0:
            raise _NotSmallError
        return value if len(value) < _SHORT and value.isascii() and "\0" not in value else _text(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return _integer(value)
    if kind is not dict and kind is not list:
        raise _NotSmallError
    left[0] -= len(value)
    if left[0] < 0 or levels == 0:
        raise _NotSmallError
    if kind is list:
        return [_small(item, left, levels - 1) for item in value]
    copy: dict[str, Any] = {}
    for key, item in list(value.items()):  # another thread may be changing it
        if type(key) is not str or len(key) >= _SHORT or not key.isascii() or key == "data" or "\0" in key:
            raise _NotSmallError
        copy[key] = _small(item, left, levels - 1)
    return copy


class _Copy:
    """One payload's copy; counts what it has copied."""

    __slots__ = ("left", "path", "room")

    def __init__(self) -> None:
        self.left = MOST_VALUES
        self.room = MOST_TEXT
        self.path: set[int] = set()

    def of(self, value: Any, level: int) -> Any:
        kind = type(value)
        if kind is str:
            if len(value) < _SHORT and value.isascii() and "\0" not in value:
                self.room -= _SHORT
                return value
            return self.text(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return _integer(value)
        if kind is float:
            return value if math.isfinite(value) else str(value)
        if self.left < 0 or level > MOST_LEVELS:
            return "… [cut: too many values]" if self.left < 0 else "… [cut: too deep]"
        identity = id(value)
        if identity in self.path:
            return "… [contains itself]"
        self.path.add(identity)
        try:
            if kind is dict:
                return self.mapping(value, level)
            if kind is list or kind is tuple:
                return self.sequence(value, len(value), level)
            return self.other(value, kind, level)
        finally:
            self.path.discard(identity)

    def text(self, value: str) -> str:
        self.room -= min(len(value), MOST_CHARACTERS)
        if self.room < 0 and len(value) > _BASE64_KEPT:
            value = f"{value[:_BASE64_KEPT]}… [cut: {len(value) - _BASE64_KEPT:,} more characters]"
        return _text(value)

    def mapping(self, value: dict[Any, Any], level: int) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        items = list(dict.items(value))  # another thread may be changing it
        self.left -= min(len(items), MOST_ITEMS) + 1
        for key, item in items:
            if len(copy) == MOST_ITEMS:
                copy["…"] = f"[cut: {len(items) - len(copy)} more]"
                break
            is_fine = type(key) is str and len(key) < _SHORT and key.isascii() and "\0" not in key
            name = key if is_fine else self.key(key)
            if name == "data" and type(item) is str:
                item = _base64(item)  # noqa: PLW2901
            copy[name] = self.of(item, level + 1)
        return copy

    def key(self, key: Any) -> str:
        name = self.of(key, MOST_LEVELS)
        return name if isinstance(name, str) else self.text(str(name))

    def sequence(self, items: Any, length: int, level: int) -> list[Any]:
        copy: list[Any] = []
        self.left -= min(length, MOST_ITEMS) + 1
        for item in items:
            if len(copy) == MOST_ITEMS:
                copy.append(f"… [cut: {length - len(copy)} more]")
                break
            copy.append(self.of(item, level + 1))
        return copy

    def unordered(self, items: list[Any], level: int) -> list[Any]:
        """A set, in an order that does not depend on the process."""
        if len(items) > self.left:
            return [f"… [cut: {len(items)} more]"]
        self.left -= len(items) + 1
        copy = sorted((self.of(item, level + 1) for item in items), key=lambda item: (type(item).__name__, str(item)))
        return copy if len(copy) <= MOST_ITEMS else [*copy[:MOST_ITEMS], f"… [cut: {len(copy) - MOST_ITEMS} more]"]

    def other(self, value: Any, kind: type, level: int) -> Any:
        """The types that are neither JSON's nor the common containers, by their real class and base methods only."""
        self.left -= 1
        if issubclass(kind, enum.Enum):
            return self.of(object.__getattribute__(value, "_value_"), level + 1)
        for scalar, read in _SCALARS.items():
            if issubclass(kind, scalar):
                return self.of(read(value), level)
        if _is_crewais(kind) and _name(kind) in _PROXIES:
            return self.of(_attributes(value).get(_PROXIES[_name(kind)]), level)
        if issubclass(kind, dict):
            return self.mapping(value, level)
        for base, iterate in _SEQUENCES.items():
            if issubclass(kind, base):
                items = list(iterate(value))
                return self.sequence(items, len(items), level)
        for base, iterate in _SETS.items():
            if issubclass(kind, base):
                return self.unordered(list(iterate(value)), level)
        if id(kind) in _BY_STR:
            return _printed(value, kind)
        if kind is datetime.datetime or kind is datetime.time:
            return _moment(value)
        return self.object(value, kind, level)

    def object(self, value: Any, kind: type, level: int) -> Any:
        """What has no value of its own: by its size, its text, its name or its fields."""
        for base, length in _BYTES.items():
            if issubclass(kind, base):
                return f"<{length(value)} bytes>"
        if kind is memoryview:
            try:
                return f"<{value.nbytes} bytes>"
            except ValueError:  # it was released
                return _named(kind)
        if issubclass(kind, BaseException):
            return self.text(f"{_name(kind)}: {message_of(value)}")
        if issubclass(kind, type):
            return _named(value)
        if kind is MethodType and type(value.__func__) is FunctionType:
            value, kind = value.__func__, FunctionType
        if kind is FunctionType or kind is BuiltinFunctionType:
            module = value.__module__
            return _text(f"<{module if type(module) is str else '?'}.{value.__qualname__}>")
        return self.fields(value, kind, level)

    def fields(self, value: Any, kind: type, level: int) -> Any:
        """A model or dataclass by its fields; any other object by the name of its class."""
        crewai = _is_crewais(kind)
        if crewai:
            attributes = object.__getattribute__(value, "__dict__") if hasattr(value, "__dict__") else {}
            if _name(kind) in _OUTPUTS:
                return self.of(attributes.get("raw"), level)
            if isinstance(attributes.get("role"), str):
                return _text(f"<{_name(kind)} {str.strip(attributes['role'])}>")
        names: Any = _declared(kind, "__pydantic_fields__")
        if names is None:
            names = _declared(kind, "__dataclass_fields__")
        elif crewai and "agent" in names:
            names = None  # crewAI's own models (agents, tasks, crews) lead to everything else there is
        if crewai:
            names = _TELLING.get(_name(kind), names)
        if not names:
            return _named(kind)
        attributes = _attributes(value)
        return self.mapping({name: attributes[name] for name in names if name in attributes}, level)


# -- past whatever a class says of itself ------------------------------------------------------------------------------


def _of_class(kind: type, name: str) -> Any:
    """An attribute that every class has, past its metaclass."""
    return type.__getattribute__(kind, name)


def _name(kind: type) -> str:
    return str(_of_class(kind, "__name__"))


def _module(kind: type) -> str:
    module = _of_class(kind, "__module__")
    return module if type(module) is str else "?"


def _named(kind: type) -> str:
    return _text(f"<{_module(kind)}.{_of_class(kind, '__qualname__')}>")


def _is_crewais(kind: type) -> bool:
    return _module(kind).partition(".")[0] == "crewai"


def _namespaces(kind: type) -> Iterator[Any]:
    """What the class and its bases define, the nearest first."""
    return (_of_class(base, "__dict__") for base in _of_class(kind, "__mro__"))


def _declared(kind: type, name: str) -> dict[str, Any] | None:
    """The fields that pydantic or ``dataclasses`` found for a class."""
    found = next((namespace[name] for namespace in _namespaces(kind) if name in namespace), None)
    return found if type(found) is dict else None


def _attributes(value: Any) -> dict[str, Any]:
    """The instance's own attributes, past any ``__getattr__`` or property of its class."""
    found: dict[str, Any] = {}
    for namespace in _namespaces(type(value)):
        for name, member in namespace.items():
            if type(member) is MemberDescriptorType:  # a slot
                try:
                    found.setdefault(name, member.__get__(value))
                except AttributeError:
                    continue
            elif name == "__dict__" and type(member) is GetSetDescriptorType:
                found = {**member.__get__(value), **found}
    return found


# -- texts and numbers -------------------------------------------------------------------------------------------------


def _text(value: str) -> str:
    if ";base64," in value:
        value = _DATA_URI.sub(lambda found: _base64(found[0]), value)
    if len(value) > MOST_CHARACTERS:
        value = f"{value[:MOST_CHARACTERS]}… [cut: {len(value) - MOST_CHARACTERS:,} more characters]"
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # lone surrogates: no file, terminal or server takes them
            value = value.encode("utf-8", "replace").decode()
    return value


_DATA_URI = re.compile(r"data:[^\s,]{0,100};base64,[A-Za-z0-9+/_=-]{256,}")
_BASE64 = re.compile(r"(?:data:[^\s,]{0,100};base64,)?[A-Za-z0-9+/_=-]{256,}\s*")


def _base64(value: str) -> str:
    """An image, a sound or a file is cut: nobody reads it."""
    if not _BASE64.fullmatch(value):
        return value
    return f"{value[:_BASE64_KEPT]}… [cut: {len(value) - _BASE64_KEPT:,} more characters of base64]"


def _integer(value: int) -> int | str:
    return value if value.bit_length() <= _LONGEST_INTEGER else f"<integer of {value.bit_length()} bits>"


def _printed(value: Any, kind: type) -> str:
    try:
        return _text(str(value))
    except ValueError:  # a fraction of integers that Python refuses to print
        return _named(kind)


def _moment(value: datetime.datetime | datetime.time) -> str:
    """With its offset, if it is Python's own; a zone of a user's class is only named."""
    zone = value.tzinfo
    zoneinfo = getattr(sys.modules.get("zoneinfo"), "ZoneInfo", None)
    if zone is None or type(zone) is datetime.timezone or type(zone) is zoneinfo:
        return str(value)
    return f"{value.replace(tzinfo=None)} {_named(type(zone))}"


def message_of(error: BaseException) -> str:
    """An exception's text. This one does run its ``__str__``, as crewAI has, but survives what that raises."""
    try:
        return _text(str(error))
    except Exception as problem:  # noqa: BLE001 - an exception's own __str__ may raise anything
        return f"<its __str__ raised {type(problem).__name__}>"

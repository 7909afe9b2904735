"""Live objects as plain data, safely: no code of the value's own class is run, and the size is bounded.

Events hold live agents, message lists and whatever a tool was called with. A ``__repr__``, ``__eq__`` or
``__getattr__`` of such an object may raise, block or lie, so none is called.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import math
import pathlib
import sys
import uuid
from collections import deque
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

MOST_CHARACTERS = 1_000_000  # of one text
MOST_ITEMS = 1_000  # of one collection
MOST_VALUES = 20_000  # of one payload, all levels together
MOST_LEVELS = 40
_DATA_URI_KEPT = 64
_LONGEST_INTEGER = 4_000  # bits; Python refuses to print integers of over 4,300 digits

_BY_STR = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.timezone,
    decimal.Decimal,
    fractions.Fraction,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    pathlib.PurePath,
    uuid.UUID,
    complex,
)
_SCALARS: dict[type, Callable[[Any], Any]] = {str: str.__str__, int: int.__int__, float: float.__float__}
_COLLECTIONS: dict[type, Callable[[Any], Any]] = {
    list: list.__iter__,
    tuple: tuple.__iter__,
    deque: deque.__iter__,
    set: set.__iter__,
    frozenset: frozenset.__iter__,
}
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
    return _Copy().of(value, 0)


class _Copy:
    """One payload's copy; counts what it has copied."""

    __slots__ = ("left", "path")

    def __init__(self) -> None:
        self.left = MOST_VALUES
        self.path: set[int] = set()

    def of(self, value: Any, level: int) -> Any:
        kind = type(value)
        if kind is str:
            return _text(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return _integer(value)
        if kind is float:
            return value if math.isfinite(value) else str(value)
        self.left -= 1
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

    def mapping(self, value: dict[Any, Any], level: int) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        for key, item in list(dict.items(value)):  # another thread may be changing it
            if len(copy) == MOST_ITEMS or self.left < 0:
                copy["…"] = f"[cut: {dict.__len__(value) - len(copy)} more]"
                break
            copy[key if type(key) is str and key.isascii() else self.key(key)] = self.of(item, level + 1)
        return copy

    def key(self, key: Any) -> str:
        name = self.of(key, MOST_LEVELS)
        return name if isinstance(name, str) else str(name)

    def sequence(self, items: Any, length: int, level: int) -> list[Any]:
        copy: list[Any] = []
        for item in items:
            if len(copy) == MOST_ITEMS or self.left < 0:
                copy.append(f"… [cut: {length - len(copy)} more]")
                break
            copy.append(self.of(item, level + 1))
        return copy

    def other(self, value: Any, kind: type, level: int) -> Any:
        """The types that are neither JSON's nor the common containers, by their real class and base methods only."""
        if issubclass(kind, enum.Enum):
            return self.of(object.__getattribute__(value, "_value_"), level + 1)
        for scalar, read in _SCALARS.items():
            if issubclass(kind, scalar):
                return self.of(read(value), level)
        if kind.__name__ in _PROXIES and kind.__module__.startswith("crewai."):
            return self.of(_attributes(value).get(_PROXIES[kind.__name__]), level)
        if issubclass(kind, dict):
            return self.mapping(value, level)
        for base, iterate in _COLLECTIONS.items():
            if issubclass(kind, base):
                items = list(iterate(value))
                copy = self.sequence(items, len(items), level)
                ordered = not issubclass(base, set | frozenset)
                return copy if ordered else sorted(copy, key=lambda item: (type(item).__name__, str(item)))
        if issubclass(kind, bytes | bytearray | memoryview):
            return f"<{memoryview(value).nbytes} bytes>"
        if kind in _BY_STR or (
            issubclass(kind, _BY_STR) and kind.__module__.partition(".")[0] in sys.stdlib_module_names
        ):
            return str(value)
        if issubclass(kind, BaseException):
            return f"{kind.__name__}: {message_of(value)}"
        if issubclass(kind, type | FunctionType | BuiltinFunctionType | MethodType):
            return f"<{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', '?')}>"
        return self.fields(value, kind, level)

    def fields(self, value: Any, kind: type, level: int) -> Any:
        """A model or dataclass by its fields; any other object by the name of its class."""
        crewai = kind.__module__.partition(".")[0] == "crewai"
        names: Any = None
        if crewai:
            if kind.__name__ in _OUTPUTS:
                return self.of(_attributes(value).get("raw"), level)
            if _attributes(value).get("role") is not None:
                return f"<{kind.__name__} {_text(str(_attributes(value)['role']).strip())}>"
        pydantic = sys.modules.get("pydantic")
        if pydantic is not None and issubclass(kind, pydantic.BaseModel):
            # crewAI's own models (agents, tasks, crews) lead to everything else there is.
            fields = getattr(kind, "model_fields", {})
            names = () if crewai and "agent" in fields else fields
        elif dataclasses.is_dataclass(kind):
            names = [field.name for field in dataclasses.fields(kind)]
        if crewai:
            names = _TELLING.get(kind.__name__, names)
        if not names:
            return f"<{kind.__module__}.{kind.__qualname__}>"
        attributes = _attributes(value)
        return self.mapping({name: attributes[name] for name in names if name in attributes}, level)


def _attributes(value: Any) -> dict[str, Any]:
    """The instance's own attributes, past any ``__getattr__`` or property of its class."""
    try:
        found: dict[str, Any] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        found = {}
        for slot in getattr(type(value), "__slots__", ()):
            try:
                found[slot] = object.__getattribute__(value, slot)
            except AttributeError:
                continue
    return found


def _text(value: str) -> str:
    if len(value) > MOST_CHARACTERS:
        value = f"{value[:MOST_CHARACTERS]}… [cut: {len(value) - MOST_CHARACTERS:,} more characters]"
    if value.startswith("data:") and ";base64," in value[:100] and len(value) > 4 * _DATA_URI_KEPT:
        value = f"{value[:_DATA_URI_KEPT]}… [cut: {len(value) - _DATA_URI_KEPT:,} more characters of base64]"
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # lone surrogates: no file, terminal or server takes them
            value = value.encode("utf-8", "replace").decode()
    return value


def _integer(value: int) -> int | str:
    return value if value.bit_length() <= _LONGEST_INTEGER else f"<integer of {value.bit_length()} bits>"


def message_of(error: BaseException) -> str:
    """An exception's text. This one does run its ``__str__``, as crewAI has, but survives what that raises."""
    try:
        return _text(str(error))
    except Exception as problem:  # noqa: BLE001 - an exception's own __str__ may raise anything
        return f"<its __str__ raised {type(problem).__name__}>"

"""Comparing what is expected with what was seen: equal, partly equal, by matcher, by pattern, by callable."""

from __future__ import annotations

import functools
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import isawaitable, iscoroutine
from types import BuiltinFunctionType, MethodType
from typing import Any

from pytest_crewai_trace.expectations.message import hide
from pytest_crewai_trace.expectations.shown import clean, short, window
from pytest_crewai_trace.trace.render import printable

__tracebackhide__ = hide

_WINDOW = 60
_MOST_DIFFERENCES = 6
NOTHING = "nothing"  # how a value that is not there is shown
_ABSENT: Any = object()


@dataclass(frozen=True)
class Difference:
    """One place where a value is not as expected; ``path`` is ``""`` for the value as a whole."""

    path: str
    expected: str
    actual: str

    def __str__(self) -> str:
        said = f"expected {self.expected}, got {self.actual}"
        return f"{self.path}: {said}" if self.path else said


def is_predicate(value: Any) -> bool:
    """Whether a value is to be called with what was seen: a function, and not a matcher that happens to be callable."""
    if isinstance(value, functools.partial):
        return True
    if not callable(value) or isinstance(value, type):
        return False
    compares = getattr(type(value), "__eq__", None) is not getattr(object, "__eq__", None)
    return not compares or isinstance(value, MethodType | BuiltinFunctionType)


def matches(expected: Any, actual: Any) -> bool:
    """Whether one value is as expected."""
    if isinstance(expected, re.Pattern):
        if isinstance(expected.pattern, bytes):
            raise TypeError(f"{describe(expected)} is a regular expression of bytes; what a trace has is text")
        return isinstance(actual, str) and expected.search(actual) is not None
    if is_predicate(expected):
        return passes(expected, actual)
    return bool(expected == actual)


def passes(predicate: Callable[..., Any], *values: Any) -> bool:
    """Whether a callable of a test says yes to what was seen."""
    verdict = predicate(*values)
    if isawaitable(verdict):  # which is true, whatever it would come to
        if iscoroutine(verdict):
            verdict.close()
        raise TypeError(f"{_name_of(predicate)} is asynchronous; what is called with a value has to answer at once")
    return bool(verdict)


def differences(expected: Any, actual: Any, *, partial: bool = False) -> list[Difference]:
    """Every place where ``actual`` is not as expected; with ``partial`` mappings may have more, at any depth."""
    found: list[Difference] = []
    try:
        for path, one, other in _misses(expected, actual, partial):
            found.append(Difference(path, *_told(path, one, other)))
    except RecursionError:
        found.append(Difference("", describe(expected), describe(actual)))
    return found


def fits(expected: Any, actual: Any, *, partial: bool = False) -> bool:
    """Whether there are no ``differences``; stops at the first."""
    try:
        return next(_misses(expected, actual, partial), None) is None
    except RecursionError:
        return False


def _misses(expected: Any, actual: Any, partial: bool) -> Iterator[tuple[str, Any, Any]]:
    if not (type(expected) is type(actual) and expected == actual):
        yield from _inside(expected, actual, partial, "")


def _inside(expected: Any, actual: Any, partial: bool, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two values differ, and what stands there."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for key, value in expected.items():
            inner = _joined(path, key)
            if key in actual:
                yield from _inside(value, actual[key], partial, inner)
            else:
                yield inner, value, _ABSENT
        extra = () if partial else [key for key in actual if key not in expected]
        for key in extra:
            yield _joined(path, key), _ABSENT, actual[key]
    elif isinstance(expected, list | tuple) and isinstance(actual, list | tuple) and len(expected) == len(actual):
        for place, (one, other) in enumerate(zip(expected, actual, strict=True)):
            yield from _inside(one, other, partial, f"{path}[{place}]")
    elif not matches(expected, actual):
        yield path, expected, actual


def _told(path: str, expected: Any, actual: Any) -> tuple[str, str]:
    if expected is _ABSENT:
        return NOTHING, short(clean(actual, path))
    return (describe(clean(expected, path)), NOTHING) if actual is _ABSENT else both(expected, actual, path)


def _joined(path: str, key: Any) -> str:
    name = printable(key) if isinstance(key, str) else short(key)
    return f"{path}.{name}" if path else name


def under(name: str, one: Difference) -> Difference:
    """A difference in a part of what ``name`` is."""
    path = name if not one.path else name + one.path if one.path.startswith("[") else f"{name}.{one.path}"
    return Difference(path, one.expected, one.actual)


def listed(found: list[Difference]) -> str:
    """The differences, one a line."""
    lines = [str(one) for one in found[:_MOST_DIFFERENCES]]
    more = len(found) - len(lines)
    return "\n".join([*lines, *([f"and {more} more"] if more else [])])


def both(expected: Any, actual: Any, path: str = "") -> tuple[str, str]:
    """The two values as text; of two long texts the part where they begin to differ."""
    expected, actual = clean(expected, path), clean(actual, path)
    if not (isinstance(expected, str) and isinstance(actual, str)):
        return describe(expected), describe(actual)
    if expected == actual:  # two secrets
        return describe(expected), f"another {describe(actual)}"
    if max(len(expected), len(actual)) <= _WINDOW:
        return describe(expected), describe(actual)
    place = next((i for i, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), None)
    place = min(len(expected), len(actual)) if place is None else place
    return _around(expected, place), _around(actual, place)


def _around(text: str, place: int) -> str:
    before = min(place, _WINDOW // 3)
    return window(text, place, before, _WINDOW - before)


# -- showing what is expected -----------------------------------------------------------------------------------------


class _Nothing:
    """Equals no matcher but those that anything equals."""

    def __repr__(self) -> str:
        return "anything"


_NOTHING = _Nothing()


class _Expected(reprlib.Repr):
    """``reprlib``, with functions by their names and matchers as they were written.

    A dirty-equals matcher that has matched shows the value that it matched: compared with something else it forgets it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = 8
        self.maxstring = self.maxother = self.maxlong = 70

    def repr_instance(self, x: Any, level: int) -> str:
        if is_predicate(x):
            return f"a value that passes {_name_of(x)}"
        if isinstance(x, re.Pattern):
            return f"/{x.pattern}/"
        if type(x).__module__.partition(".")[0] == "dirty_equals":
            bool(x == _NOTHING)
        return super().repr_instance(x, level)

    def repr1(self, x: Any, level: int) -> str:
        return self.repr_instance(x, level) if is_predicate(x) else super().repr1(x, level)


def _name_of(predicate: Callable[..., Any]) -> str:
    inner = predicate.func if isinstance(predicate, functools.partial) else predicate
    return str(getattr(inner, "__name__", type(inner).__name__))


_expected = _Expected()


def describe(value: Any) -> str:
    """A value that is expected, on one line, printable and the same every time."""
    return printable(_expected.repr(clean(value)))

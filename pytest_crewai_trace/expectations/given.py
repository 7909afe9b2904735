"""What a test says to an expectation, checked: a mistake is one sentence that says what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, get_origin

from pytest_crewai_trace.expectations.message import hide
from pytest_crewai_trace.expectations.shown import short
from pytest_crewai_trace.expectations.values import describe, is_predicate, matches
from pytest_crewai_trace.trace.values import Error

__tracebackhide__ = hide

Text: TypeAlias = str | re.Pattern[str] | Callable[[str], Any]
UNSET: Any = object()  # where None is a value that can be expected
ErrorLike: TypeAlias = type[BaseException] | str | re.Pattern[str] | bool


def a_name(what: str, value: object) -> str:
    """A role, or the name of a task or tool, on one line as in the trace."""
    if isinstance(value, list | tuple | set | frozenset):
        raise TypeError(f"{what} takes one name, not {short(value)}: state an expectation for each")
    if not isinstance(value, str):
        raise TypeError(f"{what} takes a name (str), not {short(value)}")
    name = " ".join(value.split())
    if not name:
        raise ValueError(f"{what} takes a name, not an empty text")
    return name


def a_name_or_none(what: str, value: object) -> str | None:
    return None if value is None else a_name(what, value)


def a_flag(what: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{what}={short(value)}: it takes True or False")
    return value


def a_choice(what: str, value: object, valid: Sequence[str]) -> str:
    if value not in valid:
        choices = ", ".join(map(repr, valid))
        raise ValueError(f"{what}={short(value)}: it takes one of {choices}")
    return str(value)


def a_sequence(what: str, value: object, example: str) -> list[Any]:
    """A list of things to expect; a text is one by accident."""
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise TypeError(f"{what} takes a list, not {short(value)}: write {example}")
    return list(value)


def no_type(what: str, value: object) -> None:
    """A type is no value of a trace; those that compare, such as a matcher without its brackets, are fine."""
    if get_origin(value) is not None or (isinstance(value, type) and type(value).__eq__ is type.__eq__):
        name = value.__name__ if isinstance(value, type) else value
        raise TypeError(f"{what} takes a value, a matcher or a callable, not the type {name}")


def a_whole_number(what: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what}={short(value)}: it takes a whole number")
    if value < least:
        raise ValueError(f"{what}={value}: it takes {least} or more")
    return value


@dataclass(frozen=True)
class Times:
    """How often something is expected."""

    low: int = 1
    high: int | None = None
    words: str = ""

    def __contains__(self, count: int) -> bool:
        return self.low <= count and (self.high is None or count <= self.high)

    def __str__(self) -> str:
        return f" {self.words}" if self.words else ""


def often(count: int) -> str:
    return {0: "never", 1: "once"}.get(count, f"{count} times")


def a_count(times: int | None, at_least: int | None, at_most: int | None, *, never: str) -> Times:
    """How often, from what a test gives; ``never`` is what to write for "not at all"."""
    if times is not None and (at_least is not None or at_most is not None):
        raise TypeError("times= is exact: give either times=, or at_least= and at_most=")
    for what, value in (("times", times), ("at_least", at_least), ("at_most", at_most)):
        if value is not None and a_whole_number(what, value, 0) == 0:
            raise ValueError(f"{what}=0: to say that it must not happen, write {never}")
    if times is not None:
        return Times(times, times, often(times))
    if at_least is not None and at_most is not None and at_least > at_most:
        raise ValueError(f"at_least={at_least} is more than at_most={at_most}: no count is both")
    words = [f"at least {often(at_least)}"] if at_least is not None else []
    words += [f"at most {often(at_most)}"] if at_most is not None else []
    return Times(1 if at_least is None else at_least, at_most, " and ".join(words))


@dataclass(frozen=True)
class Said:
    """A text to look for: as it stands, by regular expression, or by callable."""

    given: Text

    def within(self, text: str) -> bool:
        if isinstance(self.given, str):
            return self.given in text
        return matches(self.given, text)

    def first_in(self, texts: Sequence[str]) -> int | None:
        """The place of the first text that has it."""
        wanted = self.given
        if not isinstance(wanted, str):
            return next((place for place, text in enumerate(texts) if self.within(text)), None)
        if wanted not in "\0".join(texts):  # one search is quicker than thousands, and most find nothing
            return None
        return next((place for place, text in enumerate(texts) if wanted in text), None)

    def __str__(self) -> str:
        return describe(self.given)


def a_text(what: str, value: object) -> Said:
    """A text, a compiled regular expression or a callable that is called with each text."""
    if isinstance(value, re.Pattern):
        if not isinstance(value.pattern, str):
            raise TypeError(f"{what} takes a regular expression of text, not of bytes: {short(value.pattern)}")
        if not value.pattern:
            raise ValueError(f"{what}: an empty regular expression is found in everything; write what is to be found")
        return Said(value)
    if isinstance(value, str):
        if not value.strip():
            raise ValueError(f"{what}: an empty text is found in everything; write what is to be found")
        return Said(value)
    if is_predicate(value):
        return Said(value)  # type: ignore[arg-type]  # a callable
    raise TypeError(f"{what} takes a text, a compiled regular expression or a callable, not {short(value)}")


@dataclass(frozen=True)
class Failure:
    """An error to look for: its class, a regular expression for ``Type: message``, or any."""

    given: type[BaseException] | re.Pattern[str] | None

    def is_like(self, error: Error | None) -> bool:
        error = error or Error()  # it failed and did not say why
        if self.given is None:
            return True
        if isinstance(self.given, re.Pattern):
            return self.given.search(str(error)) is not None
        return error.type in _names_of(self.given)

    def __str__(self) -> str:
        if self.given is None:
            return "an error"
        return f"/{self.given.pattern}/" if isinstance(self.given, re.Pattern) else self.given.__name__


def _names_of(cls: type[BaseException]) -> set[str]:
    """A class's name and its subclasses': of an exception the trace has only the name."""
    names, left = set[str](), [cls]
    while left:
        current = left.pop()
        if current.__name__ not in names:
            names.add(current.__name__)
            left += type.__subclasses__(current)
    return names


def an_error(what: str, value: object) -> Failure:
    """``True`` for any, an exception class, or a regular expression (text is one, as in ``pytest.raises``)."""
    if value is True:
        return Failure(None)
    if isinstance(value, type) and issubclass(value, BaseException):
        return Failure(None if value in (BaseException, Exception) else value)
    if isinstance(value, BaseException):
        raise TypeError(f"{what} takes an exception class, not an exception: write {type(value).__name__}")
    if isinstance(value, str):
        if not value:
            raise ValueError(f"{what}: an empty regular expression is found in everything; write True for any error")
        try:
            return Failure(re.compile(value))
        except re.error as error:
            raise ValueError(f"{what}={value!r} is no regular expression: {error}; re.escape() quotes a text") from None
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        if not value.pattern:
            raise ValueError(f"{what}: an empty regular expression is found in everything; write True for any error")
        return Failure(value)
    raise TypeError(f"{what} takes an exception class, a regular expression or True, not {short(value)}")

"""The errors that users meet."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class CrewaiTraceError(Exception):
    """Any error of this plugin that is not an assertion."""


class SpanLookupError(CrewaiTraceError, LookupError):
    """A look-up that expects one span found none, or more than one."""


class TraceIncompleteError(CrewaiTraceError, AssertionError):
    """A trace is empty, or does not hold everything that ran: nothing may be concluded from what it lacks."""


class HookError(CrewaiTraceError):
    """Somebody's implementation of one of our hooks raised."""


class TraceDocumentError(CrewaiTraceError, ValueError):
    """A text that should be a trace is not one, or is of a newer schema than this version reads."""


def hide_from_traceback(info: Any) -> bool:
    """pytest's ``__tracebackhide__``: our own frames are left out where the error is one that we raise on purpose."""
    return isinstance(info.value, CrewaiTraceError)


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """`` did you mean 'x'?`` for the nearest of ``choices``, or nothing."""
    by_folded = {choice.casefold(): choice for choice in choices}
    near = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return f" did you mean {by_folded[near[0]]!r}?" if near else ""


def unknown_choice(what: str, given: object, choices: Iterable[str]) -> str:
    """One sentence that names a wrong input and the valid ones."""
    valid = list(choices)
    return f"unknown {what} {given!r};{did_you_mean(str(given), valid)} valid: {', '.join(valid)}"

"""The errors that users meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import ValidationError

    from pytest_crewai_trace.expectations.message import Mismatch

T = TypeVar("T")


class CrewaiTraceError(Exception):
    """Any error of this plugin."""


class SpanLookupError(CrewaiTraceError, LookupError):
    """A look-up that expects one span found none, or more than one."""


class TraceIncompleteError(CrewaiTraceError, AssertionError):
    """A trace is empty, or does not hold everything that ran: nothing may be concluded from what it lacks."""


class TraceAssertionError(CrewaiTraceError, AssertionError):
    """An expectation that does not hold; with ``expect.all()``, one or more.

    ``mismatches`` has for each what was expected, what happened, the nearest candidate, what to do next and the numbers
    of the spans that matter; ``trace`` is the part of the tree that the message shows. ``expected``, ``actual``,
    ``nearest`` and ``advice`` are those of the first.
    """

    shows_tree = True  # so the report of the test need not

    def __init__(self, mismatches: Sequence[Mismatch], trace: str = "") -> None:
        super().__init__(tuple(mismatches), trace)
        self.mismatches: tuple[Mismatch, ...] = tuple(mismatches)
        self.trace = trace

    def __str__(self) -> str:
        from pytest_crewai_trace.expectations.message import text

        return text(self.mismatches, self.trace)

    @property
    def expected(self) -> str:
        return self.mismatches[0].expected

    @property
    def actual(self) -> str:
        return self.mismatches[0].actual

    @property
    def nearest(self) -> str:
        return self.mismatches[0].nearest

    @property
    def advice(self) -> str:
        return self.mismatches[0].advice


class HookError(CrewaiTraceError):
    """Somebody's implementation of one of our hooks raised."""

    @classmethod
    def of(cls, hook: str, error: Exception, *plugins: str) -> HookError:
        """What was raised, and by whose implementation, as far as that is known."""
        return cls(f"{hook} raised {type(error).__name__}: {error} (in: {', '.join(plugins)})")


def answer_of(hook: str, implementation: Any, given: dict[str, Any], check: Callable[[Any], T]) -> T:
    """What one implementation of a hook makes of what it asks for, after ``check``, which raises for nonsense.

    Raises:
        HookError: either raised.
    """
    try:
        return check(implementation.function(*(given[name] for name in implementation.argnames)))
    except Exception as error:
        raise HookError.of(hook, error, implementation.plugin_name) from error


class TraceDocumentError(CrewaiTraceError, ValueError):
    """A text that should be a trace is not one, or is of a newer schema than this version reads."""


class ReplayError(CrewaiTraceError, AssertionError):
    """A run asked for what its test does not provide. It fails the test, also if somebody catches it."""


class ScriptError(ReplayError):
    """The script of ``crewai_llm`` has no reply to a request, or one that does not fit it."""


class NetworkBlockedError(BaseException):
    """A test without network tried to connect to something else than this machine. It fails the test, also if caught.

    Not an ``Exception``: no client, no tool and not crewAI may take it for an error of the network and try again.
    """


class CassetteError(BaseException):
    """A cassette has no reply to a request, is missing, or is broken. Not an ``Exception``, for the same reason."""


class UnusedReplyError(CrewaiTraceError, AssertionError):
    """A test is over, and recorded replies were never used."""


def hide_from_traceback(info: Any) -> bool:
    """pytest's ``__tracebackhide__``: our own frames are left out where the error is one that we raise on purpose."""
    return isinstance(info.value, CrewaiTraceError | CassetteError | NetworkBlockedError)


def problems_of(error: ValidationError) -> list[str]:
    """What pydantic found wrong, each with where it stands."""
    found = error.errors(include_url=False, include_input=False)
    return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}".removeprefix(": ") for one in found]


def plural(number: int, noun: str) -> str:
    """``1 trace``, ``1,234 traces``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """`` did you mean 'x'?`` for the nearest of ``choices``, or nothing."""
    by_folded = {choice.casefold(): choice for choice in choices}
    near = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return f" did you mean {by_folded[near[0]]!r}?" if near else ""


def unknown_choice(what: str, given: object, choices: Iterable[str]) -> str:
    """One sentence that names a wrong input and the valid ones."""
    valid = list(choices)
    return f"unknown {what} {given!r};{did_you_mean(str(given), valid)} valid: {', '.join(valid)}"

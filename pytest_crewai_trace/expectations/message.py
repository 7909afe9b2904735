"""What a failed expectation says: what was expected, what happened, what came nearest, where, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.errors import CrewaiTraceError

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.tree import Tree

# A message stays under 60 lines: the other parts need up to 15.
_MOST_ROWS = 30
_MOST_LINES = 40
_LABELS = ("expected", "actual", "nearest")


@dataclass(frozen=True)
class Mismatch:
    """Why one expectation does not hold.

    ``nearest`` is the candidate that came closest, if one did; ``spans`` are the numbers of those that matter, and
    ``numbers`` says whether their time and tokens do.
    """

    expected: str
    actual: str
    nearest: str = ""
    advice: str = ""
    spans: tuple[int, ...] = ()
    numbers: bool = False


def hide(info: Any) -> bool:
    """pytest's ``__tracebackhide__``: a failure, or a mistake in an expectation, ends in the line that states it."""
    return isinstance(info.value, CrewaiTraceError | TypeError | ValueError)


def without_secrets(mismatch: Mismatch) -> Mismatch:
    """A mismatch as it may be shown. What it cuts is clean before; here are the names, and what a test expects."""
    from pytest_crewai_trace.expectations.shown import clean

    return replace(mismatch, **{name: clean(getattr(mismatch, name)) for name in (*_LABELS, "advice")})


def tree_of(tree: Tree, mismatches: Sequence[Mismatch]) -> str:
    """The part of the tree that the mismatches are about, with ``>`` at what matters."""
    from pytest_crewai_trace.expectations.shown import label
    from pytest_crewai_trace.trace.render import excerpt

    marked = {number for mismatch in mismatches for number in mismatch.spans}
    numbers = any(mismatch.numbers for mismatch in mismatches)
    shown = excerpt(tree, marked, most=_MOST_ROWS, numbers=numbers, label=label)
    if shown.count("\n") >= _MOST_LINES:  # gaps between what is shown take lines too
        shown = excerpt(tree, marked, most=_MOST_ROWS // 2, numbers=numbers, label=label)
    return shown


def text(mismatches: Sequence[Mismatch], trace: str) -> str:
    """The whole message. It begins with what was expected, which is what pytest's summary shows."""
    if len(mismatches) == 1:
        (only,) = mismatches
        advice = [_labelled("next", only.advice)] if only.advice else []
        return "\n".join([*_parts(only), *_trace(trace), *advice])
    lines = [f"{len(mismatches)} expectations do not hold"]
    for number, mismatch in enumerate(mismatches, start=1):
        advice = [_labelled("next", mismatch.advice)] if mismatch.advice else []
        lines += ["", f"{number}.", *_parts(mismatch), *advice]
    return "\n".join([*lines, "", *_trace(trace)] if trace else lines)


def _parts(mismatch: Mismatch) -> list[str]:
    return [_labelled(name, getattr(mismatch, name)) for name in _LABELS if getattr(mismatch, name)]


def _labelled(name: str, said: str) -> str:
    return f"{name + ':':<10}" + said.replace("\n", "\n" + " " * 10)


def _trace(trace: str) -> list[str]:
    return ["trace:", trace] if trace else []

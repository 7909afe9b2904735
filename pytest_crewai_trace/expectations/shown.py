"""What a message shows of a trace or a test: first without secrets and then cut, as half of a secret is not found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_crewai_trace.redaction import showing
from pytest_crewai_trace.trace import render
from pytest_crewai_trace.trace.render import printable
from pytest_crewai_trace.trace.secret_names import Strength, strength_of

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.span import AnySpan

T = TypeVar("T")
_WHERE = "assertion"  # what a hook is told of where a text stands


def clean(value: T, path: str = "") -> T:
    """Plain data without its secrets; ``path`` is what it stands under, such as ``headers.Authorization``."""
    names = path.replace("[", ".").split(".")
    named = max(map(strength_of, names)) if path else Strength.NONE
    cleaned: T = showing().value(value, _WHERE, named)
    return cleaned


def short(value: Any) -> str:
    """A value on one line, cut in the middle where it is long."""
    return render.short(clean(value))


def label(span: AnySpan) -> str:
    """What one span did, on one line."""
    return render.label(showing().span(span))


def line(text: str, width: int) -> str:
    """A text on one line, cut at its end."""
    return printable(render.one_line(clean(text), width))


def arguments(given: Mapping[str, Any], show: Callable[[Any], str]) -> str:
    """``query='AI', page=2``."""
    return ", ".join(f"{printable(str(name))}={show(value)}" for name, value in clean(given).items())


def window(text: str, place: int, before: int, after: int) -> str:
    """The part of a text around a place, with what is left out shown as ``…``."""
    cleaned = clean(text)
    if cleaned != text:
        place = min(len(cleaned), len(clean(text[:place])))
    low, high = max(0, place - before), place + after
    return ("…" if low else "") + printable(repr(cleaned[low:high])) + ("…" if high < len(cleaned) else "")

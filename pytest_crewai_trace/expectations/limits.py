"""What a run may use: calls, tokens, money, time. A number that is not known is within no limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.errors import unknown_choice
from pytest_crewai_trace.expectations.message import Mismatch, hide

if TYPE_CHECKING:
    from pytest_crewai_trace.expectations.scope import Scope
    from pytest_crewai_trace.trace.span import AnySpan, LLMSpan

__tracebackhide__ = hide

_COUNTS = ("llm_calls", "tool_calls", "input_tokens", "output_tokens", "total_tokens")
_TOKENS = ("input_tokens", "output_tokens", "total_tokens")
_UNITS = {
    "llm_calls": "LLM calls",
    "tool_calls": "tool calls",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "total_tokens": "tokens",
}
_REMEDIES = {
    **dict.fromkeys(_TOKENS, "Have the model report its usage, or limit llm_calls instead."),
    "cost": "Use a model whose price genai-prices knows, or limit tokens or calls instead.",
    "seconds": "See what did not end.",
}
_MOST_COSTLY = 5


@dataclass(frozen=True)
class Limits:
    """The most that may be used; ``None`` is no limit. ``cost`` is in US dollars, ``seconds`` is wall time."""

    llm_calls: int | None = None
    tool_calls: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cost: Decimal | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Limits:
        """Checked limits.

        Raises:
            TypeError: an unknown limit, or a value of a wrong type.
            ValueError: a negative or impossible value.
        """
        for name in given:
            if name not in NAMES:
                raise TypeError(unknown_choice("limit", name, NAMES))
        return cls(**{name: _checked(name, value) for name, value in given.items()})

    @property
    def given(self) -> dict[str, Any]:
        """The limits that are set."""
        return {name: getattr(self, name) for name in NAMES if getattr(self, name) is not None}

    @property
    def needs_tokens(self) -> bool:
        """Whether models have to say how many tokens they used."""
        return self.cost is not None or any(getattr(self, name) is not None for name in _TOKENS)


NAMES = tuple(field.name for field in fields(Limits))


def _checked(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _COUNTS:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name}={value!r}: it takes a whole number")
        number: Any = value
    elif name == "cost":
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise TypeError(f"cost={value!r}: it takes US dollars, such as '0.02'")
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            raise ValueError(f"cost={value!r}: it takes US dollars, such as '0.02'") from None
    else:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name}={value!r}: it takes a number of seconds")
        number = value
    finite = number.is_finite() if isinstance(number, Decimal) else isinstance(number, int) or math.isfinite(number)
    if not finite or number < 0:
        raise ValueError(f"{name}={value!r}: it takes 0 or more")
    return number


def parsed(name: str, text: str) -> Any:
    """A limit as it stands in a configuration file."""
    text = text.strip()
    if name not in NAMES:
        raise TypeError(unknown_choice("limit", name, NAMES))
    if name == "cost":
        return _checked(name, text)
    try:
        return _checked(name, int(text) if name in _COUNTS else float(text))
    except ValueError:
        kind = "a whole number" if name in _COUNTS else "a number of seconds"
        raise ValueError(f"{name}={text!r}: it takes {kind}, 0 or more") from None


def check_stay_within(scope: Scope, limits: Limits) -> Mismatch | None:
    """Whether everything that was used is known, and within the limits."""
    from pytest_crewai_trace.expectations.scope import numbers_of

    wanted = limits.given
    if not wanted:
        raise TypeError(f"to_stay_within() takes at least one limit: {', '.join(NAMES)}")
    used = _Used(scope)
    unknown = {name: why for name in wanted if (why := used.unknown(name))}
    over = {name: used.of(name) for name in wanted if name not in unknown and used.of(name) > wanted[name]}
    if not unknown and not over:
        return None
    expected = f"at most {', '.join(shown(name, value) for name, value in wanted.items())}{scope.where}"
    said = [f"{shown(name, value)}, {_by_how_much(name, value, wanted[name])}" for name, value in over.items()]
    said += dict.fromkeys(unknown.values())
    first = next(iter(over), None)
    costly = used.costly(first) if first is not None else used.unreported()
    nearest = ""
    if first is not None and costly:
        lines = [f"{shown(first, used.of_span(first, span))}: {_place(span)}" for span in costly]
        nearest = "\n".join(["what used most:", *lines])
    return Mismatch(
        expected,
        "\n".join(said),
        nearest=nearest,
        advice="The spans that used most are marked."
        if over
        else f"An unknown number is within no limit. {_remedy(next(iter(unknown)), used)}",
        spans=numbers_of(costly) or scope.marks,
        numbers=True,
    )


def _remedy(name: str, used: _Used) -> str:
    return (
        _REMEDIES[name]
        if used.calls or name == "seconds"
        else "See why no model was asked, or limit llm_calls instead."
    )


def _by_how_much(name: str, value: Any, limit: Any) -> str:
    return f"{value - limit:,} too many" if name in _COUNTS else f"{shown(name, value - limit)} too much"


def _place(span: AnySpan) -> str:
    from pytest_crewai_trace.expectations.shown import label
    from pytest_crewai_trace.trace.render import cut

    who = f" by {span.agent_role!r}" if span.agent_role else ""
    return cut(label(span), 80) + who


def shown(name: str, value: Any) -> str:
    """``5,000 tokens``, ``$0.02``, ``30 s``."""
    if name == "cost":
        return dollars(value)
    if name == "seconds":
        return f"{value:.3g} s" if value < 100 else f"{value:,.0f} s"
    unit = _UNITS[name]
    return f"{value:,} {unit[:-1] if value == 1 else unit}"


def dollars(value: Decimal) -> str:
    """``$0.02``; of a very small sum two digits that say something."""
    if 0 < value < Decimal("0.000001"):
        return f"${value:.1e}"
    whole, _, rest = f"{value:.6f}".partition(".")
    return f"${whole}.{rest.rstrip('0'):0<2}"


class _Used:
    """What was used, as far as it is known."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._tokens: tuple[int, int, int] | None = None
        self._cost: Decimal | None = None
        self._cost_known = False

    @property
    def calls(self) -> list[LLMSpan]:
        return self.scope.spans("llm")  # type: ignore[return-value]  # a sequence of them

    def tokens(self) -> tuple[int, int, int]:
        """Input and output tokens, and how many calls did not say."""
        if self._tokens is None:
            from pytest_crewai_trace.trace.usage import tokens_of

            self._tokens = tokens_of(self.calls)
        return self._tokens

    def cost(self) -> Decimal | None:
        if not self._cost_known:
            subject = self.scope.trace if self.scope.span is None else self.scope.span
            self._cost, self._cost_known = subject.cost, True  # type: ignore[union-attr]
        return self._cost

    def unknown(self, name: str) -> str:
        """Why a number is not known, or ``""``."""
        if name in _TOKENS or name == "cost":
            if not self.calls:
                return "no LLM call was traced, so nothing is known of tokens or cost"
            unreported = self.tokens()[2]
            if unreported:
                which = f"{unreported} of {len(self.calls)} LLM calls" if len(self.calls) > 1 else "the LLM call"
                return f"{which} did not report {'its' if unreported == 1 else 'their'} tokens"
        if name == "cost" and self.cost() is None:
            return f"no price is known for {', '.join(sorted(self._unpriced()))}"
        if name == "seconds" and self._open():
            return "the run did not end, so nothing is known of its time"
        return ""

    def _open(self) -> bool:
        tops = self.scope.tree.children_of(None) if self.scope.span is None else [self.scope.span]
        return any(span.open and not getattr(span, "paused", False) for span in tops)

    def _unpriced(self) -> set[str]:
        from pytest_crewai_trace.trace.usage import cost_of_call

        return {
            call.model
            for call in self.calls
            if cost_of_call(call.model, call.call_usage, call.origin.started_at) is None
        }

    def unreported(self) -> list[LLMSpan]:
        """The calls that did not say how many tokens they used."""
        return [call for call in self.calls if not call.call_usage.complete][:_MOST_COSTLY]

    def of(self, name: str) -> Any:
        if name == "llm_calls":
            return len(self.calls)
        if name == "tool_calls":
            return len(self.scope.spans("tool"))
        if name == "cost":
            return self.cost()
        if name == "seconds":
            return self._seconds()
        given, answered, _ = self.tokens()
        return {"input_tokens": given, "output_tokens": answered, "total_tokens": given + answered}[name]

    def _seconds(self) -> float:
        span = self.scope.span
        if span is not None:
            return span.duration or 0.0
        return 0.0 if self.scope.trace is None else self.scope.trace.duration

    def of_span(self, name: str, span: AnySpan) -> Any:
        """What one call used of it."""
        if name == "cost" and span.kind == "llm":
            return span.cost
        if name == "seconds":
            return span.duration or 0.0
        if name in ("llm_calls", "tool_calls"):
            return 1
        return getattr(span.call_usage, name) if span.kind == "llm" else 0

    def costly(self, name: str) -> list[AnySpan]:
        """The calls that used most of it; of calls that only count, the last ones."""
        if name == "llm_calls":
            return list(self.calls[-_MOST_COSTLY:])
        if name == "tool_calls":
            return list(self.scope.spans("tool")[-_MOST_COSTLY:])
        around = self.scope.tree.children
        leaves = [span for span in self.scope.spans() if span.id not in around] if name == "seconds" else self.calls
        measure: Callable[[AnySpan], Any] = lambda span: self.of_span(name, span)  # noqa: E731
        return sorted(leaves, key=measure, reverse=True)[:_MOST_COSTLY]

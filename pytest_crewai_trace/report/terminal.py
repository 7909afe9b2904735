"""What the terminal says: the header, the summary line, the trace of a failed test."""

from __future__ import annotations

from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _pytest.terminal import TerminalReporter

    from pytest_crewai_trace.settings import Settings
    from pytest_crewai_trace.trace.trace import Trace
    from pytest_crewai_trace.trace.usage import Usage


class Counts(TypedDict):
    """The little that travels on a test's report, between processes too. ``tokens``: per model, a usage's fields."""

    test: str
    attempt: str
    empty: bool
    llm_calls: int
    tokens: dict[str, dict[str, int]]
    tool_seconds: float


def header(settings: Settings) -> str:
    """The effective settings, in one line."""
    try:
        crewai = f"crewAI {version('crewai')}"
    except PackageNotFoundError:
        crewai = "crewAI not installed"
    return f"crewai-trace: on ({settings.source}), guard {'on' if settings.guard else 'off'}, {crewai}"


def count(trace: Trace, test: str, attempt: str) -> Counts:
    """The numbers of one trace."""
    from pytest_crewai_trace.trace.usage import Usage

    tree = trace.tree
    tokens: dict[str, list[Usage]] = {}
    for span in tree.inside(None, "llm"):
        tokens.setdefault(span.model, []).append(span.call_usage)
    return {
        "test": test,
        "attempt": attempt,
        "empty": trace.empty,
        "llm_calls": len(tree.inside(None, "llm")),
        "tokens": {model: Usage.total(usages).model_dump() for model, usages in tokens.items()},
        "tool_seconds": sum(span.duration or 0.0 for span in tree.inside(None, "tool")),
    }


def write_summary(reporter: TerminalReporter, counts: Iterable[Counts]) -> None:
    """One line, where anything was traced."""
    latest = {(one["test"], one["attempt"]): one for one in counts}  # a test's later report replaces its earlier one
    traced = [one for one in latest.values() if not one["empty"]]
    if traced:
        reporter.write_line(f"crewai-trace: {summary(traced)}")


def summary(traced: list[Counts]) -> str:
    """``12 traces, 34 LLM calls, 12.3k tokens, $0.04, 1.2 s in tools``."""
    from pytest_crewai_trace.trace.usage import Usage

    by_model: dict[str, list[Usage]] = {}
    for one in traced:
        for model, tokens in one["tokens"].items():
            by_model.setdefault(model, []).append(Usage(**tokens))
    usage = Usage.total(usage for usages in by_model.values() for usage in usages)
    calls = sum(one["llm_calls"] for one in traced)
    parts = [_plural(len(traced), "trace"), _plural(calls, "LLM call")]
    if calls:
        unknown = f" ({_plural(usage.unreported, 'call')} did not say)" if usage.unreported else ""
        parts.append(f"{_short(usage.total_tokens)} tokens{unknown}")
    if calls:
        parts += _cost({model: Usage.total(usages) for model, usages in by_model.items()})
    seconds = sum(one["tool_seconds"] for one in traced)
    parts.append(f"{seconds:.1f} s in tools")
    return ", ".join(parts)


def _cost(by_model: dict[str, Usage]) -> list[str]:
    from pytest_crewai_trace.trace.usage import cost_of_call

    total, unpriced = Decimal(0), list[str]()
    for model, usage in by_model.items():
        price = cost_of_call(model, usage)
        if price is None:
            unpriced.append(model)
        else:
            total += price
    if len(unpriced) == len(by_model):
        return []
    digits = max(2, 1 - total.adjusted()) if total else 0  # two that say something
    return [f"${total:.{digits}f}" + (f" and {_plural(len(unpriced), 'model')} without a price" if unpriced else "")]


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _short(number: int) -> str:
    return str(number) if number < 1_000 else f"{number / 1_000:.1f}k" if number < 1_000_000 else f"{number / 1e6:.1f}M"


def failure_section(trace: Trace) -> str | None:
    """The tree of a failed test's trace, bounded, with the spans marked in which trouble began."""
    from pytest_crewai_trace.trace.render import excerpt, failing, printable

    if trace.empty and trace.complete:
        return None
    lines = [f"incomplete: {printable(reason)}" for reason in trace.incomplete]
    return "\n".join([*lines, excerpt(trace.tree, failing(trace.tree))])

"""What the terminal says: the header, the summary line, the trace of a failed test."""

from __future__ import annotations

from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _pytest.terminal import TerminalReporter

    from pytest_crewai_trace.settings import Settings
    from pytest_crewai_trace.trace.trace import Trace


PHASES = ("setup", "call", "teardown")


class Counts(TypedDict):
    """The little that travels on a test's report, between processes too.

    ``usage`` has a ``Usage``'s fields; ``costs`` the dollars of each model's calls, ``None`` where one has no price.
    """

    test: str
    attempt: str
    empty: bool
    usage: dict[str, int]
    costs: dict[str, str | None]
    tool_seconds: float


def header(settings: Settings) -> str:
    """The effective settings, in one line."""
    try:
        crewai = f"crewAI {version('crewai')}"
    except PackageNotFoundError:
        crewai = "crewAI not installed"
    return f"crewai-trace: on ({settings.source}), guard {'on' if settings.guard else 'off'}, {crewai}"


def count(trace: Trace | None, test: str, attempt: str) -> Counts:
    """The numbers of one trace; of none where nothing was seen."""
    counts = Counts(test=test, attempt=attempt, empty=True, usage={}, costs={}, tool_seconds=0.0)
    if trace is None or trace.empty:
        return counts
    from pytest_crewai_trace.trace.usage import Usage, cost_of_call

    calls = trace.tree.inside(None, "llm")
    for span in calls:
        if span.call_usage.complete:  # else it is counted among those that did not say
            before = counts["costs"].get(span.model, "0")
            price = cost_of_call(span.model, span.call_usage, span.origin.started_at)
            counts["costs"][span.model] = None if before is None or price is None else str(Decimal(before) + price)
    counts["empty"] = False
    counts["usage"] = Usage.total(span.call_usage for span in calls).model_dump()
    counts["tool_seconds"] = sum(span.duration or 0.0 for span in trace.tree.inside(None, "tool"))
    return counts


def write_summary(reporter: TerminalReporter, reports: Iterable[Any]) -> None:
    """One line, where anything was traced."""
    by_phase = sorted(reports, key=lambda report: PHASES.index(report.when))
    counts = [report.crewai_trace for report in by_phase]
    latest = {(one["test"], one["attempt"]): one for one in counts}  # a test's last phase knows of those before it
    traced = [one for one in latest.values() if not one["empty"]]
    if traced:
        reporter.write_line(f"crewai-trace: {summary(traced)}")


def summary(traced: list[Counts]) -> str:
    """``12 traces, 34 LLM calls, 12.3k tokens, $0.04, 1.2 s in tools``."""
    from pytest_crewai_trace.trace.usage import Usage

    usage = Usage.total(Usage(**one["usage"]) for one in traced)
    parts = [_plural(len(traced), "trace"), _plural(usage.requests, "LLM call")]
    if usage.requests:
        unknown = f" ({_plural(usage.unreported, 'call')} did not say)" if usage.unreported else ""
        parts += [f"{_short(usage.total_tokens)} tokens{unknown}", *_cost(traced)]
    seconds = sum(one["tool_seconds"] for one in traced)
    parts.append(f"{seconds:.1f} s in tools")
    return ", ".join(parts)


def _cost(traced: list[Counts]) -> list[str]:
    costs = [(model, cost) for one in traced for model, cost in one["costs"].items()]
    priced = [Decimal(cost) for _, cost in costs if cost is not None]
    unpriced = {model for model, cost in costs if cost is None}
    if not priced:
        return []
    total = sum(priced, Decimal(0))
    digits = max(2, 1 - total.adjusted()) if total else 0  # two that say something
    shown = f"{total:.{digits}f}"
    shown = shown[:-1] if digits > 2 and shown.endswith("0") else shown
    return [f"${shown}" + (f" and {_plural(len(unpriced), 'model')} without a price" if unpriced else "")]


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _short(number: int) -> str:
    return str(number) if number < 1_000 else f"{number / 1e3:.1f}k" if number < 999_950 else f"{number / 1e6:.1f}M"


def failure_section(trace: Trace) -> str | None:
    """The tree of a failed test's trace, bounded, with the spans marked in which trouble began."""
    from pytest_crewai_trace.trace.render import excerpt, failing, printable

    if trace.empty and trace.complete:
        return None
    lines = [f"incomplete: {printable(reason)}" for reason in trace.incomplete]
    return "\n".join([*lines, excerpt(trace.tree, failing(trace.tree))])

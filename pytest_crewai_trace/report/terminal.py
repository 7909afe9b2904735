"""What the terminal says: the header, the summary line, the trace of a failed test."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.installed import version_of
from pytest_crewai_trace.settings import SETTINGS

if TYPE_CHECKING:
    import pytest

    from pytest_crewai_trace.keeping import KeptOnReport
    from pytest_crewai_trace.settings import Settings
    from pytest_crewai_trace.trace.trace import Trace


PHASES = ("setup", "call", "teardown")
_TREE = re.compile(r"^trace:\n(?:(?:  |> )[^\n]*(?:\n|\Z))+", re.MULTILINE)


class Counts(TypedDict):
    """The little that travels on a test's report, between processes too.

    ``usage`` has a ``Usage``'s fields; ``costs`` the dollars of each model's calls, ``None`` where one has no price.
    Once the test has ended, ``outcome`` and ``seconds`` say how; ``tree`` is there where it is to be printed.
    """

    test: str
    attempt: str
    empty: bool
    usage: dict[str, int]
    costs: dict[str, str | None]
    tool_seconds: float
    outcome: str | None
    seconds: float
    tree: str | None


def header(settings: Settings) -> str:
    """The effective settings, in one line."""
    found = version_of("crewai")
    crewai = "crewAI not installed" if found is None else f"crewAI {found}"
    return f"crewai-trace: on ({settings.source}), guard {'on' if settings.guard else 'off'}, {crewai}"


def count(trace: Trace | None, test: str, attempt: str) -> Counts:
    """The numbers of one trace; of none where nothing was seen."""
    counts = Counts(
        test=test,
        attempt=attempt,
        empty=True,
        usage={},
        costs={},
        tool_seconds=0.0,
        outcome=None,
        seconds=0.0,
        tree=None,
    )
    if trace is None or trace.empty:
        return counts
    from pytest_crewai_trace.trace.usage import Usage, cost_of_call

    calls = [(span, span.call_usage) for span in trace.tree.inside(None, "llm")]
    costs: dict[str, Decimal | None] = {}
    for span, usage in calls:
        if usage.complete:  # else it is counted among those that did not say
            before, price = costs.get(span.model, Decimal(0)), cost_of_call(span.model, usage, span.origin.started_at)
            costs[span.model] = None if before is None or price is None else before + price
    counts["empty"] = False
    counts["costs"] = {model: None if cost is None else str(cost) for model, cost in costs.items()}
    counts["usage"] = Usage.total(usage for _, usage in calls).model_dump()
    counts["tool_seconds"] = sum(span.duration or 0.0 for span in trace.tree.inside(None, "tool"))
    return counts


def write_summary(reporter: pytest.TerminalReporter, reports: list[Any]) -> None:
    """What there is to say at the end of a run: the tests with ``-v``, one line of numbers, where the traces are."""
    settings = reporter.config.stash[SETTINGS]
    traced = latest(reports)
    if traced and (reporter.verbosity > 0 or settings.show == "all"):
        reporter.section("crewai traces")
        for one in traced:
            reporter.write_line(line_of(one))
            if one["tree"]:
                reporter.write_line(one["tree"])
    if traced:
        reporter.write_line(f"crewai-trace: {summary(traced)}")
    kept = [report.crewai_trace_kept for report in reports if getattr(report, "crewai_trace_kept", None)]
    for line in storage_lines(kept):
        reporter.write_line(f"crewai-trace: {line}")
    if settings.github_summary is not None:
        from pytest_crewai_trace.publish.links import links_of
        from pytest_crewai_trace.report.github import write

        problem = write(settings.github_summary, traced, reports, links_of(reporter.config, reports))
        if problem is not None:
            reporter.write_line(f"crewai-trace: {problem}")


def latest(reports: Iterable[Any]) -> list[Counts]:
    """The numbers of each attempt that ran something: a test's last phase knows of those before it."""
    counted = [report for report in reports if hasattr(report, "crewai_trace")]
    by_phase = sorted(counted, key=lambda report: PHASES.index(report.when))
    counts = {(one["test"], one["attempt"]): one for one in (report.crewai_trace for report in by_phase)}
    return [one for one in counts.values() if not one["empty"]]


def line_of(one: Counts) -> str:
    """``passed  test_it.py::test_one: 2 LLM calls, 30 tokens, $0.0001, 0.3 s``."""
    from pytest_crewai_trace.trace.render import printable

    attempt = f" (attempt {one['attempt']})" if one["attempt"] != "1" else ""
    numbers = ", ".join([*_numbers([one]), f"{one['seconds']:.1f} s"])
    return f"{one['outcome'] or 'interrupted':<11} {printable(one['test'])}{attempt}: {numbers}"


def storage_lines(kept: list[KeptOnReport]) -> Iterator[str]:
    """Where the traces are, and what went wrong with some."""
    paths = [one["path"] for one in kept if one["path"] is not None]
    if paths:
        yield f"kept {plural(len(paths), 'trace')} in {Path(paths[0]).parent}"
    lost = [one for one in kept if one["path"] is None]
    problems = list(dict.fromkeys(one["problem"] for one in kept if one["problem"]))
    for problem in problems[:3]:
        yield f"{plural(len(lost), 'trace')} could not be kept: {problem}" if lost else problem
    dropped = sum(one["dropped"] for one in kept)
    if dropped:
        yield f"dropped {plural(dropped, 'old trace')}: the folder was full"


def summary(traced: list[Counts]) -> str:
    """``12 traces, 34 LLM calls, 12.3k tokens, $0.04, 1.2 s in tools``."""
    seconds = sum(one["tool_seconds"] for one in traced)
    return ", ".join([plural(len(traced), "trace"), *_numbers(traced), f"{seconds:.1f} s in tools"])


def _numbers(traced: list[Counts]) -> list[str]:
    from pytest_crewai_trace.trace.usage import Usage

    usage = Usage.total(Usage(**one["usage"]) for one in traced)
    calls = [plural(usage.requests, "LLM call")]
    if not usage.requests:
        return calls
    unknown = f" ({plural(usage.unreported, 'call')} did not say)" if usage.unreported else ""
    return [*calls, f"{short_number(usage.total_tokens)} tokens{unknown}", *costs(one["costs"] for one in traced)]


def costs(by_model: Iterable[Mapping[str, str | None]]) -> list[str]:
    """``$0.04``, and how many models have no price; nothing where none has one."""
    known = [(model, cost) for one in by_model for model, cost in one.items()]
    priced = [Decimal(cost) for _, cost in known if cost is not None]
    unpriced = {model for model, cost in known if cost is None}
    if not priced:
        return []
    return [
        dollars(sum(priced, Decimal(0)))
        + (f" and {plural(len(unpriced), 'model')} without a price" if unpriced else "")
    ]


def dollars(amount: Decimal) -> str:
    """``$0.04``, ``$0.0000045``: with two digits that say something."""
    digits = max(2, 1 - amount.adjusted()) if amount else 0
    shown = f"{amount:.{digits}f}"
    return f"${shown[:-1] if digits > 2 and shown.endswith('0') else shown}"


def short_number(number: int) -> str:
    """``12.3k``."""
    return str(number) if number < 1_000 else f"{number / 1e3:.1f}k" if number < 999_950 else f"{number / 1e6:.1f}M"


def tell_of_crash(report: Any, config: pytest.Config) -> None:
    """Show, and keep, that a test took its process with it, and its trace."""
    from pytest_crewai_trace.keeping import keeping_of

    report.crewai_trace_tree = "incomplete: the process died, and with it the trace of this test"
    report.sections.append(("crewai trace", report.crewai_trace_tree))
    worker = getattr(getattr(getattr(report, "node", None), "gateway", None), "id", None)
    message = str(report.longrepr)
    keeping = keeping_of(config)
    report.crewai_trace_said = keeping.said(report)
    report.crewai_trace_kept = keeping.keep_crashed(report.nodeid, worker, message)


def failure_section(trace: Trace, about: Iterable[int] = ()) -> str | None:
    """The tree of a failed test's trace, bounded, with the spans marked where it failed."""
    return None if trace.empty and trace.complete else tree_of(trace, about, most=40)


def without_tree(message: str) -> str:
    """What a failure said, where the tree that the message of an expectation has would be shown twice."""
    return _TREE.sub("", message).rstrip("\n")


def tree_of(trace: Trace, about: Iterable[int] = (), *, most: int = 200) -> str:
    """The tree in about so many lines; marked is what an expectation is ``about``, else what failed."""
    from pytest_crewai_trace.trace.render import excerpt, printable, where_it_failed

    lines = [f"incomplete: {printable(reason)}" for reason in trace.incomplete]
    return "\n".join([*lines, excerpt(trace.tree, where_it_failed(trace.tree, about), most=most)])

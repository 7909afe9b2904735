"""``crewai-trace stats``: tokens, cost and time by agent, tool, model and test, and what was slowest and dearest."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from pytest_crewai_trace.cli.places import console, look_up, traces
from pytest_crewai_trace.report.terminal import dollars, short_number
from pytest_crewai_trace.trace.render import cut, label, printable
from pytest_crewai_trace.trace.usage import Usage, cost_of_call

if TYPE_CHECKING:
    from pytest_crewai_trace.store.attempt import Attempt
    from pytest_crewai_trace.trace.span import AnySpan
    from pytest_crewai_trace.trace.trace import Trace

BY = ("agent", "tool", "model", "test")


@dataclass
class Row:
    """The numbers of one agent, tool, model or test."""

    name: str
    count: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    costs: list[Decimal | None] = field(default_factory=list)

    @property
    def total(self) -> float:
        return sum(self.seconds)

    @property
    def usage(self) -> Usage:
        return Usage.total(self.usages)

    @property
    def cost(self) -> Decimal | None:
        """Dollars; ``None`` where the price of one call is not known."""
        known = [cost for cost in self.costs if cost is not None]
        return sum(known, Decimal(0)) if len(known) == len(self.costs) else None

    def took(self, span: AnySpan) -> None:
        self.count += 1
        self.failed += span.status == "error"
        if span.duration is not None:
            self.seconds.append(span.duration)

    def as_json(self) -> dict[str, Any]:
        usage, cost = self.usage, self.cost
        return {
            "name": self.name,
            "count": self.count,
            "failed": self.failed,
            "seconds": round(self.total, 6),
            "median_seconds": round(statistics.median(self.seconds), 6) if self.seconds else None,
            "slowest_seconds": round(max(self.seconds), 6) if self.seconds else None,
            "llm_calls": usage.requests,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost": None if cost is None else str(cost),
        }


@dataclass(frozen=True)
class Call:
    """One call of a model or tool, and in which test it was."""

    test: str
    what: str
    seconds: float | None
    cost: Decimal | None


class Statistics:
    """The sums over traces."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Row]] = {by: {} for by in BY}
        self.calls: list[Call] = []

    def add(self, attempt: Attempt, trace: Trace) -> None:
        """Count one trace in."""
        test = self._row("test", attempt.test_id)
        test.count += 1
        test.failed += attempt.bad
        test.seconds.append(attempt.seconds)
        for span in trace.all_spans:
            if span.kind == "agent":
                self._row("agent", span.name).took(span)
            elif span.kind == "tool":
                self._row("tool", span.name).took(span)
                self.calls.append(Call(attempt.test_id, label(span), span.duration, None))
            elif span.kind == "llm":
                usage = span.call_usage
                price = cost_of_call(span.model, usage, span.origin.started_at)
                self._row("model", span.model).took(span)
                self.calls.append(Call(attempt.test_id, label(span), span.duration, price))
                rows = [self._row("model", span.model), test]
                rows += [self._row("agent", span.agent_role)] if span.agent_role else []
                for row in rows:
                    row.usages.append(usage)
                    row.costs.append(price)

    def _row(self, by: str, name: str) -> Row:
        return self.tables[by].setdefault(name, Row(name))

    def rows(self, by: str) -> list[Row]:
        """The slowest first."""
        return sorted(self.tables[by].values(), key=lambda row: (-row.total, row.name))

    def slowest(self, top: int) -> list[Call]:
        timed = [call for call in self.calls if call.seconds is not None]
        return sorted(timed, key=lambda call: -(call.seconds or 0))[:top]

    def dearest(self, top: int) -> list[Call]:
        priced = [call for call in self.calls if call.cost]
        return sorted(priced, key=lambda call: -(call.cost or 0))[:top]


def stats(
    what: Sequence[str], folder: str | None, *, by: list[str] | None, top: int, all_runs: bool, as_json: bool
) -> int:
    """Print the tables."""
    sums = Statistics()
    for one, trace in traces(look_up(what, folder, all_runs=all_runs)):
        sums.add(one.attempt, trace)
    wanted = [each for each in BY if by is None or each in by]
    if as_json:
        print(json.dumps(_as_json(sums, wanted, top, everything=by is None)))
        return 0
    out = console()
    for table in _tables(sums, wanted, top):
        out.print(table)
        out.print()
    if by is None:
        for title, calls in (("slowest calls", sums.slowest(top)), ("dearest calls", sums.dearest(top))):
            if calls:
                out.print(_calls(title, calls))
                out.print()
    return 0


def _as_json(sums: Statistics, wanted: list[str], top: int, *, everything: bool) -> dict[str, Any]:
    found: dict[str, Any] = {each: [row.as_json() for row in sums.rows(each)[:top]] for each in wanted}
    if everything:
        for name, calls in (("slowest", sums.slowest(top)), ("dearest", sums.dearest(top))):
            found[name] = [
                {
                    "test_id": call.test,
                    "span": call.what,
                    "seconds": call.seconds,
                    "cost": None if call.cost is None else str(call.cost),
                }
                for call in calls
            ]
    return found


def _tables(sums: Statistics, wanted: list[str], top: int) -> Iterator[Table]:
    for by in wanted:
        rows = sums.rows(by)
        if not rows:
            continue
        table = Table(by, box=None, pad_edge=False)
        for name in ("runs", "failed", "seconds", "median", "slowest", "LLM calls", "in", "out", "cost"):
            table.add_column(name, justify="right")
        for row in rows[:top]:
            usage, cost = row.usage, row.cost
            median = f"{statistics.median(row.seconds):.2f}" if row.seconds else ""
            asked = [str(usage.requests), short_number(usage.input_tokens), short_number(usage.output_tokens)]
            table.add_row(
                Text(cut(printable(row.name), 80)),
                *(str(row.count), str(row.failed or ""), f"{row.total:.2f}", median),
                f"{max(row.seconds):.2f}" if row.seconds else "",
                *(asked if usage.requests else ("", "", "")),
                _dollars(cost) if usage.requests else "",
            )
        if len(rows) > top:
            table.add_row(Text(f"... {len(rows) - top} more"))
        yield table


def _calls(title: str, calls: list[Call]) -> Table:
    table = Table(title, "test", box=None, pad_edge=False)
    table.add_column("seconds", justify="right")
    table.add_column("cost", justify="right")
    for call in calls:
        seconds = f"{call.seconds:.2f}" if call.seconds is not None else ""
        cost = _dollars(call.cost) if call.cost else ""
        table.add_row(Text(cut(call.what, 90)), Text(cut(printable(call.test), 80)), seconds, cost)
    return table


def _dollars(cost: Decimal | None) -> str:
    return "no price" if cost is None else dollars(cost)

"""Sums over traces, by agent, task, tool and model."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_crewai_trace.trace.span import AnySpan, LLMSpan
    from pytest_crewai_trace.trace.trace import Trace

What = Literal["agent", "task", "tool", "model"]
_WHATS: tuple[What, ...] = ("agent", "task", "tool", "model")
_MOST_ROWS = 1_000  # of a table


@dataclass
class Sum:
    """Tokens and dollars of LLM calls; ``unpriced`` have no price, ``unreported`` did not say how many tokens."""

    requests: int = 0
    input: int = 0
    output: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    unreported: int = 0

    def add(self, other: Sum) -> None:
        self.requests += other.requests
        self.input += other.input
        self.output += other.output
        self.cost += other.cost
        self.unpriced += other.unpriced
        self.unreported += other.unreported

    def plain(self) -> dict[str, Any]:
        return {**self.__dict__, "cost": float(self.cost)}


@dataclass
class Row:
    """How often something ran, failed, for how many seconds, and what it used."""

    times: int = 0
    failed: int = 0
    seconds: float = 0.0
    sum: Sum = field(default_factory=Sum)

    def ran(self, span: AnySpan) -> None:
        self.times += 1
        self.failed += span.status == "error"
        self.seconds += span.duration or 0.0

    def add(self, other: Row) -> None:
        self.times += other.times
        self.failed += other.failed
        self.seconds += other.seconds
        self.sum.add(other.sum)


class Totals:
    """The sums of any number of traces. What an agent used is counted for it, not for the one it works for."""

    def __init__(self) -> None:
        self.sum = Sum()
        self.rows: dict[What, dict[str, Row]] = {what: {} for what in _WHATS}
        self.calls: dict[int, list[Any]] = {}

    @classmethod
    def of(cls, trace: Trace, prices: Mapping[int, Decimal | None]) -> Totals:
        """The totals of one trace; ``calls`` has the numbers of each LLM call, by its span's id."""
        made = cls()
        above: list[dict[What, Row]] = []  # the nearest agent and task of each span
        for span in trace.tree.spans:
            nearest = above[span.parent_id] if span.parent_id is not None else {}
            if span.kind in {"agent", "task", "tool"}:
                row = made._row(span.kind, span.name)
                row.ran(span)
                nearest = {**nearest, span.kind: row} if span.kind != "tool" else nearest
            elif span.kind == "llm":
                made._called(span, prices.get(span.id), nearest)
            above.append(nearest)
        return made

    def _called(self, span: LLMSpan, price: Decimal | None, nearest: dict[What, Row]) -> None:
        usage = span.call_usage
        used = Sum(
            1,
            usage.input_tokens,
            usage.output_tokens,
            Decimal(0) if price is None else price,
            unpriced=int(price is None),
            unreported=usage.unreported,
        )
        row = self._row("model", span.model or span.name)
        row.ran(span)
        for one in (row, *nearest.values()):
            one.sum.add(used)
        self.sum.add(used)
        self.calls[span.id] = [
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
            None if price is None else float(price),
            usage.unreported,
        ]

    def _row(self, what: What, name: str) -> Row:
        rows = self.rows[what]
        row = rows.get(name)
        if row is None:
            row = rows[name] = Row()
        return row

    def add(self, other: Totals) -> None:
        """Add another trace's totals; its single calls are not kept."""
        self.sum.add(other.sum)
        for what, rows in other.rows.items():
            for name, row in rows.items():
                self._row(what, name).add(row)

    def names(self, most: int) -> list[str]:
        """The names of all that ran, up to ``most``."""
        return list(islice((name for rows in self.rows.values() for name in rows), most))

    def tables(self) -> dict[What, list[tuple[Any, ...]]]:
        """For each: name, times, failed, seconds, sum; what took longest first."""
        return {
            what: [
                (name, row.times, row.failed, row.seconds, row.sum.plain())
                for name, row in sorted(rows.items(), key=lambda item: -item[1].seconds)[:_MOST_ROWS]
            ]
            for what, rows in self.rows.items()
        }

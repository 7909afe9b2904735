"""CPU time with the garbage collector's part apart, interleaved rounds, tables, and the promises that they check."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class Cpu:
    """CPU seconds of this process inside ``with``, all threads; ``collecting`` is the garbage collector's part."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.collecting = 0.0
        self._collection_began = 0.0

    def __enter__(self) -> Cpu:
        gc.collect()
        gc.callbacks.append(self._collection)
        self._began = time.process_time()
        return self

    def __exit__(self, *exception: object) -> None:
        total = time.process_time() - self._began
        gc.callbacks.remove(self._collection)
        self.seconds = total - self.collecting

    def _collection(self, phase: str, info: Mapping[str, int]) -> None:
        now = time.process_time()
        if phase == "start":
            self._collection_began = now
        else:
            self.collecting += now - self._collection_began


Case = Callable[[], Cpu]


def interleave(rounds: int, cases: Mapping[str, Case]) -> dict[str, list[Cpu]]:
    """Run every case once a round, each round beginning with another one; the first round only warms up."""
    taken: dict[str, list[Cpu]] = {name: [] for name in cases}
    names = list(cases)
    for number in range(rounds + 1):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            cpu = cases[name]()
            if number:
                taken[name].append(cpu)
    return taken


MORE = 4


def in_two_groups(
    rounds: int, floor: str, quick: Mapping[str, Case], slow: Mapping[str, Case]
) -> tuple[dict[str, list[Cpu]], dict[str, list[Cpu]]]:
    """``interleave`` the quick cases and the slow ones, each group with the case ``floor``, which is a quick one.

    The quick ones have ``MORE`` times the rounds: what they add is less than how far two rounds lie apart.
    """
    return interleave(MORE * rounds, quick), interleave(rounds, {floor: quick[floor], **slow})


@dataclass(frozen=True)
class Spread:
    """A median and how far the middle half of the rounds lies apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if len(values) < 2:
            return cls(values[0], values[0], values[0])
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(statistics.median(values), low, high)

    def show(self, scale: float = 1.0, digits: int = 1) -> str:
        median, half = self.median * scale, (self.high - self.low) / 2 * scale
        return f"{median:,.{digits}f} ± {half:,.{digits}f}"


def paired(of: Callable[[float, float], float], one: Sequence[Cpu], other: Sequence[Cpu]) -> float:
    """The median, over the rounds, of what two cases of one round are to each other: both ran under the same load."""
    return statistics.median(of(mine.seconds, theirs.seconds) for mine, theirs in zip(one, other, strict=True))


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The slope of ``log(value)`` over ``log(size)``: 1 is linear."""
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(value) for value in values]).slope


def case(function: Callable[[], object]) -> Case:
    """The CPU of calling a function."""

    def run() -> Cpu:
        with Cpu() as cpu:
            function()
        return cpu

    return run


@dataclass(frozen=True)
class Ratio:
    """What one is to another: the median over the rounds, and how far their two halves lie apart, as a share of it.

    The halves are two runs in one: every other round is of the same half.
    """

    median: float
    apart: float

    def __str__(self) -> str:
        return f"{self.median:.2f}" if self.median >= 0.1 else f"1/{1 / self.median:,.0f}" if self.median > 0 else "0"

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        median = statistics.median(ratios)
        if len(ratios) < 4:
            return cls(median, max(ratios) / min(ratios) - 1 if min(ratios) > 0 else math.nan)
        halves = statistics.median(ratios[::2]) - statistics.median(ratios[1::2])
        return cls(median, abs(halves / median) if median else math.nan)


def seconds(cpus: Sequence[Cpu]) -> list[float]:
    return [cpu.seconds for cpu in cpus]


def quickest(values: Sequence[float]) -> float:
    """The mean of the quickest quarter of the rounds: what it takes when little else runs on the machine."""
    return statistics.mean(sorted(values)[: max(1, len(values) // 4)])


MOST_APART = 0.15  # of two runs


@dataclass(frozen=True)
class Promise:
    """One line of the table of what things cost: ours, the same beside it, the target and whether it is met.

    ``apart`` is how far two runs lie from one another, as a share; ``None`` where each has one round.
    """

    what: str
    ours: str
    beside: str
    target: str
    met: bool
    apart: float | None = None

    HEAD = ("what", "ours", "beside it", "target", "met", "two runs")

    def cells(self) -> tuple[str, ...]:
        if self.apart is None or math.isnan(self.apart):
            noise = "one round"
        else:
            noise = f"{self.apart:.0%} apart" + (": noisy" if self.apart > MOST_APART else "")
        return (self.what, self.ours, self.beside, self.target, "yes" if self.met else "NO", noise)


Curve = list[tuple[float, float]]


@dataclass
class Table:
    """Rows of text with a heading, as Markdown; ``promises`` are what they show, ``curves`` how it grows."""

    title: str
    head: tuple[str, ...]
    note: str = ""
    rows: list[tuple[str, ...]] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)

    def add(self, *cells: Any) -> None:
        self.rows.append(tuple(str(cell) for cell in cells))

    def promise(self, what: str, ours: str, beside: str, target: str, *, met: bool, apart: float | None = None) -> None:
        self.promises.append(Promise(what, ours, beside, target, met, apart))

    def markdown(self) -> str:
        return "\n".join([f"## {self.title}", "", *([self.note, ""] if self.note else []), grid(self.head, self.rows)])


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n"
        for line in lines
    )


def verdict(value: float, most: float) -> str:
    return "yes" if value <= most else "NO"

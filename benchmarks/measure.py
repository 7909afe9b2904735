"""CPU time with the garbage collector's part apart, interleaved rounds, and tables."""

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


@dataclass
class Table:
    """Rows of text with a heading, as Markdown."""

    title: str
    head: tuple[str, ...]
    note: str = ""
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: Any) -> None:
        self.rows.append(tuple(str(cell) for cell in cells))

    def markdown(self) -> str:
        rows = [self.head, tuple("---" for _ in self.head), *self.rows]
        widths = [max(len(row[place]) for row in rows) for place in range(len(self.head))]
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
        ]
        return "\n".join([f"## {self.title}", "", *([self.note, ""] if self.note else []), *lines, ""])


def verdict(value: float, most: float) -> str:
    return "yes" if value <= most else "NO"

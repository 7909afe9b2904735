"""Which span of one tree is which of the other: what is equal first, then what has its name, then what has its kind."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pytest_crewai_trace.snapshot.text import Entry

T = TypeVar("T")
Pair = tuple["Entry | None", "Entry | None"]  # of the stored tree, of the new one
_SMALL = 120  # of so many, each is compared with each


class Alignment:
    """The two trees, level by level."""

    def __init__(self, stored: list[Entry], made: list[Entry]) -> None:
        self._digests: dict[int, int] = {}
        numbers: dict[tuple[object, ...], int] = {}
        for roots in (stored, made):
            self._number(roots, numbers)
        self.roots = self.pairs(stored, made)

    def _number(self, roots: list[Entry], numbers: dict[tuple[object, ...], int]) -> None:
        """Give equal subtrees equal numbers, from the innermost out."""
        found: list[Entry] = []
        stack = list(roots)
        while stack:
            entry = stack.pop()
            found.append(entry)
            stack.extend(entry.children)
        for entry in reversed(found):
            inside = tuple(self._digests[id(child)] for child in entry.children)
            key = (entry.kind, entry.name, tuple(entry.facts.items()), inside)
            self._digests[id(entry)] = numbers.setdefault(key, len(numbers))

    def equal(self, one: Entry, other: Entry) -> bool:
        """Whether two spans and all that is inside them are the same."""
        return self._digests[id(one)] == self._digests[id(other)]

    def pairs(self, stored: Sequence[Entry], made: Sequence[Entry]) -> list[Pair]:
        """Children of one span beside each other; ``None`` beside one that the other side does not have."""
        keys: tuple[Callable[[Entry], Hashable], ...] = (
            lambda entry: self._digests[id(entry)],
            lambda entry: (entry.kind, entry.name),
            lambda entry: entry.kind,
        )
        return list(_pairs(stored, made, keys))


def _pairs(
    stored: Sequence[Entry], made: Sequence[Entry], keys: tuple[Callable[[Entry], Hashable], ...]
) -> Iterator[Pair]:
    if not keys or not stored or not made:
        yield from ((entry, None) for entry in stored)
        yield from ((None, entry) for entry in made)
        return
    key, *rest = keys
    at = to = 0
    matched = common([key(entry) for entry in stored], [key(entry) for entry in made])
    for i, j in [*matched, (len(stored), len(made))]:
        yield from _pairs(stored[at:i], made[to:j], tuple(rest))
        if i < len(stored):
            yield stored[i], made[j]
        at, to = i + 1, j + 1


def common(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Places of equal items in both, rising: as many as is cheap to find."""
    low = 0
    while low < len(one) and low < len(other) and one[low] == other[low]:
        low += 1
    end, other_end = len(one), len(other)
    while end > low and other_end > low and one[end - 1] == other[other_end - 1]:
        end, other_end = end - 1, other_end - 1
    found = [(place, place) for place in range(low)]
    found += [(i + low, j + low) for i, j in _between(one[low:end], other[low:other_end])]
    return [*found, *((end + place, other_end + place) for place in range(len(one) - end))]


def _between(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int]]:
    if not one or not other:
        return []
    if len(one) <= _SMALL and len(other) <= _SMALL:
        blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
        return [(block.a + k, block.b + k) for block in blocks for k in range(block.size)]
    anchors = _rising(_unique(one, other))
    if not anchors:
        return [(place, place) for place in range(min(len(one), len(other))) if one[place] == other[place]]
    found: list[tuple[int, int]] = []
    at = to = 0
    for i, j in [*anchors, (len(one), len(other))]:
        found += [(at + a, to + b) for a, b in common(one[at:i], other[to:j])]
        if i < len(one):
            found.append((i, j))
        at, to = i + 1, j + 1
    return found


def _unique(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int]]:
    counts, other_counts = Counter(one), Counter(other)
    places = {item: place for place, item in enumerate(other)}
    return [(i, places[item]) for i, item in enumerate(one) if counts[item] == 1 and other_counts[item] == 1]


def _rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest run of pairs whose second places rise too."""
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for number, (_, j) in enumerate(pairs):
        at = bisect_left(ends, j)
        before.append(last[at - 1] if at else -1)
        if at == len(ends):
            ends.append(j)
            last.append(number)
        else:
            ends[at], last[at] = j, number
    chain: list[tuple[int, int]] = []
    number = last[-1] if last else -1
    while number >= 0:
        chain.append(pairs[number])
        number = before[number]
    return chain[::-1]

"""Which span of one tree is which of the other: what is equal first, then what has its name, then what has its kind."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_crewai_trace.snapshot.reading import Entry

Pair = tuple["Entry | None", "Entry | None"]  # of the stored tree, of the new one
_KEYS: tuple[Callable[[Entry], Hashable], ...] = (
    lambda entry: entry,  # the same object, where all that is inside is equal too
    lambda entry: (entry.kind, entry.name),
    lambda entry: entry.kind,
)
_SMALL = 120  # of so many, each is compared with each


def pairs(stored: Sequence[Entry], made: Sequence[Entry]) -> list[Pair]:
    """Spans of one ``Reading`` beside each other; ``None`` beside one that the other side does not have."""
    return list(_pairs(stored, made, _KEYS))


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

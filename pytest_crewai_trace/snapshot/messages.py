"""What a failed comparison says: what changed, the tree with what is old and new, how to accept it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_crewai_trace.snapshot.align import common, pairs
from pytest_crewai_trace.snapshot.changes import Changes, changes
from pytest_crewai_trace.snapshot.reading import Entry, Reading
from pytest_crewai_trace.snapshot.text import Snapshot, SnapshotFileError

if TYPE_CHECKING:
    import pytest

    from pytest_crewai_trace.snapshot.align import Pair
    from pytest_crewai_trace.snapshot.extension import Rendered

_MOST_LINES = 200  # of the tree
_MOST_SENTENCES = 15  # of each sort
_LONGEST_SUMMARY = 300
_LONGEST_LINE = 400


def explain(result: Any, item: pytest.Item, *, is_short: bool = False) -> list[str]:
    """The lines of the message; the first says what changed. ``result`` is syrupy's of the comparison."""
    if result.exception is not None:
        return _failure(result.exception, result.snapshot_location)
    made: Rendered = result.asserted_data
    if result.recalled_data is None:
        shown = [f"+ {line}" for line in made.snapshot.variants[0].splitlines()]
        said = [f"snapshot '{result.snapshot_name}' does not exist yet", "", *([] if is_short else _bounded(shown))]
    else:
        said = _compared(Snapshot.read(result.recalled_data), made, is_short=is_short)
    update = f"pytest {shlex.quote(item.nodeid)} --snapshot-update"
    return [line[:_LONGEST_LINE] for line in [*said, "", f"If this is meant: {update}"]]


def _failure(error: Exception, location: str) -> list[str]:
    if isinstance(error, SnapshotFileError):
        return [
            f"the snapshot file cannot be used: {error}",
            f"file: {location}",
            "It was left as it is; delete it to have it made anew by --snapshot-update.",
        ]
    if isinstance(error, OSError):
        return [f"the snapshot file can be neither read nor written: {error.strerror or error}", f"file: {location}"]
    return [f"{type(error).__name__}: {error}"]


def _compared(stored: Snapshot, made: Rendered, *, is_short: bool) -> list[str]:
    text, most = made.snapshot.variants[0], made.options.variants
    if stored.level != made.snapshot.level:
        return [f"the snapshot is of level '{stored.level}', this comparison of level '{made.snapshot.level}'"]
    if text in stored.variants:
        place = stored.variants.index(text) + 1
        return [f"variant {place} of {len(stored.variants)} accepted ones, but this comparison accepts {most}"]
    best = nearest(stored, made)
    found = best.changes
    said = _headline(stored, made, found)
    if len(stored.variants) > 1 or most > 1:
        room = "adds it as another" if len(stored.variants) < most else "replaces that one"
        which = f"{best.place + 1} of {len(stored.variants)}"
        said += [f"compared with variant {which}, the nearest; an update {room} (variants={most})"]
    for title, sentences in (("behaviour", found.behaviour), ("detail", found.detail)):
        if sentences:
            more = len(sentences) - _MOST_SENTENCES
            said += [f"{title}:", *(f"  {sentence}" for sentence in sentences[:_MOST_SENTENCES])]
            said += [f"  and {more} more"] if more > 0 else []
    return said if is_short else [*said, "", *_bounded(_tree(best.stored, best.made))]


def _headline(stored: Snapshot, made: Rendered, found: Changes) -> list[str]:
    sentences = [*found.behaviour, *found.detail] or ["the same facts in another order"]
    summary = ""
    for place, sentence in enumerate(sentences):
        if summary and len(summary) + len(sentence) > _LONGEST_SUMMARY:
            summary += f"; and {len(sentences) - place} more"
            break
        summary += f"; {sentence}" if summary else sentence
    now, before = made.snapshot.crewai, stored.crewai
    if now == before:
        return [summary]
    versions = f"crewAI is {now or 'unknown'} instead of {before or 'unknown'}"
    if found.only_full:
        return [f"only texts that level 'full' shows differ, and {versions}: its own words may have changed", summary]
    return [summary, f"also, {versions}"]


class Nearest(NamedTuple):
    """The variant with the fewest differences, beside the new tree."""

    place: int
    stored: list[Entry]
    made: list[Entry]
    changes: Changes


def nearest(stored: Snapshot, made: Rendered) -> Nearest:
    """The variant with the fewest differences, and what they are."""
    now, variants = made.beside(stored)
    found = (Nearest(place, before, now, changes(before, now)) for place, before in enumerate(variants))
    return min(found, key=lambda one: one.changes.size)


def difference(before: str, now: str) -> tuple[Changes, list[str]]:
    """What changed from one tree to another, and both beside each other."""
    reading = Reading()
    stored, made = (reading.tree(text, is_ours=True) for text in (before, now))
    return changes(stored, made), _bounded(_tree(stored, made))


def _bounded(lines: Iterator[str] | list[str]) -> list[str]:
    kept: list[str] = []
    left = 0
    for line in lines:
        if len(kept) < _MOST_LINES:
            kept.append(line)
        else:
            left += 1
    return [*kept, f"  ... {left:,} more lines"] if left else kept


def _tree(before: Sequence[Entry], now: Sequence[Entry]) -> Iterator[str]:
    """The tree: ``-`` stored, ``+`` new; of what is equal, the nearest line on each side."""
    stack: list[Any] = [_with_context(pairs(before, now))]
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
            continue
        mark, stored, made = step
        if mark == "=":
            yield from _facts(stored, made)
            stack.append(_with_context(pairs(stored.children, made.children)))
        elif mark == "...":
            yield f"  {'  ' * min(stored, 40)}..."
        else:
            for line in made.lines() if mark == " " else _all_lines(made):
                yield f"{mark} {line}"
                if mark == " ":  # what is equal is named, not told
                    break


def _with_context(sides: list[Pair]) -> Iterator[tuple[str, Any, Any]]:
    hidden = False
    for place, (stored, made) in enumerate(sides):
        if made is not None and stored is made:
            if any(one is not other for one, other in sides[max(0, place - 1) : place + 2]):
                yield " ", None, made
                hidden = False
            elif not hidden:
                yield "...", made.depth, None
                hidden = True
            continue
        hidden = False
        if stored is not None and made is not None:
            yield "=", stored, made
        elif stored is not None:
            yield "-", None, stored
        else:
            yield "+", None, made


def _all_lines(entry: Entry) -> Iterator[str]:
    stack = [entry]
    while stack:
        current = stack.pop()
        yield from current.lines()
        stack.extend(reversed(current.children))


def _facts(stored: Entry, made: Entry) -> Iterator[str]:
    """A span that is on both sides: its line, and the facts that differ."""
    old, new = stored.lines()[0], made.lines()[0]
    yield from [f"  {new}"] if old == new else [f"- {old}", f"+ {new}"]
    for path in {**stored.facts, **made.facts}:
        before = list(stored.lines_of_fact(path)) if path in stored.facts else []
        now = list(made.lines_of_fact(path)) if path in made.facts else []
        if before == now:
            yield f"  {now[0]}"
            continue
        at = to = 0
        for i, j in [*common(before, now), (len(before), len(now))]:
            yield from (f"- {line}" for line in before[at:i])
            yield from (f"+ {line}" for line in now[to:j])
            if i < len(before):
                yield f"  {now[j]}"
            at, to = i + 1, j + 1

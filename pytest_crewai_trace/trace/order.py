"""The order that does not depend on the machine: concurrent spans by name and content, the others as they ran."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.span import AnySpan, Span
    from pytest_crewai_trace.trace.tree import Tree

# Never compared: our own numbers, times, crewAI's ids, and where in a file an exception was raised.
_NOT_BEHAVIOUR = frozenset(
    {"id", "parent_id", "start", "end", "origin", "events", "time_to_first_chunk", "response_id", "error"}
)


def content(span: Span) -> dict[str, Any]:
    """What a span did, without when and under which id."""
    seen = {name: value for name, value in span.__dict__.items() if name not in _NOT_BEHAVIOUR}
    seen["error"] = None if span.error is None else (span.error.type, span.error.message)
    seen["open"] = span.open
    return seen


def comparable(tree: Tree, root: int | None) -> list[tuple[int, dict[str, Any]]]:
    """The tree as plain data that is equal where behaviour is."""
    from pytest_crewai_trace.trace.render import walk

    return [(depth, content(span)) for depth, span in walk(tree, root)]


def arranged(tree: Tree, show: Callable[[int], str]) -> dict[int | None, list[int]]:
    """As ``canonical_children``, but concurrent ones by no more than what ``show`` says of a span."""
    return _Order(tree, show).ordered


def canonical_children(tree: Tree) -> dict[int | None, list[int]]:
    """The children of each span (``None``: the roots), concurrent ones put in an order of their own."""
    if tree._canonical is None:
        tree._canonical = _Order(tree).ordered
    return tree._canonical


class _Order:
    """Works from the last span to the first: a child's number is above its parent's, so children are ready before."""

    def __init__(self, tree: Tree, show: Callable[[int], str] | None = None) -> None:
        self.tree = tree
        self.show = show
        self.ordered: dict[int | None, list[int]] = {}
        self.digests: dict[int, str] = {}
        last = _last_sequences(tree)
        for number, ids in (*sorted(tree.children.items(), reverse=True), (None, tree.roots)):
            self.ordered[number] = ids
            if len(ids) > 1:
                ordered = [i for cluster in _clusters(tree, number, ids, last) for i in self.arrange(cluster)]
                self.ordered[number] = _by_cause(tree, ordered)

    def arrange(self, cluster: list[int]) -> list[int]:
        if len(cluster) == 1:
            return cluster
        places = _requested_places(self.tree, cluster)
        keys = {number: (places.get(number, 0), *self.sort_key(number)) for number in cluster}
        if len(set(keys.values())) == len(cluster):
            return sorted(cluster, key=keys.__getitem__)
        return sorted(cluster, key=lambda number: (keys[number], self.digest(number)))

    def sort_key(self, number: int) -> tuple[object, ...]:
        """By what a reader sees and what does not depend on crewAI's wording."""
        span = self.tree.spans[number]
        if self.show is not None:
            return (not span.origin.own_thread, self.preview(number))
        given = json.dumps(getattr(span, "inputs", None), sort_keys=True, default=str)
        return (not span.origin.own_thread, span.kind, span.name, given, self.preview(number))

    def digest(self, number: int) -> str:
        """What tells apart spans that a reader cannot: all that they and the spans inside them did."""
        unknown, stack = list[int](), [number]
        while stack:
            current = stack.pop()
            if current not in self.digests:
                unknown.append(current)
                stack.extend(self.ordered.get(current, ()))
        for current in reversed(unknown):
            if self.show is not None:
                own = self.show(current)
            else:
                own = json.dumps(content(self.tree.spans[current]), sort_keys=True, default=repr)
            inside = [self.digests[child] for child in self.ordered.get(current, ())]
            self.digests[current] = hashlib.sha256("\n".join([own, *inside]).encode()).hexdigest()
        return self.digests[number]

    def preview(self, number: int, most: int = 50) -> tuple[str, ...]:
        """The first lines of a span's tree."""
        from pytest_crewai_trace.trace.render import label

        lines: list[str] = []
        stack = [number]
        while stack and len(lines) < most:
            current = stack.pop()
            lines.append(label(self.tree.spans[current]) if self.show is None else self.show(current))
            stack.extend(reversed(self.ordered.get(current, ())))
        return tuple(lines)


def _by_cause(tree: Tree, ids: list[int]) -> list[int]:
    """The methods of a flow by generation: what triggered before what was triggered, however long each took.

    Two versions of crewAI, or two runs, overlap the methods of parallel branches in different ways.
    """
    methods = sorted(i for i in ids if tree.spans[i].kind == "method")
    if len(methods) < 2:
        return ids
    by_end = {tree.spans[i].origin.end_event_id: i for i in methods}
    generation: dict[int, int] = {}
    names: set[str] = set()
    resumed = False
    for number in methods:
        span = tree.spans[number]
        trigger = by_end.get(span.origin.identifiers.get("triggered_by_event_id", ""))
        if trigger is not None and trigger in generation:
            generation[number] = generation[trigger] + 1
        elif span.name in names or resumed:  # a router went back to a start, or the flow goes on after a pause
            ended = (generation[i] for i in generation if _ended_before(tree, i, number))
            generation[number] = max(ended, default=0) + 1
        else:
            generation[number] = 0
        # A method that is started has parameters, if empty ones; one that is resumed has none.
        resumed = resumed or getattr(span, "params", None) is None
        names.add(span.name)
    place = {number: at for at, number in enumerate(ids)}
    ordered = iter(sorted(methods, key=lambda i: (generation[i], tree.spans[i].name, place[i])))
    return [next(ordered) if tree.spans[i].kind == "method" else i for i in ids]


def _ended_before(tree: Tree, one: int, other: int) -> bool:
    end = tree.spans[one].origin.end_sequence
    return end is not None and end <= tree.spans[other].origin.sequence


def _last_sequences(tree: Tree) -> list[int]:
    """The number of the last event of each span; of an open one, the last that was seen inside it."""
    ends = [span.origin.end_sequence for span in tree.spans]
    last = [span.origin.sequence if end is None else end for span, end in zip(tree.spans, ends, strict=True)]
    if None in ends:
        for number in range(len(ends) - 1, -1, -1):
            parent = tree.spans[number].parent_id
            if parent is not None and ends[parent] is None:
                last[parent] = max(last[parent], last[number])
    return last


def _clusters(tree: Tree, parent: int | None, ids: list[int], last: list[int]) -> list[list[int]]:
    """Neighbours that ran at the same time, or that crewAI started so: those may swap places from run to run."""
    spans = tree.spans
    background = [i for i in ids if _is_background(spans[i])]
    if background:
        ids = [i for i in ids if not _is_background(spans[i])]
    if parent is not None and spans[parent].kind == "memory":
        return [ids, background] if ids and background else [ids or background]
    clusters: list[list[int]] = []
    reach = -1
    for number in ids:
        span = spans[number]
        together = span.kind in ("task", "tool") and clusters and _started_together(tree, clusters[-1], number)
        if clusters and (together or span.origin.sequence < reach):
            clusters[-1].append(number)
            reach = max(reach, last[number])
        else:
            clusters.append([number])
            reach = last[number]
    return [*clusters, background] if background else clusters


def _is_background(span: AnySpan) -> bool:
    return span.kind == "memory" and span.background


def _started_together(tree: Tree, cluster: list[int], number: int) -> bool:
    """Whether crewAI starts two neighbours at once, even if one happened to end before the other began."""
    span, before = tree.spans[number], tree.spans[cluster[-1]]
    if span.kind == "task" and before.kind == "task":
        return span.asynchronous and before.asynchronous
    if span.kind == "tool" and before.kind == "tool":
        return len(cluster) < len(_batch(tree, cluster[0]))
    return False


def _batch(tree: Tree, number: int) -> list[tuple[str, str]]:
    """The tool calls that the model asked for in one reply, if this tool call is the first that came of several."""
    parent = tree.spans[number].parent_id
    siblings = tree.roots if parent is None else tree.children[parent]
    place = bisect_left(siblings, number)
    before = tree.spans[siblings[place - 1]] if place else None
    if before is None or before.kind != "llm" or len(before.requested_tool_calls) < 2:
        return []
    return [(call.name, repr(call.arguments)) for call in before.requested_tool_calls]


def _requested_places(tree: Tree, cluster: list[int]) -> dict[int, int]:
    """The place of each tool call of a cluster in the reply that asked for them all."""
    if len(cluster) < 2 or tree.spans[cluster[0]].kind != "tool":
        return {}
    asked = _batch(tree, cluster[0])
    places = {}
    for number in cluster:
        span = tree.spans[number]
        call = (span.name, repr(span.arguments)) if span.kind == "tool" else None
        if call in asked:
            places[number] = asked.index(call)
    return places

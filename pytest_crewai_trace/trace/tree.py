"""The index over a trace's spans: who is inside whom, by kind and by name. Linear to build, whatever the shape."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.query import SpanList
    from pytest_crewai_trace.trace.semconv import Kind
    from pytest_crewai_trace.trace.span import AnySpan


class Tree:
    """Spans numbered in start order; ``spans[i].id == i`` and a parent's id is below its children's."""

    __slots__ = (
        "_by_kind",
        "_canonical",
        "_enters",
        "_lists",
        "children",
        "enter",
        "incomplete",
        "leave",
        "order",
        "roots",
        "spans",
    )

    def __init__(self, spans: Sequence[AnySpan], incomplete: Sequence[str] = ()) -> None:
        self.spans = tuple(spans)
        self.incomplete = tuple(incomplete)
        self.roots: list[int] = []
        self.children: dict[int, list[int]] = {}
        for number, span in enumerate(self.spans):
            if span.id != number or not (span.parent_id is None or 0 <= span.parent_id < number):
                raise ValueError(f"span {span.id} at place {number} with parent {span.parent_id}: not in start order")
            if span.parent_id is None:
                self.roots.append(number)
            else:
                self.children.setdefault(span.parent_id, []).append(number)
        self.enter, self.leave = self._walk()
        # In depth-first order, all and per kind, so that what lies inside one span is one slice.
        self.order = sorted(range(len(self.spans)), key=self.enter.__getitem__)
        self._by_kind: dict[Kind, list[int]] = {}
        for number in self.order:
            self._by_kind.setdefault(self.spans[number].kind, []).append(number)
        self._enters = {kind: [self.enter[i] for i in ids] for kind, ids in self._by_kind.items()}
        self._lists: dict[Any, Any] = {}
        self._canonical: dict[int | None, list[int]] | None = None
        for span in self.spans:
            object.__setattr__(span, "_tree", self)

    def _walk(self) -> tuple[list[int], list[int]]:
        enter, leave = [0] * len(self.spans), [0] * len(self.spans)
        position = 0
        for root in self.roots:
            stack = [(root, False)]
            while stack:
                number, left = stack.pop()
                if left:
                    leave[number] = position
                    continue
                enter[number] = position
                position += 1
                stack.append((number, True))
                stack.extend((child, False) for child in reversed(self.children.get(number, ())))
        return enter, leave

    def kinds(self) -> list[Kind]:
        """The kinds that occur."""
        return list(self._by_kind)

    def inside(self, root: int | None, kind: Kind | None = None) -> SpanList[Any]:
        """The spans inside ``root`` (or all), of one kind (or any), in start order."""
        key = (root, kind)
        found: SpanList[Any] | None = self._lists.get(key)
        if found is None:
            from pytest_crewai_trace.trace.query import SpanList

            found = SpanList(map(self.spans.__getitem__, self._ids(root, kind)), what=kind or "")
            if root is None:  # one list per kind is kept, not one per span
                self._lists[key] = found
        return found

    def _ids(self, root: int | None, kind: Kind | None) -> Sequence[int]:
        if root is None:
            return range(len(self.spans)) if kind is None else sorted(self._by_kind.get(kind, ()))
        if kind is None:
            return sorted(self.order[self.enter[root] + 1 : self.leave[root]])
        ids = self._by_kind.get(kind, [])
        enters = self._enters.get(kind, [])
        low = bisect_left(enters, self.enter[root] + 1)
        return sorted(ids[low : bisect_left(enters, self.leave[root])])

    def children_of(self, number: int | None) -> SpanList[Any]:
        """The direct children of a span, or the roots, in start order."""
        from pytest_crewai_trace.trace.query import SpanList

        ids = self.roots if number is None else self.children.get(number, [])
        return SpanList(self.spans[i] for i in ids)

    def is_inside(self, number: int, ancestor: int) -> bool:
        """Whether one span lies inside another."""
        return self.enter[ancestor] < self.enter[number] < self.leave[ancestor]

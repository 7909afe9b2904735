"""A span in the making."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_crewai_trace.capture.row import Row
    from pytest_crewai_trace.trace.values import SpanEvent


class Draft:
    """What is known of a span so far.

    ``hidden`` ones are crewAI's own machinery: their children move up. ``over`` is the span around this one that ended
    while it was open. ``inner_error`` is the failure of what was done for it (the MCP client's part of a tool call).
    """

    __slots__ = (
        "above",
        "at",
        "children",
        "closed_at",
        "closed_seq",
        "end",
        "error",
        "events",
        "hidden",
        "inner_error",
        "over",
        "row",
        "sequence",
        "values",
    )

    def __init__(self, row: Row, above: Draft | None) -> None:
        self.row = row
        self.sequence, self.at = row.sequence, row.at
        self.above = above
        self.hidden = row.hidden
        self.children: list[Draft] = []
        self.end: Row | None = None
        self.closed_at: int | None = None
        self.closed_seq: float | None = None
        self.over: Draft | None = None
        self.error: dict[str, Any] | None = None
        self.inner_error: dict[str, Any] | None = None
        self.events: list[SpanEvent] = []
        self.values: dict[str, Any] = dict(row.fields)

    @property
    def kind(self) -> str | None:
        return self.row.rule.kind

    @property
    def open(self) -> bool:
        return self.closed_seq is None

    def visible(self) -> Draft | None:
        """This draft, or the nearest above it that is shown."""
        draft: Draft | None = self
        while draft is not None and draft.hidden:
            draft = draft.above
        return draft

    def lineage(self) -> Iterator[Draft]:
        """This draft and those above it, upwards."""
        draft: Draft | None = self
        while draft is not None:
            yield draft
            draft = draft.above

    def last_inside(self) -> Draft | None:
        """The last shown child, also where hidden ones lie between."""
        for child in reversed(self.children):
            found = child.last_inside() if child.hidden else child
            if found is not None:
                return found
        return None

    def close(self, row: Row) -> None:
        """Take what the end says."""
        self.values.update(row.fields)
        failure = self.values.pop("failure", None)
        if failure is not None:
            failure = {"message": failure if isinstance(failure, str) else str(failure)}
        self.close_with(row, row.error or self.inner_error or failure)

    def close_with(self, row: Row, error: dict[str, Any] | None) -> None:
        """End at an event, with an error or none."""
        self.end = row
        self.closed_at, self.closed_seq = row.at, row.sequence
        self.error = error

    def close_like(self, other: Draft) -> None:
        """End where another did, and as it did: crewAI left this one without an end of its own."""
        self.closed_at, self.closed_seq, self.error = other.closed_at, other.closed_seq, other.error

    def move(self, above: Draft) -> None:
        """Become a child of another span."""
        if self.above is not None:
            siblings = self.above.children
            for place in reversed(range(len(siblings))):  # it is near the end
                if siblings[place] is self:
                    del siblings[place]
                    break
        self.above = above
        above.children.append(self)

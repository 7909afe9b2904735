"""The trace of one test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pytest_crewai_trace.errors import TraceIncompleteError, hide_from_traceback
from pytest_crewai_trace.trace.query import Queries, SpanList, column
from pytest_crewai_trace.trace.span import AnySpan, is_in_a_trace
from pytest_crewai_trace.trace.tree import Tree
from pytest_crewai_trace.trace.values import SpanEvent, share_fields_set

__tracebackhide__ = hide_from_traceback


class EventCounts(BaseModel):
    """Where the events of the bus went. Every event that was recorded is in exactly one place.

    ``spans`` began or ended a span, ``span_events`` are points in time, ``chunks`` were counted by their LLM call;
    ``ignored`` has the number per type of those that say nothing about behaviour.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spans: int = 0
    span_events: int = 0
    chunks: int = 0
    ignored: dict[str, int] = {}

    @property
    def total(self) -> int:
        return self.spans + self.span_events + self.chunks + sum(self.ignored.values())


class TraceOrigin(BaseModel):
    """Where and when a trace was made; never compared or rendered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    test_id: str | None = None
    started_at: datetime | None = None
    crewai_version: str | None = None
    plugin_version: str | None = None


class Trace(Queries, BaseModel):
    """Everything that crewAI did in one test.

    ``events`` are points in time outside every span; ``incomplete`` says, in words, why something may be missing.
    """

    __slots__ = ("_tree",)
    model_config = ConfigDict(frozen=True, extra="forbid")

    all_spans: tuple[AnySpan, ...] = Field(default=(), repr=False)
    events: tuple[SpanEvent, ...] = Field(default=(), repr=False)
    incomplete: tuple[str, ...] = ()
    event_counts: EventCounts = Field(default_factory=EventCounts, repr=False)
    origin: TraceOrigin = Field(default_factory=TraceOrigin, repr=False)

    def model_post_init(self, context: Any, /) -> None:
        # A span knows the one trace that it is part of: those of another trace are copied.
        spans = tuple(span.model_copy() if is_in_a_trace(span) else span for span in self.all_spans)
        for span in spans:
            share_fields_set(span)
        self.__dict__["all_spans"] = spans
        object.__setattr__(self, "_tree", Tree(spans, self.incomplete))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Trace:
        return _indexed(super().model_copy(update=update, deep=deep))

    def __copy__(self) -> Trace:
        return _indexed(super().__copy__())

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Trace:
        return _indexed(super().__deepcopy__(memo))

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        _indexed(self)

    def _scope(self) -> tuple[Tree, None]:
        """Every question passes here, so that none is answered "no" because nothing was seen."""
        if self.incomplete:
            raise TraceIncompleteError(f"the trace is incomplete: {'; '.join(self.incomplete)}")
        if self.empty:
            raise TraceIncompleteError(
                "the trace is empty: nothing of crewAI has run in this test"
                " (to say that this is meant: assert crewai_trace.empty)"
            )
        return self._tree, None

    @property
    def empty(self) -> bool:
        """Whether no span was recorded. Of an empty or incomplete trace nothing else can be asked: no tool was called
        in it because nothing was, so an assertion would pass for nothing.
        """
        return not self.all_spans

    @property
    def roots(self) -> SpanList[AnySpan]:
        """The runs that were not started by another one, in start order."""
        tree, _ = self._scope()
        return tree.children_of(None)

    @property
    def complete(self) -> bool:
        return not self.incomplete

    @property
    def duration(self) -> float:
        """Seconds from the first start to the last end that was seen."""
        tree, _ = self._scope()
        last = max((end for end in column(tree.inside(None), "end") if end is not None), default=None)
        # What is inside of a run begins after it.
        return 0.0 if last is None else last - min(tree.spans[number].start for number in tree.roots)

    @property
    def output(self) -> Any:
        """What the last run came to: its output; ``None`` where it failed or nothing ran."""
        last = self.roots[-1]
        return getattr(last, "output", getattr(last, "response", None))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trace):
            return NotImplemented
        return self._comparable() == other._comparable()

    __hash__ = None  # type: ignore[assignment]  # holds dicts

    def __repr__(self) -> str:
        counts = [f"{len(self._tree.inside(None, kind))} {kind}" for kind in self._tree.kinds()]
        return f"<Trace: {', '.join(counts) or 'empty'}{'' if self.complete else ', incomplete'}>"

    def __str__(self) -> str:
        return self.render()

    def render(self, *, width: int = 120) -> str:
        """The tree as text, a span a line; the same behaviour gives the same text. Lines are cut at ``width``.

        Answers for an empty and an incomplete trace too, and says that it is one.
        """
        from pytest_crewai_trace.trace.render import printable, render

        reasons = [f"incomplete: {printable(reason)}" for reason in self.incomplete]
        return "\n".join([*reasons, render(self._tree, width=width) or "(empty)"])

    def to_json(self, *, indent: int | None = None) -> str:
        """The whole trace as JSON, with ``schema_version``."""
        from pytest_crewai_trace.trace.document import dump

        return dump(self, indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> Trace:
        """The trace that ``to_json`` wrote.

        Raises:
            TraceDocumentError: not a trace, or of a newer schema than this version reads.
        """
        from pytest_crewai_trace.trace.document import load

        return load(text)


def _indexed(copied: Trace) -> Trace:
    """A copy with an index of its own; pydantic copies no more than the fields."""
    copied.model_post_init(None)
    return copied

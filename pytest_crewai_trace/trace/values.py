"""What spans are made of: errors, points in time, tool calls, and where a span came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

_UNSET: Any = object()


def share_fields_set(value: BaseModel) -> None:
    """Let values that were given the same fields hold one set of their names: a set each is a third of their memory."""
    given = value.model_fields_set
    object.__setattr__(value, "__pydantic_fields_set__", _FIELDS_SETS.setdefault(frozenset(given), given))


_FIELDS_SETS: dict[frozenset[str], set[str]] = {}


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Error(_Value):
    """What went wrong: the exception's class name, its message and its traceback, where they were at hand."""

    type: str | None = None
    message: str = ""
    traceback: str | None = None

    def __str__(self) -> str:
        return ": ".join(part for part in (self.type, self.message) if part)


class SpanEvent(_Value):
    """A point in time inside a span, such as a cache hit; ``time`` in seconds since the trace began.

    ``note`` says why an event that should have begun or ended a span did not.
    """

    name: str
    attributes: dict[str, Any] = Field(default_factory=dict)
    time: float = 0.0
    note: str | None = None


class ToolCall(_Value):
    """A tool call as data to compare with ``==``.

    Only what both sides have set takes part: ``ToolCall("search", {"query": "AI"})`` equals a call with any result.
    """

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    result: Any = None
    error: str | None = None
    agent: str | None = None
    task: str | None = None
    cached: bool = False

    def __init__(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        result: Any = _UNSET,
        error: str | None = _UNSET,
        agent: str | None = _UNSET,
        task: str | None = _UNSET,
        cached: bool = _UNSET,
    ) -> None:
        if arguments is not None and not isinstance(arguments, Mapping):
            raise TypeError(
                f"the arguments of a ToolCall are a dict, not {arguments!r}: write ToolCall({name!r}, {{'query': ...}})"
                ", or, for a matcher of them all, expect(trace).to_call_tool(name, matcher)"
            )
        rest = {"result": result, "error": error, "agent": agent, "task": task, "cached": cached}
        given = {key: value for key, value in rest.items() if value is not _UNSET}
        super().__init__(**{"name": name, "arguments": {} if arguments is None else arguments, **given})
        share_fields_set(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ToolCall):
            return NotImplemented
        compared = (self.model_fields_set & other.model_fields_set) | {"name", "arguments"}
        return all(getattr(self, name) == getattr(other, name) for name in compared)

    __hash__ = None  # type: ignore[assignment]  # holds a dict

    def __repr__(self) -> str:
        shown = [repr(self.name), repr(self.arguments)]
        shown += [f"{name}={getattr(self, name)!r}" for name in ToolCall.model_fields if name in self.model_fields_set][
            2:
        ]
        return f"ToolCall({', '.join(shown)})"


@dataclass(frozen=True, slots=True)  # a model would take 280 bytes more of each span
class Origin:
    """Where a span came from: crewAI's own ids, absolute times, threads. Never compared or rendered.

    ``sequence`` and ``end_sequence`` are our own numbers of the events that began and ended the span, in the order in
    which events were emitted. ``own_thread`` is false for what began in another thread than the test's.
    """

    event_id: str = ""
    end_event_id: str | None = None
    sequence: int = 0
    end_sequence: int | None = None
    started_at: datetime | None = None
    own_thread: bool = True
    identifiers: dict[str, str] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

"""One test's record: what the bus emitted while it ran, as plain data."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
import weakref
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.capture.mapping import Rule, rule_of
from pytest_crewai_trace.capture.plain import message_of, plain
from pytest_crewai_trace.capture.readers import hold, identify, own
from pytest_crewai_trace.trace.messages import Messages

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.semconv import Kind

# crewAI saves memories in the background and these may be the only spans that begin when their run is over.
BACKGROUND: Kind = "memory"
_MOST_FRAMES = 30
_NEAR = 9  # calls between crewAI's handler of an exception and us; it was 7 at most on every supported version
MOST_TRACEBACK = 20_000  # characters, from the end


class Row:
    """One event. ``source`` is the ``id()`` of what emitted it; ``hidden`` ones are of crewAI's own machinery."""

    __slots__ = (
        "at",
        "error",
        "event_id",
        "fields",
        "given_start",
        "held",
        "hidden",
        "identifiers",
        "parent_id",
        "replayed",
        "rule",
        "sequence",
        "source",
        "start_id",
        "task",
        "thread",
        "type",
    )

    def __init__(self, rule: Rule, event_type: str, sequence: float, at: int) -> None:
        self.rule = rule
        self.type = event_type
        self.sequence = sequence
        self.at = at
        self.event_id = ""
        self.parent_id: str | None = None
        self.start_id: str | None = None
        self.given_start = False
        self.source = 0
        self.thread = 0
        self.task: weakref.ref[asyncio.Task[Any]] | None = None
        self.hidden = False
        self.replayed = False
        self.held: dict[str, Any] | None = None  # fields of the event that have not been read yet
        self.fields: dict[str, Any] = {}
        self.identifiers: dict[str, str] = {}
        self.error: dict[str, Any] | None = None


class Chunks:
    """How many chunks an LLM call gave, and when the first came."""

    __slots__ = ("count", "first")

    def __init__(self, first: int) -> None:
        self.count = 0
        self.first = first


class Recorder:
    """Takes every event of one test. Never raises into the run; keeps its first error for the test to fail with."""

    def __init__(self, *, began: int, began_at: datetime) -> None:
        self.began = began
        self.began_at = began_at
        self.process = os.getpid()
        self.thread = threading.get_ident()
        self.rows: list[Row] = []
        self.chunks: dict[str, Chunks] = {}
        self.chunk_events = 0
        self.error: BaseException | None = None
        self.doubts: list[str] = []
        self.closed = False
        # Kept alive, so that an id() names one object for as long as the record lives.
        self._sources: dict[int, object] = {}
        self.starts: dict[str, Row] = {}  # by the id of the event that began a span
        self._open: dict[str, Row] = {}
        self._conversations: dict[tuple[int, str | None], tuple[list[Any], Messages]] = {}
        self._tools: dict[int, tuple[list[str] | None, tuple[Any, ...]]] = {}
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    # -- taking events ----------------------------------------------------------------------------------------------

    def take(
        self, source: Any, event: Any, sequence: int, at: int, *, given_start: bool, replayed: bool, parent: str | None
    ) -> None:
        """Keep one event, after the bus gave it its ids; ``parent`` is its scope where the bus did not say."""
        try:
            self._take(source, event, sequence, at, given_start, replayed, parent)
        except Exception as error:  # noqa: BLE001 - nothing of ours may end the user's run
            if self.error is None:
                self.error = error

    def doubt(self, reason: str) -> None:
        """Remember, once, why events may be missing."""
        if reason not in self.doubts:
            self.doubts.append(reason)

    def _take(
        self,
        source: Any,
        event: Any,
        sequence: int,
        at: int,
        given_start: bool,
        replayed: bool,
        parent: str | None,
    ) -> None:
        fields = event.__dict__
        rule = rule_of(event)
        if rule.role == "chunk":
            self._count_chunk(str(fields.get("call_id")), at)
            return
        event_type = fields.get("type")
        row = Row(rule, event_type if isinstance(event_type, str) else type(event).__name__, sequence, at)
        row.event_id = str(fields.get("event_id"))
        row.parent_id = _id(fields.get("parent_event_id")) or parent
        row.start_id = _id(fields.get("started_event_id"))
        row.given_start = given_start
        row.source = id(source)
        self._sources.setdefault(row.source, source)
        if rule.kind in ("flow", "method"):
            row.hidden = is_infrastructure(source)
        if replayed:
            row.replayed = True
        elif rule.payload is not None and not row.hidden:
            row.held = hold(fields, rule.payload)
        else:
            self._read(row, fields)
        if rule.role == "begin":
            row.thread = threading.get_ident()
            row.task = _running_task()
            if rule.kind == "llm":
                row.fields["messages"] = self._share(fields.get("messages"), (row.source, _id(fields.get("agent_id"))))
                row.fields["tool_definitions"] = self._definitions(row.source, fields.get("tools"))
        elif rule.role == "end":
            row.error = _error(fields) if rule.failed else _interrupted(rule)
        with self._lock:
            self.rows.append(row)
            if rule.role == "begin" and not replayed:
                self.starts[row.event_id] = self._open[row.event_id] = row
            elif rule.role == "end":
                self._close(self._ended_by(rule, row.start_id, row.source))

    def _read(self, row: Row, fields: dict[str, Any]) -> None:
        source, kind = self._sources[row.source], row.rule.kind
        if not row.hidden:
            row.fields = {**row.rule.read(fields, source), **row.fields}
        if kind is not None:
            row.identifiers = identify(kind, fields, source)
        row.held = None

    def read_rows(self) -> list[Row]:
        """The rows in the order in which they were emitted, all read."""
        rows = sorted(self.rows, key=lambda row: row.sequence)
        for row in rows:
            if row.held is not None:
                self._read(row, row.held)
        return rows

    def _count_chunk(self, call_id: str, at: int) -> None:
        with self._lock:
            self.chunk_events += 1
            chunks = self.chunks.get(call_id)
            if chunks is None:
                chunks = self.chunks[call_id] = Chunks(at)
            chunks.count += 1

    def _share(self, messages: Any, key: tuple[int, str | None]) -> Messages:
        """The conversation, with what it has in common with the last one of the same model and agent kept once."""
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        if not isinstance(messages, list):
            return Messages()
        known, base = self._conversations.get(key, ([], Messages()))
        shared = _common(known, messages)
        if 0 < shared == len(messages) == len(known):
            return base
        tail = [m if isinstance(m, dict) else {"content": m} for m in map(plain, messages[shared:])]
        made = Messages(tail, base if shared else None, shared)
        self._conversations[key] = ([*known[:shared], *tail], made)
        return made

    def _definitions(self, source: int, tools: Any) -> tuple[Any, ...]:
        """The tools offered to a model; the same ones, call after call, are kept once."""
        if not tools:
            return ()
        names = _names_of(tools)
        known = self._tools.get(source)
        if known is None or names is None or known[0] != names:
            frozen = plain(tools)
            known = self._tools[source] = (names, tuple(frozen) if isinstance(frozen, list) else (frozen,))
        return known[1]

    # -- what is still open -----------------------------------------------------------------------------------------

    def _ended_by(self, rule: Rule, start_id: str | None, source: int) -> Row | None:
        """The open start that an end event ends: the one the bus names, unless crewAI's scopes got out of step."""
        named = self._open.get(start_id or "")
        if named is not None and named.type == rule.partner:
            return named
        for row in reversed(list(self._open.values())):
            if row.type == rule.partner and row.source == source:
                return row
        return None

    def _close(self, row: Row | None) -> None:
        if row is not None:
            del self._open[row.event_id]
            self._changed.notify_all()

    def _top(self, row: Row) -> Row:
        """The run that a span belongs to; a background operation is a run of its own."""
        while row.rule.kind != BACKGROUND or row.event_id not in self._open:
            above = self.starts.get(row.parent_id or "")
            if above is None or above.sequence >= row.sequence:  # a user's events may be each other's parents
                return row
            row = above
        return row

    def _may_go_on(self, row: Row) -> bool:
        """Whether the run that a span belongs to can still go on; after the test, not what it merely left open."""
        top = self._top(row)
        if top.event_id not in self._open:
            return False
        if not self.closed:
            return True
        task = None if top.task is None else top.task()
        return top.thread != self.thread or (task is not None and not task.done())

    def release(self) -> None:
        """Let go of what only building the trace needs; what is still open goes on to claim its own events."""
        self.rows.clear()
        self._conversations.clear()
        self._tools.clear()
        self._sources = {row.source: self._sources[row.source] for row in self._open.values()}

    def settle(self, seconds: float, *, only: str | None = None, besides: set[str] | None = None) -> None:
        """Wait, at most ``seconds``, for what still runs in other threads: spans of one kind, or any.

        ``besides`` takes the ids of those that were waited for in vain, so that nobody waits for them again.
        """
        deadline = time.monotonic() + seconds
        given_up = set() if besides is None else besides
        with self._changed:
            while waited := self._running_elsewhere(only, given_up):
                left = deadline - time.monotonic()
                if left <= 0:
                    given_up.update(waited)
                    return
                # An end wakes us; a thread that dies without one is only seen by looking.
                self._changed.wait(min(left, 0.05))

    def _running_elsewhere(self, only: str | None, besides: set[str]) -> list[str]:
        if not self._open:
            return []
        alive = {thread.ident for thread in threading.enumerate()} - {self.thread, threading.get_ident()}
        return [
            event_id
            for event_id, row in self._open.items()
            if event_id not in besides
            and row.thread in alive
            and (only is None or row.rule.kind == only)
            and self._top(row).thread in alive
        ]

    # -- whose event is it ------------------------------------------------------------------------------------------

    @property
    def has_open(self) -> bool:
        return bool(self._open)

    def begun(self, event_id: Any) -> bool:
        """Whether the event of this id began a span of this record."""
        return type(event_id) is str and event_id in self.starts

    def claims(self, rule: Rule, fields: dict[str, Any], source: Any) -> bool:
        """Whether an event that comes after the test goes on with something of it.

        A scope that a run left behind in somebody's context is none: the run is over.
        """
        with self._lock:
            if rule.role == "end":
                row = self._ended_by(rule, _id(fields.get("started_event_id")), id(source))
                return row is not None and self._may_go_on(row)
            if rule.role == "chunk":
                return str(fields.get("call_id")) in self.chunks
            parent = self.starts.get(_id(fields.get("parent_event_id")) or "")
            return parent is not None and (rule.kind == BACKGROUND or self._may_go_on(parent))


def is_infrastructure(source: Any) -> bool:
    """Whether a flow is crewAI's own machinery: the agent executor, or encoding and recall of memories."""
    return type(source).__module__.startswith("crewai.") and own(source, "suppress_flow_events") is True


def _running_task() -> weakref.ref[asyncio.Task[Any]] | None:
    if asyncio._get_running_loop() is None:
        return None
    task = asyncio.current_task()
    return None if task is None else weakref.ref(task)


def _error(fields: dict[str, Any]) -> dict[str, Any]:
    """What a failure says, with the exception's class and traceback where the event is emitted while it is handled."""
    said = fields.get("error")
    raised = said if isinstance(said, BaseException) else sys.exc_info()[1]
    message = message_of(said) if isinstance(said, BaseException) else plain(said)
    found: dict[str, Any] = {"message": message if isinstance(message, str) else str(message or "")}
    if raised is not None and (raised is said or (_caught_near(raised) and message_of(raised) in found["message"])):
        found["type"] = type(raised).__name__
        if raised.__traceback__ is not None:
            lines = traceback.format_exception(type(raised), raised, raised.__traceback__, limit=-_MOST_FRAMES)
            found["traceback"] = plain("".join(lines)[-MOST_TRACEBACK:])
    return found


def _caught_near(raised: BaseException) -> bool:
    """Whether what emits now, or a close caller of it, caught the exception.

    Else it is an earlier failure: crewAI retries from inside the handler of the last one.
    """
    caught = raised.__traceback__
    frame = sys._getframe(2)  # noqa: SLF001 - the only way to know who is calling
    for _ in range(_NEAR):
        if caught is None or frame.f_back is None:
            return False
        if frame is caught.tb_frame:
            return True
        frame = frame.f_back
    return False


def _interrupted(rule: Rule) -> dict[str, Any] | None:
    """A tool's end that crewAI reports, as a success, while an interrupt or exit flies past it is none."""
    raised = sys.exc_info()[1] if rule.kind == "tool" else None
    if raised is None or isinstance(raised, Exception):
        return None
    return {"type": type(raised).__name__, "message": message_of(raised)}


def _id(value: Any) -> str | None:
    return value if value is None or type(value) is str else str(plain(value))


def _names_of(tools: Any) -> list[str] | None:
    """What the tools offered to a model are called, where they have the usual form."""
    names = []
    for tool in tools if type(tools) is list else (None,):
        function = tool.get("function", tool) if type(tool) is dict else None
        name = function.get("name") if type(function) is dict else None
        if type(name) is not str:
            return None
        names.append(name)
    return names


def _common(known: list[dict[str, Any]], messages: list[Any]) -> int:
    """How many first messages are those that we know, without asking any object whether it is equal."""
    for place, (one, other) in enumerate(zip(known, messages, strict=False)):
        if type(other) is not dict or len(other) != len(one):
            return place
        for key, value in other.items():
            if type(key) is not str or key not in one:
                return place
            mine = one[key]
            if value is not mine and (value if type(value) is str else plain(value)) != mine:
                return place
    return min(len(known), len(messages))

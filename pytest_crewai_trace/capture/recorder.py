"""One test's record: what the bus emitted while it ran, as plain data."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from asyncio import _get_running_loop
from collections import deque
from collections.abc import Callable
from datetime import datetime
from sys import exc_info
from threading import get_ident
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.capture.conversations import Conversations, hands_over_copies
from pytest_crewai_trace.capture.failures import failure, interruption
from pytest_crewai_trace.capture.fields import hold, identify
from pytest_crewai_trace.capture.mapping import Rule, rule_of
from pytest_crewai_trace.capture.objects import in_cache, own
from pytest_crewai_trace.capture.plain import plain
from pytest_crewai_trace.capture.row import Chunks, Row
from pytest_crewai_trace.trace.messages import Messages

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.semconv import Kind

# crewAI saves memories in the background and these may be the only spans that begin when their run is over.
BACKGROUND: Kind = "memory"
_FLOWS = frozenset({"flow", "method"})
_MOST_TAKEN = 1_000  # events, or messages of models, that wait to be read


# Rule, source, fields, number, time, whether the emitter named the start, scope, thread, task: as they came.
_Taken = tuple[Rule, Any, dict[str, Any], int, int, bool, "str | None", int, "weakref.ref[asyncio.Task[Any]] | None"]


class Recorder:
    """Takes every event of one test. Never raises into the run; keeps its first error for the test to fail with."""

    def __init__(self, *, began: int, began_at: datetime) -> None:
        self.began = began
        self.began_at = began_at
        self.thread = threading.get_ident()
        self.chunks: dict[str, Chunks] = {}
        self.chunk_events = 0
        self.error: BaseException | None = None
        self.doubts: list[str] = []
        self.closed = False
        self.also: Callable[[Any, Any], None] | None = None  # who else wants each source and event as they come
        self._taken: deque[Row | _Taken] = deque()  # not yet among the rows
        self._held_messages = 0
        self._rows: list[Row] = []
        # Kept alive, so that an id() names one object for as long as the record lives.
        self._sources: dict[int, object] = {}
        self._starts: dict[str, Row] = {}
        self._open: dict[str, Row] = {}
        self._over: frozenset[str] = frozenset()  # the ids of the starts, once nothing of them can go on
        # Most are of the same few agents, tasks and tools: each is kept once.
        self._known_ids: dict[str, str] = {}
        self._known_identifiers: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
        self._conversations = Conversations()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0  # how many wait for an end

    # -- taking events ----------------------------------------------------------------------------------------------

    def take(
        self,
        source: Any,
        event: Any,
        sequence: int,
        at: int,
        given_start: bool = False,
        replayed: bool = False,
        parent: str | None = None,
        rule: Rule | None = None,
    ) -> None:
        """Keep one event, after the bus gave it its ids; ``parent`` is its scope where the bus did not say.

        The run waits for this, so no more is done than what could not be done later: no row, no index, no lock.
        """
        try:
            if rule is None:
                rule = rule_of(event)
            fields = event.__dict__
            role = rule.role
            if role == "chunk":
                self._count_chunk(str(_id(fields.get("call_id"))), at)
                return
            thread, task = (get_ident(), _running_task()) if role == "begin" else (0, None)
            held = None if replayed or exc_info()[1] is not None else self._held(rule, fields, source)
            if held is None:
                row = self._row(rule, source, fields, sequence, at, given_start, parent, thread, task)
                self._taken.append(self._read_now(row, event, replayed))
            else:
                self._taken.append((rule, source, held, sequence, at, given_start, parent, thread, task))
            if self._waiting or len(self._taken) > _MOST_TAKEN or self._held_messages > _MOST_TAKEN:
                self._read_taken()
        except Exception as error:  # noqa: BLE001 - nothing of ours may end the user's run
            if self.error is None:
                self.error = error

    def _held(self, rule: Rule, fields: dict[str, Any], source: Any) -> dict[str, Any] | None:
        """The fields of an event until it is read; ``None`` if it has to be read at once."""
        payload = rule.payload
        if payload is None:
            if rule.glance is None:
                return None
            held = fields.copy()
            return held if rule.glance(held, source) else None
        kind = rule.kind
        if kind in _FLOWS and is_infrastructure(source):
            return fields.copy()
        held = hold(fields, payload)
        if kind == "llm":
            self._hold_conversation(rule, held, source)
        elif kind == "tool" and rule.role == "begin":
            held["in_cache"] = in_cache(fields, source)
        return held

    def _read_now(self, row: Row, event: Any, replayed: bool) -> Row:
        """Read an event of live objects, or one that may tell of an exception in flight."""
        rule, fields = row.rule, event.__dict__
        if type(row.type) is not str or not row.type:
            row.type = type(event).__name__
        row.replayed = replayed
        if rule.kind == "llm":
            self._read_taken()  # its conversation so far
        if not replayed:
            self._read(row, fields)
        if rule.role == "end":
            row.error = failure(fields) if rule.failed else interruption(rule)
        return row

    def doubt(self, reason: str) -> None:
        """Remember, once, why events may be missing."""
        if reason not in self.doubts:
            self.doubts.append(reason)

    def _hold_conversation(self, rule: Rule, held: dict[str, Any], source: Any) -> None:
        """Freeze what a call of a model shares with the agent."""
        copies = hands_over_copies(type(source))  # type: ignore[arg-type]  # a class can be hashed
        if rule.role == "end":
            held["messages"] = None  # those of its start
            if not copies:
                held["response"] = plain(held.get("response"))
        elif not copies:
            held["messages"] = self._conversations.share(held.get("messages"), source, _id(held.get("agent_id")))
            held["tools"] = self._conversations.definitions(id(source), held.get("tools"))
        elif type(held.get("messages")) is list:
            self._held_messages += len(held["messages"])

    def _row(
        self,
        rule: Rule,
        source: Any,
        fields: dict[str, Any],
        sequence: int,
        at: int,
        given_start: bool,
        parent: str | None,
        thread: int,
        task: weakref.ref[asyncio.Task[Any]] | None,
    ) -> Row:
        row = Row(rule, fields.get("type") or "", sequence, at)
        row.event_id = str(_id(fields.get("event_id")))
        row.parent_id = _id(fields.get("parent_event_id")) or parent
        row.start_id = _id(fields.get("started_event_id"))
        row.given_start = given_start
        row.source = id(source)
        row.thread = thread
        row.task = task
        row.hidden = rule.kind in _FLOWS and is_infrastructure(source)
        self._sources.setdefault(row.source, source)
        return row

    def _read(self, row: Row, fields: dict[str, Any]) -> None:
        """Read what an event says."""
        rule, source = row.rule, self._sources[row.source]
        if not row.hidden:
            row.fields = rule.read(fields, source)
        if rule.kind is not None:
            found = identify(rule.kind, fields, source)
            found = {name: self._known_ids.setdefault(value, value) for name, value in found.items()}
            row.identifiers = self._known_identifiers.setdefault(tuple(found.items()), found)
        if rule.kind == "llm" and rule.role == "begin":
            messages, tools = fields.get("messages"), fields.get("tools")
            if type(messages) is not Messages:
                messages = self._conversations.share(messages, source, _id(fields.get("agent_id")))
                tools = self._conversations.definitions(row.source, tools)
            row.fields["messages"], row.fields["tool_definitions"] = messages, tools

    @property
    def rows(self) -> list[Row]:
        """The events so far."""
        self._read_taken()
        return self._rows

    def _read_taken(self) -> None:
        """Make rows of the events that were taken, in the order in which they were."""
        with self._lock:
            self._held_messages = 0
            while self._taken:
                taken = self._taken.popleft()
                row = taken if isinstance(taken, Row) else self._row(*taken)
                try:
                    if not isinstance(taken, Row):
                        self._read(row, taken[2])
                except Exception as error:  # noqa: BLE001 - the test fails with it where it ends
                    if self.error is None:
                        self.error = error
                self._add(row)

    def _add(self, row: Row) -> None:
        self._rows.append(row)
        if row.rule.role == "begin" and not row.replayed:
            self._starts[row.event_id] = self._open[row.event_id] = row
        elif row.rule.role == "end":
            started = self._ended_by(row.rule, row.start_id, row.source)
            if started is not None:
                del self._open[started.event_id]
                if self._waiting:
                    self._changed.notify_all()

    def read_rows(self) -> list[Row]:
        """The rows in the order in which they were emitted."""
        return sorted(self.rows, key=lambda row: row.sequence)

    def _count_chunk(self, call_id: str, at: int) -> None:
        with self._lock:
            self.chunk_events += 1
            chunks = self.chunks.get(call_id)
            if chunks is None:
                chunks = self.chunks[call_id] = Chunks(at)
            chunks.count += 1

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

    def _top(self, row: Row) -> Row:
        """The run that a span belongs to; a background operation is a run of its own."""
        while row.rule.kind != BACKGROUND or row.event_id not in self._open:
            above = self._above(row)
            if above is None:
                return row
            row = above
        return row

    def _above(self, row: Row) -> Row | None:
        """The start of the span around one; a user's events may be each other's parents, so only an earlier one."""
        above = self._starts.get(row.parent_id or "")
        return above if above is not None and above.sequence < row.sequence else None

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
        self._read_taken()
        self._rows.clear()
        self._known_ids.clear()
        self._known_identifiers.clear()
        self._conversations.clear()
        if not self._open:
            self._over = self._over.union(self._starts)
            self._starts.clear()
        self._sources = {row.source: self._sources[row.source] for row in self._open.values()}

    def settle(self, seconds: float, *, only: str | None = None, besides: set[str] | None = None) -> None:
        """Wait, at most ``seconds``, for what still runs in other threads: spans of one kind, or any.

        ``besides`` takes the ids of those that were waited for in vain, so that nobody waits for them again.
        """
        deadline = time.monotonic() + seconds
        given_up = set() if besides is None else besides
        with self._changed:
            self._waiting += 1
            while waited := self._running_elsewhere(only, given_up):
                left = deadline - time.monotonic()
                if left <= 0:
                    given_up.update(waited)
                    break
                # An end wakes us; a thread that dies without one is only seen by looking.
                self._changed.wait(min(left, 0.05))
            self._waiting -= 1

    def _running_elsewhere(self, only: str | None, besides: set[str]) -> list[str]:
        self._read_taken()
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
        self._read_taken()
        return bool(self._open)

    def begun(self, event_id: Any) -> bool:
        """Whether the event of this id began a span of this record."""
        self._read_taken()
        return type(event_id) is str and event_id in self._starts

    def lineage(self, event_id: str | None) -> list[Row]:
        """The starts of the scope that an event began and of all around it, from the inside out."""
        found = []
        with self._lock:
            self._read_taken()
            row = self._starts.get(event_id or "")
            while row is not None:
                found.append(row)
                row = self._above(row)
        return found

    def claims(self, rule: Rule, fields: dict[str, Any], source: Any) -> bool:
        """Whether an event that comes after the test goes on with something of it.

        A scope that a run left behind in somebody's context is none: the run is over.
        """
        with self._lock:
            self._read_taken()
            if rule.role == "end":
                row = self._ended_by(rule, _id(fields.get("started_event_id")), id(source))
                return row is not None and self._may_go_on(row)
            if rule.role == "chunk":
                return str(_id(fields.get("call_id"))) in self.chunks
            parent_id = _id(fields.get("parent_event_id")) or ""
            parent = self._starts.get(parent_id)
            if rule.kind == BACKGROUND:
                return parent is not None or parent_id in self._over
            return parent is not None and self._may_go_on(parent)


def is_infrastructure(source: Any) -> bool:
    """Whether a flow is crewAI's own machinery: the agent executor, or encoding and recall of memories."""
    return type(source).__module__.startswith("crewai.") and own(source, "suppress_flow_events") is True


def _running_task() -> weakref.ref[asyncio.Task[Any]] | None:
    if _get_running_loop() is None:
        return None
    task = asyncio.current_task()
    return None if task is None else weakref.ref(task)


def _id(value: Any) -> str | None:
    return value if value is None or type(value) is str else str(plain(value))

"""The hook on crewAI's event bus.

It sits on the class, below handlers: tests clear those, ``scoped_handlers()`` removes them, and they run in a pool in
any order. Private names touched: ``CrewAIEventsBus.emit``, ``aemit`` and ``replay`` of ``crewai.events.event_bus``.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from functools import wraps
from itertools import count
from time import perf_counter_ns
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.capture.mapping import Rule, rule_of
from pytest_crewai_trace.capture.recorder import BACKGROUND, Recorder
from pytest_crewai_trace.imports import when_imported

if TYPE_CHECKING:
    from pytest_crewai_trace.capture.row import Row

BUS_MODULE = "crewai.events.event_bus"
_CONTEXT_MODULE = "crewai.events.event_context"
_METHODS = ("emit", "aemit", "replay")
_KEPT_RECORDS = 8
_MOST_SCOPES = 10_000  # open in one context; crewAI itself stops at 100, unless told otherwise


class Recording:
    """A session's recording: the record of the test that runs now, and the last ones, for events that come late."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.current: Recorder | None = None
        self._earlier: deque[Recorder] = deque(maxlen=_KEPT_RECORDS)
        self.alone: Recorder | None = None  # the current one, if none of those had anything open when it began
        self.sequence = count()
        self.process = os.getpid()
        self.strays = mmap.mmap(-1, 1)  # shared with forked children; 1: crewAI emitted events in one of them
        self._outer: Recording | None = None

    def start(self) -> None:
        """Hook the bus, now or when crewAI is imported. Does not import it."""
        global _running
        self._outer, _running = _running, self
        when_imported(BUS_MODULE, _hook)

    def stop(self) -> None:
        """Take the hook away, unless an outer session (pytest inside pytest) needs it."""
        global _running  # noqa: PLW0603
        _running = self._outer
        if _running is None:
            _unhook()

    def begin(self) -> Recorder:
        """A new record, which takes the events from now on."""
        recorder = Recorder(began=perf_counter_ns(), began_at=datetime.now(timezone.utc))
        _clear_scope()
        self._doubt_replaced(recorder)
        self.strays[0] = 0
        self.process = os.getpid()
        self.current = recorder
        self.alone = None if any(earlier.has_open for earlier in self._earlier) else recorder
        return recorder

    def end(self, recorder: Recorder) -> None:
        """Close a record. Later events of what it holds still go to it."""
        self.check(recorder)
        recorder.closed = True
        if recorder.rows:  # else there is nothing that an event could go on with
            self._earlier.append(recorder)
        if self.current is recorder:
            self.current = self.alone = None

    def settle(self, recorder: Recorder, seconds: float) -> None:
        """Wait, at most ``seconds`` each, for what a test started in other threads and for crewAI's own handlers.

        Those print: a panel that comes late lands among pytest's dots.
        """
        recorder.settle(seconds)
        flush = getattr(getattr(sys.modules.get(BUS_MODULE), "crewai_event_bus", None), "flush", None)
        if flush is not None and recorder.rows:
            flush(seconds)

    def who(self) -> tuple[str | None, str | None]:
        """The role of the agent and the name of the task that run in this context, where they are known."""
        agent = task = None
        for row in self._lineage():
            kind, fields = row.rule.kind, row.fields
            if kind in ("crew", "flow", "method") and not row.hidden:
                break
            agent = agent or fields.get("name" if kind == "agent" else "agent_role")
            task = task or fields.get("name" if kind == "task" else "task_name")
        return agent, task

    def in_asynchronous_task(self) -> bool:
        """Whether this context is inside a task that crewAI runs in a thread of its own."""
        return any(row.fields.get("asynchronous") is True for row in self._lineage())

    def _lineage(self) -> list[Row]:
        return [] if self.current is None else self.current.lineage(_current_scope())

    def check(self, recorder: Recorder) -> None:
        """Look for what may have kept events from a record."""
        self._doubt_replaced(recorder)
        if self.strays[0]:
            recorder.doubt("crewAI ran in a forked child process, whose events do not come back")

    def _doubt_replaced(self, recorder: Recorder) -> None:
        """A class whose method was patched, or an instance whose method is a mock, keeps events from us."""
        module = sys.modules.get(BUS_MODULE)
        bus_class = getattr(module, "CrewAIEventsBus", None)
        for name in _METHODS if bus_class is not None else ():
            hooked = vars(bus_class).get(name)
            if hooked is not None and not isinstance(hooked, _Hook):
                recorder.doubt(f"CrewAIEventsBus.{name} was replaced, so events went past the recorder")
            elif isinstance(hooked, _Hook) and hooked.is_bypassed(getattr(module, "crewai_event_bus", None)):
                recorder.doubt(replaced(name))

    def owner(self, rule: Rule, event: Any, source: Any) -> Recorder | None:
        """The record that an event belongs to: that which holds its start or its parent, else the running test's."""
        fields = event.__dict__
        current = self.current
        if current is not None and current.begun(fields.get("started_event_id") or fields.get("parent_event_id")):
            return current
        candidates = [*self._earlier] if current is None else [*self._earlier, current]
        return next((one for one in reversed(candidates) if one.claims(rule, fields, source)), current)


_running: Recording | None = None


def replaced(name: str) -> str:
    return f"crewai_event_bus.{name} was replaced (by a mock?), so events went past the recorder"


class _Hook:
    """A method of the bus class that is watched, also for somebody who puts a mock over it on the instance.

    A descriptor of our own because every event passes here: that of wrapt takes 10 us a call.
    """

    __slots__ = ("name", "original", "watched")

    def __init__(self, name: str, original: FunctionType, watched: FunctionType) -> None:
        self.name = name
        self.original = original
        self.watched = watched

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self.watched
        over = instance.__dict__.get(self.name)
        return MethodType(self.watched, instance) if over is None else over

    def __set__(self, instance: Any, value: Any) -> None:
        if self._is_own(value):  # somebody puts back what they took
            vars(instance).pop(self.name, None)
            return
        vars(instance)[self.name] = value
        recorder = None if _running is None else _running.current
        if recorder is not None and self.is_bypassed(instance):
            recorder.doubt(replaced(self.name))

    def _is_own(self, value: Any) -> bool:
        return getattr(value, "__func__", None) in (self.watched, self.original)

    def is_bypassed(self, instance: Any) -> bool:
        """Whether the instance has a method of its own, and it is no spy that calls ours."""
        over = getattr(instance, "__dict__", {}).get(self.name)
        return over is not None and not self._is_own(getattr(over, "__dict__", {}).get("_mock_wraps"))

    def __delete__(self, instance: Any) -> None:
        try:
            del vars(instance)[self.name]
        except KeyError:
            raise AttributeError(self.name) from None


def _hook(module: Any) -> None:
    if _running is None:
        return
    bus_class = getattr(module, "CrewAIEventsBus", None)
    for name, watch in (("emit", _watch_emit), ("aemit", _watch_aemit), ("replay", _watch_replay)):
        method = vars(bus_class).get(name) if bus_class is not None else None
        if method is None:
            if name == "emit":  # ``replay`` came with checkpoints
                _running.warn(f"this crewAI has no {BUS_MODULE}.CrewAIEventsBus.{name}: nothing can be traced")
            continue
        if isinstance(method, FunctionType):  # neither hooked already nor somebody's mock, which is doubted
            setattr(bus_class, name, _Hook(name, method, watch(method)))


def _unhook() -> None:
    bus_class = getattr(sys.modules.get(BUS_MODULE), "CrewAIEventsBus", None)
    for name in _METHODS if bus_class is not None else ():
        method = vars(bus_class).get(name)
        if isinstance(method, _Hook):
            setattr(bus_class, name, method.original)


def _clear_scope() -> None:
    """Forget what earlier runs left in this context: open scopes of those that raised would be new runs' parents."""
    context = sys.modules.get(_CONTEXT_MODULE)
    bus = getattr(sys.modules.get(BUS_MODULE), "crewai_event_bus", None)
    pop = getattr(context, "pop_event_scope", None)  # which crewAI 1.13 has too
    for _ in range(_MOST_SCOPES):
        if pop is None or pop() is None:
            break
    for owner, name in (
        (context, "reset_last_event_id"),
        (bus, "reset_runtime_state"),  # else a checkpoint written in one test holds the flows of earlier ones
    ):
        function = getattr(owner, name, None)
        if function is not None:
            function()


def _current_scope() -> str | None:
    """The id of the scope that is open in this context; ``aemit`` of older versions does not ask for it."""
    function = getattr(sys.modules.get(_CONTEXT_MODULE), "get_current_parent_id", None)
    return None if function is None else function()


# The hooks name crewAI's two arguments, and pass on in one go what a newer version may add: handing ``*args, **kwargs``
# through costs 1 us an event.


def _watch_emit(original: Any, *, replayed: bool = False) -> Any:
    @wraps(original)
    def emit(bus: Any, source: Any, event: Any, *more: Any, **named: Any) -> Any:
        recording = _running
        if recording is None:
            return original(bus, source, event, *more, **named)
        sequence, at = next(recording.sequence), perf_counter_ns()
        given_start = event.__dict__.get("started_event_id") is not None
        try:
            if more or named:
                return original(bus, source, event, *more, **named)
            return original(bus, source, event)
        finally:
            _record(recording, source, event, sequence, at, given_start, replayed)

    return emit


def _watch_replay(original: Any) -> Any:
    return _watch_emit(original, replayed=True)


def _watch_aemit(original: Any) -> Any:
    @wraps(original)
    async def aemit(bus: Any, source: Any, event: Any, *more: Any, **named: Any) -> Any:
        recording = _running
        if recording is None:
            return await original(bus, source, event, *more, **named)
        sequence, at = next(recording.sequence), perf_counter_ns()
        given_start = event.__dict__.get("started_event_id") is not None
        try:
            return await original(bus, source, event, *more, **named)
        finally:
            _record(recording, source, event, sequence, at, given_start, False, _current_scope())

    return aemit


def _record(
    recording: Recording,
    source: Any,
    event: Any,
    sequence: int,
    at: int,
    given_start: bool,
    replayed: bool,
    parent: str | None = None,
) -> None:
    try:
        rule = rule_of(event)
        owner = recording.alone
        if owner is None or rule.kind == BACKGROUND:  # which may begin when the run that it is of is over
            if recording.process != os.getpid():
                recording.strays[0] = 1
                return
            owner = recording.owner(rule, event, source)
        if owner is not None:
            owner.take(source, event, sequence, at, given_start, replayed, parent, rule)
            if owner.also is not None:
                owner.also(source, event)
    except Exception as error:  # noqa: BLE001 - nothing of ours may end the user's run
        if recording.current is not None and recording.current.error is None:
            recording.current.error = error


def _after_fork() -> None:
    """In a child: look at each event before it is taken, for it is of no record of this process."""
    if _running is not None:
        _running.alone = None


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_after_fork)

"""What crewAI's own tracing makes of a test's events, without a request: the spans and the events that AMP would get.

The only place, with ``capture/guard.py`` and ``capture/bus.py``, where private names of crewAI are touched:

- from 1.15.22 ``crewai.telemetry.tracing.TraceSession``, which registers its handlers on the event bus it is given:
  ours, which nobody else emits to. One session for each outermost run, as in crewAI;
- on all versions ``TraceCollectionListener`` of ``crewai.events.listeners.tracing.trace_listener``, for the events of
  the older protocol.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from pytest_crewai_trace.capture.plain import plain
from pytest_crewai_trace.installed import version_of

SPANS_SINCE = (1, 15, 22)
_SESSION = "crewai.telemetry.tracing.TraceSession"
_LISTENER = "crewai.events.listeners.tracing.trace_listener.TraceCollectionListener"
_REGISTER = re.compile(r"_register_(?!system_)\w+_event_handlers")  # system: the handlers of signals
_RUNS = frozenset({"crew_kickoff_started", "flow_started", "lite_agent_execution_started"})

_Handler = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Made:
    """What was made of a test's events.

    ``spans``: a serialised OTLP request, ``None`` where there are none. ``events``: those of the older protocol, in
    order. ``gone``: what this crewAI does not have any more. ``problem``: what went wrong with some of it.
    """

    spans: bytes | None = None
    events: tuple[dict[str, Any], ...] = ()
    gone: str | None = None
    problem: str | None = None


class NativeTracing:
    """Takes the events of one test, and hands them to crewAI's tracing in a thread of its own.

    Turning live objects into text may take its time, and is not to hold up the test.
    """

    def __init__(self, execution_uuid: str) -> None:
        self.execution_uuid = execution_uuid
        self._queue: SimpleQueue[tuple[Any, Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._spans: _Spans | None = None
        self._events: _Events | None = None
        self._gone: str | None = None
        self._problem: str | None = None
        self._closed = False
        self._unwanted = False

    def take(self, source: Any, event: Any) -> None:
        """Take one event as it was emitted. Never raises."""
        if self._closed:
            return
        self._queue.put((source, event))
        if self._thread is None:
            self._start()

    def finish(self, seconds: float) -> Made:
        """What has been made; waits at most so long for what is not done yet."""
        self._close()
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                return Made(problem=f"crewAI's tracing did not come to an end within {seconds:g} s")
        try:
            spans = None if self._spans is None else self._spans.serialised()
        except Exception as error:  # noqa: BLE001 - a crewAI or an OpenTelemetry that has changed
            return Made(gone=_gone(_SESSION, error))
        events = () if self._events is None else self._events.ordered()
        return Made(spans, events, self._gone, self._problem)

    def discard(self) -> None:
        """Nobody wants what has been made."""
        self._unwanted = True
        self._close()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._work, name="crewai-trace-publish", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # no more threads
                self._closed, self._problem = True, f"what is to be published could not be made: {error}"

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._queue.put(None)

    def _work(self) -> None:
        try:
            self._events = _Events()
        except Exception as error:  # noqa: BLE001 - a crewAI that has changed
            self._gone = _gone(_LISTENER, error)
        if crewai_version() >= SPANS_SINCE:
            try:
                self._spans = _Spans(self.execution_uuid)
            except Exception as error:  # noqa: BLE001 - a crewAI that has changed
                self._gone = _gone(_SESSION, error)
        while (taken := self._queue.get()) is not None and not self._unwanted:
            for part in (self._events, self._spans):
                if part is None:
                    continue
                try:
                    part.take(*taken)
                except Exception as error:  # noqa: BLE001 - one event's, as on crewAI's own bus
                    self._problem = self._problem or f"crewAI's tracing raised {type(error).__name__}: {error}"
            del taken  # live objects
        if self._spans is not None:
            self._spans.close()


class _Bus:
    """An event bus that only its owner emits to: crewAI's handlers are called at once, in the order of the events."""

    def __init__(self) -> None:
        self._handlers: dict[type, list[_Handler]] = {}

    def on(self, event_type: type, *_: Any, **__: Any) -> Callable[[_Handler], _Handler]:
        def register(handler: _Handler) -> _Handler:
            self._handlers.setdefault(event_type, []).append(handler)
            return handler

        return register

    def off(self, event_type: type, handler: _Handler) -> None:
        if handler in self._handlers.get(event_type, ()):
            self._handlers[event_type].remove(handler)

    def flush(self, timeout: float | None = None) -> bool:
        return True

    @property
    def listens(self) -> bool:
        return bool(self._handlers)

    def handlers(self, event: Any) -> list[_Handler]:
        return self._handlers.get(type(event), [])


class _Ready(dict[str, threading.Event]):
    """Says of everything that it has come. crewAI's handlers wait for one another, because its bus calls them in any
    order; here they are called in order, and what has not come will not come.
    """

    def get(self, key: str, default: Any = None) -> threading.Event:
        ready = threading.Event()
        ready.set()
        return ready


class _Run:
    """An outermost run with its session."""

    def __init__(self, session: Any, bus: _Bus, source: Any, event: Any) -> None:
        self.session = session
        self.bus = bus
        self.source = source
        self.root = _id(event, "event_id")
        self.open = True


class _Spans:
    """The spans of crewAI >= 1.15.22."""

    def __init__(self, execution_uuid: str) -> None:
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._execution_uuid = execution_uuid
        self._exporter = InMemorySpanExporter()
        self._runs: list[_Run] = []
        self._run_of: dict[str, _Run] = {}
        self._spare: tuple[Any, _Bus] | None = self._session()  # fails here, not at the first event

    def take(self, source: Any, event: Any) -> None:
        run = self._run(source, event)
        if run is None:
            return
        self._run_of[_id(event, "event_id")] = run
        with run.session.activate():
            for handler in run.bus.handlers(event):
                handler(source, event)
        if run.root and _id(event, "started_event_id") == run.root:
            run.open = False

    def close(self) -> None:
        """What is still open is ended as crewAI ends it."""
        sessions = [run.session for run in self._runs] + ([] if self._spare is None else [self._spare[0]])
        for session in sessions:
            session.shutdown()

    def serialised(self) -> bytes | None:
        """All spans, in one trace."""
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        spans = self._exporter.get_finished_spans()
        if not spans:
            return None
        request = encode_spans([_encodable(span) for span in spans])
        made = list(_spans_in(request))
        traces = {span.trace_id for span in made}
        for span in made:
            for each in (span, *span.links):
                if each.trace_id in traces:
                    each.trace_id = made[0].trace_id
        return bytes(request.SerializeToString(deterministic=True))

    def _run(self, source: Any, event: Any) -> _Run | None:
        """The run that an event belongs to; what begins outside of all begins one."""
        parent = _id(event, "parent_event_id")
        known = self._run_of.get(_id(event, "started_event_id")) or self._run_of.get(parent)
        if known is not None:
            return known
        last = self._runs[-1] if self._runs else None
        outermost = not parent and event.type in _RUNS and not _is_infrastructure(source)
        if last is not None and (last.open if not outermost else last.source is source and _has_turns(source)):
            return last
        return self._new_run(source, event) if str(event.type).endswith("_started") else None

    def _new_run(self, source: Any, event: Any) -> _Run:
        (session, bus), self._spare = self._spare or self._session(), None
        run = _Run(session, bus, source, event)
        self._runs.append(run)
        return run

    def _session(self) -> tuple[Any, _Bus]:
        from crewai.telemetry.tracing import TraceSession
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor

        bus: Any = _Bus()
        session = TraceSession(self._execution_uuid, processors=[SimpleSpanProcessor(self._exporter)], event_bus=bus)
        if not bus.listens:
            raise AttributeError("it registers no handlers")
        for name in ("_span_ready", "_agent_llm_ready"):
            if isinstance(getattr(session.context, name, None), dict):
                setattr(session.context, name, _Ready())
        return session, bus


class _Nothing:
    """Stands where crewAI keeps the batch that it would send: has nothing, does nothing, is nothing."""

    def __getattr__(self, name: str) -> _Nothing:
        return self

    def __call__(self, *_: Any, **__: Any) -> _Nothing:
        return self

    def __bool__(self) -> bool:
        return False


class _Events:
    """The events of the older protocol, as crewAI's listener makes them."""

    def __init__(self) -> None:
        from crewai.events.listeners.tracing.trace_listener import TraceCollectionListener

        self._made: list[Any] = []
        self._bus = _Bus()
        # Its ``__new__`` gives the one that crewAI has, and its ``__init__`` looks for a login.
        listener: Any = object.__new__(TraceCollectionListener)
        make = listener._create_trace_event

        def keep(event_type: str, source: Any, event: Any) -> None:
            self._made.append(_sendable(make(event_type, source, event)))

        for name in ("_handle_trace_event", "_handle_action_event"):
            getattr(listener, name)
            setattr(listener, name, keep)
        for name in ("_initialize_crew_batch", "_initialize_flow_batch", "batch_manager", "first_time_handler"):
            setattr(listener, name, _Nothing())
        listener.formatter = None
        for name in filter(_REGISTER.fullmatch, dir(listener)):
            getattr(listener, name)(self._bus)
        if not self._bus.listens:
            raise AttributeError("it registers no handlers")

    def take(self, source: Any, event: Any) -> None:
        for handler in self._bus.handlers(event):
            handler(source, event)

    def ordered(self) -> tuple[dict[str, Any], ...]:
        """In the order in which crewAI sends them."""
        return tuple(sorted(self._made, key=lambda event: (event["emission_sequence"] or 0, event["timestamp"])))


def _sendable(event: Any) -> dict[str, Any]:
    names = ("event_id", "timestamp", "type", "emission_sequence", "parent_event_id", "previous_event_id")
    fields = {name: plain(getattr(event, name)) for name in (*names, "triggered_by_event_id")}
    return {**fields, "event_data": plain(event.event_data)}


def crewai_version() -> tuple[int, ...]:
    """The three numbers of the installed crewAI; nothing where there is none."""
    return tuple(int(number) for number in re.findall(r"\d+", version_of("crewai") or "")[:3])


def _gone(name: str, error: Exception) -> str:
    return (
        f"crewAI {'.'.join(map(str, crewai_version()))} has no {name} that pytest-crewai-trace knows"
        f" ({type(error).__name__}: {error})"
    )


def _encodable(span: Any) -> Any:
    """A span without lone surrogates, which have no place in OTLP: an attribute that has one would be left out."""
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Status

    events = [Event(event.name, _attributes(event.attributes), event.timestamp) for event in span.events]
    status = Status(span.status.status_code, _valid(span.status.description))
    names = ("context", "parent", "resource", "links", "kind", "start_time", "end_time", "instrumentation_scope")
    same = {name: getattr(span, name) for name in names}
    return ReadableSpan(span.name, attributes=_attributes(span.attributes), events=events, status=status, **same)


def _attributes(given: Any) -> dict[str, Any]:
    return {name: _valid(value) for name, value in (given or {}).items()}


def _valid(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    return tuple(map(_valid, value)) if isinstance(value, tuple) else value


def _spans_in(request: Any) -> Iterator[Any]:
    return (span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans)


def _id(event: Any, name: str) -> str:
    return str(event.__dict__.get(name) or "")


def _has_turns(source: Any) -> bool:
    """Whether a flow is a conversation, whose turns are of one run."""
    return bool(getattr(source, "_is_conversational_enabled", bool)())


def _is_infrastructure(source: Any) -> bool:
    return bool(getattr(source, "suppress_flow_events", False)) and not _has_turns(source)

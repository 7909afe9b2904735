"""What people would trace crewAI with instead, each as a context that is entered around a run.

What is given hands out what has arrived, once all of it has. What is not installed is not there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import Any

from crewai.events.event_bus import CrewAIEventsBus, crewai_event_bus

Take = Callable[[], Sequence[Any]]
Peer = Callable[[], AbstractContextManager[Take]]


@contextmanager
def wrapped(keep: Callable[[Any, Any], None]) -> Iterator[None]:
    """A plain wrapper on the bus class."""
    original = CrewAIEventsBus.emit

    def emit(bus: CrewAIEventsBus, source: Any, event: Any) -> Any:
        try:
            return original(bus, source, event)
        finally:
            keep(source, event)

    CrewAIEventsBus.emit = emit  # type: ignore[method-assign]
    try:
        yield
    finally:
        CrewAIEventsBus.emit = original  # type: ignore[method-assign]


def frozen(value: Any) -> Any:
    if type(value) is list:
        return [dict(item) if type(item) is dict else item for item in value]
    return dict(value) if type(value) is dict else value


# What one span says, without the live objects that an event holds.
SLIM = (
    *("type", "event_id", "parent_event_id", "started_event_id", "agent_role", "task_name", "call_id"),
    *("model", "messages", "response", "tool_name", "tool_args", "output", "error", "usage"),
)


def slim_span(event: Any) -> dict[str, Any]:
    fields = event.__dict__
    if event.type == "llm_call_completed":  # repeats the messages of its start
        fields = {**fields, "messages": None}
    return {name: frozen(fields[name]) for name in SLIM if fields.get(name) is not None}


# What a wrapper that knows what it wants would copy.
_PAYLOAD = (
    *("type", "event_id", "parent_event_id", "started_event_id", "messages", "response"),
    *("tool_name", "tool_args", "output", "error", "usage"),
)


def payload(event: Any) -> dict[str, Any]:
    fields = event.__dict__
    return {name: frozen(fields[name]) for name in _PAYLOAD if name in fields}


def wrapper(keep: Callable[[Any], Any]) -> Peer:
    """A wrapper that keeps something of each event."""

    @contextmanager
    def peer() -> Iterator[Take]:
        kept: list[Any] = []
        with wrapped(lambda source, event: kept.append(keep(event))):
            yield lambda: kept

    return peer


@contextmanager
def handlers() -> Iterator[Take]:
    """A handler that appends, for every type of event."""
    from crewai.events.base_events import BaseEvent

    kept: list[Any] = []

    def every(cls: type[BaseEvent]) -> Iterator[type[BaseEvent]]:
        for derived in cls.__subclasses__():
            yield derived
            yield from every(derived)

    for event_type in {*every(BaseEvent)}:
        crewai_event_bus.register_handler(event_type, lambda source, event: kept.append((source, event)))

    def take() -> Sequence[Any]:
        crewai_event_bus.flush()
        return kept

    yield take


@contextmanager
def trace_session() -> Iterator[Take]:
    """crewAI's own ``TraceSession``, exporting to memory."""
    from crewai.telemetry.tracing.session import TraceSession
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    session = TraceSession(str(uuid.uuid4()), [exporter])

    def take() -> Sequence[Any]:
        crewai_event_bus.flush()
        session.flush()
        return _taken(exporter)

    with session.activate():
        yield take
    session.shutdown()


def _taken(exporter: Any) -> Sequence[Any]:
    spans: Sequence[Any] = exporter.get_finished_spans()
    exporter.clear()
    return spans


@contextmanager
def openinference() -> Iterator[Take]:
    """openinference's event listener, exporting to memory."""
    from openinference.instrumentation.crewai import CrewAIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = CrewAIInstrumentor()
    instrumentor.instrument(tracer_provider=provider, use_event_listener=True, skip_dep_check=True)

    def take() -> Sequence[Any]:
        crewai_event_bus.flush()
        return _taken(exporter)

    try:
        yield take
    finally:
        instrumentor.uninstrument()
        provider.shutdown()


@contextmanager
def legacy() -> Iterator[Take]:
    """crewAI's ``TraceCollectionListener``, which keeps events to be sent in batches; here, nothing is sent."""
    from crewai.events.listeners.tracing.trace_batch_manager import TraceBatchManager
    from crewai.events.listeners.tracing.trace_listener import TraceCollectionListener

    manager = TraceBatchManager()
    manager._initialize_backend_batch = lambda *args, **kwargs: None  # type: ignore[method-assign]
    manager.finalize_batch = lambda: None  # type: ignore[method-assign]
    manager.initialize_batch({"privacy_level": "standard"}, {"execution_type": "crew"})
    listener = object.__new__(TraceCollectionListener)
    listener.batch_manager = manager
    listener.formatter = None
    listener.memory_retrieval_in_progress = listener.memory_save_in_progress = False
    for register in (
        *("_register_flow_event_handlers", "_register_context_event_handlers", "_register_action_event_handlers"),
        *("_register_a2a_event_handlers", "_register_system_event_handlers"),
    ):
        getattr(listener, register)(crewai_event_bus)

    def take() -> Sequence[Any]:
        crewai_event_bus.flush()
        return manager.event_buffer

    yield take


TRACE_SESSION, OPENINFERENCE, LEGACY = "crewAI's TraceSession", "openinference", "crewAI's legacy listener"
APPENDING, HANDLERS = "a wrapper that appends", "handlers that append"
SLIM_SPAN, COPYING = "a wrapper that makes a slim span", "a wrapper that copies 11 fields"


def tracers() -> Mapping[str, Peer]:
    """Those that give spans or events as a product does."""
    found: dict[str, Peer] = {}
    if find_spec("crewai.telemetry.tracing") is not None:  # since 1.15.22
        found[TRACE_SESSION] = trace_session
    if find_spec("openinference") is not None:
        found[OPENINFERENCE] = openinference
    return found


def collectors() -> Mapping[str, Peer]:
    """All of them, and the floor."""
    return {
        APPENDING: wrapper(lambda event: event),
        HANDLERS: handlers,
        SLIM_SPAN: wrapper(slim_span),
        COPYING: wrapper(payload),
        **tracers(),
        LEGACY: legacy,
    }

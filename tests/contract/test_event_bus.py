"""The user's own events and handlers, and tests that take crewAI's event bus apart (S09)."""

from __future__ import annotations

import threading
from typing import Any
from unittest.mock import MagicMock, patch

import pytest
from crewai.events import crewai_event_bus
from crewai.events.base_events import BaseEvent
from crewai.events.types.flow_events import FlowStartedEvent, MethodExecutionFinishedEvent
from crewai.flow.flow import Flow, start

from pytest_crewai_trace import TraceIncompleteError
from tests.support.crews import one_agent_crew, tree
from tests.support.llm import Chunks, ScriptedLLM


class Order(BaseEvent):
    """An event of the user's: its type can be anything."""

    type: str = "order placed"
    amount: int = 0
    basket: Any = None


class Shop(Flow):
    @start()
    def sell(self):
        crewai_event_bus.emit(self, Order(amount=3))
        return "sold"


SHOP = tree("""
    flow Shop
      method sell -> 'sold'
    """)


# The user's own events


def test_the_users_own_event_is_a_span_event(crewai_trace):
    Shop().kickoff()

    assert crewai_trace.render() == SHOP
    (event,) = crewai_trace.methods.one().events
    assert (event.name, event.attributes["amount"]) == ("order placed", 3)


def test_an_event_whose_id_is_no_uuid(crewai_trace):
    class Odd(Flow):
        @start()
        def sell(self):
            for _ in range(2):
                crewai_event_bus.emit(self, Order(event_id="again", amount=1))

    Odd().kickoff()

    assert [event.name for event in crewai_trace.methods.one().events] == ["order placed", "order placed"]


@pytest.mark.parametrize("name", ["flow_started", "method_execution_finished", "llm_call_started", ""])
def test_an_event_that_borrows_a_type_of_crewais(crewai_trace, name):
    """It is none of crewAI's classes, so it neither begins nor ends a span."""

    class Odd(Flow):
        @start()
        def sell(self):
            crewai_event_bus.emit(self, Order(type=name, amount=1))
            return "sold"

    Odd().kickoff()

    assert crewai_trace.render() == tree("""
        flow Odd
          method sell -> 'sold'
        """)
    assert crewai_trace.complete


def test_an_event_outside_of_everything(crewai_trace):
    crewai_event_bus.emit(None, Order(amount=5))

    assert crewai_trace.empty
    assert [(event.name, event.attributes["amount"]) for event in crewai_trace.events] == [("order placed", 5)]


def test_s59_an_event_with_a_hostile_payload(crewai_trace):
    class Hostile:
        def __repr__(self):
            raise RuntimeError("no")

        __str__ = __repr__

        def __eq__(self, other):
            raise RuntimeError("no")

        __hash__ = None

        def __deepcopy__(self, memo):
            raise RuntimeError("no")

    loop: list[Any] = []
    loop.append(loop)
    for basket in (Hostile(), loop, threading.Lock(), b"\xff", float("nan"), {1: {2: Hostile()}}):
        crewai_event_bus.emit(None, Order(basket=basket))

    assert len(crewai_trace.events) == 6
    assert crewai_trace.complete
    crewai_trace.to_json()


def test_an_asynchronous_emit(crewai_trace):
    import asyncio

    class Later(Flow):
        @start()
        async def sell(self):
            await crewai_event_bus.aemit(self, Order(amount=4))
            return "sold"

    asyncio.run(Later().kickoff_async())

    (event,) = crewai_trace.methods.one().events
    assert event.attributes["amount"] == 4


def test_every_event_is_accounted_for(crewai_trace):
    class Busy(Flow):
        @start()
        def sell(self):
            crewai_event_bus.emit(self, Order(amount=1))
            return one_agent_crew(ScriptedLLM(Chunks(("a", "b")), native=True)).kickoff(inputs={"topic": "AI"}).raw

    with patch.object(crewai_event_bus, "emit", wraps=crewai_event_bus.emit) as spy:
        Busy().kickoff()

    counts = crewai_trace.event_counts
    assert counts.total == spy.call_count
    assert counts.chunks == 2


# The user's own handlers


def test_s09_the_users_handlers_are_called(crewai_trace):
    seen = []
    with crewai_event_bus.scoped_handlers():

        @crewai_event_bus.on(FlowStartedEvent)
        def flow_started(source, event):
            seen.append(event.flow_name)

        @crewai_event_bus.on(MethodExecutionFinishedEvent)
        def method_finished(source, event):
            seen.append(event.result)

        @crewai_event_bus.on(Order)
        def order(source, event):
            seen.append(event.amount)

        Shop().kickoff()
        crewai_event_bus.flush()

    assert sorted(map(str, seen)) == ["3", "Shop", "sold"]
    assert crewai_trace.render() == SHOP


def test_s09_scoped_handlers(crewai_trace):
    with crewai_event_bus.scoped_handlers():
        Shop().kickoff()

    assert crewai_trace.render() == SHOP
    assert crewai_trace.complete


def test_s09_cleared_handlers(crewai_trace, monkeypatch):
    monkeypatch.setattr(crewai_event_bus, "_sync_handlers", {})
    monkeypatch.setattr(crewai_event_bus, "_async_handlers", {})

    Shop().kickoff()

    assert crewai_trace.render() == SHOP
    assert crewai_trace.complete


def test_s09_a_handler_that_raises(crewai_trace):
    with crewai_event_bus.scoped_handlers():

        @crewai_event_bus.on(FlowStartedEvent)
        def flow_started(source, event):
            raise RuntimeError("a bug of the user's")

        Shop().kickoff()
        crewai_event_bus.flush()

    assert crewai_trace.render() == SHOP
    assert crewai_trace.complete


# A bus that is not there


def test_s09_an_emit_that_is_mocked_makes_the_trace_incomplete(crewai_trace):
    crewai_event_bus.emit = MagicMock(return_value=None)
    try:
        Shop().kickoff()
        assert not crewai_trace.complete
    finally:
        del crewai_event_bus.emit

    assert not crewai_trace.complete
    with pytest.raises(TraceIncompleteError, match="emit was replaced"):
        _ = crewai_trace.flows


def test_s09_an_emit_that_is_patched_for_a_while(crewai_trace):
    with patch.object(crewai_event_bus, "emit", return_value=None):
        Shop().kickoff()
    Shop().kickoff()

    with pytest.raises(TraceIncompleteError, match="emit was replaced"):
        _ = crewai_trace.flows


def test_s09_an_emit_that_a_spy_wraps_is_seen(crewai_trace):
    with patch.object(crewai_event_bus, "emit", wraps=crewai_event_bus.emit) as spy:
        Shop().kickoff()

    assert spy.call_count
    assert crewai_trace.render() == SHOP


def test_s09_a_bus_that_is_shut_down(crewai_trace, monkeypatch):
    """It calls no handler any more, but flows go on and so does the trace."""
    # Both are put back; a bus that has not begun its threads has none to stop.
    monkeypatch.setattr(crewai_event_bus, "_executor_initialized", False)
    monkeypatch.setattr(crewai_event_bus, "_shutting_down", False)
    crewai_event_bus.shutdown()

    Shop().kickoff()

    assert crewai_trace.render() == SHOP
    assert crewai_trace.complete

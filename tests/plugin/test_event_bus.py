"""S09: tests that take crewAI's event bus apart, and what is left of it for the next test."""

from __future__ import annotations

import pytest

BUS = """
from unittest.mock import MagicMock, patch
from crewai.events import crewai_event_bus
from crewai.events.event_bus import CrewAIEventsBus
"""
NEXT = """
def test_next(crewai_trace):
    run()
    assert crewai_trace.crews.one()
"""
# How a test replaces ``emit``, and how it puts it back.
REPLACED = {
    "mock.patch.object": "with patch.object(crewai_event_bus, 'emit'): run()",
    "monkeypatch": "monkeypatch.setattr(crewai_event_bus, 'emit', MagicMock()); run()",
    "monkeypatch of the class": "monkeypatch.setattr(CrewAIEventsBus, 'emit', MagicMock()); run()",
    "monkeypatch by name": "monkeypatch.setattr('crewai.events.event_bus.crewai_event_bus.emit', MagicMock()); run()",
    "by hand": """emit = crewai_event_bus.emit
                crewai_event_bus.emit = MagicMock()
                run()
                crewai_event_bus.emit = emit""",
}


@pytest.fixture(autouse=True)
def bus_is_whole(crewai_imported):
    """Whatever an inner run left behind stays there."""
    from crewai.events import crewai_event_bus

    before = dict(vars(crewai_event_bus))
    yield
    for name in ("emit", "aemit"):
        vars(crewai_event_bus).pop(name, None)
    vars(crewai_event_bus).update(before)


@pytest.mark.parametrize("how", REPLACED)
def test_s09_an_emit_that_is_replaced_is_told_of_in_its_own_test_and_in_no_other(crews, how):
    crews.tests(f"""
        {BUS.replace(chr(10), chr(10) + " " * 8)}

        def test_one(crewai_trace, monkeypatch):
                {REPLACED[how]}

        {NEXT.replace(chr(10), chr(10) + " " * 8)}
        """)

    crews.run().assert_outcomes(passed=2)

    assert "was replaced" in crews.traces["test_one"].incomplete[0]
    assert crews.traces["test_next"].incomplete == ()


def test_s09_an_emit_that_nobody_puts_back(crews):
    crews.tests(f"""
        {BUS.replace(chr(10), chr(10) + " " * 8)}

        def test_one():
            crewai_event_bus.emit = MagicMock()
            run()

        def test_next():
            run()
        """)

    crews.run("--crewai-trace").assert_outcomes(passed=2)

    assert all("was replaced" in trace.incomplete[0] for trace in crews.traces.values())
    assert all(trace.empty for trace in crews.traces.values())


def test_s09_handlers_of_one_test_are_not_our_business(crews):
    """Cleared, scoped, shut down: both tests are traced."""
    crews.tests(f"""
        {BUS.replace(chr(10), chr(10) + " " * 8)}

        def test_cleared(monkeypatch):
            monkeypatch.setattr(crewai_event_bus, "_sync_handlers", {{}})
            run()

        def test_scoped():
            with crewai_event_bus.scoped_handlers():
                run()

        def test_next(): run()
        """)

    crews.run("--crewai-trace").assert_outcomes(passed=3)

    assert [trace.crews.names for trace in crews.traces.values()] == [["crew"]] * 3
    assert all(trace.complete for trace in crews.traces.values())

"""What a test of a flow asks its trace: which methods ran, which way the router went, what failed."""

import pytest
from syrupy.assertion import SnapshotAssertion

from examples.example_flow.flow import ExampleFlow, RoutedExampleFlow
from pytest_crewai_trace import Trace

STOPS_EARLY = """
flow ExampleFlow
  method first_method -> 'continue'
""".strip()
RUNS_THROUGH = """
flow RoutedExampleFlow
  method first_method -> 'continue'
  method second_method -> 'finish'
  method final_method -> 'completed'
""".strip()


def test_a_word_that_is_only_returned_is_no_route(crewai_trace: Trace) -> None:
    """The flow ends without an error and without its second method: the trace shows what the result hides."""
    assert ExampleFlow().kickoff() == "continue"

    assert crewai_trace.methods.names == ["first_method"]
    assert crewai_trace.render() == STOPS_EARLY


def test_the_word_of_a_router_is_a_route(crewai_trace: Trace) -> None:
    flow = RoutedExampleFlow()

    assert flow.kickoff() == "completed"

    assert flow.state.counter == 3
    assert crewai_trace.methods.names == ["first_method", "second_method", "final_method"]
    assert crewai_trace.method("second_method").result == "finish"
    assert crewai_trace.render() == RUNS_THROUGH


def test_the_router_stops_a_counter_that_is_too_high(crewai_trace: Trace) -> None:
    with pytest.raises(RuntimeError, match="12 is too much"):
        RoutedExampleFlow().kickoff(inputs={"counter": 10})

    assert crewai_trace.flow("RoutedExampleFlow").inputs == {"counter": 10}
    assert crewai_trace.methods.names == ["first_method", "second_method", "stop_method"]
    assert crewai_trace.methods.failed.names == ["stop_method"]
    assert crewai_trace.method("stop_method").error.type == "RuntimeError"
    assert {error.message for error in crewai_trace.errors} == {"12 is too much"}


def test_a_flow_without_agents_calls_no_model(crewai_trace: Trace) -> None:
    RoutedExampleFlow().kickoff()

    assert not crewai_trace.llm_calls
    assert crewai_trace.usage.requests == 0


def test_the_route_has_not_changed(crewai_trace: Trace, snapshot: SnapshotAssertion) -> None:
    RoutedExampleFlow().kickoff()

    assert crewai_trace == snapshot

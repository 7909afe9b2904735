"""What the trace shows of flows: real crewAI, the whole tree."""

from __future__ import annotations

import asyncio
import threading

import pytest
from crewai.flow.flow import Flow, listen, start
from crewai.flow.persistence import SQLiteFlowPersistence, persist
from pydantic import BaseModel

from tests.support.crews import tree


class Greeting(Flow):
    @start()
    def greet(self):
        self.state["greeted"] = True
        return "hello"

    @listen(greet)
    def shout(self, text):
        return f"{text}!"


GREETING = tree("""
    flow Greeting
      method greet -> 'hello'
      method shout -> 'hello!'
    """)


class Count(BaseModel):
    counter: int = 0
    message: str = ""


class Example(Flow[Count]):
    """The flow of crewAI's page on tracing: it listens for words that no router says."""

    def __init__(self):
        super().__init__(tracing=True)

    @start()
    def first_method(self):
        self.state.counter = 1
        self.state.message = "started"
        return "continue"

    @listen("continue")
    def second_method(self):
        self.state.counter += 1
        return "finish"

    @listen("finish")
    def final_method(self):
        self.state.counter += 1


def in_a_loop(call):
    """Run ``call`` where an event loop is running already, as in a notebook."""

    async def main():
        return call()

    return asyncio.run(main())


def streamed(flow):
    flow.stream = True
    output = flow.kickoff()
    for _ in output:
        pass
    return output.result


def streamed_async(flow):
    async def main():
        flow.stream = True
        output = await flow.kickoff_async()
        async for _ in output:
            pass
        return output.result

    return asyncio.run(main())


def in_a_thread(flow):
    results = []
    thread = threading.Thread(target=lambda: results.append(flow.kickoff()))
    thread.start()
    thread.join()
    return results[0]


WAYS = {
    "kickoff": lambda flow: flow.kickoff(),
    "kickoff_async": lambda flow: asyncio.run(flow.kickoff_async()),
    "akickoff": lambda flow: asyncio.run(flow.akickoff()),
    "kickoff_in_a_loop": lambda flow: in_a_loop(flow.kickoff),
    "stream": streamed,
    "stream_async": streamed_async,
    "raw_thread": in_a_thread,
}


# Ways to start


@pytest.mark.parametrize("way", list(WAYS))
def test_s10_every_way_to_start_gives_the_same_tree(crewai_trace, way):
    assert WAYS[way](Greeting()) == "hello!"

    assert crewai_trace.render() == GREETING
    assert (crewai_trace.flows.one().status, crewai_trace.output) == ("ok", "hello!")


def test_inputs_params_results_and_state(crewai_trace):
    Greeting().kickoff(inputs={"name": "Ada"})

    flow = crewai_trace.flows.one()
    greet, shout = crewai_trace.methods
    assert flow.inputs == {"name": "Ada"}
    assert flow.output == "hello!"
    assert {key: value for key, value in flow.state.items() if key != "id"} == {"name": "Ada", "greeted": True}
    assert (greet.params, greet.result) == ({}, "hello")
    assert (list(shout.params.values()), shout.result) == (["hello"], "hello!")
    assert greet.parent == flow


def test_structured_state_is_that_of_each_moment(crewai_trace):
    class Twice(Flow[Count]):
        @start()
        def one(self):
            self.state.counter = 1

        @listen(one)
        def two(self):
            self.state.counter = 2

    Twice().kickoff()

    assert [method.state["counter"] for method in crewai_trace.methods] == [1, 2]
    assert crewai_trace.flows.one().state["counter"] == 2


def test_the_flow_of_the_tracing_page(crewai_trace):
    """Only a router's result is a label, so the second method is never reached: the trace shows it."""
    Example().kickoff()

    assert crewai_trace.render() == tree("""
        flow Example
          method first_method -> 'continue'
        """)


def test_a_flow_with_a_name(crewai_trace):
    class Named(Flow):
        name = "my flow"

        @start()
        def begin(self):
            return 1

    Named().kickoff()

    assert crewai_trace.render() == tree("""
        flow my flow
          method begin -> 1
        """)


def test_the_same_flow_twice(crewai_trace):
    Greeting().kickoff()
    Greeting().kickoff()

    assert crewai_trace.render() == f"{GREETING}\n{GREETING}"


def test_a_flow_that_never_runs_is_no_flow(crewai_trace):
    Greeting()

    assert crewai_trace.empty


def test_a_plot_is_no_run(crewai_trace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Greeting().plot(str(tmp_path / "flow"), show=False)

    assert crewai_trace.empty


# Persistence


def test_a_persisted_flow_that_is_resumed_by_its_id(crewai_trace, tmp_path):
    @persist(SQLiteFlowPersistence(str(tmp_path / "flows.db")))
    class Counter(Flow[Count]):
        @start()
        def one(self):
            self.state.counter += 1
            return self.state.counter

        @listen(one)
        def ten(self):
            self.state.counter += 10
            return self.state.counter

    first = Counter()
    first.kickoff()
    Counter().kickoff(inputs={"id": first.state.id})

    assert crewai_trace.render() == tree("""
        flow Counter
          method one -> 1
          method ten -> 11
        flow Counter
          method one -> 12
          method ten -> 22
        """)
    assert crewai_trace.flows.last.inputs == {"id": first.state.id}

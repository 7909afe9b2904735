"""What the trace shows of flows: real crewAI, the whole tree."""

from __future__ import annotations

import asyncio
import threading

import pytest
from crewai.flow.flow import Flow, and_, listen, or_, router, start
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


# Routes, joins, parallel methods


@pytest.mark.parametrize(
    ("mark", "last"),
    [(8, "method praise -> 'well done'"), (3, "method console -> 'next time'")],
    ids=["pass", "fail"],
)
def test_a_router(crewai_trace, mark, last):
    class Exam(Flow):
        @start()
        def sit(self):
            return mark

        @router(sit)
        def grade(self, result):
            return "passed" if result > 5 else "failed"

        @listen("passed")
        def praise(self):
            return "well done"

        @listen("failed")
        def console(self):
            return "next time"

    Exam().kickoff()

    assert crewai_trace.render() == tree(f"""
        flow Exam
          method sit -> {mark}
          method grade -> '{"passed" if mark > 5 else "failed"}'
          {last}
        """)


def test_a_router_that_goes_back(crewai_trace):
    class Retry(Flow):
        @start("again")
        def work(self):
            self.state["tries"] = self.state.get("tries", 0) + 1
            return self.state["tries"]

        @router(work)
        def check(self):
            return "again" if self.state["tries"] < 3 else "enough"

        @listen("enough")
        def stop(self):
            return "done"

    Retry().kickoff()

    assert crewai_trace.render() == tree("""
        flow Retry
          method work -> 1
          method check -> 'again'
          method work -> 2
          method check -> 'again'
          method work -> 3
          method check -> 'enough'
          method stop -> 'done'
        """)


def test_parallel_starts_with_and_or(crewai_trace):
    either_ran = threading.Event()

    class Join(Flow):
        @start()
        async def fast(self):
            return "a"

        @start()
        def slow(self):
            assert either_ran.wait(30)
            return "b"

        @listen(or_(fast, slow))
        def either(self, value):
            either_ran.set()
            return f"first {value}"

        @listen(and_(fast, slow))
        def both(self):
            return "both"

    Join().kickoff()

    assert crewai_trace.render() == tree("""
        flow Join
          method fast -> 'a'
          method slow -> 'b'
          method both -> 'both'
          method either -> 'first a'
        """)


@pytest.mark.parametrize("first", ["a", "b"])
def test_parallel_methods_render_the_same_whichever_starts_first(crewai_trace, first):
    together = threading.Barrier(2, timeout=30)

    class AFirst(Flow):
        name = "Parallel"

        @start()
        def begin(self):
            return "go"

        @listen(begin)
        def a(self):
            return f"a {together.wait() >= 0}"

        @listen(begin)
        def b(self):
            return f"b {together.wait() >= 0}"

    class BFirst(Flow):
        name = "Parallel"

        @start()
        def begin(self):
            return "go"

        @listen(begin)
        def b(self):
            return f"b {together.wait() >= 0}"

        @listen(begin)
        def a(self):
            return f"a {together.wait() >= 0}"

    (AFirst if first == "a" else BFirst)().kickoff()

    assert crewai_trace.render() == tree("""
        flow Parallel
          method begin -> 'go'
          method a -> 'a True'
          method b -> 'b True'
        """)


def test_parallel_listeners_sync_and_async(crewai_trace):
    done = threading.Event()

    class Fan(Flow):
        @start()
        def begin(self):
            return "go"

        @listen(begin)
        async def first(self, word):
            assert await asyncio.to_thread(done.wait, 30)
            return f"{word} 1"

        @listen(begin)
        def second(self, word):
            done.set()
            return f"{word} 2"

        @listen(and_(first, second))
        def end(self):
            return "end"

    Fan().kickoff()

    assert crewai_trace.render() == tree("""
        flow Fan
          method begin -> 'go'
          method first -> 'go 1'
          method second -> 'go 2'
          method end -> 'end'
        """)


def test_s11_the_loser_of_a_race_is_open(crewai_trace):
    """crewAI runs listeners that feed one ``or_`` as a race and cancels those that lose."""

    class Race(Flow):
        @start()
        def begin(self):
            return "go"

        @listen(begin)
        async def hare(self):
            return "hare"

        @listen(begin)
        async def tortoise(self):
            await asyncio.Event().wait()

        @listen(or_(hare, tortoise))
        def finish(self, winner):
            return winner

    Race().kickoff()

    assert crewai_trace.render() == tree("""
        flow Race
          method begin -> 'go'
          method hare -> 'hare'
          method tortoise (open)
          method finish -> 'hare'
        """)


# Failures


def test_s11_a_method_that_raises(crewai_trace):
    class Fails(Flow):
        @start()
        def first(self):
            return "ok"

        @listen(first)
        def second(self):
            raise ValueError("no luck")

        @listen(second)
        def third(self):
            return "never"

    with pytest.raises(ValueError, match="no luck"):
        Fails().kickoff()

    assert crewai_trace.render() == tree("""
        flow Fails !! ValueError: no luck
          method first -> 'ok'
          method second !! ValueError: no luck
        """)
    second = crewai_trace.methods.failed.one()
    assert (second.error.type, second.error.message) == ("ValueError", "no luck")
    assert 'raise ValueError("no luck")' in second.error.traceback


def test_s11_a_start_method_that_raises(crewai_trace):
    class Fails(Flow):
        @start()
        async def first(self):
            raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        asyncio.run(Fails().akickoff())

    assert crewai_trace.render() == tree("""
        flow Fails !! ValueError: no luck
          method first !! ValueError: no luck
        """)


def test_s11_a_failure_leaves_its_sibling_open(crewai_trace):
    class Fails(Flow):
        @start()
        def begin(self):
            return "go"

        @listen(begin)
        async def breaks(self):
            raise KeyError("boom")

        @listen(begin)
        async def waits(self):
            await asyncio.Event().wait()

    with pytest.raises(KeyError, match="boom"):
        Fails().kickoff()

    assert crewai_trace.render() == tree("""
        flow Fails !! KeyError: 'boom'
          method begin -> 'go'
          method breaks !! KeyError: 'boom'
          method waits (open)
        """)


def test_s11_a_flow_that_is_cancelled(crewai_trace):
    class Waits(Flow):
        @start()
        async def wait(self):
            self.reached.set()
            await asyncio.Event().wait()

    async def main():
        flow = Waits()
        object.__setattr__(flow, "reached", asyncio.Event())
        running = asyncio.create_task(flow.kickoff_async())
        await flow.reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())

    assert crewai_trace.render() == tree("""
        flow Waits (open)
          method wait (open)
        """)


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

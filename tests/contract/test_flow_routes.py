"""Routers, joins, parallel methods and failures in flows: methods are ordered by cause, not by time."""

from __future__ import annotations

import asyncio
import threading

import pytest
from crewai.flow.flow import Flow, and_, listen, or_, router, start

from tests.support.crews import tree

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

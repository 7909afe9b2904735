"""Crews in threads, executors and event loops: every event in the trace of the test that caused it (S10)."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from crewai.tools import tool

from tests.support.crews import agent, one_agent_crew, search, tree
from tests.support.llm import Call, Calls, ScriptedLLM, final, react


def crew_with_a_tool(name="crew"):
    return one_agent_crew(ScriptedLLM(react("search", query="AI"), final("done")), tools=[search], name=name)


def in_a_thread(run):
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def in_an_executor(run):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


def in_to_thread(run):
    async def main():
        await asyncio.to_thread(run)

    asyncio.run(main())


def in_the_loops_executor(run):
    async def main():
        await asyncio.get_running_loop().run_in_executor(None, run)

    asyncio.run(main())


PLACES = {
    "thread": in_a_thread,
    "executor": in_an_executor,
    "to_thread": in_to_thread,
    "run_in_executor": in_the_loops_executor,
}


@pytest.mark.parametrize("place", list(PLACES))
def test_s10_a_crew_elsewhere(crewai_trace, place):
    PLACES[place](lambda: crew_with_a_tool().kickoff(inputs={"topic": "AI"}))

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need search.\nAction:...ch\nAction Input: {"query": "AI"}'
              tool search(query='AI') -> 'results for AI'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'
        """
    )


@pytest.mark.parametrize("place", list(PLACES))
def test_s10_an_agent_elsewhere(crewai_trace, place):
    PLACES[place](lambda: agent("Writer", ScriptedLLM(final("done"))).kickoff("Write"))

    assert crewai_trace.render() == tree(
        r"""
        agent Writer
          llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'
        """
    )


@pytest.mark.parametrize("place", list(PLACES))
def test_s10_a_model_call_elsewhere(crewai_trace, place):
    PLACES[place](lambda: ScriptedLLM("hello").call("Say hello"))

    assert crewai_trace.render() == tree(
        """
        llm gpt-4o-mini -> 'hello'
        """
    )


def test_s10_two_crews_in_parallel_threads(crewai_trace):
    together = threading.Barrier(2, timeout=30)

    def crew(name):
        def meet(messages):
            together.wait()
            return final(f"{name} done")

        return one_agent_crew(ScriptedLLM(react("search", query=name), meet), tools=[search], name=name)

    threads = [threading.Thread(target=crew(name).kickoff, kwargs={"inputs": {"topic": "AI"}}) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert crewai_trace.render() == tree(
        r"""
        crew a
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need search.\nAction:...rch\nAction Input: {"query": "a"}'
              tool search(query='a') -> 'results for a'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: a done'
        crew b
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need search.\nAction:...rch\nAction Input: {"query": "b"}'
              tool search(query='b') -> 'results for b'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: b done'
        """
    )


def test_s10_two_crews_in_one_event_loop(crewai_trace):
    async def both():
        await asyncio.gather(*(crew_with_a_tool(name).akickoff(inputs={"topic": "AI"}) for name in ("a", "b")))

    asyncio.run(both())

    assert crewai_trace.render() == tree(
        r"""
        crew a
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need search.\nAction:...ch\nAction Input: {"query": "AI"}'
              tool search(query='AI') -> 'results for AI'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'
        crew b
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need search.\nAction:...ch\nAction Input: {"query": "AI"}'
              tool search(query='AI') -> 'results for AI'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'
        """
    )


def test_s10_two_agents_in_one_event_loop(crewai_trace):
    async def both():
        llm = ScriptedLLM(by_agent={"A": [final("from a")], "B": [final("from b")]})
        await asyncio.gather(*(agent(role, llm).kickoff_async("Go") for role in ("A", "B")))

    asyncio.run(both())

    assert crewai_trace.render() == tree(
        r"""
        agent A
          llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: from a'
        agent B
          llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: from b'
        """
    )


def test_s10_crews_in_threads_that_a_tool_starts(crewai_trace):
    @tool("ask_all")
    def ask_all(topic: str) -> str:
        """Ask two crews at once."""
        inner = [one_agent_crew(ScriptedLLM(final(f"{name} says hi")), name=name) for name in ("a", "b")]
        with ThreadPoolExecutor(2) as pool:
            answers = pool.map(lambda crew: crew.kickoff(inputs={"topic": topic}).raw, inner)
        return ", ".join(answers)

    llm = ScriptedLLM(react("ask_all", topic="AI"), final("done"))
    one_agent_crew(llm, tools=[ask_all], name="outer").kickoff(inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        r"""
        crew outer
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need ask_all.\nAction...ll\nAction Input: {"topic": "AI"}'
              tool ask_all(topic='AI') -> 'a says hi, b says hi'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'
        crew a
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: a says hi'
        crew b
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: b says hi'
        """
    )


def tools_that_meet(*names):
    """Tools that each wait until all of them are at work."""
    together = threading.Barrier(len(names), timeout=30)

    def make(name):
        @tool(name)
        def meet(query: str) -> str:
            """Meet the others."""
            together.wait()
            return f"{query} from {name}"

        return meet

    return [make(name) for name in names]


def test_s10_parallel_tool_calls_stand_in_the_order_in_which_they_were_asked_for(crewai_trace):
    """Whether the tools of one reply overlap, and which begins first, is chance."""
    both = Calls((Call("right", {"query": "x"}), Call("left", {"query": "y"}), Call("right", {"query": "a"})))
    llm = ScriptedLLM(both, "done", native=True)

    one_agent_crew(llm, tools=tools_that_meet("right", "left", "right")[:2]).kickoff(inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> right(query='x'), left(query='y'), right(query='a')
              tool right(query='x') -> 'x from right'
              tool left(query='y') -> 'y from left'
              tool right(query='a') -> 'a from right'
              llm gpt-4o-mini -> 'done'
        """
    )


def test_s10_a_crew_that_a_thread_still_runs(crewai_trace):
    """A trace read while a crew is at work shows what has happened so far."""
    started, go_on = threading.Event(), threading.Event()

    def wait(messages):
        started.set()
        assert go_on.wait(30)
        return final("done")

    crew = one_agent_crew(ScriptedLLM(wait))
    thread = threading.Thread(target=crew.kickoff, kwargs={"inputs": {"topic": "AI"}})
    thread.start()
    assert started.wait(30)
    try:
        assert crewai_trace.render() == tree(
            """
            crew crew (open)
              task research (open)
                agent Researcher (open)
                  llm gpt-4o-mini (open)
            """
        )
    finally:
        go_on.set()
        thread.join()

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'
        """
    )


def test_s11_a_cancelled_crew(crewai_trace):
    async def main():
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        go_on = threading.Event()

        def wait(messages):
            loop.call_soon_threadsafe(asked.set)
            go_on.wait(30)
            return final("too late")

        running = asyncio.create_task(one_agent_crew(ScriptedLLM(wait)).kickoff_async(inputs={"topic": "AI"}))
        await asked.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        go_on.set()

    asyncio.run(main())

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: too late'
        """
    )

"""Crews in flows, flows in crews, agents and models in methods: everything under what started it."""

from __future__ import annotations

import asyncio
import threading

import pytest
from crewai.flow.flow import Flow, listen, start
from crewai.tools import tool

from tests.support.crews import agent, one_agent_crew, tree
from tests.support.llm import Chunks, ScriptedLLM, calls, final, react


def writing_crew(name="writing", reply="written"):
    return one_agent_crew(ScriptedLLM(reply, native=True), name=name)


TOPIC = {"topic": "AI"}


class Inner(Flow):
    @start()
    def think(self):
        return "thought"


@tool("think_about")
def think_about(topic: str) -> str:
    """Think about a topic, in a flow."""
    return Inner().kickoff(inputs={"topic": topic})


# A crew in a flow


class SyncMethod(Flow):
    name = "Outer"

    @start()
    def run(self):
        return writing_crew().kickoff(inputs=TOPIC).raw


class AsyncMethod(Flow):
    name = "Outer"

    @start()
    async def run(self):
        return (await writing_crew().kickoff_async(inputs=TOPIC)).raw


class NativeAsyncMethod(Flow):
    name = "Outer"

    @start()
    async def run(self):
        return (await writing_crew().akickoff(inputs=TOPIC)).raw


@pytest.mark.parametrize("flow", [SyncMethod, AsyncMethod, NativeAsyncMethod])
def test_a_crew_in_a_flow(crewai_trace, flow):
    flow().kickoff()

    assert crewai_trace.render() == tree("""
        flow Outer
          method run -> 'written'
            crew writing
              task research
                agent Researcher
                  llm gpt-4o-mini -> 'written'
        """)
    assert crewai_trace.flows.one().usage.total_tokens == 15


def test_crews_in_parallel_threads_of_one_method(crewai_trace):
    """``kickoff_async`` runs each crew in a thread of its own."""
    together = threading.Barrier(2, timeout=30)

    def crew(name):
        def meet(messages):
            together.wait()
            return f"from {name}"

        return one_agent_crew(ScriptedLLM(meet, native=True), name=name)

    class Both(Flow):
        @start()
        async def run(self):
            outputs = await asyncio.gather(*(crew(name).kickoff_async(inputs=TOPIC) for name in ("b", "a")))
            return [output.raw for output in outputs]

    Both().kickoff()

    assert crewai_trace.render() == tree("""
        flow Both
          method run -> ['from b', 'from a']
            crew a
              task research
                agent Researcher
                  llm gpt-4o-mini -> 'from a'
            crew b
              task research
                agent Researcher
                  llm gpt-4o-mini -> 'from b'
        """)


def test_crews_in_parallel_on_one_loop(crewai_trace):
    class Both(Flow):
        @start()
        async def run(self):
            crews = (writing_crew(name, f"from {name}") for name in ("a", "b"))
            outputs = await asyncio.gather(*(crew.akickoff(inputs=TOPIC) for crew in crews))
            return [output.raw for output in outputs]

    Both().kickoff()

    assert crewai_trace.render() == tree("""
        flow Both
          method run -> ['from a', 'from b']
            crew a
              task research
                agent Researcher
                  llm gpt-4o-mini -> 'from a'
            crew b
              task research
                agent Researcher
                  llm gpt-4o-mini -> 'from b'
        """)


def test_crews_in_parallel_methods(crewai_trace):
    together = threading.Barrier(2, timeout=30)

    def meet(messages):
        together.wait()
        return "met"

    class Both(Flow):
        @start()
        def left(self):
            return one_agent_crew(ScriptedLLM(meet, native=True), name="l").kickoff(inputs=TOPIC).raw

        @start()
        def right(self):
            return one_agent_crew(ScriptedLLM(meet, native=True), name="r").kickoff(inputs=TOPIC).raw

    Both().kickoff()

    assert crewai_trace.render() == tree("""
        flow Both
          method left -> 'met'
            crew l
              task research
                agent Researcher
                  llm gpt-4o-mini -> 'met'
          method right -> 'met'
            crew r
              task research
                agent Researcher
                  llm gpt-4o-mini -> 'met'
        """)


def test_s10_a_crew_in_a_raw_thread_of_a_method(crewai_trace):
    """A new thread knows nothing of the method that started it, so crewAI reports the crew as a run of its own."""

    class Threaded(Flow):
        @start()
        def run(self):
            outputs = []
            crew = writing_crew()
            thread = threading.Thread(target=lambda: outputs.append(crew.kickoff(inputs=TOPIC).raw))
            thread.start()
            thread.join()
            return outputs[0]

    Threaded().kickoff()

    assert crewai_trace.render() == tree("""
        flow Threaded
          method run -> 'written'
        crew writing
          task research
            agent Researcher
              llm gpt-4o-mini -> 'written'
        """)


def test_a_crew_whose_answer_streams_through_the_flow(crewai_trace):
    class Streaming(Flow):
        @start()
        def run(self):
            return one_agent_crew(ScriptedLLM(Chunks(("a", "b", "c")), native=True), name="c").kickoff(inputs=TOPIC).raw

    flow = Streaming()
    flow.stream = True
    output = flow.kickoff()
    chunks = "".join(chunk.content for chunk in output)

    assert chunks == "abc"
    assert crewai_trace.render() == tree("""
        flow Streaming
          method run -> 'abc'
            crew c
              task research
                agent Researcher
                  llm gpt-4o-mini -> 'abc'
        """)
    assert crewai_trace.llm_calls.one().chunks == 3


def test_s11_a_crew_that_fails_in_a_flow(crewai_trace):
    class Fails(Flow):
        @start()
        def run(self):
            llm = ScriptedLLM(ValueError("model down"), native=True, repeat_last=True)
            return one_agent_crew(llm, name="c").kickoff(inputs=TOPIC).raw

    with pytest.raises(ValueError, match="model down"):
        Fails().kickoff()

    assert crewai_trace.render() == tree("""
        flow Fails !! ValueError: model down
          method run !! ValueError: model down
            crew c !! ValueError: model down
              task research !! ValueError: model down
                agent Researcher !! ValueError: model down
                  llm gpt-4o-mini !! ValueError: model down
                agent Researcher !! ValueError: model down
                  llm gpt-4o-mini !! ValueError: model down
                agent Researcher !! ValueError: model down
                  llm gpt-4o-mini !! ValueError: model down
        """)


# A flow in a crew


FLOW_IN_A_TOOL = """
    crew c
      task research
        agent Researcher
          llm gpt-4o-mini -> {call}
          tool think_about(topic='AI') -> 'thought'
            flow Inner
              method think -> 'thought'
          llm gpt-4o-mini -> {answer}
    """


def test_a_flow_in_a_tool_of_a_crew(crewai_trace):
    llm = ScriptedLLM(calls("think_about", topic="AI"), "done", native=True)
    one_agent_crew(llm, tools=[think_about], name="c").kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(FLOW_IN_A_TOOL.format(call="think_about(topic='AI')", answer="'done'"))
    assert crewai_trace.flows.one().inputs == {"topic": "AI"}


def test_a_flow_in_a_tool_of_a_crew_by_react(crewai_trace):
    llm = ScriptedLLM(react("think_about", topic="AI"), final("done"))
    one_agent_crew(llm, tools=[think_about], name="c").kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        FLOW_IN_A_TOOL.format(
            call="""'Thought: I need think_about.\\nAc...ut\\nAction Input: {"topic": "AI"}'""",
            answer=r"'Thought: I now know the final answer.\nFinal Answer: done'",
        )
    )


def test_crews_in_flows_in_crews(crewai_trace):
    class Delegates(Flow):
        @start()
        def delegate(self):
            return writing_crew("deep", "from below").kickoff(inputs=TOPIC).raw

    @tool("dig")
    def dig(topic: str) -> str:
        """Let another crew dig."""
        return Delegates().kickoff()

    class Top(Flow):
        @start()
        def run(self):
            llm = ScriptedLLM(calls("dig", topic="AI"), "done", native=True)
            return one_agent_crew(llm, tools=[dig], name="top").kickoff(inputs=TOPIC).raw

    Top().kickoff()

    assert crewai_trace.render() == tree("""
        flow Top
          method run -> 'done'
            crew top
              task research
                agent Researcher
                  llm gpt-4o-mini -> dig(topic='AI')
                  tool dig(topic='AI') -> 'from below'
                    flow Delegates
                      method delegate -> 'from below'
                        crew deep
                          task research
                            agent Researcher
                              llm gpt-4o-mini -> 'from below'
                  llm gpt-4o-mini -> 'done'
        """)
    assert crewai_trace.usage.requests == 3


# A flow in a flow


class SyncOuter(Flow):
    name = "Outer"

    @start()
    def run(self):
        return Inner().kickoff()


class AsyncOuter(Flow):
    name = "Outer"

    @start()
    async def run(self):
        return await Inner().kickoff_async()


class SyncInAsyncOuter(Flow):
    name = "Outer"

    @start()
    async def run(self):
        return Inner().kickoff()


@pytest.mark.parametrize("flow", [SyncOuter, AsyncOuter, SyncInAsyncOuter])
def test_a_flow_in_a_flow(crewai_trace, flow):
    flow().kickoff()

    assert crewai_trace.render() == tree("""
        flow Outer
          method run -> 'thought'
            flow Inner
              method think -> 'thought'
        """)


def test_s11_a_flow_that_fails_in_a_flow(crewai_trace):
    class Breaks(Flow):
        @start()
        def think(self):
            raise ValueError("no idea")

    class Copes(Flow):
        @start()
        def run(self):
            try:
                return Breaks().kickoff()
            except ValueError:
                return "never mind"

    Copes().kickoff()

    assert crewai_trace.render() == tree("""
        flow Copes
          method run -> 'never mind'
            flow Breaks !! ValueError: no idea
              method think !! ValueError: no idea
        """)


# Agents and models in methods


def test_lone_agents_and_a_bare_model_in_methods(crewai_trace):
    class Talks(Flow):
        @start()
        def ask(self):
            return agent("Clerk", ScriptedLLM("one", native=True)).kickoff("A question").raw

        @listen(ask)
        async def ask_again(self):
            return (await agent("Chief", ScriptedLLM("two", native=True)).kickoff_async("A question")).raw

        @listen(ask_again)
        def ask_the_model(self):
            return ScriptedLLM("three").call("A question")

        @listen(ask_the_model)
        async def ask_the_model_again(self):
            return await ScriptedLLM("four").acall("A question")

    Talks().kickoff()

    assert crewai_trace.render() == tree("""
        flow Talks
          method ask -> 'one'
            agent Clerk
              llm gpt-4o-mini -> 'one'
          method ask_again -> 'two'
            agent Chief
              llm gpt-4o-mini -> 'two'
          method ask_the_model -> 'three'
            llm gpt-4o-mini -> 'three'
          method ask_the_model_again -> 'four'
            llm gpt-4o-mini -> 'four'
        """)
    assert [method.usage.requests for method in crewai_trace.methods] == [1, 1, 1, 1]

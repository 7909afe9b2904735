"""What the trace shows of agents, tools and model calls: real crewAI, the whole tree."""

from __future__ import annotations

import asyncio
import json
import warnings

import pytest
from crewai import LLM
from crewai.agent.planning_config import PlanningConfig
from crewai.hooks import (
    clear_all_llm_call_hooks,
    clear_all_tool_call_hooks,
    register_after_llm_call_hook,
    register_after_tool_call_hook,
    register_before_llm_call_hook,
    register_before_tool_call_hook,
)
from crewai.lite_agent import LiteAgent
from crewai.tools import tool
from packaging.version import Version
from pydantic import BaseModel

from tests.support.crews import CREWAI, agent, asks, flaky_tool, one_agent_crew, search, since, tree
from tests.support.llm import Call, Calls, Chunks, ScriptedLLM, calls, final, react
from tests.support.openai import Answer, Failure, OpenAIServer, ToolRequest

TOPIC = {"topic": "AI"}


class Report(BaseModel):
    title: str


@pytest.fixture
def no_hooks():
    """crewAI's hooks are global: none of a test's stays for the next."""
    yield
    clear_all_llm_call_hooks()
    clear_all_tool_call_hooks()


@tool("add")
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


# Tools


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_a_tool_call(crewai_trace, native):
    replies = [calls("add", a=1, b=2), "3"] if native else [react("add", a=1, b=2), final("3")]

    one_agent_crew(ScriptedLLM(*replies, native=native), tools=[add]).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> add(a=1, b=2)
              tool add(a=1, b=2) -> '3'
              llm gpt-4o-mini -> '3'
        """
        if native
        else r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need add.\nAction: add\nAction Input: {"a": 1, "b": 2}'
              tool add(a=1, b=2) -> '3'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: 3'
        """
    )
    call = crewai_trace.tool("add")
    assert (call.agent_role, call.task_name, call.arguments) == ("Researcher", "research", {"a": 1, "b": 2})
    assert (call.cached, call.attempt, call.status) == (False, 1, "ok")


def test_several_tool_calls_in_one_reply(crewai_trace):
    both = Calls((Call("search", {"query": "cats"}), Call("add", {"a": 1, "b": 2})))

    one_agent_crew(ScriptedLLM(both, "done", native=True), tools=[search, add]).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> search(query='cats'), add(a=1, b=2)
              tool search(query='cats') -> 'results for cats'
              tool add(a=1, b=2) -> '3'
              llm gpt-4o-mini -> 'done'
        """
    )


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_a_tool_call_answered_from_the_cache(crewai_trace, native):
    replies = (
        [calls("search", query="AI"), calls("search", query="ML"), calls("search", query="AI"), "done"]
        if native
        else [react("search", query="AI"), react("search", query="ML"), react("search", query="AI"), final("done")]
    )

    crew = one_agent_crew(ScriptedLLM(*replies, native=native), tools=[search], crew={"cache": True})
    crew.kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> search(query='AI')
              tool search(query='AI') -> 'results for AI'
              llm gpt-4o-mini -> search(query='ML')
              tool search(query='ML') -> 'results for ML'
              llm gpt-4o-mini -> search(query='AI')
              tool search(query='AI') -> 'results for AI' (cached)
              llm gpt-4o-mini -> 'done'
        """
        if native
        else r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need search.\nAction:...ch\nAction Input: {"query": "AI"}'
              tool search(query='AI') -> 'results for AI'
              llm gpt-4o-mini -> 'Thought: I need search.\nAction:...ch\nAction Input: {"query": "ML"}'
              tool search(query='ML') -> 'results for ML'
              llm gpt-4o-mini -> 'Thought: I need search.\nAction:...ch\nAction Input: {"query": "AI"}'
              tool search(query='AI') -> 'results for AI\n\n\nYou ONLY hav... the original input question\n```' (cached)
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'
        """
    )
    assert [call.cached for call in crewai_trace.tools] == [False, False, True]


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_a_tool_that_fails_and_then_answers(crewai_trace, native):
    """In ReAct crewAI calls a tool that raised once more by itself, and reports only when that raised too."""
    fetch = flaky_tool(*(TimeoutError("too slow") for _ in range(1 if native else 2)))
    replies = (
        [calls("fetch", url="x.org"), calls("fetch", url="x.org"), "done"]
        if native
        else [react("fetch", url="x.org"), final("done")]
    )

    one_agent_crew(ScriptedLLM(*replies, native=native), tools=[fetch]).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> fetch(url='x.org')
              tool fetch(url='x.org') !! TimeoutError: too slow
              llm gpt-4o-mini -> fetch(url='x.org')
              tool fetch(url='x.org') -> 'page x.org'
              llm gpt-4o-mini -> 'done'
        """
        if native
        else r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need fetch.\nAction: ...h\nAction Input: {"url": "x.org"}'
              tool fetch(url='x.org') !! TimeoutError: too slow
              tool fetch(url='x.org') -> 'page x.org'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'
        """
    )
    assert [(call.status, call.attempt) for call in crewai_trace.tools] == [("error", 1), ("ok", 1 if native else 2)]


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_a_tool_that_always_fails(crewai_trace, native):
    fetch = flaky_tool(*(ValueError("broken") for _ in range(20)))
    replies = [calls("fetch", url="x.org"), "gave up"] if native else [react("fetch", url="x.org"), final("gave up")]

    one_agent_crew(ScriptedLLM(*replies, native=native), tools=[fetch]).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> fetch(url='x.org')
              tool fetch(url='x.org') !! ValueError: broken
              llm gpt-4o-mini -> 'gave up'
        """
        if native
        else r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need fetch.\nAction: ...h\nAction Input: {"url": "x.org"}'
              tool fetch(url='x.org') !! ValueError: broken
              tool fetch(url='x.org') !! ValueError: broken
              tool fetch(url='x.org') !! ValueError: broken
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: gave up'
        """
    )
    failed = crewai_trace.tools.failed
    assert {(call.error.type, call.error.message) for call in failed} == {("ValueError", "broken")}


@pytest.mark.skipif(Version("1.15.21") > CREWAI, reason="this crewAI has no policy for tools that fail")
@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_s11_a_tool_whose_failure_ends_the_run(crewai_trace, native):
    fetch = flaky_tool(*(ValueError("broken") for _ in range(20)))
    reply = calls("fetch", url="x.org") if native else react("fetch", url="x.org")
    crew = one_agent_crew(
        ScriptedLLM(reply, native=native, repeat_last=True),
        tools=[fetch],
        max_retry_limit=0,
        tool_failure_policy="raise",
    )

    with pytest.raises(Exception, match="broken"):
        crew.kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew !! ToolExecutionFailedError: Tool 'fetch' failed during 'research': broken (code: ValueError)
          task research !! ToolExecutionFailedError: Tool 'fetch' failed during 'research': broken (code: ValueError)
            agent Researcher (open)
              llm gpt-4o-mini -> fetch(url='x.org')
              tool fetch(url='x.org') !! ValueError: broken
        """
        if native
        else r"""
        crew crew !! ToolExecutionFailedError: Tool 'fetch' failed during 'research': broken (code: ValueError)
          task research !! ToolExecutionFailedError: Tool 'fetch' failed during 'research': broken (code: ValueError)
            agent Researcher (open)
              llm gpt-4o-mini -> 'Thought: I need fetch.\nAction: ...h\nAction Input: {"url": "x.org"}'
              tool fetch(url='x.org') !! ValueError: broken
              tool fetch(url='x.org') !! ValueError: broken
              tool fetch(url='x.org') !! ValueError: broken
        """
    )


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_a_tool_called_with_wrong_arguments(crewai_trace, native):
    replies = [calls("add", a="one", b=2), "gave up"] if native else [react("add", a="one", b=2), final("gave up")]

    one_agent_crew(ScriptedLLM(*replies, native=native), tools=[add]).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> add(a='one', b=2)
              tool add(a='one', b=2) !! ValueError: Tool 'add' arguments validation failed: 1 validation error for Add a Input …
              llm gpt-4o-mini -> 'gave up'
        """  # noqa: E501
        if native
        else r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need add.\nAction: ad...ction Input: {"a": "one", "b": 2}'
              tool add(a='one', b=2) !! ValueError: Arguments validation failed: 1 validation error for Add a Input should be a…
              tool add(a='one', b=2) !! ValueError: Arguments validation failed: 1 validation error for Add a Input should be a…
              tool add(a='one', b=2) !! ValueError: Arguments validation failed: 1 validation error for Add a Input should be a…
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: gave up'
        """  # noqa: E501
    )


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_a_tool_that_does_not_exist(crewai_trace, native):
    replies = [calls("serach", query="AI"), "gave up"] if native else [react("serach", query="AI"), final("gave up")]

    one_agent_crew(ScriptedLLM(*replies, native=native), tools=[add]).kickoff(inputs=TOPIC)

    # From 1.15.21 crewAI says that a call of an unknown tool failed; before, it only tells the model.
    answer = since({"1.13": "-> 'Tool not found'", "1.15.21": "!! Tool not found"})
    if native:
        assert crewai_trace.render() == tree(
            f"""
            crew crew
              task research
                agent Researcher
                  llm gpt-4o-mini -> serach(query='AI')
                  tool serach(query='AI') {answer}
                  llm gpt-4o-mini -> 'gave up'
            """
        )
    else:
        assert crewai_trace.render() == tree(
            since(
                {
                    "1.13": r"""
                    crew crew
                      task research
                        agent Researcher
                          llm gpt-4o-mini -> 'Thought: I need serach.\nAction:...ch\nAction Input: {"query": "AI"}'
                          tool serach() !! Action 'serach' don't exist, these are the only available Actions: Tool Name: add Tool Arguments…
                          llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: gave up'
                    """,  # noqa: E501
                    "1.15.21": r"""
                    crew crew
                      task research
                        agent Researcher
                          llm gpt-4o-mini -> 'Thought: I need serach.\nAction:...ch\nAction Input: {"query": "AI"}'
                          tool serach(query='AI') !! Action 'serach' don't exist, these are the only available Actions: Tool Name: add Tool…
                          llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: gave up'
                    """,  # noqa: E501
                }
            )
        )
    assert not crewai_trace.tools.named("add")


def test_react_text_that_is_no_tool_call(crewai_trace):
    llm = ScriptedLLM("Action: add\nAction Input: {not json", final("gave up"), repeat_last=True)

    one_agent_crew(llm, tools=[add]).kickoff(inputs=TOPIC)

    # From 1.15.21 crewAI does not begin a tool call whose input it cannot read.
    assert crewai_trace.render() == tree(
        since(
            {
                "1.13": r"""
                crew crew
                  task research
                    agent Researcher
                      llm gpt-4o-mini -> 'Action: add\nAction Input: {not json'
                      tool add() !! ValueError: Arguments validation failed: 2 validation errors for Add a Field required [type=missing…
                      tool add() !! ValueError: Arguments validation failed: 2 validation errors for Add a Field required [type=missing…
                      tool add() !! ValueError: Arguments validation failed: 2 validation errors for Add a Field required [type=missing…
                      llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: gave up'
                """,  # noqa: E501
                "1.15.21": r"""
                crew crew
                  task research
                    agent Researcher
                      llm gpt-4o-mini -> 'Action: add\nAction Input: {not json'
                      tool add(input='{not json') !! Tool input must be a valid dictionary in JSON or Python literal format
                      llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: gave up'
                """,  # noqa: E501
            }
        )
    )


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_a_tool_over_its_usage_limit(crewai_trace, native):
    @tool("once", max_usage_count=1)
    def once(query: str) -> str:
        """Works once."""
        return f"{query}!"

    replies = (
        [calls("once", query="a"), calls("once", query="b"), "done"]
        if native
        else [react("once", query="a"), react("once", query="b"), final("done")]
    )

    one_agent_crew(ScriptedLLM(*replies, native=native), tools=[once]).kickoff(inputs=TOPIC)

    # From 1.15.21 crewAI says that such a call failed; before, it only tells the model.
    refused = since(
        {
            "1.13": """-> "Tool 'once' has reached its usag...times and cannot be used anymore.\"""",
            "1.15.21": "!! Tool 'once' has reached its usage limit of 1 times and cannot be used anymore.",
        }
    )
    assert crewai_trace.render() == tree(
        f"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> once(query='a')
              tool once(query='a') -> 'a!'
              llm gpt-4o-mini -> once(query='b')
              tool once(query='b') {refused}
              llm gpt-4o-mini -> 'done'
        """
        if native
        else rf"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need once.\nAction: once\nAction Input: {{"query": "a"}}'
              tool once(query='a') -> 'a!'
              llm gpt-4o-mini -> 'Thought: I need once.\nAction: once\nAction Input: {{"query": "b"}}'
              tool once(query='b') {refused}
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'
        """
    )


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_a_tool_whose_result_is_the_answer(crewai_trace, native):
    @tool("answer", result_as_answer=True)
    def answer(query: str) -> str:
        """Answer at once."""
        return f"the answer to {query}"

    reply = calls("answer", query="AI") if native else react("answer", query="AI")

    result = one_agent_crew(ScriptedLLM(reply, native=native), tools=[answer]).kickoff(inputs=TOPIC)

    assert result.raw == "the answer to AI"
    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> answer(query='AI')
              tool answer(query='AI') -> 'the answer to AI'
        """
        if native
        else r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need answer.\nAction:...er\nAction Input: {"query": "AI"}'
              tool answer(query='AI') -> 'the answer to AI'
        """
    )


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_max_iter(crewai_trace, native):
    loop = [(calls if native else react)("add", a=number, b=1) for number in range(4)]
    llm = ScriptedLLM(*loop[:2], "best guess" if native else final("best guess"), native=native, repeat_last=True)

    one_agent_crew(llm, tools=[add], max_iter=2).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> add(a=0, b=1)
              tool add(a=0, b=1) -> '1'
              llm gpt-4o-mini -> add(a=1, b=1)
              tool add(a=1, b=1) -> '2'
              llm gpt-4o-mini -> 'best guess'
        """
        if native
        else r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need add.\nAction: add\nAction Input: {"a": 0, "b": 1}'
              tool add(a=0, b=1) -> '1'
              llm gpt-4o-mini -> 'Thought: I need add.\nAction: add\nAction Input: {"a": 1, "b": 1}'
              tool add(a=1, b=1) -> '2'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: best guess'
        """
    )


def test_function_calling_llm(crewai_trace):
    """A second model turns what the agent's model wrote into a tool call, where that can not be read."""
    caller = ScriptedLLM(
        json.dumps({"tool_name": "add", "arguments": {"a": 1, "b": 2}}), model="openai/gpt-4.1-nano", repeat_last=True
    )
    llm = ScriptedLLM("Action: add\nAction Input: one and two", final("3"))

    one_agent_crew(llm, tools=[add], function_calling_llm=caller).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Action: add\nAction Input: one and two'
              llm gpt-4.1-nano -> '{"tool_name": "add", "arguments": {"a": 1, "b": 2}}'
              tool add(a=1, b=2) -> '3'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: 3'
        """
    )


# Reasoning and plans


PLAN = {
    "plan": "Search, then write.",
    "steps": [
        {"step_number": 1, "description": "Search", "tool_to_use": None, "depends_on": []},
        {"step_number": 2, "description": "Write", "tool_to_use": None, "depends_on": [1]},
    ],
    "ready": True,
}


def test_reasoning_as_text(crewai_trace):
    llm = ScriptedLLM("I will search.\n\nREADY: I am ready to execute the task.", final("done"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        crew = one_agent_crew(llm, reasoning=True)

    crew.kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task research
            agent Researcher
              reasoning Researcher
                llm gpt-4o-mini -> 'I will search.\n\nREADY: I am ready to execute the task.'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'
        """
    )


def test_reasoning_that_is_refined(crewai_trace):
    llm = ScriptedLLM("I do not know yet.", "I will search.\n\nREADY: I am ready to execute the task.", final("done"))

    one_agent_crew(llm, planning_config=PlanningConfig(max_attempts=3)).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task research
            agent Researcher
              reasoning Researcher
                llm gpt-4o-mini -> 'I do not know yet.'
                reasoning Researcher
                  llm gpt-4o-mini -> 'I will search.\n\nREADY: I am ready to execute the task.'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: done'
        """
    )
    assert [(span.attempt, span.ready) for span in crewai_trace.find(kind="reasoning")] == [(1, True), (2, True)]


def planner(observation: dict) -> ScriptedLLM:
    """Plans, does each item of the plan with an answer, and observes it."""

    def reply(messages):
        asked = asks(messages)
        if "step_completed_successfully" in asked or "Step completed" in asked:
            return json.dumps(observation)
        return "an answer"

    return ScriptedLLM(json.dumps(PLAN), reply, native=True, repeat_last=True)


FINE = {"step_completed_successfully": True, "key_information_learned": "facts"}


@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_plan_and_execute(crewai_trace, effort):
    crew = one_agent_crew(planner(FINE), planning_config=PlanningConfig(reasoning_effort=effort))

    crew.kickoff(inputs=TOPIC)

    # 1.13 plans for an agent of a crew and leaves the plan to the model; 1.14 executes it without saying which item.
    observed = effort != "low"
    assert crewai_trace.render() == tree(
        since(
            {
                "1.13": """
                crew crew
                  task research
                    agent Researcher
                      reasoning Researcher
                        llm gpt-4o-mini -> '{"plan": "Search, then write.", ...epends_on": [1]}], "ready": true}'
                      llm gpt-4o-mini -> 'an answer'
                """,
                "1.14": """
                crew crew
                  task research
                    agent Researcher
                      reasoning Researcher
                        llm gpt-4o-mini -> '{"plan": "Search, then write.", ...epends_on": [1]}], "ready": true}'
                      llm gpt-4o-mini -> 'an answer'
                      planning observe 1 'Search'
                        llm gpt-4o-mini -> {'goal_already_achieved': False, 'key_information_learned': 'facts', 'needs_full_replan': Fa…
                      llm gpt-4o-mini -> 'an answer'
                      planning observe 2 'Write'
                        llm gpt-4o-mini -> {'goal_already_achieved': False, 'key_information_learned': 'facts', 'needs_full_replan': Fa…
                      llm gpt-4o-mini -> 'an answer'
                """  # noqa: E501
                if observed
                else """
                crew crew
                  task research
                    agent Researcher
                      reasoning Researcher
                        llm gpt-4o-mini -> '{"plan": "Search, then write.", ...epends_on": [1]}], "ready": true}'
                      llm gpt-4o-mini -> 'an answer'
                      llm gpt-4o-mini -> 'an answer'
                      llm gpt-4o-mini -> 'an answer'
                """,
                "1.15": """
                crew crew
                  task research
                    agent Researcher
                      reasoning Researcher
                        llm gpt-4o-mini -> '{"plan": "Search, then write.", ...epends_on": [1]}], "ready": true}'
                      planning execute 1 'Search'
                        llm gpt-4o-mini -> 'an answer'
                        planning observe 1 'Search'
                          llm gpt-4o-mini -> {'goal_already_achieved': False, 'key_information_learned': 'facts', 'needs_full_replan': …
                      planning execute 2 'Write'
                        llm gpt-4o-mini -> 'an answer'
                        planning observe 2 'Write'
                          llm gpt-4o-mini -> {'goal_already_achieved': False, 'key_information_learned': 'facts', 'needs_full_replan': …
                      llm gpt-4o-mini -> 'an answer'
                """  # noqa: E501
                if observed
                else """
                crew crew
                  task research
                    agent Researcher
                      reasoning Researcher
                        llm gpt-4o-mini -> '{"plan": "Search, then write.", ...epends_on": [1]}], "ready": true}'
                      planning execute 1 'Search'
                        llm gpt-4o-mini -> 'an answer'
                      planning execute 2 'Write'
                        llm gpt-4o-mini -> 'an answer'
                      llm gpt-4o-mini -> 'an answer'
                """,
            }
        )
    )


@pytest.mark.parametrize("effort", ["low", "medium"])
def test_plan_and_execute_by_an_agent_on_its_own(crewai_trace, effort):
    agent("Researcher", planner(FINE), planning_config=PlanningConfig(reasoning_effort=effort)).kickoff("Research AI")

    observed = effort != "low"
    assert crewai_trace.render() == tree(
        since(
            {
                "1.13": """
                agent Researcher
                  reasoning Researcher
                    llm gpt-4o-mini -> '{"plan": "Search, then write.", ...epends_on": [1]}], "ready": true}'
                  llm gpt-4o-mini -> 'an answer'
                  planning observe 1 'Search'
                    llm gpt-4o-mini -> {'goal_already_achieved': False, 'key_information_learned': 'facts', 'needs_full_replan': False,…
                  llm gpt-4o-mini -> 'an answer'
                  planning observe 2 'Write'
                    llm gpt-4o-mini -> {'goal_already_achieved': False, 'key_information_learned': 'facts', 'needs_full_replan': False,…
                  llm gpt-4o-mini -> 'an answer'
                """,  # noqa: E501
                "1.14": """
                agent Researcher
                  reasoning Researcher
                    llm gpt-4o-mini -> '{"plan": "Search, then write.", ...epends_on": [1]}], "ready": true}'
                  llm gpt-4o-mini -> 'an answer'
                  planning observe 1 'Search'
                    llm gpt-4o-mini -> {'goal_already_achieved': False, 'key_information_learned': 'facts', 'needs_full_replan': False,…
                  llm gpt-4o-mini -> 'an answer'
                  planning observe 2 'Write'
                    llm gpt-4o-mini -> {'goal_already_achieved': False, 'key_information_learned': 'facts', 'needs_full_replan': False,…
                  llm gpt-4o-mini -> 'an answer'
                """  # noqa: E501
                if observed
                else """
                agent Researcher
                  reasoning Researcher
                    llm gpt-4o-mini -> '{"plan": "Search, then write.", ...epends_on": [1]}], "ready": true}'
                  llm gpt-4o-mini -> 'an answer'
                  llm gpt-4o-mini -> 'an answer'
                  llm gpt-4o-mini -> 'an answer'
                """,
                "1.15": """
                agent Researcher
                  reasoning Researcher
                    llm gpt-4o-mini -> '{"plan": "Search, then write.", ...epends_on": [1]}], "ready": true}'
                  planning execute 1 'Search'
                    llm gpt-4o-mini -> 'an answer'
                    planning observe 1 'Search'
                      llm gpt-4o-mini -> {'goal_already_achieved': False, 'key_information_learned': 'facts', 'needs_full_replan': Fals…
                  planning execute 2 'Write'
                    llm gpt-4o-mini -> 'an answer'
                    planning observe 2 'Write'
                      llm gpt-4o-mini -> {'goal_already_achieved': False, 'key_information_learned': 'facts', 'needs_full_replan': Fals…
                  llm gpt-4o-mini -> 'an answer'
                """  # noqa: E501
                if observed
                else """
                agent Researcher
                  reasoning Researcher
                    llm gpt-4o-mini -> '{"plan": "Search, then write.", ...epends_on": [1]}], "ready": true}'
                  planning execute 1 'Search'
                    llm gpt-4o-mini -> 'an answer'
                  planning execute 2 'Write'
                    llm gpt-4o-mini -> 'an answer'
                  llm gpt-4o-mini -> 'an answer'
                """,
            }
        )
    )


@pytest.mark.skipif(Version("1.15") > CREWAI, reason="this crewAI does not report the items of a plan")
def test_plan_items_that_run_in_parallel(crewai_trace):
    """crewAI does not say for which of the items that run at the same time a model is called."""
    both = {**PLAN, "steps": [{**item, "depends_on": []} for item in PLAN["steps"]]}
    llm = ScriptedLLM(json.dumps(both), "an answer", native=True, repeat_last=True)

    one_agent_crew(llm, planning_config=PlanningConfig(reasoning_effort="low")).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              reasoning Researcher
                llm gpt-4o-mini -> '{"plan": "Search, then write.", ...depends_on": []}], "ready": true}'
              planning execute 1 'Search'
              planning execute 2 'Write'
              llm gpt-4o-mini -> 'an answer'
              llm gpt-4o-mini -> 'an answer'
              llm gpt-4o-mini -> 'an answer'
        """
    )


@pytest.mark.skipif(Version("1.15") > CREWAI, reason="this crewAI does not report the items of a plan")
def test_a_plan_with_a_tool(crewai_trace):
    first, second = PLAN["steps"]
    plan = {**PLAN, "steps": [{**first, "tool_to_use": "search"}, second]}
    llm = ScriptedLLM(json.dumps(plan), calls("search", query="AI"), "found", "written", "the end", native=True)

    crew = one_agent_crew(llm, tools=[search], planning_config=PlanningConfig(reasoning_effort="low"))
    crew.kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              reasoning Researcher
                llm gpt-4o-mini -> '{"plan": "Search, then write.", ...epends_on": [1]}], "ready": true}'
              planning execute 1 'Search'
                llm gpt-4o-mini -> search(query='AI')
                tool search(query='AI') -> 'results for AI'
                llm gpt-4o-mini -> 'found'
              planning execute 2 'Write'
                llm gpt-4o-mini -> 'written'
              llm gpt-4o-mini -> 'the end'
        """
    )


@pytest.mark.skipif(Version("1.15") > CREWAI, reason="this crewAI does not report the items of a plan")
def test_a_plan_that_reaches_its_goal_early(crewai_trace):
    llm = planner({**FINE, "goal_already_achieved": True})

    one_agent_crew(llm, planning_config=PlanningConfig(reasoning_effort="high")).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              reasoning Researcher
                llm gpt-4o-mini -> '{"plan": "Search, then write.", ...epends_on": [1]}], "ready": true}'
              planning execute 1 'Search'
                llm gpt-4o-mini -> 'an answer'
                planning observe 1 'Search'
                  llm gpt-4o-mini -> {'goal_already_achieved': True, 'key_information_learned': 'facts', 'needs_full_replan': F…
              llm gpt-4o-mini -> 'an answer'
        """  # noqa: E501
    )


# Agents on their own


AGENT_KICKOFFS = {
    "kickoff": lambda agent, text, **options: agent.kickoff(text, **options),
    "kickoff_async": lambda agent, text, **options: asyncio.run(agent.kickoff_async(text, **options)),
    "akickoff": lambda agent, text, **options: asyncio.run(agent.akickoff(text, **options)),
}


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
@pytest.mark.parametrize("kickoff", list(AGENT_KICKOFFS))
def test_an_agent_on_its_own(crewai_trace, kickoff, native):
    replies = [calls("add", a=1, b=2), "3"] if native else [react("add", a=1, b=2), final("3")]
    llm = ScriptedLLM(*replies, native=native)

    result = AGENT_KICKOFFS[kickoff](agent("Calculator", llm, tools=[add]), "What is 1 + 2?")

    assert result.raw == "3"
    assert crewai_trace.render() == tree(
        """
        agent Calculator
          llm gpt-4o-mini -> add(a=1, b=2)
          tool add(a=1, b=2) -> '3'
          llm gpt-4o-mini -> '3'
        """
        if native
        else r"""
        agent Calculator
          llm gpt-4o-mini -> 'Thought: I need add.\nAction: add\nAction Input: {"a": 1, "b": 2}'
          tool add(a=1, b=2) -> '3'
          llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: 3'
        """
    )
    assert crewai_trace.agent("Calculator").usage.total_tokens == 30


def test_an_agent_on_its_own_with_a_guardrail(crewai_trace):
    def is_number(output):
        return (True, output.raw) if output.raw.isdigit() else (False, "a number, please")

    llm = ScriptedLLM(final("three"), final("3"))

    result = agent("Calculator", llm, guardrail=is_number, guardrail_max_retries=2).kickoff("What is 1 + 2?")

    assert result.raw == "3"
    assert crewai_trace.render() == tree(
        r"""
        agent Calculator
          llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: three'
          guardrail is_number -> rejected: 'a number, please'
          llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: 3'
          guardrail is_number (attempt 2) -> passed
        """
    )


def test_an_agent_on_its_own_with_a_response_format(crewai_trace):
    llm = ScriptedLLM(json.dumps({"title": "AI"}), repeat_last=True)

    result = agent("Writer", llm).kickoff("Write a title", response_format=Report)

    assert result.pydantic == Report(title="AI")
    assert crewai_trace.render() == tree(
        """
        agent Writer
          llm gpt-4o-mini -> {'title': 'AI'}
        """
    )


def test_an_agent_on_its_own_that_raises(crewai_trace):
    llm = ScriptedLLM(RuntimeError("model is down"), repeat_last=True)

    with pytest.raises(RuntimeError, match="model is down"):
        agent("Calculator", llm).kickoff("What is 1 + 2?")

    assert crewai_trace.render() == tree(
        """
        agent Calculator !! RuntimeError: model is down
          llm gpt-4o-mini !! RuntimeError: model is down
        """
    )


def test_an_agent_on_its_own_called_in_an_event_loop(crewai_trace):
    llm = ScriptedLLM(final("3"))

    async def ask():
        return await agent("Calculator", llm).kickoff("What is 1 + 2?")

    assert asyncio.run(ask()).raw == "3"
    assert crewai_trace.render() == tree(
        r"""
        agent Calculator
          llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: 3'
        """
    )


def test_a_lite_agent(crewai_trace):
    llm = ScriptedLLM(react("add", a=1, b=2), final("3"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        lite = LiteAgent(role="Calculator", goal="count", backstory="counts", llm=llm, tools=[add])

    assert lite.kickoff("What is 1 + 2?").raw == "3"

    # Before 1.15.21 crewAI does not report the tools of this deprecated class.
    assert crewai_trace.render() == tree(
        since(
            {
                "1.13": r"""
                agent Calculator
                  llm gpt-4o-mini -> 'Thought: I need add.\nAction: add\nAction Input: {"a": 1, "b": 2}'
                  llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: 3'
                """,
                "1.15.21": r"""
                agent Calculator
                  llm gpt-4o-mini -> 'Thought: I need add.\nAction: add\nAction Input: {"a": 1, "b": 2}'
                  tool add(a=1, b=2) -> '3'
                  llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: 3'
                """,
            }
        )
    )


def test_two_agents_one_after_the_other(crewai_trace):
    agent("First", ScriptedLLM(final("one"))).kickoff("Go")
    agent("Second", ScriptedLLM(final("two"))).kickoff("Go")

    assert crewai_trace.render() == tree(
        r"""
        agent First
          llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: one'
        agent Second
          llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: two'
        """
    )


# Model calls on their own


def test_a_bare_model_call(crewai_trace):
    assert ScriptedLLM("hello").call("Say hello") == "hello"

    assert crewai_trace.render() == tree(
        """
        llm gpt-4o-mini -> 'hello'
        """
    )
    call = crewai_trace.llm_calls.one()
    assert call.messages == [{"role": "user", "content": "Say hello"}]
    assert (call.usage.input_tokens, call.usage.output_tokens, call.usage.total_tokens) == (10, 5, 15)
    assert not call.streamed


def test_a_bare_model_call_that_streams(crewai_trace):
    assert ScriptedLLM(Chunks(("hel", "lo"))).call("Say hello") == "hello"

    call = crewai_trace.llm_calls.one()
    assert crewai_trace.render() == tree(
        """
        llm gpt-4o-mini -> 'hello'
        """
    )
    assert (call.streamed, call.chunks, call.response) == (True, 2, "hello")


def test_a_bare_model_call_that_raises(crewai_trace):
    with pytest.raises(ConnectionError):
        ScriptedLLM(ConnectionError("no route")).call("Say hello")

    assert crewai_trace.render() == tree(
        """
        llm gpt-4o-mini !! ConnectionError: no route
        """
    )


def test_a_bare_async_model_call(crewai_trace):
    assert asyncio.run(ScriptedLLM("hello").acall("Say hello")) == "hello"

    assert crewai_trace.render() == tree(
        """
        llm gpt-4o-mini -> 'hello'
        """
    )


def openai(server: OpenAIServer, **options) -> LLM:
    return LLM(model="openai/gpt-4o-mini", base_url=server.base_url, api_key="loopback", max_retries=0, **options)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("how", ["call", "acall"])
def test_crewais_openai_provider(crewai_trace, how, stream):
    with OpenAIServer([Answer("hello you there")]) as server:
        llm = openai(server, stream=stream)
        answer = llm.call("Say hello") if how == "call" else asyncio.run(llm.acall("Say hello"))

    assert answer == "hello you there"
    assert crewai_trace.render() == tree(
        """
        llm gpt-4o-mini -> 'hello you there'
        """
    )
    call = crewai_trace.llm_calls.one()
    usage = call.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (20, 7, 27)
    assert usage.cached_tokens == 4
    assert call.streamed is stream
    if stream:
        assert call.chunks == 3


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_crewais_openai_provider_in_a_crew_with_tools(crewai_trace, stream):
    both = ToolRequest((("search", {"query": "cats"}), ("add", {"a": 1, "b": 2})))
    with OpenAIServer([both, Answer("cats and 3")]) as server:
        result = one_agent_crew(openai(server, stream=stream), tools=[search, add]).kickoff(inputs=TOPIC)

    assert result.raw == "cats and 3"
    assert [call.chunks for call in crewai_trace.llm_calls] == ([2, 3] if stream else [0, 0])
    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> search(query='cats'), add(a=1, b=2)
              tool search(query='cats') -> 'results for cats'
              tool add(a=1, b=2) -> '3'
              llm gpt-4o-mini -> 'cats and 3'
        """
    )


@pytest.mark.parametrize("status", [429, 500])
def test_crewais_openai_provider_that_fails(crewai_trace, status):
    with (
        OpenAIServer([Failure(status, "come back later")]) as server,
        pytest.raises(Exception, match="come back later"),
    ):
        openai(server).call("Say hello")

    # From 1.15.30 crewAI calls again after a 429.
    times = int(since({"1.13": "1", "1.15.30": "3"})) if status == 429 else 1
    error = {429: "RateLimitError", 500: "InternalServerError"}[status]
    assert crewai_trace.llm_calls.names == ["gpt-4o-mini"] * times
    assert {(call.status, call.error.type) for call in crewai_trace.llm_calls} == {("error", error)}
    assert all("come back later" in call.error.message for call in crewai_trace.llm_calls)
    assert crewai_trace.spans == crewai_trace.llm_calls


def test_crewais_openai_provider_that_fails_in_a_crew(crewai_trace):
    with OpenAIServer([Failure(500, "come back later")]) as server, pytest.raises(Exception, match="come back later"):
        one_agent_crew(openai(server), max_retry_limit=0).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew !! InternalServerError: Error code: 500 - {'error': {'message': 'come back later', 'type': 'server_error', 'c…
          task research !! InternalServerError: Error code: 500 - {'error': {'message': 'come back later', 'type': 'server_erro…
            agent Researcher !! InternalServerError: Error code: 500 - {'error': {'message': 'come back later', 'type': 'server…
              llm gpt-4o-mini !! InternalServerError: OpenAI API call failed: Error code: 500 - {'error': {'message': 'come bac…
        """  # noqa: E501
    )


def test_crewais_openai_provider_with_a_response_model(crewai_trace):
    with OpenAIServer([Answer('{"title": "AI"}')]) as server:
        openai(server).call("Give a title", response_model=Report)

    assert crewai_trace.render() == tree(
        """
        llm gpt-4o-mini -> '{"title":"AI"}'
        """
    )


# Hooks


def test_hooks_around_models_and_tools(crewai_trace, no_hooks):
    seen: list[str] = []
    register_before_llm_call_hook(lambda context: seen.append("before model"))
    register_after_llm_call_hook(lambda context: seen.append("after model"))
    register_before_tool_call_hook(lambda context: seen.append("before tool"))
    register_after_tool_call_hook(lambda context: seen.append("after tool"))

    one_agent_crew(ScriptedLLM(react("add", a=1, b=2), final("3")), tools=[add]).kickoff(inputs=TOPIC)

    assert seen == ["before model", "after model", "before tool", "after tool", "before model", "after model"]
    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need add.\nAction: add\nAction Input: {"a": 1, "b": 2}'
              tool add(a=1, b=2) -> '3'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: 3'
        """
    )


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_a_hook_that_blocks_a_tool(crewai_trace, no_hooks, native):
    register_before_tool_call_hook(lambda context: False)
    replies = [calls("add", a=1, b=2), "blocked"] if native else [react("add", a=1, b=2), final("blocked")]

    one_agent_crew(ScriptedLLM(*replies, native=native), tools=[add]).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> add(a=1, b=2)
              tool add(a=1, b=2) -> 'Tool execution blocked by hook. Tool: add'
              llm gpt-4o-mini -> 'blocked'
        """
        if native
        else r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need add.\nAction: add\nAction Input: {"a": 1, "b": 2}'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: blocked'
        """
    )


def test_a_hook_that_blocks_the_model(crewai_trace, no_hooks):
    register_before_llm_call_hook(lambda context: False)

    with pytest.raises(Exception, match="blocked"):
        one_agent_crew(ScriptedLLM(final("never")), max_retry_limit=0).kickoff(inputs=TOPIC)

    error = since({"1.13": "ValueError", "1.15.21": "LLMCallBlockedError"})
    assert crewai_trace.render() == tree(
        f"""
        crew crew !! {error}: LLM call blocked by before_llm_call hook
          task research !! {error}: LLM call blocked by before_llm_call hook
            agent Researcher !! {error}: LLM call blocked by before_llm_call hook
        """
    )


def test_a_hook_that_changes_the_result_of_a_tool(crewai_trace, no_hooks):
    register_after_tool_call_hook(lambda context: "changed")

    one_agent_crew(ScriptedLLM(react("add", a=1, b=2), final("3")), tools=[add]).kickoff(inputs=TOPIC)

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need add.\nAction: add\nAction Input: {"a": 1, "b": 2}'
              tool add(a=1, b=2) -> '3'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: 3'
        """
    )


def test_interception_points_of_a_run(crewai_trace):
    """crewAI's interception points: span events where they happened, none of them a span."""
    hooks = pytest.importorskip("crewai.hooks.dispatch", reason="this crewAI has no interception points")
    seen: list[str] = []
    with hooks.scoped_hooks():
        for point in hooks.InterceptionPoint:
            hooks.register_scoped(point, lambda context, point=point: seen.append(point.value))
        one_agent_crew(ScriptedLLM(react("add", a=1, b=2), final("3")), tools=[add]).kickoff(inputs=TOPIC)

    assert {"execution_start", "pre_model_call", "pre_tool_call", "execution_end"} <= set(seen)
    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need add.\nAction: add\nAction Input: {"a": 1, "b": 2}'
              tool add(a=1, b=2) -> '3'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: 3'
        """
    )
    told = [*crewai_trace.events, *(event for span in crewai_trace.spans for event in span.events)]
    assert sorted(seen) == sorted(
        event.attributes["interception_point"] for event in told if event.name == "hook_dispatched"
    )

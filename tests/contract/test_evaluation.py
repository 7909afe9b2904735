"""Agent evaluation, and conversations that outgrow the model's context window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from crewai import Agent, Crew
from crewai.events import crewai_event_bus
from crewai.experimental.evaluation import (
    AgentEvaluator,
    BaseEvaluator,
    GoalAlignmentEvaluator,
    SemanticQualityEvaluator,
)

from pytest_crewai_trace import Trace
from tests.support.crews import agent, one_agent_crew, search, task, tree
from tests.support.llm import ScriptedLLM, calls
from tests.support.versions import before


@pytest.fixture
def evaluated() -> Iterator[Any]:
    """Evaluate an agent by some metrics; the evaluator's handlers are taken off the bus again."""
    with crewai_event_bus.scoped_handlers():

        def evaluate(one: Agent, judge: ScriptedLLM, *metrics: type[BaseEvaluator]) -> AgentEvaluator:
            return AgentEvaluator([one], evaluators=[metric(llm=judge) for metric in metrics])

        yield evaluate


def finish_handlers() -> None:
    """Evaluations run in crewAI's handler threads and may outlive ``kickoff``."""
    crewai_event_bus.flush(timeout=30)


def test_an_agent_that_is_evaluated(crewai_trace: Trace, evaluated: Any) -> None:
    """crewAI begins an evaluation of the task, which it never ends, and in it those that count: one for each metric."""
    clerk = agent("Clerk", ScriptedLLM("Hello"))
    judge = ScriptedLLM('{"score": 8, "feedback": "good"}', '{"score": 3, "feedback": "dull"}', model="openai/judge")
    evaluated(clerk, judge, GoalAlignmentEvaluator, SemanticQualityEvaluator)

    Crew(agents=[clerk], tasks=[task("Greet", clerk, name="greet")]).kickoff()
    finish_handlers()

    assert crewai_trace.render() == tree(
        """
        crew crew
          task greet
            agent Clerk
              llm gpt-4o-mini -> 'Hello'
          evaluation Clerk -> 8.0
            llm judge -> '{"score": 8, "feedback": "good"}'
          evaluation Clerk -> 3.0
            llm judge -> '{"score": 3, "feedback": "dull"}'
        """
    )
    assert [span.metric for span in crewai_trace.evaluations] == ["goal_alignment", "semantic_quality"]


def test_a_judge_that_fails(crewai_trace: Trace, evaluated: Any) -> None:
    clerk = agent("Clerk", ScriptedLLM("Hello"))
    evaluated(clerk, ScriptedLLM(RuntimeError("the judge is ill"), model="openai/judge"), GoalAlignmentEvaluator)

    Crew(agents=[clerk], tasks=[task("Greet", clerk, name="greet")]).kickoff()
    finish_handlers()

    assert crewai_trace.render() == tree(
        """
        crew crew
          task greet
            agent Clerk
              llm gpt-4o-mini -> 'Hello'
          evaluation Clerk !! RuntimeError: the judge is ill
            llm judge !! RuntimeError: the judge is ill
        """
    )
    assert crewai_trace.crews.one().status == "ok"


# -- the context window -----------------------------------------------------------------------------------------------


def test_a_provider_that_refuses_a_conversation_as_too_long(crewai_trace: Trace) -> None:
    """crewAI has it summarised and asks again, in the same run of the agent."""
    too_long = RuntimeError("This model's maximum context length is 400 tokens")
    script = ScriptedLLM(calls("search", query="AI"), too_long, "AI is big", "Done", native=True)

    one_agent_crew(script, tools=[search]).kickoff(inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> search(query='AI')
              tool search(query='AI') -> 'results for AI'
              llm gpt-4o-mini !! RuntimeError: This model's maximum context length is 400 tokens
              llm gpt-4o-mini -> 'AI is big'
              llm gpt-4o-mini -> 'Done'
        """
    )
    assert crewai_trace.agent("Researcher").status == "ok"


class Narrow(ScriptedLLM):
    """A model for which a tool's answer is too much."""

    def get_context_window_size(self) -> int:
        return 700


@pytest.mark.skipif(before("1.15.30"), reason="crewAI does not look ahead before 1.15.30")
def test_a_conversation_that_is_summarised_before_it_is_too_long(crewai_trace: Trace) -> None:
    """The summary's calls stand between two calls of the agent; the agent's span tells when it began and ended."""

    def reply(messages: Any) -> str:
        text = str(messages)
        return "AI is big" if "precise assistant that creates structured summaries" in text else "Done"

    script = Narrow(calls("search", query="AI " * 600), reply, repeat_last=True, native=True)
    one_agent_crew(script, tools=[search]).kickoff(inputs={"topic": "AI"})

    told = [event.name for event in crewai_trace.agent("Researcher").events]
    begun = told.index("context_window_summarization_started")
    assert "context_window_summarization_completed" in told[begun:]
    assert crewai_trace.task("research").output == "Done"
    assert all(span.status == "ok" for span in crewai_trace.spans)

"""A2A: an agent that hands its task to a remote agent, a real one on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from crewai import Crew

from pytest_crewai_trace import Trace
from tests.support import a2a_server
from tests.support.crews import agent, task, tree
from tests.support.llm import ScriptedLLM
from tests.support.mcp_server import closed_port

pytest.importorskip("a2a", reason="crewAI's a2a extra is not installed")

from crewai.a2a.config import A2AClientConfig
from crewai.a2a.updates import PollingConfig


@pytest.fixture(scope="module")
def station() -> Iterator[str]:
    with a2a_server.serving() as card:
        yield card


def delegates(card: str, message: str) -> str:
    return json.dumps({"a2a_ids": [card], "message": message, "is_a2a": True})


def answers(message: str) -> str:
    return json.dumps({"a2a_ids": [], "message": message, "is_a2a": False})


def clerk(card: str, *replies: Any, **options: Any) -> Any:
    return agent("Clerk", ScriptedLLM(*replies), a2a=A2AClientConfig(endpoint=card, **options))


def kickoff(card: str, *replies: Any, **options: Any) -> None:
    one = clerk(card, *replies, **options)
    Crew(agents=[one], tasks=[task("What is the weather?", one, name="answer")]).kickoff()


def without_models(text: str) -> str:
    """The tree without what the models said, which holds the server's port."""
    return re.sub(r"(?m)^( *llm \S+) -> .*$", r"\1", text)


ONE_TURN = tree(
    """
    crew crew
      task answer
        agent Clerk
          llm gpt-4o-mini
        a2a delegation Weather station
          a2a conversation Weather station
        agent Clerk
          llm gpt-4o-mini
    """
)


@pytest.mark.parametrize("updates", ["streaming", "polling"])
def test_a_task_that_is_handed_to_a_remote_agent(crewai_trace: Trace, station: str, updates: str) -> None:
    """crewAI ends the delegation, the conversation, the task and the crew each in the name of another scope."""
    options = {"updates": PollingConfig(interval=0.05)} if updates == "polling" else {}
    kickoff(station, delegates(station, "Weather?"), answers("It is sunny"), **options)

    assert without_models(crewai_trace.render()) == ONE_TURN
    assert all(span.status == "ok" for span in crewai_trace.spans)
    delegation, conversation = crewai_trace.a2a
    assert (delegation.request, delegation.result) == ("Weather?", "Sunny.")
    assert delegation.endpoint == station
    assert (delegation.agent_role, delegation.task_name) == ("Clerk", "answer")
    assert conversation.result == "It is sunny"
    assert crewai_trace.task("answer").output == "It is sunny"


def test_a_conversation_of_two_turns(crewai_trace: Trace, station: str) -> None:
    kickoff(station, delegates(station, "Weather?"), delegates(station, "And now?"), answers("It is sunny"))

    assert without_models(crewai_trace.render()) == tree(
        """
        crew crew
          task answer
            agent Clerk
              llm gpt-4o-mini
            a2a delegation Weather station
              a2a conversation Weather station
            agent Clerk
              llm gpt-4o-mini
            a2a delegation Weather station
            agent Clerk
              llm gpt-4o-mini
        """
    )
    assert [span.request for span in crewai_trace.a2a if span.operation == "delegation"] == ["Weather?", "And now?"]
    assert all(span.status == "ok" for span in crewai_trace.spans)


def test_a_remote_agent_that_fails(crewai_trace: Trace, station: str) -> None:
    kickoff(station, delegates(station, "Is there a storm?"), answers("I do not know"))

    assert without_models(crewai_trace.render()) == ONE_TURN.replace(
        "a2a delegation Weather station", "a2a delegation Weather station !! The station is down."
    )


def test_a_lone_agent_that_delegates(crewai_trace: Trace, station: str) -> None:
    clerk(station, delegates(station, "Weather?"), answers("It is sunny")).kickoff("What is the weather?")

    assert without_models(crewai_trace.render()) == tree(
        """
        agent Clerk
          llm gpt-4o-mini
        a2a delegation Weather station
          a2a conversation Weather station
        agent Clerk
          llm gpt-4o-mini
        """
    )
    assert all(span.status == "ok" for span in crewai_trace.spans)


def test_a_remote_agent_that_is_down(crewai_trace: Trace) -> None:
    card = f"http://127.0.0.1:{closed_port()}/.well-known/agent-card.json"

    with pytest.raises(RuntimeError, match="Failed to fetch agent card"):
        kickoff(card, "No idea")

    crew, answer = crewai_trace.spans
    assert [(span.kind, span.status) for span in (crew, answer)] == [("crew", "error"), ("task", "error")]
    assert [event.name for event in answer.events] == ["a2a_connection_error"]


def test_a_remote_agent_that_is_down_and_not_needed(crewai_trace: Trace) -> None:
    card = f"http://127.0.0.1:{closed_port()}/.well-known/agent-card.json"
    kickoff(card, "No idea", fail_fast=False)

    assert crewai_trace.render() == tree(
        """
        crew crew
          task answer
            agent Clerk
              llm gpt-4o-mini -> 'No idea'
        """
    )
    assert "a2a_connection_error" in [event.name for event in crewai_trace.task("answer").events]

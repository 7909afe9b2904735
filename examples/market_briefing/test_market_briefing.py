"""Async runs: the same questions and the same tree, however the crew is started and whatever runs beside it."""

import asyncio

import pytest
from syrupy.assertion import SnapshotAssertion

from examples.market_briefing.crew import briefing_crew
from examples.scripted_llm import ScriptedLLM, tool_call
from pytest_crewai_trace import ToolCall, Trace

TREE = """
crew briefing
  task news
    agent News Reader
      llm gpt-4o-mini -> 'Acme opens a shop'
  task prices
    agent Price Analyst
      llm gpt-4o-mini -> latest_price(company='Acme')
      tool latest_price(company='Acme') -> 'Acme: 42.00 EUR'
      llm gpt-4o-mini -> 'Acme costs 42 EUR'
  task brief
    agent Editor
      llm gpt-4o-mini -> 'Acme: 42 EUR, opens a shop'
""".strip()


def model(company: str = "Acme") -> ScriptedLLM:
    return ScriptedLLM(
        {
            "News Reader": [f"{company} opens a shop"],
            "Price Analyst": [tool_call("latest_price", company=company), f"{company} costs 42 EUR"],
            "Editor": [f"{company}: 42 EUR, opens a shop"],
        }
    )


@pytest.mark.asyncio
async def test_akickoff(crewai_trace: Trace) -> None:
    """Async tasks as coroutines on the test's own event loop."""
    await briefing_crew(model()).akickoff(inputs={"company": "Acme"})

    assert crewai_trace.render() == TREE


@pytest.mark.asyncio
async def test_kickoff_async(crewai_trace: Trace) -> None:
    """The crew in a thread, its async tasks in threads of their own."""
    await briefing_crew(model()).kickoff_async(inputs={"company": "Acme"})

    assert crewai_trace.render() == TREE


def test_kickoff(crewai_trace: Trace) -> None:
    """A plain test, a plain call; the async tasks still run in threads."""
    briefing_crew(model()).kickoff(inputs={"company": "Acme"})

    assert crewai_trace.render() == TREE


@pytest.mark.asyncio
async def test_the_editor_waits_for_both(crewai_trace: Trace) -> None:
    await briefing_crew(model()).akickoff(inputs={"company": "Acme"})

    assert crewai_trace.tasks.last.name == "brief"
    question = crewai_trace.task("brief").llm_calls.one().messages[-1]["content"]
    assert "Acme opens a shop" in question
    assert "Acme costs 42 EUR" in question


@pytest.mark.asyncio
@pytest.mark.parametrize("start", ["akickoff", "kickoff_async"])
async def test_two_crews_at_once_keep_apart(start: str, crewai_trace: Trace) -> None:
    """Any span answers the questions that the trace answers, about what happened inside it."""
    companies = ["Acme", "Globex"]

    await asyncio.gather(
        *(getattr(briefing_crew(model(company)), start)(inputs={"company": company}) for company in companies)
    )

    crews = {crew.inputs["company"]: crew for crew in crewai_trace.crews}
    assert sorted(crews) == companies
    for company, crew in crews.items():
        assert crew.tool_calls == [ToolCall("latest_price", {"company": company})]
        assert crew.usage.requests == 4
        assert crew.output == f"{company}: 42 EUR, opens a shop"
    assert crewai_trace.usage.requests == 8


@pytest.mark.asyncio
@pytest.mark.parametrize("start", ["akickoff", "kickoff_async"])
async def test_crews_at_once_have_one_snapshot(start: str, crewai_trace: Trace, snapshot: SnapshotAssertion) -> None:
    """What runs at the same time is put in an order that is the same in every run."""
    crews = {company: briefing_crew(model(company)) for company in ("Initech", "Acme", "Globex")}

    await asyncio.gather(*(getattr(crew, start)(inputs={"company": name}) for name, crew in crews.items()))

    assert crewai_trace == snapshot(name="three crews")

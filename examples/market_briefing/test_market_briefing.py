"""Async runs: the same questions and the same tree, however the crew is started and whatever runs beside it."""

import asyncio
from collections.abc import Callable

import pytest
from syrupy.assertion import SnapshotAssertion

from examples.market_briefing.crew import briefing_crew
from pytest_crewai_trace import Request, Script, ToolCall, Trace

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


def replies(crewai_llm: Script, company: str = "Acme") -> None:
    """What the three say when they are asked about a company."""

    def asked(role: str) -> Callable[[Request], bool]:
        return lambda request: request.agent == role and company in request.prompt

    crewai_llm.when(asked("News Reader")).reply(f"{company} opens a shop")
    crewai_llm.when(asked("Price Analyst")).call_tool("latest_price", company=company).reply(f"{company} costs 42 EUR")
    crewai_llm.when(asked("Editor")).reply(f"{company}: 42 EUR, opens a shop")


@pytest.mark.asyncio
async def test_akickoff(crewai_llm: Script, crewai_trace: Trace) -> None:
    """Async tasks as coroutines on the test's own event loop."""
    replies(crewai_llm)

    await briefing_crew().akickoff(inputs={"company": "Acme"})

    assert crewai_trace.render() == TREE


@pytest.mark.asyncio
async def test_kickoff_async(crewai_llm: Script, crewai_trace: Trace) -> None:
    """The crew in a thread, its async tasks in threads of their own."""
    replies(crewai_llm)

    await briefing_crew().kickoff_async(inputs={"company": "Acme"})

    assert crewai_trace.render() == TREE


def test_kickoff(crewai_llm: Script, crewai_trace: Trace) -> None:
    """A plain test, a plain call; the async tasks still run in threads."""
    replies(crewai_llm)

    briefing_crew().kickoff(inputs={"company": "Acme"})

    assert crewai_trace.render() == TREE


@pytest.mark.asyncio
async def test_the_editor_waits_for_both(crewai_llm: Script, crewai_trace: Trace) -> None:
    replies(crewai_llm)

    await briefing_crew().akickoff(inputs={"company": "Acme"})

    assert crewai_trace.tasks.last.name == "brief"
    question = crewai_trace.task("brief").llm_calls.one().messages[-1]["content"]
    assert "Acme opens a shop" in question
    assert "Acme costs 42 EUR" in question


@pytest.mark.asyncio
@pytest.mark.parametrize("start", ["akickoff", "kickoff_async"])
async def test_two_crews_at_once_keep_apart(start: str, crewai_llm: Script, crewai_trace: Trace) -> None:
    """Any span answers the questions that the trace answers, about what happened inside it."""
    companies = ["Acme", "Globex"]
    for company in companies:
        replies(crewai_llm, company)

    await asyncio.gather(*(getattr(briefing_crew(), start)(inputs={"company": company}) for company in companies))

    crews = {crew.inputs["company"]: crew for crew in crewai_trace.crews}
    assert sorted(crews) == companies
    for company, crew in crews.items():
        assert crew.tool_calls == [ToolCall("latest_price", {"company": company})]
        assert crew.usage.requests == 4
        assert crew.output == f"{company}: 42 EUR, opens a shop"
    assert crewai_trace.usage.requests == 8


@pytest.mark.asyncio
@pytest.mark.parametrize("start", ["akickoff", "kickoff_async"])
async def test_crews_at_once_have_one_snapshot(
    start: str, crewai_llm: Script, crewai_trace: Trace, snapshot: SnapshotAssertion
) -> None:
    """What runs at the same time is put in an order that is the same in every run."""
    crews = {company: briefing_crew() for company in ("Initech", "Acme", "Globex")}
    for company in crews:
        replies(crewai_llm, company)

    await asyncio.gather(*(getattr(crew, start)(inputs={"company": name}) for name, crew in crews.items()))

    assert crewai_trace == snapshot(name="three crews")

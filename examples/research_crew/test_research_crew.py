"""What a test of a crew asks its trace: who worked, in which order, with which tools, for how many tokens."""

from decimal import Decimal

import pytest
from crewai import Crew
from crewai_tools import SerperDevTool
from syrupy.assertion import SnapshotAssertion

from examples.research_crew.conftest import SerperServer
from examples.research_crew.crew import research_crew
from pytest_crewai_trace import Faults, Script, ToolCall, Trace

SEARCH = "search_the_internet_with_serper"
TREE = """
crew crew
  task research
    agent Senior Research Analyst
      llm gpt-4o-mini -> search_the_internet_with_serper(search_query='AI agents 2026')
      tool search_the_internet_with_serper(search_query='AI agents 2026') -> "{'searchParameters': {'q': 'AI a...', 'po…
      llm gpt-4o-mini -> '- Agents got tests (example.org)'
  task write
    agent Tech Content Strategist
      llm gpt-4o-mini -> '# Agents get tests'
""".strip()


@pytest.fixture
def crew(serper: SerperServer) -> Crew:
    """The crew as it runs in production, but for the address of the search engine."""
    return research_crew(SerperDevTool(base_url=serper.url))


@pytest.fixture
def article(crewai_llm: Script) -> None:
    """The researcher searches once; the strategist writes a heading."""
    crewai_llm.usage = {"input_tokens": 100, "output_tokens": 20}
    researcher = crewai_llm.agent("Senior Research Analyst")
    researcher.call_tool(SEARCH, search_query="AI agents 2026").reply("- Agents got tests (example.org)")
    crewai_llm.agent("Tech Content Strategist").reply("# Agents get tests")


@pytest.mark.usefixtures("article")
def test_the_researcher_works_before_the_writer(crew: Crew, crewai_trace: Trace) -> None:
    crew.kickoff(inputs={"topic": "AI agents"})

    assert crewai_trace.agents.names == ["Senior Research Analyst", "Tech Content Strategist"]
    assert crewai_trace.tasks.names == ["research", "write"]


@pytest.mark.usefixtures("article")
def test_only_the_researcher_searches(crew: Crew, serper: SerperServer, crewai_trace: Trace) -> None:
    crew.kickoff(inputs={"topic": "AI agents"})

    assert crewai_trace.tool_calls == [ToolCall(SEARCH, {"search_query": "AI agents 2026"})]
    assert crewai_trace.agent("Tech Content Strategist").tool_calls == []
    assert serper.queries == ["AI agents 2026"]


@pytest.mark.usefixtures("article")
def test_the_writer_reads_what_was_found(crew: Crew, crewai_trace: Trace) -> None:
    crew.kickoff(inputs={"topic": "AI agents"})

    assert "https://example.org/agents" in str(crewai_trace.tool(SEARCH).result)
    findings = crewai_trace.task("research").output
    assert findings == "- Agents got tests (example.org)"
    assert findings in crewai_trace.task("write").llm_calls.first.messages[-1]["content"]
    assert crewai_trace.output == "# Agents get tests"


@pytest.mark.usefixtures("article")
def test_the_inputs_are_filled_in(crew: Crew, crewai_trace: Trace) -> None:
    crew.kickoff(inputs={"topic": "AI agents"})

    assert crewai_trace.crews.one().inputs == {"topic": "AI agents"}
    assert crewai_trace.task("write").description.startswith("Write an article on AI agents")


@pytest.mark.usefixtures("article")
def test_an_article_costs_less_than_a_cent(crew: Crew, crewai_trace: Trace) -> None:
    crew.kickoff(inputs={"topic": "AI agents"})

    assert crewai_trace.usage.requests == 3
    assert crewai_trace.usage.total_tokens < 2_000
    assert crewai_trace.cost is not None
    assert crewai_trace.cost < Decimal("0.01")


@pytest.mark.usefixtures("article")
def test_most_tokens_go_into_the_research(crew: Crew, crewai_trace: Trace) -> None:
    crew.kickoff(inputs={"topic": "AI agents"})

    tokens = {agent.name: agent.usage.total_tokens for agent in crewai_trace.agents}
    assert tokens == {"Senior Research Analyst": 240, "Tech Content Strategist": 120}


@pytest.mark.usefixtures("article")
def test_a_refused_search_does_not_stop_the_crew(crew: Crew, serper: SerperServer, crewai_trace: Trace) -> None:
    serper.status = 403

    crew.kickoff(inputs={"topic": "AI agents"})

    search = crewai_trace.tool(SEARCH)
    assert search.status == "error"
    assert search.error.type == "HTTPError"
    assert search.error.message.startswith("403 Client Error")
    assert crewai_trace.crews.one().status == "ok"


def test_a_model_that_is_down_stops_the_crew(crew: Crew, crewai_llm: Script, crewai_trace: Trace) -> None:
    crewai_llm.agent("Senior Research Analyst").fail(ConnectionError("model is down"), times=3)

    with pytest.raises(ConnectionError, match="model is down"):
        crew.kickoff(inputs={"topic": "AI agents"})

    assert {error.message for error in crewai_trace.errors} == {"model is down"}
    assert len(crewai_trace.llm_calls.failed) == 3  # crewAI tries an agent three times
    assert crewai_trace.tasks.failed.names == ["research"]
    assert crewai_trace.crews.failed.names == ["crew"]
    assert not crewai_trace.tool_calls


@pytest.mark.usefixtures("article")
def test_a_model_that_is_down_for_a_moment_does_not(crew: Crew, crewai_faults: Faults, crewai_trace: Trace) -> None:
    crewai_faults.llm(agent="Tech Content Strategist").timeout()

    assert crew.kickoff(inputs={"topic": "AI agents"}).raw == "# Agents get tests"

    assert [call.status for call in crewai_trace.task("write").llm_calls] == ["error", "ok"]


@pytest.mark.usefixtures("article")
def test_the_whole_run(crew: Crew, crewai_trace: Trace) -> None:
    crew.kickoff(inputs={"topic": "AI agents"})

    assert crewai_trace.render() == TREE


@pytest.mark.usefixtures("article")
def test_what_the_agents_do_has_not_changed(crew: Crew, crewai_trace: Trace, snapshot: SnapshotAssertion) -> None:
    """The accepted run is in __snapshots__; a change of behaviour is accepted with --snapshot-update."""
    crew.kickoff(inputs={"topic": "AI agents"})

    assert crewai_trace == snapshot

"""Skills: found when an agent is built, loaded by the model when it needs one, or active from the start."""

from __future__ import annotations

from pathlib import Path

import pytest
from crewai import Agent, Crew
from crewai.skills import activate_skill, discover_skills

from pytest_crewai_trace import Trace
from tests.support.crews import agent, task, tree
from tests.support.llm import ScriptedLLM, calls
from tests.support.versions import before


@pytest.fixture
def skills(tmp_path: Path) -> Path:
    folder = tmp_path / "skills"
    for name in ("billing", "greeting"):
        (folder / name).mkdir(parents=True)
        text = f"---\nname: {name}\ndescription: How to do {name}\n---\n\nBe polite about {name}.\n"
        (folder / name / "SKILL.md").write_text(text, encoding="utf-8")
    return folder


def greets(clerk: Agent) -> Crew:
    return Crew(agents=[clerk], tasks=[task("Greet", clerk, name="greet")])


def names_of_events(trace: Trace) -> list[str]:
    told = [*trace.events, *(event for span in trace.spans for event in span.events)]
    return [event.name for event in told if event.name.startswith("skill_")]


def test_discovery_happens_when_the_agent_is_built(crewai_trace: Trace, skills: Path) -> None:
    clerk = agent("Clerk", ScriptedLLM("Hello"), skills=[skills])
    found = crewai_trace.skills.first

    assert (found.operation, found.name, found.agent_role, found.status) == ("discovery", "skills", "Clerk", "ok")
    assert found.found == ("billing", "greeting")
    # A broken look-up of the pairs would leave one of them open. Newer versions look twice.
    assert set(crewai_trace.render().split("\n")) == {"skill discovery skills"}
    assert len(crewai_trace.skills) == len(crewai_trace.spans)

    greets(clerk).kickoff()

    assert crewai_trace.crews.one().render() == tree(
        """
        crew crew
          task greet
            agent Clerk
              llm gpt-4o-mini -> 'Hello'
        """
    )


def test_a_broken_skill_is_told_of(crewai_trace: Trace, skills: Path) -> None:
    (skills / "broken").mkdir()
    (skills / "broken" / "SKILL.md").write_text("no front matter", encoding="utf-8")

    agent("Clerk", ScriptedLLM("Hello"), skills=[skills])

    told = names_of_events(crewai_trace)
    assert told.count("skill_load_failed") == len(crewai_trace.skills)
    assert told.count("skill_loaded") == 2 * len(crewai_trace.skills)


@pytest.mark.skipif(before("1.15.21"), reason="the model cannot load a skill before crewAI 1.15.21")
def test_a_skill_that_the_model_loads(crewai_trace: Trace, skills: Path) -> None:
    script = ScriptedLLM(calls("load_skill", skill_name="greeting"), "Hello", native=True)
    greets(agent("Clerk", script, skills=[skills])).kickoff()

    call = crewai_trace.tool("load_skill")
    assert call.arguments == {"skill_name": "greeting"}
    assert "Be polite about greeting." in call.result
    assert [event.name for event in call.events] == ["skill_activated", "skill_used"]
    assert [span.kind for span in crewai_trace.agent("Clerk").children] == ["llm", "tool", "llm"]


def test_skills_that_are_active_from_the_start(crewai_trace: Trace, skills: Path) -> None:
    active = [activate_skill(skill) for skill in discover_skills(skills)]
    greets(agent("Clerk", ScriptedLLM("Hello"), skills=active)).kickoff()

    assert crewai_trace.render() == tree(
        """
        crew crew
          task greet
            agent Clerk
              llm gpt-4o-mini -> 'Hello'
        """
    )
    expected = [] if before("1.15.21") else ["skill_used", "skill_used"]
    assert [event.name for event in crewai_trace.task("greet").events if event.name == "skill_used"] == expected

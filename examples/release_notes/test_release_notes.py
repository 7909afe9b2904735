"""A project of YAML files and ``@CrewBase``: names come from the files and from the methods' names."""

import pytest
from crewai import Crew
from syrupy.assertion import SnapshotAssertion

from examples.release_notes.crew import ReleaseNotes, ReleaseNotesCrew
from examples.scripted_llm import ScriptedLLM, tool_call
from pytest_crewai_trace import ToolCall, Trace

TREE = """
crew release notes
  task collect_changes
    agent Aurora Change Historian
      llm gpt-4o-mini -> list_changes(version='2.0')
      tool list_changes(version='2.0') -> 'new: dark mode\\nbreaking: Python 3.9 is gone'
      llm gpt-4o-mini -> '- dark mode\\n- Python 3.9 is gone'
  task write_notes
    agent Release Author
      llm gpt-4o-mini -> '{"headline": "Dark!", "highlights": ["dark mode"], "breaking": true}'
""".strip()

INPUTS = {"product": "Aurora", "version": "2.0"}
NOTES = '{"headline": "Dark!", "highlights": ["dark mode"], "breaking": true}'


def release_notes_crew(version: str = "2.0") -> Crew:
    llm = ScriptedLLM(
        {
            "Aurora Change Historian": [
                tool_call("list_changes", version=version),
                "- dark mode\n- Python 3.9 is gone",
            ],
            "Release Author": [NOTES],
        }
    )
    return ReleaseNotesCrew(llm).crew()


def test_roles_and_tasks_come_from_the_yaml_files(crewai_trace: Trace) -> None:
    release_notes_crew().kickoff(inputs=INPUTS)

    assert crewai_trace.crews.names == ["release notes"]
    assert crewai_trace.tasks.names == ["collect_changes", "write_notes"]
    assert crewai_trace.agents.names == ["Aurora Change Historian", "Release Author"]
    assert crewai_trace.task("collect_changes").description.strip().startswith("List the changes in Aurora 2.0")


def test_the_historian_looks_the_changes_up(crewai_trace: Trace) -> None:
    release_notes_crew().kickoff(inputs=INPUTS)

    assert crewai_trace.tool_calls == [ToolCall("list_changes", {"version": "2.0"})]
    assert crewai_trace.tool("list_changes").agent_role == "Aurora Change Historian"
    assert crewai_trace.tool("list_changes").result == "new: dark mode\nbreaking: Python 3.9 is gone"


def test_the_notes_are_structured(crewai_trace: Trace) -> None:
    output = release_notes_crew().kickoff(inputs=INPUTS)

    notes = {"headline": "Dark!", "highlights": ["dark mode"], "breaking": True}
    assert output.pydantic == ReleaseNotes.model_validate(notes)
    assert crewai_trace.task("write_notes").output_data == notes


def test_a_version_that_nobody_made(crewai_trace: Trace) -> None:
    release_notes_crew(version="3.0").kickoff(inputs=INPUTS)

    assert crewai_trace.tools.failed.names == ["list_changes"]
    assert crewai_trace.tool("list_changes").error.message == "no version 3.0"


@pytest.mark.parametrize(("name", "tokens"), [("collect_changes", 240), ("write_notes", 120)])
def test_tokens_of_each_task(name: str, tokens: int, crewai_trace: Trace) -> None:
    release_notes_crew().kickoff(inputs=INPUTS)

    assert crewai_trace.task(name).usage.total_tokens == tokens


def test_the_whole_run(crewai_trace: Trace) -> None:
    release_notes_crew().kickoff(inputs=INPUTS)

    assert crewai_trace.render() == TREE


def test_a_part_of_the_run(crewai_trace: Trace, crewai_snapshot: SnapshotAssertion) -> None:
    """A span is compared like a trace; what does not matter here is left out."""
    release_notes_crew().kickoff(inputs=INPUTS)

    assert crewai_trace.task("collect_changes") == crewai_snapshot(ignore=["llm"])

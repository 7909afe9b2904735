"""A project of YAML files and ``@CrewBase``: names come from the files and from the methods' names."""

import pytest
from syrupy.assertion import SnapshotAssertion

from examples.release_notes.crew import ReleaseNotes, ReleaseNotesCrew
from pytest_crewai_trace import Script, ToolCall, Trace

TREE = """
crew release notes
  task collect_changes
    agent Aurora Change Historian
      llm gpt-4o-mini -> list_changes(version='2.0')
      tool list_changes(version='2.0') -> 'new: dark mode\\nbreaking: Python 3.9 is gone'
      llm gpt-4o-mini -> '- dark mode\\n- Python 3.9 is gone'
  task write_notes
    agent Release Author
      llm gpt-4o-mini -> '{"headline":"Dark!","highlights":["dark mode"],"breaking":true}'
""".strip()

INPUTS = {"product": "Aurora", "version": "2.0"}
NOTES = ReleaseNotes(headline="Dark!", highlights=["dark mode"], breaking=True)


def changes_of(crewai_llm: Script, version: str = "2.0") -> None:
    """The historian looks a version up, the author writes the notes."""
    historian = crewai_llm.agent("Aurora Change Historian")
    historian.call_tool("list_changes", version=version).reply("- dark mode\n- Python 3.9 is gone")
    crewai_llm.task("write_notes").reply(NOTES)


def test_roles_and_tasks_come_from_the_yaml_files(crewai_llm: Script, crewai_trace: Trace) -> None:
    changes_of(crewai_llm)

    ReleaseNotesCrew().crew().kickoff(inputs=INPUTS)

    assert crewai_trace.crews.names == ["release notes"]
    assert crewai_trace.tasks.names == ["collect_changes", "write_notes"]
    assert crewai_trace.agents.names == ["Aurora Change Historian", "Release Author"]
    assert crewai_trace.task("collect_changes").description.strip().startswith("List the changes in Aurora 2.0")


def test_the_historian_looks_the_changes_up(crewai_llm: Script, crewai_trace: Trace) -> None:
    changes_of(crewai_llm)

    ReleaseNotesCrew().crew().kickoff(inputs=INPUTS)

    assert crewai_trace.tool_calls == [ToolCall("list_changes", {"version": "2.0"})]
    assert crewai_trace.tool("list_changes").agent_role == "Aurora Change Historian"
    assert crewai_trace.tool("list_changes").result == "new: dark mode\nbreaking: Python 3.9 is gone"


def test_the_notes_are_structured(crewai_llm: Script, crewai_trace: Trace) -> None:
    changes_of(crewai_llm)

    output = ReleaseNotesCrew().crew().kickoff(inputs=INPUTS)

    assert output.pydantic == NOTES
    assert crewai_trace.task("write_notes").output_data == NOTES.model_dump()


def test_a_version_that_nobody_made(crewai_llm: Script, crewai_trace: Trace) -> None:
    changes_of(crewai_llm, version="3.0")

    ReleaseNotesCrew().crew().kickoff(inputs=INPUTS)

    assert crewai_trace.tools.failed.names == ["list_changes"]
    assert crewai_trace.tool("list_changes").error.message == "no version 3.0"


@pytest.mark.parametrize(("name", "tokens"), [("collect_changes", 240), ("write_notes", 120)])
def test_tokens_of_each_task(name: str, tokens: int, crewai_llm: Script, crewai_trace: Trace) -> None:
    changes_of(crewai_llm)
    crewai_llm.usage = {"input_tokens": 100, "output_tokens": 20}

    ReleaseNotesCrew().crew().kickoff(inputs=INPUTS)

    assert crewai_trace.task(name).usage.total_tokens == tokens


def test_the_whole_run(crewai_llm: Script, crewai_trace: Trace) -> None:
    changes_of(crewai_llm)

    ReleaseNotesCrew().crew().kickoff(inputs=INPUTS)

    assert crewai_trace.render() == TREE


def test_a_part_of_the_run(crewai_llm: Script, crewai_trace: Trace, crewai_snapshot: SnapshotAssertion) -> None:
    """A span is compared like a trace; what does not matter here is left out."""
    changes_of(crewai_llm)

    ReleaseNotesCrew().crew().kickoff(inputs=INPUTS)

    assert crewai_trace.task("collect_changes") == crewai_snapshot(ignore=["llm"])

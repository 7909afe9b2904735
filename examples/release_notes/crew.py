"""A project as ``crewai create crew`` lays it out: agents and tasks in YAML, the crew in a class."""

from crewai import Agent, Crew, Process, Task
from crewai.project import CrewBase, agent, crew, task
from crewai.tools import tool
from pydantic import BaseModel

CHANGES = {"2.0": ["new: dark mode", "breaking: Python 3.9 is gone"]}


class ReleaseNotes(BaseModel):
    headline: str
    highlights: list[str]
    breaking: bool


@tool("list_changes")
def list_changes(version: str) -> str:
    """The changes that went into a version, one a line."""
    if version not in CHANGES:
        raise LookupError(f"no version {version}")
    return "\n".join(CHANGES[version])


@CrewBase
class ReleaseNotesCrew:
    agents_config = "config/agents.yaml"
    tasks_config = "config/tasks.yaml"

    @agent
    def historian(self) -> Agent:
        return Agent(config=self.agents_config["historian"], tools=[list_changes])

    @agent
    def author(self) -> Agent:
        return Agent(config=self.agents_config["author"])

    @task
    def collect_changes(self) -> Task:
        return Task(config=self.tasks_config["collect_changes"])

    @task
    def write_notes(self) -> Task:
        return Task(config=self.tasks_config["write_notes"], output_pydantic=ReleaseNotes)

    @crew
    def crew(self) -> Crew:
        return Crew(name="release notes", agents=self.agents, tasks=self.tasks, process=Process.sequential)

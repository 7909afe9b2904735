"""What the trace shows of ``@CrewBase`` projects with YAML files."""

from __future__ import annotations

import pytest
from crewai import Agent, Crew, Process, Task
from crewai.project import CrewBase, after_kickoff, agent, before_kickoff, crew, task

from tests.support.crews import search, since, tree
from tests.support.llm import ScriptedLLM, calls

AGENTS = """
researcher:
  role: >
    {topic} Researcher
  goal: >
    Find out about {topic}
  backstory: >
    You know where to look.
writer:
  role: Writer
  goal: Write it down
  backstory: You write.
"""
TASKS = """
research_task:
  description: >
    Research {topic} well.
  expected_output: Facts
  agent: researcher
writing_task:
  description: Write about {topic}.
  expected_output: A text
  agent: writer
  context:
    - research_task
"""
# crewAI names the crew of a project after its class since 1.14; before, every such crew is "crew".
NAME = since({"1.13.0": "crew", "1.14.7": "Project"})


@pytest.fixture
def project(tmp_path):
    """A project of two agents and two tasks, in a folder with its YAML files."""
    (tmp_path / "agents.yaml").write_text(AGENTS, encoding="utf-8")
    (tmp_path / "tasks.yaml").write_text(TASKS, encoding="utf-8")
    llm = ScriptedLLM(
        by_agent={
            "AI Researcher": [calls("search", query="AI"), "facts"],
            "ART Researcher": ["pictures"],
            "LAW Researcher": ["cases"],
            "Writer": ["article"] * 2,
        },
        native=True,
    )

    @CrewBase
    class Project:
        agents_config = str(tmp_path / "agents.yaml")
        tasks_config = str(tmp_path / "tasks.yaml")

        @before_kickoff
        def prepare(self, inputs):
            return {**inputs, "topic": inputs["topic"].upper()}

        @after_kickoff
        def finish(self, output):
            output.raw += "!"
            return output

        @agent
        def researcher(self):
            return Agent(config=self.agents_config["researcher"], llm=llm, tools=[search])

        @agent
        def writer(self):
            return Agent(config=self.agents_config["writer"], llm=llm)

        @task
        def research_task(self):
            return Task(config=self.tasks_config["research_task"])

        @task
        def writing_task(self):
            return Task(config=self.tasks_config["writing_task"])

        @crew
        def crew(self):
            return Crew(agents=self.agents, tasks=self.tasks, process=Process.sequential)

    return Project


def test_a_project(crewai_trace, project):
    output = project().crew().kickoff(inputs={"topic": "ai"})

    assert output.raw == "article!"
    assert crewai_trace.render() == tree(f"""
        crew {NAME}
          task research_task
            agent AI Researcher
              llm gpt-4o-mini -> search(query='AI')
              tool search(query='AI') -> 'results for AI'
              llm gpt-4o-mini -> 'facts'
          task writing_task
            agent Writer
              llm gpt-4o-mini -> 'article'
        """)
    assert crewai_trace.crews.one().inputs["topic"] == "AI"
    assert crewai_trace.task("research_task").description.strip() == "Research AI well."
    assert crewai_trace.agent("AI Researcher").goal.strip() == "Find out about AI"
    assert crewai_trace.tools.of(agent="AI Researcher", task="research_task").names == ["search"]


def test_a_project_for_each_of_several_inputs(crewai_trace, project):
    """Roles come from the inputs, so each run has its own."""
    project().crew().kickoff_for_each(inputs=[{"topic": "art"}, {"topic": "law"}])

    assert crewai_trace.render() == tree(f"""
        crew {NAME}
          task research_task
            agent ART Researcher
              llm gpt-4o-mini -> 'pictures'
          task writing_task
            agent Writer
              llm gpt-4o-mini -> 'article'
        crew {NAME}
          task research_task
            agent LAW Researcher
              llm gpt-4o-mini -> 'cases'
          task writing_task
            agent Writer
              llm gpt-4o-mini -> 'article'
        """)

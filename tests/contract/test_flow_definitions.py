"""What the trace shows of flows that are written as YAML."""

from __future__ import annotations

import pytest
from crewai.flow.flow import Flow
from crewai.tools import BaseTool

from tests.support.crews import tree
from tests.support.openai import Answer, OpenAIServer
from tests.support.versions import before

if before("1.15.0"):
    pytest.skip("crewAI has flow definitions since 1.15", allow_module_level=True)


class Whisper(BaseTool):
    name: str = "whisper"
    description: str = "Say it softer"

    def _run(self, text: str) -> str:
        return text.lower()


DEFINITION = f"""
schema: crewai.flow/v1
name: Declared
state:
  type: dict
  default:
    topic: AI
methods:
  begin:
    start: true
    do:
      call: expression
      expr: state.topic
  choose:
    listen: begin
    router: true
    emit: [go, stop]
    do:
      call: expression
      expr: "'go'"
  act:
    listen: go
    do:
      call: tool
      ref: {__name__}:Whisper
      with:
        text: "${{state.topic}}"
"""


def test_a_flow_definition(crewai_trace):
    Flow.from_declaration(contents=DEFINITION).kickoff()

    assert crewai_trace.render() == tree("""
        flow Declared
          method begin -> 'AI'
          method choose -> 'go'
          method act -> 'ai'
        """)
    assert [method.router for method in crewai_trace.methods] == [False, True, False]


def test_s11_a_flow_definition_that_fails(crewai_trace):
    with pytest.raises(Exception, match="nobody"):
        Flow.from_declaration(contents=DEFINITION.replace("expr: state.topic", "expr: state.nobody")).kickoff()

    assert crewai_trace.methods.failed.names == ["begin"]
    assert crewai_trace.flows.failed.names == ["Declared"]


CREW_AND_AGENT = """
schema: crewai.flow/v1
name: Staffed
state:
  type: dict
  default:
    topic: AI
methods:
  research:
    start: true
    do:
      call: crew
      with:
        name: researchers
        agents:
          researcher:
            role: Researcher
            goal: Find facts
            backstory: Knows where to look.
            llm: openai/gpt-4o-mini
        tasks:
          - name: find
            description: Research {topic}.
            expected_output: Facts
            agent: researcher
      inputs:
        topic: "${state.topic}"
  judge:
    listen: research
    do:
      call: agent
      with:
        role: Judge
        goal: Judge facts
        backstory: Strict.
        llm: openai/gpt-4o-mini
        input: "${outputs.research.raw}"
"""


def test_a_flow_definition_with_a_crew_and_an_agent(crewai_trace, monkeypatch):
    with OpenAIServer([Answer("facts"), Answer("true facts")]) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "loopback")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        Flow.from_declaration(contents=CREW_AND_AGENT).kickoff()

    assert crewai_trace.render() == tree("""
        flow Staffed
          method research -> 'facts'
            crew researchers
              task find
                agent Researcher
                  llm gpt-4o-mini -> 'facts'
          method judge -> 'true facts'
            agent Judge
              llm gpt-4o-mini -> 'true facts'
        """)

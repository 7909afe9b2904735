"""``crewai_llm``: the code under test is not changed, whichever way it comes to its model, and no key is there."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from crewai import LLM, Agent, Crew, Process, Task
from crewai.flow.flow import Flow, listen, start
from crewai.llms.base_llm import BaseLLM
from crewai.project import CrewBase, agent, crew, task
from crewai.tools import tool
from pydantic import BaseModel

from pytest_crewai_trace import ToolCall

MODELS = [
    "openai/gpt-4o-mini",
    "anthropic/claude-sonnet-4-5",
    "gemini/gemini-2.5-flash",
    "groq/llama-3.3-70b",
    "gpt-4o",
]


class Article(BaseModel):
    title: str
    words: int


@tool("search")
def search(query: str) -> str:
    """Search the web."""
    return f"articles about {query}"


def make_agent(role="Researcher", **options):
    return Agent(role=role, goal="Find out", backstory="Curious.", **options)


def make_task(agent=None, name="research", **options):
    return Task(**{"description": f"Do {name}", "expected_output": "facts", **options}, name=name, agent=agent)


def make_crew(*agents, **options):
    return Crew(agents=list(agents), tasks=[make_task(agent, f"task {agent.role}") for agent in agents], **options)


AT_IMPORT = make_crew(make_agent(llm="gpt-4o", tools=[search]))
LLM_WITH_FORMAT = LLM(model="gpt-4o", response_format=Article)
LLM_AT_IMPORT = LLM(model="anthropic/claude-sonnet-4-5")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_TOKEN", "MODEL", "MODEL_NAME"))]:
        monkeypatch.delenv(name)


def names_of(requests):
    return [(request.agent, request.task) for request in requests]


@pytest.mark.parametrize("function_calling", [None, False])
@pytest.mark.parametrize("model", MODELS)
def test_a_model_string(model, function_calling, crewai_llm, crewai_trace):
    crewai_llm.function_calling = function_calling
    crewai_llm.call_tool("search", query="AI").reply("found")

    assert make_crew(make_agent(llm=model, tools=[search])).kickoff().raw == "found"

    assert crewai_trace.tool_calls == [ToolCall("search", {"query": "AI"}, result="articles about AI")]
    assert {call.model for call in crewai_trace.llm_calls} == {model if "/" in model else f"openai/{model}"}
    assert crewai_trace.usage.complete
    assert crewai_trace.usage.input_tokens > 20


@pytest.mark.parametrize("function_calling", [None, False])
def test_agents_made_at_import_time(function_calling, crewai_llm, crewai_trace):
    crewai_llm.function_calling = function_calling
    crewai_llm.agent("Researcher").call_tool("search", query="AI").reply("found")

    assert AT_IMPORT.kickoff().raw == "found"

    assert crewai_trace.tools.names == ["search"]
    assert {call.name for call in crewai_trace.llm_calls} == {"gpt-4o"}


def test_a_model_made_at_import_time(crewai_llm):
    crewai_llm.reply("hello")

    assert LLM_AT_IMPORT.call("hi") == "hello"
    assert crewai_llm.requests[0].text == "hi"


@pytest.mark.parametrize("name", [None, "anthropic/claude-sonnet-4-5"])
def test_the_model_of_the_environment(name, monkeypatch, crewai_llm, crewai_trace):
    if name is not None:
        monkeypatch.setenv("OPENAI_MODEL_NAME", name)
    crewai_llm.reply("found")

    assert make_crew(make_agent()).kickoff().raw == "found"
    assert crewai_trace.llm_calls.one().model.startswith(name or "openai/")


def test_an_llm_object_keeps_its_settings(crewai_llm):
    llm = LLM(model="openai/gpt-4o", temperature=0.2, reasoning_effort="high", stop=["END"])
    crewai_llm.reply("found")

    assert make_crew(make_agent(llm=llm)).kickoff().raw == "found"
    assert (llm.temperature, llm.reasoning_effort) == (0.2, "high")
    assert "END" in llm.stop  # crewAI adds its own


def test_a_model_of_the_users_own(crewai_llm):
    class Gateway(BaseLLM):
        def call(self, messages, *args, **options):
            raise AssertionError("reached")

    crewai_llm.reply("found")

    assert make_crew(make_agent(llm=Gateway(model="own"))).kickoff().raw == "found"


def test_the_fixture_as_llm(crewai_llm, crewai_trace):
    crewai_llm.agent("Researcher").reply("found")
    crewai_llm.agent("Crew Manager").reply("done")
    one = make_agent(llm=crewai_llm)

    assert make_crew(one).kickoff().raw == "found"
    crew = Crew(agents=[one], tasks=[make_task()], process=Process.hierarchical, manager_llm=crewai_llm)
    assert crew.kickoff().raw == "done"
    assert crew.copy().agents[0].llm is not None


def test_a_hierarchical_crew_delegates(crewai_llm, crewai_trace):
    crewai_llm.agent("Crew Manager").call_tool(
        "delegate_work_to_coworker", task="find", context="all", coworker="Researcher"
    ).reply("done")
    crewai_llm.agent("Researcher").call_tool("search", query="AI").reply("found")
    crew = Crew(
        agents=[make_agent(llm="gemini/gemini-2.5-flash", tools=[search])],
        tasks=[make_task()],
        process=Process.hierarchical,
        manager_llm="anthropic/claude-sonnet-4-5",
    )

    assert crew.kickoff().raw == "done"
    assert crewai_trace.agents.names == ["Crew Manager", "Researcher"]
    assert crewai_trace.tools.names == ["delegate_work_to_coworker", "search"]


def test_planning(crewai_llm):
    from crewai.utilities.planning_handler import PlannerTaskPydanticOutput, PlanPerTask

    fields = {name: 1 if "number" in name else "first this, then that" for name in PlanPerTask.model_fields}
    crewai_llm.agent("Task Execution Planner").reply(
        PlannerTaskPydanticOutput(list_of_plans_per_task=[PlanPerTask(**fields)])
    )
    crewai_llm.agent("Researcher").reply("found")

    assert make_crew(make_agent(), planning=True, planning_llm="openai/gpt-4o").kickoff().raw == "found"
    assert "first this, then that" in crewai_llm.requests[-1].prompt


@pytest.mark.parametrize("function_calling", [None, False])
def test_reasoning(function_calling, crewai_llm, crewai_trace):
    crewai_llm.function_calling = function_calling
    replies = crewai_llm.agent("Researcher")
    if function_calling is None:
        replies.call_tool("create_reasoning_plan", plan="look it up", steps=[], ready=True)
    else:
        replies.reply("look it up. READY: I am ready to execute the task.")
    replies.reply("found")

    assert make_crew(make_agent(llm="gpt-4o", reasoning=True)).kickoff().raw == "found"
    assert crewai_trace.reasoning.one().ready
    assert "look it up" in crewai_trace.reasoning.one().plan


@pytest.mark.parametrize("function_calling", [None, False])
def test_memory_needs_no_script(function_calling, crewai_llm, crewai_trace):
    crewai_llm.function_calling = function_calling
    crewai_llm.agent("Researcher").reply("Paris is the capital").reply("again")
    crew = make_crew(make_agent(), memory=True)

    assert crew.kickoff().raw == "Paris is the capital"
    assert crew.kickoff().raw == "again"

    assert "save" in {span.operation for span in crewai_trace.memory}
    assert not crewai_trace.memory.failed
    assert {request.who for request in crewai_llm.requests if request.agent is None} == {"memory"}
    assert "Paris is the capital" in [request for request in crewai_llm.requests if request.agent][-1].prompt


def test_memory_can_be_scripted(crewai_llm, crewai_trace):
    crewai_llm.memory.reply({"memories": ["Berlin is large"]})
    crewai_llm.agent("Researcher").reply("found").reply("again")
    crew = make_crew(make_agent(), memory=True)
    crew.kickoff()
    crew.kickoff()

    assert "Berlin is large" in [request for request in crewai_llm.requests if request.agent][-1].prompt


def test_knowledge(crewai_llm, crewai_trace):
    from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource

    source = StringKnowledgeSource(content="Paris is the capital of France.")
    crewai_llm.agent("Researcher").reply("Paris capital")

    assert make_crew(make_agent(knowledge_sources=[source])).kickoff().raw == "Paris capital"
    assert "Paris is the capital" in crewai_llm.requests[-1].prompt


def test_a_yaml_project(tmp_path, crewai_llm):
    (tmp_path / "agents.yaml").write_text(
        "writer:\n  role: Writer\n  goal: Write\n  backstory: b\n  llm: anthropic/claude-sonnet-4-5\n"
    )
    (tmp_path / "tasks.yaml").write_text("write:\n  description: Write\n  expected_output: text\n  agent: writer\n")

    @CrewBase
    class Project:
        agents_config = str(tmp_path / "agents.yaml")
        tasks_config = str(tmp_path / "tasks.yaml")

        @agent
        def writer(self):
            return Agent(config=self.agents_config["writer"])

        @task
        def write(self):
            return Task(config=self.tasks_config["write"])

        @crew
        def crew(self):
            return Crew(agents=self.agents, tasks=self.tasks)

    crewai_llm.task("write").reply("written")

    assert Project().crew().kickoff().raw == "written"
    assert names_of(crewai_llm.requests) == [("Writer", "write")]


def test_a_flow_with_a_crew_and_a_bare_call(crewai_llm, crewai_trace):
    class Review(Flow):
        @start()
        def write(self):
            return make_crew(make_agent("Writer")).kickoff().raw

        @listen(write)
        def judge(self, text):
            return LLM(model="gemini/gemini-2.5-flash").call(f"Judge {text}")

    crewai_llm.agent("Writer").reply("text")
    crewai_llm.when(lambda request: request.text.startswith("Judge")).reply(lambda request: f"no {request.text}")

    assert Review().kickoff() == "no Judge text"
    assert crewai_trace.method("judge").llm_calls.one().model == "gemini/gemini-2.5-flash"


def test_a_lone_agent(crewai_llm, crewai_trace):
    crewai_llm.agent("Researcher").call_tool("search", query="AI").reply("found")

    assert make_agent(tools=[search]).kickoff("go").raw == "found"
    assert crewai_trace.tools.names == ["search"]


def test_several_calls_in_one_reply(crewai_llm, crewai_trace):
    crewai_llm.call_tools(ToolCall("search", {"query": "a"}), ToolCall("search", {"query": "b"})).reply("found")

    make_crew(make_agent(tools=[search])).kickoff()
    assert sorted(call.arguments["query"] for call in crewai_trace.tool_calls) == ["a", "b"]


@pytest.mark.parametrize("function_calling", [None, False])
@pytest.mark.parametrize(
    "reply", [Article(title="AI", words=3), {"title": "AI", "words": 3}, '{"title": "AI", "words": 3}']
)
def test_output_pydantic(reply, function_calling, crewai_llm):
    crewai_llm.function_calling = function_calling
    crewai_llm.reply(reply)
    one = make_agent()

    output = Crew(agents=[one], tasks=[make_task(one, output_pydantic=Article)]).kickoff()
    assert output.pydantic == Article(title="AI", words=3)


def test_output_json_of_a_text_is_asked_for_again(crewai_llm):
    article = Article(title="AI", words=3)
    crewai_llm.default(lambda request: article if request.response_model is Article else "AI in three words")
    one = make_agent()

    output = Crew(agents=[one], tasks=[make_task(one, output_json=Article)]).kickoff()
    assert output.json_dict == {"title": "AI", "words": 3}


@pytest.mark.parametrize("function_calling", [None, False])
def test_what_crewai_asks_for_an_agent_without_saying_so(function_calling, crewai_llm):
    """A last answer when the agent has had its turns, and a tool's own question, which is nobody's."""

    @tool("ask")
    def ask(question: str) -> str:
        """Ask a model."""
        return LLM(model="gpt-4o").call(question)

    crewai_llm.function_calling = function_calling
    crewai_llm.reply("nobody's")
    crewai_llm.agent("Researcher").call_tool("ask", question="why?").reply("a guess")

    assert make_crew(make_agent(tools=[ask], max_iter=1)).kickoff().raw == "a guess"
    assert [request.agent for request in crewai_llm.requests] == ["Researcher", None, "Researcher"]


def test_a_response_model(crewai_llm):
    crewai_llm.reply(Article(title="AI", words=3))

    assert LLM(model="gpt-4o").call("write", response_model=Article) == Article(title="AI", words=3)


@pytest.mark.parametrize("llm", [None, LLM_WITH_FORMAT])
def test_a_response_format(llm, crewai_llm):
    crewai_llm.reply({"title": "AI", "words": 3})

    assert (llm or LLM(model="gpt-4o", response_format=Article)).call("write") == Article(title="AI", words=3)


@pytest.mark.parametrize("llm", [None, LLM_AT_IMPORT])
def test_an_argument_that_no_provider_knows(llm, crewai_llm):
    """crewAI's conversational flows ask with another argument when they see this error."""
    with pytest.raises(TypeError, match="response_format"):
        (llm or LLM(model="gpt-4o")).call("hi", response_format=Article)


def test_guardrails_ask_again(crewai_llm, crewai_trace):
    crewai_llm.agent("Researcher").reply("short").reply("long enough")
    one = make_agent()
    guarded = make_task(one, guardrail=lambda output: (len(output.raw) > 6, output.raw))

    assert Crew(agents=[one], tasks=[guarded]).kickoff().raw == "long enough"
    assert [check.success for check in crewai_trace.guardrails] == [False, True]


def test_a_guardrail_in_words(crewai_llm):
    crewai_llm.agent("Researcher").reply("text")
    crewai_llm.agent("Guardrail Agent").reply({"valid": True, "feedback": None})
    one = make_agent(llm="gpt-4o")

    assert Crew(agents=[one], tasks=[make_task(one, guardrail="must be text")]).kickoff().raw == "text"


def test_streaming(crewai_llm, crewai_trace):
    crewai_llm.stream(["one ", "two"], thinking="hm").reply("three four")

    assert LLM(model="gpt-4o").call("hi") == "one two"
    assert LLM(model="gpt-4o", stream=True).call("hi") == "three four"
    assert [call.chunks for call in crewai_trace.llm_calls] == [3, 2]
    assert crewai_trace.llm_calls.first.time_to_first_chunk is not None


def test_a_crew_streams(crewai_llm):
    crewai_llm.agent("Researcher").reply("one two three")

    streaming = make_crew(make_agent(), stream=True).kickoff()
    assert "".join(chunk.content for chunk in streaming) == "one two three"
    assert streaming.result.raw == "one two three"


def test_usage_finish_reason_and_thinking(crewai_llm, crewai_trace):
    crewai_llm.reply(
        "cut",
        usage={"input_tokens": 70, "output_tokens": 30, "cached_tokens": 20, "reasoning_tokens": 5},
        finish_reason="length",
    ).reply("1234" * 10)
    llm = LLM(model="gpt-4o")
    llm.call("hi")
    llm.call("12345678")

    first, second = (call.call_usage for call in crewai_trace.llm_calls)
    assert (first.input_tokens, first.output_tokens, first.cached_tokens, first.reasoning_tokens) == (70, 30, 20, 5)
    assert (second.input_tokens, second.output_tokens) == (2, 10)
    assert crewai_trace.llm_calls.first.finish_reason in ("length", None)  # 1.13 has no word for it
    assert llm.get_token_usage_summary().total_tokens == 112
    assert crewai_trace.cost is not None


def test_fail(crewai_llm, crewai_trace):
    crewai_llm.fail(ValueError("down"), times=9)

    with pytest.raises(ValueError, match="down"):
        LLM(model="gpt-4o").call("hi")
    assert crewai_trace.llm_calls.failed.one().error.message == "down"
    crewai_llm.left.clear()


@pytest.mark.parametrize("way", ["akickoff", "kickoff_async"])
def test_async(way, crewai_llm, crewai_trace):
    crewai_llm.agent("Researcher").call_tool("search", query="AI").reply("found")
    crewai_llm.agent("Writer").reply("written")
    crew = make_crew(make_agent(tools=[search]), make_agent("Writer"))

    assert asyncio.run(getattr(crew, way)()).raw == "written"
    assert crewai_trace.agents.names == ["Researcher", "Writer"]


def test_acall(crewai_llm):
    crewai_llm.reply("hello")

    assert asyncio.run(LLM(model="gpt-4o").acall("hi")) == "hello"


def test_crews_in_threads(crewai_llm, crewai_trace):
    crewai_llm.default("found")
    results = []
    crews = [make_crew(make_agent()) for _ in range(3)]
    threads = [threading.Thread(target=lambda crew=crew: results.append(crew.kickoff().raw)) for crew in crews]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == ["found"] * 3
    assert len(crewai_llm.requests) == 3


def test_a_rate_limit_is_waited_for_in_no_time(crewai_llm, crewai_trace):
    class TooMany(Exception):
        status_code = 429

    crewai_llm.agent("Researcher").fail(TooMany("429")).reply("found")

    assert make_crew(make_agent()).kickoff().raw == "found"
    assert crewai_trace.duration < 0.9


def test_hooks_of_the_user(crewai_llm):
    from crewai.hooks import llm_hooks

    def shout(context):
        return context.response.upper()

    def block(context):
        return False

    crewai_llm.default("hello")
    llm_hooks.register_after_llm_call_hook(shout)
    try:
        assert LLM(model="gpt-4o").call("hi") == "HELLO"
        llm_hooks.register_before_llm_call_hook(block)
        with pytest.raises(ValueError, match="blocked"):
            LLM(model="gpt-4o").call("hi")
    finally:
        llm_hooks.unregister_after_llm_call_hook(shout)
        llm_hooks.unregister_before_llm_call_hook(block)
    assert len(crewai_llm.requests) == 1


def test_a_crew_for_each(crewai_llm):
    crewai_llm.default(lambda request: "AI" if "Do AI" in request.text else "ML")
    one = make_agent()
    crew = Crew(agents=[one], tasks=[Task(description="Do {topic}", expected_output="x", agent=one)])

    assert [output.raw for output in crew.kickoff_for_each([{"topic": "AI"}, {"topic": "ML"}])] == ["AI", "ML"]


def test_an_agent_asks_its_coworker(crewai_llm, crewai_trace):
    crewai_llm.agent("Writer").call_tool(
        "ask_question_to_coworker", question="why?", context="all", coworker="Researcher"
    ).reply("written")
    crewai_llm.agent("Researcher").reply("found").reply("because")

    assert make_crew(make_agent(), make_agent("Writer", allow_delegation=True)).kickoff().raw == "written"
    assert crewai_trace.tool("ask_question_to_coworker").result == "because"


def test_a_model_for_function_calls(crewai_llm):
    crewai_llm.agent("Researcher").reply("found")

    assert make_crew(make_agent(function_calling_llm="gemini/gemini-2.5-flash")).kickoff().raw == "found"
    crewai_llm.agent("Researcher").reply("found")
    assert make_crew(make_agent(), function_calling_llm="anthropic/claude-sonnet-4-5").kickoff().raw == "found"


def test_functions_of_a_direct_call(crewai_llm, crewai_trace):
    schema = {"type": "function", "function": {"name": "double", "parameters": {"properties": {"number": {}}}}}
    crewai_llm.call_tool("double", number=2)

    called = LLM(model="gpt-4o").call("hi", tools=[schema], available_functions={"double": lambda number: number * 2})
    assert called == "4"
    assert crewai_trace.tools.names == ["double"]

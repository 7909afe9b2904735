"""What a crew's trace shows, whichever way the crew runs: real crewAI, scripted model, the whole tree."""

from __future__ import annotations

import asyncio
import json

import pytest
from crewai import Crew, Process
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tools import tool
from packaging.specifiers import SpecifierSet
from pydantic import BaseModel

from tests.support.crews import CREWAI, agent, asks, one_agent_crew, search, task, tree
from tests.support.llm import Chunks, ScriptedLLM, calls, final, react

KICKOFFS = {
    "kickoff": lambda crew, inputs: crew.kickoff(inputs=inputs),
    "kickoff_async": lambda crew, inputs: asyncio.run(crew.kickoff_async(inputs=inputs)),
    "akickoff": lambda crew, inputs: asyncio.run(crew.akickoff(inputs=inputs)),
}
FOR_EACH = {
    "kickoff_for_each": lambda crew, inputs: crew.kickoff_for_each(inputs),
    "kickoff_for_each_async": lambda crew, inputs: asyncio.run(crew.kickoff_for_each_async(inputs)),
    "akickoff_for_each": lambda crew, inputs: asyncio.run(crew.akickoff_for_each(inputs)),
}


class Report(BaseModel):
    title: str
    words: int


def research_and_write(native: bool) -> Crew:
    replies = (
        [calls("search", query="AI"), "The answer", "written"]
        if native
        else [react("search", query="AI"), final("The answer"), final("written")]
    )
    llm = ScriptedLLM(*replies, native=native)
    researcher = agent("Researcher", llm, tools=[search])
    writer = agent("Writer", llm)
    return Crew(
        name="newsroom",
        agents=[researcher, writer],
        tasks=[task("Research {topic}", researcher, name="research"), task("Write about {topic}", writer)],
    )


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
@pytest.mark.parametrize("kickoff", list(KICKOFFS))
def test_the_ways_to_kick_off_give_the_same_tree(crewai_trace, kickoff, native):
    result = KICKOFFS[kickoff](research_and_write(native), {"topic": "AI"})

    assert result.raw == "written"
    assert crewai_trace.render() == tree(
        """
        crew newsroom
          task research
            agent Researcher
              llm gpt-4o-mini -> search(query='AI')
              tool search(query='AI') -> 'results for AI'
              llm gpt-4o-mini -> 'The answer'
          task Write about AI
            agent Writer
              llm gpt-4o-mini -> 'written'
        """
        if native
        else r"""
        crew newsroom
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need search.\nAction:...ch\nAction Input: {"query": "AI"}'
              tool search(query='AI') -> 'results for AI'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: The answer'
          task Write about AI
            agent Writer
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: written'
        """
    )
    assert crewai_trace.crews.one().inputs == {"topic": "AI"}
    assert crewai_trace.output == "written"


@pytest.mark.parametrize("kickoff", list(FOR_EACH))
def test_for_each_gives_one_crew_per_input(crewai_trace, kickoff):
    llm = ScriptedLLM(
        lambda messages: final("about cats" if "cats" in asks(messages) else "about dogs"), repeat_last=True
    )

    FOR_EACH[kickoff](one_agent_crew(llm, name="pets"), [{"topic": "cats"}, {"topic": "dogs"}])

    assert crewai_trace.render() == tree(
        r"""
        crew pets
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: about cats'
        crew pets
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: about dogs'
        """
    )
    # Which of two that run at once began first is chance.
    assert sorted(crew.inputs["topic"] for crew in crewai_trace.crews) == ["cats", "dogs"]


@pytest.mark.parametrize("kickoff", ["kickoff", "kickoff_async", "akickoff"])
def test_a_streaming_crew_counts_its_chunks(crewai_trace, kickoff):
    llm = ScriptedLLM(Chunks(("Final ", "Answer: ", "done")))
    crew = one_agent_crew(llm)
    crew.stream = True

    async def consume() -> list[str]:
        stream = await getattr(crew, kickoff)(inputs={"topic": "AI"})
        return [chunk.content async for chunk in stream]

    if kickoff == "kickoff":
        texts = [chunk.content for chunk in crew.kickoff(inputs={"topic": "AI"})]
    else:
        texts = asyncio.run(consume())

    assert "".join(texts) == "Final Answer: done"
    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Final Answer: done'
        """
    )
    call = crewai_trace.llm_calls.one()
    assert call.streamed
    assert call.chunks == 3
    assert 0 <= call.time_to_first_chunk <= call.duration


@pytest.mark.parametrize("manager", ["manager_llm", "manager_agent"])
@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_hierarchical_process(crewai_trace, manager, native):
    order = {"coworker": "Researcher", "task": "Find facts", "context": "all of it"}
    delegate = "delegate_work_to_coworker"
    boss_replies = (
        [calls(delegate, **order), "the report"] if native else [react(delegate, **order), final("the report")]
    )
    llm = ScriptedLLM(
        by_agent={
            "Crew Manager": boss_replies,
            "Boss": boss_replies,
            "Researcher": ["the facts" if native else final("the facts")],
        },
        native=native,
    )
    options = (
        {"manager_llm": llm}
        if manager == "manager_llm"
        else {"manager_agent": agent("Boss", llm, allow_delegation=True)}
    )
    researcher = agent("Researcher", llm)
    crew = Crew(
        agents=[researcher], tasks=[task("Report on AI", name="report")], process=Process.hierarchical, **options
    )

    crew.kickoff()

    boss = "Boss" if manager == "manager_agent" else "Crew Manager"
    assert crewai_trace.render() == tree(
        f"""
        crew crew
          task report
            agent {boss}
              llm gpt-4o-mini -> delegate_work_to_coworker(coworker='Researcher', task='Find facts', context='all of it')
              tool delegate_work_to_coworker(coworker='Researcher', task='Find facts', context='all of it') -> 'the facts'
                agent Researcher
                  llm gpt-4o-mini -> 'the facts'
              llm gpt-4o-mini -> 'the report'
        """  # noqa: E501
        if native
        else rf"""
        crew crew
          task report
            agent {boss}
              llm gpt-4o-mini -> 'Thought: I need delegate_work_to...d facts", "context": "all of it"}}'
              tool delegate_work_to_coworker(coworker='Researcher', task='Find facts', context='all of it') -> 'the facts'
                agent Researcher
                  llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: the facts'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: the report'
        """  # noqa: E501
    )


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_delegation(crewai_trace, native):
    ask = {"coworker": "Expert", "question": "How many?", "context": "moons"}
    work = {"coworker": "Expert", "task": "Count them", "context": "moons"}
    if native:
        lead = [calls("ask_question_to_coworker", **ask), calls("delegate_work_to_coworker", **work), "there are 2"]
        expert = ["two", "counted 2"]
    else:
        lead = [
            react("Ask question to coworker", **ask),
            react("Delegate work to coworker", **work),
            final("there are 2"),
        ]
        expert = [final("two"), final("counted 2")]
    llm = ScriptedLLM(by_agent={"Lead": lead, "Expert": expert}, native=native)
    boss, expert_agent = agent("Lead", llm, allow_delegation=True), agent("Expert", llm)
    crew = Crew(agents=[boss, expert_agent], tasks=[task("Count the moons", boss, name="count")])

    assert crew.kickoff().raw == "there are 2"

    assert crewai_trace.render() == tree(
        """
        crew crew
          task count
            agent Lead
              llm gpt-4o-mini -> ask_question_to_coworker(coworker='Expert', question='How many?', context='moons')
              tool ask_question_to_coworker(coworker='Expert', question='How many?', context='moons') -> 'two'
                agent Expert
                  llm gpt-4o-mini -> 'two'
              llm gpt-4o-mini -> delegate_work_to_coworker(coworker='Expert', task='Count them', context='moons')
              tool delegate_work_to_coworker(coworker='Expert', task='Count them', context='moons') -> 'counted 2'
                agent Expert
                  llm gpt-4o-mini -> 'counted 2'
              llm gpt-4o-mini -> 'there are 2'
        """
        if native
        else r"""
        crew crew
          task count
            agent Lead
              llm gpt-4o-mini -> 'Thought: I need Ask question to ... "How many?", "context": "moons"}'
              tool ask_question_to_coworker(coworker='Expert', question='How many?', context='moons') -> 'two'
                agent Expert
                  llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: two'
              llm gpt-4o-mini -> 'Thought: I need Delegate work to..."Count them", "context": "moons"}'
              tool delegate_work_to_coworker(coworker='Expert', task='Count them', context='moons') -> 'counted 2'
                agent Expert
                  llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: counted 2'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: there are 2'
        """
    )


@pytest.mark.parametrize("kickoff", list(KICKOFFS))
def test_async_tasks_and_a_task_that_joins_them(crewai_trace, kickoff):
    llm = ScriptedLLM(by_agent={"A": [final("from a")], "B": [final("from b")], "Joiner": [final("joined")]})
    a, b, joiner = agent("A", llm), agent("B", llm), agent("Joiner", llm)
    first = task("Do a", a, name="a", async_execution=True)
    second = task("Do b", b, name="b", async_execution=True)
    join = task("Join", joiner, name="join", context=[first, second])

    KICKOFFS[kickoff](Crew(agents=[a, b, joiner], tasks=[first, second, join]), None)

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task a
            agent A
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: from a'
          task b
            agent B
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: from b'
          task join
            agent Joiner
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: joined'
        """
    )


def long_enough(output):
    return (True, output.raw.upper()) if len(output.raw) > 5 else (False, "too short")


def test_a_function_guardrail_that_fails_then_passes(crewai_trace):
    llm = ScriptedLLM(final("short"), final("long enough"))
    writer = agent("Writer", llm)
    crew = Crew(agents=[writer], tasks=[task("Write", writer, guardrail=long_enough, guardrail_max_retries=2)])

    assert crew.kickoff().raw == "LONG ENOUGH"

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task Write
            agent Writer
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: short'
            guardrail long_enough -> rejected: 'too short'
            agent Writer
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: long enough'
            guardrail long_enough (attempt 2) -> passed
        """
    )


def test_a_function_guardrail_that_never_passes(crewai_trace):
    llm = ScriptedLLM(final("short"), repeat_last=True)
    writer = agent("Writer", llm)
    crew = Crew(agents=[writer], tasks=[task("Write", writer, guardrail=long_enough, guardrail_max_retries=1)])

    with pytest.raises(Exception, match="guardrail"):
        crew.kickoff()

    assert crewai_trace.render() == tree(
        r"""
        crew crew !! Exception: Task failed guardrail validation after 1 retries. Last error: too short
          task Write !! Exception: Task failed guardrail validation after 1 retries. Last error: too short
            agent Writer
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: short'
            guardrail long_enough -> rejected: 'too short'
            agent Writer
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: short'
            guardrail long_enough (attempt 2) -> rejected: 'too short'
        """
    )


def test_an_llm_guardrail(crewai_trace):
    llm = ScriptedLLM(
        by_agent={
            "Writer": [final("rude words"), final("kind words")],
            "Guardrail Agent": [
                json.dumps({"valid": False, "feedback": "be kind"}),
                json.dumps({"valid": True, "feedback": None}),
            ],
        }
    )
    writer = agent("Writer", llm)
    crew = Crew(
        agents=[writer], tasks=[task("Write", writer, guardrail="The text must be kind", guardrail_max_retries=2)]
    )

    assert crew.kickoff().raw == "kind words"

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task Write
            agent Writer
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: rude words'
            guardrail The text must be kind -> rejected: 'be kind'
              agent Guardrail Agent
                llm gpt-4o-mini -> {'feedback': 'be kind', 'valid': False}
            agent Writer
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: kind words'
            guardrail The text must be kind (attempt 2) -> passed
              agent Guardrail Agent
                llm gpt-4o-mini -> {'feedback': None, 'valid': True}
        """
    )


def test_several_guardrails(crewai_trace):
    llm = ScriptedLLM(final("the text"))
    writer = agent("Writer", llm)
    crew = Crew(
        agents=[writer],
        tasks=[task("Write", writer, guardrails=[long_enough, lambda output: (True, output.raw + "!")])],
    )

    assert crew.kickoff().raw == "THE TEXT!"

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task Write
            agent Writer
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: the text'
            guardrail long_enough -> passed
            guardrail lambda -> passed
        """
    )


@pytest.mark.parametrize("how", ["output_pydantic", "output_json", "response_model"])
@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_structured_output(crewai_trace, how, native):
    text = json.dumps({"title": "AI", "words": 3})
    llm = ScriptedLLM(text if native else final(text), repeat_last=True, native=native)
    writer = agent("Writer", llm)
    crew = Crew(agents=[writer], tasks=[task("Write", writer, name="write", **{how: Report})])

    crew.kickoff()

    assert crewai_trace.render() == tree(
        """
        crew crew
          task write
            agent Writer
              llm gpt-4o-mini -> {'title': 'AI', 'words': 3}
        """
    )
    expected = {"output_pydantic": "pydantic", "output_json": "json", "response_model": "raw"}[how]
    written = crewai_trace.task("write")
    assert written.output_format == expected
    assert written.output_data == (None if how == "response_model" else {"title": "AI", "words": 3})


def test_a_skipped_conditional_task(crewai_trace):
    llm = ScriptedLLM(final("nothing found"), final("summary"))
    researcher = agent("Researcher", llm)
    crew = Crew(
        agents=[researcher],
        tasks=[
            task("Look", researcher, name="look"),
            task("Dig", researcher, kind=ConditionalTask, name="dig", condition=lambda output: "gold" in output.raw),
            task("Sum up", researcher, name="sum up"),
        ],
    )

    crew.kickoff()

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task look
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: nothing found'
          task sum up
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: summary'
        """
    )


def test_a_conditional_task_that_runs(crewai_trace):
    llm = ScriptedLLM(final("gold"), final("dug"))
    researcher = agent("Researcher", llm)
    crew = Crew(
        agents=[researcher],
        tasks=[
            task("Look", researcher, name="look"),
            task("Dig", researcher, kind=ConditionalTask, name="dig", condition=lambda output: "gold" in output.raw),
        ],
    )

    crew.kickoff()

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task look
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: gold'
          task dig
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: dug'
        """
    )


def test_callbacks_leave_no_spans(crewai_trace):
    heard: list[str] = []
    llm = ScriptedLLM(react("search", query="AI"), final("found"))
    crew = one_agent_crew(llm, tools=[search], step_callback=lambda step: heard.append("step"))
    crew.tasks[0].callback = lambda output: heard.append("task")
    crew.task_callback = lambda output: heard.append("crew task")
    crew.before_kickoff_callbacks.append(lambda inputs: {**inputs, "topic": "robots"})
    crew.after_kickoff_callbacks.append(lambda result: heard.append("after") or result)

    crew.kickoff(inputs={"topic": "AI"})

    assert {"step", "task", "crew task", "after"} <= set(heard)
    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need search.\nAction:...ch\nAction Input: {"query": "AI"}'
              tool search(query='AI') -> 'results for AI'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: found'
        """
    )
    assert crewai_trace.crews.one().inputs == {"topic": "robots"}


def test_crew_planning(crewai_trace):
    plan = {"list_of_plans_per_task": [{"task_number": 1, "task": "Research AI", "plan": "1. think"}]}
    llm = ScriptedLLM(by_agent={"Task Execution Planner": [final(json.dumps(plan))], "Researcher": [final("found")]})
    crew = one_agent_crew(llm)
    crew.planning = True
    crew.planning_llm = llm

    crew.kickoff(inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task Based on these tasks summary: Task Number 1 - Research AI "…
            agent Task Execution Planner
              llm gpt-4o-mini -> {'list_of_plans_per_task': [{'plan': '1. think', 'task': 'Research AI', 'task_number': 1}]}
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: found'
        """  # noqa: E501
    )


def test_a_crew_inside_a_tool(crewai_trace):
    inner = one_agent_crew(ScriptedLLM(final("inner answer")), name="inner")

    @tool("ask_the_crew")
    def ask_the_crew(topic: str) -> str:
        """Ask the other crew."""
        return inner.kickoff(inputs={"topic": topic}).raw

    llm = ScriptedLLM(react("ask_the_crew", topic="AI"), final("outer answer"))

    one_agent_crew(llm, name="outer", tools=[ask_the_crew]).kickoff(inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        r"""
        crew outer
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I need ask_the_crew.\nA...ew\nAction Input: {"topic": "AI"}'
              tool ask_the_crew(topic='AI') -> 'inner answer'
                crew inner
                  task research
                    agent Researcher
                      llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: inner answer'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: outer answer'
        """
    )


def test_human_input(crewai_trace, monkeypatch):
    answers = ["shorter, please", ""]
    monkeypatch.setattr("builtins.input", lambda *args: answers.pop(0))
    llm = ScriptedLLM(final("a long text"), final("a text"))
    writer = agent("Writer", llm)
    crew = Crew(agents=[writer], tasks=[task("Write", writer, name="write", human_input=True)])

    assert crew.kickoff().raw == "a text"

    assert crewai_trace.render() == tree(
        r"""
        crew crew
          task write
            agent Writer
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: a long text'
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: a text'
        """
    )


@pytest.mark.skipif(
    CREWAI in SpecifierSet(">=1.14,<1.15.21"), reason="Crew.train() of this crewAI raises AttributeError by itself"
)
def test_training(crewai_trace, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.input", lambda *args: "shorter, please")
    evaluation = {"suggestions": ["be short"], "quality": 9.0, "final_summary": "keep it short"}
    llm = ScriptedLLM(
        lambda messages: json.dumps(evaluation) if "quality" in asks(messages).lower() else final("a text"),
        repeat_last=True,
    )

    one_agent_crew(llm, name="pupils").train(n_iterations=1, filename="trained.pkl", inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        r"""
        crew train pupils
          crew pupils
            task research
              agent Researcher
                llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: a text'
                llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: a text'
          llm gpt-4o-mini -> '{"suggestions": ["be short"], "q..."final_summary": "keep it short"}'
        """
    )


def test_testing(crewai_trace):
    llm = ScriptedLLM(
        by_agent={"Researcher": [final("a text")], "Task Execution Evaluator": [json.dumps({"quality": 8.5})]},
    )

    one_agent_crew(llm, name="pupils").test(n_iterations=1, eval_llm=llm, inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        r"""
        crew test pupils
          crew pupils
            task research
              agent Researcher
                llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: a text'
              task Based on the task description and the expected output, comp…
                agent Task Execution Evaluator
                  llm gpt-4o-mini -> {'quality': 8.5}
        """
    )


@pytest.mark.parametrize("kickoff", list(KICKOFFS))
def test_s11_a_model_that_raises(crewai_trace, kickoff):
    llm = ScriptedLLM(RuntimeError("model is down"), repeat_last=True)

    with pytest.raises(RuntimeError, match="model is down"):
        KICKOFFS[kickoff](one_agent_crew(llm, max_retry_limit=1), {"topic": "AI"})

    assert crewai_trace.render() == tree(
        """
        crew crew !! RuntimeError: model is down
          task research !! RuntimeError: model is down
            agent Researcher !! RuntimeError: model is down
              llm gpt-4o-mini !! RuntimeError: model is down
            agent Researcher !! RuntimeError: model is down
              llm gpt-4o-mini !! RuntimeError: model is down
        """
    )


def test_s11_a_run_after_one_that_failed(crewai_trace):
    with pytest.raises(RuntimeError, match="model is down"):
        one_agent_crew(ScriptedLLM(RuntimeError("model is down")), name="bad", max_retry_limit=0).kickoff(
            inputs={"topic": "AI"}
        )
    one_agent_crew(ScriptedLLM(final("fine")), name="good").kickoff(inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        r"""
        crew bad !! RuntimeError: model is down
          task research !! RuntimeError: model is down
            agent Researcher !! RuntimeError: model is down
              llm gpt-4o-mini !! RuntimeError: model is down
        crew good
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: fine'
        """
    )


def test_s11_a_run_after_one_that_failed_with_retries(crewai_trace):
    with pytest.raises(RuntimeError, match="model is down"):
        one_agent_crew(
            ScriptedLLM(RuntimeError("model is down"), repeat_last=True), name="bad", max_retry_limit=1
        ).kickoff(inputs={"topic": "AI"})
    one_agent_crew(ScriptedLLM(final("fine")), name="good").kickoff(inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        r"""
        crew bad !! RuntimeError: model is down
          task research !! RuntimeError: model is down
            agent Researcher !! RuntimeError: model is down
              llm gpt-4o-mini !! RuntimeError: model is down
            agent Researcher !! RuntimeError: model is down
              llm gpt-4o-mini !! RuntimeError: model is down
        crew good
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: fine'
        """
    )


def test_s11_a_task_callback_that_raises(crewai_trace):
    def explode(output):
        raise ValueError("callback broke")

    crew = one_agent_crew(ScriptedLLM(final("a text")))
    crew.tasks[0].callback = explode

    with pytest.raises(ValueError, match="callback broke"):
        crew.kickoff(inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        r"""
        crew crew !! ValueError: callback broke
          task research !! ValueError: callback broke
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: a text'
        """
    )


@pytest.mark.parametrize("native", [True, False], ids=["native", "react"])
def test_s11_keyboard_interrupt_in_a_tool(crewai_trace, native):
    @tool("slow")
    def slow(query: str) -> str:
        """Wait for ever."""
        raise KeyboardInterrupt

    llm = ScriptedLLM(calls("slow", query="AI") if native else react("slow", query="AI"), native=native)

    with pytest.raises(KeyboardInterrupt):
        one_agent_crew(llm, tools=[slow]).kickoff(inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        """
        crew crew (open)
          task research (open)
            agent Researcher (open)
              llm gpt-4o-mini -> slow(query='AI')
              tool slow(query='AI') (open)
        """
        if native
        else r"""
        crew crew (open)
          task research (open)
            agent Researcher (open)
              llm gpt-4o-mini -> 'Thought: I need slow.\nAction: slow\nAction Input: {"query": "AI"}'
              tool slow(query='AI') !! KeyboardInterrupt
        """
    )


def test_s11_before_kickoff_that_raises(crewai_trace):
    crew = one_agent_crew(ScriptedLLM(final("a text")))

    def explode(inputs):
        raise ValueError("no inputs")

    crew.before_kickoff_callbacks.append(explode)

    with pytest.raises(ValueError, match="no inputs"):
        crew.kickoff(inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        """
        crew crew !! ValueError: no inputs
        """
    )


def test_two_runs_of_one_crew(crewai_trace):
    crew = one_agent_crew(ScriptedLLM(final("one"), final("two")), name="again")

    crew.kickoff(inputs={"topic": "AI"})
    crew.kickoff(inputs={"topic": "AI"})

    assert crewai_trace.render() == tree(
        r"""
        crew again
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: one'
        crew again
          task research
            agent Researcher
              llm gpt-4o-mini -> 'Thought: I now know the final answer.\nFinal Answer: two'
        """
    )

"""Expectations on real runs: ten planted bugs that their messages name, and the facts that expectations rest on."""

from __future__ import annotations

import asyncio
import json

import pytest
from crewai import Crew, Process
from crewai.flow.flow import Flow, listen, router, start
from crewai.tools import tool
from pydantic import BaseModel

from pytest_crewai_trace import TraceAssertionError, expect
from tests.support.crews import agent, flaky_tool, one_agent_crew, search, task
from tests.support.llm import Call, Calls, ScriptedLLM, calls, final, react

TOPIC = {"topic": "AI"}
TOOL = "tool 'fetch'"
each_way = pytest.mark.parametrize("native", [True, False], ids=["native", "react"])


@tool("delete")
def delete(query: str) -> str:
    """Delete a page."""
    return f"deleted {query}"


def told(expectation) -> str:
    """The message, but for the tree: what a reader has to go by."""
    with pytest.raises(TraceAssertionError) as caught:
        expectation()
    message = str(caught.value)
    assert len(message.splitlines()) < 60
    return message.partition("\ntrace:\n")[0]


def scripted(native: bool, *replies: object) -> ScriptedLLM:
    """A model that calls tools (name, arguments) and answers (text), either way."""
    made = [
        (calls if native else react)(reply[0], **reply[1])
        if isinstance(reply, tuple)
        else reply
        if native
        else final(reply)
        for reply in replies
    ]
    return ScriptedLLM(*made, native=native)


def two_agents(llm, *, context: bool = True) -> Crew:
    """A Researcher and a Writer; without ``context`` the Writer is told nothing."""
    researcher, writer = agent("Researcher", llm, tools=[search]), agent("Writer", llm)
    research = task("Find facts", researcher, name="research")
    write = task("Write", writer, name="write", **({} if context else {"context": []}))
    return Crew(agents=[researcher, writer], tasks=[research, write])


# Ten planted bugs


@each_way
def test_bug_wrong_tool(crewai_trace, native):
    llm = scripted(native, ("delete", {"query": "AI"}), "done")

    one_agent_crew(llm, tools=[search, delete]).kickoff(inputs=TOPIC)

    assert told(lambda: expect(crewai_trace).to_call_tool("search", by="Researcher")) == (
        "expected: search to be called by 'Researcher'\n"
        "actual:   it was never called; tools called: 'delete'\n"
        "nearest:  'Researcher' had it at hand and did not call it"
    )
    assert told(lambda: expect(crewai_trace).not_to_call_tool("delete")) == (
        "expected: delete not to be called\n"
        "actual:   it was called once: delete(query='AI') by 'Researcher' in task 'research'"
    )


@each_way
def test_bug_wrong_argument(crewai_trace, native):
    one_agent_crew(scripted(native, ("search", {"query": "Al"}), "done"), tools=[search]).kickoff(inputs=TOPIC)

    assert told(lambda: expect(crewai_trace).to_call_tool("search", {"query": "AI"})) == (
        "expected: search(query='AI') to be called\n"
        "actual:   search was called once, but never so\n"
        "nearest:  called as search(query='Al') by 'Researcher' in task 'research': differs in 1 of 1 argument\n"
        "          query: expected 'AI', got 'Al'"
    )


def test_bug_skipped_agent(crewai_trace):
    two_agents(scripted(False, "facts", "text")).kickoff()

    expect(crewai_trace).to_follow("Researcher", ..., "Writer")
    assert told(lambda: expect(crewai_trace).to_follow("Researcher", ..., "Editor", ..., "Writer")) == (
        "expected: 'Researcher' > ... > 'Editor' > ... > 'Writer' to come in this order\n"
        "actual:   'Editor' never came\n"
        "nearest:  what came: 'Researcher' > 'Writer'"
    )


@each_way
def test_bug_loop(crewai_trace, native):
    again = ("search", {"query": "AI"})
    other = ("delete", {"query": "AI"})
    llm = scripted(native, again, other, again, other, again, "done")

    one_agent_crew(llm, tools=[search, delete], cache=False).kickoff(inputs=TOPIC)

    message = told(lambda: expect(crewai_trace).to_have_no_loops())
    assert message.startswith(
        "expected: no loops\nactual:   search(query='AI') by 'Researcher' in task 'research' was called 3 times; "
    )


@each_way
def test_bug_swallowed_tool_error(crewai_trace, native):
    """In ReAct crewAI tries three times by itself: one error to the agent, three spans."""
    fetch = flaky_tool(*(ValueError("broken") for _ in range(9)))

    one_agent_crew(scripted(native, ("fetch", {"url": "x.org"}), "All is well."), tools=[fetch]).kickoff(inputs=TOPIC)

    expect(crewai_trace).to_succeed().to_have_no_loops(repeats=2)
    message = told(lambda: expect(crewai_trace).to_have_no_errors())
    assert message.splitlines()[:3] == [
        "expected: no errors",
        f"actual:   {TOOL if native else '3 spans'} failed, and the run went on as if nothing had happened",
        "nearest:  tool fetch(url='x.org') !! ValueError: broken",
    ]
    assert "did not succeed after that" in told(lambda: expect(crewai_trace).to_recover_from(ValueError))


def test_bug_ignored_tool_result(crewai_trace):
    """A method asks a model without what the tool gave."""

    class Direct(Flow):
        @start()
        def look(self):
            return one_agent_crew(scripted(True, ("search", {"query": "AI"}), "done"), tools=[search]).kickoff(
                inputs=TOPIC
            )

        @listen(look)
        def say(self):
            return ScriptedLLM("I know nothing").call("Write about AI")

    Direct().kickoff()

    expect(crewai_trace).to_use_tool_result("search")
    assert told(lambda: expect(crewai_trace.method("say")).to_use_output_of("research")) == (
        "expected: the output of 'research' in a prompt in method 'say'\n"
        "actual:   its prompt does not have it\n"
        "nearest:  task 'research' came to 'done'\n"
        "          the prompt ends with 'Write about AI'"
    )


def test_bug_result_lost_between_tool_and_model(crewai_trace):
    """A hook that shortens the conversation drops the tool's result."""
    from crewai.hooks import clear_all_llm_call_hooks, register_before_llm_call_hook

    def shorten(context):
        for message in context.messages:
            if "results for" in str(message.get("content")):
                message["content"] = "(shortened)"

    register_before_llm_call_hook(shorten)
    try:
        one_agent_crew(scripted(True, ("search", {"query": "AI"}), "done"), tools=[search]).kickoff(inputs=TOPIC)
    finally:
        clear_all_llm_call_hooks()

    message = told(lambda: expect(crewai_trace).to_use_tool_result("search"))
    assert message.startswith(
        "expected: the result of search in the next LLM call\n"
        "actual:   the LLM call after search(query='AI') by 'Researcher' in task 'research' does not have it\n"
        "nearest:  it gave 'results for AI'\n"
    )


class Review(Flow):
    @start()
    def draft(self):
        return "approved"  # of no router: no label

    @router(draft)
    def judge(self):
        return "rejected"

    @listen("rejected")
    def discard(self):
        return "discarded"


def test_bug_wrong_route(crewai_trace):
    Review().kickoff()

    expect(crewai_trace).to_route("draft", ..., "rejected", "discard").to_route("draft", "judge", "discard")
    assert told(lambda: expect(crewai_trace).to_route("draft", ..., "approved")) == (
        "expected: the flow to go 'draft' > ... > 'approved'\n"
        "actual:   'approved' never came; routers chose 'rejected'\n"
        "nearest:  what came: 'draft' > 'judge' > 'rejected' > 'discard'"
    )


def test_bug_budget(crewai_trace):
    two_agents(scripted(False, "facts", "text")).kickoff()

    expect(crewai_trace).to_stay_within(llm_calls=2, total_tokens=30, cost="0.01", seconds=100, tool_calls=0)
    expect(crewai_trace.agent("Writer")).to_stay_within(llm_calls=1, total_tokens=15)
    message = told(lambda: expect(crewai_trace).to_stay_within(total_tokens=20, llm_calls=1))
    assert message.splitlines()[:4] == [
        "expected: at most 1 LLM call, 20 tokens",
        "actual:   2 LLM calls, 1 too many",
        "          30 tokens, 10 too many",
        "nearest:  what used most:",
    ]


def test_bug_missing_hand_over(crewai_trace):
    two_agents(scripted(False, "three facts about AI", "text"), context=False).kickoff()

    message = told(lambda: expect(crewai_trace.task("write")).to_use_output_of("research"))
    assert message.startswith(
        "expected: the output of 'research' in a prompt in task 'write'\n"
        "actual:   its prompt does not have it\n"
        "nearest:  task 'research' came to 'three facts about AI'\n"
        "          the prompt ends with "
    )


class Report(BaseModel):
    title: str
    pages: int


def test_bug_wrong_output(crewai_trace):
    llm = ScriptedLLM(final(json.dumps({"title": "AI", "pages": 0})))
    writer = agent("Writer", llm)
    crew = Crew(agents=[writer], tasks=[task("Write", writer, name="write", output_pydantic=Report)])

    crew.kickoff()

    written = expect(crewai_trace.task("write"))
    written.to_output(Report).to_output({"title": "AI"}, partial=True).to_output(Report(title="AI", pages=0))
    assert told(lambda: written.to_output({"title": "AI", "pages": 3})) == (
        "expected: the output of task 'write' to be {'pages': 3, 'title': 'AI'}\n"
        "actual:   it is {'pages': 0, 'title': 'AI'}\n"
        "nearest:  differs in 1 place\n"
        "          pages: expected 3, got 0"
    )


# Ways to run


@pytest.mark.parametrize("kickoff", ["kickoff", "kickoff_async", "akickoff"])
def test_sync_and_async_runs(crewai_trace, kickoff):
    crew = two_agents(
        ScriptedLLM(
            by_agent={
                "Researcher": [react("search", query="AI"), final("three facts about AI")],
                "Writer": [final("a text")],
            }
        )
    )

    if kickoff == "kickoff":
        crew.kickoff()
    else:
        asyncio.run(getattr(crew, kickoff)())

    expect(crewai_trace).to_call_tool("search", {"query": "AI"}, times=1, by="Researcher", in_task="research")
    expect(crewai_trace).to_follow("Researcher", "search", "Writer").to_succeed().to_have_no_errors()
    expect(crewai_trace.task("write")).to_use_output_of("research").to_say("a text", by="Writer")
    expect(crewai_trace).to_use_tool_result("search").to_finish_before_max_iter().to_have_no_loops()
    expect(crewai_trace).not_to_see("results for AI", by="Writer")


def test_s11_a_run_that_raises(crewai_trace):
    down = ScriptedLLM(ConnectionError("model down"), repeat_last=True)

    with pytest.raises(ConnectionError):
        one_agent_crew(down).kickoff(inputs=TOPIC)

    expect(crewai_trace).to_fail().to_fail("model down").not_to_call_tool("search", unknown_ok=True)
    assert "the run to succeed\nactual:   crew 'crew' failed" in told(lambda: expect(crewai_trace).to_succeed())
    assert "did not succeed after that" in told(lambda: expect(crewai_trace).to_recover_from("model down"))


@each_way
def test_a_tool_that_recovers(crewai_trace, native):
    fetch = flaky_tool(*(TimeoutError("too slow") for _ in range(1 if native else 2)))
    page = ("fetch", {"url": "x.org"})
    llm = scripted(native, page, page, "done") if native else scripted(native, page, "done")

    one_agent_crew(llm, tools=[fetch]).kickoff(inputs=TOPIC)

    expect(crewai_trace).to_recover_from(TimeoutError).to_call_tool("fetch", times=1, error="too slow")
    expect(crewai_trace).to_call_tool("fetch", times=1, error=False).to_use_tool_result("fetch")


@each_way
def test_delegation(crewai_trace, native):
    order = {"coworker": "Researcher", "task": "Find facts", "context": "all of it"}
    llm = ScriptedLLM(
        by_agent={
            "Boss": [
                (calls if native else react)("delegate_work_to_coworker", **order),
                "the report" if native else final("the report"),
            ],
            "Researcher": ["the facts" if native else final("the facts")],
        },
        native=native,
    )
    boss = agent("Boss", llm, allow_delegation=True)
    crew = Crew(
        agents=[agent("Researcher", llm)],
        tasks=[task("Report on AI", name="report")],
        process=Process.hierarchical,
        manager_agent=boss,
    )

    crew.kickoff()

    expect(crewai_trace).to_delegate("Boss", to="Researcher").to_have_no_loops(repeats=2)
    expect(crewai_trace).to_follow("Boss", ..., "Researcher").to_use_tool_result("delegate_work_to_coworker")
    message = told(lambda: expect(crewai_trace).to_delegate("Researcher", to="Boss"))
    assert "'Researcher' delegated nothing\nnearest:  who delegated: 'Boss' to 'Researcher'" in message


# Facts that crewAI's events do not tell by themselves


@each_way
def test_an_answer_from_the_cache(crewai_trace, native):
    searches = [("search", {"query": query}) for query in ("AI", "ML", "AI")]

    one_agent_crew(scripted(native, *searches, "done"), tools=[search], crew={"cache": True}).kickoff(inputs=TOPIC)

    assert [call.cached for call in crewai_trace.tools] == [False, False, True]
    expect(crewai_trace).to_hit_cache("search", times=1).to_use_tool_result("search")


def test_several_calls_in_one_reply_are_all_used(crewai_trace):
    both = Calls((Call("search", {"query": "cats"}), Call("delete", {"query": "dogs"})))

    one_agent_crew(ScriptedLLM(both, "done", native=True), tools=[search, delete]).kickoff(inputs=TOPIC)

    expect(crewai_trace).to_use_tool_result("search").to_use_tool_result("delete")


@each_way
def test_an_agent_that_reaches_its_max_iter(crewai_trace, native):
    searches = [("search", {"query": str(number)}) for number in range(2)]

    one_agent_crew(scripted(native, *searches, "best guess"), tools=[search], max_iter=2).kickoff(inputs=TOPIC)

    assert crewai_trace.agent("Researcher").max_iter == 2
    message = told(lambda: expect(crewai_trace).to_finish_before_max_iter())
    assert "actual:   'Researcher' reached max_iter=2: crewAI then made it answer" in message
    assert "best guess" in message


def test_an_agent_that_answers_at_its_last_iteration(crewai_trace):
    searches = [("search", {"query": str(number)}) for number in range(2)]

    one_agent_crew(scripted(True, *searches, "done"), tools=[search], max_iter=3).kickoff(inputs=TOPIC)

    expect(crewai_trace).to_finish_before_max_iter("Researcher")


def test_a_lone_agent(crewai_trace):
    agent("Clerk", scripted(False, "yes"), max_iter=7).kickoff("Is it so?")

    assert crewai_trace.agent("Clerk").max_iter == 7
    expect(crewai_trace).to_finish_before_max_iter("Clerk").to_succeed().to_say("yes", by="Clerk")
    expect(crewai_trace.agent("Clerk")).to_see("Is it so?").to_call_llm(times=1)


def test_which_methods_are_routers(crewai_trace):
    Review().kickoff()

    assert [(method.name, method.router) for method in crewai_trace.methods] == [
        ("draft", False),
        ("judge", True),
        ("discard", False),
    ]


def test_guardrails(crewai_trace):
    def long_enough(output):
        return (True, output.raw) if len(output.raw) > 5 else (False, "too short")

    writer = agent("Writer", scripted(False, "short", "long enough"))
    Crew(agents=[writer], tasks=[task("Write", writer, guardrail=long_enough, guardrail_max_retries=2)]).kickoff()

    expect(crewai_trace).to_pass_guardrail().to_pass_guardrail("long_enough", attempts=2)
    message = told(lambda: expect(crewai_trace).to_pass_guardrail("long_enough", at_most=1))
    assert "passed at attempt 2\nnearest:  it said: 'too short'" in message


def test_tools_that_are_at_hand_are_known(crewai_trace):
    """S77: that a tool was not called is worth something only if it could have been."""
    one_agent_crew(scripted(False, "done"), tools=[search]).kickoff(inputs=TOPIC)

    expect(crewai_trace).not_to_call_tool("search").not_to_call_tool("Search")
    with pytest.raises(TraceAssertionError, match="no agent of the trace has a tool 'serach'"):
        expect(crewai_trace).not_to_call_tool("serach")

"""Memory and knowledge: what is looked up before a task, what is saved after it, and what happens when that fails."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from crewai import Crew
from crewai.events import crewai_event_bus
from crewai.events.types.memory_events import MemorySaveFailedEvent, MemorySaveStartedEvent
from crewai.knowledge.knowledge import Knowledge
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.knowledge.storage.knowledge_storage import KnowledgeStorage

from pytest_crewai_trace import Trace
from pytest_crewai_trace.capture.bus import Recording
from tests.support.crews import agent, one_agent_crew, task, tree
from tests.support.llm import ScriptedLLM, calls
from tests.support.memory import EMBEDDER, Down, down, embed, librarian, make_memory
from tests.support.versions import before

Kickoff = Callable[..., Any]


def asynchronously(crew: Crew, **options: Any) -> Any:
    return asyncio.run(crew.akickoff(**options))


either_way = pytest.mark.parametrize("kickoff", [Crew.kickoff, asynchronously], ids=["kickoff", "akickoff"])


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Knowledge goes to a folder of the test's own, whether the guard is on or not."""
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path / "storage"))


@either_way
def test_a_crew_with_memory_looks_up_before_the_task_and_saves_after_it(
    crewai_trace: Trace, tmp_path: Path, kickoff: Kickoff
) -> None:
    memory = make_memory(tmp_path, "AI is growing")
    crew = one_agent_crew(ScriptedLLM("AI grows."), crew={"memory": memory})

    kickoff(crew, inputs={"topic": "AI"})
    memory.drain_writes()

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            memory retrieval
              memory query 'Research AI'
            agent Researcher
              llm gpt-4o-mini -> 'AI grows.'
              llm librarian -> '{"memories": ["AI is growing"]}'
              memory save '1 memories (background)'
                llm librarian -> '{"suggested_scope": "/notes"}'
        """
    )
    assert [span.agent_role for span in crewai_trace.memory] == ["Researcher"] * 3
    assert {span.task_name for span in crewai_trace.memory} == {"research"}
    assert all(span.status == "ok" for span in crewai_trace.spans)


def test_a_second_run_finds_what_the_first_one_saved(crewai_trace: Trace, tmp_path: Path) -> None:
    memory = make_memory(tmp_path, "Research AI is growing")
    crew = one_agent_crew(ScriptedLLM("AI grows.", "AI still grows."), crew={"memory": memory})

    crew.kickoff(inputs={"topic": "AI"})
    crew.kickoff(inputs={"topic": "AI"})
    memory.drain_writes()

    first, second = crewai_trace.crews
    assert first.memory.named("query").one().results == []
    assert "Research AI is growing" in str(second.memory.named("query").one().results)
    assert "Research AI is growing" in second.memory.named("retrieval").one().results
    assert len(crewai_trace.memory.named("save")) == 2


def test_a_save_that_ends_after_the_run_has_returned(crewai_trace: Trace, tmp_path: Path) -> None:
    """S10: ``Agent.kickoff`` does not wait for the save that it started."""
    memory = make_memory(tmp_path, "AI is growing")
    researcher = agent("Researcher", ScriptedLLM("AI grows."), memory=memory)

    researcher.kickoff("What about AI?")
    memory.drain_writes()

    assert crewai_trace.render() == tree(
        """
        memory retrieval
          memory query 'What about AI?'
        agent Researcher
          llm gpt-4o-mini -> 'AI grows.'
          llm librarian -> '{"memories": ["AI is growing"]}'
          memory save '1 memories (background)'
            llm librarian -> '{"suggested_scope": "/notes"}'
        """
    )
    save = crewai_trace.memory.named("save").one()
    assert save.parent is not None
    assert save.end is not None
    assert save.status == "ok"


def test_a_save_that_ends_in_the_next_test_belongs_to_the_one_that_began_it(tmp_path: Path) -> None:
    """S10: two tests' records, as the plugin would keep them."""
    encoding, go_on = threading.Event(), threading.Event()

    def slow(texts: Sequence[str]) -> list[list[float]]:
        encoding.set()
        assert go_on.wait(30)
        return embed(texts)

    memory = make_memory(tmp_path, embedder=slow)
    recording = Recording(pytest.fail)
    recording.start()
    try:
        first = recording.begin()
        memory.remember_many(["AI is growing"])
        assert encoding.wait(30)
        recording.end(first)
        second = recording.begin()
        go_on.set()
        memory.drain_writes()
        agent("Researcher", ScriptedLLM("Hello")).kickoff("Hello?")
        recording.end(second)
    finally:
        go_on.set()
        recording.stop()

    assert [row.type for row in first.rows if row.rule.kind == "memory"] == [
        "memory_save_started",
        "memory_save_completed",
    ]
    assert {row.rule.kind for row in second.rows if row.rule.role == "begin" and not row.hidden} == {"agent", "llm"}


def test_the_tools_that_an_agent_with_memory_gets(crewai_trace: Trace, tmp_path: Path) -> None:
    memory = make_memory(tmp_path)
    script = ScriptedLLM(
        calls("search_memory", queries=["AI"]), calls("save_to_memory", contents=["AI is old"]), "Done", native=True
    )
    crew = one_agent_crew(script, memory=memory)

    crew.kickoff(inputs={"topic": "AI"})
    memory.drain_writes()

    assert crewai_trace.render() == tree(
        """
        crew crew
          task research
            memory retrieval
              memory query 'Research AI'
            agent Researcher
              llm gpt-4o-mini -> search_memory(queries=['AI'])
              tool search_memory(queries=['AI']) -> 'No relevant memories found.'
                memory query 'AI'
              llm gpt-4o-mini -> save_to_memory(contents=['AI is old'])
              tool save_to_memory(contents=['AI is old']) -> 'Saved to memory (scope=/notes, importance=0.5).'
                memory save 'AI is old'
                  llm librarian -> '{"suggested_scope": "/notes"}'
              llm gpt-4o-mini -> 'Done'
              llm librarian -> '{"memories": []}'
        """
    )


def test_a_memory_whose_embedder_is_down(crewai_trace: Trace, tmp_path: Path) -> None:
    """The task goes on without memory; both the look-up and the save are failed spans."""
    memory = make_memory(tmp_path, "AI is growing", embedder=down)
    crew = one_agent_crew(ScriptedLLM("AI grows."), crew={"memory": memory})

    with contextlib.suppress(Down):  # before 1.15.0 a save fails the crew, if it fails while the crew waits for it
        crew.kickoff(inputs={"topic": "AI"})

    assert crewai_trace.task("research").render() == tree(
        """
        task research
          memory retrieval !! Down: the embedder is down
            memory query 'Research AI' !! Down: the embedder is down
          agent Researcher
            llm gpt-4o-mini -> 'AI grows.'
            llm librarian -> '{"memories": ["AI is growing"]}'
            memory save '1 memories (background)' !! Down: the embedder is down
        """
    )


def test_a_failing_save_is_one_failed_span(crewai_trace: Trace, tmp_path: Path) -> None:
    """crewAI reports it twice, the first time from a thread that does not know the save's start."""
    with pytest.raises(Down):
        make_memory(tmp_path / "saved", embedder=down).remember("AI is growing")
    with pytest.raises(Down):
        make_memory(tmp_path / "asked", embedder=down).recall("AI")

    assert crewai_trace.render() == tree(
        """
        memory save 'AI is growing' !! Down: the embedder is down
        memory query 'AI' !! Down: the embedder is down
        """
    )


@pytest.mark.parametrize("first", ["the thread", "the caller"])
def test_the_two_reports_of_a_failing_save_in_either_order(crewai_trace: Trace, first: str) -> None:
    """Which comes first is chance: crewAI's thread, which has caught nothing, and the caller."""
    memory = SimpleNamespace()
    emit = partial(crewai_event_bus.emit, memory)
    from_thread = partial(emit, MemorySaveFailedEvent(value="background save", error="down", source_type="memory"))
    from_caller = partial(emit, MemorySaveFailedEvent(value="AI", error="down", source_type="memory"))

    emit(MemorySaveStartedEvent(value="AI", source_type="memory"))
    for report in (from_thread, from_caller) if first == "the thread" else (from_caller, from_thread):
        if report is from_thread:
            contextvars.Context().run(report)
        else:
            try:
                raise Down("down")
            except Down:
                report()

    assert crewai_trace.render() == "memory save 'AI' !! Down: down"


def test_a_failing_save_that_is_told_when_all_is_over(crewai_trace: Trace) -> None:
    """crewAI looks for the exception of a background save in its future, and handles none."""
    memory = SimpleNamespace()
    crewai_event_bus.emit(memory, MemorySaveStartedEvent(value="AI", source_type="memory"))
    kept = Down("down")  # noqa: F841 - found here

    crewai_event_bus.emit(memory, MemorySaveFailedEvent(value="AI", error="down", source_type="memory"))

    assert crewai_trace.render() == "memory save 'AI' !! Down: down"


def test_memory_that_a_crew_makes_itself(crewai_trace: Trace) -> None:
    script = ScriptedLLM("AI grows.", librarian("AI is growing"), librarian())
    crew = one_agent_crew(script, name="newsroom", crew={"memory": True, "embedder": EMBEDDER})

    crew.kickoff(inputs={"topic": "AI"})

    if before("1.15.0"):  # there, the memory's model is always OpenAI's, for which there is no key here
        assert any("OPENAI_API_KEY" in error.message for error in crewai_trace.errors)
        assert crewai_trace.task("research").output == "AI grows."
        return
    assert crewai_trace.render() == tree(
        """
        crew newsroom
          task research
            memory retrieval
              memory query 'Research AI'
            agent Researcher
              llm gpt-4o-mini -> 'AI grows.'
              llm gpt-4o-mini -> '{"memories": ["AI is growing"]}'
              memory save '1 memories (background)'
                llm gpt-4o-mini -> '{"suggested_scope": "/notes"}'
        """
    )


# -- knowledge --------------------------------------------------------------------------------------------------------

OFFICE = "The office is in Lisbon."


@either_way
@pytest.mark.parametrize("owner", ["agent", "crew"])
def test_knowledge_is_looked_up_before_the_agent_begins(crewai_trace: Trace, owner: str, kickoff: Kickoff) -> None:
    options = {"knowledge_sources": [StringKnowledgeSource(content=OFFICE)], "embedder": EMBEDDER}
    guide = agent("Guide", ScriptedLLM("office city", "Lisbon"), **(options if owner == "agent" else {}))
    answer = task("Where is the office?", guide, name="answer")

    kickoff(Crew(agents=[guide], tasks=[answer], **(options if owner == "crew" else {})))

    assert crewai_trace.render() == tree(
        """
        crew crew
          task answer
            knowledge retrieval 'office city'
              knowledge query
                llm gpt-4o-mini -> 'office city'
            agent Guide
              llm gpt-4o-mini -> 'Lisbon'
        """
    )
    retrieval = crewai_trace.knowledge.named("retrieval").one()
    # crewAI's Chroma client is the synchronous one: an asynchronous search logs an error and finds nothing.
    assert retrieval.results == ("" if kickoff is asynchronously else f"Additional Information: {OFFICE}")
    assert (retrieval.agent_role, retrieval.task_name) == ("Guide", "answer")
    assert crewai_trace.llm_calls.of(agent="Guide").first.response == "office city"


def test_a_knowledge_query_that_fails_leaves_the_rest_of_the_tree_whole(crewai_trace: Trace) -> None:
    """crewAI never ends the retrieval then, and its scopes stay out of step for whatever this thread runs next."""
    for _ in range(2):
        source = StringKnowledgeSource(content=OFFICE)
        script = ScriptedLLM(RuntimeError("the model is down"), "No idea")
        guide = agent("Guide", script, knowledge_sources=[source], embedder=EMBEDDER)
        Crew(agents=[guide], tasks=[task("Where is the office?", guide, name="answer")]).kickoff()

    one = tree(
        """
        crew crew
          task answer
            knowledge retrieval (open)
              knowledge query !! RuntimeError: the model is down
                llm gpt-4o-mini !! RuntimeError: the model is down
            agent Guide
              llm gpt-4o-mini -> 'No idea'
        """
    )
    assert crewai_trace.render() == f"{one}\n{one}"
    assert [span.status for span in crewai_trace.crews] == ["ok", "ok"]


class BrokenStorage(KnowledgeStorage):
    """Knowledge whose search raises."""

    def search(self, *_: Any, **__: Any) -> list[Any]:
        raise Down("the index is down")


def test_a_knowledge_search_that_fails(crewai_trace: Trace) -> None:
    knowledge = Knowledge(collection_name="office", sources=[], storage=BrokenStorage())
    guide = agent("Guide", ScriptedLLM("office city", "No idea"), knowledge=knowledge)

    Crew(agents=[guide], tasks=[task("Where is the office?", guide, name="answer")]).kickoff()

    assert crewai_trace.render() == tree(
        """
        crew crew
          task answer
            knowledge retrieval !! Down: the index is down
              knowledge query
                llm gpt-4o-mini -> 'office city'
            agent Guide
              llm gpt-4o-mini -> 'No idea'
        """
    )


def test_after_a_failed_knowledge_query_the_next_test_begins_afresh(crewai_trace: Trace) -> None:
    """S10: the test before this one left its crew on the stack of crewAI's scopes."""
    agent("Guide", ScriptedLLM("Hello")).kickoff("Hello?")

    assert crewai_trace.render() == tree(
        """
        agent Guide
          llm gpt-4o-mini -> 'Hello'
        """
    )

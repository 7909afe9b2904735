"""``crewai_faults``: tools, models and memory fail as they are told to, and the trace says that it was injected."""

from __future__ import annotations

import asyncio

import pytest
from crewai import LLM, Agent, Crew, Task
from crewai.knowledge.knowledge import Knowledge
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.knowledge.storage.base_knowledge_storage import BaseKnowledgeStorage
from crewai.memory.unified_memory import Memory
from crewai.tools import tool
from packaging.version import Version
from pydantic import BaseModel

from tests.support.crews import CREWAI
from tests.support.memory import embed
from tests.support.openai import Answer, OpenAIServer

RETRIES_RATE_LIMITS = Version("1.15.30") <= CREWAI


@tool("search")
def search(query: str) -> str:
    """Search the web."""
    return f"articles about {query}"


def make_crew(**options):
    one = Agent(role="Researcher", goal="Find out", backstory="Curious.", tools=[search], llm="gpt-4o")
    work = Task(name="research", description="Find", expected_output="facts", agent=one, **options)
    return Crew(agents=[one], tasks=[work])


def injected(trace):
    """What the trace says was injected: (name of the span that was hit, fault)."""
    return [
        (span.name, event.attributes["fault"])
        for span in trace.spans
        for event in span.events
        if event.name == "fault_injected"
    ]


def run(crew, way):
    return crew.kickoff() if way == "sync" else asyncio.run(crew.akickoff())


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("function_calling", [None, False])
def test_a_tool_fails_once(way, function_calling, crewai_llm, crewai_faults, crewai_trace):
    crewai_llm.function_calling = function_calling
    crewai_llm.call_tool("search", query="AI").call_tool("search", query="ML").default("found")
    crewai_faults.tool("search").fail(TimeoutError("too slow"))

    assert run(make_crew(), way).raw == "found"

    assert ("search", "TimeoutError('too slow')") in injected(crewai_trace)
    assert len(injected(crewai_trace)) == 1
    if function_calling is None:  # from ReAct text crewAI calls a tool again by itself
        assert crewai_trace.tools.first.error.message.endswith("too slow")
    assert crewai_trace.tools.last.result == "articles about ML"


@pytest.mark.parametrize("function_calling", [None, False])
def test_a_tool_returns_garbage(function_calling, crewai_llm, crewai_faults, crewai_trace):
    crewai_llm.function_calling = function_calling
    crewai_llm.call_tool("search", query="AI").reply("found")
    crewai_faults.tool("search").returns("%$#")

    make_crew().kickoff()
    assert crewai_trace.tool("search").result == "%$#"
    assert injected(crewai_trace) == [("search", "returns '%$#'")]
    assert "tool search(query='AI') -> '%$#' (injected)" in crewai_trace.render()


def test_a_tool_is_slow(crewai_llm, crewai_faults, crewai_trace):
    crewai_llm.call_tool("search", query="AI").reply("found")
    crewai_faults.tool("search").delay(0.05)

    make_crew().kickoff()
    assert crewai_trace.tool("search").duration >= 0.05
    assert crewai_trace.tool("search").result == "articles about AI"


def test_a_rate_limit(crewai_llm, crewai_faults, crewai_trace):
    crewai_llm.agent("Researcher").reply("found")
    crewai_faults.llm(agent="Researcher").rate_limit(times=2, retry_after=30)

    assert make_crew().kickoff().raw == "found"

    assert [call.status for call in crewai_trace.llm_calls] == ["error", "error", "ok"]
    assert injected(crewai_trace) == [("gpt-4o", "rate limit")] * 2
    assert crewai_faults.waits == ([30.0, 30.0] if RETRIES_RATE_LIMITS else [])
    assert crewai_trace.duration < 20


def test_a_rate_limit_async(crewai_llm, crewai_faults):
    crewai_llm.reply("hello")
    crewai_faults.llm().rate_limit(retry_after=30)

    async def ask():
        try:
            return await LLM(model="gpt-4o").acall("hi")
        except Exception:
            return await LLM(model="gpt-4o").acall("hi")

    assert asyncio.run(ask()) == "hello"


@pytest.mark.parametrize("fault", ["timeout", "empty"])
def test_a_model_that_gives_no_answer(fault, crewai_llm, crewai_faults, crewai_trace):
    crewai_llm.agent("Researcher").reply("found")
    getattr(crewai_faults.llm(task="research"), fault)()

    assert make_crew().kickoff().raw == "found"
    assert [name for name, _ in injected(crewai_trace)] == ["gpt-4o"]


def test_malformed_arguments(crewai_llm, crewai_faults, crewai_trace):
    crewai_llm.agent("Researcher").reply("found")
    crewai_faults.llm(agent="Researcher").malformed_json()

    assert make_crew().kickoff().raw == "found"
    assert injected(crewai_trace) == [("gpt-4o", "malformed JSON")]
    assert "Failed to parse tool arguments" in crewai_llm.requests[0].prompt


class Article(BaseModel):
    title: str


def test_malformed_structured_output(crewai_llm, crewai_faults):
    crewai_faults.llm().malformed_json()

    with pytest.raises(ValueError, match=r"(?i)json"):
        LLM(model="gpt-4o").call("hi", response_model=Article)


def test_a_context_that_is_too_long(crewai_llm, crewai_faults, crewai_trace):
    crewai_llm.default("found")
    crewai_faults.llm(agent="Researcher").context_too_long()

    assert make_crew().kickoff().raw == "found"
    assert injected(crewai_trace) == [("gpt-4o", "context too long")]
    assert len(crewai_llm.requests) == 2  # crewAI has the conversation summarized, and goes on with that


def test_memory_is_unavailable(crewai_llm, crewai_faults, crewai_trace):
    crewai_llm.agent("Researcher").reply("found")
    crewai_faults.memory.unavailable()
    crew = make_crew()
    crew = Crew(agents=crew.agents, tasks=crew.tasks, memory=True)

    try:
        assert crew.kickoff().raw == "found"
    except ConnectionError:
        assert Version("1.15.0") > CREWAI  # there a save that fails while the crew waits for it fails the crew
    assert crewai_trace.memory.failed
    assert "unavailable" in {fault for _, fault in injected(crewai_trace)}


class Shelf:
    """A store of the user's own, which derives from nothing of crewAI's; an adapter to Mem0 looks like this."""

    def __init__(self):
        self.records = []

    def save(self, records):
        self.records += records

    async def asave(self, records):
        self.save(records)

    def search(self, query_embedding, limit=10, **options):
        return [(record, 1.0) for record in self.records[:limit]]

    async def asearch(self, query_embedding, limit=10, **options):
        return self.search(query_embedding, limit)

    def get_scope_info(self, scope):
        from crewai.memory.types import ScopeInfo

        return ScopeInfo(path=scope, record_count=len(self.records), categories=[], child_scopes=[])

    def list_scopes(self, parent="/"):
        return []

    def list_categories(self, scope_prefix=None):
        return {}

    def touch_records(self, record_ids):
        pass


SHELF = Memory(llm="gpt-4o", embedder=embed, storage=Shelf())  # before anything stands before it


@pytest.mark.parametrize("store", ["own", "lancedb", "qdrant-edge"])
def test_each_store_of_memories_fails(store, crewai_llm, crewai_faults, crewai_trace, tmp_path, monkeypatch):
    if store == "qdrant-edge":
        pytest.importorskip("qdrant_edge")
    if store == "own":
        memory = SHELF
    else:
        where = str(tmp_path) if store == "lancedb" else store
        memory = Memory(llm="gpt-4o", embedder=embed, storage=where)
    memory.remember("AI is growing", scope="/", categories=["a"], importance=0.5)
    memory.drain_writes()
    assert memory.recall("AI", depth="shallow")
    crewai_faults.memory.fail(ConnectionError("down"), times=1)

    with pytest.raises(Exception, match="down"):
        memory.recall("AI", depth="shallow")
    assert memory.recall("AI", depth="shallow")
    assert [span.status for span in crewai_trace.memory.named("query")] == ["ok", "error", "ok"]


class Notes(BaseKnowledgeStorage):
    """A store of knowledge of the user's own."""

    notes: list[str] = []

    def search(self, query, limit=5, metadata_filter=None, score_threshold=0.6):
        return [{"id": "1", "content": note, "metadata": {}, "score": 1.0} for note in self.notes]

    async def asearch(self, query, limit=5, metadata_filter=None, score_threshold=0.6):
        return self.search(query)

    def save(self, documents):
        self.notes += documents

    async def asave(self, documents):
        self.save(documents)

    def reset(self):
        self.notes.clear()

    async def areset(self):
        self.reset()


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("store", ["own", "chroma"])
def test_each_store_of_knowledge_fails(store, way, crewai_llm, crewai_faults, crewai_trace):
    source = StringKnowledgeSource(content="Paris is the capital of France.")
    own = {"storage": Notes()} if store == "own" else {}
    knowledge = Knowledge(collection_name="facts", sources=[source], **own)

    def ask():
        return knowledge.query(["Paris"]) if way == "sync" else asyncio.run(knowledge.aquery(["Paris"]))

    knowledge.add_sources()
    assert len(knowledge.query(["Paris"])) == 1
    crewai_faults.knowledge.fail(ConnectionError("down"))

    if store == "own":
        with pytest.raises(ConnectionError, match="down"):
            ask()
    else:
        assert ask() == []  # crewAI takes an error of the database for nothing found
    assert len(knowledge.query(["Paris"])) == 1


def test_knowledge_is_unavailable_to_a_crew(crewai_llm, crewai_faults, crewai_trace):
    source = StringKnowledgeSource(content="Paris is the capital of France.")
    one = Agent(role="Researcher", goal="g", backstory="b", llm="gpt-4o", knowledge_sources=[source])
    crewai_faults.knowledge.unavailable()

    with pytest.raises(ConnectionError, match="knowledge is unavailable"):
        Crew(agents=[one], tasks=[Task(description="d", expected_output="x", agent=one)]).kickoff()


def test_a_real_model(crewai_faults, crewai_trace, monkeypatch):
    """Without a script the model itself answers, but for the fault."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with OpenAIServer([Answer("hello")]) as server:
        llm = LLM(model="openai/gpt-4o-mini", base_url=server.base_url)
        crewai_faults.llm().fail(RuntimeError("broken"))

        with pytest.raises(RuntimeError, match="broken"):
            llm.call("hi")
        assert llm.call("hi")
    assert [call.status for call in crewai_trace.llm_calls] == ["error", "ok"]
    assert injected(crewai_trace) == [("gpt-4o-mini", "RuntimeError('broken')")]

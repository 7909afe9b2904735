"""What every event of crewAI means: a table from its ``type`` to what it begins, ends or tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from pytest_crewai_trace.capture import readers
from pytest_crewai_trace.capture import side_readers as beside
from pytest_crewai_trace.capture.fields import GLANCES, PAYLOADS, take

if TYPE_CHECKING:
    from pytest_crewai_trace.capture.fields import Glance, Read
    from pytest_crewai_trace.trace.semconv import Kind


@dataclass(frozen=True, slots=True)
class Rule:
    """How one event type is taken.

    ``kind`` is that of the span which it begins or ends, ``partner`` the type of the start that an end ends, ``failed``
    marks ends that are failures. With a ``payload``, which is frozen at once, or a ``glance`` at the objects that it
    holds, ``read`` is called when a test is over.
    """

    role: Literal["begin", "end", "point", "chunk", "ignored"]
    read: Read
    kind: Kind | None = None
    partner: str | None = None
    failed: bool = False
    payload: tuple[str, ...] | None = None
    glance: Glance | None = None


def _table() -> dict[str, Rule]:
    rules: dict[str, Rule] = {}

    def pair(
        kind: Kind,
        start: str,
        read: Read,
        *ends: tuple[str, Read],
        failed: str = "",
        read_failed: Read = readers.nothing,
    ) -> None:
        rules[start] = Rule("begin", read, kind, payload=PAYLOADS.get(read), glance=GLANCES.get(read))
        for name, read_end in ends:
            payload, glance = PAYLOADS.get(read_end), GLANCES.get(read_end)
            rules[name] = Rule("end", read_end, kind, partner=start, payload=payload, glance=glance)
        for name in failed.split():
            # Without a payload: an exception may be in flight, of which a later reader would see nothing.
            rules[name] = Rule("end", read_failed, kind, partner=start, failed=True)

    output = take("output")
    for operation in ("kickoff", "train", "test"):
        begin = f"crew_{operation}_started"
        pair(
            "crew",
            begin,
            readers.crew(operation),
            (f"crew_{operation}_completed", output),
            failed=f"crew_{operation}_failed",
        )
    pair(
        "flow",
        "flow_started",
        readers.flow,
        ("flow_finished", readers.flow_end),
        ("flow_paused", readers.paused),
        failed="flow_failed",
    )
    pair(
        "method",
        "method_execution_started",
        readers.method,
        ("method_execution_finished", readers.method_end),
        ("method_execution_paused", readers.paused),
        failed="method_execution_failed",
    )
    pair("task", "task_started", readers.task, ("task_completed", readers.task_end), failed="task_failed")
    pair(
        "agent",
        "agent_execution_started",
        readers.agent,
        ("agent_execution_completed", output),
        failed="agent_execution_error",
    )
    pair(
        "agent",
        "lite_agent_execution_started",
        readers.lone_agent,
        ("lite_agent_execution_completed", output),
        failed="lite_agent_execution_error",
    )
    pair("llm", "llm_call_started", readers.llm, ("llm_call_completed", readers.llm_end), failed="llm_call_failed")
    pair(
        "tool",
        "tool_usage_started",
        readers.tool,
        ("tool_usage_finished", readers.tool_end),
        failed="tool_usage_error",
        read_failed=readers.tool_error,
    )
    pair(
        "tool",
        "mcp_tool_execution_started",
        beside.mcp_tool,
        ("mcp_tool_execution_completed", beside.result),
        failed="mcp_tool_execution_failed",
    )
    pair(
        "mcp",
        "mcp_connection_started",
        beside.mcp,
        ("mcp_connection_completed", readers.nothing),
        failed="mcp_connection_failed",
    )
    pair(
        "memory",
        "memory_query_started",
        beside.operation("query", "query"),
        ("memory_query_completed", take("results")),
        failed="memory_query_failed",
    )
    pair(
        "memory",
        "memory_save_started",
        beside.save,
        ("memory_save_completed", readers.nothing),
        failed="memory_save_failed",
    )
    pair(
        "memory",
        "memory_retrieval_started",
        beside.operation("retrieval"),
        ("memory_retrieval_completed", take(results="memory_content")),
        failed="memory_retrieval_failed",
    )
    pair(
        "knowledge",
        "knowledge_query_started",
        beside.operation("query"),
        ("knowledge_query_completed", readers.nothing),
        failed="knowledge_query_failed",
    )
    pair(
        "knowledge",
        "knowledge_search_query_started",
        beside.operation("retrieval"),
        ("knowledge_search_query_completed", take("query", results="retrieved_knowledge")),
        failed="knowledge_search_query_failed",
    )
    pair(
        "guardrail",
        "llm_guardrail_started",
        beside.guardrail,
        ("llm_guardrail_completed", beside.guardrail_end),
        failed="llm_guardrail_failed",
    )
    pair(
        "reasoning",
        "agent_reasoning_started",
        beside.reasoning,
        ("agent_reasoning_completed", take("plan", "ready")),
        failed="agent_reasoning_failed",
    )
    pair(
        "planning",
        "plan_step_started",
        beside.planning("execute"),
        ("plan_step_completed", beside.plan_end),
    )
    pair(
        "planning",
        "step_observation_started",
        beside.planning("observe"),
        ("step_observation_completed", beside.observation_end),
        failed="step_observation_failed",
    )
    pair(
        "a2a",
        "a2a_delegation_started",
        beside.a2a("delegation"),
        ("a2a_delegation_completed", beside.a2a_end),
    )
    pair(
        "a2a",
        "a2a_conversation_started",
        beside.a2a("conversation"),
        ("a2a_conversation_completed", beside.a2a_end),
    )
    pair(
        "a2a",
        "a2a_parallel_delegation_started",
        beside.a2a("parallel_delegation"),
        ("a2a_parallel_delegation_completed", beside.a2a_end),
    )
    pair(
        "a2a",
        "a2a_server_task_started",
        beside.a2a("server_task"),
        ("a2a_server_task_completed", beside.a2a_end),
        failed="a2a_server_task_failed a2a_server_task_canceled",
    )
    pair(
        "human_feedback",
        "human_feedback_requested",
        beside.human_feedback("feedback"),
        ("human_feedback_received", take("feedback", "outcome")),
    )
    pair(
        "human_feedback",
        "flow_input_requested",
        beside.human_feedback("input"),
        ("flow_input_received", take(feedback="response")),
    )
    pair(
        "conversation",
        "conversation_turn_started",
        beside.named("flow_name"),
        ("conversation_turn_completed", readers.nothing),
        failed="conversation_turn_failed",
    )
    pair(
        "skill",
        "skill_discovery_started",
        beside.skill("discovery"),
        ("skill_discovery_completed", take(found="skill_names")),
    )
    pair("skill", "skill_download_started", beside.skill("download"), ("skill_download_completed", readers.nothing))
    pair(
        "evaluation",
        "agent_evaluation_started",
        beside.evaluation,
        ("agent_evaluation_completed", beside.evaluation_end),
        failed="agent_evaluation_failed",
    )
    for name in _POINTS:
        rules[name] = Rule("point", readers.told)
    for name in ("agent_logs_started", "agent_logs_execution"):  # the rest of them repeats prompts and answers
        read = take("agent_role")
        rules[name] = Rule("point", read, payload=PAYLOADS.get(read))
    for name in ("llm_stream_chunk", "llm_thinking_chunk"):
        rules[name] = Rule("chunk", readers.nothing, "llm")
    for name in IGNORED:
        rules[name] = Rule("ignored", readers.nothing, payload=())
    return rules


# Events that look like a start and are none of ours: they tell, and have no end, or an end that only repeats them.
_POINTS = (
    "a2a_polling_started",
    "a2a_streaming_started",
    "checkpoint_fork_started",
    "checkpoint_restore_started",
    "checkpoint_started",
    "context_window_summarization_started",
)

IGNORED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("cc_env", "codex_env", "cursor_env", "default_env"),
            "where crewAI thinks that it runs; once per process on some versions",
        ),
        "flow_created": "an instance was made; nothing ran",
        "flow_plot": "a drawing was made; nothing ran",
    }
)

OTHER = Rule("point", readers.told)
_RULES = _table()
RULES: Mapping[str, Rule] = MappingProxyType(_RULES)


def rule_of(event: Any) -> Rule:
    """The rule for an event; an unknown one, or a user's own, whatever its ``type``, is a point in time."""
    event_type, event_class = event.__dict__.get("type"), type(event)
    if isinstance(event_type, str) and (event_class in _crewais or _is_crewais(event_class)):
        return _RULES.get(event_type, OTHER)
    return OTHER


_crewais: set[type] = set()  # crewAI's own classes, which live as long as the process; a user's may not


def _is_crewais(event_class: type) -> bool:
    """Whether an event's class is crewAI's, or derived from one that says more than ``BaseEvent``."""
    bases = (cls for cls in event_class.__mro__ if cls.__name__ != "BaseEvent")
    found = any(str(cls.__module__).startswith("crewai.") for cls in bases)
    if found and event_class.__module__.startswith("crewai."):
        _crewais.add(event_class)
    return found

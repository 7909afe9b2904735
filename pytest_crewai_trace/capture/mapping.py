"""What every event of crewAI means: a table from its ``type`` to what it begins, ends or tells.

An event is looked at while it is emitted, so the readers below take what a span needs from its fields and turn it into
plain data at once. They never assume a field: it may be of another crewAI, or of a user's own event class.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from pytest_crewai_trace.capture.plain import plain

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.semconv import Kind

Fields = Mapping[str, Any]
Read = Callable[[Fields, Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Rule:
    """How one event type is taken.

    ``begins`` and ``ends`` name a kind. ``partner`` is the type of the start that an end ends. ``failed`` marks ends
    that are failures. ``scoped`` is false for pairs that crewAI's bus does not know as a scope: they carry no
    ``started_event_id`` and what happens inside does not name them as its parent.
    """

    role: Literal["begin", "end", "point", "chunk", "ignored"]
    read: Read
    kind: Kind | None = None
    partner: str | None = None
    failed: bool = False
    scoped: bool = True


# -- small readers ----------------------------------------------------------------------------------------------------


def one_line(text: Any) -> str | None:
    """A role or a task's name as one line: YAML's ``>`` leaves a line feed at its end."""
    return " ".join(text.split()) or None if isinstance(text, str) else None


def own(thing: Any, name: str) -> Any:
    """An attribute of a crewAI object, or ``None``."""
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - a property of a user's subclass may raise anything
        return None


def role_of(agent: Any) -> str | None:
    return one_line(own(agent, "role"))


def name_of_task(task: Any) -> str | None:
    return one_line(own(task, "name")) or one_line(own(task, "description"))


def _who(fields: Fields) -> dict[str, Any]:
    """For whom: the role and the task's name, from the event or the objects that it holds."""
    return {
        "agent_role": one_line(fields.get("agent_role")) or role_of(fields.get("agent")),
        "task_name": one_line(fields.get("task_name")) or name_of_task(fields.get("task")),
    }


# What tells one run from another of the same kind: ids and names that both its start and its end carry.
_IDENTITY: Mapping[Kind, tuple[str, ...]] = {
    "crew": ("crew_name",),
    "flow": ("flow_name",),
    "method": ("flow_name", "method_name", "triggered_by_event_id"),
    "task": (),
    "llm": ("call_id", "agent_id"),
    "tool": ("tool_name", "task_id", "agent_id"),
    "planning": ("step_number", "task_id", "agent_id"),
    "human_feedback": ("request_id", "flow_name", "method_name"),
    "conversation": ("session_id", "flow_name"),
    "a2a": ("task_id", "context_id", "endpoint"),
}
_WHOSE = ("task_id", "agent_id")


def identify(kind: Kind, fields: Fields, source: Any) -> dict[str, str]:
    """The ids and names by which an end finds its start."""
    found: dict[str, str] = {}
    for name in _IDENTITY.get(kind, _WHOSE):
        value = fields.get(name)
        if value is not None and value != "":
            found[name] = value if type(value) is str else str(value)
    if kind == "tool" and "tool_name" in found:
        found["tool_name"] = tool_name(found["tool_name"])
    if kind in ("task", "agent"):
        _identify(found, "task_id", fields.get("task") or (source if kind == "task" else None))
        if kind == "agent":
            _identify(found, "agent_id", fields.get("agent"))
    return found


def _identify(found: dict[str, str], name: str, thing: Any) -> None:
    value = own(thing, "id")
    if value is not None:
        found[name] = str(value)


def _take(*names: str, **renamed: str) -> Read:
    """A reader of plain fields; ``renamed`` maps a span's field to the event's."""
    wanted = {**{name: name for name in names}, **renamed}

    def read(fields: Fields, source: Any) -> dict[str, Any]:
        return {target: plain(fields.get(name)) for target, name in wanted.items()}

    return read


def tool_name(name: Any) -> str:
    """A tool's name as models see it. crewAI reports it so for native calls; for ReAct only when the call has ended."""
    sanitize = own(sys.modules.get("crewai.utilities.string_utils"), "sanitize_tool_name")
    text = one_line(name) or "tool"
    return text if sanitize is None else str(sanitize(text)) or text


def arguments_of(value: Any) -> dict[str, Any]:
    """A tool's arguments as a mapping; models send them as JSON text as well."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError):
            return {"input": plain(value)}
    arguments = plain(value)
    return arguments if isinstance(arguments, dict) else {} if arguments is None else {"input": arguments}


# -- readers by kind ------------------------------------------------------------------------------------------------


def _crew(operation: str) -> Read:
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        name = one_line(fields.get("crew_name")) or one_line(own(fields.get("crew") or source, "name")) or "crew"
        return {"name": name, "operation": operation, "inputs": plain(fields.get("inputs"))}

    return read


def _flow(fields: Fields, source: Any) -> dict[str, Any]:
    return {"name": one_line(fields.get("flow_name")) or type(source).__name__, "inputs": plain(fields.get("inputs"))}


def state_of(value: Any) -> Any:
    """A flow's state without the random id that crewAI gives it."""
    state = plain(value)
    if isinstance(state, dict) and isinstance(state.get("id"), str) and _UUID.fullmatch(state["id"]):
        del state["id"]
    return state


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _flow_end(fields: Fields, source: Any) -> dict[str, Any]:
    return {"output": plain(fields.get("result")), "state": state_of(fields.get("state"))}


def _paused(fields: Fields, source: Any) -> dict[str, Any]:
    return {"paused": True, "state": state_of(fields.get("state"))}


def _method(fields: Fields, source: Any) -> dict[str, Any]:
    return {
        "name": str(fields.get("method_name") or ""),
        "flow_name": one_line(fields.get("flow_name")),
        "params": plain(fields.get("params")),
    }


def _method_end(fields: Fields, source: Any) -> dict[str, Any]:
    return {"result": plain(fields.get("result")), "state": state_of(fields.get("state"))}


def _task(fields: Fields, source: Any) -> dict[str, Any]:
    task = fields.get("task") or source
    return {
        "name": name_of_task(task) or one_line(fields.get("task_name")) or "task",
        "task_name": name_of_task(task),
        "agent_role": role_of(own(task, "agent")),
        "description": plain(own(task, "description")),
        "expected_output": plain(own(task, "expected_output")),
        "context": plain(fields.get("context")),
        "asynchronous": own(task, "async_execution") is True,
    }


def _task_end(fields: Fields, source: Any) -> dict[str, Any]:
    output = fields.get("output")
    data = own(output, "pydantic")
    return {
        "output": plain(own(output, "raw")),
        "output_data": plain(own(output, "json_dict") if data is None else data),
        "output_format": plain(own(output, "output_format")),
    }


def _agent(fields: Fields, source: Any) -> dict[str, Any]:
    agent, task = fields.get("agent") or source, fields.get("task")
    return {
        **_who({**fields, "agent": agent, "task": task}),
        "name": role_of(agent) or "agent",
        "goal": plain(own(agent, "goal")),
        "prompt": plain(fields.get("task_prompt")),
        "available_tools": _tool_names(fields.get("tools")),
    }


def _lone_agent(fields: Fields, source: Any) -> dict[str, Any]:
    info = fields.get("agent_info")
    info = info if isinstance(info, dict) else {}
    role = one_line(info.get("role")) or "agent"
    return {
        "name": role,
        "agent_role": role,
        "goal": plain(info.get("goal")),
        "prompt": plain(fields.get("messages")),
        "available_tools": _tool_names(fields.get("tools")),
        "lone": True,
    }


def _tool_names(tools: Any) -> list[str]:
    return [tool_name(own(tool, "name")) for tool in tools] if isinstance(tools, list | tuple) else []


_PARAMETERS = (
    "temperature",
    "top_p",
    "max_tokens",
    "stream",
    "seed",
    "stop_sequences",
    "frequency_penalty",
    "presence_penalty",
    "n",
)


def _llm(fields: Fields, source: Any) -> dict[str, Any]:
    model = str(fields.get("model") or own(source, "model") or "unknown")
    return {
        **_who(fields),
        "name": model.rpartition("/")[2],
        "model": _with_provider(model, source),
        "parameters": {name: plain(fields[name]) for name in _PARAMETERS if fields.get(name) is not None},
    }


def _with_provider(model: str, source: Any) -> str:
    """``provider/model``, so that the price can be looked up; crewAI's native providers drop the prefix."""
    provider = own(source, "provider")
    return f"{provider}/{model}" if "/" not in model and isinstance(provider, str) and provider else model


def _llm_end(fields: Fields, source: Any) -> dict[str, Any]:
    call_type = own(fields.get("call_type"), "value")
    return {
        "response": plain(fields.get("response")),
        "call_type": plain(call_type),
        "reported_usage": plain(fields.get("usage")) or None,
        "finish_reason": plain(fields.get("finish_reason")),
        "response_id": plain(fields.get("response_id")),
    }


def requested_calls(response: Any) -> list[dict[str, Any]]:
    """The tool calls in a response, in the forms of OpenAI, Anthropic, Gemini and Bedrock."""
    calls = []
    for item in response if isinstance(response, list) else ():
        if not isinstance(item, dict):
            continue
        call = next(
            (item[key] for key in ("function", "function_call", "toolUse") if isinstance(item.get(key), dict)), item
        )
        if isinstance(call.get("name"), str):
            given = next((call[key] for key in ("arguments", "input", "args") if call.get(key) is not None), None)
            calls.append({"name": call["name"], "arguments": arguments_of(given)})
    return calls


def _tool(fields: Fields, source: Any) -> dict[str, Any]:
    attempts = fields.get("run_attempts")
    return {
        **_who(fields),
        "name": tool_name(fields.get("tool_name")),
        "arguments": arguments_of(fields.get("tool_args")),
        "attempt": max(1, attempts) if isinstance(attempts, int) else 1,
        "plan_number": fields.get("plan_step_number"),
    }


def _tool_error(fields: Fields, source: Any) -> dict[str, Any]:
    """What the end knows better than the start: the arguments as they were parsed."""
    arguments = fields.get("tool_args")
    return {"arguments": arguments_of(arguments)} if isinstance(arguments, dict) else {}


def _tool_end(fields: Fields, source: Any) -> dict[str, Any]:
    found = _tool_error(fields, source)
    found.update(result=plain(fields.get("output")), cached=fields.get("from_cache") is True)
    failure = fields.get("failure")  # the tool ran and reported that it did not succeed
    if failure is not None:
        found["failure"] = plain(own(failure, "message") or failure)
    return found


def _mcp_tool(fields: Fields, source: Any) -> dict[str, Any]:
    return {
        **_who(fields),
        "name": tool_name(fields.get("tool_name")),
        "arguments": arguments_of(fields.get("tool_args")),
        "mcp_server": _server(fields),
    }


def _server(fields: Fields) -> str:
    """A server by host and path, or its command; ``server_name`` is the URL or the host, depending on the version."""
    url = fields.get("server_url") or fields.get("server_name")
    return (one_line(str(url or "")) or "server").rpartition("://")[2]


def _mcp(fields: Fields, source: Any) -> dict[str, Any]:
    return {
        **_who(fields),
        "name": _server(fields),
        "url": plain(fields.get("server_url")),
        "transport": plain(fields.get("transport_type")),
    }


def _operation(operation: str, *names: str, **renamed: str) -> Read:
    """A reader for spans that are named after what they do."""
    take = _take(*names, **renamed)

    def read(fields: Fields, source: Any) -> dict[str, Any]:
        return {**_who(fields), "name": operation, "operation": operation, **take(fields, source)}

    return read


def _save(fields: Fields, source: Any) -> dict[str, Any]:
    saved = _operation("save", "value")(fields, source)
    saved["background"] = threading.current_thread().name.startswith("memory-save")  # crewAI's pool for it
    return saved


def _guardrail(fields: Fields, source: Any) -> dict[str, Any]:
    text = fields.get("guardrail")
    text = text if isinstance(text, str) else own(text, "__name__") or ""
    function = _FUNCTION.search(text)
    retries = fields.get("retry_count")
    kind = fields.get("guardrail_type") or ("function" if function or "lambda" in text else "llm")
    name = one_line(fields.get("guardrail_name")) or (function[1] if function else None)
    if kind == "function" and (name is None or name == "<lambda>"):
        name = "lambda"
    return {
        **_who(fields),
        "name": name or one_line(text) or "guardrail",
        "guardrail_type": plain(kind),
        "attempt": retries + 1 if isinstance(retries, int) else 1,
    }


_FUNCTION = re.compile(r"^\s*(?:async\s+)?def\s+(\w+)", re.MULTILINE)


def _guardrail_end(fields: Fields, source: Any) -> dict[str, Any]:
    return {"success": fields.get("success") is True, "feedback": plain(fields.get("error")), **_result(fields, source)}


_result = _take("result")


def _reasoning(fields: Fields, source: Any) -> dict[str, Any]:
    attempt = fields.get("attempt")
    who = _who(fields)
    return {**who, "name": who["agent_role"] or "agent", "attempt": attempt if isinstance(attempt, int) else 1}


def _planning(operation: str) -> Read:
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        number = fields.get("step_number")
        description = one_line(fields.get("step_description"))
        return {
            **_who(fields),
            "name": description or f"{operation} {number}",
            "operation": operation,
            "number": number if isinstance(number, int) else 0,
            "description": description,
        }

    return read


def _plan_end(fields: Fields, source: Any) -> dict[str, Any]:
    found = {"success": fields.get("success") is not False, "result": plain(fields.get("result"))}
    if not found["success"]:
        found["failure"] = plain(fields.get("error")) or "failed"
    return found


def _observation_end(fields: Fields, source: Any) -> dict[str, Any]:
    return {
        "success": fields.get("step_completed_successfully") is not False,
        "result": plain(fields.get("key_information_learned")),
    }


def _a2a(operation: str, request: str = "task_description") -> Read:
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        endpoint = plain(fields.get("endpoint"))
        name = one_line(fields.get("a2a_agent_name")) or _card_name(fields.get("agent_card")) or endpoint
        return {
            **_who(fields),
            "name": name or operation,
            "operation": operation,
            "endpoint": endpoint,
            "request": plain(fields.get(request)),
        }

    return read


def _card_name(card: Any) -> str | None:
    return one_line(card.get("name")) if isinstance(card, dict) else None


def _a2a_end(fields: Fields, source: Any) -> dict[str, Any]:
    result = next((fields[key] for key in ("result", "final_result", "results") if fields.get(key) is not None), None)
    found: dict[str, Any] = {"result": plain(result)}
    if fields.get("error") or fields.get("status") in ("failed", "rejected", "canceled"):
        found["failure"] = plain(fields.get("error") or fields.get("status"))
    return found


def _human_feedback(operation: str) -> Read:
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        return {
            "name": str(fields.get("method_name") or ""),
            "operation": operation,
            "message": plain(fields.get("message")),
        }

    return read


def _named(field: str) -> Read:
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        return {"name": one_line(fields.get(field)) or ""}

    return read


def _skill(operation: str) -> Read:
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        place = fields.get("skill_name") or fields.get("registry_ref") or own(fields.get("search_path"), "name")
        return {**_who(fields), "name": one_line(str(place or "")) or operation, "operation": operation}

    return read


def _evaluation(fields: Fields, source: Any) -> dict[str, Any]:
    return {**_who(fields), "name": one_line(fields.get("agent_role")) or "agent"}


def _evaluation_end(fields: Fields, source: Any) -> dict[str, Any]:
    metric, score = fields.get("metric_category"), fields.get("score")
    return {"metric": plain(own(metric, "value") or metric), "score": plain(own(score, "score") if score else score)}


# Fields of every event; those of no use to a reader; live objects; and durations, which are not behaviour.
_NOT_TOLD = frozenset(
    {
        *("timestamp", "type", "source_fingerprint", "source_type", "fingerprint_metadata", "task_id", "agent_id"),
        *("event_id", "parent_event_id", "previous_event_id", "triggered_by_event_id", "started_event_id"),
        *(
            "emission_sequence",
            "from_task",
            "from_agent",
            "agent",
            "task",
            "crew",
            "call_id",
            "tool_class",
            "agent_key",
        ),
        *("duration_ms", "query_time_ms", "fetch_time_ms", "save_time_ms", "started_at", "finished_at", "created_at"),
    }
)


def told(fields: Fields, source: Any) -> dict[str, Any]:
    """What a point in time says, whatever its class: its own fields as plain data."""
    return {name: plain(value) for name, value in fields.items() if name not in _NOT_TOLD and value is not None}


def _nothing(fields: Fields, source: Any) -> dict[str, Any]:
    return {}


# -- the table ------------------------------------------------------------------------------------------------------


def _table() -> dict[str, Rule]:
    rules: dict[str, Rule] = {}

    def pair(
        kind: Kind,
        start: str,
        read: Read,
        *ends: tuple[str, Read],
        failed: str = "",
        read_failed: Read = _nothing,
        scoped: bool = True,
    ) -> None:
        rules[start] = Rule("begin", read, kind, scoped=scoped)
        for name, read_end in ends:
            rules[name] = Rule("end", read_end, kind, partner=start, scoped=scoped)
        for name in failed.split():
            rules[name] = Rule("end", read_failed, kind, partner=start, failed=True, scoped=scoped)

    output = _take("output")
    for operation in ("kickoff", "train", "test"):
        begin = f"crew_{operation}_started"
        pair(
            "crew", begin, _crew(operation), (f"crew_{operation}_completed", output), failed=f"crew_{operation}_failed"
        )
    pair("flow", "flow_started", _flow, ("flow_finished", _flow_end), ("flow_paused", _paused), failed="flow_failed")
    pair(
        "method",
        "method_execution_started",
        _method,
        ("method_execution_finished", _method_end),
        ("method_execution_paused", _paused),
        failed="method_execution_failed",
    )
    pair("task", "task_started", _task, ("task_completed", _task_end), failed="task_failed")
    pair(
        "agent",
        "agent_execution_started",
        _agent,
        ("agent_execution_completed", output),
        failed="agent_execution_error",
    )
    pair(
        "agent",
        "lite_agent_execution_started",
        _lone_agent,
        ("lite_agent_execution_completed", output),
        failed="lite_agent_execution_error",
    )
    pair("llm", "llm_call_started", _llm, ("llm_call_completed", _llm_end), failed="llm_call_failed")
    pair(
        "tool",
        "tool_usage_started",
        _tool,
        ("tool_usage_finished", _tool_end),
        failed="tool_usage_error",
        read_failed=_tool_error,
    )
    pair(
        "tool",
        "mcp_tool_execution_started",
        _mcp_tool,
        ("mcp_tool_execution_completed", _result),
        failed="mcp_tool_execution_failed",
    )
    pair("mcp", "mcp_connection_started", _mcp, ("mcp_connection_completed", _nothing), failed="mcp_connection_failed")
    pair(
        "memory",
        "memory_query_started",
        _operation("query", "query"),
        ("memory_query_completed", _take("results")),
        failed="memory_query_failed",
    )
    pair(
        "memory",
        "memory_save_started",
        _save,
        ("memory_save_completed", _nothing),
        failed="memory_save_failed",
    )
    pair(
        "memory",
        "memory_retrieval_started",
        _operation("retrieval"),
        ("memory_retrieval_completed", _take(results="memory_content")),
        failed="memory_retrieval_failed",
    )
    pair(
        "knowledge",
        "knowledge_query_started",
        _operation("query"),
        ("knowledge_query_completed", _nothing),
        failed="knowledge_query_failed",
    )
    pair(
        "knowledge",
        "knowledge_search_query_started",
        _operation("retrieval"),
        ("knowledge_search_query_completed", _take("query", results="retrieved_knowledge")),
        failed="knowledge_search_query_failed",
    )
    pair(
        "guardrail",
        "llm_guardrail_started",
        _guardrail,
        ("llm_guardrail_completed", _guardrail_end),
        failed="llm_guardrail_failed",
    )
    pair(
        "reasoning",
        "agent_reasoning_started",
        _reasoning,
        ("agent_reasoning_completed", _take("plan", "ready")),
        failed="agent_reasoning_failed",
    )
    pair("planning", "plan_step_started", _planning("execute"), ("plan_step_completed", _plan_end), scoped=False)
    pair(
        "planning",
        "step_observation_started",
        _planning("observe"),
        ("step_observation_completed", _observation_end),
        failed="step_observation_failed",
        scoped=False,
    )
    pair("a2a", "a2a_delegation_started", _a2a("delegation"), ("a2a_delegation_completed", _a2a_end))
    pair("a2a", "a2a_conversation_started", _a2a("conversation"), ("a2a_conversation_completed", _a2a_end))
    pair(
        "a2a",
        "a2a_parallel_delegation_started",
        _a2a("parallel_delegation"),
        ("a2a_parallel_delegation_completed", _a2a_end),
    )
    pair(
        "a2a",
        "a2a_server_task_started",
        _a2a("server_task"),
        ("a2a_server_task_completed", _a2a_end),
        failed="a2a_server_task_failed a2a_server_task_canceled",
    )
    pair(
        "human_feedback",
        "human_feedback_requested",
        _human_feedback("feedback"),
        ("human_feedback_received", _take("feedback", "outcome")),
        scoped=False,
    )
    pair(
        "human_feedback",
        "flow_input_requested",
        _human_feedback("input"),
        ("flow_input_received", _take(feedback="response")),
        scoped=False,
    )
    pair(
        "conversation",
        "conversation_turn_started",
        _named("flow_name"),
        ("conversation_turn_completed", _nothing),
        failed="conversation_turn_failed",
        scoped=False,
    )
    pair(
        "skill",
        "skill_discovery_started",
        _skill("discovery"),
        ("skill_discovery_completed", _take(found="skill_names")),
        scoped=False,
    )
    pair("skill", "skill_download_started", _skill("download"), ("skill_download_completed", _nothing), scoped=False)
    pair(
        "evaluation",
        "agent_evaluation_started",
        _evaluation,
        ("agent_evaluation_completed", _evaluation_end),
        failed="agent_evaluation_failed",
    )
    for name in _POINTS:
        rules[name] = Rule("point", told)
    for name in ("llm_stream_chunk", "llm_thinking_chunk"):
        rules[name] = Rule("chunk", _nothing, "llm")
    for name in IGNORED:
        rules[name] = Rule("ignored", _nothing)
    return rules


# Events that look like a start and are none of ours: they tell, and have no end, or an end that only repeats them.
_POINTS = (
    "a2a_polling_started",
    "a2a_streaming_started",
    "agent_logs_started",
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

OTHER = Rule("point", told)
RULES: Mapping[str, Rule] = MappingProxyType(_table())


def rule_of(event: Any) -> Rule:
    """The rule for an event; an unknown one, or a user's own, whatever its ``type``, is a point in time."""
    event_type = event.__dict__.get("type")
    return RULES.get(event_type, OTHER) if isinstance(event_type, str) and _is_crewais(type(event)) else OTHER


_known_classes: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def _is_crewais(event_class: type) -> bool:
    """Whether an event's class is crewAI's, or derived from one that says more than ``BaseEvent``."""
    known = _known_classes.get(event_class)
    if known is None:
        bases = (cls for cls in event_class.__mro__ if cls.__name__ != "BaseEvent")
        known = _known_classes[event_class] = any(cls.__module__.startswith("crewai.") for cls in bases)
    return known

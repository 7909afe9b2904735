"""What a span needs from an event's fields, taken while the event is emitted and turned into plain data at once.

The readers never assume a field: an event may be of another crewAI, or of a user's own class.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from types import NoneType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pytest_crewai_trace.capture.objects import is_router, limit_of, own
from pytest_crewai_trace.capture.plain import plain

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.semconv import Kind

Fields = Mapping[str, Any]
Read = Callable[[Fields, Any], dict[str, Any]]

# Readers that can wait for the end of the test, and the fields that have to be frozen until then.
PAYLOADS: dict[Read, tuple[str, ...]] = {}
# Those that can wait once what they read of live objects was looked at; ``False`` of a glance: not this time.
Glance = Callable[[dict[str, Any], Any], bool]
GLANCES: dict[Read, Glance] = {}


def later(*payload: str) -> Callable[[Read], Read]:
    """Mark a reader of the most frequent events: it reads text, numbers and ``payload``, and nothing that changes.

    The run waits for the recorder, so of these events only ``payload`` is frozen while they are emitted.
    """

    def mark(read: Read) -> Read:
        PAYLOADS[read] = payload
        return read

    return mark


def after(glance: Glance) -> Callable[[Read], Read]:
    """Mark a reader of live objects: ``glance`` puts what they are now in their place among the fields."""

    def mark(read: Read) -> Read:
        GLANCES[read] = glance
        return read

    return mark


def _seen(thing: Any, *names: str) -> SimpleNamespace | None:
    """Attributes of an object as they are now; ``None`` if one of them can change."""
    values = {name: own(thing, name) for name in names}
    for value in values.values():
        kind = type(value)
        if kind not in _UNCHANGING and kind is not UUID and not issubclass(kind, Enum):
            return None
    return SimpleNamespace(**values)


def _put_seen(held: dict[str, Any], **seen: SimpleNamespace | None) -> bool:
    held.update(seen)
    return None not in seen.values()


def hold(fields: dict[str, Any], payload: tuple[str, ...]) -> dict[str, Any]:
    """The fields of an event as they are now, for a reader that is called later."""
    held = fields.copy()
    for name in payload:
        value = held.get(name)
        if type(value) not in _UNCHANGING:
            held[name] = _frozen(value)
    agent = held.get("agent")
    if agent is not None:
        held["agent_role"] = held.get("agent_role") or role_of(agent)
    return held


def _frozen(value: Any) -> Any:
    """A value that nobody can change any more. What holds nothing but text and numbers is only copied."""
    kind = type(value)
    if kind is dict:
        copy = value.copy()
        if _UNCHANGING.issuperset(map(type, copy.values())) and _TEXT.issuperset(map(type, copy)):
            return copy
    elif kind is list:
        copy = value.copy()
        if _UNCHANGING.issuperset(map(type, copy)):
            return copy
    return plain(value)


_TEXT = frozenset({str})
_UNCHANGING = frozenset({str, int, float, bool, type(None)})


def one_line(text: Any) -> str | None:
    """A role or a task's name as one line: YAML's ``>`` leaves a line feed at its end."""
    return plain(" ".join(text.split())) or None if isinstance(text, str) else None


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
        value = plain(fields.get(name))
        if value is not None and value != "":
            found[name] = str(value)
    if kind == "tool" and "tool_name" in found:
        found["tool_name"] = tool_name(found["tool_name"])
    if kind in ("task", "agent"):
        _identify(found, "task_id", fields.get("task") or (source if kind == "task" else None))
        if kind == "agent":
            _identify(found, "agent_id", fields.get("agent"))
    return found


def _identify(found: dict[str, str], name: str, thing: Any) -> None:
    value = plain(own(thing, "id"))
    if value is not None:
        found[name] = str(value)


def take(*names: str, **renamed: str) -> Read:
    """A reader of plain fields; ``renamed`` maps a span's field to the event's."""
    wanted = {**{name: name for name in names}, **renamed}

    @later(*wanted.values())
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        return {target: plain(fields.get(name)) for target, name in wanted.items()}

    return read


def tool_name(name: Any) -> str:
    """A tool's name as models see it. crewAI reports it so for native calls; for ReAct only when the call has ended."""
    sanitize = own(sys.modules.get("crewai.utilities.string_utils"), "sanitize_tool_name")
    text = one_line(name) or "tool"
    return text if sanitize is None else _sanitized(sanitize, text)


@lru_cache(maxsize=256)  # crewAI's function puts seven regular expressions to it
def _sanitized(sanitize: Callable[[str], str], text: str) -> str:
    return str(sanitize(text)) or text


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


def crew(operation: str) -> Read:
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        name = one_line(fields.get("crew_name")) or one_line(own(fields.get("crew") or source, "name")) or "crew"
        return {"name": name, "operation": operation, "inputs": plain(fields.get("inputs"))}

    return read


@later("inputs")
def flow(fields: Fields, source: Any) -> dict[str, Any]:
    return {"name": one_line(fields.get("flow_name")) or type(source).__name__, "inputs": plain(fields.get("inputs"))}


def state_of(value: Any) -> Any:
    """A flow's state without the random id that crewAI gives it."""
    state = plain(value)
    if isinstance(state, dict) and isinstance(state.get("id"), str) and _UUID.fullmatch(state["id"]):
        del state["id"]
    return state


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@later("result", "state")
def flow_end(fields: Fields, source: Any) -> dict[str, Any]:
    return {"output": plain(fields.get("result")), "state": state_of(fields.get("state"))}


@later("state")
def paused(fields: Fields, source: Any) -> dict[str, Any]:
    return {"paused": True, "state": state_of(fields.get("state"))}


@later("params")
def method(fields: Fields, source: Any) -> dict[str, Any]:
    return {
        "name": one_line(fields.get("method_name")) or "",
        "flow_name": one_line(fields.get("flow_name")),
        "router": is_router(source, fields.get("method_name")),
        "params": plain(fields.get("params")),
    }


@later("result", "state")
def method_end(fields: Fields, source: Any) -> dict[str, Any]:
    return {"result": plain(fields.get("result")), "state": state_of(fields.get("state"))}


def _glance_at_task(held: dict[str, Any], source: Any) -> bool:
    task = held.get("task") or source
    seen = _seen(task, "id", "name", "description", "expected_output", "async_execution")
    agent = _seen(own(task, "agent"), "role")
    if seen is None or agent is None or type(held.get("context")) not in _UNCHANGING:
        return False
    seen.agent = agent
    held["task"] = seen
    return True


@after(_glance_at_task)
def task(fields: Fields, source: Any) -> dict[str, Any]:
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


def _glance_at_output(held: dict[str, Any], source: Any) -> bool:
    return _put_seen(
        held,
        output=_seen(held.get("output"), "raw", "pydantic", "json_dict", "output_format"),
        task=_seen(held.get("task") or source, "id"),
    )


@after(_glance_at_output)
def task_end(fields: Fields, source: Any) -> dict[str, Any]:
    output = fields.get("output")
    data = own(output, "pydantic")
    return {
        "output": plain(own(output, "raw")),
        "output_data": plain(own(output, "json_dict") if data is None else data),
        "output_format": plain(own(output, "output_format")),
    }


def _glance_at_agent(held: dict[str, Any], source: Any) -> bool:
    tools = held.get("tools")
    if type(held.get("task_prompt")) not in _UNCHANGING or not isinstance(tools, list | tuple | NoneType):
        return False
    held["tools"] = [SimpleNamespace(name=own(tool, "name")) for tool in tools or ()]
    return _put_seen(
        held,
        agent=_seen(held.get("agent") or source, "id", "role", "goal", "max_iter"),
        task=_seen(held.get("task"), "id", "name", "description"),
    )


@after(_glance_at_agent)
def agent(fields: Fields, source: Any) -> dict[str, Any]:
    agent, task = fields.get("agent") or source, fields.get("task")
    return {
        **_who({**fields, "agent": agent, "task": task}),
        "name": role_of(agent) or "agent",
        "goal": plain(own(agent, "goal")),
        "prompt": plain(fields.get("task_prompt")),
        "available_tools": _tool_names(fields.get("tools")),
        "max_iter": limit_of(own(agent, "max_iter")),
    }


def lone_agent(fields: Fields, source: Any) -> dict[str, Any]:
    info = fields.get("agent_info")
    info = info if isinstance(info, dict) else {}
    role = one_line(info.get("role")) or "agent"
    return {
        "name": role,
        "agent_role": role,
        "goal": plain(info.get("goal")),
        "prompt": plain(fields.get("messages")),
        "available_tools": _tool_names(fields.get("tools")),
        "max_iter": limit_of(own(source, "max_iter") or own(source, "max_iterations")),
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


@later()  # the recorder sees to its messages and tools; pydantic has copied the other lists
def llm(fields: Fields, source: Any) -> dict[str, Any]:
    model = str(plain(fields.get("model")) or plain(own(source, "model")) or "unknown")
    return {
        **_who(fields),
        "name": model.rpartition("/")[2],
        "model": _with_provider(model, source),
        "parameters": {name: plain(fields[name]) for name in _PARAMETERS if fields.get(name) is not None},
    }


def _with_provider(model: str, source: Any) -> str:
    """``provider/model``, so that the price can be looked up; crewAI's native providers drop the prefix."""
    provider = plain(own(source, "provider"))
    return f"{provider}/{model}" if "/" not in model and isinstance(provider, str) and provider else model


@later()  # the recorder sees to its response; pydantic has copied the usage
def llm_end(fields: Fields, source: Any) -> dict[str, Any]:
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


@later("tool_args")
def tool(fields: Fields, source: Any) -> dict[str, Any]:
    attempts = fields.get("run_attempts")
    return {
        **_who(fields),
        "name": tool_name(fields.get("tool_name")),
        "arguments": arguments_of(fields.get("tool_args")),
        "attempt": max(1, attempts) if isinstance(attempts, int) else 1,
        "plan_number": fields.get("plan_step_number"),
        "cached": fields.get("in_cache") is True,
    }


def tool_error(fields: Fields, source: Any) -> dict[str, Any]:
    """What the end knows better than the start: the arguments as they were parsed."""
    arguments = fields.get("tool_args")
    return {"arguments": arguments_of(arguments)} if isinstance(arguments, dict) else {}


@later("tool_args", "output", "failure")
def tool_end(fields: Fields, source: Any) -> dict[str, Any]:
    found = tool_error(fields, source)
    found["result"] = plain(fields.get("output"))
    if fields.get("from_cache") is True:
        found["cached"] = True
    failure = fields.get("failure")  # the tool ran and reported that it did not succeed
    if failure is not None:
        message = failure.get("message") if isinstance(failure, dict) else None
        found["failure"] = plain(message or failure)
    return found


def mcp_tool(fields: Fields, source: Any) -> dict[str, Any]:
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


def mcp(fields: Fields, source: Any) -> dict[str, Any]:
    return {
        **_who(fields),
        "name": _server(fields),
        "url": plain(fields.get("server_url")),
        "transport": plain(fields.get("transport_type")),
    }


def operation(operation: str, *names: str, **renamed: str) -> Read:
    """A reader for spans that are named after what they do."""
    rest = take(*names, **renamed)

    def read(fields: Fields, source: Any) -> dict[str, Any]:
        return {**_who(fields), "name": operation, "operation": operation, **rest(fields, source)}

    return read


def save(fields: Fields, source: Any) -> dict[str, Any]:
    saved = operation("save", "value")(fields, source)
    saved["background"] = threading.current_thread().name.startswith("memory-save")  # crewAI's pool for it
    return saved


def guardrail(fields: Fields, source: Any) -> dict[str, Any]:
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


def guardrail_end(fields: Fields, source: Any) -> dict[str, Any]:
    return {"success": fields.get("success") is True, "feedback": plain(fields.get("error")), **result(fields, source)}


result = take("result")


def reasoning(fields: Fields, source: Any) -> dict[str, Any]:
    attempt = fields.get("attempt")
    who = _who(fields)
    return {**who, "name": who["agent_role"] or "agent", "attempt": attempt if isinstance(attempt, int) else 1}


def planning(operation: str) -> Read:
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


def plan_end(fields: Fields, source: Any) -> dict[str, Any]:
    found = {"success": fields.get("success") is not False, "result": plain(fields.get("result"))}
    if not found["success"]:
        found["failure"] = plain(fields.get("error")) or "failed"
    return found


def observation_end(fields: Fields, source: Any) -> dict[str, Any]:
    return {
        "success": fields.get("step_completed_successfully") is not False,
        "result": plain(fields.get("key_information_learned")),
    }


def a2a(operation: str, request: str = "task_description") -> Read:
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


def a2a_end(fields: Fields, source: Any) -> dict[str, Any]:
    result = next((fields[key] for key in ("result", "final_result", "results") if fields.get(key) is not None), None)
    found: dict[str, Any] = {"result": plain(result)}
    if fields.get("error") or fields.get("status") in ("failed", "rejected", "canceled"):
        found["failure"] = plain(fields.get("error") or fields.get("status"))
    return found


def human_feedback(operation: str) -> Read:
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        return {
            "name": one_line(fields.get("method_name")) or "",
            "operation": operation,
            "message": plain(fields.get("message")),
        }

    return read


def named(field: str) -> Read:
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        return {"name": one_line(fields.get(field)) or ""}

    return read


def skill(operation: str) -> Read:
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        place = fields.get("skill_name") or fields.get("registry_ref") or own(fields.get("search_path"), "name")
        return {**_who(fields), "name": one_line(str(place or "")) or operation, "operation": operation}

    return read


def evaluation(fields: Fields, source: Any) -> dict[str, Any]:
    return {**_who(fields), "name": one_line(fields.get("agent_role")) or "agent"}


def evaluation_end(fields: Fields, source: Any) -> dict[str, Any]:
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


def nothing(fields: Fields, source: Any) -> dict[str, Any]:
    return {}

"""Readers of events: what the span of a crew, flow, task, agent, model call or tool call needs from them."""

from __future__ import annotations

import re
import sys
from types import NoneType, SimpleNamespace
from typing import Any

from pytest_crewai_trace.capture.fields import (
    UNCHANGING,
    Fields,
    Read,
    after,
    arguments_of,
    later,
    name_of_task,
    one_line,
    put_seen,
    role_of,
    seen_of,
    tool_name,
    who,
)
from pytest_crewai_trace.capture.objects import is_router, limit_of, own
from pytest_crewai_trace.capture.plain import plain


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
    seen = seen_of(task, "id", "name", "description", "expected_output", "async_execution")
    agent = seen_of(own(task, "agent"), "role")
    if seen is None or agent is None or type(held.get("context")) not in UNCHANGING:
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
    return put_seen(
        held,
        output=seen_of(held.get("output"), "raw", "pydantic", "json_dict", "output_format"),
        task=seen_of(held.get("task") or source, "id"),
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
    if type(held.get("task_prompt")) not in UNCHANGING or not isinstance(tools, list | tuple | NoneType):
        return False
    held["tools"] = [SimpleNamespace(name=own(tool, "name")) for tool in tools or ()]
    return put_seen(
        held,
        agent=seen_of(held.get("agent") or source, "id", "role", "goal", "max_iter"),
        task=seen_of(held.get("task"), "id", "name", "description"),
    )


@after(_glance_at_agent)
def agent(fields: Fields, source: Any) -> dict[str, Any]:
    agent, task = fields.get("agent") or source, fields.get("task")
    return {
        **who({**fields, "agent": agent, "task": task}),
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
        **who(fields),
        "name": sys.intern(model.rpartition("/")[2]),  # the same few for all calls
        "model": sys.intern(_with_provider(model, source)),
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
        **who(fields),
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

"""Whether a scripted tool call fits the tools that the model is offered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crewai.utilities.string_utils import sanitize_tool_name
from pydantic import BaseModel, ValidationError

from pytest_crewai_trace.errors import did_you_mean, problems_of

if TYPE_CHECKING:
    from pytest_crewai_trace.replay.answer import Call
    from pytest_crewai_trace.trace.values import ToolCall


def misfit(wanted: ToolCall, call: Call) -> str | None:
    """What is wrong with a tool call, with the choices that there are; None if it fits."""
    tools = _offered(call)
    name = sanitize_tool_name(wanted.name)
    if not tools:
        return "this call offers no tools"
    if name not in tools:
        return f"there is no such tool;{did_you_mean(name, tools)} offered: {', '.join(tools)}"
    takes = tools[name]
    if isinstance(takes, Mapping):
        return _unknown(wanted.arguments, takes.get("properties") or {})
    if takes is None:
        return None
    unknown = _unknown(wanted.arguments, takes.model_fields) if takes.model_config.get("extra") != "allow" else None
    if unknown is not None:
        return unknown
    try:
        takes.model_validate(wanted.arguments)
    except ValidationError as error:
        return f"its arguments do not fit ({'; '.join(problems_of(error))}); it takes {_names(takes.model_fields)}"
    return None


def _offered(call: Call) -> dict[str, Any]:
    """The tools by name, each with the class of its arguments, or their JSON schema where there is no class at hand."""
    agent = call.from_agent or getattr(call.from_task, "agent", None)
    executor = getattr(agent, "agent_executor", None)
    objects = {sanitize_tool_name(tool.name): tool for tool in getattr(executor, "tools", None) or ()}
    if not call.tools:  # ReAct: the tools are in the prompt
        return {name: _schema(tool) for name, tool in objects.items()}
    functions = [tool["function"] for tool in call.tools if isinstance(tool, Mapping) and "function" in tool]
    return {
        function["name"]: _schema(objects[function["name"]])
        if function["name"] in objects
        else function.get("parameters") or {}
        for function in functions
    }


def _schema(tool: Any) -> type[BaseModel] | None:
    schema = getattr(tool, "args_schema", None)
    return schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None


def _unknown(arguments: Mapping[str, Any], takes: Mapping[str, Any]) -> str | None:
    unknown = [name for name in arguments if name not in takes]
    if not unknown or not takes:
        return None
    return f"it takes no argument {unknown[0]!r};{did_you_mean(unknown[0], takes)} it takes {_names(takes)}"


def _names(takes: Mapping[str, Any]) -> str:
    return ", ".join(takes) or "no arguments"

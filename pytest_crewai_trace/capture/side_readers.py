"""Readers of events beside the work itself: servers, memories, guardrails, plans, people, skills and evaluations."""

from __future__ import annotations

import re
import threading
from typing import Any

from pytest_crewai_trace.capture.fields import Fields, Read, arguments_of, one_line, take, tool_name, who
from pytest_crewai_trace.capture.objects import own
from pytest_crewai_trace.capture.plain import plain


def mcp_tool(fields: Fields, source: Any) -> dict[str, Any]:
    return {
        **who(fields),
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
        **who(fields),
        "name": _server(fields),
        "url": plain(fields.get("server_url")),
        "transport": plain(fields.get("transport_type")),
    }


def operation(operation: str, *names: str, **renamed: str) -> Read:
    """A reader for spans that are named after what they do."""
    rest = take(*names, **renamed)

    def read(fields: Fields, source: Any) -> dict[str, Any]:
        return {**who(fields), "name": operation, "operation": operation, **rest(fields, source)}

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
        **who(fields),
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
    whose = who(fields)
    return {**whose, "name": whose["agent_role"] or "agent", "attempt": attempt if isinstance(attempt, int) else 1}


def planning(operation: str) -> Read:
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        number = fields.get("step_number")
        description = one_line(fields.get("step_description"))
        return {
            **who(fields),
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
            **who(fields),
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
        return {**who(fields), "name": one_line(str(place or "")) or operation, "operation": operation}

    return read


def evaluation(fields: Fields, source: Any) -> dict[str, Any]:
    return {**who(fields), "name": one_line(fields.get("agent_role")) or "agent"}


def evaluation_end(fields: Fields, source: Any) -> dict[str, Any]:
    metric, score = fields.get("metric_category"), fields.get("score")
    return {"metric": plain(own(metric, "value") or metric), "score": plain(own(score, "score") if score else score)}

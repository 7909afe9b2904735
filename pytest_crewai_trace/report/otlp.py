"""Traces as OTLP JSON (https://opentelemetry.io/docs/specs/otlp/), named by the GenAI conventions.

Every attribute of a span is one of those conventions or begins with ``crewai.``.
"""

from __future__ import annotations

import hashlib
import json
import math
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_crewai_trace.store.attempt import Attempt
    from pytest_crewai_trace.trace.span import AnySpan, LLMSpan
    from pytest_crewai_trace.trace.trace import Trace
    from pytest_crewai_trace.trace.values import ToolCall

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_INTERNAL, _CLIENT = 1, 3
_STATUS = {"unset": 0, "ok": 1, "error": 2}
# Fields that have a name in the conventions, or a place of their own in a span.
_PLACED = frozenset(
    {
        *("kind", "id", "parent_id", "name", "status", "error", "start", "end", "events", "origin", "agent_role"),
        *("task_name", "model", "messages", "response", "requested_tool_calls", "tool_definitions", "parameters"),
        *("reported_usage", "finish_reason", "response_id", "time_to_first_chunk"),
    }
)
_PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "stop": "gen_ai.request.stop_sequences",
    "stop_sequences": "gen_ai.request.stop_sequences",
}
# crewAI's prefixes, where the conventions call the provider otherwise.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "claude": "anthropic",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}


def resource_spans(attempt: Attempt, trace: Trace) -> dict[str, Any]:
    """One entry of ``resourceSpans``: a span for the test, and inside it those of its trace."""
    versions = {"service.version": attempt.versions.get("pytest-crewai-trace"), "service.name": "pytest-crewai-trace"}
    facts = {
        f"crewai.{group}.{name}": value for group in ("versions", "git", "ci") for name, value in _group(attempt, group)
    }
    trace_id = _digest(attempt.run, attempt.test_id, str(attempt.attempt), attempt.worker or "")[:32]
    began = _nanoseconds(trace.origin.started_at or attempt.started_at)
    spans = [_test_span(attempt, trace, trace_id, began)]
    spans += [_span(span, trace_id, began) for span in trace.all_spans]
    return {
        "resource": {"attributes": _attributes({**versions, **facts})},
        "scopeSpans": [{"scope": {"name": "pytest-crewai-trace"}, "spans": spans}],
    }


def _group(attempt: Attempt, group: str) -> list[tuple[str, str]]:
    found: dict[str, str] = getattr(attempt, group)
    return list(found.items())


def _test_span(attempt: Attempt, trace: Trace, trace_id: str, began: int) -> dict[str, Any]:
    last = max((span.end or span.start for span in trace.all_spans), default=0.0)
    facts = {
        "crewai.test.id": attempt.test_id,
        "crewai.test.outcome": attempt.outcome,
        "crewai.test.attempt": attempt.attempt,
        "crewai.test.worker": attempt.worker,
        "crewai.test.run": attempt.run or None,
        "crewai.test.incomplete": list(trace.incomplete) or None,
    }
    status = {"code": 2, "message": attempt.message or ""} if attempt.bad else {"code": 1}
    return {
        "traceId": trace_id,
        "spanId": _digest(trace_id, "test")[:16],
        "name": f"test {attempt.test_id}",
        "kind": _INTERNAL,
        "startTimeUnixNano": str(began),
        "endTimeUnixNano": _at(began, max(last, attempt.seconds)),
        "attributes": _attributes(facts),
        "status": status,
    }


def _span(span: AnySpan, trace_id: str, began: int) -> dict[str, Any]:
    parent = "test" if span.parent_id is None else str(span.parent_id)
    status: dict[str, Any] = {"code": _STATUS[span.status]}
    if span.error is not None:
        status["message"] = str(span.error)
    return {
        "traceId": trace_id,
        "spanId": _digest(trace_id, str(span.id))[:16],
        "parentSpanId": _digest(trace_id, parent)[:16],
        "name": span.span_name,
        "kind": _CLIENT if span.kind == "llm" else _INTERNAL,
        "startTimeUnixNano": _at(began, span.start),
        "endTimeUnixNano": _at(began, span.start if span.end is None else span.end),
        "attributes": _attributes(attributes(span)),
        "events": [
            {
                "timeUnixNano": _at(began, event.time),
                "name": event.name,
                "attributes": _attributes({f"crewai.{name}": value for name, value in event.attributes.items()}),
            }
            for event in span.events
        ],
        "status": status,
    }


def attributes(span: AnySpan) -> dict[str, Any]:
    """The attributes of a span by their names; ``None`` is left out later."""
    found: dict[str, Any] = {
        "gen_ai.operation.name": span.operation_name,
        "crewai.kind": span.kind,
        "crewai.task.name": span.name if span.kind == "task" else span.task_name,
        "gen_ai.agent.name": span.name if span.kind == "agent" else span.agent_role,
        "crewai.open": True if span.open else None,
    }
    if span.error is not None:
        found["error.type"] = span.error.type or "_OTHER"
        found["crewai.error.traceback"] = span.error.traceback
    match span.kind:
        case "llm":
            found.update(_of_call(span))
        case "crew" | "flow":
            found["gen_ai.workflow.name"] = span.name
        case "tool":
            found.update(
                {
                    "gen_ai.tool.name": span.name,
                    "gen_ai.tool.type": "extension" if span.mcp_server else "function",
                    "gen_ai.tool.call.arguments": span.arguments,
                    "gen_ai.tool.call.result": span.result,
                }
            )
        case "memory" | "knowledge":
            found["gen_ai.retrieval.query.text"] = span.query
    written = {*_PLACED, *(("arguments", "result") if span.kind == "tool" else ())}
    rest = span.model_dump(mode="json", exclude_defaults=True, exclude=written)
    return {**found, **{f"crewai.{name}": value for name, value in rest.items()}}


def _of_call(span: LLMSpan) -> dict[str, Any]:
    usage = span.call_usage
    provider, _, model = span.model.partition("/") if "/" in span.model else ("", "", span.model)
    found: dict[str, Any] = {
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider) or None,
        "gen_ai.request.model": model or None,
        "gen_ai.response.id": span.response_id,
        "gen_ai.response.finish_reasons": [span.finish_reason] if span.finish_reason else None,
        "gen_ai.response.time_to_first_chunk": span.time_to_first_chunk,
        "gen_ai.request.stream": True if span.streamed else None,
        "gen_ai.tool.definitions": list(span.tool_definitions) or None,
        "gen_ai.input.messages": [_message(message) for message in span.messages] or None,
        "gen_ai.output.messages": _output(span),
    }
    if usage.complete and usage.total_tokens:
        found["gen_ai.usage.input_tokens"] = usage.input_tokens
        found["gen_ai.usage.output_tokens"] = usage.output_tokens
        found["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens or None
        found["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_write_tokens or None
        found["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens or None
    for name, value in span.parameters.items():
        found[_PARAMETERS.get(name, f"crewai.request.{name}")] = value
    return found


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A message in the form that the conventions give it: a role and parts."""
    role, content = str(message.get("role", "user")), message.get("content")
    if role == "tool":
        part = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return {"role": role, "parts": [part]}
    parts = (
        []
        if content is None
        else [{"type": "text", "content": content if isinstance(content, str) else _json(content)}]
    )
    for call in message.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            named: dict[str, Any] = {"name": function.get("name"), "arguments": function.get("arguments")}
            parts.append({"type": "tool_call", "id": call.get("id"), **named})
    return {"role": role, "parts": parts}


def _output(span: LLMSpan) -> list[dict[str, Any]] | None:
    def asked(call: ToolCall) -> dict[str, Any]:
        return {"type": "tool_call", "name": call.name, "arguments": call.arguments}

    parts = [asked(call) for call in span.requested_tool_calls]
    if not parts and span.response is not None:
        text = span.response if isinstance(span.response, str) else _json(span.response)
        parts = [{"type": "text", "content": text}]
    return [{"role": "assistant", "parts": parts, "finish_reason": span.finish_reason or "stop"}] if parts else None


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in values.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return {"intValue": str(value)}
    if isinstance(value, float) and math.isfinite(value):
        return {"doubleValue": value}
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return {"arrayValue": {"values": [{"stringValue": item} for item in value]}}
    return {"stringValue": value if isinstance(value, str) else _json(value)}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _nanoseconds(moment: datetime | None) -> int:
    return 0 if moment is None else (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def _at(began: int, seconds: float) -> str:
    """A moment, as far as it fits into the field."""
    return str(min(max(began + int(min(max(seconds, 0.0), 1e9) * 1e9), 0), 2**63))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()

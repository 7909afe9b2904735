"""Names of the OpenTelemetry GenAI conventions (https://opentelemetry.io/docs/specs/semconv/gen-ai/)."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal[
    "crew",
    "flow",
    "method",
    "task",
    "agent",
    "llm",
    "tool",
    "memory",
    "knowledge",
    "guardrail",
    "reasoning",
    "planning",
    "mcp",
    "a2a",
    "human_feedback",
    "conversation",
    "skill",
    "evaluation",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

Status = Literal["unset", "ok", "error"]
STATUSES: tuple[Status, ...] = get_args(Status)

# gen_ai.operation.name, which also begins the span's name; kinds that the conventions do not know use their own.
OPERATIONS: dict[Kind, str] = {
    "crew": "invoke_workflow",
    "flow": "invoke_workflow",
    "method": "execute_method",
    "task": "execute_task",
    "agent": "invoke_agent",
    "llm": "chat",
    "tool": "execute_tool",
    "knowledge": "retrieval",
}

# The span event of a fault that the test itself injected.
FAULT_INJECTED = "fault_injected"

"""Small runs made by hand, as crewAI would have made them, and how a failure reads."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from pytest_crewai_trace import ToolCall, Trace, TraceAssertionError
from tests.support.spans import Sketch, span, trace

MODEL = "openai/gpt-4o-mini"
FORCED = "Now it's time you MUST give your absolute best final answer. You'll ignore all previous instructions."


def llm(*prompt: str, says: Any = "done", calls: tuple[ToolCall, ...] = (), tokens: Any = 100, **fields: Any) -> Sketch:
    """A model that was sent ``prompt``, one message each, and answered; ``tokens=None``: it did not say how many."""
    usage = None if tokens is None else {"prompt_tokens": tokens, "completion_tokens": 20}
    return span(
        "llm",
        "gpt-4o-mini",
        **{
            "model": MODEL,
            "messages": [{"role": "user", "content": text} for text in prompt],
            "response": says,
            "requested_tool_calls": calls,
            "reported_usage": usage,
            **fields,
        },
    )


def tool(name: str, result: Any = None, *inside: Sketch, **arguments: Any) -> Sketch:
    """A tool call; keywords that begin with ``_`` are fields of the span, the others arguments of the call."""
    fields = {key[1:]: value for key, value in arguments.items() if key.startswith("_")}
    given = {key: value for key, value in arguments.items() if not key.startswith("_")}
    return span("tool", name, *inside, arguments=given, result=result, **fields)


def whose(role: str | None, task: str | None, sketch: Any) -> Any:
    """Fill in whose everything inside is, as the recorder does."""
    if isinstance(sketch, list):
        return [whose(role, task, one) for one in sketch]
    role = sketch.name if sketch.kind == "agent" else role
    task = sketch.name if sketch.kind == "task" else task
    if sketch.kind not in ("crew", "flow", "method"):
        sketch.fields.setdefault("agent_role", role)
        sketch.fields.setdefault("task_name", task)
    sketch.inside = [whose(role, task, one) for one in sketch.inside]
    return sketch


def story(*roots: Sketch | list[Sketch], **fields: Any) -> Trace:
    return trace(*(whose(None, None, root) for root in roots), **fields)


def agent(role: str, *inside: Sketch | list[Sketch], tools: tuple[str, ...] = (), **fields: Any) -> Sketch:
    return span("agent", role, *inside, available_tools=tools, **fields)


def research(query: str = "AI", *, found: str = "three articles", handed: str = "Three articles were found.") -> Trace:
    """A Researcher who searches, and a Writer who is told what was found."""
    return story(
        span(
            "crew",
            "crew",
            span(
                "task",
                "research",
                agent(
                    "Researcher",
                    llm("You are Researcher", "Research AI", says=[], calls=(ToolCall("search", {"query": query}),)),
                    tool("search", "three articles", query=query),
                    llm("You are Researcher", "Research AI", found, says="Three articles were found."),
                    tools=("search", "fetch"),
                    output="Three articles were found.",
                ),
                output="Three articles were found.",
            ),
            span(
                "task",
                "write",
                agent(
                    "Writer",
                    llm("You are Writer", f"Write. {handed}", says="An article.", tokens=300),
                    output="An article.",
                ),
                output="An article.",
            ),
            output="An article.",
        )
    )


def review(label: str = "approved") -> Trace:
    """A flow with a router."""
    last = "publish" if label == "approved" else "discard"
    return story(
        span(
            "flow",
            "Review",
            span("method", "draft", result="a text"),
            span("method", "judge", result=label, router=True),
            span("method", last, result="out"),
            output="out",
        )
    )


def down() -> Trace:
    """A model that is down: the run raises."""
    failed = {"error": "model down"}
    return story(
        span(
            "crew",
            "crew",
            span(
                "task",
                "research",
                agent("Researcher", llm("Research AI", says=None, tokens=None, **failed), **failed),
                **failed,
            ),
            **failed,
        )
    )


def flaky(*, then: str | None = "page") -> Trace:
    """A tool that fails, and with ``then`` answers when it is called again."""
    again = [] if then is None else [tool("fetch", then, url="x.org")]
    return story(
        span(
            "crew",
            "crew",
            span(
                "task",
                "research",
                agent(
                    "Researcher",
                    llm("Fetch", says=[], calls=(ToolCall("fetch", {"url": "x.org"}),)),
                    tool("fetch", url="x.org", _error="too slow"),
                    *again,
                    llm("Fetch", then or "Error: too slow", says="All is well."),
                    tools=("fetch",),
                    output="All is well.",
                ),
                output="All is well.",
            ),
            output="All is well.",
        )
    )


def delegating(*, to: str = "Researcher") -> Trace:
    """A Boss who hands work on."""
    order = {"coworker": to, "task": "Find facts", "context": ""}
    inside = (
        [agent("Researcher", llm("Find facts", says="the facts"), output="the facts")] if to == "Researcher" else []
    )
    result = "the facts" if inside else f"Error: no coworker {to}"
    return story(
        span(
            "crew",
            "crew",
            span(
                "task",
                "report",
                agent(
                    "Boss",
                    llm("Report", says=[], calls=(ToolCall("delegate_work_to_coworker", order),)),
                    tool("delegate_work_to_coworker", result, *inside, **order),
                    llm("Report", result, says="the report"),
                    tools=("delegate_work_to_coworker", "ask_question_to_coworker"),
                ),
                output="the report",
            ),
            output="the report",
        )
    )


def failure(expectation: Callable[[], object]) -> str:
    """The whole message with which an expectation fails."""
    with pytest.raises(TraceAssertionError) as caught:
        expectation()
    return str(caught.value)


def told(text: str) -> str:
    """An expected message as it stands in a test: indented like the code around it."""
    return textwrap.dedent(text).strip("\n")

"""A model that answers from a script, behind crewAI's own ``BaseLLM`` seam, on every supported crewAI."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import BaseLLM, llm_call_context
from pydantic import PrivateAttr


@dataclass(frozen=True)
class Call:
    """One tool call that the model asks for."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True)
class Calls:
    """One or more tool calls in one reply; needs ``native=True``."""

    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Chunks:
    """A text reply that is streamed."""

    chunks: tuple[str, ...]


def calls(name: str, **arguments: Any) -> Calls:
    return Calls((Call(name, arguments),))


def react(tool: str, **arguments: Any) -> str:
    """A tool call as ReAct text."""
    return f"Thought: I need {tool}.\nAction: {tool}\nAction Input: {json.dumps(arguments)}"


def final(text: str) -> str:
    """A final answer as ReAct text."""
    return f"Thought: I now know the final answer.\nFinal Answer: {text}"


Reply = str | Calls | Chunks | BaseException | Callable[..., Any]


class ScriptedLLM(BaseLLM):
    """Answers from ``replies`` in order; the last one is repeated when ``repeat_last``.

    ``by_agent`` maps a role to that agent's own replies. ``native`` says whether the model does function calling
    (then tool calls are ``Calls``) or ReAct (then they are text). Usage is 10 input and 5 output tokens a call.
    """

    native: bool = False
    repeat_last: bool = False
    _replies: list[Any] = PrivateAttr(default_factory=list)
    _by_agent: dict[str, list[Any]] = PrivateAttr(default_factory=dict)
    _requests: list[dict[str, Any]] = PrivateAttr(default_factory=list)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(
        self,
        *replies: Any,
        by_agent: dict[str, Sequence[Any]] | None = None,
        model: str = "openai/gpt-4o-mini",
        native: bool = False,
        repeat_last: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(model=model, native=native, repeat_last=repeat_last, **options)
        self._replies = list(replies)
        self._by_agent = {role: list(queue) for role, queue in (by_agent or {}).items()}

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What was asked, in order: messages, tools, role of the agent."""
        return self._requests

    def supports_function_calling(self) -> bool:
        return self.native

    def supports_stop_words(self) -> bool:
        return False

    def get_context_window_size(self) -> int:
        return 100_000

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> ScriptedLLM:
        return self  # Crew.copy() and train() copy their agents; the script stays one.

    def __copy__(self) -> ScriptedLLM:
        return self

    def _next(self, role: str | None) -> Any:
        with self._lock:
            queue = self._by_agent.get((role or "").strip(), self._replies)
            if not queue:
                raise AssertionError(f"the script has no reply left for {role!r}")
            return queue[0] if self.repeat_last and len(queue) == 1 else queue.pop(0)

    def _answer(
        self,
        messages: Any,
        tools: Any,
        from_task: Any,
        from_agent: Any,
        response_model: Any,
        available_functions: Any,
    ) -> Any:
        from_agent = from_agent or getattr(from_task, "agent", None)
        role = getattr(from_agent, "role", None)
        with llm_call_context():
            self._emit_call_started_event(
                messages=messages,
                tools=tools,
                available_functions=available_functions,
                from_task=from_task,
                from_agent=from_agent,
            )
            self._requests.append({"messages": messages, "tools": tools, "role": role})
            who: dict[str, Any] = {"from_task": from_task, "from_agent": from_agent}
            try:
                reply = self._next(role)
                if callable(reply):
                    reply = reply(messages)
                if isinstance(reply, BaseException):
                    raise reply
            except Exception as error:
                self._emit_call_failed_event(error=str(error), **who)
                raise
            kind, response = LLMCallType.LLM_CALL, reply
            if isinstance(reply, Chunks):
                for chunk in reply.chunks:
                    self._emit_stream_chunk_event(chunk=chunk, call_type=kind, **who)
                response = "".join(reply.chunks)
            elif isinstance(reply, Calls):
                kind = LLMCallType.TOOL_CALL
                response = [
                    {
                        "id": call.id or f"call_{len(self._requests)}_{number}",
                        "type": "function",
                        "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
                    }
                    for number, call in enumerate(reply.calls)
                ]
            elif response_model is not None:
                response = self._validate_structured_output(reply, response_model)
            usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
            self._track_token_usage_internal(usage)
            self._emit_call_completed_event(response=response, call_type=kind, messages=messages, usage=usage, **who)
            return response

    def call(
        self,
        messages: Any,
        tools: Any = None,
        callbacks: Any = None,
        available_functions: Any = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: Any = None,
    ) -> Any:
        return self._answer(messages, tools, from_task, from_agent, response_model, available_functions)

    async def acall(
        self,
        messages: Any,
        tools: Any = None,
        callbacks: Any = None,
        available_functions: Any = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: Any = None,
    ) -> Any:
        return self._answer(messages, tools, from_task, from_agent, response_model, available_functions)

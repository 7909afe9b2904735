"""A small OpenAI-compatible chat server on loopback, for crewAI's own ``LLM``: plain, streamed, tool calls, errors."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

from tests.support.loopback import Loopback, Reply, Request, json_reply

USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 7,
    "total_tokens": 27,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


@dataclass(frozen=True)
class Answer:
    """A text answer."""

    text: str


@dataclass(frozen=True)
class ToolRequest:
    """An answer that asks for tools: pairs of name and arguments."""

    calls: tuple[tuple[str, dict[str, Any]], ...]


@dataclass(frozen=True)
class Failure:
    """An HTTP error in OpenAI's form."""

    status: int
    message: str


class OpenAIServer(Loopback):
    """Deals out ``replies`` in order, the last one for ever."""

    def __init__(self, replies: list[Answer | ToolRequest | Failure]) -> None:
        super().__init__(self._reply)
        self._replies = replies
        self._dealing = threading.Lock()
        self.base_url = f"{self.url}/v1"

    def _reply(self, request: Request) -> Reply:
        body = request.json
        with self._dealing:
            reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if isinstance(reply, Failure):
            error = {"error": {"message": reply.message, "type": "server_error", "code": None, "param": None}}
            return json_reply(error, reply.status)
        if body.get("stream"):
            lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(body["model"], reply)]
            return Reply(200, "".join([*lines, "data: [DONE]\n\n"]).encode(), "text/event-stream")
        return json_reply(_completion(body["model"], reply))


def _tool_calls(reply: ToolRequest, *, streamed: bool) -> list[dict[str, Any]]:
    return [
        {
            **({"index": number} if streamed else {}),
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for number, (name, arguments) in enumerate(reply.calls)
    ]


def _completion(model: str, reply: Answer | ToolRequest) -> dict[str, Any]:
    if isinstance(reply, ToolRequest):
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None,
            "tool_calls": _tool_calls(reply, streamed=False),
        }
    else:
        message = {"role": "assistant", "content": reply.text}
    reason = "tool_calls" if isinstance(reply, ToolRequest) else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": USAGE,
    }


def _chunks(model: str, reply: Answer | ToolRequest) -> list[dict[str, Any]]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    if isinstance(reply, ToolRequest):
        deltas: list[dict[str, Any]] = [{"tool_calls": [call]} for call in _tool_calls(reply, streamed=True)]
        reason = "tool_calls"
    else:
        deltas = [{"content": word} for word in reply.text.split(" ")]
        deltas = [{"content": delta["content"] + (" " if delta is not deltas[-1] else "")} for delta in deltas]
        reason = "stop"
    return [
        *({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas),
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {**head, "choices": [], "usage": USAGE},
    ]

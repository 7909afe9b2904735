"""A small OpenAI-compatible chat server on loopback, for crewAI's own ``LLM``: plain, streamed, tool calls, errors."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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


@dataclass
class OpenAIServer:
    """Deals out ``replies`` in order, the last one for ever; ``requests`` holds the bodies that came in."""

    replies: list[Answer | ToolRequest | Failure]
    requests: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        server = self
        lock = threading.Lock()

        class ChatCompletions(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    server.requests.append(body)
                    reply = server.replies.pop(0) if len(server.replies) > 1 else server.replies[0]
                if isinstance(reply, Failure):
                    error = {"error": {"message": reply.message, "type": "server_error", "code": None, "param": None}}
                    self._send(reply.status, "application/json", json.dumps(error).encode())
                elif body.get("stream"):
                    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(body["model"], reply)]
                    self._send(200, "text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode())
                else:
                    self._send(200, "application/json", json.dumps(_completion(body["model"], reply)).encode())

            def _send(self, status: int, content_type: str, payload: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args: Any) -> None:
                """Requests are kept in ``requests``, not printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), ChatCompletions)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


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

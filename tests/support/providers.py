"""A server on loopback that speaks the wire formats of the providers that crewAI reaches over HTTP.

OpenAI chat and responses (Ollama and LiteLLM as well), Anthropic, Gemini, Bedrock, Azure; plain and streamed, with tool
calls and errors; and a page for tools.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from tests.support.loopback import Loopback, Reply, Request
from tests.support.openai import Answer, Failure, ToolRequest, _chunks, _completion


def asked(body: dict[str, Any]) -> str:
    """All that a model was asked, as one text."""
    return json.dumps(body, ensure_ascii=False)


class ProviderServer(Loopback):
    """Answers each request by ``answer(text of its body)``; ``packed``: with gzip, for those that take it."""

    def __init__(
        self,
        answer: Callable[[str], Answer | ToolRequest | Failure],
        *,
        packed: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(self._reply)
        self.answer = answer
        self._packed = packed
        self._headers = headers or {}

    def _reply(self, request: Request) -> Reply:
        if request.method == "GET":
            return self._packaged(request, 200, "text/html", f"<p>page {request.path}</p>".encode())
        body = request.json
        reply = self.answer(asked(body))
        if isinstance(reply, Failure):
            return self._packaged(request, reply.status, "application/json", json.dumps(_failure(reply)).encode())
        return self._packaged(request, 200, *_speak(unquote(request.path), body, reply))

    def _packaged(self, request: Request, status: int, content_type: str, content: bytes) -> Reply:
        packed = self._packed and "gzip" in (request.header("Accept-Encoding") or "")
        headers = {**self._headers, **({"Content-Encoding": "gzip"} if packed else {})}
        return Reply(status, gzip.compress(content) if packed else content, content_type, headers)


def _failure(reply: Failure) -> dict[str, Any]:
    inner = {"message": reply.message, "type": "server_error", "code": reply.status, "status": "UNAVAILABLE"}
    return {"type": "error", "message": reply.message, "error": inner}


def _speak(path: str, body: dict[str, Any], reply: Answer | ToolRequest) -> tuple[str, bytes]:
    """The content type and the payload of a reply in the format of the provider whose path it is."""
    if "/converse" in path:
        if path.endswith("-stream"):
            return "application/vnd.amazon.eventstream", b"".join(_bedrock_events(reply))
        return "application/json", json.dumps(_bedrock(reply)).encode()
    if "GenerateContent" in path or "generateContent" in path:
        if "stream" in path:
            return "text/event-stream", b"".join(
                f"data: {json.dumps(part)}\r\n\r\n".encode() for part in [_gemini(reply)]
            )
        return "application/json", json.dumps(_gemini(reply)).encode()
    if path.endswith("/messages"):
        if body.get("stream"):
            return "text/event-stream", _events(_anthropic_events(reply))
        return "application/json", json.dumps(_anthropic(reply)).encode()
    if path.endswith("/responses"):
        if body.get("stream"):
            return "text/event-stream", _events(_responses_events(reply))
        return "application/json", json.dumps(_response(reply)).encode()
    model = body.get("model", "gpt-4o-mini")
    if body.get("stream"):
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(model, reply)]
        return "text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode()
    return "application/json", json.dumps(_completion(model, reply)).encode()


def _events(events: Iterator[dict[str, Any]]) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


# -- OpenAI responses -------------------------------------------------------------------------------------------------


def _response(reply: Answer | ToolRequest) -> dict[str, Any]:
    if isinstance(reply, ToolRequest):
        output: list[dict[str, Any]] = [
            {
                "type": "function_call",
                "id": f"fc_{number}",
                "call_id": f"call_{number}",
                "name": name,
                "arguments": json.dumps(arguments),
                "status": "completed",
            }
            for number, (name, arguments) in enumerate(reply.calls)
        ]
    else:
        content = {"type": "output_text", "text": reply.text, "annotations": []}
        output = [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [content]}]
    usage = {
        "input_tokens": 20,
        "output_tokens": 7,
        "total_tokens": 27,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-4o-mini",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
    }


def _responses_events(reply: Answer | ToolRequest) -> Iterator[dict[str, Any]]:
    done = _response(reply)
    yield {
        "type": "response.created",
        "sequence_number": 0,
        "response": {**done, "output": [], "status": "in_progress"},
    }
    for number, item in enumerate(done["output"]):
        yield {"type": "response.output_item.added", "sequence_number": 1, "output_index": number, "item": item}
        if isinstance(reply, Answer):
            yield {
                "type": "response.output_text.delta",
                "sequence_number": 2,
                "item_id": "msg_1",
                "output_index": 0,
                "content_index": 0,
                "delta": reply.text,
                "logprobs": [],
            }
        else:
            yield {
                "type": "response.function_call_arguments.delta",
                "sequence_number": 2,
                "item_id": item["id"],
                "output_index": number,
                "delta": item["arguments"],
            }
        yield {"type": "response.output_item.done", "sequence_number": 3, "output_index": number, "item": item}
    yield {"type": "response.completed", "sequence_number": 4, "response": done}


# -- Anthropic --------------------------------------------------------------------------------------------------------


def _blocks(reply: Answer | ToolRequest) -> list[dict[str, Any]]:
    if isinstance(reply, Answer):
        return [{"type": "text", "text": reply.text}]
    return [
        {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}
        for number, (name, arguments) in enumerate(reply.calls)
    ]


def _anthropic(reply: Answer | ToolRequest) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4",
        "content": _blocks(reply),
        "stop_reason": "tool_use" if isinstance(reply, ToolRequest) else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 20, "output_tokens": 7},
    }


def _anthropic_events(reply: Answer | ToolRequest) -> Iterator[dict[str, Any]]:
    whole = _anthropic(reply)
    yield {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
    for number, block in enumerate(whole["content"]):
        empty = {**block, **({"text": ""} if block["type"] == "text" else {"input": {}})}
        yield {"type": "content_block_start", "index": number, "content_block": empty}
        delta = (
            {"type": "text_delta", "text": block["text"]}
            if block["type"] == "text"
            else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        )
        yield {"type": "content_block_delta", "index": number, "delta": delta}
        yield {"type": "content_block_stop", "index": number}
    stop = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 7}}
    yield {"type": "message_stop"}


# -- Gemini -----------------------------------------------------------------------------------------------------------


def _gemini(reply: Answer | ToolRequest) -> dict[str, Any]:
    if isinstance(reply, ToolRequest):
        parts: list[dict[str, Any]] = [{"functionCall": {"name": name, "args": args}} for name, args in reply.calls]
    else:
        parts = [{"text": reply.text}]
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 7, "totalTokenCount": 27},
        "modelVersion": "gemini-2.0-flash",
    }


# -- Bedrock ----------------------------------------------------------------------------------------------------------


def _bedrock(reply: Answer | ToolRequest) -> dict[str, Any]:
    if isinstance(reply, ToolRequest):
        content: list[dict[str, Any]] = [
            {"toolUse": {"toolUseId": f"tooluse_{number}", "name": name, "input": arguments}}
            for number, (name, arguments) in enumerate(reply.calls)
        ]
    else:
        content = [{"text": reply.text}]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use" if isinstance(reply, ToolRequest) else "end_turn",
        "usage": {"inputTokens": 20, "outputTokens": 7, "totalTokens": 27},
        "metrics": {"latencyMs": 1},
    }


def _bedrock_events(reply: Answer | ToolRequest) -> Iterator[bytes]:
    yield _event("messageStart", {"role": "assistant"})
    for number, block in enumerate(_bedrock(reply)["output"]["message"]["content"]):
        if "toolUse" in block:
            use = block["toolUse"]
            begun = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
            yield _event("contentBlockStart", {"contentBlockIndex": number, "start": begun})
            delta = {"toolUse": {"input": json.dumps(use["input"])}}
        else:
            delta = {"text": block["text"]}
        yield _event("contentBlockDelta", {"contentBlockIndex": number, "delta": delta})
        yield _event("contentBlockStop", {"contentBlockIndex": number})
    yield _event("messageStop", {"stopReason": _bedrock(reply)["stopReason"]})
    yield _event("metadata", {"usage": _bedrock(reply)["usage"], "metrics": {"latencyMs": 1}})


def _event(kind: str, value: dict[str, Any]) -> bytes:
    """One message of AWS's binary event stream."""
    headers = b""
    for name, text in ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event")):
        headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text.encode()
    payload = json.dumps(value).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))

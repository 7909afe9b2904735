"""A stand-in for CrewAI AMP on loopback: both tracing protocols as recorded, every request kept and counted."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

API = "/crewai_plus/api/v1"
TRACING = f"{API}/tracing"
COLLECTOR = "/v1/traces"


@dataclass(frozen=True)
class Request:
    """One request as it arrived; ``headers`` are case-insensitive by ``header()``."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def is_tracing(self) -> bool:
        """Whether it carries a trace or asks for leave to send one."""
        return self.path.startswith(TRACING) or self.path.startswith(COLLECTOR)

    @property
    def spans(self) -> list[Any]:
        """The OTLP spans of a request to the collector."""
        return spans_of(gzip.decompress(self.body) if self.header("Content-Encoding") == "gzip" else self.body)


def spans_of(sent: bytes) -> list[Any]:
    """The spans of a serialised OTLP request."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(sent)
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Override = Callable[[Request], "Answer | None"]


def refuse(status: int, body: Any = None) -> Override:
    """An override that answers every tracing request with this status."""
    answer = Answer(status, {"error": "refused"} if body is None else body)
    return lambda request: answer if request.is_tracing else None


class Amp:
    """``with Amp() as amp``: a server at ``amp.url``. ``override`` may answer instead of AMP; None leaves it to AMP."""

    def __init__(self, override: Override | None = None) -> None:
        self.override = override
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        amp = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Request(self.command, self.path, dict(self.headers.items()), body)
                answer = amp.receive(request)
                content = answer.content
                self.send_response(answer.status)
                headers = {"Content-Type": answer.content_type, "Content-Length": str(len(content)), **answer.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_one  # noqa: N815 - http.server's names

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Amp:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def tracing(self) -> list[Request]:
        """The requests that carry a trace or ask for leave to send one."""
        return [request for request in self.requests if request.is_tracing]

    def receive(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
        answer = self.override(request) if self.override is not None else None
        return self._answer(request) if answer is None else answer

    def _answer(self, request: Request) -> Answer:
        path = request.path.partition("?")[0]
        if path == COLLECTOR:
            return Answer(200, b"", content_type="application/x-protobuf")
        if path == f"{TRACING}/grants":
            return self._grant(request)
        if path.startswith(TRACING):
            return self._batch(request, path)
        if path == "/pypi/crewai/json":
            return Answer(200, {"releases": {"1.0.0": [{"yanked": False}]}})
        return Answer(200, {})

    def _grant(self, request: Request) -> Answer:
        uuid = request.json["execution_uuid"]
        grant = {
            "token": f"grant-{uuid}",
            "collector_url": f"{self.url}{COLLECTOR}",
            "execution_uuid": uuid,
            "expires_at": (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat(),
            "tier": "authenticated" if request.header("Authorization") else "ephemeral",
        }
        if request.json.get("include_trace_url"):
            grant["trace_url"] = f"{self.url}/traces/{uuid}"
        return Answer(200, grant)

    def _batch(self, request: Request, path: str) -> Answer:
        ephemeral = "/ephemeral/" in path
        access = {"access_code": "TRACE-0123456789"} if ephemeral else {}
        if request.method == "POST" and path.endswith("/batches"):
            sent = request.json
            name = "ephemeral_trace_id" if ephemeral else "trace_id"
            ids = {"id": str(uuid4()), name: sent[name]}
            return Answer(201, {**ids, "execution_type": sent["execution_type"], "status": "running", **access})
        batch = path.partition("/batches/")[2].partition("/")[0]
        if path.endswith("/events"):
            kind = "ephemeral_trace_batch_id" if ephemeral else "trace_batch_id"
            return Answer(200, {"events_created": len(request.json["events"]), kind: batch})
        if path.endswith("/finalize"):
            total = {"total_events": request.json["final_event_count"]}
            return Answer(200, {"id": str(uuid4()), "trace_id": batch, "status": "completed", **total, **access})
        return Answer(200, {"id": str(uuid4()), "trace_id": batch, "status": "failed"})

"""A stand-in for CrewAI AMP on loopback: both tracing protocols as recorded, strict about what it takes.

Every request is kept and counted; ``override`` answers instead, with any fault.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

from tests.support.loopback import Loopback, Raw, Reply, Request, json_reply

API = "/crewai_plus/api/v1"
TRACING = f"{API}/tracing"
GRANTS = f"{TRACING}/grants"
COLLECTOR = "/v1/traces"
MOST_SPANS = 200
MOST_BYTES = 3_072_000
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Override = Callable[[Request], "Reply | Raw | None"]


def is_tracing(request: Request) -> bool:
    """Whether it carries a trace or asks for leave to send one."""
    return request.path.startswith((TRACING, COLLECTOR))


def spans_of(request: Request) -> list[Any]:
    """The OTLP spans of a request to the collector."""
    return spans_in(request.plain)


def spans_in(serialised: bytes) -> list[Any]:
    """The spans of a serialised OTLP request."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    sent = ExportTraceServiceRequest.FromString(serialised)
    return [span for resource in sent.resource_spans for scope in resource.scope_spans for span in scope.spans]


def refuse(status: int) -> Override:
    """An override that answers every tracing request with this status."""
    reply = json_reply({"error": "refused"}, status)
    return lambda request: reply if is_tracing(request) else None


@dataclass
class Batch:
    """A batch of the older protocol: what opened it, what came in, and how it ended."""

    opened: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)
    status: str = "running"


class Amp(Loopback):
    """``with Amp() as amp``: a server at ``amp.url``. ``override`` may answer instead of AMP; None leaves it to AMP.

    ``spans`` and ``batches`` hold what came in, by execution. ``grants=False``: a server that is older than they are.
    ``latency``: seconds before each answer. ``lifetime``: seconds that a grant is good for.
    """

    def __init__(
        self,
        override: Override | None = None,
        *,
        grants: bool = True,
        latency: float = 0.0,
        lifetime: float = 3_600.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(self._receive, tls=tls)
        self.override = override
        self.early: Override | None = None
        self.spans: dict[str, list[Any]] = {}
        self.batches: dict[str, Batch] = {}
        self._grants = grants
        self._latency = latency
        self.lifetime = lifetime
        self._tokens: dict[str, str] = {}
        self._state = threading.Lock()

    @property
    def paths(self) -> list[str]:
        """What was asked, in its order, without the ids."""
        return [f"{one.method} {_ID.sub('*', one.path.removeprefix(TRACING))}" for one in self.requests]

    def expire(self) -> None:
        """All grants so far are worth nothing now."""
        self._tokens = dict.fromkeys(self._tokens, "")

    def before_body(self, request: Request) -> Raw | None:
        found = self.early(request) if self.early is not None else None
        return None if isinstance(found, Reply) else found

    def _receive(self, request: Request) -> Reply | Raw:
        if self._latency:
            time.sleep(self._latency)
        found = self.override(request) if self.override is not None else None
        return self._reply(request) if found is None else found

    def _reply(self, request: Request) -> Reply:
        path = request.path.partition("?")[0]
        with self._state:
            if path == COLLECTOR:
                return self._export(request)
            if path == GRANTS:
                return self._grant(request) if self._grants else Reply(404, b"<h1>Not Found</h1>", "text/html")
            if path.startswith(TRACING):
                return self._batch(request, path)
        if path == "/pypi/crewai/json":
            return json_reply({"releases": {"1.0.0": [{"yanked": False}]}})
        return json_reply({})

    def _grant(self, request: Request) -> Reply:
        uuid = request.json["execution_uuid"]
        token = f"grant-{uuid}-{len(self._tokens)}"
        self._tokens[token] = uuid
        grant = {
            "token": token,
            "collector_url": f"{self.url}{COLLECTOR}",
            "execution_uuid": uuid,
            "expires_at": (datetime.now(timezone.utc) + timedelta(seconds=self.lifetime)).isoformat(),
            "tier": "authenticated" if request.header("Authorization") else "ephemeral",
        }
        if request.json.get("include_trace_url"):
            grant["trace_url"] = f"{self.url}/traces/{uuid}"
        return json_reply(grant)

    def _export(self, request: Request) -> Reply:
        uuid = self._tokens.get((request.header("Authorization") or "").removeprefix("Bearer "))
        if not uuid:
            return json_reply({"error": "unauthorized"}, 401)
        spans = spans_of(request)
        if len(spans) > MOST_SPANS or len(request.body) > MOST_BYTES:
            return json_reply({"error": "too large"}, 413)
        self.spans.setdefault(uuid, []).extend(spans)
        return Reply(content_type="application/x-protobuf")

    def _batch(self, request: Request, path: str) -> Reply:
        ephemeral = "/ephemeral/" in path
        access = {"access_code": "TRACE-0123456789"} if ephemeral else {}
        if request.method == "POST" and path.endswith("/batches"):
            sent = request.json
            name = "ephemeral_trace_id" if ephemeral else "trace_id"
            self.batches[sent[name]] = Batch(sent)
            ids = {"id": str(uuid4()), name: sent[name]}
            return json_reply({**ids, "execution_type": sent["execution_type"], "status": "running", **access}, 201)
        uuid = path.partition("/batches/")[2].partition("/")[0]
        batch = self.batches.get(uuid)
        if batch is None:
            return json_reply({"message": "Trace batch not found"}, 404)
        if len(request.body) > MOST_BYTES:
            return json_reply({"error": "too large"}, 413)
        if path.endswith("/events"):
            batch.events += request.json["events"]
            kind = "ephemeral_trace_batch_id" if ephemeral else "trace_batch_id"
            return json_reply({"events_created": len(request.json["events"]), kind: uuid})
        batch.status = request.json["status"]
        total = {"total_events": len(batch.events)}
        return json_reply({"id": str(uuid4()), "trace_id": uuid, "status": batch.status, **total, **access})

"""What can be wrong with AMP itself, for its stand-in to do: a fault changes the server, and may give another URL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support import faults
from tests.support.amp import COLLECTOR, GRANTS, Amp, spans_of
from tests.support.faults import at
from tests.support.loopback import Reply, Request, json_reply


def on(path: str, *replies: Any) -> Callable[[Amp], None]:
    def fault(amp: Amp) -> None:
        amp.override = at(path, *replies)

    return fault


def before_body(path: str, raw: Any) -> Callable[[Amp], None]:
    def fault(amp: Amp) -> None:
        amp.early = at(path, raw)

    return fault


def instead(url: str) -> Callable[[Amp], str]:
    return lambda amp: url


def status(number: int, **headers: str) -> Reply:
    return Reply(number, b'{"error": "secret of the server"}', headers=headers)


def lost(amp: Amp) -> None:
    """The first answer of the collector is lost after it has taken the spans."""
    tries = []

    def override(request: Request) -> Any:
        if request.path != COLLECTOR:
            return None
        tries.append(amp._reply(request))
        return faults.reset if len(tries) == 1 else tries[-1]

    amp.override = override


def granting(**changed: Any) -> Callable[[Amp], None]:
    """A grant in which some fields are others; ``...``: left out."""

    def fault(amp: Amp) -> None:
        def override(request: Request) -> Any:
            if request.path != GRANTS:
                return None
            grant = {**Request("", "", {}, amp._reply(request).content).json, **changed}
            return json_reply({name: value for name, value in grant.items() if value is not ...})

        amp.override = override

    return fault


def partial(rejected: int) -> Reply:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    made = ExportTraceServiceResponse()
    made.partial_success.rejected_spans = rejected
    made.partial_success.error_message = "secret of the server"
    return Reply(content=made.SerializeToString(), content_type="application/x-protobuf")


def most_spans(most: int) -> Callable[[Amp], None]:
    """A server to which more spans in one request are too large."""

    def fault(amp: Amp) -> None:
        amp.override = lambda request: (
            status(413) if request.path == COLLECTOR and len(spans_of(request)) > most else None
        )

    return fault


def most_bytes(most: int) -> Callable[[Amp], None]:
    def fault(amp: Amp) -> None:
        amp.override = lambda request: status(413) if request.path == COLLECTOR and len(request.body) > most else None

    return fault


def expiring(amp: Amp, times: int, renewal: Reply | None = None) -> None:
    """Each grant is over after its first request to the collector, so many times. ``renewal`` answers for others."""
    seen: list[Reply] = []

    def override(request: Request) -> Any:
        if request.path != COLLECTOR:
            return renewal if seen else None
        reply = amp._reply(request)
        if reply.status == 200:
            seen.append(reply)
            if len(seen) <= times:
                amp.expire()
        return reply

    amp.override = override


def living(seconds: float) -> Callable[[Amp], None]:
    """Grants are good for so long."""

    def fault(amp: Amp) -> None:
        amp.lifetime = seconds

    return fault


def gone(amp: Amp) -> str:
    """The URL of a server that is gone."""
    with Amp() as other:
        return other.url

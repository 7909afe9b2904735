"""A cassette in use: what vcrpy's patches ask for each request that a test makes."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.errors import CassetteError
from pytest_crewai_trace.replay.body import Body, BodyError, body_of, json_body, unpacked
from pytest_crewai_trace.replay.callers import reaches_somebody
from pytest_crewai_trace.replay.cassette import Call, Reply, Request
from pytest_crewai_trace.replay.handwritten import LayoutError
from pytest_crewai_trace.replay.matching import Index, InOrder, Who, key_of, sent_key_of

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.redact import Redactor

_CLAIM, _ORDER = "_crewai_claim", "_crewai_order"  # what we keep on vcrpy's requests
# Of replies: what the connection was about, what differs each time, and what names an account.
_DROPPED_HEADERS = frozenset(
    [
        "age",
        "alt-svc",
        "cf-cache-status",
        "cf-ray",
        "connection",
        "content-encoding",
        "content-length",
        "date",
        "etag",
        "expires",
        "keep-alive",
        "nel",
        "openai-organization",
        "openai-project",
        "openai-processing-ms",
        "report-to",
        "reporting-endpoints",
        "server",
        "server-timing",
        "set-cookie",
        "strict-transport-security",
        "transfer-encoding",
        "trailer",
        "vary",
        "via",
        "x-envoy-upstream-service-time",
        "anthropic-organization-id",
        "request-id",
        "x-request-id",
        "x-openai-proxy-wasm",
        "proxy-authenticate",
        "www-authenticate",
        "authorization",
        "cookie",
    ]
)
_DROPPED_BEGINNINGS = ("x-ratelimit-", "anthropic-ratelimit-", "x-amzn-request", "access-control-", "cf-", "x-cloud-")


class Tape:
    """Plays the calls of a cassette, and records.

    ``play`` is what knows the recorded calls, or None when everything is recorded anew; ``record`` says whether a
    request that is not in there is let through and recorded. ``who`` gives the agent and the task that ask now,
    ``detached`` whether they do so from a thread that cannot pass on every exception. ``explain`` makes the message of
    a request that has no reply. ``through`` changes a request of vcrpy before anything else, or gives None for one that
    is not ours; ``back`` does so with a reply that is recorded.
    """

    def __init__(
        self,
        *,
        play: Index | InOrder | None,
        record: bool,
        redactor: Redactor,
        who: Callable[[], Who],
        detached: Callable[[], bool],
        explain: Callable[[Request, Who, int], str],
        through: Callable[[Any], Any] | None = None,
        back: Callable[[Any], Any] | None = None,
    ) -> None:
        self.play = play
        self.record = record
        self.problems: list[CassetteError] = []
        self.new: list[tuple[int, Call]] = []
        self._redactor = redactor
        self._who = who
        self._detached = detached
        self._explain = explain
        self._through = through
        self._back = back
        self._asked: Counter[Who] = Counter()
        self._order = 0
        self._lock = threading.RLock()

    @property
    def played(self) -> int:
        """How many recorded replies were used."""
        return 0 if self.play is None else sum(call.used for call in self.play.calls)

    # -- what vcrpy's patches ask ---------------------------------------------------------------------------------

    def has_reply(self, asked: Any) -> bool:
        """Whether a request is answered by the cassette; False: it goes to the network.

        Raises:
            CassetteError: it may do neither.
        """
        if _CLAIM in asked.__dict__:
            return asked.__dict__[_CLAIM] is not None
        seen = asked if self._through is None else self._through(asked)
        asked.__dict__[_CLAIM] = None
        if seen is None:
            return False
        call, who = None, self._who()
        with self._lock:
            self._asked[who] += 1
            self._order += 1
            number, order = self._asked[who], self._order
            if self.play is not None:
                call = self.play.take_sent(seen.method, seen.uri, _bytes(seen.body))
        if call is None:
            request = Request(seen.method.upper(), seen.uri, _asked(seen))
            if self.play is not None:
                with self._lock:
                    call = self.play.take(request, who)
            if call is None and not self.record:
                return self._refuse(asked, request, who, number)
            if call is None:
                asked.__dict__[_ORDER] = (order, seen, request, who)
        asked.__dict__[_CLAIM] = call
        return call is not None

    def _refuse(self, asked: Any, request: Request, who: Who, number: int) -> bool:
        with self._lock:
            problem = CassetteError(self._explain(self.clean(request), who, number))
            self.problems.append(problem)
        if reaches_somebody(self._detached):
            raise problem
        # An answer that no client asks for a second time; the test fails with the problem when it ends.
        asked.__dict__[_CLAIM] = Call("", who[0], who[1], request, _NO_REPLY)
        return True

    def reply(self, asked: Any) -> dict[str, Any]:
        """The reply to a request, in vcrpy's form."""
        call: Call | None = asked.__dict__.get(_CLAIM)
        if call is None:  # aiohttp follows a redirect
            self.has_reply(asked)
            call = asked.__dict__[_CLAIM]
        if call is None:
            raise CassetteError(f"{asked.method} {asked.uri}: a redirect leads out of the cassette")
        try:
            reply = call.reply
        except (LayoutError, BodyError) as error:
            raise CassetteError(f"call {call.number} of {call.agent!r} in the cassette is broken: {error}") from None
        return {
            "status": {"code": reply.status, "message": reply.reason or http.client.responses.get(reply.status, "")},
            "headers": {name: list(values) for name, values in reply.headers.items()},
            "body": {"string": b"" if reply.body is None else reply.body.data},
        }

    def take(self, asked: Any, answered: Mapping[str, Any]) -> None:
        """Record a reply that came from the network."""
        if _CLAIM not in asked.__dict__:  # aiohttp has followed a redirect
            self.has_reply(asked)
        if _ORDER not in asked.__dict__:
            return  # not ours, or in the cassette
        order, seen, request, who = asked.__dict__[_ORDER]
        if self._back is not None:
            answered = self._back(dict(answered))
            if answered is None:
                return
        try:
            reply = self._reply_of(answered)
        except BodyError as error:
            with self._lock:
                self.problems.append(CassetteError(f"the reply of {request.url} cannot be recorded: {error}"))
            return
        written = Request(request.method, request.url, body_of(_data_of(seen)))
        # The keys are of the request as it was; what is written is without its secrets.
        sent = sent_key_of(seen.method, seen.uri, _bytes(seen.body))
        call = Call(key_of(request), who[0], who[1], self.clean(written), reply, sent=sent)
        with self._lock:
            self.new.append((order, call))

    # -- requests and replies -------------------------------------------------------------------------------------

    def clean(self, request: Request) -> Request:
        """A request without its secrets."""
        url = self._redactor.text(request.url, "request.url")
        return Request(request.method, url, self._clean_body(request.body, "request"))

    def _clean_body(self, body: Body | None, where: str) -> Body | None:
        if body is None:
            return None
        value = self._redactor.value(body.value, f"{where}.{body.kind}")
        return body if value is body.value else Body(body.kind, value)

    def _reply_of(self, answered: Mapping[str, Any]) -> Reply:
        given = answered["headers"].items()
        headers = {str(name).lower(): tuple(map(_string, _listed(values))) for name, values in given}
        packed = _bytes(answered["body"].get("string"))
        body = body_of(unpacked(packed, headers.get("content-encoding", ())))
        cleaned = self._clean_body(body, "reply")
        if body is not None and body.kind == "base64" and cleaned is not body:
            raise BodyError("it is binary, and holds a secret that cannot be taken out of it")
        kept = {
            name: tuple(self._redactor.value({name: value}, "reply.headers")[name] for value in values)
            for name, values in headers.items()
            if name not in _DROPPED_HEADERS and not name.startswith(_DROPPED_BEGINNINGS)
        }
        status = answered["status"]
        code, reason = int(status["code"]), str(status.get("message") or "")
        return Reply(code, kept, cleaned, "" if reason == http.client.responses.get(code) else reason)


_NO_REPLY = Reply(
    400,
    {"content-type": ("application/json",), "x-should-retry": ("false",)},
    Body(
        "json",
        {
            "message": "pytest-crewai-trace has no recorded reply; the failure of the test says more",
            "error": {
                "message": "pytest-crewai-trace has no recorded reply; the failure of the test says more",
                "type": "no_recorded_reply",
                "code": "no_recorded_reply",
            },
        },
    ),
)


def _asked(asked: Any) -> Body | None:
    """The body of a request of vcrpy, to compare; of plain JSON without a look at the headers, which are slow."""
    return json_body(_bytes(asked.body)) or body_of(_data_of(asked))


def _data_of(asked: Any) -> bytes:
    """The body of a request of vcrpy: unpacked, and without what is random in it."""
    data = _bytes(asked.body)
    if not data:
        return data
    packed, kind = _string(asked.headers.get("content-encoding")), _string(asked.headers.get("content-type"))
    with contextlib.suppress(BodyError):  # compared and kept as it is
        data = unpacked(data, [packed])
    if kind.startswith("multipart/") and "boundary=" in kind:
        boundary = kind.partition("boundary=")[2].partition(";")[0].strip('" ')  # random
        data = data.replace(boundary.encode(), b"boundary")
    return data


def _bytes(body: Any) -> bytes:
    """A body in any of the forms that vcrpy's patches have."""
    if body is None or isinstance(body, bytes):
        return body or b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytearray | memoryview):
        return bytes(body)
    if hasattr(body, "read"):
        return _bytes(body.read())
    if isinstance(body, dict):
        return json.dumps(body, default=str).encode()
    if isinstance(body, Iterable):
        parts = list(body)
        if all(isinstance(part, bytes | str) for part in parts):
            return b"".join(map(_bytes, parts))
        return json.dumps(parts, default=str).encode()
    return str(body).encode()


def _string(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(_listed(value)[0] if value else "")


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]

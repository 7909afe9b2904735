"""Finds the recorded call of a request, by an index: what is asked is hashed, never searched for.

First by the request as it is. A request that is not there is looked for without what differs from run to run (ids,
dates, addresses of objects, ports of this machine, secrets), among the calls of the same agent and task first.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from pytest_crewai_trace.replay.body import Body
    from pytest_crewai_trace.replay.cassette import Call, Request

Who = tuple["str | None", "str | None"]  # agent, task

_PORTS = {"http": 80, "https": 443}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_SECRET_PARAMETER = re.compile(r"(?i)key|token|sig|secret|passw|credential|auth")

_HEX = "[0-9a-fA-F]"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?: ?[AaPp]\.?[Mm]\.?)?(?: ?(?:Z\b|UTC\b|GMT\b|[+-]\d{2}:?\d{2}))?"
_MONTH = (
    "(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    "|Nov(?:ember)?|Dec(?:ember)?)"
)
_DAY = "(?:(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?)"
VOLATILE: tuple[tuple[str, str], ...] = (
    ("id", rf"\b{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}\b"),
    # As providers and crewAI make them: call_9xKq..., toolu_01A..., chatcmpl-Aq1...
    ("id", r"\b(?:call|toolu|tooluse|fc|msg|rs|resp|chatcmpl|run|thread)[_-](?=[A-Za-z_-]{0,40}\d)[A-Za-z0-9_-]{8,64}"),
    ("address", rf"\b0x{_HEX}{{6,16}}\b"),
    ("date", rf"\b\d{{4}}[-/]\d{{2}}[-/]\d{{2}}(?:[T ]{_CLOCK})?"),
    ("date", rf"\b(?:{_DAY},? )?(?:{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}|\d{{1,2}} {_MONTH}\.?,? \d{{4}})\b"),
    ("date", r"\b\d{1,2}/\d{1,2}/\d{4}\b"),
    ("time", rf"\b{_CLOCK}"),
)


class Volatile:
    """Takes out of a request what differs from run to run; ``more`` are regular expressions of the user's."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._named = [(re.compile(pattern), f"<{name}>") for name, pattern in VOLATILE]
        self._named += [(re.compile(pattern), "<volatile>") for pattern in more]

    def without(self, text: str) -> str:
        for pattern, name in self._named:
            text = pattern.sub(name, text)
        return text


@lru_cache(maxsize=1024)
def place(url: str, exact: bool = True) -> str:
    """Host, path and query of a URL, in one way of writing them; values of parameters that are secrets left out.

    Unless ``exact``, the port of this machine is left out too: servers of tests have another one each time.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return url
    shown = "" if port in (None, _PORTS.get(parts.scheme)) or (not exact and host in _LOOPBACK) else f":{port}"
    query = sorted(
        (name, "" if _SECRET_PARAMETER.search(name) else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return f"{host}{shown}{parts.path or '/'}?{query}" if query else f"{host}{shown}{parts.path or '/'}"


def endpoint(request: Request) -> str:
    """Method, host and path."""
    return f"{request.method.upper()} {place(request.url, False).partition('?')[0]}"


def _hash(method: str, where: str, body: str) -> str:
    made = blake2b(f"{method.upper()} {where}\n".encode(), digest_size=8)
    made.update(body.encode(errors="surrogatepass"))
    return made.hexdigest()


def _text(body: Body | None) -> str:
    return "" if body is None else body.canonical


def key_of(request: Request) -> str:
    """What a request is found by: 16 hexadecimal digits of a hash."""
    return _hash(request.method, place(request.url), _text(request.body))


class Index:
    """The calls of a cassette, by their requests. ``clean`` takes secrets out of a request, as recording did."""

    def __init__(self, calls: Iterable[Call], volatile: Volatile, clean: Callable[[Request], Request]) -> None:
        self.calls = list(calls)
        self._volatile = volatile
        self._clean = clean
        self._exact: dict[str, deque[Call]] = {}
        self._loose: dict[str, list[Call]] | None = None
        for call in self.calls:
            self._exact.setdefault(call.key or key_of(call.request), deque()).append(call)

    def take(self, request: Request, who: Who) -> Call | None:
        """The next unused call with this request, which is used then."""
        queue = self._exact.get(key_of(request))
        while queue:
            call = queue.popleft()
            if not call.used:
                call.used = True
                return call
        return self._take_loose(request, who)

    def _take_loose(self, request: Request, who: Who) -> Call | None:
        if self._loose is None:
            self._loose = {}
            for call in self.calls:
                self._loose.setdefault(self._loose_key(call.request), []).append(call)
        found = [call for call in self._loose.get(self._loose_key(self._clean(request)), ()) if not call.used]
        if not found:
            return None
        call = next((call for call in found if (call.agent, call.task) == who), found[0])
        call.used = True
        return call

    def _loose_key(self, request: Request) -> str:
        where = self._volatile.without(place(request.url, False))
        return _hash(request.method, where, self._volatile.without(_text(request.body)))


class InOrder:
    """The calls of a cassette by position: the next one of the same agent and task, to the same method, host and path.

    A task without a name goes by its description, which may have been edited, and so may a role: then the next call
    of the same agent, or of the same task.
    """

    def __init__(self, calls: Iterable[Call]) -> None:
        self.calls = list(calls)
        self._places = [(call, endpoint(call.request)) for call in self.calls]

    def take(self, request: Request, who: Who) -> Call | None:
        """The next unused call of those who ask."""
        where = endpoint(request)
        left = [call for call, place in self._places if place == where and not call.used]
        agent, task = who
        for fits in (
            [call for call in left if (call.agent, call.task) == who],
            [call for call in left if agent is not None and call.agent == agent],
            [call for call in left if task is not None and call.task == task],
        ):
            if fits:
                fits[0].used = True
                return fits[0]
        return None

"""Finds the recorded call of a request, by an index: what is asked is hashed, never searched for.

First by the request as it is: byte for byte, then by what it says. A request that is not there is looked for without
what differs from run to run (ids, dates, addresses of objects, ports of this machine, secrets), among the calls of the
same agent and task first.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from pytest_crewai_trace.replay.body import Body
    from pytest_crewai_trace.replay.cassette import Call, Request

Who = tuple["str | None", "str | None"]  # agent, task
Key = TypeVar("Key", bound=Hashable)

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


_DIGIT = re.compile(r"\d")


class Volatile:
    """Takes out of a request what differs from run to run; ``more`` are regular expressions of the user's."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._ours = [(re.compile(pattern), f"<{name}>") for name, pattern in VOLATILE]
        self._more = [re.compile(pattern) for pattern in more]

    def without(self, text: str) -> str:
        if _DIGIT.search(text) is not None:
            text = "\n".join(map(self._line_without, text.split("\n")))
        for pattern in self._more:
            text = pattern.sub("<volatile>", text)
        return text

    def _line_without(self, line: str) -> str:
        if _DIGIT.search(line) is not None:  # what is ours has a digit, most lines of a prompt have none
            for pattern, name in self._ours:
                line = pattern.sub(name, line)
        return line


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


def _hash(method: str, where: str, body: bytes) -> str:
    made = blake2b(f"{method.upper()} {where}\n".encode(), digest_size=8)
    made.update(body)
    return made.hexdigest()


def _text(body: Body | None) -> str:
    return "" if body is None else body.canonical


def key_of(request: Request) -> str:
    """What a request is found by: 16 hexadecimal digits of a hash."""
    return _hash(request.method, place(request.url), _encoded(_text(request.body)))


def sent_key_of(method: str, url: str, data: bytes) -> str:
    """What a request is found by that is sent once more, byte for byte: most are, and none of them has to be read."""
    return _hash(method, place(url), data)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _lines(body: Body | None) -> str:
    """A body's text with its lines as lines: in JSON, the ``n`` of a line's end would be part of the word after it."""
    text = _text(body)
    if body is None or body.kind != "json" or "\\" not in text:
        return text
    return text.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t")


Queues = dict[str, deque["Call"]]


class Index:
    """The calls of a cassette, by their requests. ``clean`` takes secrets out of a request, as recording did."""

    def __init__(self, calls: Iterable[Call], volatile: Volatile, clean: Callable[[Request], Request]) -> None:
        self.calls = list(calls)
        self._volatile = volatile
        self._clean = clean
        self._sent = _queues((call for call in self.calls if call.sent), lambda call: call.sent)
        self._exact = _queues(self.calls, lambda call: call.key or key_of(call.request))
        self._loose_keys: dict[Call, str] = {}
        # Made when they are needed, because each call in them has to be read.
        self._loose_of: dict[Who, Queues] = {}
        self._loose: Queues | None = None

    def take_sent(self, method: str, url: str, data: bytes) -> Call | None:
        """The next unused call of a request that was sent like this, which is used then."""
        return _next(self._sent, sent_key_of(method, url, data))

    def take(self, request: Request, who: Who) -> Call | None:
        """The next unused call with this request, which is used then."""
        return _next(self._exact, key_of(request)) or self._take_loose(request, who)

    def _take_loose(self, request: Request, who: Who) -> Call | None:
        call = self._next_loose(request, who)
        if call is None and (cleaned := self._clean(request)) != request:
            call = self._next_loose(cleaned, who)
        return call

    def _next_loose(self, request: Request, who: Who) -> Call | None:
        key = self._loose_key(request)
        if who not in self._loose_of:
            theirs = [call for call in self.calls if (call.agent, call.task) == who]
            self._loose_of[who] = _queues(theirs, self._loose_key_of)
        call = _next(self._loose_of[who], key)
        if call is not None:
            return call
        if self._loose is None:
            self._loose = _queues(self.calls, self._loose_key_of)
        return _next(self._loose, key)

    def _loose_key_of(self, call: Call) -> str:
        key = self._loose_keys.get(call)
        if key is None:
            key = self._loose_keys[call] = self._loose_key(call.request)
        return key

    def _loose_key(self, request: Request) -> str:
        where = self._volatile.without(place(request.url, False))
        return _hash(request.method, where, _encoded(self._volatile.without(_lines(request.body))))


def _queues(calls: Iterable[Call], key_of_call: Callable[[Call], Key]) -> dict[Key, deque[Call]]:
    queues: dict[Key, deque[Call]] = {}
    for call in calls:
        queues.setdefault(key_of_call(call), deque()).append(call)
    return queues


def _next(queues: dict[Key, deque[Call]], key: Key) -> Call | None:
    """The next call of a queue that no other queue has given away; it is used then."""
    queue = queues.get(key)
    while queue:
        call = queue.popleft()
        if not call.used:
            call.used = True
            return call
    return None


class InOrder:
    """The calls of a cassette by position: the next one of the same agent and task, to the same method, host and path.

    A task without a name goes by its description, which may have been edited, and so may a role: then the next call
    of the same agent, or of the same task.
    """

    def __init__(self, calls: Iterable[Call]) -> None:
        self.calls = list(calls)
        places = {call: endpoint(call.request) for call in self.calls}
        self._by_who = _queues(self.calls, lambda call: (places[call], call.agent, call.task))
        self._by_agent = _queues(self.calls, lambda call: (places[call], call.agent))
        self._by_task = _queues(self.calls, lambda call: (places[call], call.task))

    def take_sent(self, method: str, url: str, data: bytes) -> None:
        """None: what is asked does not count."""

    def take(self, request: Request, who: Who) -> Call | None:
        """The next unused call of those who ask."""
        where, (agent, task) = endpoint(request), who
        call = _next(self._by_who, (where, agent, task))
        if call is None and agent is not None:
            call = _next(self._by_agent, (where, agent))
        if call is None and task is not None:
            call = _next(self._by_task, (where, task))
        return call

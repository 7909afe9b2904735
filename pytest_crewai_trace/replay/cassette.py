"""A cassette: the recorded calls of one test, in one file that a person can review.

A call stands in the file with a key: what its request is found by, once by what it says and once byte for byte, and a
sum of that and of the text that follows. As long as the sum is right the text is as we wrote it, and is read only when
it is needed: loading takes less time than JSON would.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from pytest_crewai_trace import files
from pytest_crewai_trace.replay.body import Body, BodyError, written_body
from pytest_crewai_trace.replay.handwritten import LayoutError
from pytest_crewai_trace.replay.layout import read, write

VERSION = 1
LARGEST = 200_000_000  # bytes


class CassetteFileError(ValueError):
    """A file that should be a cassette is none, or is broken; one sentence that says what."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    method: str
    url: str
    body: Body | None = None

    def document(self) -> dict[str, Any]:
        return {"method": self.method, "url": self.url, **(self.body.document() if self.body is not None else {})}


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered; ``headers`` by their names in lower case."""

    status: int
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    body: Body | None = None
    reason: str = ""

    def document(self) -> dict[str, Any]:
        headers = {name: values[0] if len(values) == 1 else list(values) for name, values in self.headers.items()}
        return {
            "status": self.status,
            **({"reason": self.reason} if self.reason else {}),
            **({"headers": headers} if headers else {}),
            **(self.body.document() if self.body is not None else {}),
        }


class Call:
    """A recorded request with its reply, and who asked: an agent by its role, a task by its name.

    ``key`` is of what the request says, ``sent`` of its bytes; empty where the file does not say. ``written`` is the
    call as it stands in the file, below its key.
    """

    __slots__ = ("_reply", "_request", "_written", "agent", "key", "number", "sent", "task", "used")

    def __init__(
        self,
        key: str,
        agent: str | None,
        task: str | None,
        request: Request | None,
        reply: Reply | None,
        *,
        sent: str = "",
        written: bytes = b"",
    ) -> None:
        self.key = key
        self.sent = sent
        self.agent = agent
        self.task = task
        self.number = 0  # among those of the same agent and task, from 1
        self.used = False
        self._request = request
        self._reply = reply
        self._written = written

    @property
    def request(self) -> Request:
        if self._request is None:
            call = _call_of(_item(self._written), 0)
            self._request, self._reply = call.request, call.reply
        return self._request

    @property
    def reply(self) -> Reply:
        if self._reply is None:
            at = self._written.index(_REPLY) + 1
            self._reply = _reply_of(_item(self._written[at:])["reply"], "a call")
        return self._reply

    @property
    def written(self) -> bytes:
        if not self._written:
            who = {name: value for name, value in (("agent", self.agent), ("task", self.task)) if value is not None}
            parts = [
                write(who, 2) if who else "",
                "  request:\n",
                write(self.request.document(), 4),
                "  reply:\n",
                write(self.reply.document(), 4),
            ]
            self._written = "".join(parts).encode()
        return self._written


# -- writing ----------------------------------------------------------------------------------------------------------


def content_of(calls: list[Call], test: str, command: str) -> bytes:
    """The content of a cassette."""
    head = [
        "# A cassette of pytest-crewai-trace: the replies that a test's models and tools got, to be replayed.\n",
        f"# Record it again: {command}\n",
        "# A key is what a request is found by, and a sum of its call. Edit a call, and its key is not looked at.\n",
        write({"version": VERSION, "test": test}),
        "calls:\n" if calls else "calls: []\n",
    ]
    parts = ["".join(head).encode()]
    for call in calls:
        keys = f"{call.key}-{call.sent}".encode()
        parts += [b"- key: %b-%08x\n" % (keys, _sum(keys, call.written)), call.written]
    return b"".join(parts)


def save(path: Path, calls: list[Call], test: str, command: str) -> None:
    """Write a cassette; whoever reads sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path, files.SHARED) as file:
        file.write(content_of(calls, test, command))


def _sum(keys: bytes, written: bytes) -> int:
    """What an edit changes; nobody is to be kept from forging it, so it need not be slow."""
    return crc32(written, crc32(keys))


# -- reading ----------------------------------------------------------------------------------------------------------

_CALL, _REQUEST, _REPLY = b"\n- key: ", b"\n  request:\n", b"\n  reply:\n"
# Without keys: a call that was edited before others were added to its file.
_KEY = re.compile(rb"\n- key: (([0-9a-f]{16})?-([0-9a-f]{16})?)-([0-9a-f]{8})\n")


@dataclass(frozen=True)
class Loaded:
    """What a file holds: its calls, and the test that they were recorded by."""

    test: str
    calls: list[Call]


def load(path: Path) -> Loaded:
    """Read a cassette.

    Raises:
        CassetteFileError: no cassette, or a broken one.
        OSError: the file cannot be read.
    """
    try:
        content = files.bytes_of(path, LARGEST)
        if b"\r" in content:  # git has made other ends of its lines
            content = content.replace(b"\r\n", b"\n")
        return _loaded(content) or _loaded_whole(files.decoded(content))
    except files.FileRefusedError as error:
        raise CassetteFileError(str(error)) from None
    except (LayoutError, BodyError) as error:
        raise CassetteFileError(f"is broken: {error}") from None


def _loaded(content: bytes) -> Loaded | None:
    """What a file holds that is as we wrote it; its calls are not read."""
    begin = content.find(_CALL)
    if begin < 0 or not content.endswith(b"calls:\n", 0, begin + 1):
        return None
    head, calls = content[: begin - 6], []
    whose: dict[bytes, dict[str, Any]] = {b"": {}}
    while begin >= 0:
        mark = _KEY.match(content, begin)
        if mark is None:
            return None
        begin = content.find(_CALL, begin + 1)
        written = content[mark.end() : begin + 1 if begin >= 0 else len(content)]
        if _sum(mark[1], written) != int(mark[4], 16):
            return None
        who = written[: 0 if written.startswith(_REQUEST[1:]) else written.find(_REQUEST) + 1]
        if who not in whose:  # the same few
            whose[who] = _item(who)
        agent, task = whose[who].get("agent"), whose[who].get("task")
        key, sent = ((part or b"").decode() for part in mark.group(2, 3))
        calls.append(Call(key, agent, task, None, None, sent=sent, written=written))
    return Loaded(_test_of(read(files.decoded(head))), _numbered(calls))


def _item(written: bytes) -> Any:
    """The mapping that some lines of a call hold."""
    return read(f"-{written[1:].decode()}")[0]


def _loaded_whole(text: str) -> Loaded:
    """Read a cassette that was edited; the sums and keys in it say nothing."""
    if not text or text.isspace():
        raise CassetteFileError("is empty")
    document = read(text)
    test = _test_of(document)
    calls = document.get("calls")
    if not isinstance(calls, list):
        raise LayoutError("it has no list of calls")
    return Loaded(test, _numbered([_call_of(call, number) for number, call in enumerate(calls, 1)]))


def _numbered(calls: list[Call]) -> list[Call]:
    counts: dict[tuple[str | None, str | None], int] = {}
    for call in calls:
        who = (call.agent, call.task)
        call.number = counts[who] = counts.get(who, 0) + 1
    return calls


def _test_of(document: Any) -> str:
    if not isinstance(document, dict):
        raise LayoutError("it is no cassette")
    if "interactions" in document:
        raise LayoutError("it is a cassette of vcrpy or pytest-recording, which this plugin does not read")
    version, test = document.get("version"), document.get("test")
    if type(version) is not int:
        raise LayoutError("it has no version")
    if version != VERSION:
        raise LayoutError(f"it has version {version}, and this plugin knows {VERSION}; a newer one may read it")
    if not isinstance(test, str):
        raise LayoutError("it does not say which test it is of")
    return test


def _call_of(value: Any, number: int) -> Call:
    where = f"call {number}"
    if not isinstance(value, dict):
        raise LayoutError(f"{where} is no mapping")
    unknown = value.keys() - {"key", "agent", "task", "request", "reply"}
    if unknown:
        raise LayoutError(f"{where} has the unknown key {min(unknown)!r}")
    for name in ("agent", "task"):
        if not isinstance(value.get(name), str | None):
            raise LayoutError(f"{where}: {name} is no text")
    request = value.get("request")
    if not isinstance(request, dict) or not all(isinstance(request.get(name), str) for name in ("method", "url")):
        raise LayoutError(f"{where} has no request with a method and a url")
    asked = Request(request["method"], request["url"], written_body(request, where))
    return Call("", value.get("agent"), value.get("task"), asked, _reply_of(value.get("reply"), where))


def _reply_of(value: Any, where: str) -> Reply:
    if not isinstance(value, dict) or type(value.get("status")) is not int or not 100 <= value["status"] <= 599:
        raise LayoutError(f"{where} has no reply with a status between 100 and 599")
    headers = value.get("headers", {})
    if not isinstance(headers, dict):
        raise LayoutError(f"{where}: the reply's headers are no mapping")
    given = {}
    for name, values in headers.items():
        listed = values if isinstance(values, list) else [values]
        if not all(isinstance(one, str) for one in listed):
            raise LayoutError(f"{where}: the header {name!r} is no text")
        given[name.lower()] = tuple(listed)
    reason = value.get("reason", "")
    if not isinstance(reason, str):
        raise LayoutError(f"{where}: the reply's reason is no text")
    return Reply(value["status"], given, written_body(value, where), reason)

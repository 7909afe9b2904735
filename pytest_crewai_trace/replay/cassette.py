"""A cassette: the recorded calls of one test, in one file that a person can review.

A call stands in the file with a key: what its request is found by, and a sum of the text that follows. As long as the
sum is right the text is as we wrote it, and is read only when it is needed: loading takes no longer than JSON would.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

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
    """A recorded request with its reply, and who asked: an agent by its role, a task by its name."""

    __slots__ = ("_reply", "_request", "_text", "agent", "key", "number", "task", "used")

    def __init__(
        self,
        key: str,
        agent: str | None,
        task: str | None,
        request: Request | None,
        reply: Reply | None,
        text: str = "",
    ) -> None:
        self.key = key
        self.agent = agent
        self.task = task
        self.number = 0  # among those of the same agent and task, from 1
        self.used = False
        self._request = request
        self._reply = reply
        self._text = text

    @property
    def request(self) -> Request:
        if self._request is None:
            call = _call_of(read(f"-{self._text[1:]}")[0], 0)
            self._request, self._reply = call.request, call.reply
        return self._request

    @property
    def reply(self) -> Reply:
        if self._reply is None:
            at = self._text.index("\n  reply:\n") + 1
            self._reply = _reply_of(read(f"-{self._text[at + 1 :]}")[0]["reply"], "a call")
        return self._reply

    @property
    def text(self) -> str:
        """The call as it is written, but for its key."""
        if not self._text:
            who = {name: value for name, value in (("agent", self.agent), ("task", self.task)) if value is not None}
            self._text = "".join(
                [
                    write(who, 2) if who else "",
                    "  request:\n",
                    write(self.request.document(), 4),
                    "  reply:\n",
                    write(self.reply.document(), 4),
                ]
            )
        return self._text


# -- writing ----------------------------------------------------------------------------------------------------------


def text_of(calls: list[Call], test: str, command: str) -> str:
    """The text of a cassette."""
    parts = [
        "# A cassette of pytest-crewai-trace: the replies that a test's models and tools got, to be replayed.\n",
        f"# Record it again: {command}\n",
        "# A key is what a request is found by, and a sum of its call. Edit a call, and its key is not looked at.\n",
        write({"version": VERSION, "test": test}),
        "calls:\n" if calls else "calls: []\n",
    ]
    parts.extend(f"- key: {call.key}-{_sum(call.text)}\n{call.text}" for call in calls)
    return "".join(parts)


def save(path: Path, calls: list[Call], test: str, command: str) -> None:
    """Write a cassette; whoever reads sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path, files.SHARED) as file:
        file.write(text_of(calls, test, command).encode())


def _sum(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


# -- reading ----------------------------------------------------------------------------------------------------------

_CALL = "\n- key: "
_KEY = re.compile(r"\n- key: ([0-9a-f]{16})-([0-9a-f]{16})\n")


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
        text = files.text_of(path, LARGEST)
    except files.FileRefusedError as error:
        raise CassetteFileError(str(error)) from None
    if not text or text.isspace():
        raise CassetteFileError("is empty")
    try:
        return _loaded(text)
    except (LayoutError, BodyError) as error:
        raise CassetteFileError(f"is broken: {error}") from None


def _loaded(text: str) -> Loaded:
    begin = text.find(_CALL)
    if begin < 0 or not text.endswith("calls:\n", 0, begin + 1):
        return _loaded_whole(text)
    test = _test_of(read(text[: begin - 6]))
    calls = []
    while begin >= 0:
        mark = _KEY.match(text, begin)
        begin = text.find(_CALL, begin + 1)
        inner = "" if mark is None else text[mark.end() : begin + 1 if begin >= 0 else len(text)]
        at = inner.find("\n  request:\n") + 1
        if mark is None or _sum(inner) != mark[2] or not (at or inner.startswith("  request:\n")):
            return _loaded_whole(text)
        who = read(f"-{inner[1:at]}")[0] if at else {}
        calls.append(Call(mark[1], who.get("agent"), who.get("task"), None, None, inner))
    return Loaded(test, _numbered(calls))


def _loaded_whole(text: str) -> Loaded:
    """Read a cassette that was edited; the sums and keys in it say nothing."""
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

"""Says what is wrong between a test and its cassette: who asked, what changed, what to do."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.replay.matching import Who, endpoint, place

if TYPE_CHECKING:
    from pytest_crewai_trace.replay.cassette import Call, Request

_MOST_LINES = 40  # of a diff
_MOST_CHARACTERS = 300  # of one of its lines
_MOST_CANDIDATES = 200
_SYSTEM = frozenset({"system", "developer"})
# Where providers put a conversation, what the model is told first, and its tools.
_CONVERSATIONS = frozenset({"messages", "contents", "input"})
_SYSTEM_KEYS = frozenset({"system", "instructions", "systemInstruction", "system_instruction"})
_TOOL_KEYS = frozenset({"tools", "functions", "toolConfig"})

Parts = dict[str, str]


class Explanation:
    """Makes the message of a request without a reply.

    ``calls`` are the recorded ones, None if there is no cassette; ``again`` and ``once`` the commands that record;
    ``plain`` takes out of a text what differs from run to run.
    """

    def __init__(
        self,
        *,
        shown: str,
        calls: Sequence[Call] | None,
        again: str,
        once: str,
        ci: bool,
        plain: Callable[[str], str],
    ) -> None:
        self.shown, self.calls, self.again, self.once, self.ci = shown, calls, again, once, ci
        self._plain = plain

    def __call__(self, request: Request, who: Who, number: int) -> str:
        asked = f"{asker(who)} made request {number}: {request.method} {request.url}"
        if self.calls is None:
            if self.ci:
                return (
                    f"this test has no cassette {self.shown} in CI. Was it committed? Record it where there is a key: "
                    f"{self.once}\n  {asked}"
                )
            return f"this test has no cassette yet. Record {self.shown}: {self.once}\n  {asked}"
        return "\n".join(
            [
                f"the cassette {self.shown} has no reply to this request",
                f"  {asked}",
                *self._nearest(request, who, number),
                f"Is that meant? Record it again: {self.again}",
            ]
        )

    def _nearest(self, request: Request, who: Who, number: int) -> Iterator[str]:
        calls = self.calls or ()
        there = [call for call in calls if endpoint(call.request) == endpoint(request)]
        if not there:
            recorded = ", ".join(sorted({endpoint(call.request) for call in calls}))
            yield f"Recorded is only {recorded or 'nothing'}: another provider, model or address?"
            return
        parts = self._parts(request)
        best: tuple[float, ...] = ()
        for call in _candidates(there, who):
            candidate = self._parts(call.request)
            likeness = _likeness(parts, candidate, call, who, number)
            if likeness > best:
                best, nearest, recorded_parts = likeness, call, candidate
        state = "was used already" if nearest.used else "was not used yet"
        whose = asker((nearest.agent, nearest.task))
        changed = [name for name in {**recorded_parts, **parts} if recorded_parts.get(name) != parts.get(name)]
        if not changed:
            yield f"The same is recorded as request {nearest.number} of {whose}, and {state}: this one came once more."
            return
        yield f"The nearest recorded one is request {nearest.number} of {whose}, which {state}."
        yield f"Changed: {', '.join(changed)}"
        yield from _clipped(line for name in changed for line in _diff(name, recorded_parts.get(name), parts.get(name)))

    def _parts(self, request: Request) -> Parts:
        return {name: self._plain(text) for name, text in parts_of(request).items()}


def unused(calls: Iterable[Call], shown: str, again: str) -> str | None:
    """What to say when a test is over and recorded replies were not used."""
    left = [call for call in calls if not call.used]
    if not left:
        return None
    lines = [f"{len(left)} of the recorded replies in {shown} {'was' if len(left) == 1 else 'were'} never used"]
    for call in left[:5]:
        asked = f"{call.request.method} {call.request.url}"
        lines.append(f"  request {call.number} of {asker((call.agent, call.task))}: {asked}")
        question = _question(parts_of(call.request))
        if question:
            lines.append(f"    {question}")
    if len(left) > 5:
        lines.append(f"  and {len(left) - 5} more")
    lines.append(f"Is that meant? Record it again: {again}; or @pytest.mark.crewai_cassette(allow_unused=True)")
    return "\n".join(lines)


def asker(who: Who) -> str:
    agent, task = who
    if agent is None and task is None:
        return "code outside of an agent"
    named = [f"agent {agent!r}" if agent is not None else "", f"task {task!r}" if task is not None else ""]
    return ", ".join(part for part in named if part)


# -- parts of a request -----------------------------------------------------------------------------------------------


def parts_of(request: Request) -> Parts:
    """What a request consists of, by the names that people have for it, each as text."""
    address, _, query = place(request.url, exact=False).partition("?")
    parts = {"method": request.method, "address": address, "query": query}
    body = request.body
    if body is None:
        return parts
    if body.kind != "json" or not isinstance(body.value, dict):
        return {**parts, "body": text_of(body.value) if body.kind != "base64" else body.canonical}
    for key, value in body.value.items():
        if key in _SYSTEM_KEYS:
            parts["system prompt"] = _content(value)
        elif key in _CONVERSATIONS and isinstance(value, list):
            for number, message in enumerate(value, 1):
                parts.update(_message(message, number))
        elif key in _TOOL_KEYS:
            parts.update(_tools(value))
        elif isinstance(value, dict) and key in ("inferenceConfig", "generationConfig", "options"):
            parts.update({f"parameter {name}": text_of(inner) for name, inner in value.items()})
        else:
            parts["model" if key in ("model", "modelId") else f"parameter {key}"] = text_of(value)
    return parts


def _message(message: Any, number: int) -> Parts:
    if not isinstance(message, dict):
        return {f"message {number}": text_of(message)}
    role = message.get("role") or message.get("type")
    content = message.get("content", message.get("parts"))
    rest = {
        key: value for key, value in message.items() if key not in ("role", "content", "parts") and value is not None
    }
    text = "\n".join(part for part in (_content(content), text_of(rest) if rest else "") if part)
    return {"system prompt" if role in _SYSTEM and number == 1 else f"message {number} ({role})": text}


def _content(content: Any) -> str:
    """The text of a message, whether it is one, or comes in parts."""
    if isinstance(content, dict) and set(content) <= {"parts", "role"}:
        content = content.get("parts")
    if isinstance(content, list):
        return "\n".join(map(_content, content))
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        return str(content["text"])
    return "" if content is None else text_of(content)


def _tools(value: Any) -> Parts:
    if isinstance(value, dict):
        value = value.get("tools", value)
    found: Parts = {}
    for tool in value if isinstance(value, list) else [value]:
        many = tool.get("functionDeclarations") or tool.get("function_declarations") if isinstance(tool, dict) else None
        for one in many if isinstance(many, list) else [tool]:
            inner = one.get("function") or one.get("toolSpec") or one if isinstance(one, dict) else one
            name = inner.get("name") if isinstance(inner, dict) else None
            found[f"tool {name!r}" if isinstance(name, str) else f"tool {len(found) + 1}"] = text_of(one)
    return found


def text_of(value: Any) -> str:
    """A value of JSON as lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value:
        return "\n".join(_indented(f"{key}:", inner) for key, inner in value.items())
    if isinstance(value, list) and value:
        return "\n".join(_indented("-", inner) for inner in value)
    return "none" if isinstance(value, dict | list) else json.dumps(value)


def _indented(head: str, value: Any) -> str:
    text = text_of(value)
    if "\n" not in text and not (isinstance(value, dict | list) and value):
        return f"{head} {text}"
    return f"{head}\n" + "\n".join(f"  {line}" for line in text.split("\n"))


def _question(parts: Parts) -> str:
    """The last line that somebody asked, to know a request by."""
    messages = [text for name, text in parts.items() if name.startswith("message ")]
    lines = [line for line in (messages[-1] if messages else "").splitlines() if line.strip()]
    return f"{lines[0][:100]!r}" if lines else ""


# -- the nearest, and the difference ----------------------------------------------------------------------------------


def _candidates(calls: list[Call], who: Who) -> list[Call]:
    """Those that are worth a look; of many, the ones of the same agent and task, and unused."""
    return sorted(calls, key=lambda call: (_shared((call.agent, call.task), who), not call.used), reverse=True)[
        :_MOST_CANDIDATES
    ]


def _shared(one: Who, other: Who) -> int:
    return sum(mine is not None and mine == theirs for mine, theirs in zip(one, other, strict=True))


def _likeness(parts: Parts, recorded: Parts, call: Call, who: Who, number: int) -> tuple[float, ...]:
    """How near a recorded request is: whose it is, how much of it is the same, how like the rest is."""
    names = {**parts, **recorded}
    same = sum(parts.get(name) == recorded.get(name) for name in names) / len(names)
    like = same
    if 0 < len(names) * (1 - same) <= 6:
        changed = [name for name in names if parts.get(name) != recorded.get(name)]
        like += sum(_ratio(parts.get(name, ""), recorded.get(name, "")) for name in changed) / len(names)
    near = call.number == number and (call.agent, call.task) == who
    return (
        round(like, 3) + 0.05 * _shared((call.agent, call.task), who) + 0.05 * near,
        not call.used,
        -abs(call.number - number),
    )


def _ratio(one: str, other: str) -> float:
    """How many lines two texts share, or words where each is one line."""
    by = re.compile(r"\n") if "\n" in one and "\n" in other else re.compile(r"\s+")
    return difflib.SequenceMatcher(None, by.split(one)[:200], by.split(other)[:200], autojunk=False).ratio()


def _diff(name: str, recorded: str | None, asked: str | None) -> Iterator[str]:
    yield f"  {name}"
    if recorded is None or asked is None:
        mark, text = ("+", asked) if recorded is None else ("-", recorded)
        yield from (f"    {mark} {line}" for line in (text or "").split("\n"))
        return
    lines = list(difflib.unified_diff(recorded.split("\n"), asked.split("\n"), lineterm="", n=1))[3:]
    for line in lines:
        yield "    ..." if line.startswith("@@") else f"    {line[:1]} {line[1:]}"


def _clipped(lines: Iterable[str]) -> Iterator[str]:
    kept = list(lines)
    for line in kept[:_MOST_LINES]:
        yield line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}... ({len(line)} characters)"
    if len(kept) > _MOST_LINES:
        yield f"    ... and {len(kept) - _MOST_LINES} more lines"


def shown(path: Path) -> str:
    """A path as one would type it here."""
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)

"""What a span needs from an event's fields, taken while the event is emitted and turned into plain data at once.

The readers never assume a field: an event may be of another crewAI, or of a user's own class.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pytest_crewai_trace.capture.objects import own
from pytest_crewai_trace.capture.plain import plain

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.semconv import Kind

Fields = Mapping[str, Any]
Read = Callable[[Fields, Any], dict[str, Any]]

# Readers that can wait for the end of the test, and the fields that have to be frozen until then.
PAYLOADS: dict[Read, tuple[str, ...]] = {}
# Those that can wait once what they read of live objects was looked at; ``False`` of a glance: not this time.
Glance = Callable[[dict[str, Any], Any], bool]
GLANCES: dict[Read, Glance] = {}


def later(*payload: str) -> Callable[[Read], Read]:
    """Mark a reader of the most frequent events: it reads text, numbers and ``payload``, and nothing that changes.

    The run waits for the recorder, so of these events only ``payload`` is frozen while they are emitted.
    """

    def mark(read: Read) -> Read:
        PAYLOADS[read] = payload
        return read

    return mark


def after(glance: Glance) -> Callable[[Read], Read]:
    """Mark a reader of live objects: ``glance`` puts what they are now in their place among the fields."""

    def mark(read: Read) -> Read:
        GLANCES[read] = glance
        return read

    return mark


def seen_of(thing: Any, *names: str) -> SimpleNamespace | None:
    """Attributes of an object as they are now; ``None`` if one of them can change."""
    values = {name: own(thing, name) for name in names}
    for value in values.values():
        kind = type(value)
        if kind not in UNCHANGING and kind is not UUID and not issubclass(kind, Enum):
            return None
    return SimpleNamespace(**values)


def put_seen(held: dict[str, Any], **seen: SimpleNamespace | None) -> bool:
    held.update(seen)
    return None not in seen.values()


def hold(fields: dict[str, Any], payload: tuple[str, ...]) -> dict[str, Any]:
    """The fields of an event as they are now, for a reader that is called later."""
    held = fields.copy()
    for name in payload:
        value = held.get(name)
        if type(value) not in UNCHANGING:
            held[name] = _frozen(value)
    agent = held.get("agent")
    if agent is not None:
        held["agent_role"] = held.get("agent_role") or role_of(agent)
    return held


def _frozen(value: Any) -> Any:
    """A value that nobody can change any more. What holds nothing but text and numbers is only copied."""
    kind = type(value)
    if kind is dict:
        copy = value.copy()
        if UNCHANGING.issuperset(map(type, copy.values())) and _TEXT.issuperset(map(type, copy)):
            return copy
    elif kind is list:
        copy = value.copy()
        if UNCHANGING.issuperset(map(type, copy)):
            return copy
    return plain(value)


_TEXT = frozenset({str})
UNCHANGING = frozenset({str, int, float, bool, type(None)})


def one_line(text: Any) -> str | None:
    """A role or a task's name as one line: YAML's ``>`` leaves a line feed at its end."""
    if not isinstance(text, str):
        return None
    line = " ".join(str.split(text))
    return plain(text if type(text) is str and text == line else line) or None  # one and the same, not a copy for each


def role_of(agent: Any) -> str | None:
    return one_line(own(agent, "role"))


def name_of_task(task: Any) -> str | None:
    return one_line(own(task, "name")) or one_line(own(task, "description"))


def who(fields: Fields) -> dict[str, Any]:
    """For whom: the role and the task's name, from the event or the objects that it holds."""
    return {
        "agent_role": one_line(fields.get("agent_role")) or role_of(fields.get("agent")),
        "task_name": one_line(fields.get("task_name")) or name_of_task(fields.get("task")),
    }


# What tells one run from another of the same kind: ids and names that both its start and its end carry.
_IDENTITY: Mapping[Kind, tuple[str, ...]] = {
    "crew": ("crew_name",),
    "flow": ("flow_name",),
    "method": ("flow_name", "method_name", "triggered_by_event_id"),
    "task": (),
    "llm": ("call_id", "agent_id"),
    "tool": ("tool_name", "task_id", "agent_id"),
    "planning": ("step_number", "task_id", "agent_id"),
    "human_feedback": ("request_id", "flow_name", "method_name"),
    "conversation": ("session_id", "flow_name"),
    "a2a": ("task_id", "context_id", "endpoint"),
}
_WHOSE = ("task_id", "agent_id")


def identify(kind: Kind, fields: Fields, source: Any) -> dict[str, str]:
    """The ids and names by which an end finds its start."""
    found: dict[str, str] = {}
    for name in _IDENTITY.get(kind, _WHOSE):
        value = plain(fields.get(name))
        if value is not None and value != "":
            found[name] = str(value)
    if kind == "tool" and "tool_name" in found:
        found["tool_name"] = tool_name(found["tool_name"])
    if kind in ("task", "agent"):
        _identify(found, "task_id", fields.get("task") or (source if kind == "task" else None))
        if kind == "agent":
            _identify(found, "agent_id", fields.get("agent"))
    return found


def _identify(found: dict[str, str], name: str, thing: Any) -> None:
    value = plain(own(thing, "id"))
    if value is not None:
        found[name] = str(value)


def take(*names: str, **renamed: str) -> Read:
    """A reader of plain fields; ``renamed`` maps a span's field to the event's."""
    wanted = {**{name: name for name in names}, **renamed}

    @later(*wanted.values())
    def read(fields: Fields, source: Any) -> dict[str, Any]:
        return {target: plain(fields.get(name)) for target, name in wanted.items()}

    return read


def tool_name(name: Any) -> str:
    """A tool's name as models see it. crewAI reports it so for native calls; for ReAct only when the call has ended."""
    sanitize = own(sys.modules.get("crewai.utilities.string_utils"), "sanitize_tool_name")
    text = one_line(name) or "tool"
    return text if sanitize is None else _sanitized(sanitize, text)


@lru_cache(maxsize=256)  # crewAI's function puts seven regular expressions to it
def _sanitized(sanitize: Callable[[str], str], text: str) -> str:
    return str(sanitize(text)) or text


def arguments_of(value: Any) -> dict[str, Any]:
    """A tool's arguments as a mapping; models send them as JSON text as well."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError):
            return {"input": plain(value)}
    arguments = plain(value)
    return arguments if isinstance(arguments, dict) else {} if arguments is None else {"input": arguments}

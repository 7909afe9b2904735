"""What a snapshot of a level says of each span: facts, without ids, times and counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.snapshot.options import LEVELS, Options
from pytest_crewai_trace.snapshot.text import inline
from pytest_crewai_trace.trace.render import one_line
from pytest_crewai_trace.trace.secret_names import Strength, strength_of

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.messages import Message
    from pytest_crewai_trace.trace.redact import Redactor
    from pytest_crewai_trace.trace.span import AnySpan

_LONGEST_NAME = 120
# The attributes of each kind that are shown as they are, by the level that first shows them.
_CONTENT: dict[str, tuple[str, ...]] = {
    "crew": ("inputs", "output"),
    "flow": ("inputs", "state", "output"),
    "method": ("params", "result"),
    "task": ("output", "output_data"),
    "agent": ("output",),
    "llm": ("response",),
    "tool": ("mcp_server",),
    "memory": ("query", "value", "results"),
    "knowledge": ("query", "results"),
    "guardrail": ("feedback", "result"),
    "reasoning": ("plan",),
    "planning": ("description", "result"),
    "mcp": ("transport",),
    "a2a": ("request", "result"),
    "human_feedback": ("message", "feedback"),
    "skill": ("found",),
    "evaluation": ("metric", "score"),
}
_FULL: dict[str, tuple[str, ...]] = {
    "method": ("state",),
    "task": ("description", "expected_output", "context"),
    "agent": ("goal", "prompt", "available_tools"),
    "llm": ("parameters", "tool_definitions"),
    "mcp": ("url",),
    "a2a": ("endpoint",),
}
# Of these a call shows more than the name, and of those the name is more than ``name``.
_CALLED = frozenset({"tool", "method", "guardrail", "planning", "reasoning", "human_feedback"})
_NAMED_BY_MORE = frozenset({"memory", "knowledge", "planning", "a2a", "human_feedback", "skill", "crew"})
_PLAIN_KEY = re.compile(r"[\w-]{1,60}", re.ASCII)

_SCALARS = frozenset({str, int, float, bool, type(None)})
_NOT_SHOWN = frozenset({"role", "content", "tool_call_id"})  # of a message, apart

# The path of a fact below its span ("arguments.query") and its value: a text, or JSON that has no parts.
Fact = tuple[str, Any]
Change = Callable[[str, Any, Strength], Any]  # of a path, its value and what its name says
_DROPPED = object()


def full_name(span: AnySpan) -> str:
    """What the tree calls a span, at whatever length."""
    if span.kind not in _NAMED_BY_MORE:
        return span.name
    match span.kind:
        case "memory" | "knowledge":
            return span.operation
        case "planning":
            return f"{span.operation} {span.number}"
        case "a2a" | "human_feedback" | "skill":
            return f"{span.operation} {span.name}"
        case "crew" if span.operation != "kickoff":
            return f"{span.operation} {span.name}"
        case _:
            return span.name


def attributes(span: AnySpan, level: int, earlier: list[Message] | None) -> list[Fact]:
    """The attributes of a span that a level shows; ``earlier`` are the messages of the agent's last LLM call."""
    found: list[Fact] = []
    if level == 0:
        return found
    if span.error is not None or span.status == "error":
        found.append(("error", str(span.error or "") or "error"))
    if span.end is None or span.kind in ("flow", "method"):
        if span.kind in ("flow", "method") and span.paused:
            found.append(("status", "paused"))
        elif span.end is None:
            found.append(("status", "open"))
    if span.kind in _CALLED:
        found += _called(span)
    if level >= 2:
        found += _content(span)
    if level >= 3:
        found += _full(span, earlier or [])
    return found


def _called(span: AnySpan) -> Iterator[Fact]:
    if span.kind in ("tool", "guardrail", "reasoning") and span.attempt != 1:
        yield "attempt", span.attempt
    match span.kind:
        case "tool":
            yield "arguments", span.arguments
            if span.error is None and span.end is not None:
                yield "result", span.result
            if span.cached:
                yield "cached", True
        case "method" if span.router and span.result is not None:
            yield "route", span.result
        case "guardrail" | "planning" if span.success is not None:
            yield "passed", span.success
        case "reasoning" if span.ready is not None:
            yield "ready", span.ready
        case "human_feedback" if span.outcome is not None:
            yield "outcome", span.outcome


def _content(span: AnySpan) -> Iterator[Fact]:
    for name in _CONTENT.get(span.kind, ()):
        value = getattr(span, name)
        if value is not None and not _is_said_already(span, name, value):
            yield name, value
    if span.kind == "llm" and span.requested_tool_calls:
        yield "asks", [{call.name: call.arguments} for call in span.requested_tool_calls]


def _full(span: AnySpan, earlier: list[Message]) -> Iterator[Fact]:
    for name in _FULL.get(span.kind, ()):
        value = getattr(span, name)
        if value is not None and value not in ((), {}):
            yield name, value
    if span.kind == "llm":
        yield from _messages(span.messages.to_list(), earlier)


def _is_said_already(span: AnySpan, name: str, value: Any) -> bool:
    """Whether another fact has it: a method's route, the output of an agent's task, the calls that a model asks for."""
    match span.kind:
        case "method":
            return not value if name == "params" else name == "result" and span.router
        case "agent":
            return name == "output" and not span.lone
        case "llm":
            return bool(span.requested_tool_calls) and not isinstance(value, str)
        case _:
            return False


def _messages(messages: list[Message], earlier: list[Message]) -> Iterator[tuple[str, Any]]:
    """What is new in a conversation; a call repeats all that was said before."""
    shared = 0
    while shared < min(len(messages), len(earlier)) and messages[shared] == earlier[shared]:
        shared += 1
    if shared:
        yield "messages", {f"first_{shared}": "as in the call before"}
    for number, message in enumerate(messages[shared:], start=shared + 1):
        role = str(message.get("role") or "message")
        rest = {key: value for key, value in message.items() if key not in _NOT_SHOWN and value}
        if isinstance(rest.get("tool_calls"), list):
            rest["tool_calls"] = [_without_id(call) for call in rest["tool_calls"]]
        yield "messages", {f"{number}_{role}": message.get("content"), **({f"{number}_more": rest} if rest else {})}


@dataclass(frozen=True)
class Custom:
    """What users add: the patterns of ini, the hook, and syrupy's own ``matcher`` and ``exclude``."""

    patterns: tuple[re.Pattern[str], ...] = ()
    normalise: Callable[[Any, str], Any] | None = None
    matcher: Callable[..., Any] | None = None
    exclude: Callable[..., bool] | None = None

    @property
    def asks_for_paths(self) -> bool:
        return not (self.normalise is None and self.matcher is None and self.exclude is None)


def _without_id(call: Any) -> Any:
    return {key: value for key, value in call.items() if key != "id"} if isinstance(call, dict) else call


class Reader:
    """Reads the facts of spans, redacted first, then as the options and hooks of the user have it."""

    def __init__(self, options: Options, redactor: Redactor, custom: Custom) -> None:
        self.level = LEVELS.index(options.level)
        self.options = options
        self.redactor = redactor
        self.custom = custom
        self.has_rules = bool(options.ignore or options.replace)
        self.names: dict[tuple[str, str], str] = {}
        self.keys: dict[str, tuple[str, Strength]] = {}
        self.shapes: dict[tuple[str, Strength, tuple[Any, ...]], list[tuple[Any, str, Strength]]] = {}

    def name(self, span: AnySpan) -> str:
        """The span's name as the tree has it, redacted."""
        name = full_name(span)
        clean = self.names.get((span.kind, name))
        if clean is None:
            clean = self.names[span.kind, name] = self.redactor.text(one_line(name, _LONGEST_NAME), f"{span.kind}.name")
        return clean

    def leaves_out(self, above: list[tuple[str, str]]) -> bool:
        """Whether the last of these spans, and what is inside it, is to be left out."""
        return any(rule.attribute is None and rule.meets(above) for rule in self.options.ignore)

    def facts(self, span: AnySpan, above: list[tuple[str, str]], earlier: list[Message] | None) -> list[Fact]:
        """The facts of a span, in an order that does not depend on the run."""
        made: list[Fact] = []
        changed = self._changed(above) if self.has_rules else None
        for name, value in attributes(span, self.level, earlier):
            if changed is None and type(value) in _SCALARS:
                made.append((name, self._clean(value, span.kind, name, Strength.NONE)))
            else:
                made += self._parts(span.kind, name, value, changed)
        return self._customised(made, above) if self.custom.asks_for_paths else made

    def _parts(self, kind: str, path: str, value: Any, changed: Change | None) -> Iterator[Fact]:
        """What has no parts itself, in the order of keys and places."""
        # Depth first with a stack of its own, as data may be deeper than Python's recursion.
        stack: list[tuple[str, Any, Strength]] = [(path, value, Strength.NONE)]
        while stack:
            path, item, named = stack.pop()
            if changed is not None:
                item = changed(path, item, named)
                if item is _DROPPED:
                    continue
            if isinstance(item, dict) and item:
                shape = self._shape(path, named, item)
                if changed is None and _SCALARS.issuperset(map(type, item.values())):
                    for key, below, inside in shape:
                        yield below, self._clean(item[key], kind, below, inside)
                else:
                    stack += [(below, item[key], inside) for key, below, inside in reversed(shape)]
            elif isinstance(item, list | tuple) and item and not _is_short(item):
                is_pair = len(item) == 2 and isinstance(item[0], str)  # as headers are written
                inside = max(named, strength_of(item[0])) if is_pair else named
                stack.extend((f"{path}.{place}", inner, inside) for place, inner in reversed([*enumerate(item)]))
            else:
                yield path, self._clean(item, kind, path, named)

    def _changed(self, above: list[tuple[str, str]]) -> Change:
        """What ``ignore`` and ``replace`` make of a value inside of these spans."""
        dropped = [rule.attribute for rule in self.options.ignore if rule.attribute is not None and rule.meets(above)]
        replaced = [(rule.attribute, new) for rule, new in self.options.replace if rule.attribute and rule.meets(above)]

        def changed(path: str, item: Any, named: Strength) -> Any:
            if any(pattern.match(path) for pattern in dropped):
                return _DROPPED
            for pattern, new in replaced:
                if pattern.match(path):
                    item = new(self.redactor.value(item, path, named)) if callable(new) else new
            return item

        return changed

    def _clean(self, item: Any, kind: str, path: str, named: Strength) -> Any:
        if named is Strength.NONE:
            if type(item) is str:
                return self.redactor.text(item, f"{kind}.{path}")
            if item is None or type(item) is bool:
                return item
        return self.redactor.value(item, f"{kind}.{path}", named)

    def _customised(self, facts: list[Fact], above: list[tuple[str, str]]) -> list[Fact]:
        spans = [f"{kind} {name}" for kind, name in above]
        made: list[Fact] = []
        for path, value in facts:
            parts = path.split(".")
            places = (*((part, dict) for part in (*spans, *parts[:-1])), (parts[-1], type(value)))
            if self.custom.exclude is not None and self.custom.exclude(prop=parts[-1], path=places):
                continue
            new = value if self.custom.normalise is None else self.custom.normalise(value, " > ".join([*spans, path]))
            if self.custom.matcher is not None:
                new = self.custom.matcher(data=new, path=places)
            made.append((path, new))
        return made

    def _shape(self, path: str, named: Strength, item: dict[Any, Any]) -> list[tuple[Any, str, Strength]]:
        """The keys of a mapping in order, each with its path and what the names down to it say of what it holds."""
        keys = tuple(item)
        shape = self.shapes.get((path, named, keys))  # the arguments of one tool have the same keys
        if shape is None:
            shape = [(key, *self._below(path, str(key), named)) for key in sorted(item, key=str)]
            if all(type(key) is str for key in keys):  # 1 and True are one to a dict
                self.shapes[path, named, keys] = shape
        return shape

    def _below(self, path: str, key: str, named: Strength) -> tuple[str, Strength]:
        known = self.keys.get(key)
        if known is None:
            clean = self.redactor.text(key)
            known = self.keys[key] = (clean if _PLAIN_KEY.fullmatch(clean) else inline(clean), strength_of(key))
        return f"{path}.{known[0]}", max(named, known[1])


def _is_short(items: list[Any] | tuple[Any, ...]) -> bool:
    """Whether a list fits on one line: a few numbers or short texts."""
    room = 80
    for item in items:
        if isinstance(item, str):
            room -= len(item) + 4
            if "\n" in item:
                return False
        elif item is None or isinstance(item, bool | int | float):
            room -= 8
        else:
            return False
        if room < 0:
            return False
    return True

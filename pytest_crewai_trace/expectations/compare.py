"""What ``assert trace.tool_calls == [...]`` says when it fails: the first call that differs, argument by argument."""

from __future__ import annotations

from typing import Any

from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.expectations.scope import near
from pytest_crewai_trace.expectations.shown import arguments, clean
from pytest_crewai_trace.expectations.values import NOTHING, Difference, both, describe, differences
from pytest_crewai_trace.trace.render import cut, printable
from pytest_crewai_trace.trace.values import ToolCall

_MOST_CALLS = 12
_REST = ("result", "error", "agent", "task", "cached")


def explain(op: str, left: Any, right: Any) -> list[str] | None:
    """Lines for pytest, or ``None`` where its own say as much."""
    if op != "==":
        return None
    if isinstance(left, ToolCall) and isinstance(right, ToolCall):
        return clean([f"{_call(left)} == {_call(right)}", "", *_differences(left, right)])
    if _are_calls(left) and _are_calls(right) and (left or right):
        return clean(_lists(left, right))
    return None


def _are_calls(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(call, ToolCall) for call in value)


def _lists(left: list[ToolCall], right: list[ToolCall]) -> list[str]:
    summary = f"{plural(len(left), 'tool call')} == {plural(len(right), 'tool call')}"
    place = next((i for i, (one, other) in enumerate(zip(left, right, strict=False)) if one != other), None)
    if place is not None:
        said = [f"call {place + 1} differs:", *(f"  {line}" for line in _differences(left[place], right[place]))]
    else:
        place = min(len(left), len(right))
        side, extra = ("left", left) if len(left) > len(right) else ("right", right)
        more = plural(len(extra) - place, "call")
        said = [f"the {side} one has {more} more, from call {place + 1}: {_call(extra[place])}"]
    return [summary, "", *said, "", *_column("left", left, place), *_column("right", right, place)]


def _column(side: str, calls: list[ToolCall], place: int) -> list[str]:
    """The calls of one side, with ``>`` at the one that differs; of many those around it."""
    low = max(0, min(place - _MOST_CALLS // 2, len(calls) - _MOST_CALLS))
    shown = calls[low : low + _MOST_CALLS]
    lines = [f"{side}:" if calls else f"{side}: no tool call"]
    if low:
        lines.append(f"  ... {low} more")
    lines += [f"{'>' if low + i == place else ' '} {low + i + 1}. {_call(call)}" for i, call in enumerate(shown)]
    rest = len(calls) - low - len(shown)
    return [*lines, *([f"  ... {rest} more"] if rest > 0 else [])]


def _call(call: ToolCall) -> str:
    return cut(f"{printable(call.name)}({arguments(call.arguments, describe)})", 160)


def _differences(left: ToolCall, right: ToolCall) -> list[str]:
    """What is compared and differs, a line each: the name, each argument, and what else both sides have set."""
    lines = []
    if left.name != right.name:
        lines.append(f"tool: {left.name!r} != {right.name!r}{near(left.name, [right.name])}")
    lines += [_line(one) for one in _of_arguments(left.arguments, right.arguments)]
    for name in _REST:
        if {name} <= left.model_fields_set & right.model_fields_set:
            one, other = getattr(left, name), getattr(right, name)
            if one != other:
                lines.append(f"{name}: {' != '.join(both(one, other))}")
    return lines or ["a callable or a regular expression equals nothing: expect(trace).to_call_tools(...) takes them"]


def _of_arguments(left: dict[str, Any], right: dict[str, Any]) -> list[Difference]:
    found = differences(right, left)  # of two equal sides the right one is, mostly, what a test expects
    return [Difference(one.path, one.actual, one.expected) for one in found]


def _line(one: Difference) -> str:
    if one.expected == NOTHING:
        return f"{one.path}: only on the right: {one.actual}"
    if one.actual == NOTHING:
        return f"{one.path}: only on the left: {one.expected}"
    return f"{one.path}: {one.expected} != {one.actual}"

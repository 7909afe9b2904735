"""Trouble that costs money unseen: the same call again and again, delegation in a ring, an error that nobody heeds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.expectations import given
from pytest_crewai_trace.expectations.handover import DELEGATION_TOOLS
from pytest_crewai_trace.expectations.message import Mismatch, hide
from pytest_crewai_trace.expectations.scope import Scope, error_of, numbers_of
from pytest_crewai_trace.expectations.shown import short
from pytest_crewai_trace.expectations.tools import call_shown
from pytest_crewai_trace.trace.query import column, gathered
from pytest_crewai_trace.trace.render import printable

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.query import SpanList
    from pytest_crewai_trace.trace.span import AgentSpan, ToolSpan

__tracebackhide__ = hide


def check_have_no_loops(scope: Scope, *, repeats: int = 3) -> Mismatch | None:
    """Whether no agent made the same call, or met the same error of a tool, ``repeats`` times, or delegated in a ring.

    What crewAI repeats by itself, the attempts at one call, counts once.
    """
    given.a_whole_number("repeats", repeats, 2)
    expected = f"no loops{scope.where}"
    tools = scope.spans("tool")
    if not gathered(tools, "all different", _all_different):
        calls = [call for call in tools if call.attempt == 1]
        per_tool: dict[tuple[int | None, str], list[ToolSpan]] = {}
        for call in calls:
            per_tool.setdefault((call.parent_id, call.name), []).append(call)
        for same in per_tool.values():
            found = None if len(same) < repeats else _again(same, repeats, expected)
            if found is not None:
                return found
    ring = _ring(scope)
    if ring:
        names = " > ".join(repr(agent.name) for agent in ring)
        return Mismatch(
            expected,
            f"agents delegate in a ring: {names}",
            advice="Take allow_delegation from one of them, or tell it what it has to do itself.",
            spans=numbers_of(ring),
        )
    return None


def _all_different(calls: SpanList[ToolSpan]) -> bool:
    """Whether no tool was called twice with the same values and nothing failed, as in most runs."""
    values = map(tuple, map(dict.values, column(calls, "arguments")))
    try:
        keys = set(zip(column(calls, "parent_id"), column(calls, "name"), values, strict=True))
    except TypeError:  # arguments that cannot be hashed
        return False
    return len(keys) == len(calls) and "error" not in column(calls, "status")


def _again(calls: list[ToolSpan], repeats: int, expected: str) -> Mismatch | None:
    """Calls of one tool by one agent: with the same arguments, or with the same error."""
    keys = _keys(calls)
    if len(set(keys)) < len(keys):
        made = Counter(keys)
        first = next((place for place, key in enumerate(keys) if made[key] >= repeats), None)
        if first is not None:
            return _same_call(expected, [call for call, key in zip(calls, keys, strict=True) if key == keys[first]])
    failed = [call for call in calls if call.status == "error"]
    met = Counter(str(call.error) for call in failed)
    error = next((error for error, count in met.items() if count >= repeats), None)
    return None if error is None else _same_error(expected, [call for call in failed if str(call.error) == error])


def _keys(calls: list[ToolSpan]) -> list[Hashable]:
    """What is equal where the arguments are."""
    try:
        keys: list[Hashable] = [tuple(call.arguments.items()) for call in calls]
        set(keys)
    except TypeError:  # a list, or a dict, among them
        return [json.dumps(call.arguments, sort_keys=True, default=repr) for call in calls]
    return keys


def _same_call(expected: str, calls: list[ToolSpan]) -> Mismatch:
    results = dict.fromkeys(short(call.result if call.error is None else str(call.error)) for call in calls)
    said = (
        f"each time it gave {next(iter(results))}" if len(results) == 1 else f"it gave {plural(len(results), 'result')}"
    )
    return Mismatch(
        expected,
        f"{call_shown(calls[0])} was called {given.often(len(calls))}; {said}",
        advice="The model does not get on: see what it makes of the result, or have the tool say that it is final.",
        spans=numbers_of(calls),
    )


def _same_error(expected: str, calls: list[ToolSpan]) -> Mismatch:
    return Mismatch(
        expected,
        f"{_whose(calls)} failed {given.often(len(calls))} with the same error: {error_of(calls[0])}",
        advice="The model cannot mend it: see whether the error says how to call the tool.",
        spans=numbers_of(calls),
    )


def _whose(calls: list[ToolSpan]) -> str:
    """The call, or only tool and agent where the arguments changed."""
    if all(call.arguments == calls[0].arguments for call in calls):
        return call_shown(calls[0])
    return printable(calls[0].name) + ("" if calls[0].agent_role is None else f" by {calls[0].agent_role!r}")


def _ring(scope: Scope) -> list[AgentSpan]:
    """The first agents that came back, by delegation, to one that was waiting for them."""
    tree = scope.tree
    if DELEGATION_TOOLS.isdisjoint(column(scope.spans("tool"), "name")):
        return []
    first, last = (0, len(tree.spans)) if scope.root is None else (tree.enter[scope.root], tree.leave[scope.root])
    # The agents and tools that are still open, innermost last: where each ends, and the chain of delegations (role to
    # span) that what is inside of it goes on; whose role is to be forgotten when it ends.
    stack: list[tuple[int, dict[str, int], str | None]] = []
    for number in tree.order[first:last]:
        span = tree.spans[number]
        if span.kind not in ("agent", "tool"):
            continue
        while stack and stack[-1][0] <= tree.enter[number]:
            _, chain, role = stack.pop()
            if role is not None:
                del chain[role]
        goes_on = stack[-1][1] if stack else {}
        if span.kind == "tool":
            chain = goes_on if span.name in DELEGATION_TOOLS else {}
            stack.append((tree.leave[number], chain, None))
            continue
        # Only a delegation hands the chain on; an agent in an agent, as a guardrail's, begins one of its own.
        above = None if span.parent_id is None else tree.spans[span.parent_id]
        chain = goes_on if above is not None and above.name in DELEGATION_TOOLS else {}
        if span.name in chain:
            return _between(scope, chain[span.name], number)
        chain[span.name] = number
        stack.append((tree.leave[number], chain, span.name))
    return []


def _between(scope: Scope, first: int, last: int) -> list[AgentSpan]:
    """The agents from one down to another that is inside it."""
    spans, found, number = scope.tree.spans, list[Any](), last
    while True:
        if spans[number].kind == "agent":
            found.append(spans[number])
        if number == first:
            return found[::-1]
        above = spans[number].parent_id
        if above is None:
            return found[::-1]
        number = above

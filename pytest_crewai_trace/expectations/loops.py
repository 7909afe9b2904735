"""Trouble that costs money unseen: the same call again and again, delegation in a ring, an error that nobody heeds."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.expectations import given
from pytest_crewai_trace.expectations.handover import DELEGATION_TOOLS
from pytest_crewai_trace.expectations.message import Mismatch, hide
from pytest_crewai_trace.expectations.scope import Scope, numbers_of
from pytest_crewai_trace.expectations.tools import call_shown
from pytest_crewai_trace.expectations.values import plural
from pytest_crewai_trace.trace.render import cut, printable, short

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.span import AgentSpan, ToolSpan

__tracebackhide__ = hide


def check_have_no_loops(scope: Scope, *, repeats: int = 3) -> Mismatch | None:
    """Whether no agent made the same call, or met the same error of a tool, ``repeats`` times, or delegated in a ring.

    What crewAI repeats by itself, the attempts at one call, counts once.
    """
    given.a_whole_number("repeats", repeats, 2)
    expected = f"no loops{scope.where}"
    same_call: dict[Hashable, list[ToolSpan]] = {}
    same_error: dict[Hashable, list[ToolSpan]] = {}
    for call in scope.spans("tool"):
        if call.attempt > 1:
            continue
        try:
            arguments: Hashable = tuple(call.arguments.items())
            hash(arguments)
        except TypeError:
            arguments = repr(call.arguments)
        made = same_call.setdefault((call.parent_id, call.name, arguments), [])
        made.append(call)
        if len(made) >= repeats:
            return _same_call(expected, _all_like(scope, call, by_error=False))
        if call.status == "error":
            met = same_error.setdefault((call.parent_id, call.name, str(call.error)), [])
            met.append(call)
            if len(met) >= repeats:
                return _same_error(expected, _all_like(scope, call, by_error=True))
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


def _all_like(scope: Scope, call: ToolSpan, *, by_error: bool) -> list[ToolSpan]:
    return [
        one
        for one in scope.spans("tool")
        if one.parent_id == call.parent_id
        and one.name == call.name
        and one.attempt == 1
        and (str(one.error) == str(call.error) if by_error else one.arguments == call.arguments)
    ]


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
    error = cut(printable(" ".join(str(calls[0].error or "").split())), 200)
    return Mismatch(
        expected,
        f"{_whose(calls)} failed {given.often(len(calls))} with the same error: {error}",
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
    first, last = (0, len(tree.spans)) if scope.root is None else (tree.enter[scope.root], tree.leave[scope.root])
    stack: list[tuple[int, Any]] = []  # where each that is still open ends
    chains: list[dict[str, int]] = [{}]  # per chain of delegations, the agents at work
    for number in tree.order[first:last]:
        span = tree.spans[number]
        if span.kind not in ("agent", "tool"):
            continue
        while stack and stack[-1][0] <= tree.enter[number]:
            _, left = stack.pop()
            if isinstance(left, dict):
                chains.pop()
            elif left is not None:
                del chains[-1][left]
        if span.kind == "tool":
            if span.name not in DELEGATION_TOOLS:
                stack.append((tree.leave[number], {}))
                chains.append({})  # what a tool runs by itself is a chain of its own
        elif span.name in chains[-1]:
            return _between(scope, chains[-1][span.name], number)
        else:
            chains[-1][span.name] = number
            stack.append((tree.leave[number], span.name))
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

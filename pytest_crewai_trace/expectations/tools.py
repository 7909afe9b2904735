"""What was called: one tool, none, or a list of calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.expectations import given
from pytest_crewai_trace.expectations.message import Mismatch, hide
from pytest_crewai_trace.expectations.scope import Scope, error_of, listed, near, numbers_of, whose
from pytest_crewai_trace.expectations.shown import arguments as arguments_shown
from pytest_crewai_trace.expectations.shown import short
from pytest_crewai_trace.expectations.values import Difference, describe, differences, fits, matches, under
from pytest_crewai_trace.expectations.values import listed as listed_differences
from pytest_crewai_trace.trace.render import printable
from pytest_crewai_trace.trace.values import ToolCall

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.span import ToolSpan

__tracebackhide__ = hide


class Wanted:
    """One call as it is expected, apart from how often."""

    def __init__(
        self,
        name: str,
        *,
        arguments: Any = None,
        partial: bool = False,
        by: str | None = None,
        in_task: str | None = None,
        result: Any = given.UNSET,
        error: Any = None,
    ) -> None:
        self.name = given.a_name("the tool", name)
        self.partial = given.a_flag("partial", partial)
        self.by = given.a_name_or_none("by", by)
        self.in_task = given.a_name_or_none("in_task", in_task)
        self.result = result
        self.arguments = arguments
        if isinstance(arguments, str | list | tuple | set | int | float):
            raise TypeError(f"arguments takes a dict, a matcher or a callable, not {short(arguments)}")
        if isinstance(arguments, ToolCall):
            raise TypeError("arguments takes a dict, not a ToolCall: to_call_tools([...]) takes those")
        if isinstance(arguments, BaseModel):
            self.arguments = arguments = arguments.model_dump(mode="json")
        for what, value in (("arguments", arguments), ("result", result)):
            given.no_type(what, value)
        for what, value in arguments.items() if isinstance(arguments, Mapping) else ():
            given.no_type(f"argument {what}", value)
        if partial and not isinstance(arguments, Mapping):
            raise TypeError("partial=True needs arguments= as a dict: those that must be among the call's")
        self.error = None if error is None or error is False else given.an_error("error", error)
        self.no_error = error is False

    def __str__(self) -> str:
        said = printable(self.name)
        if isinstance(self.arguments, Mapping):
            inside = arguments_shown(self.arguments, describe)
            said += f"({inside}{', ...' if self.partial and inside else '...' if self.partial else ''})"
        elif self.arguments is not None:
            said += f" with arguments {describe(self.arguments)}"
        return said

    @property
    def how(self) -> str:
        """What else is expected of the call."""
        said = whose(self.by, self.in_task)
        said += "" if self.result is given.UNSET else f" with result {describe(self.result)}"
        said += "" if self.error is None else f" failing with {self.error}"
        return said + (" without an error" if self.no_error else "")

    def fits(self, span: ToolSpan) -> bool:
        """Whether a call of the tool is as expected; stops at the first thing that is not."""
        return (
            (self.by is None or span.agent_role == self.by)
            and (self.in_task is None or span.task_name == self.in_task)
            and (self.error is None or (span.status == "error" and self.error.is_like(span.error)))
            and not (self.no_error and span.status == "error")
            and (self.arguments is None or fits(self.arguments, span.arguments, partial=self.partial))
            and (self.result is given.UNSET or fits(self.result, span.result))
        )

    def argument_differences(self, arguments: Mapping[str, Any]) -> list[Difference]:
        if isinstance(self.arguments, Mapping):
            return differences(self.arguments, arguments, partial=self.partial)
        if matches(self.arguments, arguments):
            return []
        return [Difference("arguments", describe(self.arguments), short(arguments))]

    def misses(self, span: ToolSpan) -> tuple[list[Difference], str]:
        """All that is different in a call of the tool, and in a few words how much."""
        found = [] if self.arguments is None else self.argument_differences(span.arguments)
        words = []
        if found:
            names = {one.path.partition(".")[0].partition("[")[0] for one in found}
            of = len(set(self.arguments) | set(span.arguments)) if isinstance(self.arguments, Mapping) else 0
            words.append(f"{len(names)} of {plural(of, 'argument')}" if of else "its arguments")
        for name, wanted, seen in (("by", self.by, span.agent_role), ("in_task", self.in_task, span.task_name)):
            if wanted is not None and wanted != seen:
                found.append(Difference(name, repr(wanted), repr(seen)))
                words.append("its agent" if name == "by" else "its task")
        failed = span.status == "error"
        if self.error is not None and not (failed and self.error.is_like(span.error)):
            found.append(Difference("error", str(self.error), error_of(span) if failed else "none"))
            words.append("its error")
        if self.no_error and failed:
            found.append(Difference("error", "none", error_of(span)))
            words.append("its error")
        if self.result is not given.UNSET and (different := differences(self.result, span.result)):
            found += [under("result", one) for one in different]
            words.append("its result")
        return found, " and ".join(words)


def call_of(span: ToolSpan) -> str:
    """``search(query='AI')``."""
    return f"{printable(span.name)}({arguments_shown(span.arguments, short)})"


def call_shown(span: ToolSpan) -> str:
    """``search(query='AI') by 'Researcher' in task 'research'``."""
    return call_of(span) + whose(span.agent_role, span.task_name)


def check_call_tool(scope: Scope, wanted: Wanted, times: given.Times) -> Mismatch | None:
    """Whether a tool was called so, and as often as expected."""
    named = scope.tools_named(wanted.name)
    fitting: list[ToolSpan] = []
    enough = times.low if times.high is None else len(named)
    for span in named:
        if wanted.fits(span):
            fitting.append(span)
            if len(fitting) >= enough:
                break
    if len(fitting) in times:
        return None
    expected = f"{wanted} to be called{times}{wanted.how}{scope.where}"
    if not named:
        return _never_called(scope, wanted, expected)
    if fitting:
        return Mismatch(
            expected,
            f"it was called so {given.often(len(fitting))}",
            nearest="" if len(fitting) > times.low else _nearest_miss(wanted, named, fitting),
            advice="Each call that counts is marked.",
            spans=numbers_of(fitting),
        )
    stranger = scope.stranger(expected, wanted.by, wanted.in_task)
    nearest = min(named, key=lambda span: len(wanted.misses(span)[0]))
    found, words = wanted.misses(nearest)
    return Mismatch(
        expected,
        stranger.actual
        if stranger is not None
        else f"{printable(wanted.name)} was called {given.often(len(named))}, but never so",
        nearest=f"called as {call_shown(nearest)}: differs in {words}\n{listed_differences(found)}",
        advice=stranger.advice if stranger is not None else _about(words, nearest),
        spans=(nearest.id,),
    )


def _about(words: str, span: ToolSpan) -> str:
    if "argument" in words:
        return "The arguments are the model's: see what it was told in the LLM call above the one marked."
    if "error" in words or "result" in words:
        return "What came back is the tool's: see the call that is marked."
    return "See who made the call that is marked, and in which task."


def _nearest_miss(wanted: Wanted, named: Sequence[ToolSpan], fitting: Sequence[ToolSpan]) -> str:
    known = {span.id for span in fitting}
    others = [span for span in named if span.id not in known]
    if not others:
        return ""
    nearest = min(others, key=lambda span: len(wanted.misses(span)[0]))
    found, words = wanted.misses(nearest)
    return f"called as {call_shown(nearest)}: differs in {words}\n{listed_differences(found)}"


def _never_called(scope: Scope, wanted: Wanted, expected: str) -> Mismatch:
    called = scope.spans("tool").names
    actual = f"it was never called; tools called{scope.where}: {listed(called)}"
    if scope.has_tool(wanted.name):
        owners = [agent for agent in scope.spans("agent") if wanted.name in agent.available_tools]
        elsewhere = [span for span in scope.everywhere("tool") if span.name == wanted.name]
        nearest = f"called elsewhere: {call_shown(elsewhere[0])}" if elsewhere else ""
        if owners and not elsewhere:
            nearest = f"{listed(agent.name for agent in owners)} had it at hand and did not call it"
        return Mismatch(
            expected,
            actual,
            nearest=nearest,
            advice="The model chose not to call it: see what it was told, and what it answered instead.",
            spans=numbers_of(owners, 5) or numbers_of(elsewhere, 1) or scope.marks,
        )
    names = scope.tools_at_hand()
    meant = near(wanted.name, names)
    return Mismatch(
        expected,
        actual,
        nearest=f"no agent has a tool {wanted.name!r}{meant}",
        advice=f"Give the agent the tool, or name one of its tools: {listed(names)}."
        if names
        else "Give the agent the tool.",
        spans=numbers_of(scope.spans("agent"), 5) or scope.marks,
    )


def check_not_call_tool(scope: Scope, wanted: Wanted, *, unknown_ok: bool) -> Mismatch | None:
    """Whether a tool was not called so; a name that nobody in the trace has proves nothing."""
    expected = f"{wanted} not to be called{wanted.how}{scope.where}"
    named = scope.tools_named(wanted.name)
    fitting = [span for span in named if wanted.fits(span)]
    if fitting:
        return Mismatch(
            expected,
            f"it was called {given.often(len(fitting))}: {call_shown(fitting[0])}",
            advice="See what the model was told in the LLM call above the one marked.",
            spans=numbers_of(fitting),
        )
    if unknown_ok:
        return None
    if not named and not scope.has_tool(wanted.name):
        names = scope.tools_at_hand()
        return Mismatch(
            expected,
            f"no agent of the trace has a tool {wanted.name!r}, so it could not be called{near(wanted.name, names)}",
            nearest=f"tools of this trace: {listed(names)}",
            advice="Mend the name, or write unknown_ok=True to say that the tool may be unknown.",
            spans=scope.marks,
        )
    stranger = scope.stranger(expected, wanted.by, wanted.in_task)
    if stranger is None:
        return None
    return Mismatch(
        expected,
        stranger.actual,
        nearest=stranger.advice,
        advice="Mend the name, or write unknown_ok=True to say that it may be unknown.",
        spans=stranger.spans,
    )

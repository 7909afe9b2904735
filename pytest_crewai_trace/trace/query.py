"""The questions that a trace and every span in it answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pytest_crewai_trace.errors import SpanLookupError, did_you_mean, hide_from_traceback, unknown_choice
from pytest_crewai_trace.trace.semconv import KINDS, STATUSES, Kind, Status
from pytest_crewai_trace.trace.usage import Usage, cost_of

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.span import (
        A2ASpan,
        AgentSpan,
        AnySpan,
        ConversationSpan,
        CrewSpan,
        EvaluationSpan,
        FlowSpan,
        GuardrailSpan,
        HumanFeedbackSpan,
        KnowledgeSpan,
        LLMSpan,
        McpSpan,
        MemorySpan,
        MethodSpan,
        PlanningSpan,
        ReasoningSpan,
        SkillSpan,
        TaskSpan,
        ToolSpan,
    )
    from pytest_crewai_trace.trace.tree import Tree
    from pytest_crewai_trace.trace.values import Error, ToolCall

S = TypeVar("S", bound="AnySpan")
T = TypeVar("T")

__tracebackhide__ = hide_from_traceback

# What people call a kind, for messages.
_NOUNS = {"llm": "LLM call", "mcp": "MCP connection", "a2a": "A2A exchange", "human_feedback": "human feedback"}


class SpanList(tuple[S, ...], Generic[S]):
    """Spans in start order, as an immutable sequence with a few questions of its own."""

    _what: str

    def __new__(cls, spans: Iterable[S] = (), what: str = "") -> SpanList[S]:
        made = super().__new__(cls, spans)
        made._what = what
        return made

    @property
    def names(self) -> list[str]:
        """The name of each, in order, with repetitions."""
        return list(column(self, "name"))

    def named(self, name: str) -> SpanList[S]:
        """Those with this name."""
        return SpanList(grouped(self, "name").get(name, ()), self._what)

    def of(self, *, agent: str | None = None, task: str | None = None) -> SpanList[S]:
        """Those that belong to an agent (by role), a task (by name), or both."""
        if agent is None and task is None:
            raise TypeError("of() takes agent=, task= or both")
        asked = {"agent_role": agent, "task_name": task}
        groups = [grouped(self, field).get(who, []) for field, who in asked.items() if who is not None]
        found = min(groups, key=len)
        if len(groups) > 1:
            found = [span for span in found if span.agent_role == agent and span.task_name == task]
        return SpanList(found, self._what)

    @property
    def failed(self) -> SpanList[S]:
        """Those with status ``error``."""
        return SpanList((span for span in self if span.status == "error"), self._what)

    def one(self) -> S:
        """The only one.

        Raises:
            SpanLookupError: there is none, or more than one; the message lists them.
        """
        if len(self) == 1:
            return self[0]
        noun = f"{_NOUNS.get(self._what, self._what)} span".strip()
        if not self:
            raise SpanLookupError(f"expected one {noun}, found none")
        raise SpanLookupError(f"expected one {noun}, found {len(self)}: {_listed(self.names)}")

    @property
    def first(self) -> S:
        """The first; an error where there is none."""
        return self._at(0)

    @property
    def last(self) -> S:
        """The last; an error where there is none."""
        return self._at(-1)

    def _at(self, place: int) -> S:
        if not self:
            raise SpanLookupError(f"there is no {_NOUNS.get(self._what, self._what)} span here".replace("  ", " "))
        return self[place]


def gathered(spans: SpanList[S], what: str, gather: Callable[[SpanList[S]], T]) -> T:
    """What is gathered from the spans of a list; once, as neither changes."""
    kept: dict[str, Any] = spans.__dict__.setdefault("_gathered", {})
    if what not in kept:
        kept[what] = gather(spans)
    return cast("T", kept[what])


def column(spans: SpanList[Any], field: str) -> tuple[Any, ...]:
    """One field of each span, in order."""
    return gathered(spans, field, lambda spans: tuple(map(attrgetter(field), spans)))


def grouped(spans: SpanList[S], field: str) -> dict[Any, list[S]]:
    """The spans by the value of one field, in order."""
    return gathered(spans, f"by {field}", lambda spans: _groups(spans, field))


def _groups(spans: SpanList[S], field: str) -> dict[Any, list[S]]:
    found: dict[Any, list[S]] = {}
    for span, value in zip(spans, column(spans, field), strict=True):
        found.setdefault(value, []).append(span)
    return found


def alike(one: str, other: str) -> bool:
    """Whether two names are the same but for case, spaces and punctuation."""
    letters = _NOT_IN_NAMES.sub("", one).lower()
    return letters != "" and letters == _NOT_IN_NAMES.sub("", other).lower()


_NOT_IN_NAMES = re.compile(r"[\W_]+")


def _listed(names: list[str], most: int = 12, longest: int = 60) -> str:
    # A task without a name has its description's, which can be pages.
    shown = ", ".join(repr(name if len(name) <= longest else f"{name[: longest - 1]}…") for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


class Queries:
    """What ``Trace`` and every span answer about what happened inside them."""

    __slots__ = ()
    if TYPE_CHECKING:
        _tree: Tree

    @property
    def tree(self) -> Tree:
        """The index over all spans of the trace, incomplete or empty as it may be."""
        return self._tree

    def _scope(self) -> tuple[Tree, int | None]:
        """The index, and the span to look inside of (``None``: the whole trace)."""
        tree = getattr(self, "_tree", None)
        if tree is None:
            raise SpanLookupError("this span is not part of a trace")
        return tree, cast("AnySpan", self).id

    def _inside(self, kind: Kind | None = None) -> SpanList[Any]:
        tree, root = self._scope()
        return tree.inside(root, kind)

    @property
    def spans(self) -> SpanList[AnySpan]:
        """Every span, in start order."""
        return self._inside()

    @property
    def crews(self) -> SpanList[CrewSpan]:
        return self._inside("crew")

    @property
    def flows(self) -> SpanList[FlowSpan]:
        return self._inside("flow")

    @property
    def methods(self) -> SpanList[MethodSpan]:
        """Runs of flow methods."""
        return self._inside("method")

    @property
    def tasks(self) -> SpanList[TaskSpan]:
        return self._inside("task")

    @property
    def agents(self) -> SpanList[AgentSpan]:
        return self._inside("agent")

    @property
    def llm_calls(self) -> SpanList[LLMSpan]:
        return self._inside("llm")

    @property
    def tools(self) -> SpanList[ToolSpan]:
        """Tool calls, each attempt by itself."""
        return self._inside("tool")

    @property
    def memory(self) -> SpanList[MemorySpan]:
        return self._inside("memory")

    @property
    def knowledge(self) -> SpanList[KnowledgeSpan]:
        return self._inside("knowledge")

    @property
    def guardrails(self) -> SpanList[GuardrailSpan]:
        return self._inside("guardrail")

    @property
    def reasoning(self) -> SpanList[ReasoningSpan]:
        return self._inside("reasoning")

    @property
    def planning(self) -> SpanList[PlanningSpan]:
        return self._inside("planning")

    @property
    def mcp_connections(self) -> SpanList[McpSpan]:
        return self._inside("mcp")

    @property
    def a2a(self) -> SpanList[A2ASpan]:
        return self._inside("a2a")

    @property
    def human_feedback(self) -> SpanList[HumanFeedbackSpan]:
        return self._inside("human_feedback")

    @property
    def conversation_turns(self) -> SpanList[ConversationSpan]:
        return self._inside("conversation")

    @property
    def skills(self) -> SpanList[SkillSpan]:
        return self._inside("skill")

    @property
    def evaluations(self) -> SpanList[EvaluationSpan]:
        return self._inside("evaluation")

    def find(
        self, *, kind: Kind | None = None, name: str | None = None, status: Status | None = None
    ) -> SpanList[AnySpan]:
        """Spans by kind, name and status.

        Raises:
            ValueError: an unknown kind or status; the message lists the valid ones.
        """
        if kind is not None and kind not in KINDS:
            raise ValueError(unknown_choice("kind", kind, KINDS))
        if status is not None and status not in STATUSES:
            raise ValueError(unknown_choice("status", status, STATUSES))
        found = self._inside(kind)
        if name is not None:
            found = found.named(name)
        return found if status is None else SpanList((span for span in found if span.status == status), kind or "")

    def agent(self, role: str) -> AgentSpan:
        """The one agent span of this role; see ``SpanList.one`` for errors."""
        return cast("AgentSpan", self._one("agent", role))

    def task(self, name: str) -> TaskSpan:
        """The one task span of this name (a task without a name has its description's)."""
        return cast("TaskSpan", self._one("task", name))

    def tool(self, name: str) -> ToolSpan:
        """The one tool span of this name: as models see it, or as the tool was given it."""
        return cast("ToolSpan", self._one("tool", name))

    def crew(self, name: str) -> CrewSpan:
        """The one crew span of this name."""
        return cast("CrewSpan", self._one("crew", name))

    def flow(self, name: str) -> FlowSpan:
        """The one flow span of this name."""
        return cast("FlowSpan", self._one("flow", name))

    def method(self, name: str) -> MethodSpan:
        """The one run of this flow method."""
        return cast("MethodSpan", self._one("method", name))

    def _one(self, kind: Kind, name: str) -> AnySpan:
        everything = self._inside(kind)
        found = everything.named(name)
        if not found and kind == "tool":  # by the name that the tool was given, where models see another
            found = SpanList((span for span in everything if alike(span.name, name)), kind)
        if len(found) == 1:
            return cast("AnySpan", found[0])
        if found:
            names = list(dict.fromkeys(found.names))
            if len(names) > 1:
                raise SpanLookupError(
                    f"{len(found)} {kind} spans are named like {name!r}, expected one: {_listed(names)}"
                )
            raise SpanLookupError(
                f"{len(found)} {kind} spans are named {names[0]!r}, expected one;"
                f" .{kind}s.named({names[0]!r}) gives them all"
            )
        distinct = list(dict.fromkeys(everything.names))
        there = f"{kind}s: {_listed(distinct)}" if distinct else f"there are no {kind} spans here"
        raise SpanLookupError(f"no {kind} span {name!r};{did_you_mean(name, distinct)} {there}")

    @property
    def tool_calls(self) -> list[ToolCall]:
        """Every tool call, each attempt by itself, as data to compare with ``==``."""
        return [span.call for span in self.tools]

    @property
    def usage(self) -> Usage:
        """Tokens of all LLM calls."""
        return Usage.total(span.call_usage for span in self._priced())

    @property
    def cost(self) -> Decimal | None:
        """US dollars by ``genai-prices``; ``None`` when one call's model or tokens are unknown, never a guess."""
        return cost_of(self._priced())

    def _priced(self) -> Iterable[LLMSpan]:
        """The LLM calls that count: those inside, and the span itself where it is one."""
        itself = cast("LLMSpan", self)
        return (itself, *self.llm_calls) if getattr(self, "kind", None) == "llm" else self.llm_calls

    @property
    def errors(self) -> list[Error]:
        """The errors of all spans that failed, in start order."""
        return [span.error for span in self.spans if span.error is not None]

    def render(self, *, width: int = 120) -> str:
        """The tree as text, a span a line; the same behaviour gives the same text. Lines are cut at ``width``."""
        from pytest_crewai_trace.trace.render import render

        tree, root = self._scope()
        return render(tree, root, width=width)

    def _comparable(self) -> object:
        from pytest_crewai_trace.trace.order import comparable

        tree, root = self._scope()
        return comparable(tree, root)

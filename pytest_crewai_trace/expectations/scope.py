"""What an expectation looks at: a whole trace, or one span and what is inside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from pytest_crewai_trace.errors import did_you_mean
from pytest_crewai_trace.expectations.message import Mismatch, hide
from pytest_crewai_trace.expectations.shown import label, line
from pytest_crewai_trace.live import LiveTrace
from pytest_crewai_trace.trace.query import SpanList, alike, column
from pytest_crewai_trace.trace.render import cut, printable
from pytest_crewai_trace.trace.span import Span
from pytest_crewai_trace.trace.trace import Trace

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.semconv import Kind
    from pytest_crewai_trace.trace.span import AnySpan, ToolSpan
    from pytest_crewai_trace.trace.tree import Tree

__tracebackhide__ = hide

_LONGEST_NAME = 60
_LONGEST_ERROR = 300
_MOST_NAMES = 8


def current(subject: Trace | Span) -> Trace | Span:
    """The trace as it stands now, where it is the fixture's."""
    kind: type[object] = type(subject)
    return subject.__copy__() if kind is LiveTrace else subject


class Scope:
    """A trace as it stands now, or one span of it. A span is part of what it is the scope of."""

    def __init__(self, subject: Trace | Span) -> None:
        now = current(subject)
        self.trace = now if isinstance(now, Trace) else None
        self.span = cast("AnySpan", now) if isinstance(now, Span) else None
        # An empty or incomplete trace is told of by ``unusable``.
        self.tree: Tree = now.tree if isinstance(now, Trace) else now._scope()[0]  # noqa: SLF001
        self.root = None if self.span is None else self.span.id
        self._lists: dict[Kind | None, SpanList[Any]] = {}

    @property
    def unusable(self) -> str:
        """Why nothing can be concluded from it, or ``""``."""
        if self.tree.incomplete:
            return f"the trace is incomplete: {'; '.join(map(printable, self.tree.incomplete))}"
        return "" if self.tree.spans else "the trace is empty: nothing of crewAI has run in this test"

    def spans(self, kind: Kind | None = None) -> SpanList[Any]:
        """The spans of one kind, or all, in start order."""
        found = self._lists.get(kind)
        if found is None:
            found = self.tree.inside(self.root, kind)
            if self.span is not None and kind in (None, self.span.kind):
                found = SpanList((self.span, *found), kind or "")
            self._lists[kind] = found
        return found

    def everywhere(self, kind: Kind) -> SpanList[Any]:
        """The spans of one kind in the whole trace."""
        return self.tree.inside(None, kind)

    @property
    def where(self) -> str:
        """`` in task 'write'``, or nothing for the whole trace."""
        return "" if self.span is None else f" in {name_of(self.span)}"

    @property
    def marks(self) -> tuple[int, ...]:
        """What to point at where nothing else can be pointed at."""
        return () if self.root is None else (self.root,)

    # -- whose and which ----------------------------------------------------------------------------------------------

    def of(self, spans: SpanList[Any], by: str | None, in_task: str | None) -> SpanList[Any]:
        """Those of one agent, one task, or both."""
        return spans if by is None and in_task is None else spans.of(agent=by, task=in_task)

    def stranger(self, expected: str, by: str | None, in_task: str | None) -> Mismatch | None:
        """A mismatch where the agent or the task that an expectation names is not in the trace at all."""
        for kind, name in (("agent", by), ("task", in_task)):
            if name is None:
                continue
            names = self.everywhere(cast("Kind", kind)).names
            field = "agent_role" if kind == "agent" else "task_name"
            if name not in names and not any(getattr(span, field) == name for span in self.tree.spans):
                return Mismatch(
                    expected,
                    f"the trace has no {kind} {name!r}{near(name, names)}",
                    advice=f"{kind}s of this trace: {listed(names)}",
                    spans=self.marks,
                )
        return None

    # -- tools --------------------------------------------------------------------------------------------------------

    def tools_named(self, name: str) -> SpanList[ToolSpan]:
        """The calls of a tool: by the name that models see, or as the tool was given it."""
        tools = self.spans("tool")
        found = tools.named(name)
        if not found and any(alike(other, name) for other in set(column(tools, "name"))):
            found = SpanList((span for span in tools if alike(span.name, name)), "tool")
        return found

    def has_tool(self, name: str) -> bool:
        """Whether an agent or a model of the trace has this tool, or it was called."""
        if any(name in agent.available_tools for agent in self.everywhere("agent")):
            return True
        return any(name == other or alike(name, other) for other in self.tools_at_hand())

    def tools_at_hand(self) -> list[str]:
        """Every tool that an agent or a model of the trace could have called, or that was called."""
        names = dict.fromkeys(name for agent in self.everywhere("agent") for name in agent.available_tools)
        offered = {id(tools): tools for tools in (call.tool_definitions for call in self.everywhere("llm"))}
        for tools in offered.values():
            names.update(dict.fromkeys(name for tool in tools if (name := _defined(tool))))
        names.update(dict.fromkeys(self.everywhere("tool").names))
        return list(names)


def _defined(tool: Any) -> str:
    """The name in a tool's definition as providers take it."""
    if not isinstance(tool, dict):
        return ""
    function = tool.get("function")
    name = function.get("name") if isinstance(function, dict) else tool.get("name")
    return name if isinstance(name, str) else ""


def whose(by: str | None, in_task: str | None, *, word: str = "by", anyone: str = "") -> str:
    """`` by 'Writer' in task 'write'``, of what is not left open."""
    said = anyone if by is None else f" {word} {by!r}"
    return said + ("" if in_task is None else f" in task {in_task!r}")


def name_of(span: AnySpan) -> str:
    """``task 'write'``, for messages."""
    kind = "LLM call" if span.kind == "llm" else span.kind.replace("_", " ")
    return f"{kind} {shown_name(span.name)}"


def shown_name(name: str) -> str:
    # A task without a name has its description's, which can be pages.
    return repr(line(name, _LONGEST_NAME))


def near(name: str, names: Iterable[str]) -> str:
    """``; did you mean 'x'?`` or nothing."""
    others = dict.fromkeys(names)
    meant = "" if name in others else did_you_mean(name, others)
    return f";{meant}" if meant else ""


def listed(names: Iterable[str], nothing: str = "none") -> str:
    """Each name once, with how often where it is more than once."""
    counts = Counter(iter(names))
    shown = [shown_name(name) + (f" ({count} times)" if count > 1 else "") for name, count in counts.items()]
    more = len(shown) - _MOST_NAMES
    return (", ".join(shown[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")) or nothing


def error_of(span: AnySpan) -> str:
    """What a span failed with, on one line."""
    return line(str(span.error or ""), _LONGEST_ERROR) or "an error that does not say what"


def spans_shown(spans: Sequence[AnySpan], most: int = 3) -> str:
    """Some spans, a line each, as the tree shows them."""
    lines = [cut(label(span), 100) for span in spans[:most]]
    more = len(spans) - most
    return "\n".join([*lines, *([f"and {more} more"] if more > 0 else [])])


def numbers_of(spans: Iterable[AnySpan], most: int = 40) -> tuple[int, ...]:
    """What to point at; of very many only the first."""
    return tuple(span.id for span, _ in zip(spans, range(most), strict=False))

"""What was handed from one to the other: work, outputs, results of tools."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_crewai_trace.expectations import given
from pytest_crewai_trace.expectations.message import Mismatch, hide
from pytest_crewai_trace.expectations.scope import Scope, listed, name_of, near, numbers_of, spans_shown
from pytest_crewai_trace.expectations.shown import clean, short
from pytest_crewai_trace.expectations.tools import call_shown
from pytest_crewai_trace.trace.query import column, gathered

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.messages import Messages
    from pytest_crewai_trace.trace.query import SpanList
    from pytest_crewai_trace.trace.span import AgentSpan, AnySpan, LLMSpan, ToolSpan

__tracebackhide__ = hide

Prompt: TypeAlias = "tuple[LLMSpan, dict[str, Any], str]"
# crewAI's own tools for it, as models see them.
DELEGATION_TOOLS = frozenset({"delegate_work_to_coworker", "ask_question_to_coworker"})
_END = 60
_NEAR = 16  # siblings; more tool calls in one reply are rare, and found all the same
_SOURCES = ("task", "agent", "method", "crew")


def delegations(scope: Scope) -> Iterator[tuple[ToolSpan, AgentSpan | None]]:
    """Each call of a delegation tool with the agent that then worked, ``None`` where none did."""
    tree = scope.tree
    for call in scope.spans("tool"):
        if call.name in DELEGATION_TOOLS:
            inside = tree.children.get(call.id, ())
            yield call, next((tree.spans[i] for i in inside if tree.spans[i].kind == "agent"), None)  # type: ignore[misc]


def check_delegate(scope: Scope, by: str, to: str) -> Mismatch | None:
    """Whether one agent handed work, or a question, to another, and that one worked on it."""
    by, to = given.a_name("to_delegate", by), given.a_name("to", to)
    made = list(delegations(scope))
    if any(call.agent_role == by and worker is not None and worker.name == to for call, worker in made):
        return None
    expected = f"{by!r} to delegate to {to!r}{scope.where}"
    mine = [(call, worker) for call, worker in made if call.agent_role == by]
    if mine:
        call, worker = mine[0]
        whom = f"no agent worked on it: {short(call.result)}" if worker is None else f"{worker.name!r} worked on it"
        names = [agent.name for agent in scope.everywhere("agent")]
        return Mismatch(
            expected,
            f"{by!r} delegated {given.often(len(mine))}, but not to {to!r}",
            nearest=f"{call_shown(call)}: {whom}",
            advice=f"The model names the coworker; agents of this trace: {listed(dict.fromkeys(names))}.",
            spans=numbers_of(call for call, _ in mine),
        )
    workers = [agent for agent in scope.spans("agent") if agent.name == by]
    others = [f"{call.agent_role!r} to {worker.name!r}" for call, worker in made if worker is not None]
    nearest = f"who delegated: {', '.join(others[:5])}" if others else "nobody delegated anything"
    if not workers:
        names = scope.everywhere("agent").names
        return Mismatch(
            expected,
            f"no agent {by!r} was at work{scope.where}{near(by, names)}",
            nearest=nearest,
            advice=f"agents of this trace: {listed(dict.fromkeys(names))}",
            spans=scope.marks,
        )
    able = any(not DELEGATION_TOOLS.isdisjoint(agent.available_tools) for agent in workers)
    return Mismatch(
        expected,
        f"{by!r} delegated nothing",
        nearest=nearest,
        advice="It could have, and its model chose not to: see what it was told."
        if able
        else f"It had no tool for it: {by!r} needs allow_delegation=True and a coworker.",
        spans=numbers_of(workers),
    )


# -- texts that models saw --------------------------------------------------------------------------------------------


def text_of(message: dict[str, Any]) -> str:
    """The text of a message; of one in parts, all that are text."""
    content = message.get("content")
    if type(content) is str:
        return content
    if isinstance(content, list):
        parts = (part.get("text", part.get("content")) if isinstance(part, dict) else part for part in content)
        return "\n".join(part for part in parts if isinstance(part, str))
    return "" if content is None else str(content)


def prompts(calls: SpanList[LLMSpan]) -> list[Prompt]:
    """Every message that the calls carried, each once: the first of them that carried it, the message, its text."""
    return gathered(calls, "prompts", _prompts)


def _prompts(calls: SpanList[LLMSpan]) -> list[Prompt]:
    conversations = column(calls, "messages")
    new = [messages.tail for messages in conversations]
    if any(messages.base is not None for messages in conversations) or len(set(map(id, new))) < len(new):
        seen: dict[int, int] = {}  # of each part of a conversation, how many of its messages came already
        new = [_unseen(messages, seen) for messages in conversations]
    return [
        (call, message, content if type(content := message.get("content")) is str else text_of(message))
        for call, messages in zip(calls, new, strict=True)
        for message in messages
    ]


def _unseen(messages: Messages, seen: dict[int, int]) -> tuple[dict[str, Any], ...]:
    new: tuple[dict[str, Any], ...] = ()
    part: Messages | None = messages
    wanted = len(messages)
    while part is not None and (before := seen.get(id(part), 0)) < wanted:
        new += part.tail[max(0, before - part.shared) : max(0, wanted - part.shared)]
        seen[id(part)] = wanted
        wanted = min(wanted, part.shared)
        part = part.base
    return new


def _stands_in(text: str, inside: str) -> bool:
    """Whether a text stands in another, and not as a part of a word."""
    place = inside.find(text)
    while place >= 0:
        end = place + len(text)
        begins = not place or not _is_word(inside[place - 1] + text[0])
        if begins and (end == len(inside) or not _is_word(text[-1] + inside[end])):
            return True
        place = inside.find(text, place + 1)
    return False


def _is_word(letters: str) -> bool:
    return letters.isascii() and letters.isalnum()  # not every language has spaces between words


def check_use_output_of(scope: Scope, name: str) -> Mismatch | None:
    """Whether what an earlier task (or agent, method, crew) came to stands in a later prompt."""
    name = given.a_name("to_use_output_of", name)
    expected = f"the output of {name!r} in a prompt{scope.where}"
    sources = _sources(scope, name)
    if not sources and scope.span is not None and scope.span.name == name:
        return Mismatch(
            expected,
            f"{name_of(scope.span)} is where it is looked for: its own output comes after its prompts",
            advice="Name the earlier task whose output it should have.",
            spans=scope.marks,
        )
    if not sources:
        names = [span.name for kind in ("task", "agent", "method") for span in scope.everywhere(kind)]
        return Mismatch(
            expected,
            f"the trace has no task {name!r}{near(name, names)}",
            advice=f"tasks of this trace: {listed(scope.everywhere('task').names)}",
            spans=scope.marks,
        )
    outputs = [(span, text) for span in sources if (text := _output_text(span))]
    if not outputs:
        return Mismatch(
            expected,
            f"{name_of(sources[-1])} has no output",
            advice="See why it came to nothing; it is marked.",
            spans=(*numbers_of(sources), *scope.marks),
        )
    calls = scope.spans("llm")
    told = prompts(calls)
    ids = [call.id for call, _, _ in told]
    for source, text in reversed(outputs):  # the latest is the likeliest
        for call, _, prompt in islice(told, bisect_right(ids, source.id), None):
            if _stands_in(text, prompt) and _is_after(scope, call, source):
                return None
    source, text = outputs[-1]
    later = [call for call in calls if _is_after(scope, call, source)]
    if not later:
        return Mismatch(
            expected,
            f"no LLM call{scope.where} came after it",
            nearest=f"{name_of(source)} came to {short(text)}",
            advice="An output can only be used by what runs later: see the order in the tree.",
            spans=(*numbers_of([source]), *scope.marks),
        )
    return Mismatch(
        expected,
        f"it stands in none of the {len(later)} prompts that came after it"
        if len(later) > 1
        else "its prompt does not have it",
        nearest=f"{name_of(source)} came to {short(text)}\nthe prompt ends with {_end_of(later[0])}",
        advice=f"Hand it on: the later task needs context=[{name}], or to come after it in a sequential crew."
        if source.kind == "task" and later[0].task_name
        else "Hand it on: put it into the prompt.",
        spans=numbers_of([source, later[0]]),
    )


def _end_of(call: LLMSpan) -> str:
    """The last words of a prompt."""
    last = text_of(call.messages[-1]) if len(call.messages) else ""
    return short(clean(last)[-_END:])


def _sources(scope: Scope, name: str) -> list[AnySpan]:
    """What could be meant, but not what is being looked at."""
    for kind in _SOURCES:
        found = [span for span in scope.everywhere(kind) if span.name == name and span.id != scope.root]  # type: ignore[arg-type]
        if found:
            return found
    return []


def _output_text(span: Any) -> str:
    output = span.result if span.kind == "method" else span.output
    return "" if output is None else (output if isinstance(output, str) else str(output)).strip()


def _is_after(scope: Scope, call: LLMSpan, source: AnySpan) -> bool:
    """Whether a call began when the source was over."""
    return (
        call.id > source.id
        and not scope.tree.is_inside(call.id, source.id)
        and (source.end is not None and call.start >= source.end)
    )


def check_use_tool_result(scope: Scope, name: str) -> Mismatch | None:
    """Whether what a tool gave, each time it did, stands in the next LLM call of the same agent."""
    name = given.a_name("to_use_tool_result", name)
    expected = f"the result of {name} in the next LLM call{scope.where}"
    calls = scope.tools_named(name)
    if not calls:
        names = scope.tools_at_hand()
        return Mismatch(
            expected,
            f"{name} was never called{near(name, names)}",
            nearest=f"tools called{scope.where}: {listed(scope.spans('tool').names)}",
            advice=f"tools of this trace: {listed(names)}",
            spans=scope.marks,
        )
    useful = [call for call in calls if call.status == "ok" and _result_text(call)]
    if not useful:
        return Mismatch(
            expected,
            f"{name} was called {given.often(len(calls))} and gave nothing",
            nearest=spans_shown(calls),
            advice="See why the tool failed, or came to nothing.",
            spans=numbers_of(calls),
        )
    following = _Following(scope)
    for call in useful:
        after = following.next_to(call) or following.after(call)
        if after is None and following.is_answer(call):
            continue
        if after is None:
            return Mismatch(
                expected,
                f"no LLM call came after {call_shown(call)}",
                nearest=f"it gave {short(call.result)}",
                advice="Nobody read the result: the run ended, or went on without the agent that asked for it.",
                spans=(call.id,),
            )
        if not following.has(after, _result_text(call)):
            return Mismatch(
                expected,
                f"the LLM call after {call_shown(call)} does not have it",
                nearest=f"it gave {short(call.result)}\nthe prompt ends with {_end_of(after)}",
                advice="The result was dropped between the tool and the model: see the two spans that are marked.",
                spans=(call.id, after.id),
            )
    return None


def _result_text(call: ToolSpan) -> str:
    return "" if call.result is None else (call.result if isinstance(call.result, str) else str(call.result)).strip()


class _Following:
    """The LLM call that comes after a tool call: of the same agent, where one made it."""

    def __init__(self, scope: Scope) -> None:
        self.tree = scope.tree
        self.owners: dict[int, int | None] = {}
        self.llm_calls = scope.everywhere("llm")

    @cached_property
    def calls(self) -> dict[int | None, list[LLMSpan]]:
        """The calls of each agent; of ``None`` those that no agent made."""
        found: dict[int | None, list[LLMSpan]] = {}
        for call in self.llm_calls:
            found.setdefault(self._owner(call.id), []).append(call)
        return found

    @cached_property
    def ids(self) -> dict[int | None, list[int]]:
        return {owner: [call.id for call in calls] for owner, calls in self.calls.items()}

    def next_to(self, tool: ToolSpan) -> LLMSpan | None:
        """The call that comes next in the same agent, if only other tool calls stand between."""
        siblings = self.tree.children.get(-1 if tool.parent_id is None else tool.parent_id, [])
        start = bisect_left(siblings, tool.id) + 1
        for number in siblings[start : start + _NEAR]:
            span = self.tree.spans[number]
            if span.kind == "llm" and (tool.end is None or span.start >= tool.end):
                return span
            if span.kind != "tool":
                return None
        return None

    def _owner(self, number: int) -> int | None:
        """The innermost agent around a span. Parents come first, so each is looked up once."""
        spans, owners, way = self.tree.spans, self.owners, []
        above = spans[number].parent_id
        while above is not None and above not in owners:
            way.append(above)
            if spans[above].kind == "agent":
                break
            above = spans[above].parent_id
        found = None if above is None else above if spans[above].kind == "agent" else owners[above]
        owners.update(dict.fromkeys(way, found))
        return found

    def after(self, tool: ToolSpan) -> LLMSpan | None:
        owner = self._owner(tool.id)
        calls, ids = self.calls.get(owner, []), self.ids.get(owner, [])
        for place in range(bisect_left(ids, tool.id), len(calls)):
            if tool.end is None or calls[place].start >= tool.end:
                return calls[place]
        return None

    def is_answer(self, tool: ToolSpan) -> bool:
        """Whether the agent gave the result as its own answer, as a tool with ``result_as_answer`` has it."""
        owner = self._owner(tool.id)
        return owner is not None and _output_text(self.tree.spans[owner]) == _result_text(tool)

    @staticmethod
    def has(call: LLMSpan, text: str) -> bool:
        """Whether a prompt has a text; what is new in it is looked at first."""
        if any(_stands_in(text, text_of(message)) for message in reversed(call.messages.tail)):
            return True
        return any(_stands_in(text, text_of(message)) for message in call.messages.to_list())

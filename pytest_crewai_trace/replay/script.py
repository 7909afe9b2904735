"""The script of a test: what the models answer, by who asks."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.errors import ScriptError, did_you_mean, unknown_choice
from pytest_crewai_trace.replay.housekeeping import MEMORY, ready_made
from pytest_crewai_trace.replay.reply import (
    MOST_SHOWN,
    Reply,
    Request,
    checked_error,
    checked_name,
    checked_times,
    checked_usage,
    folded,
)
from pytest_crewai_trace.trace.render import one_line
from pytest_crewai_trace.trace.values import ToolCall

if TYPE_CHECKING:
    from typing_extensions import Self

    from pytest_crewai_trace.replay.reply import Condition, Content


_KINDS = ("reply", "stream", "call_tool", "call_tools", "fail", "default")


class Replies:
    """Replies in the order in which they are given. Each method adds one and returns the queue, to add more."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.left: deque[Reply] = deque()
        self.given = 0
        self._default: Reply | None = None

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(unknown_choice("kind of reply", name, _KINDS))

    def reply(
        self,
        content: Content,
        *,
        thinking: str | None = None,
        usage: Mapping[str, int] | None = None,
        finish_reason: str | None = None,
    ) -> Self:
        """Answer with a text, a pydantic model, a dict of a model's fields, or what a function makes of the request.

        ``usage`` in tokens: ``input_tokens``, ``output_tokens``, ``cached_tokens``, ``cache_write_tokens``,
        ``reasoning_tokens``; estimated when not given.

        Raises:
            TypeError: content that no model could answer.
        """
        return self._add(
            Reply(answerable(content), thinking=thinking, usage=checked_usage(usage), finish_reason=finish_reason)
        )

    def stream(
        self,
        chunks: Sequence[str],
        *,
        thinking: str | None = None,
        usage: Mapping[str, int] | None = None,
        finish_reason: str | None = None,
    ) -> Self:
        """Answer with a text in chunks, each of which is emitted as it comes.

        Raises:
            TypeError: not a sequence of texts.
        """
        if not isinstance(chunks, list | tuple) or not all(isinstance(chunk, str) for chunk in chunks):
            raise TypeError(f"stream() takes a list of texts, not {chunks!r}")
        return self._add(
            Reply(
                "".join(chunks),
                chunks=tuple(chunks),
                thinking=thinking,
                usage=checked_usage(usage),
                finish_reason=finish_reason,
            )
        )

    def call_tool(self, name: str, /, **arguments: Any) -> Self:
        """Ask for one tool call."""
        return self.call_tools(ToolCall(checked_name("call_tool", name), arguments))

    def call_tools(
        self,
        *calls: ToolCall,
        checked: bool = True,
        thinking: str | None = None,
        usage: Mapping[str, int] | None = None,
    ) -> Self:
        """Ask for several tool calls in one reply. ``checked=False``: even if no tool has that name or arguments.

        Raises:
            TypeError: something else than a ``ToolCall``.
        """
        for call in calls:
            if not isinstance(call, ToolCall):
                raise TypeError(f"call_tools() takes ToolCall(name, arguments), not {call!r}")
        if not calls:
            raise TypeError("call_tools() takes at least one ToolCall(name, arguments)")
        return self._add(Reply(tool_calls=calls, checked=checked, thinking=thinking, usage=checked_usage(usage)))

    def fail(self, error: BaseException | type[BaseException], *, times: int = 1) -> Self:
        """Raise an exception instead of an answer, ``times`` times.

        Raises:
            TypeError: not an exception. ValueError: a number of times below one.
        """
        for _ in range(checked_times(times, "a model fails at least once")):
            self._add(Reply(error=checked_error(error)))
        return self

    def default(self, content: Content) -> Self:
        """Answer with this, any number of times, when no reply is left."""
        self._default = Reply(answerable(content))
        return self

    def _add(self, reply: Reply) -> Self:
        for name in ("thinking", "finish_reason"):
            if not isinstance(value := getattr(reply, name), str | None):
                raise TypeError(f"{name}={value!r} is no text")
        self.left.append(reply)
        self.given += 1
        return self

    def take(self) -> Reply | None:
        """The next one, or the default, if there is either."""
        return self.left.popleft() if self.left else self._default

    def __repr__(self) -> str:
        return f"<replies for {self.title}: {len(self.left)} of {self.given} left>"


class Script(Replies):
    """What the models of a test answer: its own replies to whoever asks, in order, or by who asks.

    A request goes to the first ``when()`` that is true of it and has a reply left, else to the replies for its task,
    else to those for its agent; to the script's own only if there are none such. What crewAI asks for its memory and
    its knowledge goes to ``memory`` and ``knowledge``, and has an answer by default. A request without a reply, and a
    reply without a request, fail the test.

    It can be passed as ``llm=`` too: to crewAI it is a model (``isinstance``), named ``openai/gpt-4o-mini``.
    """

    __class__ = property(lambda self: type(self._llm))  # what isinstance() asks for

    def __init__(self) -> None:
        super().__init__("anyone")
        self.requests: list[Request] = []
        # Whether models call functions natively; if not, tool calls are ReAct text. None: as the real model would.
        self.function_calling: bool | None = None
        # What each reply costs that does not say it itself, in the fields of ``usage=``; None: an estimate.
        self.usage: Mapping[str, int] | None = None
        self.memory = Replies("memory")
        self.knowledge = Replies("knowledge")
        self.problems: list[str] = []
        self._agents: dict[str, Replies] = {}
        self._tasks: dict[str, Replies] = {}
        self._conditions: list[tuple[Condition, Replies]] = []
        self._lock = threading.Lock()

    @cached_property
    def _llm(self) -> Any:
        from pytest_crewai_trace.replay.llm import ScriptedLLM

        return ScriptedLLM("openai/gpt-4o-mini")

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._llm, name)
        except AttributeError:
            raise AttributeError(f"crewai_llm has no {name!r};{did_you_mean(name, _names())}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "usage":
            checked_usage(value)
        elif name == "function_calling" and not isinstance(value, bool | None):
            raise TypeError(f"function_calling={value!r}; valid: True, False, None")
        if name in _OWN or name.startswith("_"):
            object.__setattr__(self, name, value)
        elif hasattr(self._llm, name) or not (hint := did_you_mean(name, _names())):
            setattr(self._llm, name, value)  # as crewAI does with a model
        else:
            raise AttributeError(f"crewai_llm has no {name!r};{hint}")

    def __copy__(self) -> Any:
        return self._llm.model_copy()

    def __deepcopy__(self, memo: object) -> Any:
        return self._llm

    def agent(self, role: str) -> Replies:
        """The replies to one agent, by its role."""
        return self._agents.setdefault(folded(checked_name("agent", role)), Replies(f"agent {role!r}"))

    def task(self, name: str) -> Replies:
        """The replies to whoever works on one task, by its name, or its description where it has none."""
        return self._tasks.setdefault(folded(checked_name("task", name)), Replies(f"task {name!r}"))

    def when(self, condition: Condition) -> Replies:
        """The replies to requests of which ``condition(request)`` is true."""
        if not callable(condition):
            raise TypeError(f"when() takes a function of the request, not {condition!r}")
        name = getattr(condition, "__name__", repr(condition))
        replies = Replies(f"when({name})")
        self._conditions.append((condition, replies))
        return replies

    # -- for the seam ---------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Reply:
        """The reply to a request.

        Raises:
            ScriptError: there is none.
        """
        reply = self._choose(request)
        if self.usage is None or reply.usage is not None:
            return reply
        return replace(reply, usage=checked_usage(self.usage))

    def _choose(self, request: Request) -> Reply:
        with self._lock:
            if self.problems:  # crewAI tries again, or goes on with what is left
                raise ScriptError(self.problems[0])
            request.number = len(self.requests) + 1
            self.requests.append(request)
            candidates = self._candidates(request)
            for replies in candidates:
                if (reply := replies.take()) is not None:
                    return reply
            if request.purpose is not None:
                return Reply(ready_made(request.source, request.purpose))
            if self._default is not None:
                return self._default
            raise self.problem(self._nothing_left(request, candidates))

    def problem(self, message: str) -> ScriptError:
        """An error to raise, which fails the test even if somebody catches it."""
        self.problems.append(message)
        return ScriptError(message)

    def unused(self) -> str | None:
        """What to say of replies that nobody asked for, if there are any."""
        left = [replies for replies in self._all() if replies.left]
        if not left:
            return None
        lines = [
            f"{replies.title}: {len(replies.left)} of {replies.given}, next {replies.left[0]}" + self._not_seen(replies)
            for replies in left
        ]
        return "\n  ".join(["crewai_llm has replies that nobody asked for:", *lines, self._asked()])

    def _all(self) -> list[Replies]:
        return [
            self,
            *self._agents.values(),
            *self._tasks.values(),
            *(replies for _, replies in self._conditions),
            self.memory,
            self.knowledge,
        ]

    def _candidates(self, request: Request) -> list[Replies]:
        chosen = [replies for condition, replies in self._conditions if self._holds(condition, request)]
        if request.purpose is not None:
            return [*chosen, self.memory if request.purpose == MEMORY else self.knowledge]
        own = [
            replies[folded(name)]
            for replies, name in ((self._tasks, request.task), (self._agents, request.agent))
            if name is not None and folded(name) in replies
        ]
        return [*chosen, *(own or [self])]

    def _holds(self, condition: Condition, request: Request) -> bool:
        try:
            return bool(condition(request))
        except Exception as error:  # else crewAI takes it for an error of the model, and asks again
            name = getattr(condition, "__name__", repr(condition))
            raise self.problem(f"when({name}) raised {type(error).__name__}: {error} for {request!r}") from error

    def _nothing_left(self, request: Request, candidates: list[Replies]) -> str:
        had = ", ".join(f"{replies.title}: {replies.given}" for replies in candidates if replies.given)
        others = ", ".join(f"{replies.title}: {len(replies.left)}" for replies in self._all() if replies.left)
        hint = ""
        if request.agent is not None and folded(request.agent) not in self._agents:
            hint = did_you_mean(request.agent, [replies.title[7:-1] for replies in self._agents.values()])
        return (
            f"crewai_llm has no reply left for {request.who}, request {request.number}: "
            f"{one_line(request.text, MOST_SHOWN)!r}. "
            f"Given were {had or 'none'}{f'; left for others are {others}' if others else ''}.{hint} "
            "Add one with .reply(...), or one for all with .default(...)."
        )

    def _not_seen(self, replies: Replies) -> str:
        for kind, known, names in (
            ("agent", self._agents, [request.agent for request in self.requests]),
            ("task", self._tasks, [request.task for request in self.requests]),
        ):
            for name, own in known.items():
                if own is replies and name not in {folded(seen) for seen in names if seen is not None}:
                    seen = sorted({seen for seen in names if seen is not None})
                    hint = did_you_mean(name, seen)
                    return f" (no {kind} of that name asked;{hint} {kind}s that did: {', '.join(seen) or 'none'})"
        return ""

    def _asked(self) -> str:
        counts = Counter(request.who for request in self.requests)
        return "asked: " + (", ".join(f"{who} x{count}" for who, count in counts.items()) or "nobody")


_OWN = ("requests", "function_calling", "usage", "memory", "knowledge", "problems", "title", "left", "given")


def _names() -> list[str]:
    return [*_OWN, *(name for name in dir(Script) if not name.startswith("_"))]


def answerable(content: Content) -> Content:
    """What a test gives as an answer.

    Raises:
        TypeError: no model could answer it.
    """
    from pydantic import BaseModel

    if isinstance(content, str | BaseModel | Mapping) or (callable(content) and not isinstance(content, type)):
        return content
    if isinstance(content, ToolCall | BaseException):
        raise TypeError(f"reply() takes what the model says; for {content!r} there are call_tools() and fail()")
    if isinstance(content, type) and issubclass(content, BaseModel):
        fields = ", ".join(f"{name}=..." for name in content.model_fields)
        raise TypeError(f"reply() takes an answer, not its class: {content.__name__}({fields})")
    raise TypeError(f"reply() takes a text, a pydantic model, a dict or a function of the request, not {content!r}")

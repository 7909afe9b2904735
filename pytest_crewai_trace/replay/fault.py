"""Faults of a test: which tool, model or memory fails, how, and how often."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.errors import did_you_mean, unknown_choice
from pytest_crewai_trace.replay.reply import Reply, checked_error, checked_name, checked_times, folded

if TYPE_CHECKING:
    from typing_extensions import Self

    from pytest_crewai_trace.replay.reply import Request

_BROKEN_JSON = '{"broken": '


@dataclass(eq=False)
class Fault:
    """One fault: ``left`` times more, or always where that is None."""

    name: str
    target: str
    times: int | None
    made: dict[str, Any] = field(default_factory=dict)
    hits: int = 0

    @property
    def is_left(self) -> bool:
        return self.times is None or self.hits < self.times

    @property
    def is_unused(self) -> bool:
        return self.hits == 0 if self.times is None else self.hits < self.times

    @property
    def attributes(self) -> dict[str, Any]:
        """What the trace says of it."""
        return {"fault": self.name, "into": self.target}

    def __str__(self) -> str:
        return f"{self.target}: {self.name}, {self.hits} of {'any number' if self.times is None else self.times}"


class Target:
    """What faults are injected into. Each method adds one, after those that were added before."""

    _of = "this"
    _has: tuple[str, ...] = ("fail",)

    def __init__(self, title: str) -> None:
        self.title = title
        self.faults: list[Fault] = []

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(unknown_choice(f"fault of {self._of}", name, self._has))

    def fail(self, error: BaseException | type[BaseException], *, times: int | None = 1) -> Self:
        """Raise an exception, ``times`` times; with ``times=None`` always.

        Raises:
            TypeError: not an exception. ValueError: a number of times below one.
        """
        error = checked_error(error)
        return self._add(error.__name__ if isinstance(error, type) else repr(error), times, error=error)

    def _add(self, name: str, times: int | None, **made: Any) -> Self:
        if times is not None:
            checked_times(times, "a fault comes at least once; times=None is always")
        self.faults.append(Fault(name, self.title, times, made))
        return self

    def take(self) -> Fault | None:
        """The fault that is due."""
        fault = next((fault for fault in self.faults if fault.is_left), None)
        if fault is not None:
            fault.hits += 1
        return fault


class ToolFaults(Target):
    """Faults of one tool."""

    _of, _has = "a tool", ("fail", "returns", "delay")

    def returns(self, value: Any, *, times: int | None = 1) -> Self:
        """Return something else than the tool would; the tool does not run."""
        return self._add(f"returns {value!r}", times, value=value)

    def delay(self, seconds: float, *, times: int | None = 1) -> Self:
        """Run the tool after so many seconds of real time.

        Raises:
            ValueError: negative seconds, or no number.
        """
        _checked_seconds("delay", seconds)
        return self._add(f"delay of {seconds} s", times, delay=seconds)


class LLMFaults(Target):
    """Faults of the models that an agent, a task or everyone uses."""

    _of = "a model"
    _has = ("rate_limit", "timeout", "malformed_json", "empty", "context_too_long", "fail")

    def __init__(self, title: str, agent: str | None, task: str | None) -> None:
        super().__init__(title)
        self._agent, self._task = agent, task

    def rate_limit(self, *, times: int | None = 1, retry_after: float | None = None) -> Self:
        """Answer 429; ``retry_after`` in seconds is what the model asks to wait."""
        if retry_after is not None:
            _checked_seconds("retry_after", retry_after)
        return self._add("rate limit", times, make=lambda: _rate_limit_error(retry_after))

    def timeout(self, *, times: int | None = 1) -> Self:
        """Give no answer in time: the ``ConnectionError`` that crewAI makes of a timeout of OpenAI's SDK."""
        return self._add("timeout", times, make=_timeout_error)

    def context_too_long(self, *, times: int | None = 1) -> Self:
        """Refuse the conversation as too long for the model."""
        return self._add("context too long", times, make=_context_error)

    def malformed_json(self, *, times: int | None = 1) -> Self:
        """Answer JSON that is cut off: as the arguments of a tool call where there are tools, else as the text."""
        return self._add("malformed JSON", times, content=_BROKEN_JSON)

    def empty(self, *, times: int | None = 1) -> Self:
        """Answer nothing."""
        return self._add("empty answer", times, content="")

    def concerns(self, request: Request) -> bool:
        """Whether a request is one that these faults are for."""
        return all(
            wanted is None or (asked is not None and folded(wanted) == folded(asked))
            for wanted, asked in ((self._agent, request.agent), (self._task, request.task))
        )


class StoreFaults(Target):
    """Faults of where crewAI's memory, or its knowledge, stores and finds."""

    _of, _has = "a store", ("unavailable", "fail")

    def unavailable(self, *, times: int | None = None) -> Self:
        """Neither save nor find anything, as when the store is down; by default as long as the test runs."""
        return self._add("unavailable", times, error=ConnectionError(f"{self.title} is unavailable"))


class Faults:
    """What goes wrong in a test, by what it hits. A fault that never comes about fails the test."""

    def __init__(self) -> None:
        self.before_store: Callable[[StoreFaults], None] = lambda store: None
        self.waits: list[float] = []  # in seconds: how long crewAI would have waited before it tried again
        self._tools: dict[str, ToolFaults] = {}
        self._llms: list[LLMFaults] = []
        self._stores: list[StoreFaults] = []
        self._seen: dict[str, set[str]] = {"tool": set(), "agent": set(), "task": set()}
        self._lock = threading.Lock()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                unknown_choice("part of crewai_faults", name, ("tool", "llm", "memory", "knowledge", "waits"))
            )

    @cached_property
    def memory(self) -> StoreFaults:
        """Faults of where crewAI's memory is kept, whichever store that is."""
        return self._store("memory")

    @cached_property
    def knowledge(self) -> StoreFaults:
        """Faults of where crewAI's knowledge is kept, whichever store that is."""
        return self._store("knowledge")

    def _store(self, title: str) -> StoreFaults:
        store = StoreFaults(title)
        self._stores.append(store)
        self.before_store(store)  # only now, because it imports a database
        return store

    def tool(self, name: str) -> ToolFaults:
        """Faults of a tool, by the name that it has in the code or that models see."""
        return self._tools.setdefault(_as_tool(checked_name("tool", name)), ToolFaults(f"tool {name!r}"))

    def llm(self, *, agent: str | None = None, task: str | None = None) -> LLMFaults:
        """Faults of the model that an agent asks, by its role; of those that a task asks; without either of any."""
        named = [(kind, name) for kind, name in (("agent", agent), ("task", task)) if name is not None]
        who = ", ".join(f"{kind} {checked_name('llm', name)!r}" for kind, name in named)
        faults = LLMFaults(f"LLM of {who}" if who else "LLM", agent, task)
        self._llms.append(faults)
        return faults

    # -- for the seam ---------------------------------------------------------------------------------------------

    def of_tool(self, name: str) -> Fault | None:
        """The fault that a call of a tool runs into."""
        with self._lock:
            self._seen["tool"].add(name)
            target = self._tools.get(_as_tool(name))
            return None if target is None else target.take()

    def of_store(self, store: StoreFaults) -> Fault | None:
        """The fault that a use of a store runs into."""
        with self._lock:
            return store.take()

    def reply_to(self, request: Request) -> Reply | None:
        """The fault that a request to a model runs into, as the reply to it."""
        with self._lock:
            for kind, name in (("agent", request.agent), ("task", request.task)):
                if name is not None:
                    self._seen[kind].add(name)
            for target in self._llms:
                fault = target.take() if target.concerns(request) else None
                if fault is not None:
                    return _as_reply(fault, request)
        return None

    def unused(self) -> str | None:
        """What to say of faults that never came about, if there are any."""
        unused = [
            fault
            for target in (*self._tools.values(), *self._llms, *self._stores)
            for fault in target.faults
            if fault.is_unused
        ]
        if not unused:
            return None
        return "\n  ".join(
            ["crewai_faults has faults that never came about:", *map(str, unused), *self._hints(), self._what_ran()]
        )

    def _hints(self) -> list[str]:
        ran = self._seen["tool"]
        missing = self._tools.keys() - map(_as_tool, ran)
        hints = {name: did_you_mean(name, ran) for name in sorted(missing)}
        return [f"no tool {name!r} ran{hint and f';{hint}'}" for name, hint in hints.items()]

    def _what_ran(self) -> str:
        return "; ".join(
            f"{kind}s that ran: {', '.join(sorted(names)) or 'none'}" for kind, names in self._seen.items()
        )


def _checked_seconds(what: str, seconds: float) -> None:
    """Raise ``ValueError`` for what is no length of time."""
    if type(seconds) not in (int, float) or not seconds >= 0:
        raise ValueError(f"{what}({seconds!r}): seconds cannot be negative, or no number")


def _as_tool(name: str) -> str:
    from crewai.utilities.string_utils import sanitize_tool_name

    return str(sanitize_tool_name(name))


def _as_reply(fault: Fault, request: Request) -> Reply:
    make: Callable[[], BaseException] | None = fault.made.get("make")
    error = fault.made.get("error") if make is None else make()
    if error is not None:
        return Reply(error=error, fault=fault.attributes)
    content = fault.made["content"]
    calls: tuple[Any, ...] = ()
    if content == _BROKEN_JSON and request.tools:
        from pytest_crewai_trace.trace.values import ToolCall

        calls = (ToolCall(request.tools[0]),)
    return Reply(content, tool_calls=calls, fault=fault.attributes)


def _rate_limit_error(retry_after: float | None) -> BaseException:
    """As OpenAI's SDK raises it; ``headers`` on the error is where crewAI reads how long to wait."""
    import httpx
    import openai

    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    request = httpx.Request("POST", "https://model.invalid/v1/chat/completions")
    error = openai.RateLimitError(
        "Error code: 429 - rate limit reached",
        response=httpx.Response(429, headers=headers, request=request),
        body=None,
    )
    error.headers = headers  # type: ignore[attr-defined]
    return error


def _timeout_error() -> BaseException:
    import httpx
    import openai

    cause = openai.APITimeoutError(httpx.Request("POST", "https://model.invalid/v1/chat/completions"))
    error = ConnectionError(f"Failed to connect to OpenAI API: {cause}")
    error.__cause__ = cause
    return error


def _context_error() -> BaseException:
    from crewai.utilities.exceptions.context_window_exceeding_exception import LLMContextLengthExceededError

    return LLMContextLengthExceededError("maximum context length exceeded")

"""What a model is asked, and what it is told to answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.trace.render import one_line

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_crewai_trace.trace.values import ToolCall

MOST_SHOWN = 80  # characters of a request or a reply


@dataclass(eq=False)
class Request:
    """One question to a model, numbered from 1 in the order in which they came.

    ``tools`` are the names that the model may call; ``response_model`` is the class that its answer has to fit.
    """

    number: int
    model: str
    messages: Sequence[Mapping[str, Any]]
    agent: str | None = None
    task: str | None = None
    tools: tuple[str, ...] = ()
    response_model: type[BaseModel] | None = None
    purpose: str | None = None
    source: Any = None  # crewAI's own objects, for looking closer: agent, task, tools as they were passed

    @property
    def text(self) -> str:
        """The last message, which is the question."""
        return content_of(self.messages[-1]) if self.messages else ""

    @property
    def prompt(self) -> str:
        """All messages."""
        return "\n\n".join(map(content_of, self.messages))

    @property
    def who(self) -> str:
        """Who asked, in words."""
        if self.purpose is not None:
            return self.purpose
        task = "" if self.task is None else f"task {self.task!r}"
        if self.agent is None:
            return task or "a bare LLM call"
        return f"agent {self.agent!r}" + (task and f" ({task})")

    def __repr__(self) -> str:
        return f"<Request {self.number} by {self.who}: {one_line(self.text, MOST_SHOWN)!r}>"


def content_of(message: Mapping[str, Any]) -> str:
    """The text of a message; of one in parts, the text parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return "" if content is None else str(content)


def folded(name: str) -> str:
    """A name for comparing: without regard to case and spaces."""
    return " ".join(name.split()).casefold()


@dataclass(frozen=True, eq=False)
class Reply:
    """One answer: a text, a value, tool calls or an error.

    ``content`` may be a function of the request. ``usage`` has the fields of ``pytest_crewai_trace.Usage``; without it
    tokens are estimated. ``fault`` names what was injected; then nothing is checked.
    """

    content: Any = ""
    tool_calls: tuple[ToolCall, ...] = ()
    error: BaseException | type[BaseException] | None = None
    chunks: tuple[str, ...] = ()
    thinking: str | None = None
    usage: Mapping[str, int] | None = None
    finish_reason: str | None = None
    checked: bool = True
    fault: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return repr(self.error)
        if self.tool_calls:
            return ", ".join(
                f"{call.name}({', '.join(f'{name}={value!r}' for name, value in call.arguments.items())})"
                for call in self.tool_calls
            )
        return repr(one_line(self.content, MOST_SHOWN) if isinstance(self.content, str) else self.content)


def unraised(error: BaseException | type[BaseException]) -> BaseException:
    """An exception to raise, without what it may have been through when it was raised before."""
    if isinstance(error, type):
        return error()
    error.__context__ = None
    return error.with_traceback(None)


def checked_name(method: str, name: str) -> str:
    """The name of an agent, task or tool that a test gives to a method.

    Raises:
        TypeError: it is no text.
    """
    if not isinstance(name, str):
        raise TypeError(f"{method}() takes a name, not {name!r}")
    return name


def checked_times(times: int, least: str) -> int:
    """How often a test wants something; ``least`` says that it is at least once.

    Raises:
        ValueError: it is less, or no number.
    """
    if type(times) is not int or times < 1:
        raise ValueError(f"times={times!r}: {least}")
    return times


def checked_error(error: BaseException | type[BaseException]) -> BaseException | type[BaseException]:
    """The exception that a test gives to ``fail()``.

    Raises:
        TypeError: it is none.
    """
    if isinstance(error, BaseException) or (isinstance(error, type) and issubclass(error, BaseException)):
        return error
    raise TypeError(f"fail() takes an exception, not {error!r}")


USAGE_FIELDS = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")


def checked_usage(usage: Mapping[str, int] | None) -> Mapping[str, int] | None:
    """The usage that a test gives.

    Raises:
        ValueError: a name that is none of ours, or a number that is none of tokens.
    """
    from pytest_crewai_trace.errors import unknown_choice

    for name, value in (usage or {}).items():
        if name not in USAGE_FIELDS:
            raise ValueError(unknown_choice("usage field", name, USAGE_FIELDS))
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"usage {name}={value!r} is not a number of tokens")
    return usage


Content = Any  # str | BaseModel | Mapping[str, Any] | Callable[[Request], Any]
Condition = Callable[[Request], object]

"""Offline runs of crewAI, and their events to be emitted again."""

from __future__ import annotations

import contextlib
import contextvars
import io
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from crewai import Agent, Crew, Task
from crewai.events.event_bus import CrewAIEventsBus, crewai_event_bus
from crewai.flow.flow import Flow, listen, start
from crewai.tools import BaseTool

from tests.support.llm import ScriptedLLM, calls, final, react

Emitted = list[tuple[Any, Any]]
ToEmit = Iterable[tuple[Any, Any]]
T = TypeVar("T")

_WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"]
_IDS = ("event_id", "parent_event_id", "started_event_id", "triggered_by_event_id")


class Search(BaseTool):
    """A tool whose every result is a text of its own."""

    name: str = "search"
    description: str = "Searches one of the indices of the company for documents, and returns the best of them."
    characters: int = 500

    def _run(self, query: str, limit: int = 10, newest_first: bool = False) -> str:
        words = " ".join(f"{query} {word}" for word in _WORDS)
        return (words * (self.characters // len(words) + 1))[: self.characters]


def run_crew(
    *, agents: int = 2, tools: int = 10, tool_calls: int = 10, native: bool = True, characters: int = 500
) -> None:
    """A crew of ``agents``, each with ``tools`` and one task that takes ``tool_calls``, one after the other."""
    members, tasks = [], []
    for number in range(agents):
        names = [f"search_{place}" for place in range(tools)]
        asked = [(names[place % tools], f"topic {number} {place}") for place in range(tool_calls)]
        replies = [calls(name, query=query) if native else react(name, query=query) for name, query in asked]
        llm = ScriptedLLM(*replies, "The answer." if native else final("The answer."), native=native)
        agent = Agent(
            role=f"Researcher {number}",
            goal="Find out",
            backstory="A careful person.",
            tools=[Search(name=name, characters=characters) for name in names],
            llm=llm,
            max_iter=tool_calls + 5,
        )
        members.append(agent)
        tasks.append(Task(name=f"research {number}", description="Research {topic}", expected_output="x", agent=agent))
    Crew(agents=members, tasks=tasks).kickoff(inputs={"topic": "AI"})


def run_flow(methods: int = 30) -> None:
    """A flow whose methods follow one another, with a state that each of them changes."""

    def method(number: int) -> Any:
        def run(self: Any) -> str:
            self.state[f"key {number}"] = f"value {number}"
            return f"result {number}"

        run.__name__ = f"method_{number}"
        return run

    namespace: dict[str, Any] = {"method_0": start()(method(0))}
    for number in range(1, methods):
        namespace[f"method_{number}"] = listen(namespace[f"method_{number - 1}"])(method(number))
    type(Flow)("Chain", (Flow,), {**namespace, "__module__": __name__})().kickoff()


def silent() -> contextlib.AbstractContextManager[object]:
    """Without what crewAI prints."""
    return contextlib.redirect_stdout(io.StringIO())


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Without crewAI's own handlers and what it prints."""
    with crewai_event_bus.scoped_handlers(), silent():
        yield


class Recorded:
    """The events of one run, each as it was before the bus saw it."""

    def __init__(self, run: Callable[[], None]) -> None:
        self.events: Emitted = []
        original = CrewAIEventsBus.emit

        def emit(bus: CrewAIEventsBus, source: Any, event: Any) -> Any:
            self.events.append((source, event.model_copy()))
            return original(bus, source, event)

        CrewAIEventsBus.emit = emit  # type: ignore[method-assign]
        try:
            with undisturbed():
                in_a_context_of_its_own(run)
        finally:
            CrewAIEventsBus.emit = original  # type: ignore[method-assign]

    def __len__(self) -> int:
        return len(self.events)

    def again(self) -> Iterator[tuple[Any, Any]]:
        """The events once more, each made when it is asked for, as crewAI makes it just before it emits it.

        They have ids of their own, and messages in new lists of new dicts; all else that they hold stays what it was.
        """
        ids = {event.event_id: str(uuid.uuid4()) for _, event in self.events}
        for source, event in self.events:
            fields = event.__dict__
            changed = {name: ids.get(fields[name], fields[name]) for name in _IDS}
            if isinstance(fields.get("messages"), list):
                changed["messages"] = [dict(message) for message in fields["messages"]]
            yield source, event.model_copy(update=changed)


def in_a_context_of_its_own(function: Callable[[], T]) -> T:
    """Call with crewAI's scopes, last ids and runtime state as a new run finds them."""

    def call() -> T:
        enter = getattr(crewai_event_bus, "_enter_runtime_scope", None)  # what kickoff() does, since 1.15
        if enter is not None:
            enter()
        return function()

    return contextvars.copy_context().run(call)

"""What models were told and offered in one test, with what one call has in common with the last kept once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pytest_crewai_trace.capture.plain import plain
from pytest_crewai_trace.trace.messages import Messages


class Conversations:
    """The last conversation of each model and agent, and the tools that each model was offered."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str | None], tuple[list[Any], Messages]] = {}
        self._tools: dict[int, tuple[list[str] | None, tuple[Any, ...]]] = {}

    def clear(self) -> None:
        self._known.clear()
        self._tools.clear()

    def share(self, messages: Any, source: Any, agent_id: str | None) -> Messages:
        """The conversation, with what it has in common with the last one of the same model and agent kept once."""
        kind = type(messages)  # isinstance() would ask the object for its class
        if issubclass(kind, str):
            messages = [{"role": "user", "content": messages}]
        elif issubclass(kind, list):
            messages = messages if kind is list else list(list.__iter__(messages))
        else:
            return Messages()
        key = (id(source), agent_id)
        known, base = self._known.get(key, ([], Messages()))
        copies = hands_over_copies(type(source))  # type: ignore[arg-type]  # a class can be hashed
        # Copies are plain data: those can be asked whether they are equal.
        shared = len(known) if copies and messages[: len(known)] == known else _common(known, messages)
        if 0 < shared == len(messages) == len(known):
            return base
        tail = [m if isinstance(m, dict) else {"content": m} for m in map(plain, messages[shared:])]
        made = Messages(tail, base if shared else None, shared)
        self._known[key] = ([*known[:shared], *tail], made)
        return made

    def definitions(self, source: int, tools: Any) -> tuple[Any, ...]:
        """The tools offered to a model; the same ones, call after call, are kept once."""
        if tools is None or (type(tools) is list and not tools):
            return ()
        names = _names_of(tools)
        known = self._tools.get(source)
        if known is None or names is None or known[0] != names:
            frozen = plain(tools)
            known = self._tools[source] = (names, tuple(frozen) if isinstance(frozen, list) else (frozen,))
        return known[1]


@lru_cache(maxsize=256)
def hands_over_copies(source: type) -> bool:
    """Whether the events of a model own the messages, tools and responses that they carry.

    Those of crewAI's ``BaseLLM`` do, on every supported version (``to_serializable``); those of ``crewai.llm.LLM``
    share what is nested in them with the agent.
    """
    modules = {base.__module__ for base in source.__mro__}
    return "crewai.llms.base_llm" in modules and "crewai.llm" not in modules


def _names_of(tools: Any) -> list[str] | None:
    """What the tools offered to a model are called, where they have the usual form."""
    names = []
    for tool in tools if type(tools) is list else (None,):
        function = tool.get("function", tool) if type(tool) is dict else None
        name = function.get("name") if type(function) is dict else None
        if type(name) is not str:
            return None
        names.append(name)
    return names


def _common(known: list[dict[str, Any]], messages: list[Any]) -> int:
    """How many first messages are those that we know, without asking any object whether it is equal."""
    for place, (one, other) in enumerate(zip(known, messages, strict=False)):
        if type(other) is not dict or len(other) != len(one):
            return place
        for key, value in other.items():
            if type(key) is not str or key not in one:
                return place
            mine = one[key]
            if value is not mine and (value if type(value) is str else plain(value)) != mine:
                return place
    return min(len(known), len(messages))

"""Who is at work, where crewAI does not say it: read from the stack."""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_LIBRARIES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {os.path.dirname(os.path.dirname(__file__))}
)


_CARRIERS = ("concurrent.futures", "anyio.")


def is_library(filename: str) -> bool:
    """Whether code is Python's, an installed package's or ours."""
    return filename.startswith((*_LIBRARIES, "<"))


def reaches_somebody(detached: Callable[[], bool]) -> bool:
    """Whether an exception that is no ``Exception`` gets from here to whoever waits for the result.

    It ends a bare thread unseen, and crewAI would wait for ever for what the thread was to bring. ``detached`` says
    whether such a thread waits for this one.
    """
    if threading.current_thread() is threading.main_thread():
        return True
    return not detached() and any(frame.f_globals.get("__name__", "").startswith(_CARRIERS) for frame in _stack())


def is_crewais_own() -> bool:
    """Whether crewAI itself asks, or its telemetry in the background, rather than a tool or the user's code."""
    for frame in _stack():
        if frame.f_globals.get("__name__", "").startswith("crewai"):
            return True
        if not is_library(frame.f_code.co_filename):
            return False
    return True


def who_is_here() -> str:
    """Whose code is running: the tool or model and the agent of crewAI, and the nearest line that is no library's."""
    tool = agent = model = line = None
    for frame, holder, classes in _frames():
        if line is None and not is_library(frame.f_code.co_filename):
            line = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno} in {frame.f_code.co_name}()"
        if _is_tool(classes):
            tool = tool or f"tool {holder.name!r}"
        elif "BaseLLM" in classes:
            model = model or f"model {holder.model!r}"
        elif classes and agent is None and (found := _agent_of(holder)) is not None:
            agent = f"agent {found.role.strip()!r}"
    return ", ".join(part for part in (tool or model, agent, line) if part) or "code without a frame of its own"


def agent_at_work() -> Any:
    """The agent for which crewAI asks a model without saying so; None where a tool or the user's own code asks."""
    for _, holder, classes in _frames():
        if _is_tool(classes):
            return None
        if classes and "BaseLLM" not in classes and (found := _agent_of(holder)) is not None:
            return found
    return None


def _stack() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - inspect.currentframe() is the same, and may be None
    while frame is not None:
        yield frame
        frame = frame.f_back


def _frames() -> Iterator[tuple[FrameType, Any, frozenset[str]]]:
    """Each frame above, the object whose method it is, and the names of crewAI's classes that the object is of."""
    for frame in _stack():
        holder = frame.f_locals.get("self") if "self" in frame.f_code.co_varnames[:1] else None
        names = (cls.__name__ for cls in type(holder).__mro__ if cls.__module__.startswith("crewai."))
        yield frame, holder, frozenset(names)


def _is_tool(classes: frozenset[str]) -> bool:
    return not classes.isdisjoint({"BaseTool", "CrewStructuredTool"})


def _agent_of(holder: Any) -> Any:
    """An agent, or that of an executor, a task or a converter."""
    candidates = (holder, getattr(holder, "agent", None))
    return next((found for found in candidates if isinstance(getattr(found, "role", None), str)), None)

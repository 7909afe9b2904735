"""Where faults of tools and of memory come into a run, and where crewAI waits before it tries again."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.replay.injected import tell
from pytest_crewai_trace.replay.patches import subclasses
from pytest_crewai_trace.replay.reply import unraised

if TYPE_CHECKING:
    from pytest_crewai_trace.replay.fault import Fault, Faults
    from pytest_crewai_trace.replay.patches import Patches

# What runs by way of another method of it is hit once.
_inside: ContextVar[Any] = ContextVar("crewai_trace_inside", default=None)


def place_tool_faults(patches: Patches, faults: Faults) -> None:
    """Stand before every tool: crewAI calls ``run`` natively, ``invoke`` for ReAct text."""
    from crewai.tools.base_tool import BaseTool
    from crewai.tools.structured_tool import CrewStructuredTool

    def fault_of(tool: Any) -> Fault | None:
        return faults.of_tool(tool.name)

    for cls in (BaseTool, *subclasses(BaseTool), CrewStructuredTool):
        for name in ("run", "arun", "invoke", "ainvoke"):
            if inspect.isfunction(vars(cls).get(name)):
                patches.replace(cls, name, lambda original: _faulty(original, fault_of))


def place_memory_faults(patches: Patches, faults: Faults) -> None:
    """Stand before crewAI's stores of memories. A store of the user's own is not known here."""
    from crewai.memory.storage.backend import StorageBackend
    from crewai.memory.storage.lancedb_storage import LanceDBStorage

    for name, method in vars(LanceDBStorage).items():
        if inspect.isfunction(method) and not name.startswith("_") and hasattr(StorageBackend, name):
            patches.replace(LanceDBStorage, name, lambda original: _faulty(original, lambda store: faults.of_memory()))


def place_waits(patches: Patches, waits: list[float]) -> None:
    """Let newer crewAI count how long it waits for a model whose rate is limited, instead of waiting."""
    from crewai.llms import base_llm

    async def asleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    def with_sleep(sleep: Callable[[float], Any]) -> Callable[[Any], Any]:
        return lambda original: functools.partial(original, sleep=sleep)

    patches.replace(base_llm, "run_with_rate_limit_retry", with_sleep(waits.append), needed=False)
    patches.replace(base_llm, "arun_with_rate_limit_retry", with_sleep(asleep), needed=False)


def _faulty(original: Any, fault_of: Callable[[Any], Fault | None]) -> Any:
    @functools.wraps(original)
    def call(target: Any, *args: Any, **kwargs: Any) -> Any:
        with _once(target, fault_of) as fault:
            if fault is not None and "delay" in fault.made:
                time.sleep(fault.made["delay"])
            elif fault is not None:
                return _outcome(fault)
            return original(target, *args, **kwargs)

    @functools.wraps(original)
    async def acall(target: Any, *args: Any, **kwargs: Any) -> Any:
        with _once(target, fault_of) as fault:
            if fault is not None and "delay" in fault.made:
                await asyncio.sleep(fault.made["delay"])
            elif fault is not None:
                return _outcome(fault)
            return await original(target, *args, **kwargs)

    return acall if inspect.iscoroutinefunction(original) else call


def _outcome(fault: Fault) -> Any:
    if "error" in fault.made:
        raise unraised(fault.made["error"])
    return fault.made["value"]


@contextmanager
def _once(target: Any, fault_of: Callable[[Any], Fault | None]) -> Iterator[Fault | None]:
    if _inside.get() is target:
        yield None
        return
    fault = fault_of(target)
    if fault is not None:
        tell(target, fault.attributes)
    token = _inside.set(target)
    try:
        yield fault
    finally:
        _inside.reset(token)

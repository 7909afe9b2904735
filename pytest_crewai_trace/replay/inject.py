"""Where faults of tools, memory and knowledge come into a run, and where crewAI waits before it tries again."""

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
    from pytest_crewai_trace.replay.fault import Fault, Faults, StoreFaults
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


def place_store_faults(patches: Patches, faults: Faults, store: StoreFaults) -> None:
    """Stand before the stores of memory, or of knowledge: those of crewAI and those of the user's own."""

    def make_faulty(original: Any) -> Any:
        return _faulty(original, lambda target: faults.of_store(store))

    place = {"memory": _place_memory_faults, "knowledge": _place_knowledge_faults}[store.title]
    place(patches, make_faulty)


def _place_memory_faults(patches: Patches, make_faulty: Callable[[Any], Any]) -> None:
    """A store of memories may be of any class: what a memory has is known when the memory is used."""
    from crewai.memory.storage.backend import StorageBackend
    from crewai.memory.unified_memory import Memory

    known: set[type] = {StorageBackend}

    def make_watched(original: Any) -> Any:
        @functools.wraps(original)
        def use(memory: Any, *args: Any, **kwargs: Any) -> Any:
            for cls in type(getattr(memory, "_storage", None)).__mro__:
                if cls not in known:
                    known.add(cls)
                    _replace_methods(patches, cls, StorageBackend, make_faulty)
            return original(memory, *args, **kwargs)

        return use

    _replace_methods(patches, Memory, Memory, make_watched)


def _place_knowledge_faults(patches: Patches, make_faulty: Callable[[Any], Any]) -> None:
    """crewAI's store of knowledge asks a client of Chroma or Qdrant, and makes of its errors what it makes of them."""
    from crewai.knowledge.storage.base_knowledge_storage import BaseKnowledgeStorage
    from crewai.knowledge.storage.knowledge_storage import KnowledgeStorage
    from crewai.rag.chromadb.client import ChromaDBClient  # noqa: F401 - one of the subclasses
    from crewai.rag.core.base_client import BaseClient

    for base in (BaseClient, BaseKnowledgeStorage):
        for cls in subclasses(base) - {KnowledgeStorage}:
            _replace_methods(patches, cls, base, make_faulty)


def _replace_methods(patches: Patches, cls: type, protocol: type, make: Callable[[Any], Any]) -> None:
    """Replace the methods that a class itself has of what a protocol, or a base, says that there is."""
    for name, method in tuple(vars(cls).items()):
        if inspect.isfunction(method) and not name.startswith(("_", "model_")) and hasattr(protocol, name):
            patches.replace(cls, name, make)


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

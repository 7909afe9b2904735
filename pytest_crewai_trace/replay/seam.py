"""Where crewAI builds and calls its models: there a script, or a fault, answers in their place.

``LLM(...)`` is what crewAI makes of every model string, from wherever it comes; ``BaseLLM.call`` and ``acall`` are what
it calls of every model, whenever that was built.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.replay.patches import Patches, subclasses

if TYPE_CHECKING:
    from pytest_crewai_trace.replay.answer import Call
    from pytest_crewai_trace.replay.fault import Faults
    from pytest_crewai_trace.replay.script import Script

# A model that calls another, such as a subclass its parent, is asked once.
_inside: ContextVar[Any] = ContextVar("crewai_trace_inside_a_model", default=None)


class Seam:
    """The script and the faults of the running test."""

    def __init__(self) -> None:
        self.script: Script | None = None
        self.faults: Faults | None = None
        self.waits: list[float] = []
        self._patches = Patches()
        self._before: Seam | None = None

    def use_script(self, script: Script) -> None:
        """From now on models that are built are scripted; those that are called are anyway."""
        from pytest_crewai_trace.replay import offline

        self.script = script
        _replace_building(self._patches, rescue=False)
        offline.place(self._patches)

    def use_faults(self, faults: Faults) -> None:
        """From now on tools, models and memory fail as they are told to."""
        from pytest_crewai_trace.replay import inject

        self.faults = faults
        inject.place_tool_faults(self._patches, faults)
        faults.waits = self.waits
        faults.before_store = lambda store: inject.place_store_faults(self._patches, faults, store)

    def start(self) -> None:
        """Stand between crewAI and its models."""
        global _active  # the one pointer to the running test, or to one that a test runs
        from crewai.llms.base_llm import BaseLLM

        from pytest_crewai_trace.replay.inject import place_waits

        self._before, _active = _active, self
        place_waits(self._patches, self.waits)
        for cls in subclasses(BaseLLM):
            self._interpose(cls)
        self._patches.replace(BaseLLM, "__pydantic_init_subclass__", self._interpose_new)

    def stop(self) -> None:
        """Put everything back."""
        global _active  # noqa: PLW0603
        if _active is self:
            _active = self._before
        self._patches.undo()

    def _interpose_new(self, original: Any) -> Any:
        def __pydantic_init_subclass__(cls: type, /, **options: Any) -> None:  # noqa: N807
            original.__get__(None, cls)(**options)
            if _active is self:
                self._interpose(cls)

        return classmethod(__pydantic_init_subclass__)

    def _interpose(self, cls: type) -> None:
        from pytest_crewai_trace.replay.llm import ScriptedLLM

        if cls is ScriptedLLM:
            return
        for name, make in (("call", _call), ("acall", _acall), ("supports_function_calling", _supports)):
            if name in vars(cls):
                self._patches.replace(cls, name, make)


_active: Seam | None = None


def script() -> Script | None:
    """The script of the running test."""
    return None if _active is None else _active.script


def answer(llm: Any, call: Call, original: Callable[[], Any]) -> Any:
    """What a model answers: as a fault has it, or the script, or as it does by itself."""
    from pytest_crewai_trace.replay.answer import perform, request_of

    active = _active
    if active is None:
        return original()
    scripted, faults = active.script, active.faults
    fault = None if faults is None else faults.reply_to(request_of(llm, call))
    if fault is not None:
        return perform(llm, call, lambda request: fault, AssertionError)
    if scripted is None:
        return original()
    return perform(llm, call, scripted.answer, scripted.problem)


def _call(original: Any) -> Any:
    @functools.wraps(original)
    def call(llm: Any, *args: Any, **kwargs: Any) -> Any:
        def itself() -> Any:
            token = _inside.set(llm)
            try:
                return original(llm, *args, **kwargs)
            finally:
                _inside.reset(token)

        if _inside.get() is llm:
            return original(llm, *args, **kwargs)
        asked = _asked(args, kwargs)
        return _retrying("run_with_rate_limit_retry", lambda: answer(llm, asked, itself))

    return call


def _acall(original: Any) -> Any:
    @functools.wraps(original)
    async def acall(llm: Any, *args: Any, **kwargs: Any) -> Any:
        async def itself() -> Any:
            token = _inside.set(llm)
            try:
                return await original(llm, *args, **kwargs)
            finally:
                _inside.reset(token)

        async def attempt() -> Any:
            answered = answer(llm, asked, itself)
            return await answered if inspect.isawaitable(answered) else answered

        if _inside.get() is llm:
            return await original(llm, *args, **kwargs)
        asked = _asked(args, kwargs)
        retried: Awaitable[Any] = _retrying("arun_with_rate_limit_retry", attempt)
        return await retried

    return acall


def _supports(original: Any) -> Any:
    @functools.wraps(original)
    def supports_function_calling(llm: Any, *args: Any, **kwargs: Any) -> Any:
        scripted = script()
        wanted = None if scripted is None else scripted.function_calling
        return original(llm, *args, **kwargs) if wanted is None else wanted

    return supports_function_calling


def _asked(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    from pytest_crewai_trace.replay.answer import Call

    return Call(*args, **kwargs)  # as crewAI's providers do, it raises TypeError for what it does not know


def _retrying(name: str, attempt: Callable[[], Any]) -> Any:
    """As newer crewAI wraps the calls of every model: it waits and repeats when the rate is limited."""
    retry = getattr(sys.modules["crewai.llms.base_llm"], name, None)
    return attempt() if retry is None else retry(attempt)


# -- building -----------------------------------------------------------------------------------------------------


def _replace_building(patches: Patches, *, rescue: bool) -> None:
    from crewai.llm import LLM

    def make(original: Any) -> Any:
        build = original.__func__ if isinstance(original, staticmethod) else original

        def __new__(cls: type, model: Any = None, *args: Any, **options: Any) -> Any:  # noqa: N807
            from pytest_crewai_trace.replay.llm import ScriptedLLM

            if cls is not LLM or not isinstance(model, str) or not model:
                return build(cls, model, *args, **options)
            if not rescue:
                return ScriptedLLM(model, **options)
            try:
                return build(cls, model, *args, **options)
            except Exception as error:  # noqa: BLE001 - raised when it is used without a script
                return ScriptedLLM(model, **options).failing(error)

        return staticmethod(__new__)

    patches.replace(LLM, "__new__", make)


@contextmanager
def building_without_keys() -> Iterator[None]:
    """For the import of a test module that uses a script: what cannot be built without a key fails when it is used.

    Older crewAI wants the key of a model when an agent is made, which may be before any fixture.
    """
    from pytest_crewai_trace.imports import when_imported

    patches, open_ = Patches(), True

    def place(module: Any) -> None:
        if open_:
            _replace_building(patches, rescue=True)

    when_imported("crewai.llm", place)
    try:
        yield
    finally:
        open_ = False
        patches.undo()

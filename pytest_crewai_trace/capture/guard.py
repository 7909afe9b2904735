"""Keeps crewAI's own uploads, telemetry, version look-ups, prompts and files out of the tests.

crewAI is never imported from here: each row of ``BLOCKS`` waits for the module that it names. What crewAI sends is
stopped where it decides to send; the HTTP layer is the last line, for a crewAI in which one of those names is gone.
"""

from __future__ import annotations

import functools
import inspect
import io
import os
import signal
import sys
import threading
from collections import Counter
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.machinery import PathFinder
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_crewai_trace.capture.storage import Storage, restore_variable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ENVIRONMENT = {"CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_DISABLE_VERSION_CHECK": "true"}
# Unless the user says otherwise. LiteLLM, which crewAI imports where it is installed, asks GitHub for its prices.
DEFAULTS = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
TRACING_PATH = "/crewai_plus/api/v1/tracing"
TELEMETRY_HOST = "telemetry.crewai.com"
OURS = "crewai_trace_publish"  # the httpx extension of requests that publish what somebody asked us to
_ABSENT = object()


@dataclass(frozen=True)
class Block:
    """One thing of crewAI that is replaced, at each of ``targets`` ("module:attribute") that exists.

    That none of them exists is worth a warning, except in a crewAI without the module ``when`` or with ``unless``.
    """

    what: str
    targets: tuple[str, ...]
    replacement: Callable[[Guard, str, Any], Any]
    when: str | None = None
    unless: str | None = None


def _nothing(guard: Guard, what: str, original: Any) -> Any:
    @functools.wraps(original)
    def nothing(*args: Any, **kwargs: Any) -> None:
        guard.count(what)

    return nothing


def _nothing_at_start(guard: Guard, what: str, original: Any) -> Any:
    """crewAI calls these for every run, also when nobody asked it to trace: then nothing was blocked."""

    @functools.wraps(original)
    def nothing(*args: Any, **kwargs: Any) -> None:
        tracing = kwargs.get("tracing", args[-1] if args else None)
        in_context = getattr(sys.modules.get(f"{_TRACING}.utils"), "is_tracing_enabled_in_context", bool)()
        in_environment = os.environ.get("CREWAI_TRACING_ENABLED", "").lower() in ("true", "1")
        if tracing is True or (tracing is not False and (in_environment or in_context)):
            guard.count(what)

    return nothing


def _no_listeners(guard: Guard, what: str, original: Any) -> Any:
    """Without its listeners crewAI collects nothing. Where there are grants, those are what is counted."""
    return (lambda *args, **kwargs: None) if _exists(_GRANTS) else _nothing_at_start(guard, what, original)


def _discard_batch(guard: Guard, what: str, original: Any) -> Any:
    @functools.wraps(original)
    def finalize_batch(manager: Any, *args: Any, **kwargs: Any) -> None:
        manager.event_buffer.clear()
        manager.current_batch = None

    return finalize_batch


def _always(value: Any) -> Callable[[Guard, str, Any], Any]:
    """A context variable that has this value in every thread and task that does not set it."""
    return lambda guard, what, original: ContextVar(f"crewai_trace_guard_{what}", default=value)


def _disabled(guard: Guard, what: str, original: Any) -> Any:
    def disabled(cls: type) -> bool:
        guard.count(what)
        return True

    return classmethod(disabled)


def _verdict(url: str) -> tuple[str, int] | None:
    """What a request would be, and the answer it gets instead; None when it is the user's own.

    404 is the one refusal that crewAI neither repeats nor follows with an anonymous upload.
    """
    parts = urlsplit(url)
    if parts.hostname == TELEMETRY_HOST:
        return "telemetry", 200
    return ("upload", 404) if TRACING_PATH in parts.path else None


def _api_request(guard: Guard, what: str, original: Any) -> Any:
    @functools.wraps(original)
    def _make_request(*args: Any, **kwargs: Any) -> Any:
        if not any(isinstance(value, str) and _verdict(value) for value in (*args, *kwargs.values())):
            return original(*args, **kwargs)
        guard.count(what)
        httpx = sys.modules["httpx"]
        return httpx.Response(404, request=httpx.Request("POST", "http://blocked.invalid"), json={"error": "blocked"})

    return _make_request


def _httpx_request(guard: Guard, what: str, original: Any) -> Any:
    def answer(request: Any) -> Any:
        if OURS in request.extensions or (verdict := _verdict(str(request.url))) is None:
            return None
        guard.count(verdict[0])
        return sys.modules["httpx"].Response(verdict[1], request=request, json={"error": "blocked"})

    @functools.wraps(original)
    def handle_request(transport: Any, request: Any) -> Any:
        blocked = answer(request)
        return original(transport, request) if blocked is None else blocked

    @functools.wraps(original)
    async def handle_async_request(transport: Any, request: Any) -> Any:
        blocked = answer(request)
        return await original(transport, request) if blocked is None else blocked

    return handle_async_request if inspect.iscoroutinefunction(original) else handle_request


def _requests_send(guard: Guard, what: str, original: Any) -> Any:
    @functools.wraps(original)
    def send(adapter: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        if (verdict := _verdict(request.url)) is None:
            return original(adapter, request, *args, **kwargs)
        guard.count(verdict[0])
        response = sys.modules["requests"].Response()
        response.status_code, response.url, response.request = verdict[1], request.url, request
        response.raw = io.BytesIO()
        return response

    return send


def _directory_name(guard: Guard, what: str, original: Any) -> Any:
    return guard.files.directory_name(original)


def _flow_database(guard: Guard, what: str, original: Any) -> Any:
    return guard.files.flow_database()


def _guard_children(guard: Guard, what: str, original: Any) -> Any:
    @functools.wraps(original)
    def __init__(process: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(process, *args, **kwargs)
        process._crewai_trace_guard = _StartInChild()

    return __init__


class _StartInChild:
    """A process that is spawned, not forked, gets its ``Process`` by pickle: with this in it, it starts a guard too."""

    def __reduce__(self) -> Any:
        return _start_in_child, ()


def _start_in_child() -> Guard:
    guard = Guard(lambda message: None)  # the parent has said it
    guard.start()
    return guard


_TRACING = "crewai.events.listeners.tracing"
_GRANTS = "crewai.telemetry.tracing.grants"  # only in a crewAI that no longer needs batches
_GRANT_CREDENTIAL = (f"{_GRANTS}:resolve_tracing_credential", f"{_GRANTS}:tracing_credential")
_FLOW_DATABASE = "crewai.flow.persistence.sqlite:SQLiteFlowPersistence.db_path"
_LISTENERS = f"{_TRACING}.trace_listener:TraceCollectionListener.setup_listeners"
_FIRST_TIME = f"{_TRACING}.first_time_trace_handler:FirstTimeTraceHandler.handle_execution_completion"
_BATCH = f"{_TRACING}.trace_batch_manager:TraceBatchManager"
_PROJECT_NAME = ("crewai_core.paths:get_project_directory_name", "crewai.utilities.paths:get_project_directory_name")
_PLUS_API = ("crewai_core.plus_api:PlusAPI._make_request", "crewai.cli.plus_api:PlusAPI._make_request")
_LATEST = ("crewai_core.version:get_latest_version_from_pypi", "crewai.cli.version:get_latest_version_from_pypi")
_TELEMETRY_OFF = "telemetry:Telemetry._is_telemetry_disabled"

BLOCKS = (
    # Uploads, first line: crewAI does not begin. Without a credential a grant is not asked for and spans are dropped.
    Block("upload", ("crewai.execution:_start_tracing",), _nothing_at_start, when=_GRANTS),
    Block("upload", _GRANT_CREDENTIAL, _nothing, when=_GRANTS),
    Block("upload", (_LISTENERS,), _no_listeners, unless=_GRANTS),
    Block("upload", (f"{_BATCH}._initialize_backend_batch",), _nothing, unless=_GRANTS),
    Block("upload", (f"{_BATCH}.finalize_batch",), _discard_batch, unless=_GRANTS),
    # Uploads, last line: the transport. PlusAPI first, because it is above what a test may have mocked.
    Block("upload", _PLUS_API, _api_request),
    Block("upload", ("httpx:HTTPTransport.handle_request",), _httpx_request),
    Block("upload", ("httpx:AsyncHTTPTransport.handle_async_request",), _httpx_request),
    Block("upload", ("requests.adapters:HTTPAdapter.send",), _requests_send),
    # The offer to first-time users, the panels about tracing, and the consent that they write.
    Block("prompt", (f"{_TRACING}.utils:_first_time_trace_hook",), _always(lambda: False)),
    Block("prompt", (f"{_TRACING}.utils:_suppress_tracing_messages",), _always(True)),
    Block("prompt", (_FIRST_TIME,), _nothing, unless=_GRANTS),
    Block("telemetry", (f"crewai.telemetry.{_TELEMETRY_OFF}",), _disabled),
    Block("telemetry", (f"crewai_core.{_TELEMETRY_OFF}",), _disabled, when="crewai_core"),
    Block("version look-up", _LATEST, _nothing),
    Block("storage", _PROJECT_NAME, _directory_name),
    Block("storage", (_FLOW_DATABASE,), _flow_database),
    Block("upload", ("multiprocessing.process:BaseProcess.__init__",), _guard_children),
)


def _exists(module: str) -> bool:
    """Whether a module can be imported, without importing it or its packages."""
    path: Any = None
    for name in accumulate(module.split("."), "{}.{}".format):
        if name in sys.modules:
            path = getattr(sys.modules[name], "__path__", None)
        elif (spec := PathFinder.find_spec(name, path)) is not None:
            path = spec.submodule_search_locations
        else:
            return False
        if path is None and name != module:
            return False
    return True


class Guard:
    """Blocks what ``BLOCKS`` lists from ``start()`` to ``stop()``; ``warn`` is called once for each name that is gone.

    ``blocked`` counts how often crewAI set out to do each of them, which can be more than once a run.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.blocked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._warn = warn
        self._active = False
        self._complete = False  # crewAI has been imported to its end: what is absent now is gone
        self._done: set[Block] = set()  # replaced, or reported as gone
        self._undo: list[Callable[[], object]] = []
        self.files = Storage()

    def count(self, what: str) -> None:
        with self._lock:
            self.blocked[what] += 1

    def start(self) -> None:
        from pytest_crewai_trace.imports import when_imported

        self._active = True
        unset = {name: value for name, value in DEFAULTS.items() if name not in os.environ}
        for name, value in {**ENVIRONMENT, **unset}.items():
            self._undo.append(functools.partial(restore_variable, name, os.environ.get(name), value))
            os.environ[name] = value
        for block in BLOCKS:
            for target in block.targets:
                hook = functools.partial(self._place, block, target)
                when_imported(target.partition(":")[0], hook)
        for module in dict.fromkeys(target.partition(":")[0] for block in BLOCKS for target in block.targets):
            when_imported(module, self._report_gone)
        when_imported("crewai.telemetry.telemetry", self._release_signals)
        when_imported("crewai", self._report_gone)

    def stop(self) -> None:
        """Put everything back, the last replaced first; what somebody else has replaced meanwhile stays theirs."""
        self._active = False
        while self._undo:
            self._undo.pop()()

    def _place(self, block: Block, target: str, module: ModuleType) -> None:
        if not self._active:
            return
        owner: Any = module
        *path, name = target.partition(":")[2].split(".")
        with suppress(AttributeError):
            for part in path:
                owner = getattr(owner, part)
            is_field = name in getattr(owner, "__pydantic_fields__", ())
            original = inspect.getattr_static(owner, name, _ABSENT) if is_field else inspect.getattr_static(owner, name)
            replacement = block.replacement(self, block.what, original)
            before = vars(owner).get(name, _ABSENT)
            setattr(owner, name, replacement)
            self._undo.append(functools.partial(_restore_attribute, owner, name, before, replacement))
            self._done.add(block)

    def _report_gone(self, module: ModuleType) -> None:
        """Warn of each block that has no target left, once crewAI is imported; a module to come may still bring one."""
        self._complete = self._complete or module.__name__ == "crewai"
        if not (self._active and self._complete):
            return
        for block in BLOCKS:
            modules = {target.partition(":")[0] for target in block.targets}
            exist = [name for name in modules if _exists(name)]
            pending = any(name not in sys.modules for name in exist)
            needless = (block.when and not _exists(block.when)) or (
                block.unless and not exist and _exists(block.unless)
            )
            if block not in self._done and not pending and not needless:
                self._done.add(block)
                names = " or ".join(target.replace(":", ".") for target in block.targets)
                self._warn(
                    f"this crewAI has no {names}, which pytest-crewai-trace replaces to keep crewAI's own "
                    f"{block.what} out of tests; requests to AMP and to telemetry stay blocked at the HTTP layer"
                )

    def _release_signals(self, module: ModuleType) -> None:
        """crewAI imported before us has installed signal handlers that end a test run late or not at all."""
        telemetry = getattr(getattr(module, "Telemetry", None), "_instance", None)
        if not self._active:
            return
        for number, original in getattr(telemetry, "_original_handlers", {}).items():
            current = signal.getsignal(number)
            if getattr(current, "__module__", None) == module.__name__:
                with suppress(ValueError, TypeError):  # not in the main thread; a handler that Python did not install
                    signal.signal(number, original)
                    self._undo.append(functools.partial(_restore_signal, number, original, current))


def _restore_attribute(owner: Any, name: str, before: Any, ours: Any) -> None:
    if vars(owner).get(name) is ours:
        if before is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def _restore_signal(number: int, ours: Any, before: Any) -> None:
    with suppress(ValueError, TypeError):
        if signal.getsignal(number) == ours:
            signal.signal(number, before)

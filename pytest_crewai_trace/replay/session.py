"""When a script, faults and the network block of a test begin, end, and are asked whether all went as prepared."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from importlib.util import find_spec
from types import TracebackType
from typing import Any, cast

import pytest

from pytest_crewai_trace import session as tracing
from pytest_crewai_trace.errors import NetworkBlockedError, ReplayError
from pytest_crewai_trace.marks import FAULTS, SCRIPT, network_allowed
from pytest_crewai_trace.replay.callers import is_library
from pytest_crewai_trace.replay.fault import Faults
from pytest_crewai_trace.replay.network import NetworkBlock
from pytest_crewai_trace.replay.script import Script
from pytest_crewai_trace.replay.seam import Seam
from pytest_crewai_trace.settings import SETTINGS

_NAME = "crewai_trace_replay"
_INSTEAD = (
    'Give the tool a stand-in, or let it through with @pytest.mark.crewai_network(allow=["host"]), or all of it with '
    "crewai_network(block=False) or ini crewai_block_network = false."
)
# Where crewAI's own traffic goes, which the guard keeps out of tests, unless it is switched off.
_CREWAIS_OWN = ("telemetry.crewai.com", "app.crewai.com", "pypi.org")


class Prepared:
    """What one attempt at a test has prepared."""

    def __init__(self, item: pytest.Item) -> None:
        self.item = item
        self.seam = Seam()
        self.block: NetworkBlock | None = None
        self._environment = pytest.MonkeyPatch()
        self.is_checked = False
        self.is_over = False

    def script(self) -> Script:
        if self.seam.script is None:
            self.seam.use_script(Script())
            without_price_list(self._environment)
            self.block = block_of(self.item, "this test has a script and no network")
            if self.block is not None:
                self.block.start()
        return cast("Script", self.seam.script)

    def faults(self) -> Faults:
        if self.seam.faults is None:
            self.seam.use_faults(Faults())
        return cast("Faults", self.seam.faults)

    def broken(self) -> str | None:
        """What the run asked for in vain, of which all else may follow."""
        script = self.seam.script
        found = [None if self.block is None else self.block.told(), *([] if script is None else script.problems)]
        return "\n".join(text for text in found if text is not None) or None

    def unused(self) -> str | None:
        """What was prepared in vain."""
        found = [part.unused() for part in (self.seam.script, self.seam.faults) if part is not None]
        return "\n".join(text for text in found if text is not None) or None

    def check(self) -> None:
        """Fail the test, once, for what somebody may have caught or nobody noticed."""
        if not self.is_checked:
            self.is_checked = True
            if told := self.broken() or self.unused():
                pytest.fail(told, pytrace=False)

    def instead_of(self, error: BaseException) -> BaseException | None:
        """What the run asked for in vain, if it did, rather than what crewAI made of it."""
        broken = self.broken()
        ours = first_of(error, (ReplayError, NetworkBlockedError))
        if broken is None or (ours is None and not isinstance(error, Exception)):
            return None
        self.is_checked = True
        if ours is None:
            ours = (ReplayError if self.block is None or not self.block.attempts else NetworkBlockedError)(broken)
            ours.__cause__ = error
        # The way through crewAI explains nothing; the test's line and the user's own code do.
        return ours.with_traceback(without_libraries(error.__traceback__) or error.__traceback__)

    def end(self) -> None:
        if not self.is_over:
            self.is_over = True
            if self.block is not None:
                self.block.stop()
            self.seam.stop()
            self._environment.undo()


PREPARED: pytest.StashKey[Prepared] = pytest.StashKey()


def start(config: pytest.Config) -> ReplaySession:
    """Be ready for tests that ask; at most once in a session. Tracing comes along: it guards, and shows what failed."""
    session = cast("ReplaySession | None", config.pluginmanager.get_plugin(_NAME))
    if session is None:
        tracing.start(config)
        session = ReplaySession()
        config.pluginmanager.register(session, _NAME)
    return session


def prepared(request: pytest.FixtureRequest) -> Prepared:
    """What is prepared for the test that asks."""
    tracing.require_crewai(request)
    found = request.node.stash.get(PREPARED, None)
    if found is None or found.is_over:  # asked for by getfixturevalue(), which collection cannot see
        found = start(request.config).begin(request.node)
        request.addfinalizer(found.check)
    return cast("Prepared", found)


def block_of(item: pytest.Item, because: str, besides: Iterable[str] = ()) -> NetworkBlock | None:
    """What keeps a test off the network, but for the hosts that are let through; None where all may be reached."""
    settings = item.config.stash[SETTINGS]
    allowed = network_allowed(item, settings)
    if allowed is None:
        return None
    recording = tracing.start(item.config).recording
    let, own = ((), _CREWAIS_OWN) if settings.guard else (_CREWAIS_OWN, ())
    return NetworkBlock(
        because,
        _INSTEAD,
        (*allowed, *besides, *let),
        own,
        lambda: recording.current is None or recording.in_asynchronous_task(),
    )


def without_price_list(patch: pytest.MonkeyPatch) -> None:
    """LiteLLM asks GitHub for its prices when it is imported, in whichever test of a run that is, and does without."""
    if "LITELLM_LOCAL_MODEL_COST_MAP" not in os.environ:
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")


def first_of(error: BaseException | None, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    """The first error of some kinds among an error and what it came of."""
    return next((link for link in _chain(error) if isinstance(link, kinds)), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it came of, and what it is a group of."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        error = todo.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            yield error
            todo += [*getattr(error, "exceptions", ()), error.__cause__ or error.__context__]


def without_libraries(trace: TracebackType | None) -> TracebackType | None:
    """The frames of a traceback that are neither of an installed package nor of Python."""
    kept: TracebackType | None = None
    for step in reversed(list(_steps(trace))):
        if not is_library(step.tb_frame.f_code.co_filename):
            kept = TracebackType(kept, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return kept


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


class ReplaySession:
    """The plugin object; registered when the first test asks."""

    def begin(self, item: pytest.Item) -> Prepared:
        self.end(item)
        prepared = item.stash[PREPARED] = Prepared(item)
        prepared.seam.start()
        return prepared

    def end(self, item: pytest.Item) -> None:
        prepared = item.stash.get(PREPARED, None)
        if prepared is not None:
            prepared.end()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            self.end(item)
            if PREPARED in item.stash:
                del item.stash[PREPARED]

    # Before the test's fixtures, which may build its crew.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        names = frozenset(getattr(item, "fixturenames", ()))
        if not names.isdisjoint({SCRIPT, FAULTS}) and find_spec("crewai") is not None:
            prepared = self.begin(item)
            if SCRIPT in names:
                prepared.script()
            if FAULTS in names:
                prepared.faults()
        return (yield)

    # Outermost, so that what the test started in the background has come to its end.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            outcome = yield
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as error:
            prepared = item.stash.get(PREPARED, None)
            told = None if prepared is None else prepared.instead_of(error)
            if told is None:
                raise
            raise told from told.__cause__
        prepared = item.stash.get(PREPARED, None)
        if prepared is not None:
            prepared.check()
        return outcome

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            self.end(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        prepared = item.stash.get(PREPARED, None)
        if prepared is not None and report.failed and call.when == "call" and not prepared.is_checked:
            prepared.is_checked = True  # the test has failed; what was not as prepared is told beside it
            if told := prepared.broken() or prepared.unused():
                report.sections.append(("crewai replay", told))
        return report

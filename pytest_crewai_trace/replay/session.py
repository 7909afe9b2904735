"""When a script, faults and the network block of a test begin, end, and are asked whether all went as prepared."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from importlib.util import find_spec
from types import TracebackType
from typing import Any, cast

import pytest

from pytest_crewai_trace.errors import ReplayError
from pytest_crewai_trace.replay.callers import is_library
from pytest_crewai_trace.replay.fault import Faults
from pytest_crewai_trace.replay.network import NetworkBlock
from pytest_crewai_trace.replay.script import Script
from pytest_crewai_trace.replay.seam import Seam
from pytest_crewai_trace.settings import FAULTS, SCRIPT, SETTINGS, network_allowed

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
        self.is_checked = False
        self.is_over = False

    def script(self) -> Script:
        if self.seam.script is None:
            self.seam.use_script(Script())
            settings = self.item.config.stash[SETTINGS]
            allowed = network_allowed(self.item, settings)
            if allowed is not None:
                allowed += () if settings.guard else _CREWAIS_OWN
                self.block = NetworkBlock("this test has a script and no network", _INSTEAD, allowed)
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

    def instead_of(self, error: Exception) -> ReplayError | None:
        """What the run asked for in vain, if it did, rather than what crewAI made of it."""
        broken = self.broken()
        if broken is None:
            return None
        self.is_checked = True
        ours = next((link for link in _chain(error) if isinstance(link, ReplayError)), None)
        if ours is None:
            ours = ReplayError(broken)
            ours.__cause__ = error
        # The way through crewAI explains nothing; the test's line and the user's own code do.
        return ours.with_traceback(without_libraries(error.__traceback__) or error.__traceback__)

    def end(self) -> None:
        if not self.is_over:
            self.is_over = True
            if self.block is not None:
                self.block.stop()
            self.seam.stop()


PREPARED: pytest.StashKey[Prepared] = pytest.StashKey()


def start(config: pytest.Config) -> ReplaySession:
    """Be ready for tests that ask; at most once in a session. Tracing comes along: it guards, and shows what failed."""
    from pytest_crewai_trace import session as tracing

    session = cast("ReplaySession | None", config.pluginmanager.get_plugin(_NAME))
    if session is None:
        tracing.start(config)
        session = ReplaySession()
        config.pluginmanager.register(session, _NAME)
    return session


def prepared(request: pytest.FixtureRequest) -> Prepared:
    """What is prepared for the test that asks."""
    if find_spec("crewai") is None:
        pytest.fail(
            f"the fixture {request.fixturename} needs crewAI, which is not installed here: pip install crewai",
            pytrace=False,
        )
    found = request.node.stash.get(PREPARED, None)
    if found is None or found.is_over:  # asked for by getfixturevalue(), which collection cannot see
        found = start(request.config).begin(request.node)
        request.addfinalizer(found.check)
    return cast("Prepared", found)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


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
        except Exception as error:
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

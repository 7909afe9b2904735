"""A session's tracing: which tests are recorded, from when to when, and what goes on their reports."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Generator
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from pytest_crewai_trace.capture.bus import Recording
from pytest_crewai_trace.capture.guard import Guard
from pytest_crewai_trace.capture.storage import Folders
from pytest_crewai_trace.errors import HookError, TraceIncompleteError
from pytest_crewai_trace.installed import version_of
from pytest_crewai_trace.marks import MARKER, forbidden, is_traced
from pytest_crewai_trace.settings import SETTINGS, Settings

if TYPE_CHECKING:
    from pytest_crewai_trace.keeping import Keeping, KeptOnReport
    from pytest_crewai_trace.publish.native import NativeTracing
    from pytest_crewai_trace.publish.packing import PackedOnReport
    from pytest_crewai_trace.report.terminal import Counts
    from pytest_crewai_trace.trace.trace import Trace

T = TypeVar("T")
_NAME = "crewai_trace_session"
# How long a test's end waits for what it started in other threads, in seconds.
SETTLE = 5.0


class Record:
    """The record of one attempt at one test, and the trace that is made of it."""

    def __init__(self, item: pytest.Item, recording: Recording, attempt: int) -> None:
        self.item = item
        self.recording = recording
        self.recorder = recording.begin()
        self.attempt = attempt
        self.settled: set[str] = set()
        self.phases: dict[str, pytest.TestReport] = {}
        self.about: tuple[int, ...] = ()
        self.native = _native(item.config)
        if self.native is not None:
            self.recorder.also = self.native.take
        self.is_kept = False  # whether it has been decided if its trace stays
        self.is_told = False  # whether a report of the test says that its recorder failed
        self.counted: tuple[Trace | None, Counts] | None = None
        self._built: tuple[tuple[int, int, int], Trace] | None = None

    def trace(self) -> Trace:
        """Everything so far. Waits, once per operation, for memories that crewAI saves in the background."""
        recorder = self.recorder
        if not recorder.closed:
            recorder.settle(SETTLE, only="memory", besides=self.settled)
            self.recording.check(recorder)
        seen = (len(recorder.rows), recorder.chunk_events, len(self.incomplete()))
        if self._built is None or (not recorder.closed and self._built[0] != seen):
            self._built = (seen, self._build())
        return self._built[1]

    @property
    def is_blank(self) -> bool:
        """Whether nothing was seen and nothing missed; then no test needs pydantic for its trace."""
        recorder = self.recorder
        return self._built is None and not recorder.rows and not recorder.chunk_events and not self.incomplete()

    def _build(self) -> Trace:
        from pytest_crewai_trace.trace.trace import Trace, TraceOrigin

        origin = TraceOrigin(
            test_id=self.item.nodeid,
            started_at=self.recorder.began_at,
            crewai_version=version_of("crewai"),
            plugin_version=version_of("pytest-crewai-trace"),
        )
        if self.recorder.rows or self.recorder.chunk_events:
            try:
                from pytest_crewai_trace.capture.spans import trace_of

                return trace_of(self.recorder, origin, self.incomplete())
            except Exception as error:  # noqa: BLE001 - kept, for the test to fail with
                if self.recorder.error is None:
                    self.recorder.error = error
        return Trace(incomplete=tuple(self.incomplete()), origin=origin)

    def incomplete(self) -> list[str]:
        error = self.recorder.error
        failed = [] if error is None else [f"recording failed: {type(error).__name__}: {error}"]
        return [*failed, *self.recorder.doubts]

    def check(self) -> None:
        """Fail the test, once, whose recorder failed: that nothing was seen must not look like nothing was done."""
        if self.recorder.error is not None and not self.is_told:
            self.is_told = True
            raise TraceIncompleteError(
                f"the trace of this test is incomplete: {self.incomplete()[0]}. This is an error of "
                "pytest-crewai-trace, not of the test; please report it. -p no:crewai_trace runs without it."
            ) from self.recorder.error


def _native(config: pytest.Config) -> NativeTracing | None:
    """What makes of a test what is to be published, if anything is."""
    if config.stash[SETTINGS].publish is None:
        return None
    from pytest_crewai_trace.publish.native import NativeTracing
    from pytest_crewai_trace.publish.packing import new_execution

    return NativeTracing(new_execution())


RECORD: pytest.StashKey[Record] = pytest.StashKey()
ATTEMPTS: pytest.StashKey[int] = pytest.StashKey()


def start(config: pytest.Config) -> Session:
    """Begin to record in this process; at most once."""
    session = cast("Session | None", config.pluginmanager.get_plugin(_NAME))
    if session is None:
        session = Session(config.stash[SETTINGS])
        config.pluginmanager.register(session, _NAME)
        config.add_cleanup(session.stop)
        session.start()
    return session


def require_crewai(request: pytest.FixtureRequest) -> None:
    """Fail a test that asks for a fixture of ours where there is no crewAI."""
    if find_spec("crewai") is None:
        pytest.fail(
            f"the fixture {request.fixturename} needs crewAI, which is not installed here: pip install crewai",
            pytrace=False,
        )


def live_trace(request: pytest.FixtureRequest) -> Trace:
    """What the fixture gives: the trace as it stands each time it is looked at."""
    from pytest_crewai_trace.live import LiveTrace

    require_crewai(request)
    item = request.node
    record = item.stash.get(RECORD, None)
    if record is None:  # asked for by getfixturevalue(), which collection cannot see
        session = start(request.config)
        if item.get_closest_marker(MARKER) is not None:
            raise forbidden(item)
        record = session.begin(item)
    return cast("Trace", LiveTrace(record.trace))


class Session:
    """The plugin object that records; registered when the first test asks to be traced."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.recording = Recording(_warn)
        self.guard = Guard(_warn) if settings.guard else None
        self._folders = None if self.guard is None else Folders(self.guard.files)

    def start(self) -> None:
        if self.guard is not None and self._folders is not None:
            self.guard.start()
            self._folders.start()
        self.recording.start()

    def stop(self) -> None:
        self.recording.stop()
        if self.guard is not None and self._folders is not None:
            self._folders.stop()
            self.guard.stop()

    def begin(self, item: pytest.Item) -> Record:
        """Record a test from now on."""
        attempt = item.stash[ATTEMPTS] = item.stash.get(ATTEMPTS, 0) + 1
        record = item.stash[RECORD] = Record(item, self.recording, attempt)
        if self._folders is not None:
            self._folders.begin()
        return record

    def end(self, item: pytest.Item) -> Record | None:
        """Stop recording a test; its trace stays."""
        record = item.stash.get(RECORD, None)
        if record is None or record.recorder.closed:
            return None
        try:
            if not record.is_blank:
                record.trace()
        finally:
            self.recording.end(record.recorder)
            if self._folders is not None:
                self._folders.end(unused=not record.recorder.rows)
            record.recorder.release()
        return record

    # -- hooks ----------------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            self._end_untold(item)
            if (record := item.stash.get(RECORD, None)) is not None and record.native is not None:
                record.native.discard()
            _drop(item.stash, RECORD)
            _drop(item.stash, ATTEMPTS)

    def _end_untold(self, item: pytest.Item) -> None:
        """End a test whose teardown was skipped by an exit or interrupt; no report is left to fail."""
        record = self.end(item)
        if record is not None:
            try:
                _tell_captured(record)
            except HookError as error:
                _warn(str(error))
        record = item.stash.get(RECORD, None)
        if record is not None and not record.is_kept:
            with suppress(Exception):  # nobody is left to tell
                if not record.is_blank:
                    trace = record.trace()
                    _keep(record, trace, _counts(record, trace))

    # Innermost, so that what raises here leaves pytest's own wrappers whole.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        self.end(item)
        if is_traced(item, self.settings):
            self.begin(item)
        elif self._folders is not None:
            self._folders.leave()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            outcome = yield
        finally:
            record = item.stash.get(RECORD, None)
            if record is not None:
                self.recording.settle(record.recorder, SETTLE)
                self.recording.check(record.recorder)  # before monkeypatch and fixtures put things back
                if not record.is_blank:
                    _keeping(record).cleaning.look()
        if record is not None:
            record.check()
        return outcome

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            outcome = yield
        finally:
            record = self.end(item)
            if record is not None:
                _tell_captured(record)
        if record is not None:
            record.check()
        return outcome

    # Outermost, so that the outcome is the final one.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        record = item.stash.get(RECORD, None)
        if record is not None:
            record.about = record.about or _about(call)
            _put_on_report(report, record, call)
        return report


def _drop(stash: pytest.Stash, key: pytest.StashKey[T]) -> None:
    if key in stash:
        del stash[key]


def _about(call: pytest.CallInfo[Any]) -> tuple[int, ...]:
    """The numbers of the spans that a failed expectation is about."""
    failed = getattr(call.excinfo.value, "mismatches", ()) if call.excinfo is not None else ()
    return tuple(dict.fromkeys(number for mismatch in failed for number in getattr(mismatch, "spans", ())))


def _put_on_report(report: pytest.TestReport, record: Record, call: pytest.CallInfo[Any]) -> None:
    record.phases[cast("str", report.when)] = report
    section = said = None
    try:
        trace = None if record.is_blank else record.trace()
        counts = _counts(record, trace)
        report.crewai_trace = counts  # type: ignore[attr-defined]
        if trace is not None:
            section = _section(report, record, trace)
            said = None if section is None else _keeping(record).said(report)
            if report.when == "teardown":
                kept, packed = _keep(record, trace, counts)
                report.crewai_trace_kept = kept  # type: ignore[attr-defined]
                if packed is not None:
                    report.crewai_trace_packed = packed  # type: ignore[attr-defined]
                    report.user_properties.append(("crewai_execution", packed["execution"]))
                _finish(report, record, trace)
    except Exception as error:  # noqa: BLE001 - a report must be made, whatever happens to our part of it
        section = f"the trace could not be shown: {type(error).__name__}: {error}"
    if section is None:
        return
    report.crewai_trace_tree = section  # type: ignore[attr-defined]  # for JUnit XML and GitHub's summary
    report.crewai_trace_said = said  # type: ignore[attr-defined]
    told = call.excinfo is not None and getattr(call.excinfo.value, "shows_tree", False)
    if not told and record.item.config.stash[SETTINGS].show != "none":
        report.sections.append(("crewai trace", section))
        record.is_told = True
    if record.item.config.getoption("htmlpath", None):
        from pytest_crewai_trace.report.junit import html_extra

        report.extras = [*getattr(report, "extras", []), html_extra(section)]  # type: ignore[attr-defined]


def _section(report: pytest.TestReport, record: Record, trace: Trace) -> str | None:
    """What a failed test shows of its trace."""
    if not report.failed:
        return None
    from pytest_crewai_trace.report.terminal import failure_section

    return failure_section(_keeping(record).clean(trace), record.about)


def _finish(report: Any, record: Record, trace: Trace) -> None:
    """The last report of an attempt says how it ended, also to those who read it as JUnit XML."""
    from pytest_crewai_trace.report.junit import properties
    from pytest_crewai_trace.report.terminal import tree_of
    from pytest_crewai_trace.store.attempt import BAD, outcome_of

    keeping, counts = _keeping(record), report.crewai_trace
    counts["outcome"] = outcome = outcome_of(record.phases)
    counts["seconds"] = sum(phase.duration for phase in record.phases.values())
    if keeping.settings.show == "all" and outcome not in BAD:
        counts["tree"] = tree_of(keeping.clean(trace))
    if not counts["empty"]:
        report.user_properties.extend(properties(counts, report.crewai_trace_kept))
        if (where := keeping.in_viewer(record.item.nodeid, record.attempt, report.crewai_trace_kept)) is not None:
            report.user_properties.append(("crewai_viewer", where))


def _counts(record: Record, trace: Trace | None) -> Counts:
    from pytest_crewai_trace.report.terminal import count

    if record.counted is None or record.counted[0] is not trace:  # a test's teardown mostly adds nothing
        record.counted = trace, count(trace, record.item.nodeid, str(record.attempt))
    return record.counted[1].copy()


def _keep(record: Record, trace: Trace, counts: Counts) -> tuple[KeptOnReport | None, PackedOnReport | None]:
    record.is_kept = True
    return _keeping(record).keep(record.item, record.phases, trace, counts, record.attempt, record.about, record.native)


def _keeping(record: Record) -> Keeping:
    from pytest_crewai_trace.keeping import keeping_of

    return keeping_of(record.item.config)


def _tell_captured(record: Record) -> None:
    """Call the hook; an exception names whose it is."""
    hook = record.item.ihook.pytest_crewai_trace_captured
    if not hook.get_hookimpls():
        return
    try:
        hook(item=record.item, trace=record.trace())
    except Exception as error:
        called = {frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)}
        names = {
            impl.plugin_name for impl in hook.get_hookimpls() if getattr(impl.function, "__code__", None) in called
        }
        raise HookError.of("pytest_crewai_trace_captured", error, *sorted(names)) from error


def _warn(message: str) -> None:
    warnings.warn(pytest.PytestWarning(message), stacklevel=2)

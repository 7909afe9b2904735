"""The plugin object of snapshots; registered when a test asks for ``snapshot``."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from pytest_crewai_trace.snapshot.assertion import TRACES, TraceSnapshotAssertion
from pytest_crewai_trace.snapshot.extension import TraceSnapshotExtension

NAME = "crewai_trace_snapshots"
_EXPLANATIONS: pytest.StashKey[list[str]] = pytest.StashKey()
_PYTESTS_LINES, _PYTESTS_CHARACTERS = 8, 640  # to which pytest cuts an explanation without -vv


class Snapshots:
    """Makes syrupy's fixture know traces, and says what changed."""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self) -> Generator[None, object, object]:
        value = yield
        if type(value) is SnapshotAssertion:
            value.__class__ = TraceSnapshotAssertion
            value.test_location.item.stash[TRACES] = -1  # also when the test is run again
        return value

    @pytest.hookimpl(wrapper=True)
    def pytest_assertrepr_compare(
        self, config: pytest.Config, op: str, left: object, right: object
    ) -> Generator[None, list[Any], list[Any]]:
        explanations = yield
        for side in (right, left):
            if isinstance(side, TraceSnapshotAssertion) and side.compares_trace and op == "==":
                return [_explanation(config, side), *explanations]
        return explanations

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and call.when == "call":
            report.sections += [("crewai snapshot", text) for text in item.stash.get(_EXPLANATIONS, [])]
        return report


def _explanation(config: pytest.Config, snapshot: TraceSnapshotAssertion) -> list[str]:
    """All that is to be said, or, where pytest would cut it, its beginning; the whole is a section of the report."""
    first, *more = snapshot.get_assert_diff(diff_mode=config.getoption("diff_mode", "detailed"))
    lines = [f"trace == snapshot: {first}", *more]
    is_cut = len(lines) > _PYTESTS_LINES or sum(map(len, lines)) > _PYTESTS_CHARACTERS
    is_verbose = config.get_verbosity(pytest.Config.VERBOSITY_ASSERTIONS) >= 2
    if not is_cut or is_verbose or any(os.environ.get(name) for name in ("CI", "BUILD_NUMBER")):
        return lines
    item = snapshot.test_location.item
    item.stash.setdefault(_EXPLANATIONS, []).append("\n".join([first, *more]))
    return [lines[0][:400], "the tree, with what is old and new, is in the section 'crewai snapshot' below"]


def start(config: pytest.Config) -> None:
    """Register it, once, where syrupy is."""
    manager = config.pluginmanager
    if not manager.has_plugin(NAME):
        manager.register(Snapshots(), NAME)


def fixture(snapshot: object) -> TraceSnapshotAssertion:
    """What ``crewai_snapshot`` gives, of what the fixture ``snapshot`` gave."""
    if not isinstance(snapshot, TraceSnapshotAssertion):
        raise pytest.UsageError(
            f"crewai_snapshot needs syrupy's fixture snapshot; here it is a {type(snapshot).__qualname__}"
        )
    return snapshot.with_defaults(extension_class=TraceSnapshotExtension)

"""The public fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_crewai_trace.snapshot.assertion import TraceSnapshotAssertion
    from pytest_crewai_trace.trace.trace import Trace


@pytest.fixture
def crewai_trace(request: pytest.FixtureRequest) -> Trace:
    """The trace of this test: every crew, flow, agent, tool and LLM call that it has run so far.

    Asking for it traces the test, whatever the options say. See ``pytest_crewai_trace.Trace``.
    """
    from pytest_crewai_trace.session import live_trace

    return live_trace(request)


@pytest.fixture
def crewai_snapshot(snapshot: Any) -> TraceSnapshotAssertion:
    """syrupy's ``snapshot`` for traces, with options: ``crewai_trace == crewai_snapshot(level="content")``.

    ``level=`` "path", "calls" (default), "content" or "full"; ``variants=``, ``ignore=``, ``replace=``, ``fold=``.
    """
    from pytest_crewai_trace.snapshot.plugin import fixture

    return fixture(snapshot)

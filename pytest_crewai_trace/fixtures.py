"""The public fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_crewai_trace.replay.deck import Cassette
    from pytest_crewai_trace.replay.fault import Faults
    from pytest_crewai_trace.replay.script import Script
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


@pytest.fixture
def crewai_llm(request: pytest.FixtureRequest) -> Script:
    """The script that every model of this test answers from, whatever the code under test calls it or passes as llm=.

    ``crewai_llm.reply("text")``, ``.call_tool("search", query="AI")``; by who asks: ``crewai_llm.agent("Writer")``.
    No key is needed and no network is reached. A request without a reply, and a reply without a request, fail the test.
    """
    from pytest_crewai_trace.replay.session import prepared

    return prepared(request).script()


@pytest.fixture
def crewai_faults(request: pytest.FixtureRequest) -> Faults:
    """Faults of tools, models and memory, whether models are real, scripted or replayed.

    ``crewai_faults.tool("search").fail(TimeoutError(), times=1)``, ``crewai_faults.llm(agent="Writer").rate_limit()``.
    A fault that never came about fails the test.
    """
    from pytest_crewai_trace.replay.session import prepared

    return prepared(request).faults()


@pytest.fixture
def crewai_cassette(request: pytest.FixtureRequest) -> Iterator[Cassette]:
    """The cassette of this test: what models and other servers answered when it was recorded is replayed.

    Recorded with ``--crewai-record``. Like the marker ``crewai_cassette``, which says more.
    """
    from pytest_crewai_trace.replay.deck import cassette_in_use

    with cassette_in_use(request) as cassette:
        yield cassette

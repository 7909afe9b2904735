"""The public fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_crewai_trace.trace.trace import Trace


@pytest.fixture
def crewai_trace(request: pytest.FixtureRequest) -> Trace:
    """The trace of this test: every crew, flow, agent, tool and LLM call that it has run so far.

    Asking for it traces the test, whatever the options say. See ``pytest_crewai_trace.Trace``.
    """
    from pytest_crewai_trace.session import live_trace

    return live_trace(request)

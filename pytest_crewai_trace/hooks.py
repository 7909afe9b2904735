"""Hooks that a ``conftest.py`` or another plugin may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_crewai_trace.trace.trace import Trace


def pytest_crewai_trace_captured(item: pytest.Item, trace: Trace) -> None:
    """Called after a traced test's teardown, with its complete trace, in the process that ran it.

    Also for a test in which nothing of crewAI ran (``trace.empty``). An exception is reported as an error of the test,
    with the name of the plugin that raised it.
    """


def pytest_crewai_trace_redact(text: str, where: str) -> str | None:
    """Called with each text before it is stored or shown: give it back, changed, or ``None``.

    It has been through the built-in redaction already. ``where`` says what it is: ``llm.response``,
    ``tool.arguments.query``, ``messages``. Where an implementation raises, the text is dropped and the error is
    reported as its own.
    """

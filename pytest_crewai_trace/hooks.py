"""Hooks that a ``conftest.py`` or another plugin may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from pytest_crewai_trace.trace.trace import Trace


def pytest_crewai_trace_captured(item: pytest.Item, trace: Trace) -> None:
    """Called after a traced test's teardown, with its complete trace, in the process that ran it.

    Also for a test in which nothing of crewAI ran (``trace.empty``). An exception is reported as an error of the test,
    with the name of the plugin that raised it.
    """


def pytest_crewai_trace_redact(text: str, where: str) -> str | None:
    """Take secrets out of a text that is about to be stored, shown or sent; give it back, or ``None`` to leave it.

    What we find ourselves is gone from it already. ``where`` says where it stands, such as ``tool.arguments.query``; a
    text that the message of an assertion shows, of the trace or of the test, comes as ``assertion``.
    Every implementation is called, on what the one before left. One that raises, or gives something else, loses the
    text: it is dropped, and the error reported as that plugin's.
    """


def pytest_crewai_trace_normalize(value: Any, path: str) -> Any:
    """Make equal, for a snapshot, what differs from run to run; give another value back, or ``None`` to leave it.

    ``value`` is a text, number, truth value or ``None``, redacted; ``path`` is as for ``ignore=``, from the outermost
    span on: ``crew crew > task research > tool search > arguments.query``. Every implementation is called, on what
    the one before left. An exception fails the comparison, with the name of the plugin that raised it.
    """


def pytest_crewai_trace_publish_attributes(
    item: pytest.Item, trace: Trace
) -> dict[str, str | bool | int | float] | None:
    """Add attributes to a trace that is about to be published, with names of your own; secrets are taken out of them.

    Called in the process that ran the test, for each attempt that goes to CrewAI AMP. Every implementation is called;
    what we say ourselves is not replaced. If one raises, or gives something else, no attributes are added, the trace is
    sent all the same, and the error is reported as that plugin's.
    """

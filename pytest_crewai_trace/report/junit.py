"""What JUnit XML and pytest-html say of traces: numbers of each test, the tree of a failed one."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

if TYPE_CHECKING:
    from pytest_crewai_trace.keeping import KeptOnReport
    from pytest_crewai_trace.report.terminal import Counts

_TITLE = "crewai trace"


def properties(counts: Counts, kept: KeptOnReport | None) -> list[tuple[str, str]]:
    """The properties of a test that ran something."""
    from pytest_crewai_trace.trace.usage import Usage

    usage = Usage(**counts["usage"])
    found = [("crewai_llm_calls", str(usage.requests))]
    if usage.complete:
        found.append(("crewai_tokens", str(usage.total_tokens)))
        if (cost := cost_of(counts)) is not None:
            found.append(("crewai_cost", cost))
    if kept is not None and kept["path"] is not None:
        found.append(("crewai_trace", kept["path"]))
    return found


def cost_of(counts: Counts) -> str | None:
    """US dollars, where every model has a price."""
    from decimal import Decimal

    prices = [Decimal(cost) for cost in counts["costs"].values() if cost is not None]
    return f"{sum(prices, Decimal(0)):f}" if len(prices) == len(counts["costs"]) else None


def html_extra(tree: str) -> dict[str, str]:
    """The tree as pytest-html takes what goes with a test; it shows text as text."""
    return {
        "name": _TITLE,
        "format_type": "text",
        "content": tree,
        "mime_type": "text/plain",
        "extension": "txt",
    }


class JunitTrees:
    """The plugin object that gives the tree of a failed test to pytest's own writer of JUnit XML."""

    def __init__(self, plugins: pytest.PytestPluginManager) -> None:
        self._plugins = plugins

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        if report.when == "teardown":  # after which the writer is done with the test
            self._write(report)
            return (yield)
        result = yield
        self._write(report)
        return result

    def _write(self, report: Any) -> None:
        tree = getattr(report, "crewai_trace_tree", None)
        if tree is None or not report.failed:
            return
        for plugin in self._plugins.get_plugins():
            reporter_of = getattr(plugin, "node_reporter", None)
            if type(plugin).__name__ == "LogXML" and reporter_of is not None:
                element = ElementTree.Element("system-out")
                element.text = "\n".join([f" {_TITLE} ".center(80, "-"), tree, ""])
                reporter_of(report).append(element)

"""The pytest plugin: hooks and options, each delegating. Every pytest run loads it, so it imports next to nothing."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest

from pytest_crewai_trace import marks, settings
from pytest_crewai_trace.fixtures import (
    crewai_cassette,
    crewai_faults,
    crewai_llm,
    crewai_snapshot,
    crewai_trace,
)

__all__ = ["crewai_cassette", "crewai_faults", "crewai_llm", "crewai_snapshot", "crewai_trace"]

_USAGE_ERROR = "crewai_trace_usage_error"  # what an xdist worker tells its controller


def pytest_addoption(parser: pytest.Parser) -> None:
    settings.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_crewai_trace import hooks

    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "crewai_trace(enabled=True, keep=None): trace this test's crews and flows, or with enabled=False do not; "
        "keep='failed', 'all' or 'none' says whether its trace stays on disk",
    )
    config.addinivalue_line(
        "markers",
        "crewai_budget(llm_calls=, tool_calls=, input_tokens=, output_tokens=, total_tokens=, cost=, seconds=):"
        " trace this test, and fail it when it passes but uses more; None lifts a limit",
    )
    config.addinivalue_line(
        "markers",
        "crewai_network(block=True, allow=()): which hosts a test with a script or a replayed cassette can reach; "
        "this machine always",
    )
    config.addinivalue_line(
        "markers",
        "crewai_cassette(path=None, mode='by_request', volatile=(), allow_unused=False): replay the recorded replies "
        "of models and tools",
    )
    config.stash[settings.SETTINGS] = settings.resolve(config)
    settings.RUNNING.append(config)
    config.add_cleanup(lambda: settings.RUNNING.remove(config))
    if config.getoption("xmlpath", None) and not hasattr(config, "workerinput"):
        from pytest_crewai_trace.report.junit import JunitTrees

        config.pluginmanager.register(JunitTrees(config.pluginmanager))
    if config.stash[settings.SETTINGS].html is not None and not hasattr(config, "workerinput"):
        from pytest_crewai_trace.viewing import Viewer

        config.pluginmanager.register(Viewer(config))
    publish = config.stash[settings.SETTINGS].publish
    if publish is not None and not hasattr(config, "workerinput"):
        from pytest_crewai_trace.publish.session import Publisher

        config.pluginmanager.register(Publisher(config, publish))
    if config.stash[settings.SETTINGS].enabled:
        _start(config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    if not marks.is_scripted(collector):
        return (yield)
    from pytest_crewai_trace.replay.seam import building_without_keys

    _start(collector.config)  # what the module builds is guarded too
    with building_without_keys():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, obj: object) -> None:
    marks.use_cassette(collector, obj)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    try:
        traced = [item for item in items if marks.is_traced(item, config.stash[settings.SETTINGS])]
        _watch_budgets(config, items)
        replaying = [item for item in items if marks.replays(item)]
        for item in replaying:
            marks.network_allowed(item, config.stash[settings.SETTINGS])  # a mistake in a marker ends the session
        taped = [item for item in items if marks.has_cassette(item)]
        for item in taped:
            marks.cassette_mark(item)  # a mistake in it ends the session
            marks.network_allowed(item, config.stash[settings.SETTINGS])
    except pytest.UsageError as error:
        if not hasattr(config, "workeroutput"):
            raise
        # A worker of xdist that raises ends the session with an internal error; its controller may raise.
        config.workeroutput[_USAGE_ERROR] = str(error)
        items.clear()
        return
    if traced:
        _start(config)
    if replaying:
        from pytest_crewai_trace.replay.session import start

        start(config)
    if any(not settings.SNAPSHOTS.isdisjoint(getattr(item, "fixturenames", ())) for item in items):
        _start_snapshots(config)
    if taped:
        from pytest_crewai_trace.replay import deck

        deck.start(config, taped)


def _watch_budgets(config: pytest.Config, items: list[pytest.Item]) -> None:
    defaults = config.getini(settings.BUDGET)
    if defaults or any(item.get_closest_marker(settings.BUDGET) is not None for item in items):
        from pytest_crewai_trace.expectations.budget import of_ini, register

        register(config, items, of_ini(defaults))


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    if "pytest_crewai_trace.trace.values" not in sys.modules:  # then neither side is ours
        return None
    from pytest_crewai_trace.expectations.compare import explain

    return explain(op, left, right)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput[settings.RUN] = node.config.stash[settings.SETTINGS].run


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    message = getattr(node, "workeroutput", {}).get(_USAGE_ERROR)
    if message is not None:
        raise pytest.UsageError(message)


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: Any) -> None:
    reporter = sched.config.pluginmanager.get_plugin("terminalreporter")
    if any(before.nodeid == crashitem for before in _traced(reporter)):
        from pytest_crewai_trace.report.terminal import tell_of_crash

        tell_of_crash(report, sched.config)


def pytest_report_header(config: pytest.Config) -> str | None:
    if not config.stash[settings.SETTINGS].enabled:
        return None
    from pytest_crewai_trace.report.terminal import header

    return header(config.stash[settings.SETTINGS])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = _traced(terminalreporter)
    if reports and not hasattr(config, "workerinput"):  # xdist's workers have one too, which nobody sees
        from pytest_crewai_trace.report.terminal import write_summary

        write_summary(terminalreporter, reports)


def _traced(reporter: pytest.TerminalReporter | None) -> list[Any]:
    """The reports of traced tests so far."""
    stats = {} if reporter is None else reporter.stats
    reports = (report for reports in stats.values() for report in reports)
    return [report for report in reports if hasattr(report, "crewai_trace") or hasattr(report, "crewai_trace_kept")]


def _start(config: pytest.Config) -> None:
    from pytest_crewai_trace.session import start

    start(config)
    _start_snapshots(config)  # also for a test that asks for them while it runs


def _start_snapshots(config: pytest.Config) -> None:
    if config.pluginmanager.has_plugin("syrupy"):
        from pytest_crewai_trace.snapshot.plugin import start

        start(config)

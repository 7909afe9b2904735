"""Publishes the traces of a session when it ends, in the one process that talks to the user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.publish.links import LINKS
from pytest_crewai_trace.settings import SETTINGS
from pytest_crewai_trace.store.attempt import BAD
from pytest_crewai_trace.trace.render import printable

if TYPE_CHECKING:
    from pytest_crewai_trace.publish.options import Publishing
    from pytest_crewai_trace.publish.outbox import Item
    from pytest_crewai_trace.publish.packing import PackedOnReport
    from pytest_crewai_trace.publish.sending import Outcome

_MOST_LINKS = 20
_PROPERTY = "crewai_amp"


class Publisher:
    """Registered where something is to be published, and not in a worker of xdist."""

    def __init__(self, config: pytest.Config, publish: Publishing) -> None:
        self._config = config
        self._publishing = publish
        self._settings = config.stash[SETTINGS]
        self._packed: dict[str, PackedOnReport] = {}
        self._tests: dict[str, tuple[str, str]] = {}  # what became of it, and the test, by execution
        self._said: list[str] = []
        config.stash[LINKS] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        packed: PackedOnReport | None = getattr(report, "crewai_trace_packed", None)
        if packed is not None:
            self._packed[packed["execution"]] = packed
            self._tests[packed["execution"]] = (str(report.crewai_trace["outcome"]), report.nodeid)

    # Before those who write what they say to a file: JUnit XML, the viewer.
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self._config.getoption("collectonly"):
            return
        interrupted = exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
        complete = False
        try:
            complete = self._publish(interrupted=interrupted)
        except KeyboardInterrupt:  # the tests are over, and their outcomes are still to be told
            self._said.append(f"publishing was interrupted; what was not sent is kept, for: {self._command}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the outcomes of the tests stand
            self._said.append(f"traces could not be published: {type(error).__name__}: {printable(str(error))}")
        if not complete and self._publishing.strict and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            self._said.append("exit code 1, because of --crewai-trace-publish-strict")

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self._said:
            terminalreporter.write_line(f"crewai-trace: {line}")

    def _publish(self, *, interrupted: bool) -> bool:
        """Send what waits; whether AMP has all of it."""
        held = [packed for packed in self._packed.values() if packed["held"] is not None]
        items = self._waiting({packed["envelope"] for packed in held})
        if not (items or self._packed):
            whose = "a failed test" if self._publishing.which == "failed" else "a test"
            why = "" if self._settings.enabled else f": tracing is off ({self._settings.source})"
            self._said.append(f"there was no trace of {whose} to publish{why}")
            return True
        self._said += self._problems(held)
        lost = len(self._packed) - len(held) - len(items)
        if lost > 0:
            self._said.append(f"{plural(lost, 'trace')} not published: dropped, as the trace folder was full")
        if not items:
            return False
        if interrupted:
            self._said.append(f"interrupted: {plural(len(items), 'trace')} kept, for: {self._command}")
            return False
        return self._send(items) and not held and lost <= 0

    def _waiting(self, held: set[str | None]) -> list[Item]:
        """What this run has kept for AMP, also of workers that could not tell of it any more."""
        from pytest_crewai_trace.publish import outbox

        folder = self._settings.folder / self._settings.run
        found = outbox.find([folder]) if folder.is_dir() else []
        return [item for item in found if item.waits and item.path.name not in held]

    def _problems(self, held: list[PackedOnReport]) -> Iterator[str]:
        for reason in dict.fromkeys(packed["held"] for packed in held):
            number = sum(packed["held"] == reason for packed in held)
            yield f"{plural(number, 'trace')} kept, not published: {printable(str(reason))}"
        for problem in dict.fromkeys(packed["problem"] for packed in self._packed.values() if packed["problem"]):
            yield printable(str(problem))

    def _send(self, items: list[Item]) -> bool:
        from pytest_crewai_trace.publish.credentials import NoAccess, find_access
        from pytest_crewai_trace.publish.sending import Sending, lines

        access = find_access(os.environ, anonymous=self._publishing.anonymous)
        if isinstance(access, NoAccess):
            number = plural(len(items), "trace")
            self._said.append(f"nothing was published: {access.reason}; {number} kept, for: {self._command}")
            return False
        outcome = Sending(access, seconds=self._publishing.seconds).send(items)
        self._said += [*lines(outcome, self._place), *self._linked(outcome)]
        self._config.stash[LINKS].update(outcome.links)
        _put_into_junit(self._config.pluginmanager, outcome.links)
        return outcome.complete

    def _linked(self, outcome: Outcome) -> Iterator[str]:
        """The addresses, those of tests that somebody has to look at first."""
        linked = [(*self._tests.get(execution, ("", "")), url) for execution, url in outcome.links.items()]
        linked.sort(key=lambda one: (one[0] not in BAD, one[1]))
        for ended, test, url in linked[:_MOST_LINKS]:
            yield f"  {ended:<6} {printable(test)}  {printable(url)}"
        if len(linked) > _MOST_LINKS:
            yield f"  and {len(linked) - _MOST_LINKS} more"

    @property
    def _place(self) -> str:
        folder, here = self._settings.folder, self._config.invocation_params.dir
        return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)

    @property
    def _command(self) -> str:
        return f"crewai-trace publish {self._place}"


def _put_into_junit(plugins: pytest.PytestPluginManager, links: dict[str, str]) -> None:
    """Give each test that is in pytest's JUnit XML, and has the property of its execution, that of its page."""
    from xml.etree import ElementTree

    for plugin in plugins.get_plugins():
        if type(plugin).__name__ != "LogXML":
            continue
        for reporter in getattr(plugin, "node_reporters_ordered", ()):
            for properties in reporter.to_xml().iter("properties"):
                told = {each.get("name"): each.get("value") for each in properties}
                url = links.get(str(told.get("crewai_execution")))
                if url is not None and _PROPERTY not in told:
                    ElementTree.SubElement(properties, "property", name=_PROPERTY, value=url)

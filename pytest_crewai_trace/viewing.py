"""Writes the viewer when a session ends."""

from __future__ import annotations

import pytest

from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.settings import SETTINGS


class Viewer:
    """Registered where ``--crewai-trace-html`` is given, and not in a worker of xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self._settings = config.stash[SETTINGS]
        self._collects_only = bool(config.getoption("collectonly"))
        self._line = ""

    @pytest.hookimpl(trylast=True)  # when the workers of xdist are done
    def pytest_sessionfinish(self) -> None:
        if not self._collects_only:
            try:
                self._line = self._write()
            except Exception as error:  # noqa: BLE001 - whatever it is, the outcomes of the tests stand
                reason = (getattr(error, "strerror", None) if isinstance(error, OSError) else None) or error
                self._line = f"the viewer could not be written: {reason}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._line:
            terminalreporter.write_line(f"crewai-trace: {self._line}")

    def _write(self) -> str:
        from pytest_crewai_trace.store.reader import find

        path, folder, run = self._settings.html, self._settings.folder, self._settings.run
        found = find([folder] if folder.is_dir() else [])
        mine = found.of_run(run)
        if path is None or not mine.stored:
            return "no trace was kept, so there is no viewer"
        from pytest_crewai_trace.report.html import write

        written = write(path, mine, earlier=found.stored)
        skipped = f", {len(written.skipped)} skipped" if written.skipped else ""
        return f"viewer of {plural(written.tests, 'trace')} in {path}{skipped}"

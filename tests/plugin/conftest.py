"""Runs a user's project: in this process where that will do, because crewAI takes seconds to import."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_crewai_trace import Trace
from tests.support.amp import Amp

ROOT = Path(__file__).parents[2]
PLUGIN = "pytest_crewai_trace.plugin"
# What inner tests may use without importing it themselves.
CREWS = """
import asyncio, os, sys, threading
import pytest
from crewai.flow.flow import Flow, start
from pytest_crewai_trace import ToolCall, Trace, TraceIncompleteError
from tests.support.crews import agent, one_agent_crew, search, task
from tests.support.llm import ScriptedLLM, final, react

def crew(*replies, **options):
    return one_agent_crew(ScriptedLLM(*replies or [final("done")]), **options)

def run(*replies, **options):
    return crew(*replies, **options).kickoff(inputs={"topic": "AI"})
"""


class Project:
    """A project of somebody who uses the plugin, in a folder of its own.

    ``captured`` has the name and trace of every attempt that the inner runs of this process told the hook of.
    """

    def __init__(self, pytester: pytest.Pytester, modules: Modules) -> None:
        self.pytester = pytester
        self.modules = modules
        self.path = pytester.path
        self.captured: list[tuple[str, Trace]] = []

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
        return path

    def tests(self, text: str, name: str = "test_it.py", *, crews: bool = True) -> Path:
        """A file of tests; with ``crews`` it has what CREWS imports."""
        return self.write(name, (CREWS if crews else "import pytest\n") + textwrap.dedent(text))

    def run(self, *arguments: str, plugins: tuple[object, ...] = (), **options: Any) -> pytest.RunResult:
        """Run pytest in this process."""
        plugins = (self, self.modules, *plugins)
        try:
            return self.pytester.runpytest_inprocess(*self._always(), *arguments, plugins=plugins, **options)
        finally:
            self.modules.put_back()

    def run_apart(self, *arguments: str, timeout: float = 240) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        return self.pytester.runpytest_subprocess(*self._always(), *arguments, timeout=timeout)

    def _always(self) -> list[str]:
        quiet = ["ignore::DeprecationWarning", "ignore::pytest.PytestAssertRewriteWarning"]
        return ["-p", PLUGIN, "-p", "no:cacheprovider", *(f"-W{warning}" for warning in quiet)]

    def pytest_crewai_trace_captured(self, item: pytest.Item, trace: Trace) -> None:
        self.captured.append((item.name, trace))

    @property
    def traces(self) -> dict[str, Trace]:
        """The trace of each test that ran once."""
        assert len({name for name, _ in self.captured}) == len(self.captured)
        return dict(self.captured)

    @property
    def trees(self) -> dict[str, str]:
        """The rendered trace of each test that ran once; an empty one is ``""``."""
        return {name: "" if trace.empty else trace.render() for name, trace in self.traces.items()}


class Modules:
    """What inner runs imported of others. Pytester forgets it: crewAI would be imported again, and be there twice."""

    def __init__(self) -> None:
        self._seen: dict[str, ModuleType] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        own = config.rootpath
        for name, module in sys.modules.items():
            where = getattr(module, "__file__", None)
            if where is not None and not Path(where).is_relative_to(own):
                self._seen[name] = module

    def put_back(self) -> None:
        for name, module in self._seen.items():
            sys.modules.setdefault(name, module)


@pytest.fixture
def modules() -> Iterator[Modules]:
    modules = Modules()
    yield modules
    modules.put_back()


@pytest.fixture
def project(modules: Modules, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project, of whose environment only the plugin itself is known."""
    for name in [name for name in os.environ if name.startswith(("CREWAI_", "PYTEST_ADDOPTS", "PYTEST_XDIST"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return Project(pytester, modules)


@pytest.fixture
def entry_point(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes find the plugin as an installed one, whether it is installed here or not."""
    site = project.path.with_name(f"{project.path.name}-site")
    info = site / "pytest_crewai_trace-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest-crewai-trace\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[pytest11]\ncrewai_trace = pytest_crewai_trace.plugin\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(site), str(ROOT))))


@pytest.fixture(scope="session")
def crewai_imported() -> None:
    """Import crewAI once for all inner runs of this process, without the request that it makes on import."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREWAI_DISABLE_TELEMETRY", "true")
        import tests.support.crews  # noqa: F401


@pytest.fixture
def crews(project: Project, crewai_imported: None) -> Project:
    """A project whose tests run crews."""
    return project


@pytest.fixture
def amp(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Amp]:
    """A stand-in of AMP, which the environment names, and a credential for it."""
    with Amp() as amp:
        monkeypatch.setenv("CREWAI_PLUS_URL", amp.url)
        monkeypatch.setenv("CREWAI_USER_PAT", "pat-of-nobody")
        yield amp

"""A few examples in the suite; with ``CREWAI_TRACE_FUZZ=1`` (``nox -s fuzz``) many, other ones each time, counted."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

_FEW, _MANY = 20, 500
_many = bool(os.environ.get("CREWAI_TRACE_FUZZ"))
_fuzz = settings(
    settings.default,
    deadline=None,
    max_examples=_MANY if _many else _FEW,
    derandomize=not _many and bool(os.environ.get("CI")),
    database=settings.default.database if _many else None,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder their number of examples, whatever profile others have loaded."""
    fuzzed = [item for item in items if item.path.is_relative_to(os.path.dirname(__file__)) and hasattr(item, "obj")]
    for item in fuzzed:
        item.obj = _fuzz(item.obj)
    for handle in {id(item.obj): item.obj.hypothesis for item in fuzzed}.values():
        handle.inner_test = _counted(handle.inner_test)


_ran = 0


def _counted(test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    def count(*args: Any, **kwargs: Any) -> Any:
        global _ran  # noqa: PLW0603 - one process fuzzes
        _ran += 1
        return test(*args, **kwargs)

    return count


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Say on the report, and so in JUnit's file, how many cases a test ran."""
    before = _ran
    try:
        yield
    finally:
        item.user_properties.append(("cases", _ran - before))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _many:
        reports = [report for found in terminalreporter.stats.values() for report in found]
        cases = sum(
            value
            for report in reports
            if isinstance(report, pytest.TestReport) and report.when == "call"
            for name, value in report.user_properties
            if name == "cases"
        )
        terminalreporter.line(f"fuzzing: {cases:,} cases")


@pytest.fixture(scope="session", autouse=True)
def fixed_environment() -> Iterator[None]:
    """The environment's secrets: one that the tests know, and none of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if any(word in name for word in ("KEY", "TOKEN", "SECRET", "PASS"))]:
            patch.delenv(name)
        patch.setenv("FUZZ_API_KEY", "correct horse battery staple")
        yield

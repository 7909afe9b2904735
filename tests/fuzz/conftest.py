"""A few examples in the suite; with ``CREWAI_TRACE_FUZZ=1`` (``nox -s fuzz``) many, other ones each time."""

from __future__ import annotations

import os
from collections.abc import Iterator

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
    for item in items:
        if item.path.is_relative_to(os.path.dirname(__file__)) and hasattr(item, "obj"):
            item.obj = _fuzz(item.obj)


@pytest.fixture(scope="session", autouse=True)
def fixed_environment() -> Iterator[None]:
    """The environment's secrets: one that the tests know, and none of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if any(word in name for word in ("KEY", "TOKEN", "SECRET", "PASS"))]:
            patch.delenv(name)
        patch.setenv("FUZZ_API_KEY", "correct horse battery staple")
        yield

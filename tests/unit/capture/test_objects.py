"""What crewAI's objects say and its events do not: whatever they are."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from pytest_crewai_trace.capture.objects import in_cache, is_router, limit_of


class Hostile:
    def __getattr__(self, name):
        raise RuntimeError(name)


class Marked:
    def judge(self):
        """As crewAI 1.13 marks it."""

    judge.__is_router__ = True  # type: ignore[attr-defined]

    def draft(self):
        """Not marked."""


class Defined:
    @classmethod
    def flow_definition(cls):
        return SimpleNamespace(methods={"judge": SimpleNamespace(router=True), "draft": SimpleNamespace(router=False)})


@pytest.mark.parametrize("flow", [Marked(), Defined()])
def test_routers(flow):
    assert is_router(flow, "judge")
    assert not is_router(flow, "draft")
    assert not is_router(flow, "nowhere")
    assert not is_router(flow, None)


@pytest.mark.parametrize("source", [None, 3, Hostile(), MagicMock(), object()], ids=range(5))
def test_s59_anything_may_be_a_source(source):
    assert is_router(source, "judge") is False
    assert in_cache({"tool_name": "search", "tool_args": {"a": {1, 2}}}, source) in (False, True)
    assert in_cache({}, source) is False


def test_what_is_in_the_cache():
    kept = {("search", '{"query": "AI"}'): "found", ("now", ""): "then"}
    cache = SimpleNamespace(read=lambda **key: kept.get((key["tool"], key["input"])))
    source = SimpleNamespace(tools_handler=SimpleNamespace(cache=cache))

    assert in_cache({"tool_name": "search", "tool_args": {"query": "AI"}}, source)
    assert in_cache({"tool_name": "now", "tool_args": {}}, source)
    assert not in_cache({"tool_name": "search", "tool_args": {"query": "ML"}}, source)
    assert not in_cache({"tool_name": "search", "tool_args": '{"query": "AI"}'}, source)


@pytest.mark.parametrize(("value", "limit"), [(25, 25), (0, 0), (None, None), ("25", None), (True, None), (2.5, None)])
def test_limits(value, limit):
    assert limit_of(value) == limit

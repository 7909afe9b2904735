"""``from pytest_crewai_trace import ...``: all that is promised, and nothing loaded before it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pytest_crewai_trace


@pytest.mark.parametrize("name", pytest_crewai_trace.__all__)
def test_each_name_is_there(name):
    thing = getattr(pytest_crewai_trace, name)

    assert thing.__name__ == name
    assert thing.__module__.startswith("pytest_crewai_trace.")
    assert thing.__doc__


def test_the_names_are_those_that_are_promised():
    assert sorted(pytest_crewai_trace.__all__) == pytest_crewai_trace.__all__
    assert {"Trace", "Span", "ToolCall", "Usage", "Error", "SpanEvent"} <= {*pytest_crewai_trace.__all__}
    everything: dict[str, object] = {}
    exec("from pytest_crewai_trace import *", everything)
    assert {*pytest_crewai_trace.__all__} <= {*everything}


@pytest.mark.parametrize("name", ["Trase", "trace_", "expect_", "_x"])
def test_an_unknown_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=f"module 'pytest_crewai_trace' has no attribute '{name}'"):
        getattr(pytest_crewai_trace, name)
    with pytest.raises(ImportError, match=f"cannot import name '{name}'"):
        exec(f"from pytest_crewai_trace import {name}")


def loaded_after(code: str) -> set[str]:
    listed = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in listed.stdout.split()}


def test_importing_the_package_loads_nothing():
    """S01"""
    heavy = {"crewai", "pydantic", "httpx", "vcr", "syrupy", "genai_prices", "wrapt", "pytest"}

    assert not heavy & loaded_after("import pytest_crewai_trace")
    assert not heavy & loaded_after("from pytest_crewai_trace import SpanLookupError")


def test_a_trace_is_data():
    """``trace/`` is the ground floor: nothing of pytest, crewAI or the network."""
    heavy = {"crewai", "httpx", "vcr", "syrupy", "genai_prices", "wrapt", "pytest"}
    code = "from pytest_crewai_trace import Trace; t = Trace.from_json(Trace().to_json()); t.render()"

    assert not heavy & loaded_after(code)
    assert "pydantic" in loaded_after(code)

"""Calls at the first import of a module."""

from __future__ import annotations

import importlib
import sys

import pytest

from pytest_crewai_trace.imports import when_imported


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that has not been imported."""
    (tmp_path / "imported_once_by_a_test.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "imported_once_by_a_test"
    sys.modules.pop("imported_once_by_a_test", None)


def test_called_with_the_module_once_it_is_there(module):
    seen = []
    when_imported(module, seen.append)
    assert not seen

    imported = importlib.import_module(module)
    assert seen == [imported]

    when_imported(module, seen.append)
    assert seen == [imported, imported]


def test_s49_after_an_inner_run_has_put_the_import_system_back(module, monkeypatch):
    when_imported("some_module_that_is_never_imported", print)
    without = [finder for finder in sys.meta_path if "ImportHookFinder" not in type(finder).__name__]
    monkeypatch.setattr(sys, "meta_path", without)
    seen = []

    when_imported(module, seen.append)

    assert [importlib.import_module(module)] == seen

"""S13: which folder crewAI's storage is, test by test; crewAI itself is not needed for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_crewai_trace.capture.storage import OURS, VARIABLE, Folders, Storage


@pytest.fixture
def folders(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(OURS, raising=False)
    folders = Folders(Storage())
    folders.start()
    yield folders
    folders.stop()
    assert VARIABLE not in os.environ


def begun(folders):
    folders.begin()
    return os.environ[VARIABLE]


def test_a_test_that_wrote_nothing_leaves_its_folder_to_the_next(folders):
    session = os.environ[VARIABLE]
    first = begun(folders)
    folders.end(unused=True)
    assert begun(folders) == first != session


def test_crews_and_files_use_a_folder_up(folders):
    session = os.environ[VARIABLE]
    first = begun(folders)
    folders.end(unused=False)
    assert os.environ[VARIABLE] == session
    second = begun(folders)
    Path(second).mkdir()
    folders.end(unused=True)
    assert os.environ[VARIABLE] == session
    assert len({session, first, second, begun(folders)}) == 4


def test_what_writes_between_two_tests_is_not_met_by_the_second(folders):
    first = begun(folders)
    folders.end(unused=True)
    Path(first).mkdir()
    assert begun(folders) != first


def test_a_test_that_is_not_traced_has_the_folder_of_the_session(folders):
    session = os.environ[VARIABLE]
    begun(folders)
    folders.end(unused=True)
    folders.leave()
    assert os.environ[VARIABLE] == session


def test_an_emptied_environment_is_filled_again(folders):
    first = begun(folders)
    folders.end(unused=True)
    del os.environ[VARIABLE], os.environ[OURS]
    assert begun(folders) != first


def test_a_folder_that_the_user_sets_between_two_tests_stays(folders, monkeypatch):
    begun(folders)
    folders.end(unused=True)
    monkeypatch.setenv(VARIABLE, "/mine")
    assert begun(folders) == "/mine"
    folders.end(unused=False)
    assert os.environ[VARIABLE] == "/mine"
    monkeypatch.delenv(VARIABLE)

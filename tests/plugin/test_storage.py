"""S13: what crewAI writes while a test is traced goes to a folder of the test's own, which is gone afterwards."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

NOTES_FOLDERS = """
import json, os
from pathlib import Path
import pytest

@pytest.fixture(autouse=True)
def note(request):
    yield
    with Path(__file__).with_name("folders").open("a") as notes:
        folder = os.environ.get("CREWAI_STORAGE_DIR")
        files = sorted(path.name for path in Path(folder).rglob("*.db")) if folder else []
        print(json.dumps([request.node.name, folder, files]), file=notes)
"""


def folders(project):
    lines = (project.path / "folders").read_text().splitlines()
    return {name: (folder, files) for name, folder, files in map(json.loads, lines)}


def test_s13_each_test_has_its_own(crews, monkeypatch):
    home = crews.path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    crews.write("conftest.py", NOTES_FOLDERS)
    crews.tests("""
        def test_one(): run()

        def test_two(): run()

        def test_three(): pass

        @pytest.mark.crewai_trace(enabled=False)
        def test_four(): pass
        """)

    crews.run("--crewai-trace").assert_outcomes(passed=4)

    found = folders(crews)
    own = [found[f"test_{name}"][0] for name in ("one", "two", "three", "four")]  # the last one is the session's
    assert len(set(own)) == 4
    assert found["test_one"][1] == found["test_two"][1] == ["latest_kickoff_task_outputs.db"]
    assert found["test_three"][1] == []
    assert not any(Path(folder).parent.exists() for folder in own)
    assert not home.exists()
    assert "CREWAI_STORAGE_DIR" not in os.environ


def test_s13_each_attempt_has_its_own(crews):
    pytest.importorskip("pytest_rerunfailures")
    crews.tests("""
        folders = []

        def test_one(crewai_trace):
            folders.append(os.environ["CREWAI_STORAGE_DIR"])
            assert not os.path.exists(folders[-1])
            run()
            assert len(set(folders)) == 2
        """)

    result = crews.run("-p", "pytest_rerunfailures", "--reruns", "1")

    result.assert_outcomes(passed=1)
    assert len(crews.captured) == 2


def test_s13_a_folder_that_the_user_has_set_stays(crews, monkeypatch):
    mine = crews.path / "mine"
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(mine))
    crews.write("conftest.py", NOTES_FOLDERS)
    crews.tests("def test_one(crewai_trace): run()")

    crews.run().assert_outcomes(passed=1)

    assert folders(crews)["test_one"] == (str(mine), ["latest_kickoff_task_outputs.db"])
    assert (mine / "latest_kickoff_task_outputs.db").exists()


def test_s13_a_session_that_is_broken_off_leaves_nothing(crews):
    crews.tests("""
        def test_one(crewai_trace):
            run()
            folder = os.environ["CREWAI_STORAGE_DIR"]
            assert os.path.exists(folder)
            with open("folder", "w") as told:
                told.write(folder)
            raise KeyboardInterrupt
        """)

    crews.run(no_reraise_ctrlc=True)

    assert not Path((crews.path / "folder").read_text()).parent.exists()
    assert "CREWAI_STORAGE_DIR" not in os.environ

"""docs/ci.md: the workflows are valid YAML, and what their last jobs run makes one folder and one viewer of shards."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.spans import trace
from tests.support.viewer import BEFORE, RUN, Folder, call, content

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text("utf-8")
GITHUB, GITLAB = (yaml.safe_load(block) for block in re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE))
MERGE = [
    pytest.param(
        next(step["run"] for step in GITHUB["jobs"]["traces"]["steps"] if "merge" in str(step)), "shards", id="GitHub"
    ),
    pytest.param(GITLAB["traces"]["script"][-1], "traces", id="GitLab"),
]


@pytest.mark.skipif(os.name != "posix", reason="a script for the shell of the CI's machines")
@pytest.mark.parametrize(("script", "folder"), MERGE)
def test_two_shards_in_one_viewer(tmp_path, script, folder):
    for shard, run, test in (("0", BEFORE, "test_a"), ("1", RUN, "test_b")):
        Folder(tmp_path / folder / shard / "traces").keep(f"t.py::{test}", "failed", trace(call(test)), run=run)

    said = run_script(script, tmp_path)

    assert "2 traces of 2 runs in merged" in said
    tests = content(tmp_path / "traces.html")["run"]["tests"]
    assert [test["id"] for test in tests] == ["t.py::test_a", "t.py::test_b"]


@pytest.mark.skipif(os.name != "posix", reason="a script for the shell of the CI's machines")
@pytest.mark.parametrize(("script", "folder"), MERGE)
def test_nothing_failed(tmp_path, script, folder):
    (tmp_path / folder).mkdir()

    assert run_script(script, tmp_path) == ""
    assert not (tmp_path / "traces.html").exists()


def run_script(script: str, here: Path) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    shell = ["bash", "-e", "-c", script]
    return subprocess.run(
        shell, cwd=here, env={**os.environ, "PATH": path}, check=True, capture_output=True, text=True
    ).stdout


def test_what_the_last_job_hands_on_is_what_it_wrote():
    """The folder and the viewer are in the artifact, and the job's summary leads to it."""
    upload, link = GITHUB["jobs"]["traces"]["steps"][-2:]
    assert upload["with"]["path"].split() == GITLAB_PATHS == ["merged", "traces.html"]
    assert f"steps.{upload['id']}.outputs.artifact-url" in link["run"]


GITLAB_PATHS = [path.rstrip("/") for path in GITLAB["traces"]["artifacts"]["paths"]]

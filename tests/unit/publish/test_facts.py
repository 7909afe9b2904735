"""What a published trace says of its test."""

from __future__ import annotations

import subprocess

import pytest

from pytest_crewai_trace.publish.content import Cleaner
from pytest_crewai_trace.publish.facts import cleaned, facts_of
from pytest_crewai_trace.store.attempt import Attempt
from pytest_crewai_trace.store.clean import Cleaning
from pytest_crewai_trace.store.surroundings import ci, git, repository, without_credentials
from pytest_crewai_trace.trace.trace import Trace

SERVERS = {
    "GitHub Actions": {
        "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "owner/name",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_HEAD_REF": "topic",
        "GITHUB_REF_NAME": "12/merge",
        "GITHUB_SHA": "abc",
        "GITHUB_WORKFLOW": "tests",
        "GITHUB_JOB": "unit",
        "GITHUB_RUN_ID": "17",
    },
    "GitLab CI": {
        "GITLAB_CI": "true",
        "CI_PROJECT_PATH": "owner/name",
        "CI_COMMIT_REF_NAME": "topic",
        "CI_COMMIT_SHA": "abc",
        "CI_PIPELINE_NAME": "tests",
        "CI_JOB_NAME": "unit",
        "CI_PIPELINE_ID": "17",
        "CI_JOB_URL": "https://user:secret@gitlab.com/owner/name/-/jobs/1",
    },
    "CircleCI": {
        "CIRCLECI": "true",
        "CIRCLE_REPOSITORY_URL": "https://user:secret@github.com/owner/name.git",
        "CIRCLE_BRANCH": "topic",
        "CIRCLE_SHA1": "abc",
        "CIRCLE_PROJECT_REPONAME": "tests",
        "CIRCLE_JOB": "unit",
        "CIRCLE_BUILD_NUM": "17",
        "CIRCLE_BUILD_URL": "https://circleci.com/17",
    },
    "Jenkins": {
        "JENKINS_URL": "https://jenkins",
        "GIT_URL": "git@github.com:owner/name.git",
        "GIT_BRANCH": "topic",
        "GIT_COMMIT": "abc",
        "JOB_NAME": "tests",
        "STAGE_NAME": "unit",
        "BUILD_NUMBER": "17",
        "BUILD_URL": "https://jenkins/17",
    },
    "Buildkite": {
        "BUILDKITE": "true",
        "BUILDKITE_REPO": "https://secret@github.com/owner/name",
        "BUILDKITE_BRANCH": "topic",
        "BUILDKITE_COMMIT": "abc",
        "BUILDKITE_PIPELINE_SLUG": "tests",
        "BUILDKITE_LABEL": "unit",
        "BUILDKITE_BUILD_NUMBER": "17",
        "BUILDKITE_BUILD_URL": "https://buildkite.com/17",
    },
    "Azure Pipelines": {
        "TF_BUILD": "True",
        "BUILD_REPOSITORY_URI": "https://dev.azure.com/owner/_git/name",
        "BUILD_SOURCEBRANCHNAME": "topic",
        "BUILD_SOURCEVERSION": "abc",
        "BUILD_DEFINITIONNAME": "tests",
        "AGENT_JOBNAME": "unit",
        "BUILD_BUILDID": "17",
        "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev.azure.com/owner/",
        "SYSTEM_TEAMPROJECT": "project",
    },
}


@pytest.mark.parametrize("name", SERVERS)
def test_each_ci(name, tmp_path):
    attempt = Attempt(test_id="test_it.py::TestX::test_one", outcome="failed", ci=ci(SERVERS[name]))

    found = facts_of(attempt, Trace(), tmp_path)

    assert found["crewai.ci.name"] == name
    assert found["vcs.ref.head.revision"] == "abc"
    assert found["vcs.ref.head.name"] == "topic"
    assert found["vcs.repository.name"] in ("owner/name", "name")
    assert found["cicd.pipeline.name"] == "tests"
    assert found["cicd.pipeline.task.name"] == "unit"
    assert found["cicd.pipeline.run.id"] == "17"
    assert found["cicd.pipeline.run.url.full"].startswith("https://")
    assert "secret" not in str(found)


def test_the_test_itself(tmp_path):
    attempt = Attempt(test_id="test_it.py::TestX::test_one", outcome="xfailed", message="boom")

    found = facts_of(attempt, Trace(), tmp_path)

    assert found["test.case.name"] == "test_it.py::TestX::test_one"
    assert found["test.suite.name"] == "test_it.py::TestX"
    assert (found["test.case.result.status"], found["crewai.test.outcome"]) == ("pass", "xfailed")
    assert found["crewai.test.message"] == "boom"


@pytest.mark.parametrize(
    ("remote", "shown"),
    [
        ("https://github.com/owner/name.git", "https://github.com/owner/name"),
        ("https://token@github.com/owner/name.git", "https://github.com/owner/name"),
        ("https://user:pa%40ss@github.com/owner/name", "https://github.com/owner/name"),
        ("https://user:p@ss@github.com/owner/name", "https://github.com/owner/name"),
        ("https://github.com/owner/name?token=secret#x", "https://github.com/owner/name"),
        ("ssh://git@github.com:22/owner/name.git", "ssh://github.com:22/owner/name"),
        ("git@github.com:owner/name.git", "github.com:owner/name"),
        ("/home/somebody/name", None),
        ("C:\\repos\\name", None),
        ("file:///srv/name", None),
        ("", None),
        ("https://", None),
    ],
)
def test_s72_the_repository_without_credentials(remote, shown):
    """S72: an address may hold a token."""
    assert without_credentials(remote) == shown


def run_git(folder, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_s72_a_detached_shallow_clone(tmp_path):
    origin, folder = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    run_git(origin, "init", "-q")
    for number in range(2):
        run_git(origin, "commit", "-q", "--allow-empty", "-m", str(number))
    run_git(tmp_path, "clone", "-q", "--depth=1", origin.as_uri(), str(folder))
    run_git(folder, "checkout", "-q", "--detach")
    run_git(folder, "remote", "set-url", "origin", "https://user:secret@example.com/o/r.git")

    assert run_git(folder, "rev-parse", "--is-shallow-repository") == "true"
    assert repository(folder) == "https://example.com/o/r"
    assert git(folder) == {"commit": run_git(origin, "rev-parse", "HEAD")}


def test_s72_no_repository_and_no_git(tmp_path, monkeypatch):
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert repository(tmp_path) is None
    assert git(tmp_path) == {}

    monkeypatch.setenv("PATH", str(inside))
    assert repository(inside) is None
    assert git(inside) == {}


def test_values_that_have_no_place_in_otlp():
    given = {"a": float("nan"), "b": 2**70, "c": True, "d": "x" * 20_000, "e": "sk-proj-abcdefgh12345678"}

    found = cleaned(given, Cleaner(Cleaning(), "redacted"))

    assert found["a"] == "nan"
    assert found["b"] == hex(2**70)
    assert found["c"] is True
    assert len(found["d"]) == 10_000
    assert "sk-proj" not in found["e"]

"""Where a run took place: versions, git, CI. Nothing that is not there is an error."""

from __future__ import annotations

import functools
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pytest_crewai_trace.installed import version_of

_PACKAGES = ("pytest", "crewai", "pytest-crewai-trace")
_GIT_SECONDS = 3.0
_USER_INFO = re.compile(r"(?<=://)[^/@\s]*@")

# What each CI calls it: the variable that says that it is there, then what we call what it says; the first that is set.
_CI: dict[str, tuple[str, dict[str, str]]] = {
    "GitHub Actions": (
        "GITHUB_ACTIONS",
        {
            "repository": "GITHUB_REPOSITORY",
            "branch": "GITHUB_HEAD_REF GITHUB_REF_NAME",  # of a pull request, of anything else
            "commit": "GITHUB_SHA",
            "pipeline": "GITHUB_WORKFLOW",
            "job": "GITHUB_JOB",
            "run": "GITHUB_RUN_ID",
        },
    ),
    "GitLab CI": (
        "GITLAB_CI",
        {
            "repository": "CI_PROJECT_PATH",
            "branch": "CI_COMMIT_REF_NAME",
            "commit": "CI_COMMIT_SHA",
            "pipeline": "CI_PIPELINE_NAME CI_PROJECT_NAME",
            "job": "CI_JOB_NAME",
            "run": "CI_PIPELINE_ID",
            "url": "CI_JOB_URL",
        },
    ),
    "CircleCI": (
        "CIRCLECI",
        {
            "repository": "CIRCLE_REPOSITORY_URL",
            "branch": "CIRCLE_BRANCH",
            "commit": "CIRCLE_SHA1",
            "pipeline": "CIRCLE_PROJECT_REPONAME",
            "job": "CIRCLE_JOB",
            "run": "CIRCLE_BUILD_NUM",
            "url": "CIRCLE_BUILD_URL",
        },
    ),
    "Azure Pipelines": (
        "TF_BUILD",
        {
            "repository": "BUILD_REPOSITORY_URI",
            "branch": "BUILD_SOURCEBRANCHNAME",
            "commit": "BUILD_SOURCEVERSION",
            "pipeline": "BUILD_DEFINITIONNAME",
            "job": "AGENT_JOBNAME",
            "run": "BUILD_BUILDID",
        },
    ),
    "Buildkite": (
        "BUILDKITE",
        {
            "repository": "BUILDKITE_REPO",
            "branch": "BUILDKITE_BRANCH",
            "commit": "BUILDKITE_COMMIT",
            "pipeline": "BUILDKITE_PIPELINE_SLUG",
            "job": "BUILDKITE_LABEL",
            "run": "BUILDKITE_BUILD_NUMBER",
            "url": "BUILDKITE_BUILD_URL",
        },
    ),
    "Jenkins": (
        "JENKINS_URL",
        {
            "repository": "GIT_URL",
            "branch": "CHANGE_BRANCH BRANCH_NAME GIT_BRANCH",
            "commit": "GIT_COMMIT",
            "pipeline": "JOB_NAME",
            "job": "STAGE_NAME",
            "run": "BUILD_NUMBER",
            "url": "BUILD_URL",
        },
    ),
}


@functools.cache
def versions() -> dict[str, str]:
    """Of Python, the platform and the packages that matter."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}".strip()}
    for package in _PACKAGES:
        if (version := version_of(package)) is not None:
            found[package] = version
    return found


@functools.lru_cache(maxsize=8)
def git(folder: Path) -> dict[str, str]:
    """``commit`` and ``branch`` of the working tree that a folder is in; its remotes, which may hold credentials, are
    not looked at.
    """
    said = (_git(folder, "rev-parse", "HEAD"), _git(folder, "symbolic-ref", "--short", "HEAD"))
    return {name: text for name, text in zip(("commit", "branch"), said, strict=True) if text}


@functools.lru_cache(maxsize=8)
def repository(folder: Path) -> str | None:
    """Where the working tree was cloned from, without credentials; ``None`` for a folder of a machine."""
    return without_credentials(_git(folder, "config", "--get", "remote.origin.url"))


def without_credentials(remote: str) -> str | None:
    """The address of a repository, without user, password and query."""
    url = re.fullmatch(r"(https?|ssh|git)://(?:[^/@\s]*@)*([^/@\s?#]+)(/[^\s?#]*)?(?:[?#].*)?", remote)
    if url is not None:
        return f"{url[1]}://{url[2]}{(url[3] or '').removesuffix('.git')}"
    scp = re.fullmatch(r"(?:[^/@\s]*@)+([\w.-]{2,}:[^\s?#]+?)(?:\.git)?", remote)
    return None if scp is None else scp[1]


def _git(folder: Path, *question: str) -> str:
    """What git says; nothing where it says nothing, or is not there."""
    command = ["git", *question]
    try:
        answer = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.decode("utf-8", "replace").strip() if answer.returncode == 0 else ""


def ci(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``name`` of the CI that this runs in and what it says of the job; nothing elsewhere."""
    for name, (variable, told) in _CI.items():
        if environ.get(variable, "").lower() in ("", "false", "0"):
            continue
        facts = {
            what: next((environ[source] for source in sources.split() if environ.get(source)), "")
            for what, sources in told.items()
        }
        if name == "GitHub Actions":
            facts["url"] = _filled(environ, "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}")
        elif name == "Azure Pipelines":
            facts["url"] = _filled(
                environ,
                "{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",
            )
        facts = {what: fact for what, fact in facts.items() if fact}
        return {"name": name, **{what: _USER_INFO.sub("", fact)[:500] for what, fact in facts.items()}}
    return {"name": "CI"} if environ.get("CI", "").lower() not in ("", "false", "0") else {}


def _filled(environ: Mapping[str, str], pattern: str) -> str:
    """A text with the variables that it names; nothing where one is not set."""
    try:
        return pattern.format_map(environ)
    except KeyError:
        return ""

"""Where a run took place: versions, git, CI. Nothing that is not there is an error."""

from __future__ import annotations

import functools
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("pytest", "crewai", "pytest-crewai-trace")
_GIT_SECONDS = 3.0
_USER_INFO = re.compile(r"(?<=://)[^/@\s]*@")

# What each CI calls it: the variable that says that it is there, then what we call what it says.
_CI: dict[str, tuple[str, dict[str, str]]] = {
    "GitHub Actions": (
        "GITHUB_ACTIONS",
        {
            "repository": "GITHUB_REPOSITORY",
            "branch": "GITHUB_REF_NAME",
            "commit": "GITHUB_SHA",
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
            "job": "CI_JOB_NAME",
            "run": "CI_PIPELINE_ID",
            "url": "CI_JOB_URL",
        },
    ),
    "CircleCI": ("CIRCLECI", {"branch": "CIRCLE_BRANCH", "commit": "CIRCLE_SHA1", "url": "CIRCLE_BUILD_URL"}),
    "Azure Pipelines": ("TF_BUILD", {"branch": "BUILD_SOURCEBRANCHNAME", "commit": "BUILD_SOURCEVERSION"}),
    "Buildkite": (
        "BUILDKITE",
        {"branch": "BUILDKITE_BRANCH", "commit": "BUILDKITE_COMMIT", "url": "BUILDKITE_BUILD_URL"},
    ),
    "Jenkins": ("JENKINS_URL", {"branch": "BRANCH_NAME", "commit": "GIT_COMMIT", "url": "BUILD_URL"}),
}


@functools.cache
def versions() -> dict[str, str]:
    """Of Python, the platform and the packages that matter."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}".strip()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@functools.lru_cache(maxsize=8)
def git(folder: Path) -> dict[str, str]:
    """``commit`` and ``branch`` of the working tree that a folder is in; its remotes, which may hold credentials, are
    not looked at.
    """
    said = []
    for question in (("rev-parse", "HEAD"), ("symbolic-ref", "--short", "HEAD")):
        try:
            answer = subprocess.run(
                ["git", *question],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_GIT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return {}
        text = answer.stdout.decode("utf-8", "replace").strip()
        said.append(text if answer.returncode == 0 else "")
    return {name: text for name, text in zip(("commit", "branch"), said, strict=True) if text}


def ci(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``name`` of the CI that this runs in and what it says of the job; nothing elsewhere."""
    for name, (variable, told) in _CI.items():
        if environ.get(variable, "").lower() in ("", "false", "0"):
            continue
        facts = {what: environ[source] for what, source in told.items() if environ.get(source)}
        server, repository, run = (environ.get(f"GITHUB_{part}") for part in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
        if name == "GitHub Actions" and server and repository and run:
            facts["url"] = f"{server}/{repository}/actions/runs/{run}"
        return {"name": name, **{what: _USER_INFO.sub("", fact)[:500] for what, fact in facts.items()}}
    return {"name": "CI"} if environ.get("CI", "").lower() not in ("", "false", "0") else {}

"""Homes and projects of users of crewAI, for child processes."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]


def log_in(home: Path) -> None:
    """A saved ``crewai login`` and the consent to tracing, as crewAI keeps them."""
    from cryptography.fernet import Fernet

    credentials, key = home / ".local/share/crewai/credentials", Fernet.generate_key()
    credentials.mkdir(parents=True)
    (credentials / "secret.key").write_bytes(key)
    login = {"access_token": "saved", "expiration": (datetime.now() + timedelta(days=1)).isoformat()}  # noqa: DTZ005 - as crewAI writes it
    (credentials / "tokens.enc").write_bytes(Fernet(key).encrypt(json.dumps(login).encode()))
    consent = home / ".local/share/project/.crewai_user.json"
    consent.parent.mkdir(parents=True)
    consent.write_text(json.dumps({"first_execution_done": True, "trace_consent": True}))


def make_home(root: Path, *, fresh: bool) -> Path:
    home, project = root / "home", root / "project"
    home.mkdir(parents=True)
    project.mkdir()
    if not fresh:
        log_in(home)
        (project / ".env").write_text("CREWAI_TRACING_ENABLED=true\nCREWAI_USER_PAT=pat\n")
    return project


def environment_of(home: Path, url: str) -> dict[str, str]:
    """The environment of a child, with AMP at ``url``."""
    foreign = ("CREWAI", "OTEL", "CI", "XDG", "PYTEST")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "CREWAI_PLUS_URL": url}
    environment["OPENAI_API_KEY"] = "none"  # nobody calls it; the default knowledge client wants one
    return environment


def on_pipe(command: list[str], folder: Path, environment: dict[str, str], *, timeout: float = 300) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=timeout
    )
    return done.stdout + done.stderr

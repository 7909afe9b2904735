"""Time that passes when somebody waits for it, and a delivery to a server."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pytest

from pytest_crewai_trace.publish.amp import Amp as Client
from pytest_crewai_trace.publish.credentials import Access, Credential
from pytest_crewai_trace.publish.retry import Timing
from tests.support.envelopes import parcels

CREDENTIAL = Credential("secret-canary", "the token in CREWAI_USER_PAT", "set it to a valid personal access token")


@dataclass
class Clock:
    """Goes with real time, and on where somebody waits: ``pauses`` are the waits, in seconds."""

    ahead: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def wait(self, event: threading.Event, seconds: float) -> None:
        self.pauses.append(round(seconds, 2))
        self.ahead += seconds

    @property
    def timing(self) -> Timing:
        return Timing(clock=lambda: time.monotonic() + self.ahead, wait=self.wait, jitter=lambda: 1.0)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def deliver(clock):
    """Sends envelopes to a URL, on one connection unless told otherwise."""

    def run(url, *envelopes, access=None, progress=None, on_result=None, on_progress=None, **options):
        client = Client(
            access or Access(url, CREDENTIAL, "org-canary"), **{"connections": 1, "timing": clock.timing, **options}
        )
        told = {"on_result": on_result, "on_progress": on_progress}
        return client.send(
            parcels(*envelopes, progress=progress), **{name: one for name, one in told.items() if one is not None}
        )

    return run


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

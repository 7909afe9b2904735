"""What sending the traces of a run to AMP takes, where each answer takes 50 ms, and what importing the client costs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from benchmarks.measure import Spread, Table, verdict
from benchmarks.startup import ROOT, python
from pytest_crewai_trace.publish import outbox
from pytest_crewai_trace.publish.amp import Amp
from pytest_crewai_trace.publish.credentials import Access, Credential
from pytest_crewai_trace.publish.sending import Sending
from tests.support.envelopes import envelope

TRACES, SPANS = 500, 100
LATENCY = 0.05  # seconds
CONNECTIONS = 4
MOST_SECONDS = 15.0
MOST_IMPORT = 1.0  # seconds
_IMPORT = """
import json, sys, time
began = time.process_time()
import pytest_crewai_trace.cli.publish, pytest_crewai_trace.publish.run
from pytest_crewai_trace.publish.credentials import find_access
find_access({"CREWAI_USER_PAT": "x"})
print(json.dumps([time.process_time() - began, "crewai" in sys.modules]))
"""


def tables(*, rounds: int) -> Iterator[Table]:
    yield _sending()
    yield _importing(rounds=rounds)


def _sending() -> Table:
    found = Table(
        f"Publishing {TRACES} traces of {SPANS} spans",
        ("", "seconds", f"under {MOST_SECONDS:g} s"),
        f"Time on the wall, from files on disk to the records of what was sent, with a server in another process that"
        f" takes {LATENCY * 1e3:.0f} ms for every answer:"
        f" {2 * TRACES * LATENCY / CONNECTIONS:.1f} s of waiting for {2 * TRACES:,} answers.",
    )
    with tempfile.TemporaryDirectory() as place, _server() as url:
        for number in range(TRACES):
            made = envelope(number, SPANS, test={"test.case.name": f"test_{number}", "test.case.result.status": "pass"})
            Path(place, f"{number}.passed.envelope.json").write_text(made.dump(), encoding="utf-8")
        sending = Sending(
            Access(url, Credential("token", "the token", "")),
            seconds=10 * MOST_SECONDS,
            client=partial(Amp, connections=CONNECTIONS),
        )
        began, cpu = time.perf_counter(), time.process_time()
        outcome = sending.send(outbox.find([Path(place)]))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        bare = _bare(url)
    assert len(outcome.posted) == TRACES
    assert outcome.complete, outcome.stopped
    found.add(f"publishing on {CONNECTIONS} connections", f"{seconds:.1f}", verdict(seconds, MOST_SECONDS))
    found.add("of it, CPU of this process", f"{cpu:.1f}", "")
    found.add(f"as many bare requests of httpx in {CONNECTIONS} threads", f"{bare:.1f}", "")
    return found


def _bare(url: str) -> float:
    def ask(client: httpx.Client) -> None:
        for _ in range(2 * TRACES // CONNECTIONS):
            client.get(url)

    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(ask, [httpx.Client() for _ in range(CONNECTIONS)]))
    return time.perf_counter() - began


@contextmanager
def _server() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.publish"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.communicate("")


def _importing(*, rounds: int) -> Table:
    found = Table(
        "Importing the command that publishes",
        ("", "seconds of CPU", f"under {MOST_IMPORT:g} s, without crewAI"),
        f"{rounds} processes, with the look for a credential.",
    )
    taken, crewai = [], False
    with tempfile.TemporaryDirectory() as place:
        for number in range(rounds + 1):
            seconds, crewai = json.loads(python("-c", _IMPORT, folder=Path(place)).stdout)
            if number:
                taken.append(seconds)
    spread = Spread.of(taken)
    found.add("the command that publishes", spread.show(1, 2), "NO" if crewai else verdict(spread.median, MOST_IMPORT))
    return found


def _serve() -> None:
    from tests.support.amp import Amp as Server

    with Server(latency=LATENCY) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve()

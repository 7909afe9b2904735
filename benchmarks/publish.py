"""What sending the traces of a run to AMP takes, where each answer takes 50 ms, and what importing the client costs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.measure import Spread, Table, verdict
from benchmarks.startup import ROOT, python
from pytest_crewai_trace.publish.amp import Amp
from pytest_crewai_trace.publish.credentials import Access, Credential
from pytest_crewai_trace.publish.delivery import Parcel
from pytest_crewai_trace.publish.envelope import Envelope
from tests.support.envelopes import envelope

TRACES, SPANS = 500, 100
LATENCY = 0.05  # seconds
CONNECTIONS = 4
MOST_SECONDS = 15.0
MOST_IMPORT = 1.0  # seconds
LEAST_TIMES = 4.0  # as fast as one after the other
MOST_GROWTH = 1.5  # of memory, from few traces to many
_OF_PEERS = 60  # traces that the peers send: they are as slow with each
_FEW, _MANY = 20, 100
_IMPORT = """
import json, sys, time
began = time.process_time()
import pytest_crewai_trace.publish.run
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
        f"Time on the wall, from files on disk, to a server in another process that takes {LATENCY * 1e3:.0f} ms for"
        f" every answer: {2 * TRACES * LATENCY / CONNECTIONS:.1f} s of waiting for {2 * TRACES:,} answers.",
    )
    with tempfile.TemporaryDirectory() as place, _server() as url:
        for number in range(TRACES):
            made = envelope(number, SPANS, test={"test.case.name": f"test_{number}", "test.case.result.status": "pass"})
            Path(place, f"{number}.json").write_text(made.dump(), encoding="utf-8")
        parcels = [
            Parcel(path.name, lambda path=path: Envelope.load(path.read_bytes())) for path in Path(place).iterdir()
        ]
        client = Amp(
            Access(url, Credential("token", "the token", "")), connections=CONNECTIONS, total_timeout=10 * MOST_SECONDS
        )
        began, cpu = time.perf_counter(), time.process_time()
        delivery = client.send(parcels)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        bare = _bare(url)
        serial = _serial(url, parcels[:_OF_PEERS]) / _OF_PEERS * TRACES
        otlp = _otlp(url, parcels[:_OF_PEERS]) / _OF_PEERS * TRACES
        few, many = _memory(url, parcels[:_FEW]), _memory(url, parcels[:_MANY])
    assert all(sent.state == "sent" for sent in delivery.results), delivery.stopped
    found.add(f"publishing on {CONNECTIONS} connections", f"{seconds:.1f}", verdict(seconds, MOST_SECONDS))
    found.add("of it, CPU of this process", f"{cpu:.1f}", "")
    found.add(f"as many bare requests of httpx in {CONNECTIONS} threads", f"{bare:.1f}", "")
    found.add(f"httpx with one client, one after the other (of {_OF_PEERS})", f"{serial:.1f}", "")
    found.add(f"OTLPSpanExporter, one after the other (of {_OF_PEERS})", f"{otlp:.1f}", "")
    found.add(f"memory at most, MB: {_FEW} traces", f"{few / 1e6:.1f}", "")
    found.add(f"memory at most, MB: {_MANY} traces", f"{many / 1e6:.1f}", "")
    found.promise(
        f"publishing {TRACES} traces, {LATENCY * 1e3:.0f} ms server",
        f"{seconds:.1f} s, {serial / seconds:.1f} times as fast;"
        f" {few / 1e6:.1f} MB for {_FEW}, {many / 1e6:.1f} for {_MANY}",
        f"serial httpx with one client {serial:.0f} s; OTLPSpanExporter {otlp:.0f} s (its spans only)",
        f"{LEAST_TIMES:.0f} times as fast; memory flat",
        met=serial / seconds >= LEAST_TIMES and many <= few * MOST_GROWTH,
    )
    return found


def _serial(url: str, parcels: list[Parcel]) -> float:
    """The same two requests a trace, with the same bodies."""
    began = time.perf_counter()
    with httpx.Client(timeout=30) as client:
        for parcel in parcels:
            envelope = parcel.load()
            grant = {"execution_uuid": envelope.execution_uuid, "include_trace_url": True}
            client.post(f"{url}/crewai_plus/api/v1/tracing/grants", json=grant)
            client.post(f"{url}/collector", content=envelope.spans)
    return time.perf_counter() - began


def _otlp(url: str, parcels: list[Parcel]) -> float:
    """OpenTelemetry's exporter, a request a trace, with spans that are already made."""
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider

    tracer = TracerProvider().get_tracer("benchmark")
    made = [
        tracer.start_span(f"span {number}", attributes={"gen_ai.output.messages": "hello"}) for number in range(SPANS)
    ]
    for span in made:
        span.end()
    # An answer that is no success is tried again, after a pause.
    session = requests.Session()
    session.hooks["response"] = [_as_success]
    exporter = OTLPSpanExporter(endpoint=f"{url}/collector", timeout=30, session=session)
    began = time.perf_counter()
    for _ in parcels:
        exporter.export(made)
    return time.perf_counter() - began


def _as_success(response: Any, *args: Any, **options: Any) -> Any:
    response.status_code = 200
    return response


def _memory(url: str, parcels: list[Parcel]) -> int:
    """Bytes that sending holds at the most."""
    access = Access(url, Credential("token", "the token", ""))
    tracemalloc.start()
    try:
        Amp(access, connections=CONNECTIONS, total_timeout=10 * MOST_SECONDS).send(parcels)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


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
        "Importing what publishing needs",
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
    found.add("publishing", spread.show(1, 2), "NO" if crewai else verdict(spread.median, MOST_IMPORT))
    return found


def _serve() -> None:
    from tests.support.amp import Amp as Server

    with Server(latency=LATENCY) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve()

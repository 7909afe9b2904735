"""OTLP JSON of 10,000 spans, beside OpenTelemetry's encoder with protobuf's JSON, and orjson of flat dicts."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import orjson

from benchmarks.expectations import trace_of
from benchmarks.measure import Ratio, Spread, Table, case, interleave, seconds
from pytest_crewai_trace.report.otlp import attributes, resource_spans
from pytest_crewai_trace.store.attempt import Attempt
from pytest_crewai_trace.trace.document import as_json
from pytest_crewai_trace.trace.trace import Trace

SPANS = 10_000
MOST_US = 60.0  # a span
OURS, PROTOBUF, FLAT = "pytest-crewai-trace", "encode_spans and MessageToJson", "orjson of flat dicts"


def table(*, rounds: int) -> Table:
    trace = trace_of("bushy", SPANS)
    attempt = Attempt(test_id="test_a.py::test_it", outcome="passed", run="20260101T000000Z-00000a")
    flat = [
        {"name": span.name, "kind": span.kind, "start": span.start, "end": span.end, **_plain(span)}
        for span in trace.all_spans
    ]
    cases: dict[str, Callable[[], Any]] = {
        OURS: lambda: as_json(resource_spans(attempt, trace)),
        FLAT: lambda: orjson.dumps(flat),
    }
    peer = _protobuf(trace)
    if peer is not None:
        cases[PROTOBUF] = peer
    taken = interleave(rounds, {name: case(function) for name, function in cases.items()})
    made = Table("OTLP JSON", ("", "us a span"), note=f"{SPANS:,} spans with the attributes of the GenAI conventions.")
    for name, cpus in taken.items():
        made.add(name, Spread.of(seconds(cpus)).show(1e6 / SPANS))
    mine = statistics.median(seconds(taken[OURS])) / SPANS * 1e6
    made.promise(
        f"OTLP-JSON export of {SPANS // 1000}k spans",
        f"{mine:.0f} us a span",
        "; ".join(f"{row[0]} {row[1]} us" for row in made.rows[1:]),
        f"under {MOST_US:.0f} us a span",
        met=mine < MOST_US,
        apart=Ratio.of(seconds(taken[OURS]), seconds(taken[PROTOBUF if peer else FLAT])).apart,
    )
    return made


def _plain(span: Any) -> dict[str, Any]:
    return {name: value for name, value in attributes(span).items() if isinstance(value, str | int | float)}


def _protobuf(trace: Trace) -> Callable[[], str] | None:
    try:
        from google.protobuf.json_format import MessageToJson
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError:
        return None
    tracer = TracerProvider().get_tracer("benchmark")
    spans = []
    for span in trace.all_spans:
        made = tracer.start_span(span.name, attributes=_plain(span), start_time=int(span.start * 1e9))
        made.end(int((span.end or span.start) * 1e9))
        spans.append(made)
    return lambda: str(MessageToJson(encode_spans(spans)))

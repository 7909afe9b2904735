"""docs/what-is-written.md names every field that is written."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from pytest_crewai_trace.publish.delivery import FINAL, Progress
from pytest_crewai_trace.publish.envelope import Envelope
from pytest_crewai_trace.publish.outbox import Record
from pytest_crewai_trace.report.junit import properties
from pytest_crewai_trace.report.terminal import count
from pytest_crewai_trace.store.attempt import Attempt
from pytest_crewai_trace.trace.span import SPAN_CLASSES, Span
from pytest_crewai_trace.trace.trace import EventCounts, Trace, TraceOrigin
from pytest_crewai_trace.trace.values import Error, Origin, SpanEvent, ToolCall
from tests.support.stored import crew_trace

PAGE = (Path(__file__).parents[2] / "docs" / "what-is-written.md").read_text("utf-8")
NAMED = set(re.findall(r"`(\w+)`", PAGE))


def test_every_field_of_a_file_is_named():
    models = (Attempt, Trace, TraceOrigin, EventCounts, Span, Error, SpanEvent, ToolCall, Envelope, Record)
    for model in models:
        assert set(model.model_fields) - {"all_spans"} <= NAMED, model
    assert {field.name for field in (*fields(Origin), *fields(Progress))} <= NAMED
    assert FINAL | {"failed", "kept"} <= NAMED


def test_every_field_of_every_kind_of_span_is_named_and_no_other():
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \|(.*)\|$", PAGE.partition("| kind | also |")[2]))

    assert set(rows) == set(SPAN_CLASSES)
    for kind, cls in SPAN_CLASSES.items():
        assert set(re.findall(r"`(\w+)`", rows[kind])) == set(cls.model_fields) - set(Span.model_fields), kind


def test_every_property_in_junit_xml_is_named():
    counts = count(crew_trace(), "test_a.py::test_one", "1")
    names = {name for name, _ in properties(counts, {"path": "x", "problem": None, "dropped": 0})}

    assert names <= NAMED
    assert {"crewai_viewer", "crewai_execution", "crewai_amp"} <= NAMED

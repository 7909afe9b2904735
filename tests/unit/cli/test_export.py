"""What other programs are given: by the schema of OTLP, by the GenAI conventions, by the format of Chrome's tracing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from pytest_crewai_trace.report.chrome import lanes, trace_events
from pytest_crewai_trace.report.otlp import resource_spans
from pytest_crewai_trace.store.attempt import Attempt
from tests.support.spans import span, together, trace
from tests.support.stored import BEGAN, RUN, crew_trace
from tests.unit.strategies import traces

ATTEMPT = Attempt(test_id="test_a.py::test_one", outcome="failed", run=RUN, message="no", started_at=BEGAN)


def conventions():
    """The names of the conventions, as OpenTelemetry publishes them."""
    module = pytest.importorskip("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    return {value for name, value in vars(module).items() if name.startswith("GEN_AI_") and isinstance(value, str)}


def accepted(resource):
    """The request as the collector's own schema reads it; what it does not know is an error."""
    json_format = pytest.importorskip("google.protobuf.json_format")
    service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    text = json.dumps({"resourceSpans": [resource]}, allow_nan=False)
    return json_format.Parse(text, service.ExportTraceServiceRequest())


def attributes(written):
    return {one["key"]: next(iter(one["value"].values())) for one in written["attributes"]}


@settings(max_examples=25, deadline=None)
@given(made=traces())
def test_any_trace_is_accepted_and_named_by_the_conventions(made):
    resource = resource_spans(ATTEMPT, made)
    accepted(resource)
    spans = resource["scopeSpans"][0]["spans"]
    known = conventions() | {"error.type"}

    assert len(spans) == len(made.all_spans) + 1
    names = {one["key"] for each in spans for one in each["attributes"]}
    assert {name for name in names if name not in known and not name.startswith("crewai.")} == set()
    ids = {each["spanId"] for each in spans}
    assert len(ids) == len(spans)
    assert all(each.get("parentSpanId") in ids for each in spans[1:])
    assert {len(each["traceId"]) for each in spans} == {32}
    assert {len(each["spanId"]) for each in spans} == {16}


def test_a_crew():
    made = crew_trace(span("tool", "search", arguments={"query": "AI"}, error="too slow", mcp_server="web"))

    test, crew, _, agent, call, tool = resource_spans(ATTEMPT, made)["scopeSpans"][0]["spans"]

    assert test["name"] == "test test_a.py::test_one"
    assert test["status"] == {"code": 2, "message": "no"}
    assert crew["parentSpanId"] == test["spanId"]
    assert attributes(crew)["gen_ai.workflow.name"] == "crew"
    assert attributes(agent)["gen_ai.agent.name"] == "Writer"
    assert attributes(agent)["crewai.task.name"] == "write"
    assert (call["name"], call["kind"]) == ("chat gpt-4o-mini", 3)
    assert int(call["startTimeUnixNano"]) == int(BEGAN.timestamp() + 3) * 10**9
    assert int(call["endTimeUnixNano"]) == int(BEGAN.timestamp() + 4) * 10**9
    told = attributes(call)
    assert told["gen_ai.operation.name"] == "chat"
    assert (told["gen_ai.provider.name"], told["gen_ai.request.model"]) == ("openai", "gpt-4o-mini")
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == ("100", "50")
    asked = [{"role": "user", "parts": [{"type": "text", "content": "Write."}]}]
    assert json.loads(told["gen_ai.input.messages"]) == asked
    said = [{"role": "assistant", "parts": [{"type": "text", "content": "An article."}], "finish_reason": "stop"}]
    assert json.loads(told["gen_ai.output.messages"]) == said
    told = attributes(tool)
    assert json.loads(told["gen_ai.tool.call.arguments"]) == {"query": "AI"}
    assert (told["gen_ai.tool.name"], told["gen_ai.tool.type"], told["error.type"]) == (
        "search",
        "extension",
        "RuntimeError",
    )
    assert tool["status"] == {"code": 2, "message": "RuntimeError: too slow"}


def test_a_span_that_is_open_ends_where_it_began():
    (_, one) = resource_spans(ATTEMPT, trace(span("tool", "search", open=True)))["scopeSpans"][0]["spans"]

    assert one["startTimeUnixNano"] == one["endTimeUnixNano"]
    assert attributes(one)["crewai.open"] is True
    assert one["status"] == {"code": 0}


def test_messages_with_tool_calls():
    messages = [
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "search", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "found"},
    ]
    (_, one) = resource_spans(ATTEMPT, trace(span("llm", "m", messages=messages)))["scopeSpans"][0]["spans"]

    assert json.loads(attributes(one)["gen_ai.input.messages"]) == [
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "search", "arguments": "{}"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "found"}]},
    ]


def test_chrome_shows_what_ran_at_once_in_lanes():
    made = trace(span("crew", "crew", together(span("tool", "a"), span("tool", "b")), span("tool", "c")))
    ends = [one.end for one in made.all_spans]

    assert lanes(made, ends) == [0, 0, 1, 0]
    named, *events = trace_events(7, ATTEMPT, made)
    assert named["args"] == {"name": "test_a.py::test_one"}
    assert {event["pid"] for event in events} == {7}
    assert [(event["name"], event["ts"], event["dur"]) for event in events][:2] == [
        ("crew crew", 0.0, 7e6),
        ("tool a", 1e6, 2e6),
    ]


@settings(max_examples=25, deadline=None)
@given(made=traces())
def test_in_a_lane_spans_lie_inside_or_after_one_another(made):
    ends = [one.start if one.end is None else one.end for one in made.all_spans]
    if any(end < one.start for one, end in zip(made.all_spans, ends, strict=True)):
        return
    found = lanes(made, ends)
    for lane in set(found):
        inside = [(made.all_spans[i].start, ends[i]) for i, one in enumerate(found) if one == lane]
        if inside != sorted(inside, key=lambda each: each[0]):
            continue  # no trace of ours begins out of order
        for place, (start, end) in enumerate(inside):
            assert all(s >= start and (e <= end or s >= end) for s, e in inside[place + 1 :])


@pytest.mark.parametrize("form", ["otlp-json", "chrome", "jsonl"])
def test_the_file(folder, command, tmp_path, form):
    assert command("export", "--format", form, "-o", "out.json") == (0, [], [])
    assert command("export", "--format", form, "-o", "out.json", "--force") == (0, [], [])
    text = (tmp_path / "out.json").read_text()
    assert "\n".join(command("export", "--format", form)[1]) == text.rstrip()
    assert text.isascii()
    match form:
        case "otlp-json":
            resources = json.loads(text)["resourceSpans"]
            assert [len(each["scopeSpans"][0]["spans"]) for each in resources] == [6, 5]
            assert attributes(resources[0]["resource"])["service.name"] == "pytest-crewai-trace"
        case "chrome":
            assert len(json.loads(text)["traceEvents"]) == 11
        case _:
            lines = [json.loads(line) for line in text.splitlines()]
            assert [line["kind"] for line in lines] == [
                "crew",
                "task",
                "agent",
                "llm",
                "tool",
                "crew",
                "task",
                "agent",
                "llm",
            ]
            assert lines[3]["messages"] == [{"role": "user", "content": "Write."}]
    assert not list(tmp_path.glob(".writing*"))

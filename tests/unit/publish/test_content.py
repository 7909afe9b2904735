"""How much of what was said is sent."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from pytest_crewai_trace.publish import content
from pytest_crewai_trace.publish.content import Cleaner
from pytest_crewai_trace.store.clean import Cleaning
from tests.support.amp import spans_in

KEY = "sk-proj-abcdefgh12345678"


def request(*spans):
    made = ExportTraceServiceRequest()
    made.resource_spans.add().scope_spans.add().spans.extend([])
    for start, (name, attributes) in enumerate(spans):
        span = made.resource_spans[0].scope_spans[0].spans.add(name=name, start_time_unix_nano=start)
        for key, value in attributes.items():
            span.attributes.append(KeyValue(key=key, value=any_value(value)))
    return made


def any_value(value):
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)


def cleaned(made, how_much, cleaning=None):
    return spans_in(content.spans(made.SerializeToString(), Cleaner(cleaning or Cleaning(), how_much)))


def attributes(span):
    return {each.key: each.value.string_value or str(each.value).strip() for each in span.attributes}


def test_secrets_in_json_are_found_by_their_names_and_what_holds_none_stays_as_it_is():
    whole = json.dumps([{"role": "user", "parts": [{"content": "é hello"}]}])
    made = request(("call llm", {"a": json.dumps({"password": "hunter22x"}), "b": whole, "c": [f"x {KEY}", "y"]}))

    (span,) = cleaned(made, "redacted")

    found = attributes(span)
    assert json.loads(found["a"]) == {"password": "[redacted value]"}
    assert found["b"] == whole
    assert KEY not in found["c"]


def test_status_and_exceptions_are_cleaned_too():
    made = request(("execute crew", {}))
    span = made.resource_spans[0].scope_spans[0].spans[0]
    span.status.message = f"failed with {KEY}"
    event = span.events.add(name="exception")
    event.attributes.append(KeyValue(key="exception.message", value=any_value(f"bad {KEY}")))

    (span,) = cleaned(made, "redacted")

    assert KEY not in str(span)
    assert span.events[0].attributes[0].value.string_value.startswith("bad [redacted")


def test_s65_full_leaves_all_but_the_values_of_secret_variables(monkeypatch):
    monkeypatch.setenv("OTHER_API_KEY", "value-of-variable")
    made = request(("call llm", {"a": f"{KEY} value-of-variable", "b": json.dumps({"x": "value-of-variable"})}))

    (span,) = cleaned(made, "full")

    assert attributes(span) == {"a": f"{KEY} [redacted $OTHER_API_KEY]", "b": '{"x": "[redacted $OTHER_API_KEY]"}'}


def test_names_only():
    """What is not known to be a name, a count or a verdict is left out: crewAI may add attributes."""
    names = {"crewai.agent.role": "Writer", "gen_ai.request.model": "gpt", "crewai.subject": "Writer"}
    counts = {"gen_ai.usage.input_tokens": 3, "crewai.tool.from_cache": True}
    said = {"gen_ai.input.messages": "secret plan", "crewai.new.thing": "secret plan", "crewai.memory.query": "plan"}
    made = request(
        ("execute agent", {**names, **counts, **said}), ("check guardrail", {"crewai.subject": "secret plan"})
    )
    made.resource_spans[0].scope_spans[0].spans[0].status.message = "secret plan"

    first, second = cleaned(made, "none")

    assert attributes(first).keys() == names.keys() | counts.keys()
    assert attributes(second) == {}
    assert "secret plan" not in f"{first}{second}"


def test_too_much_is_cut_with_marks(monkeypatch):
    """S60."""
    monkeypatch.setattr(content, "MOST_BYTES", 30_000)
    made = request(*[("call llm", {"text": "x" * 20_000, "short": "y"})] * 5)

    found = cleaned(made, "redacted")

    assert len(found) == 5
    assert attributes(found[0])["text"] == f"{'x' * 1_000}… [19,000 more characters]"
    assert attributes(found[0])["short"] == "y"


def test_too_many_spans_keeps_the_first(monkeypatch):
    monkeypatch.setattr(content, "MOST_SPANS", 3)
    made = request(*[(f"span {number}", {}) for number in range(9)])
    spans = made.resource_spans[0].scope_spans[0].spans
    spans.sort(key=lambda span: -span.start_time_unix_nano)

    assert [span.name for span in cleaned(made, "redacted")] == ["span 0", "span 1", "span 2"]


@pytest.mark.parametrize("how_much", ["redacted", "none"])
def test_events(how_much):
    event = {"event_id": "1", "type": "task_started", "timestamp": "now", "emission_sequence": 1}
    data = {
        "task_id": "7",
        "task_name": "Write about cats",  # crewAI takes the description for the name of a task without one
        "task_description": "Write about cats",
        "agent_role": "Writer",
        "api_key": "abc123def456",
        "usage": {"total_tokens": 5},
        "inputs": {"topic": "cats"},
    }

    (found,) = content.events([{**event, "event_data": data}], Cleaner(Cleaning(), how_much))

    if how_much == "none":
        assert found["event_data"] == {"task_id": "7", "agent_role": "Writer", "usage": {"total_tokens": 5}}
    else:
        assert found["event_data"] == {**data, "api_key": "[redacted value]"}
    assert {name: found[name] for name in event} == event


def test_too_many_events(monkeypatch):
    monkeypatch.setattr(content, "MOST_EVENTS", 2)
    events = [{"type": "x", "event_data": {"a": str(number)}} for number in range(5)]

    assert len(content.events(events, Cleaner(Cleaning(), "redacted"))) == 2

"""Requests keep the limits, lose nothing, and are valid by the real OTLP protobuf."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pytest_crewai_trace.publish import cargo as limits
from pytest_crewai_trace.publish.cargo import Events, Spans
from pytest_crewai_trace.publish.cutting import Cutter
from tests.support.envelopes import envelope, events, uuid


def requests(cargo):
    """The bodies, until nothing is left or something does not fit."""
    made = []
    while (body := cargo.body()) is not None:
        made.append(body)
        cargo.took()
    return made


def spans(body):
    sent = ExportTraceServiceRequest.FromString(body)
    return [span for resource in sent.resource_spans for scope in resource.scope_spans for span in scope.spans]


def whole(*sizes, resources=1):
    """A request whose spans have texts of these sizes, in so many resources of two scopes."""
    made = ExportTraceServiceRequest()
    for place in range(resources):
        resource = made.resource_spans.add(schema_url=f"https://schema.example/{place}")
        resource.resource.attributes.add(key="service.name").value.string_value = f"service {place}"
        for version in ("1", "2"):
            scope = resource.scope_spans.add()
            scope.scope.name, scope.scope.version = "crewai", version
            for number, size in enumerate(sizes):
                span = scope.spans.add(span_id=bytes([place, int(version), *number.to_bytes(6, "big")]))
                span.name = f"{place}.{version}.{number}"
                span.attributes.add(key="text").value.string_value = "é" * (size // 2)
    return made


def cargo_of(made, **fields):
    return Spans(envelope(spans=None, test={}, **fields).model_copy(update={"spans": made.SerializeToString()}))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3_000), max_size=12), st.integers(1, 3), st.integers(400, 6_000), st.integers(1, 7))
def test_s25_every_span_goes_once_in_order_and_each_request_fits(sizes, resources, most_bytes, most_items):
    made = whole(*sizes, resources=resources)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "MOST_BYTES", most_bytes)
        patch.setattr(limits, "MOST_ITEMS", most_items)
        cargo = cargo_of(made)
        bodies = requests(cargo)

    assert all(len(body) <= most_bytes for body in bodies)
    assert all(1 <= len(spans(body)) <= most_items for body in bodies)
    assert cargo.done == cargo.total
    assert [span.name for body in bodies for span in spans(body)] == [
        span.name for span in spans(made.SerializeToString())
    ]


def test_what_fits_goes_as_it_came():
    made = whole(10, 20, resources=3)
    assert requests(cargo_of(made)) == [made.SerializeToString()]


def test_spans_keep_their_resource_and_scope():
    made = whole(*[10] * 150, resources=2)
    found = []
    for body in requests(cargo_of(made)):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                name = resource.resource.attributes[0].value.string_value
                found += [(resource.schema_url, name, scope.scope.version, span.name) for span in scope.spans]

    assert found == [
        (f"https://schema.example/{place}", f"service {place}", version, f"{place}.{version}.{number}")
        for place in range(2)
        for version in "12"
        for number in range(150)
    ]


def one_span():
    made = whole(resources=1)
    span = (
        made.resource_spans[0].scope_spans[0].spans.add(name="one", span_id=b"12345678", trace_id=b"1234567812345678")
    )
    return made, span


def fitted(made):
    (body,) = requests(cargo := cargo_of(made))
    assert len(body) <= limits.MOST_BYTES
    (span,) = spans(body)
    assert (span.span_id, span.trace_id) == (b"12345678", b"1234567812345678")
    return span, cargo.cut


def attributes(span):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_s25_json_that_is_cut_stays_json():
    made, span = one_span()
    messages = [{"role": "user", "parts": [{"type": "text", "content": text}]} for text in ("x" * 5_000_000, "short")]
    span.attributes.add(key="gen_ai.input.messages").value.string_value = json.dumps(messages)
    span.attributes.add(key="other").value.string_value = "kept as it is"

    found, cut = fitted(made)
    values = attributes(found)
    long, short = json.loads(values["gen_ai.input.messages"])
    assert long["parts"][0]["content"].endswith("… [cut, 5,000,000 bytes]")
    assert short == messages[1]
    assert values["gen_ai.input.messages.truncated"] is True
    assert values["gen_ai.input.messages.original_size_bytes"] >= 5_000_000
    assert values["other"] == "kept as it is"
    assert cut == 1


def test_s25_text_is_cut_between_characters():
    made, span = one_span()
    span.attributes.add(key="text").value.string_value = "𝄞" * 1_000_000
    text = attributes(fitted(made)[0])["text"]
    assert text.endswith("… [cut, 4,000,000 bytes]")
    assert set(text.partition("…")[0]) == {"𝄞"}


def test_s25_wherever_the_size_is():
    """In names, states, events, arrays, maps and bytes."""
    made, span = one_span()
    span.name = "n" * 3_000_000
    span.status.message = "m" * 3_000_000
    span.events.add(name="e").attributes.add(key="text").value.string_value = "t" * 3_000_000
    span.attributes.add(key="list").value.array_value.values.add().string_value = "l" * 3_000_000
    pair = span.attributes.add(key="map").value.kvlist_value.values.add(key="inner")
    pair.value.string_value = "v" * 3_000_000
    span.attributes.add(key="bytes").value.bytes_value = bytes(3_000_000)
    span.links.add(span_id=b"87654321").attributes.add(key="text").value.string_value = "k" * 3_000_000

    found, cut = fitted(made)
    assert cut == 7
    assert found.name.endswith("… [cut, 3,000,000 bytes]")
    assert {"list.truncated", "map.truncated", "bytes.truncated"} <= attributes(found).keys()
    assert len(found.events) == len(found.links) == 1


def test_s25_what_no_cut_makes_fit_is_left_out_and_counted(monkeypatch):
    """S60: too many attributes and events rather than too long ones."""
    monkeypatch.setattr(limits, "MOST_BYTES", 100_000)
    made, span = one_span()
    for number in range(8_000):
        span.attributes.add(key=f"attribute {number}").value.int_value = number
        span.events.add(name=f"event {number}")

    found, cut = fitted(made)
    assert found.dropped_events_count == 8_000
    assert found.dropped_attributes_count == 8_000 - len(found.attributes) > 0
    assert cut == found.dropped_attributes_count + 8_000


def test_s25_a_resource_that_is_too_large_for_any_request():
    made, _ = one_span()
    made.resource_spans[0].resource.attributes.add(key="x").value.string_value = "x" * 4_000_000
    assert cargo_of(made).body() is None


def test_attributes_of_ours_take_the_place_of_others():
    made, span = one_span()
    span.attributes.add(key="test.case.name").value.string_value = "theirs"
    cargo = Spans(envelope(test={"test.case.name": "ours"}).model_copy(update={"spans": made.SerializeToString()}))
    assert attributes(spans(cargo.body())[0]) == {"test.case.name": "ours"}


def test_without_a_root_the_first_span_has_them():
    made, span = one_span()
    span.parent_span_id = b"elsewher"
    cargo = Spans(envelope(test={"test.case.name": "ours"}).model_copy(update={"spans": made.SerializeToString()}))
    assert attributes(spans(cargo.body())[0]) == {"test.case.name": "ours"}


def test_skipped_spans_are_those_that_came_first():
    cargo = Spans(envelope(spans=5), 3)
    assert [span.name for body in requests(cargo) for span in spans(body)] == ["span 3", "span 4"]
    assert requests(Spans(envelope(spans=5), 99)) == []


def test_s25_events_are_split_by_size_and_number():
    many = events(450, "x" * 10_000)
    bodies = [json.loads(body) for body in requests(Events(envelope(spans=None, test={}, events=many)))]

    assert [event for body in bodies for event in body["events"]] == list(many)
    assert [body["batch_metadata"]["batch_sequence"] for body in bodies] == list(range(1, len(bodies) + 1))
    assert [body["batch_metadata"]["events_count"] for body in bodies] == [len(body["events"]) for body in bodies]
    assert all(len(body["events"]) <= limits.MOST_ITEMS for body in bodies)
    assert all(len(json.dumps(body)) <= limits.MOST_BYTES for body in bodies)


def test_s25_an_event_that_is_too_large_is_cut():
    (body,) = requests(cargo := Events(envelope(spans=None, test={}, events=events(1, "x" * 5_000_000))))
    (event,) = json.loads(body)["events"]

    assert event["event_data"]["messages"][0]["content"].endswith("… [cut, 5,000,000 bytes]")
    assert event["event_id"] == uuid(0)
    assert cargo.cut == 1


def test_s25_an_event_of_too_many_numbers():
    event = {**events(1)[0], "event_data": {"numbers": list(range(700_000))}}
    (body,) = requests(Events(envelope(spans=None, test={}, events=(event,))))
    (found,) = json.loads(body)["events"]

    assert found["event_data"]["truncated"] is True
    assert found["event_data"]["original_size_bytes"] > limits.MOST_BYTES
    assert found["event_id"] == event["event_id"]


def test_a_server_that_takes_less_gets_less():
    cargo = Spans(envelope(spans=8))
    size = len(cargo.body())
    assert cargo.refused(size)
    assert len(spans(cargo.body())) == 4
    assert cargo.took() == 4
    assert len(spans(cargo.body())) == 4


def test_there_is_no_smaller_request_than_one_small_span():
    cargo = Spans(envelope(spans=1))
    assert not cargo.refused(len(cargo.body()))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 900, "plain " * 30_000, json.dumps([1] * 90_000)])
def test_what_only_looks_like_json_is_cut_as_text(text):
    cutter = Cutter(1_000)
    assert cutter.written(text).endswith(f"… [cut, {len(text):,} bytes]")
    assert cutter.cut == 1

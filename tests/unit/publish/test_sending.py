"""What arrives where nothing goes wrong, by both protocols."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from pytest_crewai_trace.publish import outbox
from pytest_crewai_trace.publish.credentials import Access, Credential
from pytest_crewai_trace.publish.delivery import Progress, Sent
from pytest_crewai_trace.publish.sending import Sending
from tests.support.amp import COLLECTOR, MOST_BYTES, MOST_SPANS, Amp, refuse, spans_of
from tests.support.envelopes import envelope, events, uuid
from tests.support.faults import at
from tests.support.loopback import Reply, json_reply

STARTED = datetime(2026, 11, 23, 1, 2, 3, tzinfo=timezone.utc)


def attributes(span):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_spans_go_under_a_grant(deliver):
    with Amp() as amp:
        (sent,) = deliver(amp.url, envelope()).results

    assert (sent.key, sent.state, sent.reason, sent.attempts, sent.cut) == ("0", "sent", "", 2, 0)
    assert sent.url == f"{amp.url}/traces/{uuid(0)}"
    assert amp.paths == ["POST /grants", "POST /v1/traces"]
    assert [span.name for span in amp.spans[uuid(0)]] == ["span 0", "span 1", "span 2"]
    assert amp.requests[0].json == {"execution_uuid": uuid(0), "include_trace_url": True}
    assert amp.connections == 1


def test_s33_the_collector_gets_the_token_of_the_grant_and_amp_our_credential(deliver, monkeypatch):
    with Amp() as amp, Amp() as other:
        for name in ("ENDPOINT", "TRACES_ENDPOINT"):
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", other.url)
        for name in ("HEADERS", "TRACES_HEADERS"):
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", "x-otel=canary,authorization=canary")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
        deliver(amp.url, envelope())

    grant, export = amp.requests
    assert grant.header("Authorization") == "Bearer secret-canary"
    assert grant.header("X-Crewai-Organization-Id") == "org-canary"
    assert grant.header("X-Crewai-Version") == "1.15.30"
    assert grant.header("Content-Type") == "application/json"
    assert export.header("Authorization").startswith("Bearer grant-")
    assert export.header("Content-Type") == "application/x-protobuf"
    assert "canary" not in str(export.headers)
    assert "otel" not in str([one.headers for one in amp.requests]).lower()
    assert grant.header("User-Agent").startswith("pytest-crewai-trace/")
    assert export.header("Content-Encoding") is None
    assert other.requests == []


def test_what_we_add_stands_on_the_root_span_alone(deliver):
    added = {"test.case.name": "test_it", "test.attempt": 2, "test.passed": True, "test.seconds": 1.5, "big": 2**70}
    with Amp() as amp:
        deliver(amp.url, envelope(test=added))

    root, *others = map(attributes, amp.spans[uuid(0)])
    assert {name: root[name] for name in added} == {**added, "big": str(2**70)}
    assert type(root["test.passed"]) is bool
    assert root["crewai.execution_uuid"] == uuid(0)
    assert not any(added.keys() & other.keys() for other in others)


def test_s25_more_than_200_spans_go_in_several_requests(deliver):
    progress = []
    with Amp() as amp:
        (sent,) = deliver(amp.url, envelope(spans=450), on_progress=lambda *told: progress.append(told)).results

    assert sent.state == "sent"
    assert [len(spans_of(request)) for request in amp.requests[1:]] == [200, 200, 50]
    assert [span.name for span in amp.spans[uuid(0)]] == [f"span {number}" for number in range(450)]
    assert progress == [("0", Progress("grants", 200)), ("0", Progress("grants", 400))]
    assert sent.progress == Progress("grants", 450)


def test_s42_a_delivery_goes_on_where_an_earlier_one_ended(deliver):
    """S42: what has arrived is not sent again."""
    with Amp() as amp:
        amp.override = at(COLLECTOR, None, json_reply({}, 503))
        (first,) = deliver(amp.url, envelope(spans=450)).results
        amp.override = None
        (second,) = deliver(amp.url, envelope(spans=450), progress=first.progress).results
        before = len(amp.requests)
        (third,) = deliver(amp.url, envelope(spans=450), progress=second.progress).results

    assert [one.state for one in (first, second, third)] == ["failed", "sent", "sent"]
    assert [span.name for span in amp.spans[uuid(0)]] == [f"span {number}" for number in range(450)]
    assert len(amp.requests) == before


@pytest.mark.parametrize("state", ["sent", "rejected"])
def test_s42_what_somebody_else_has_sent_meanwhile_is_left_out(tmp_path, state):
    """Between the look at the folder and its lock; of what is rejected the envelope stays."""
    path = tmp_path / "test_it-1.failed.envelope.json"
    path.write_text(envelope().dump())
    (item,) = outbox.find([tmp_path])
    outbox.Item(path).keep(Sent(str(path), state), uuid(0))

    with Amp() as amp:
        outcome = Sending(Access(amp.url, Credential("token", "a token", "set it")), seconds=10).send([item])

    assert outcome.posted == ()
    assert amp.requests == []


@pytest.mark.parametrize("way", ["no spans", "no grants"])
def test_events_go_as_a_batch(deliver, way):
    """Of an older crewAI, and to a server that answers 404 to grants."""
    spans = None if way == "no spans" else 3
    sent_events = events(3)
    fields = {"events": sent_events, "test": {}, "started_at": STARTED, "duration": 1.25}
    with Amp(grants=False) as amp:
        delivery = deliver(amp.url, *(envelope(number, spans, **fields) for number in range(2)))

    asked = ["POST /batches", "POST /batches/*/events", "PATCH /batches/*/finalize"]
    assert amp.paths == (["POST /grants"] if spans else []) + asked * 2
    assert [one.state for one in delivery.results] == ["sent", "sent"]
    assert delivery.results[0].url == f"{amp.url}/crewai_plus/trace_batches/{uuid(0)}"
    batch = amp.batches[uuid(0)]
    assert batch.status == "completed"
    assert tuple(batch.events) == sent_events
    assert batch.opened == {
        "trace_id": uuid(0),
        "execution_type": "crew",
        "execution_context": {
            "crew_fingerprint": None,
            "crew_name": "crew",
            "flow_name": None,
            "crewai_version": "1.15.30",
            "privacy_level": "standard",
        },
        "execution_metadata": {
            "expected_duration_estimate": 300,
            "agent_count": 0,
            "task_count": 0,
            "flow_method_count": 0,
            "execution_started_at": "2026-11-23T01:02:03+00:00",
        },
    }
    posted, ended = (request.json for request in amp.requests[-2:])
    assert posted["batch_metadata"] == {"events_count": 3, "batch_sequence": 1, "is_final_batch": False}
    assert ended == {"status": "completed", "duration_ms": 1250, "final_event_count": 3}


def test_what_we_add_stands_in_the_first_event(deliver):
    with Amp() as amp:
        deliver(amp.url, envelope(spans=None, events=events(2), execution_type="flow", name="F"))

    first, second = amp.batches[uuid(0)].events
    assert first["event_data"]["test.case.name"] == "test_it"
    assert second == events(2)[1]
    context = amp.batches[uuid(0)].opened["execution_context"]
    assert (context["crew_name"], context["flow_name"]) == (None, "F")


def test_s42_a_batch_goes_on_where_it_ended(deliver):
    whole = envelope(spans=None, events=events(450))
    progress = []
    with Amp() as amp:
        amp.override = at("/events", None, json_reply({}, 503))
        (first,) = deliver(amp.url, whole, on_progress=lambda key, told: progress.append(told)).results
        assert (first.state, amp.batches[uuid(0)].status) == ("failed", "failed")
        amp.override = None
        (second,) = deliver(amp.url, whole, progress=first.progress).results

    assert progress == [Progress("batches", 0), Progress("batches", 200)]
    assert (second.state, amp.batches[uuid(0)].status) == ("sent", "completed")
    assert [one["event_id"] for one in amp.batches[uuid(0)].events] == [uuid(number) for number in range(450)]
    assert amp.paths.count("POST /batches") == 1


def test_a_batch_that_the_server_has_not_kept_begins_anew(deliver):
    whole = envelope(spans=None, events=events(450))
    with Amp() as amp:
        (sent,) = deliver(amp.url, whole, progress=Progress("batches", 200)).results

    assert amp.paths[:2] == ["POST /batches/*/events", "POST /batches"]
    assert (sent.state, len(amp.batches[uuid(0)].events)) == ("sent", 450)


def test_s30_a_batch_that_is_there_already_is_gone_on_with(deliver):
    """The answer to its opening was lost, and the server tells the second one that it exists."""
    with Amp() as amp:
        deliver(amp.url, envelope(spans=None, events=events(1)))
        amp.override = at("/batches", json_reply({"error": "taken"}, 409))
        (sent,) = deliver(amp.url, envelope(spans=None, events=events(1))).results

    assert sent.state == "sent"


def test_s30_the_retry_carries_the_same_ids(deliver):
    taken = []
    with Amp() as amp:

        def lose(connection, closing):
            taken.append(amp._reply(amp.requests[-1]))
            connection.close()

        amp.override = at(COLLECTOR, lose, None)
        (sent,) = deliver(amp.url, envelope()).results

    first, second = (request.body for request in amp.requests if request.path == COLLECTOR)
    assert sent.state == "sent"
    assert taken[0].status == 200
    assert first == second


def test_a_rejected_rest_is_partial(deliver):
    with Amp() as amp:
        amp.override = at(COLLECTOR, None, json_reply({}, 400))
        (sent,) = deliver(amp.url, envelope(spans=300)).results

    assert (sent.state, sent.reason) == ("partial", "AMP has a part of it: AMP's collector answered HTTP 400")
    assert sent.final


def test_nothing_in_it(deliver):
    with Amp() as amp:
        results = deliver(amp.url, envelope(spans=None), envelope(1, spans=0)).results

    assert [(one.state, one.reason) for one in results] == [("skipped", "there is nothing in it to send")] * 2
    assert amp.requests == []


@pytest.mark.parametrize("grants", [True, False])
def test_anonymous_traces_carry_no_credential_and_no_organization(deliver, grants):
    """S76: nor is a page shown that needs an access code."""
    with Amp(grants=grants) as amp:
        access = Access(amp.url, None, "org-canary")
        (sent,) = deliver(amp.url, envelope(events=events(2)), access=access).results

    assert sent.state == "sent"
    assert "canary" not in str([(one.path, one.headers) for one in amp.requests])
    if grants:
        assert amp.paths == ["POST /grants", "POST /v1/traces"]
        assert sent.url == f"{amp.url}/traces/{uuid(0)}"
    else:
        assert amp.paths[1:] == [
            "POST /ephemeral/batches",
            "POST /ephemeral/batches/*/events",
            "PATCH /ephemeral/batches/*/finalize",
        ]
        assert amp.requests[1].json["ephemeral_trace_id"] == uuid(0)
        assert sent.url is None


def test_s22_an_anonymous_trace_that_is_refused(deliver):
    with Amp(refuse(401)) as amp:
        delivery = deliver(amp.url, envelope(), access=Access(amp.url, None))

    assert delivery.stopped == "AMP takes no anonymous traces (HTTP 401)"
    assert delivery.refused


@pytest.mark.parametrize(
    "page", ["https://evil.example/t", "http://127.0.0.1:1/t", "javascript:alert(1)", "", 7, None, "/traces/1", ...]
)
def test_s76_a_page_elsewhere_is_not_shown(deliver, page):
    with Amp() as amp:
        real = amp._grant

        def grant(request):
            given = json.loads(real(request).content)
            given.pop("trace_url") if page is ... else given.update(trace_url=page)
            return json_reply(given)

        amp._grant = grant
        (sent,) = deliver(amp.url, envelope()).results

    assert (sent.state, sent.url) == ("sent", None)


def test_cookies_of_a_server_are_not_kept(deliver):
    with Amp() as amp:
        seen = []

        def override(request):
            seen.append(request)
            reply = amp._reply(request)
            return Reply(reply.status, reply.content, reply.content_type, {"Set-Cookie": "session=canary; Path=/"})

        amp.override = override
        deliver(amp.url, envelope(), envelope(1))

    assert len(seen) == 4
    assert [request.header("Cookie") for request in seen] == [None] * 4


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_an_answer_that_is_packed_all_the_same(deliver, encoding):
    import gzip
    import zlib

    with Amp() as amp:

        def override(request):
            reply = amp._reply(request)
            content = (gzip if encoding == "gzip" else zlib).compress(reply.content)
            return Reply(reply.status, content, reply.content_type, {"Content-Encoding": encoding})

        amp.override = override
        (sent,) = deliver(amp.url, envelope()).results

    assert sent.state == "sent"
    assert amp.requests[0].header("Accept-Encoding") == "identity"


def test_s25_each_request_keeps_the_limits(deliver):
    """Of a server that refuses what is over them."""
    large = envelope(spans=40, test={"test.long": "x" * 4_000_000}, events=())
    with Amp() as amp:
        (sent,) = deliver(amp.url, large).results

    assert (sent.state, sent.cut) == ("sent", 1)
    for request in amp.requests[1:]:
        assert len(request.body) <= MOST_BYTES
        assert len(spans_of(request)) <= MOST_SPANS
    root = attributes(amp.spans[uuid(0)][0])
    assert root["test.long.truncated"] is True
    assert root["test.long.original_size_bytes"] >= 4_000_000
    assert root["test.long"].endswith("… [cut, 4,000,000 bytes]")

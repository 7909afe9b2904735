"""A delivery as a whole: many traces, several connections, the caller's own code."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from pytest_crewai_trace.errors import TraceDocumentError
from pytest_crewai_trace.publish.amp import Amp as Client
from pytest_crewai_trace.publish.credentials import Access
from pytest_crewai_trace.publish.delivery import Delivery, Parcel
from tests.support import faults
from tests.support.amp import COLLECTOR, GRANTS, Amp, refuse
from tests.support.envelopes import envelope, uuid
from tests.support.faults import at
from tests.support.loopback import json_reply


def count(delivery):
    states = [one.state for one in delivery.results]
    return {state: states.count(state) for state in sorted(set(states))}


def test_s31_many_traces_on_four_connections(deliver):
    most, now, lock = [0], [0], threading.Lock()
    with Amp() as amp:

        def override(request):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.01)
            with lock:
                now[0] -= 1

        amp.override = override
        delivery = deliver(amp.url, *map(envelope, range(40)), connections=4)

    assert count(delivery) == {"sent": 40}
    assert [one.key for one in delivery.results] == [str(number) for number in range(40)]
    assert len(amp.requests) == 80
    assert amp.connections == 4
    assert most[0] == 4


def test_s31_time_is_up_and_the_rest_is_kept(deliver):
    with Amp(latency=0.05) as amp:
        began = time.monotonic()
        delivery = deliver(amp.url, *map(envelope, range(500)), connections=4, total_timeout=1)
        took = time.monotonic() - began

    counted = count(delivery)
    assert took < 4
    assert sum(counted.values()) == 500
    assert counted["sent"] <= len(amp.spans) <= counted["sent"] + counted.get("failed", 0)
    assert counted["kept"] >= 400
    assert counted.get("failed", 0) <= 4
    assert delivery.stopped == "the 1 s for publishing were up"
    assert delivery.results[-1].reason == f"it was not tried: {delivery.stopped}"


def test_s31_what_cannot_be_cut_is_left_behind(deliver):
    """A look-up of a name, a folder on a dead server: nothing reaches the thread that waits for it."""
    go_on, told = threading.Event(), []

    def hanging():
        go_on.wait(30)
        return envelope()

    with Amp() as amp:
        client = Client(Access(amp.url, None), total_timeout=0.3)
        delivery = client.send([Parcel("a", hanging), Parcel("b", lambda: envelope(1))], on_result=told.append)
        go_on.set()

    assert [(one.key, one.state, one.reason) for one in delivery.results] == [
        ("a", "failed", "it had not ended: the 0.3 s for publishing were up"),
        ("b", "sent", ""),
    ]
    assert {one.key for one in told} == {"a", "b"}
    assert len(told) == 2


@pytest.mark.parametrize("status", [401, 403])
def test_s22_all_connections_stop(deliver, status):
    with Amp(refuse(status)) as amp:
        delivery = deliver(amp.url, *map(envelope, range(20)), connections=4)

    assert len(amp.requests) <= 4
    assert delivery.refused
    assert {one.state for one in delivery.results} == {"failed", "kept"}


def test_s32_all_connections_stop(deliver):
    with Amp(refuse(503)) as amp:
        delivery = deliver(amp.url, *map(envelope, range(20)), connections=4)

    assert delivery.stopped == "publishing was stopped after 3 failures in a row"
    assert len(amp.requests) <= 3 * 3 + 3 * 3  # of the three that failed, and of those under way on the other lines
    assert not any(one.final for one in delivery.results)


def test_s32_a_trace_that_is_rejected_is_no_failure(deliver):
    with Amp(at(GRANTS, json_reply({}, 400))) as amp:
        delivery = deliver(amp.url, *map(envelope, range(6)))

    assert count(delivery) == {"rejected": 6}
    assert delivery.stopped is None


def test_a_trace_that_cannot_be_read_is_told_and_the_others_go(deliver, clock):
    def unreadable():
        raise TraceDocumentError("truncated: 3 of 9 bytes")

    def broken():
        raise RuntimeError("secret-canary")

    noise = envelope(2, spans=None).model_copy(update={"spans": b"\xff\xff\xff"})
    given = [
        Parcel("a", unreadable),
        Parcel("b", broken),
        Parcel("c", lambda: noise),
        Parcel("d", lambda: envelope(3)),
    ]
    with Amp() as amp:
        delivery = Client(Access(amp.url, None), timing=clock.timing, connections=1).send(given)

    assert [(one.key, one.state, one.reason) for one in delivery.results] == [
        ("a", "failed", "it could not be read: truncated: 3 of 9 bytes"),
        ("b", "failed", "it could not be read: RuntimeError"),
        ("c", "failed", "it could not be made ready to be sent (DecodeError)"),
        ("d", "sent", ""),
    ]


@pytest.mark.parametrize("which", ["on_result", "on_progress"])
def test_what_a_callback_raises_ends_the_delivery(deliver, which):
    """S39: the caller's disk is full, and what is sent can no longer be remembered."""
    calls = []

    def full(*told):
        calls.append(told)
        raise OSError("no space left")

    with Amp() as amp, pytest.raises(OSError, match="no space left"):
        deliver(amp.url, *(envelope(number, spans=201) for number in range(9)), **{which: full})

    assert len(calls) == 1
    assert len(amp.requests) <= 3


def test_s34_an_interrupt_ends_the_delivery_at_once(deliver):
    """Ctrl-C while a server is silent: the requests under way are cut, nothing goes on behind, and all is told."""
    before = set(threading.enumerate())
    with Amp() as amp:
        amp.override = at(GRANTS, faults.silence)

        class Interrupting:
            def __init__(self):
                self.calls = 0

            def __call__(self):
                if threading.current_thread() is threading.main_thread() and amp.requests:
                    raise KeyboardInterrupt
                return time.monotonic()

        from pytest_crewai_trace.publish.retry import Timing

        began = time.monotonic()
        delivery = deliver(amp.url, envelope(), envelope(1), timing=Timing(clock=Interrupting()))
        assert time.monotonic() - began < 5
        assert not [one for one in set(threading.enumerate()) - before if "_work" in one.name]
    assert delivery.interrupted
    assert delivery.stopped == "publishing was interrupted"
    assert [one.state for one in delivery.results] == ["failed", "kept"]


def test_results_are_told_one_at_a_time(deliver):
    inside, most = [0], [0]

    def told(sent):
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        inside[0] -= 1

    with Amp() as amp:
        deliver(amp.url, *map(envelope, range(30)), connections=4, on_result=told)

    assert most[0] == 1


def test_nothing_to_send(deliver):
    assert deliver("http://127.0.0.1:9") == Delivery(())


@pytest.mark.parametrize("option", ["request_timeout", "total_timeout", "connections"])
@pytest.mark.parametrize("number", [0, -1, float("nan"), float("inf")])
def test_numbers_that_are_not_positive(option, number):
    with pytest.raises(ValueError, match=f"{option} should be a positive number, not {number!r}"):
        Client(Access("http://127.0.0.1:9", None), **{option: number})


def test_s69_nothing_of_a_server_and_no_token_is_in_a_log(deliver, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
        caplog.set_level(logging.DEBUG, logger=name)
    with Amp() as amp:
        amp.override = at(COLLECTOR, json_reply({"error": "server-canary"}, 400))
        deliver(amp.url, *map(envelope, range(3)), connections=2)
        import httpx

        before = caplog.text
        httpx.get(f"{amp.url}/other")

    assert before == ""
    assert "GET" in caplog.text  # of other threads' requests, everything as ever


def test_s69_no_secret_is_in_a_repr():
    from pytest_crewai_trace.publish.credentials import Credential
    from pytest_crewai_trace.publish.grant import Grant
    from pytest_crewai_trace.publish.line import Answer, Request
    from pytest_crewai_trace.publish.protocols import headers_of

    credential = Credential("canary", "the token in X", "set it")
    headers = headers_of("text/plain", "canary")
    shown = [
        credential,
        Access("https://a.example", credential, "canary"),
        Request("POST", "https://a.example", headers, b"canary"),
        Answer(200, {"x": "canary"}, b"canary"),
        Grant("canary", "https://a.example/canary", None, "https://a.example/canary"),
        headers,
    ]
    assert "canary" not in repr(shown)


def test_s73_the_key_is_the_callers_own(clock):
    with Amp() as amp:
        client = Client(Access(amp.url, None), timing=clock.timing)
        (sent,) = client.send([Parcel("runs/one.json", envelope)]).results

    assert sent.key == "runs/one.json"
    assert set(amp.spans) == {uuid(0)}

"""Names, certificates and proxies."""

from __future__ import annotations

import json
import socket

import pytest

from tests.support.amp import COLLECTOR, GRANTS, Amp
from tests.support.envelopes import envelope
from tests.support.faults import at, certificate, full_backlog, trickling_head
from tests.support.loopback import Loopback, Reply, json_reply

UNTRUSTED = "showed a certificate that is not to be trusted"


@pytest.fixture
def tls(tmp_path):
    return certificate(tmp_path)


def test_s14_a_resolver_that_fails_itself(deliver, monkeypatch):
    """The C library then says EAI_SYSTEM, of which Python makes an OSError like any other."""

    def getaddrinfo(*args, **kwargs):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    (sent,) = deliver("http://nowhere.invalid", envelope()).results
    assert (sent.state, sent.reason) == ("failed", "AMP has a name that cannot be looked up")


def test_s19_a_collector_that_nobody_vouches_for(deliver, tls):
    with Amp(tls=tls[0]) as collector, Amp() as amp:
        real = amp._grant

        def grant(request):
            return json_reply({**json.loads(real(request).content), "collector_url": f"{collector.url}/v1/traces"})

        amp._grant = grant
        (sent,) = deliver(amp.url, envelope()).results

    assert (sent.state, sent.reason) == ("failed", f"AMP's collector {UNTRUSTED}")
    assert collector.requests == []


def test_s17_a_server_that_trickles_over_tls_is_cut(deliver, tls, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[1]))
    with Amp(at("/grants", trickling_head), tls=tls[0]) as amp:
        (sent,) = deliver(amp.url, envelope(), request_timeout=0.3).results

    assert (sent.state, sent.reason, sent.attempts) == ("failed", "AMP did not answer in time", 3)


def test_s16_a_port_that_neither_takes_nor_refuses(deliver):
    with full_backlog() as url:
        (sent,) = deliver(url, envelope(), request_timeout=0.3).results

    assert (sent.state, sent.reason, sent.attempts) == ("failed", "AMP could not be reached in time", 3)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_s33_a_proxy_of_the_environment_is_used(deliver, monkeypatch, variable):
    with Amp() as amp, Loopback(lambda request: Reply(502)) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        (sent,) = deliver(amp.url, envelope()).results
        assert [request.path for request in proxy.requests] == [f"{amp.url}/crewai_plus/api/v1/tracing/grants"] * 3
        assert sent.reason == "AMP answered HTTP 502"
        assert amp.requests == []

        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        (sent,) = deliver(amp.url, envelope()).results
    assert sent.state == "sent"


@pytest.mark.parametrize(("name", "value"), [("HTTP_PROXY", "gopher://x"), ("SSL_CERT_FILE", "/no/such/file")])
def test_settings_of_no_use_keep_everything(deliver, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    delivery = deliver("http://127.0.0.1:9", envelope(), envelope(1))

    assert [one.state for one in delivery.results] == ["kept", "kept"]
    assert delivery.stopped.startswith("the proxy or certificate settings of this machine are of no use (")


@pytest.mark.parametrize("path", [GRANTS, COLLECTOR])
def test_s20_nothing_goes_to_where_a_redirect_points(deliver, path):
    with Amp() as amp, Amp() as other:
        amp.override = at(path, Reply(307, headers={"Location": f"{other.url}{path}"}))
        deliver(amp.url, envelope())

    assert other.requests == []


def test_s23_an_error_page_of_any_length_is_not_read(deliver):
    with Amp() as amp:
        amp.override = at(GRANTS, Reply(503, b" " * 1_000_000, "text/html"), None)
        (sent,) = deliver(amp.url, envelope()).results

    assert (sent.state, sent.attempts) == ("sent", 3)

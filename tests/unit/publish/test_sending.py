"""What arrives where nothing goes wrong, by both protocols."""

from __future__ import annotations

from tests.support.amp import Amp
from tests.support.envelopes import envelope, events, uuid


def test_spans_go_under_a_grant(deliver):
    with Amp() as amp:
        delivery = deliver(amp.url, envelope())

    (sent,) = delivery.results
    assert (sent.key, sent.state, sent.reason, sent.attempts) == ("0", "sent", "", 2)
    assert sent.url == f"{amp.url}/traces/{uuid(0)}"
    assert amp.paths == ["POST /grants", "POST /v1/traces"]
    assert [span.name for span in amp.spans[uuid(0)]] == ["span 0", "span 1", "span 2"]
    assert amp.connections == 1

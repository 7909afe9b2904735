"""What a request costs that is asked as it was recorded, and what of it is asked otherwise."""

from __future__ import annotations

import pytest
from vcr.request import Request as Asked

from pytest_crewai_trace.errors import CassetteError
from pytest_crewai_trace.replay import tape as module
from pytest_crewai_trace.replay.matching import Index, Volatile
from pytest_crewai_trace.replay.tape import Tape
from pytest_crewai_trace.trace.redact import Redactor

URL = "https://api.openai.com/v1/chat/completions"
SENT = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
OTHERWISE = b'{"messages":[{"content":"hello","role":"user"}],"model":"m"}'


def tape(play=None, *, record=False):
    return Tape(
        play=play,
        record=record,
        redactor=Redactor(),
        who=lambda: ("Ann", "look"),
        detached=lambda: False,
        explain=lambda request, who, number: f"{request.method} {request.body.value['model']} {number}",
    )


def asked(data, method="POST"):
    return Asked(method, URL, data, {})


def answered(text):
    return {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": text}}


@pytest.fixture
def recorded():
    recording = tape(record=True)
    request = asked(SENT)
    assert not recording.has_reply(request)
    recording.take(request, answered(b"hi"))
    return [call for _, call in recording.new]


def test_a_request_that_is_sent_as_it_was_recorded_is_not_read(recorded, monkeypatch):
    played = tape(Index(recorded, Volatile(), lambda request: request))
    monkeypatch.setattr(module, "_asked", None)

    assert played.has_reply(request := asked(SENT))
    assert played.reply(request)["body"]["string"] == b"hi"
    assert played.played == 1


def test_one_that_is_written_otherwise_is_found_by_what_it_says(recorded):
    played = tape(Index(recorded, Volatile(), lambda request: request))

    assert played.has_reply(request := asked(OTHERWISE))
    assert played.reply(request)["body"]["string"] == b"hi"


@pytest.mark.parametrize("data", [SENT, OTHERWISE])
def test_a_second_one_has_no_reply(recorded, data):
    played = tape(Index(recorded, Volatile(), lambda request: request))
    played.has_reply(asked(SENT))

    with pytest.raises(CassetteError, match="POST m 2"):
        played.has_reply(asked(data))


def test_another_method_is_another_request(recorded):
    played = tape(Index(recorded, Volatile(), lambda request: request))

    with pytest.raises(CassetteError, match="PUT m 1"):
        played.has_reply(asked(SENT, "PUT"))


@pytest.mark.parametrize(("data", "new"), [(SENT, 0), (OTHERWISE, 0), (b"{}", 1)])
def test_where_a_redirect_led_is_recorded_unless_the_cassette_has_it(recorded, data, new):
    """aiohttp's patch asks about none of these; it only hands over what came."""
    playing = tape(Index(recorded, Volatile(), lambda request: request), record=True)

    playing.take(asked(data), answered(b"other"))

    assert len(playing.new) == new

"""Envelopes on disk."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from pydantic import ValidationError

from pytest_crewai_trace.publish.envelope import Envelope
from tests.support.envelopes import envelope, events, uuid


def test_what_is_written_is_read():
    whole = envelope(
        execution_type="flow",
        started_at=datetime(2026, 11, 23, tzinfo=timezone.utc),
        duration=1.5,
        test={"text": "x", "number": 1, "real": 1.0, "yes": True},
        events=events(2),
    )
    read = Envelope.load(whole.dump())

    assert read == whole
    assert {name: type(value) for name, value in read.test.items()} == {
        "text": str,
        "number": int,
        "real": float,
        "yes": bool,
    }
    assert Envelope.load(whole.dump().encode()) == whole


def test_it_is_json_with_a_version():
    assert json.loads(envelope(spans=None, test={}).dump()) == {
        "schema_version": 1,
        "execution_uuid": uuid(0),
        "name": "crew",
        "crewai_version": "1.15.30",
    }


def test_s58_lone_surrogates_are_replaced():
    read = Envelope.load(envelope(name="a\udc80b", events=({"text": "\ud800"},)).dump())
    assert (read.name, read.events) == ("a?b", ({"text": "?"},))


@pytest.mark.parametrize(
    "changed",
    [
        {"schema_version": 2},
        {"execution_uuid": "../../etc"},
        {"execution_uuid": 7},
        {"spans": "no base64!"},
        {"test": {"a": None}},
        {"test": {"a": ["x"]}},
        {"extra": 1},
        {"name": None},
    ],
)
def test_s43_what_is_no_envelope(changed):
    with pytest.raises(ValidationError):
        Envelope.load(json.dumps({**json.loads(envelope().dump()), **changed}))


def test_s43_half_a_file():
    with pytest.raises(ValueError, match="JSON"):
        Envelope.load(envelope().dump()[:100])

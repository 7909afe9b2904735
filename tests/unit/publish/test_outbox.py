"""What waits to be sent, on disk."""

from __future__ import annotations

import os
import time

import pytest

from pytest_crewai_trace.publish import outbox
from pytest_crewai_trace.publish.delivery import Progress, Sent
from pytest_crewai_trace.publish.envelope import Envelope
from tests.support.disks import read_only

EXECUTION = "00000000-0000-4000-8000-000000000001"
RUN = "20260101T000000Z-abcdef"


@pytest.fixture
def item(tmp_path):
    """An envelope that waits."""
    folder = tmp_path / RUN
    folder.mkdir()
    path = folder / "test_it-1.failed.envelope.json"
    path.write_text(Envelope(execution_uuid=EXECUTION, name="crew").dump())
    (found,) = outbox.find([tmp_path])
    assert found.path == path
    return found


def sent(item, state, **fields):
    return Sent(str(item.path), state, **fields)


@pytest.mark.parametrize(
    ("state", "waits", "stays"),
    [
        ("sent", False, False),
        ("partial", False, False),
        ("skipped", False, False),
        ("rejected", False, True),
        ("failed", True, True),
        ("kept", True, True),
    ],
)
def test_what_came_of_it(item, tmp_path, state, waits, stays):
    progress = Progress("grants", 200)

    item.keep(sent(item, state, url="https://amp/1", progress=progress), EXECUTION)

    (found,) = outbox.find([tmp_path])
    assert found.waits == waits
    assert found.path.exists() == stays
    assert found.parcel.progress == progress
    assert outbox.record_of(found.path).url == "https://amp/1"
    trace = found.path.with_name("test_it-1.failed.jsonl")
    assert outbox.record_of(trace).state == state


def test_which_tests_failed(item):
    assert item.bad
    assert not outbox.Item(item.path.with_name("test_it-1.passed.envelope.json")).bad


def test_what_stands_in_two_places_counts_once(item, tmp_path):
    copy = tmp_path / "copy" / RUN
    copy.mkdir(parents=True)
    (copy / item.path.name).write_bytes(item.path.read_bytes())
    item.keep(sent(item, "sent"), EXECUTION)

    (found,) = outbox.find([tmp_path / "copy", tmp_path])

    assert not found.waits


@pytest.mark.parametrize("text", ["", "{", '{"crewai_trace_published": 2}', "[]", '{"state": "sent"}'])
def test_s43_a_broken_record_is_none(item, tmp_path, text):
    """Better sent twice than never."""
    (item.path.with_name("test_it-1.failed.published.json")).write_text(text)

    (found,) = outbox.find([tmp_path])

    assert found.waits


def test_s41_one_at_a_time(item):
    """S41: who comes second is told who is at it."""
    folder = item.path.parent

    with outbox.locked(folder, time.monotonic()) as first:
        assert first == ""
        with outbox.locked(folder, time.monotonic()) as second:
            assert second == "somebody else is sending it"
    with outbox.locked(folder, time.monotonic()) as third:
        assert third == ""


def test_s40_a_folder_that_cannot_be_written(item):
    folder = item.path.parent
    with read_only(folder) as why, outbox.locked(folder, time.monotonic()) as problem:
        assert problem == f"what was sent could not be remembered: {why} ({folder})"


def test_a_lock_that_is_a_link_is_not_followed(item, tmp_path):
    target = tmp_path / "elsewhere"
    (item.path.parent / ".publishing").symlink_to(target)

    with outbox.locked(item.path.parent, time.monotonic()) as problem:
        assert problem != "" or os.name != "posix"
    assert not target.exists() or os.name != "posix"

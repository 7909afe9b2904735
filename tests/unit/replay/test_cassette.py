"""The file of a cassette, and the bodies in it."""

from __future__ import annotations

import gzip
import os
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crewai_trace.replay import cassette
from pytest_crewai_trace.replay.body import Body, BodyError, body_of, json_body, unpacked, written_body
from pytest_crewai_trace.replay.cassette import Call, CassetteFileError, Reply, Request, load, save
from pytest_crewai_trace.replay.matching import key_of, sent_key_of


def call(number, agent="Ann", task="look"):
    request = Request("POST", f"https://a.example/{number}", Body("json", {"text": f"one\ntwo {number}"}))
    reply = Reply(200, {"a": ("1", "2")}, Body("crlf", "x\ny\n"), "Fine")
    return Call(key_of(request), agent, task, request, reply, sent=sent_key_of("POST", request.url, b"sent"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cassettes" / "one.yaml"


def seen(calls):
    return [(call.agent, call.task, call.number, call.request, call.reply) for call in calls]


def test_written_and_read(path):
    calls = [call(1), call(2, None, None), call(3, "Bob: the 1st", None), call(4)]
    save(path, calls, "test_a.py::test_b", "pytest x")

    loaded = load(path)

    assert loaded.test == "test_a.py::test_b"
    assert [(one.key, one.sent) for one in loaded.calls] == [(one.key, one.sent) for one in calls]
    assert [one.number for one in loaded.calls] == [1, 1, 1, 2]
    assert [part[3:] for part in seen(loaded.calls)] == [part[3:] for part in seen(calls)]
    text = path.read_text("utf-8")
    save(path, loaded.calls, "test_a.py::test_b", "pytest x")
    assert path.read_text("utf-8") == text


def test_loading_reads_no_call(path, monkeypatch):
    save(path, [call(1), call(2)], "t", "x")
    monkeypatch.setattr(cassette, "_call_of", None)
    assert len(load(path).calls) == 2


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("two 2", "two three"),
        lambda text: text.replace("- key: ", "- key: 0", 1),
        lambda text: re.sub("(- key: )(.)", lambda found: found[1] + ("1" if found[2] == "0" else "0"), text),
        lambda text: re.sub(r"(- key: \w+)-\w+-\w+", r"\1-0123456789abcdef", text),
        lambda text: re.sub(r"- key: .*\n  agent", "- agent", text),
        lambda text: text.replace("  agent: Ann\n", "  agent: Ann  # who\n"),
        lambda text: text.replace("calls:\n", "calls:\n\n"),
    ],
    ids=["text", "key", "another-key", "other-keys", "no-keys", "remark", "blank"],
)
def test_an_edited_one_is_read_whole(path, edit):
    save(path, [call(1), call(2)], "t", "x")
    text = edit(path.read_text("utf-8"))
    path.write_bytes(text.encode())

    calls = load(path).calls

    assert [(one.key, one.sent, one.agent) for one in calls] == [("", "", "Ann")] * 2
    assert calls[1].request.body.value["text"].startswith("one\ntwo")


@pytest.mark.parametrize("ends", [b"\r\n", b"\n"])
@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_what_git_and_editors_make_of_a_file_is_no_edit(path, ends, mark):
    calls = [call(1), call(2)]
    save(path, calls, "t", "x")
    path.write_bytes(mark + path.read_bytes().replace(b"\n", ends))

    loaded = load(path)

    assert loaded.test == "t"
    assert [(one.key, one.sent) for one in loaded.calls] == [(one.key, one.sent) for one in calls]
    assert seen(loaded.calls)[1][3:] == seen(calls)[1][3:]


def test_an_edited_request_is_found_by_what_it_says_now(path):
    save(path, [call(1)], "t", "x")
    path.write_text(path.read_text("utf-8").replace("two 1", "two three"), "utf-8")
    (edited,) = load(path).calls
    assert edited.key in ("", key_of(edited.request))


def test_what_is_added_to_an_edited_one_keeps_its_keys(path):
    save(path, [call(1)], "t", "x")
    path.write_text(path.read_text("utf-8").replace("two 1", "two three"), "utf-8")
    (edited,), added = load(path).calls, call(2)

    save(path, [edited, added], "t", "x")

    assert [(one.key, one.sent) for one in load(path).calls] == [("", ""), (added.key, added.sent)]


def test_writing_fails_whole(path, monkeypatch):
    save(path, [call(1)], "t", "x")
    before = path.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        save(path, [call(2)], "t", "x")
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["one.yaml"]


def test_s62_a_large_file_is_not_read(path):
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(1_000_000_000)
    with pytest.raises(CassetteFileError, match="has 1,000,000,000 bytes; at most 200,000,000 are read"):
        load(path)


BODIES = [
    (b"", None),
    (b'{"a": 1}', Body("json", {"a": 1})),
    (b' [1, 2.5, "\xc3\xbc"] ', Body("json", [1, 2.5, "ü"])),
    (b'{"a": 1, "a": 2}', Body("text", '{"a": 1, "a": 2}')),
    (b'{"a": NaN}', Body("text", '{"a": NaN}')),
    (b'{"a": "\\ud800"}', Body("text", '{"a": "\\ud800"}')),
    (b"[" * 500 + b"]" * 500, Body("text", "[" * 500 + "]" * 500)),
    (b"data: 1\n\n", Body("text", "data: 1\n\n")),
    (b"data: 1\r\n\r\n", Body("crlf", "data: 1\n\n")),
    (b"a\r\nb\n", Body("text", "a\r\nb\n")),
    (b"\xff\x00", Body("base64", b"\xff\x00")),
]


@pytest.mark.parametrize(("data", "body"), BODIES, ids=range(len(BODIES)))
def test_bodies(data, body, path):
    assert body_of(data) == body
    if body is not None:
        assert written_body(body.document(), "x") == body
        save(path, [Call("0" * 16, None, None, Request("POST", "u", body), Reply(200, {}, body))], "t", "x")
        (one,) = load(path).calls
        assert one.request.body == one.reply.body == body
        assert body.kind == "json" or body.data == data


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_a_body_comes_back_as_it_was(data):
    body = body_of(data)
    if body is None or body.kind == "json":
        assert (body is None) == (data == b"")
        return
    assert body.data == data
    assert json_body(data) is None or json_body(data).kind == "json"


def test_more_than_one_body_is_refused():
    with pytest.raises(BodyError, match="more than one body: json, text"):
        written_body({"json": 1, "text": "x"}, "call 1")
    with pytest.raises(BodyError, match="call 1: text is no text"):
        written_body({"text": 1}, "call 1")


def test_packed_bodies():
    data = b"one" * 100
    assert unpacked(gzip.compress(data), ["gzip"]) == data
    assert unpacked(zlib.compress(data), ["deflate"]) == data
    assert unpacked(zlib.compress(data)[2:-4], ["deflate"]) == data
    assert unpacked(gzip.compress(zlib.compress(data)), ["deflate, gzip"]) == data
    assert unpacked(data, ["gzip"]) == data  # urllib3 has unpacked it
    assert unpacked(b"", ["gzip"]) == b""
    assert unpacked(data, ["identity"]) == data
    with pytest.raises(BodyError, match="its encoding 'lzma' is not known"):
        unpacked(data, ["lzma"])
    with pytest.raises(BodyError, match="its gzip cannot be unpacked"):
        unpacked(b"\x1f\x8b\xff\xff", ["gzip"])

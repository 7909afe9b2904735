"""Files that somebody has damaged, and files that never were ours: read, or refused with one sentence."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_crewai_trace.errors import TraceDocumentError
from pytest_crewai_trace.replay.body import Body, BodyError
from pytest_crewai_trace.replay.cassette import Call, CassetteFileError, Reply, Request, content_of, load
from pytest_crewai_trace.replay.layout import LayoutError, read, write
from pytest_crewai_trace.replay.matching import key_of
from pytest_crewai_trace.report.html import write as write_viewer
from pytest_crewai_trace.report.otlp import resource_spans
from pytest_crewai_trace.snapshot.messages import difference
from pytest_crewai_trace.snapshot.options import Options
from pytest_crewai_trace.snapshot.reading import Reading
from pytest_crewai_trace.snapshot.render import tree_text
from pytest_crewai_trace.snapshot.text import Snapshot, SnapshotFileError
from pytest_crewai_trace.store.reader import find
from pytest_crewai_trace.trace.redact import Redactor
from tests.support.spans import span
from tests.support.stored import crew_trace, keep
from tests.support.viewer import content
from tests.unit.strategies import traces


def trace_file() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        tool = span("tool", "search", arguments={"q": "a\n\u202eb", "n": [1, 2.5, None]}, error="no")
        kept = keep(Path(place) / "t", "test_a.py::test_one", crew_trace(tool), outcome="failed", message="no")
        assert kept.path is not None
        return kept.path.read_bytes()


def cassette_file() -> bytes:
    def call(number: int, body: Body | None) -> Call:
        request = Request("POST", f"https://a.example/{number}", Body("json", {"text": f"one\ntwo {number}", "n": [1]}))
        return Call(key_of(request), "Ann", "look", request, Reply(200, {"a": ("1", "2")}, body, "Fine"))

    bodies = [Body("crlf", "x\ny\n"), Body("json", {"a": {"b": "\u2028"}}), None]
    return content_of([call(number, body) for number, body in enumerate(bodies)], "test_a.py::test_b", "x")


TRACE, CASSETTE = trace_file(), cassette_file()
SNAPSHOT = Snapshot("content", (tree_text(crew_trace(), Options.of(level="content"), Redactor()),) * 2).write()
_PIECES = [
    b"",
    b"\n",
    b" ",
    b"  ",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b": ",
    b"-",
    b"- ",
    b",",
    b"null",
    b"0",
    b"-1",
    b"NaN",
]
_PIECES += [
    b"1e999",
    b"9" * 5000,
    b"[" * 2000,
    b"\xff",
    b"\xed\xa0\x80",
    b"\0",
    b"&a ",
    b"*a",
    b"!!python/object:x ",
    b"|",
    b"...",
    b"---\n",
]
_PIECES += [
    b"variant 1\n",
    b"calls:\n",
    b"\n- key: ",
    b"true",
    b"''",
    b"<<: *a\n",
    b"\r\n",
    b"\xe2\x80\xa8",
    b"(41) ",
    b"tool x\n",
    b"%YAML 9\n",
]


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """A sound file with parts cut, doubled, moved, or replaced by what means something in such a file."""
    content = sound
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(content)))
        end = min(len(content), begin + draw(st.integers(0, 30)))
        other = draw(st.integers(0, len(content)))
        piece = draw(st.sampled_from(_PIECES) | st.binary(max_size=6) | st.just(content[other : other + (end - begin)]))
        content = content[:begin] + piece + content[end:]
    return content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) and draw(st.booleans()) else content


def is_one_sentence(why: str) -> None:
    assert why.isprintable()
    assert 0 < len(why) < 500


@given(damaged(TRACE) | st.binary(max_size=40))
def test_a_trace_file_is_read_or_named(damaged_file):
    """S36, S43: and what is read can be shown, exported and put into the viewer."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "traces"
        folder.mkdir()
        (folder / "one.jsonl").write_bytes(damaged_file)
        (folder / "two.jsonl").write_bytes(TRACE)
        found = find([folder])
        assert len(found.stored) + len(found.skipped) in (1, 2)  # both may be the same attempt
        for one in found.stored:
            try:
                made = one.trace()
            except TraceDocumentError as error:
                is_one_sentence(str(error))
                continue
            made.render()
            resource_spans(one.attempt, made)
        for _, why in found.skipped:
            is_one_sentence(why)
        written = write_viewer(Path(place) / "page.html", found)
        parts = content(Path(place) / "page.html")
    assert len(parts) == written.tests + 1
    assert written.tests + len(written.skipped) == len(found.stored) + len(found.skipped)


@given(damaged(CASSETTE) | st.binary(max_size=40))
def test_a_cassette_is_read_or_refused(damaged_file):
    """S43, S61"""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "one.yaml"
        path.write_bytes(damaged_file)
        try:
            loaded = load(path)
            for call in loaded.calls:
                assert call.request.document() is not None
                assert call.reply.document() is not None
        except (CassetteFileError, LayoutError, BodyError) as error:
            is_one_sentence(str(error))
            return
        path.write_bytes(content_of(loaded.calls, loaded.test, "x"))
        second = load(path)
    assert [(one.agent, one.task, one.request, one.reply) for one in second.calls] == [
        (one.agent, one.task, one.request, one.reply) for one in loaded.calls
    ]


@given(damaged(SNAPSHOT.encode()) | st.binary(max_size=40))
def test_a_snapshot_is_read_or_refused(damaged_file):
    """S43, S61: and what is read can be compared, both ways."""
    text = damaged_file.decode("utf-8", "replace")
    try:
        stored = Snapshot.read(text)
        trees = Reading().trees(stored)
    except SnapshotFileError as error:
        is_one_sentence(str(error))
        return
    assert all(trees)
    for variant in stored.variants:
        for texts in ((variant, stored.variants[0]), (stored.variants[0], variant)):
            _, lines = difference(*texts)
            assert all(isinstance(line, str) for line in lines)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, min_size=1, max_size=4))
def test_yaml_there_and_back(value: dict[str, Any]):
    try:
        text = write(value)
    except LayoutError:  # a lone surrogate
        return
    assert read(text) == value


@given(traces())
def test_a_trace_there_and_back(made):
    """S43: load(dump(x)) == x, also of what was cleaned and stored."""
    with tempfile.TemporaryDirectory() as place:
        kept = keep(Path(place) / "t", "test_a.py::test_one", made)
        (one,) = find([Path(place)]).stored
        assert one.path == kept.path
        again = one.trace()
    assert again.to_json() == type(again).from_json(again.to_json()).to_json()
    assert [each.kind for each in again.all_spans] == [each.kind for each in made.all_spans]

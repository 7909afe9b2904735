"""What the store writes, it reads; what it did not write is named and skipped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings

from pytest_crewai_trace.errors import TraceDocumentError
from pytest_crewai_trace.store import clean, reader
from pytest_crewai_trace.store.attempt import Attempt
from pytest_crewai_trace.store.clean import Cleaning
from pytest_crewai_trace.store.reader import Found, find, read
from tests.support.spans import span, trace
from tests.support.stored import LATER, RUN, crew_trace, keep, store
from tests.unit.strategies import traces


def test_what_is_written_is_read(tmp_path):
    kept = keep(tmp_path / "t", "test_a.py::test_one", outcome="failed", message="no", attempt=2, worker="gw1")

    (one,) = find([tmp_path]).stored

    assert one.path == kept.path
    assert one.attempt.test_id == "test_a.py::test_one"
    assert (one.attempt.outcome, one.attempt.attempt, one.attempt.worker) == ("failed", 2, "gw1")
    assert (one.attempt.run, one.attempt.seconds, one.attempt.message) == (RUN, 1.5, "no")
    assert one.attempt.usage.total_tokens == 150
    assert str(one.attempt.cost) == "0.000045"
    assert one.trace() == crew_trace()


@settings(max_examples=25, deadline=None)
@given(made=traces())
def test_any_trace_survives_cleaning(made):
    again = Cleaning().trace(made)

    assert [one.kind for one in again.all_spans] == [one.kind for one in made.all_spans]
    assert [one.parent_id for one in again.all_spans] == [one.parent_id for one in made.all_spans]


def test_a_pattern_that_meets_everything_leaves_the_tree_whole():
    made = Cleaning(patterns=[".+"]).trace(crew_trace())

    assert [one.kind for one in made.all_spans] == ["crew", "task", "agent", "llm"]
    assert [one.status for one in made.all_spans] == ["ok"] * 4
    assert made.llm_calls.one().response == "[redacted]"


def test_the_same_test_twice_in_one_process_is_two_files(tmp_path):
    writer = store(tmp_path / "t")
    attempt = Attempt(test_id="test_a.py::test_one", outcome="passed", run=RUN)

    names = [writer.keep(attempt, crew_trace()).path.name for _ in range(3)]

    assert len(set(names)) == 3


# -- S43, S62: files that are none ------------------------------------------------------------------------------------

HEADER = json.dumps({"crewai_trace": 1, "trace_bytes": 2, "test_id": "t", "outcome": "passed"})
BAD = {
    "empty": (b"", "not a trace file: it is empty"),
    "a line break": (b"\n", "not a trace file"),
    "text": (b"hello", "not a trace: not JSON (Expecting value: line 1 column 1 (char 0))"),
    "a list": (b"[]", "not a trace: a trace is a JSON object with a number 'schema_version'"),
    "foreign": (b'{"a": 1}', "not a trace: a trace is a JSON object with a number 'schema_version'"),
    "newer": (
        b'{"crewai_trace": 2}',
        "a trace file of version 2; this version of pytest-crewai-trace reads up to 1",
    ),
    "no version": (b'{"crewai_trace": "x\\u001b"}', "not a trace file: its version is 'x\\x1b'"),
    "no outcome": (b'{"crewai_trace": 1, "test_id": "t"}', "not a trace file: outcome: Field required"),
    "unknown field": (
        HEADER.replace("}", ', "surplus": 1}').encode(),
        "not a trace file: surplus: Extra inputs are not permitted",
    ),
    "deep": (b"[" * 100_000, "not a trace: not JSON ("),
    "binary": (bytes(range(256)), "not a trace: not JSON ("),
}


@pytest.mark.parametrize("name", BAD)
def test_s43_a_file_that_is_no_trace_is_named_and_skipped(tmp_path, name):
    content, reason = BAD[name]
    (tmp_path / "bad.jsonl").write_bytes(content)
    keep(tmp_path / "t", "test_a.py::test_one")

    found = find([tmp_path])

    assert len(found.stored) == 1
    ((path, said),) = found.skipped
    assert path == tmp_path / "bad.jsonl"
    assert said.startswith(reason) if reason.endswith("(") else said == reason
    assert said.isprintable()


@pytest.mark.parametrize("left", [0.3, 0.9, 0.999])
def test_s36_s43_a_truncated_file_is_never_read_as_whole(tmp_path, left):
    path = keep(tmp_path / "t", "test_a.py::test_one").path
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left)])

    found = find([tmp_path])

    for one in found.stored:
        with pytest.raises(TraceDocumentError, match=r"^truncated: [\d,]+ of \d+ bytes$"):
            one.trace()
    assert len(found.stored) + len(found.skipped) == 1


KILLED = """
import resource, signal, sys
from pathlib import Path
from tests.support.stored import keep

signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the system kills who writes more than this to a file
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
keep(Path(sys.argv[1]), "test_a.py::test_one")
"""


@pytest.mark.skipif(os.name != "posix", reason="there is no such limit")
def test_s36_a_process_that_is_killed_while_it_writes(tmp_path):
    root = Path(__file__).parents[3]

    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "t")], cwd=root, check=False)

    assert killed.returncode == -signal.SIGXFSZ
    assert [path for path in (tmp_path / "t").rglob("*") if path.is_file() and path.stat().st_size == 1_000], (
        "half of one"
    )
    assert find([tmp_path]) == Found((), ())


def test_s62_a_file_that_is_too_large_is_not_opened(tmp_path):
    path = tmp_path / "large.jsonl"
    with open(path, "wb") as file:
        file.truncate(reader.MOST_BYTES + 1)  # takes no space

    with pytest.raises(TraceDocumentError, match=r"^has 200,000,001 bytes; at most 200,000,000 are read$"):
        read(path)


@pytest.mark.timeout(30)  # a wait for it would be for ever
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_s43_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")

    assert find([tmp_path]).skipped == ((tmp_path / "pipe.jsonl", "is not a file"),)


def test_a_document_of_to_json_is_read_too(tmp_path):
    for indent in (None, 2):
        (tmp_path / f"{indent}.json").write_text(crew_trace().to_json(indent=indent))

    found = find([tmp_path])

    assert [one.attempt.outcome for one in found.stored] == ["unknown", "unknown"]
    assert all(one.trace() == crew_trace() for one in found.stored)


def test_s41_the_same_attempt_at_two_places_counts_once(tmp_path):
    for place in ("one", "two"):
        keep(tmp_path / place, "test_a.py::test_one")
    keep(tmp_path / "two", "test_a.py::test_one", run=LATER)

    found = find([tmp_path])

    assert [one.attempt.run for one in found.stored] == [RUN, LATER]
    assert found.runs == [RUN, LATER]


# -- S60: sizes -------------------------------------------------------------------------------------------------------


def test_s60_a_trace_that_is_too_large_is_cut_with_marks(monkeypatch):
    monkeypatch.setattr(clean, "MOST_BYTES", 400_000)
    made = trace(*(span("tool", "search", result="x" * 20_000, arguments={"key" * 9: "y"}) for _ in range(30)))

    text = Cleaning().json_of(made)

    assert len(text) <= 400_000
    again = type(made).from_json(text)
    assert len(again.all_spans) == 30
    assert again.all_spans[0].result == "x" * 10_000 + "… [10,000 more characters]"


def test_s60_spans_that_are_too_many_are_counted():
    again = Cleaning().trace(trace(*(span("tool", f"tool {number}") for number in range(20_050))))

    assert len(again.all_spans) == 20_000
    assert again.incomplete == ("only the first 20,000 of 20,050 spans were kept",)


def test_s58_lone_surrogates_are_replaced(tmp_path):
    kept = keep(tmp_path / "t", "test_a.py::test_one[\ud800]", crew_trace(answer="a\ud800b"), message="\ud800")

    assert kept.problem is None
    (one,) = find([tmp_path]).stored
    assert one.trace().llm_calls.one().response == "a?b"


# -- S44: the folder --------------------------------------------------------------------------------------------------


def test_s44_the_oldest_passed_go_first(tmp_path):
    folder = tmp_path / "t"
    for number, outcome in enumerate(["failed", "passed", "passed", "failed"]):
        path = keep(folder, f"test_a.py::test_{number}", outcome=outcome).path
        os.utime(path, (number, number))
    size = path.stat().st_size
    new = Attempt(test_id="test_a.py::test_new", outcome="passed", run=LATER)

    kept = store(folder, LATER, most_bytes=int(size * 3.5)).keep(new, crew_trace())

    left = [one.attempt.test_id.rpartition("_")[2] for one in find([folder]).stored]
    assert kept.dropped == 2
    assert left == ["0", "3", "new"]


def test_s44_what_was_just_written_stays_whatever_its_size(tmp_path):
    new = Attempt(test_id="test_a.py::test_new", outcome="passed", run=RUN)

    kept = store(tmp_path / "t", most_bytes=1).keep(new, crew_trace())

    assert kept.dropped == 0
    assert kept.path.exists()


def test_a_file_that_was_given_up_is_removed_after_an_hour(tmp_path):
    keep(tmp_path / "t", "test_a.py::test_one")
    young, old = (tmp_path / "t" / RUN / f".writing-{name}" for name in ("young", "old"))
    for path in (young, old):
        path.write_text("half")
    os.utime(old, (0, 0))

    keep(tmp_path / "t", "test_a.py::test_two")

    assert young.exists()
    assert not old.exists()


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="no links")
def test_s40_a_run_that_is_a_link_is_refused(tmp_path):
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / RUN).symlink_to(target)

    kept = keep(tmp_path / "t", "test_a.py::test_one")

    assert kept.problem == f"not a folder ({tmp_path / 't' / RUN})"
    assert list(target.iterdir()) == []

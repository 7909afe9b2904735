"""The viewer as a file: what is in it, where it may be written. Browsers are in tests/browser."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat

import pytest

from pytest_crewai_trace.report.target import ViewerError, check
from pytest_crewai_trace.store.reader import find
from tests.support.spans import span, trace
from tests.support.viewer import BEFORE, Folder, call, content, fill


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "traces")


def test_a_mixed_run(folder):
    fill(folder)
    data = content(folder.view())

    tests = {test["id"].rpartition("::")[2]: test for test in data["run"]["tests"]}
    assert {name: test["outcome"] for name, test in tests.items()} == {
        "test_research": "passed",
        "test_failing": "failed",
        "test_raising": "error",
        "test_parallel": "passed",
        "test_large": "passed",
    }
    research = tests["test_research"]
    assert research["sum"] == {
        "requests": 3, "input": 3_000, "output": 600, "cost": 0.00081, "unpriced": 0, "unreported": 0,
    }  # fmt: skip
    assert research["names"] == ["Researcher", "Writer", "research", "write", "search", "openai/gpt-4o-mini"]
    failing = data[f"trace-{tests['test_failing']['place']}"]
    assert [failing["spans"][number]["name"] for number in failing["failing"]] == ["fetch"]
    assert folder.written.tests == 5


def test_totals_count_what_an_agent_used_once(folder):
    inner = span("agent", "Inner", call())
    folder.keep(
        "t.py::test", "passed", trace(span("task", "t", span("agent", "Outer", call(), span("tool", "ask", inner))))
    )
    totals = content(folder.view())["run"]["totals"]
    assert {name: used["requests"] for name, _, _, _, used in totals["agent"]} == {"Outer": 1, "Inner": 1}
    assert {name: used["requests"] for name, _, _, _, used in totals["task"]} == {"t": 2}
    assert [row[:3] for row in totals["model"]] == [["openai/gpt-4o-mini", 2, 0]]
    assert [row[:3] for row in totals["tool"]] == [["ask", 1, 0]]


def test_an_unknown_price_is_no_zero(folder):
    calls = [call(model="nobody/knows"), call(reported_usage=None), call()]
    folder.keep("t.py::test", "passed", trace(*calls))
    used = content(folder.view())["run"]["sum"]
    assert (used["unpriced"], used["unreported"], used["requests"]) == (2, 1, 3)


def test_the_failed_assertion_says_which_span_it_is_about(folder):
    folder.keep("t.py::test", "failed", trace(span("tool", "a", error="x"), span("tool", "b")), about=(1, 77))
    assert content(folder.view())["trace-0"]["failing"] == [1]


def test_what_a_passed_test_survived_is_not_where_it_failed(folder):
    folder.keep("t.py::test", "passed", trace(span("tool", "a", error="x")))
    assert content(folder.view())["trace-0"]["failing"] == []


def test_compared_with_the_last_run_that_passed(folder):
    folder.keep("t.py::test", "passed", trace(span("tool", "a")), run=BEFORE)
    folder.keep("t.py::test", "failed", trace(span("tool", "x")), attempt=1)
    folder.keep("t.py::test", "failed", trace(span("tool", "b")), attempt=2)
    found = find([folder.path])
    path = folder.path.parent / "latest.html"
    from pytest_crewai_trace.report.html import write

    write(path, found.of_run(found.runs[-1]), earlier=found.stored)
    data = content(path)
    assert [test["attempt"] for test in data["run"]["tests"]] == [1, 2]
    compared = data["trace-1"]["compared"]
    assert compared["with"] == f"the run that passed, {BEFORE}"
    assert compared["sentences"] == ["tool 'b' ran instead of 'a'"]
    assert {"+", "-"} <= {line[0] for line in compared["lines"]}


def test_what_is_no_trace_is_named_and_skipped(folder):
    """S43."""
    fill(folder)
    kept = next(folder.path.rglob("*large*.jsonl"))
    kept.write_bytes(kept.read_bytes()[:-1_000])
    (kept.parent / "foreign.jsonl").write_text("hello", "utf-8")
    data = content(folder.view())
    assert len(data["run"]["tests"]) == 4
    assert [test["place"] for test in data["run"]["tests"]] == [0, 1, 2, 3]
    assert {path.rpartition(os.sep)[2]: why.partition(":")[0] for path, why in data["run"]["skipped"]} == {
        kept.name: "truncated",
        "foreign.jsonl": "not a trace",
    }
    assert [path.name for path, _ in folder.written.skipped] == ["foreign.jsonl", kept.name]


def test_a_first_line_that_somebody_else_has_written(folder):
    """S43 S59: numbers that are none do not make the whole page unreadable."""
    kept = folder.keep("t.py::test", "passed", trace(call()))
    first, _, rest = kept.read_bytes().partition(b"\n")
    header = {**json.loads(first), "durations": {"call": float("inf")}}
    kept.write_bytes(json.dumps(header).encode() + b"\n" + rest)
    (test,) = content(folder.view())["run"]["tests"]
    assert test["seconds"] is None
    kept.write_bytes(json.dumps({**header, "prices": {"0": "dear"}}).encode() + b"\n" + rest)
    assert content(folder.view())["run"]["tests"] == []


def test_whole_numbers_keep_their_digits(folder):
    folder.keep(
        "t.py::test", "passed", trace(span("tool", "a", arguments={"id": 12345678901234567890, "n": 10**15 - 1}))
    )
    assert content(folder.view())["trace-0"]["spans"][0]["arguments"] == {"id": "12345678901234567890", "n": 10**15 - 1}


def test_the_same_traces_give_the_same_bytes(folder):
    fill(folder)
    assert folder.view().read_bytes() == folder.view(folder.path.parent / "again.html").read_bytes()


def test_s54_the_policy_allows_only_our_script_and_style(folder):
    folder.keep("t.py::test", "passed", trace(span("tool", "a")))
    text = folder.view().read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1].replace("&#39;", "'")
    for tag, body in (
        ("script", re.findall(r"(?s)<script>(.*?)</script>", text)),
        ("style", re.findall(r"(?s)<style>(.*?)</style>", text)),
    ):
        (only,) = body
        digest = base64.b64encode(hashlib.sha256(only.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_hostile_text_is_not_in_the_page_as_it_is(folder):
    """S54."""
    hostile = "</script><script>alert(1)</script><!--"
    folder.keep(f"t.py::test[{hostile}]", "failed", trace(span("tool", hostile, result=hostile)), message=hostile)
    text = folder.view().read_text("utf-8")
    assert "alert(1)" not in text
    assert content(folder.path.parent / "traces.html")["run"]["tests"][0]["message"] == hostile


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_its_owner_reads_it(folder):
    """S70."""
    folder.keep("t.py::test", "passed", trace(span("tool", "a")))
    assert stat.S_IMODE(folder.view().stat().st_mode) == 0o600


def test_a_path_that_is_not_ours_is_left_alone(folder, tmp_path):
    folder.keep("t.py::test", "passed", trace(span("tool", "a")))
    taken = tmp_path / "index.html"
    taken.write_text("mine", "utf-8")
    with pytest.raises(ViewerError, match=r"index\.html exists and is no viewer of traces"):
        folder.view(taken)
    assert taken.read_text("utf-8") == "mine"
    folder.view(taken, force=True)
    folder.view(taken)  # now it is ours
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("folder", "is a folder; name a file in it"),
        ("file/traces.html", "file is no folder"),
        ("x" * 300 + ".html", "too long"),
    ],
)
def test_paths_that_cannot_be(tmp_path, name, says):
    """S40."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ViewerError, match=f"(?i){says}"):
        check(tmp_path / name)


def test_folders_are_made(folder, tmp_path):
    folder.keep("t.py::test", "passed", trace(span("tool", "a")))
    assert folder.view(tmp_path / "a" / "b" / "traces.html").exists()


def test_what_could_not_be_written_leaves_the_last_one(folder, monkeypatch):
    """S39."""
    folder.keep("t.py::test", "passed", trace(span("tool", "a")))
    before = folder.view().read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        folder.view(progress=full)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        folder.view()
    monkeypatch.undo()
    assert (folder.path.parent / "traces.html").read_bytes() == before
    assert sorted(path.name for path in folder.path.parent.iterdir()) == ["traces", "traces.html"]

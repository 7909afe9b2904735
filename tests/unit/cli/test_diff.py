"""What two traces did differently, and the exit code that says whether behaviour did."""

from __future__ import annotations

import pytest

from tests.support.spans import span, trace
from tests.support.stored import LATER, RUN, crew_trace, keep


def search(query):
    return span("tool", "search", arguments={"query": query}, result="found", agent_role="Writer", task_name="write")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".crewai-traces"
    for run, query in ((RUN, "AI"), (LATER, "cats")):
        keep(folder, "test_a.py::test_changed", crew_trace(search(query)), run=run, outcome="passed")
        keep(folder, "test_a.py::test_same", crew_trace(search("AI")), run=run)
    keep(folder, "test_a.py::test_gone", run=RUN)
    keep(folder, "test_a.py::test_new", run=LATER)
    return folder


def test_two_runs(runs, command):
    code, out, err = command("diff", RUN, LATER)

    assert (code, err) == (1, [])
    assert out == [
        "test_a.py::test_changed",
        "  behaviour:",
        """    tool 'search' was called with query="cats" instead of "AI\"""",
        f"2 tests compared: 1 equal, 1 differ in behaviour, 1 only in {RUN}, 1 only in {LATER}",
    ]


def test_two_files_of_different_tests(runs, command):
    one, other = next(runs.glob("*a/*test_changed*")), next(runs.glob("*b/*test_same*"))

    code, out, _ = command("diff", one, other)
    assert (code, out) == (0, ["1 test compared: 1 equal"])

    other = next(runs.glob("*b/*test_changed*"))
    code, out, _ = command("diff", one, other)
    assert code == 1
    changed = [" ".join(line.split()) for line in out if line.strip().startswith(("-", "+"))]
    assert changed == ['- arguments.query: "AI"', '+ arguments.query: "cats"']


def test_what_differs_in_detail_only(tmp_path, command):
    for name, answer in (("one", "An article."), ("two", "A book.")):
        keep(tmp_path / name, "test_a.py::test_one", crew_trace(answer=answer))

    assert command("diff", tmp_path / "one", tmp_path / "two")[:2] == (0, ["1 test compared: 1 equal"])
    code, out, _ = command("diff", tmp_path / "one", tmp_path / "two", "--level", "content")
    assert code == 0
    assert out[-1] == "1 test compared: 1 differ in detail"


def test_what_cannot_be_compared_is_not_equal(tmp_path, command):
    keep(tmp_path / "one", "test_a.py::test_one")
    keep(tmp_path / "two", "test_a.py::test_one", trace(incomplete=("the process died",)), outcome="crashed")

    code, out, _ = command("diff", tmp_path / "one", tmp_path / "two")

    assert code == 1
    assert out == [
        "test_a.py::test_one  (passed, now crashed)",
        "  not comparable: the trace is incomplete: the process died",
        "1 test compared: 1 not comparable",
    ]


def test_a_run_that_is_not_there(runs, command):
    gone = "20200101T000000Z-000000"
    code, out, err = command("diff", RUN, gone)

    assert (code, out) == (1, [])
    assert err == [f"crewai-trace: there is no run '{gone}'; crewai-trace list --all names them"]


def test_two_tests_of_the_last_run(runs, command):
    code, out, _ = command("diff", "test_same", "::test_changed")
    assert code == 1
    assert out[:3] == [
        "test_a.py::test_changed",
        "  behaviour:",
        """    tool 'search' was called with query="cats" instead of "AI\"""",
    ]

    code, out, err = command("diff", "test_same", "test_sane")
    assert (code, out) == (1, [])
    assert err[0].endswith("has 'test_sane' in its id; did you mean 'test_same'?")


def test_without_arguments_the_last_two_runs(runs, command, monkeypatch):
    monkeypatch.delenv("CREWAI_TRACE_DIR", raising=False)
    assert command("diff") == command("diff", RUN, LATER)

    code, out, err = command("diff", RUN)
    assert (code, out) == (2, [])
    assert err[-1].endswith("error: what is compared are two: A and B")


def test_one_run_is_not_compared(tmp_path, command):
    keep(tmp_path / "one", "test_a.py::test_one")

    code, out, err = command("diff", "--dir", tmp_path / "one")

    assert (code, out) == (1, [])
    assert err == ["crewai-trace: there is only one run; crewai-trace diff A B compares two traces, folders or tests"]

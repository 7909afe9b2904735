from __future__ import annotations

import json

import pytest

from pytest_crewai_trace import Trace
from tests.support.crews import tree
from tests.support.stored import LATER, RUN, crew_trace, keep

FAILED = [
    "failed tests/test_new.py::test_failed  [1 LLM call, 150 tokens, $0.000045, 1.5 s]",
    "! AssertionError: no article",
    "! assert 1 == 2",
    "  crew crew  [9.00 s]",
    "    task write  [7.00 s]",
    "      agent Writer  [5.00 s]",
    r"        llm gpt-4o-mini -> 'An [bold]article[/bold].\x1b[2J\u202e'  [1.00 s, 150 tokens]",
    ">       tool search(query='AI') !! RuntimeError: too slow  [1.00 s]",
]


def test_show_without_an_argument_is_what_failed_in_the_last_run(folder, command):
    """S51, S52: what models say is text, whatever it looks like."""
    assert command("show") == (0, FAILED, [])


@pytest.mark.parametrize("what", ["test_failed", "tests/test_new.py::test_failed", "file"])
def test_show_a_test_or_a_file(folder, command, what):
    if what == "file":
        what = next(folder.rglob("*test_failed*"))

    assert command("show", what) == (0, FAILED, [])


def test_show_what_passed_where_nothing_failed(folder, command):
    for what in (folder / RUN, "test_old"):  # a test of an earlier run is found by its name too
        code, out, _ = command("show", what)

    assert code == 0
    assert out[0] == "passed tests/test_old.py::test_old  [1 LLM call, 150 tokens, $0.000045, 1.5 s]"


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        (("--kind", "tool"), ["crew", "task", "agent", "tool"]),
        (("--kind", "task"), ["crew", "task"]),
        (("--agent", "Writer"), ["crew", "task", "agent", "llm", "tool"]),
        (("--agent", "Writer", "--kind", "llm"), ["crew", "task", "agent", "llm"]),
    ],
)
def test_show_some_spans_and_what_they_are_inside_of(folder, command, arguments, kinds):
    _, out, _ = command("show", "test_failed", *arguments)

    assert [line.lstrip("> ").split()[0] for line in out[3:]] == kinds


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--agent", "Writter"), "no agent 'Writter' in 1 test; did you mean 'Writer'? agents: 'Writer'"),
        (("--agent", "Writer", "--kind", "memory"), "no memory span of agent 'Writer' in 1 test"),
        (("--kind", "memory"), "no memory span in 1 test"),
        (("--kind", "memory", "--json"), "no memory span in 1 test"),
    ],
)
def test_show_says_what_there_is_where_no_span_is_meant(folder, command, arguments, says):
    assert command("show", "test_failed", *arguments) == (1, [], [f"crewai-trace: {says}"])


def test_show_marks_what_a_failed_expectation_is_about(folder, command):
    """The tree that its message has is not shown twice."""
    said = "expected: no errors\nactual: 1\ntrace:\n  crew crew\n>   agent Writer\nnext: look"
    keep(folder, "tests/test_new.py::test_about", run=LATER, outcome="failed", about=(2,), message=said)

    for full in ((), ("--full",)):
        _, out, _ = command("show", "test_about", *full)
        assert [line.split()[1] for line in out if line.startswith(">")] == ["agent"]
        assert out[1:4] == ["! expected: no errors", "! actual: 1", "! next: look"]


def test_show_everything_of_some_spans(folder, command):
    _, out, _ = command("show", "test_failed", "--kind", "tool", "--full")

    assert "\n".join(out[3:]) == tree("""
        >       tool search(query='AI') !! RuntimeError: too slow
                  seconds: 1.000
                  agent_role: Writer
                  task_name: write
                  arguments:
                  | {
                  |   "query": "AI"
                  | }
                  error: RuntimeError: too slow
        """)
    _, out, _ = command("show", "test_failed", "--kind", "llm", "--full")
    assert out[-1] == "          user: Write."
    assert r"          response: An [bold]article[/bold].\x1b[2J\u202e" in out
    assert all(line.isprintable() for line in out)


def test_s53_no_line_of_a_model_begins_a_line(folder, command):
    keep(folder, "test_a.py::test_commands", crew_trace(answer="::error::x\n::set-output::y"), run=LATER, message="::z")

    for arguments in ((), ("--full",)):
        _, out, _ = command("show", "test_commands", *arguments)
        assert any("::error::x" in line for line in out)
        assert not any(line.strip().startswith("::") for line in out)


def test_s51_a_message_is_shown_escaped(folder, command):
    keep(folder, "test_a.py::test_message", outcome="failed", run=LATER, message="red \x1b[31m\nhidden \u202e\x00")

    _, out, _ = command("show", "test_message")

    assert out[1:3] == [r"! red \x1b[31m", r"! hidden \u202e\x00"]


def test_s52_markup_in_a_message_stays_text(folder, command):
    said = "[bold]no[/bold] [link=http://e.example]x[/link]"
    keep(folder, "test_a.py::test_markup", outcome="failed", run=LATER, message=said)

    _, out, _ = command("show", "test_markup")

    assert any(said in line for line in out)


def test_show_as_json(folder, command):
    _, out, _ = command("show", "--json")

    (line,) = out
    told = json.loads(line)
    assert line.isascii()
    assert told["test_id"] == "tests/test_new.py::test_failed"
    assert len(Trace.from_json(json.dumps(told["trace"])).all_spans) == 5
    _, (line,), _ = command("show", "--json", "--kind", "tool")
    assert [span["name"] for span in json.loads(line)["spans"]] == ["search"]


def test_list(folder, command):
    code, out, err = command("list")

    assert (code, err) == (0, [])
    assert out == [
        "        test                            calls  tokens       cost  seconds",
        "failed  tests/test_new.py::test_failed      1     150  $0.000045      1.5",
        "passed  tests/test_new.py::test_passed      1     150  $0.000045      1.5",
    ]
    assert [line.split()[1] for line in command("list", "--failed")[1][1:]] == ["tests/test_new.py::test_failed"]
    assert [line.split()[-1] for line in command("list", "--all")[1][1:]] == [RUN, LATER, LATER]
    assert [json.loads(line)["outcome"] for line in command("list", "--json")[1]] == ["failed", "passed"]


def test_s43_what_is_skipped_is_named(folder, command):
    (folder / "notes.txt").write_text("mine")
    path = next(folder.rglob("*test_failed*"))
    path.write_bytes(path.read_bytes()[:-100])

    code, out, err = command("show", "test_new")

    assert code == 0
    assert len(out) == 5
    assert err[0].startswith(f"skipped: {folder / 'notes.txt'}: not a trace: not JSON (")
    assert err[1].startswith(f"skipped: {path}: truncated: ")


NO_FOLDER = (
    "there is no folder 'nowhere'; pytest --crewai-trace makes it when a traced test fails, "
    "--crewai-trace-keep=all whenever something ran"
)
MISTAKES = {
    "show test_faild": "no test in {folder} has 'test_faild' in its id; did you mean 'test_failed'?",
    "show zzz": "no test in {folder} has 'zzz' in its id",
    "list --dir nowhere": NO_FOLDER,
    "show x --dir nowhere": f"'x' is no file, and {NO_FOLDER}",
    "stats empty": "there are no traces in empty",
    "merge nowhere -o new": "'nowhere' is no folder",
    "merge . -o new": "'new' lies inside '.'; name another folder with -o",
    "merge empty -o new": "there are no traces in empty",
    "merge .crewai-traces -o file": "'file' is a file; name a folder with -o",
    "merge .crewai-traces -o full": "'full' holds other things than traces; --force writes into it all the same",
    "export --format jsonl -o file": "'file' is there already; --force replaces it",
    "export --format jsonl -o full": "'full' is a folder",
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_mistakes(folder, command, tmp_path, arguments):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")

    code, out, err = command(*arguments.split())

    assert (code, out) == (1, [])
    assert err == [f"crewai-trace: {MISTAKES[arguments].format(folder=folder)}"]
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("sho",), "invalid choice: 'sho'"),
        (("show", "--kind", "step"), "argument --kind: invalid choice: 'step'"),
        (("stats", "--top", "0"), "argument --top: '0'; valid: a number from 1"),
        (("export",), "the following arguments are required: --format"),
    ],
)
def test_arguments_that_make_no_sense(command, arguments, said):
    code, out, err = command(*arguments)

    assert (code, out) == (2, [])
    assert said in err[-1]


def test_merge_shards(tmp_path, monkeypatch, command):
    """Tests of the same name in two shards are two; what is merged again is there once."""
    monkeypatch.chdir(tmp_path)
    keep(tmp_path / "shard-1", "test_a.py::test_one", run=RUN)
    keep(tmp_path / "shard-2", "test_a.py::test_one", run=LATER)
    keep(tmp_path / "shard-2", "test_a.py::test_two", run=LATER)

    first = command("merge", "shard-1", "shard-2", "-o", "all")
    second = command("merge", "shard-1", "shard-2", "-o", "all")

    assert first == (0, ["3 traces of 2 runs in all"], [])
    assert second == (0, ["0 traces of 2 runs in all, 3 were there already"], [])
    assert len(command("list", "all")[1]) == 4
    assert (tmp_path / "all" / ".gitignore").exists()


def test_the_folder_is_found_from_below_and_by_the_environment(folder, command, tmp_path, monkeypatch):
    (tmp_path / "deep" / "down").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "down")
    assert command("show") == (0, FAILED, [])
    keep(tmp_path / "other", "test_a.py::test_other")
    monkeypatch.setenv("CREWAI_TRACE_DIR", str(tmp_path / "other"))
    assert "test_other" in command("list")[1][1]


def test_stats(folder, command):
    code, out, err = command("stats", "--by", "model", "--by", "tool", "--by", "agent")

    assert (code, err) == (0, [])
    assert [line for line in out if line] == [
        "agent   runs  failed  seconds  median  slowest  LLM calls   in  out      cost",
        "Writer     2             8.00    4.00     5.00          2  200  100  $0.00009",
        "tool    runs  failed  seconds  median  slowest  LLM calls  in  out  cost",
        "search     1       1     1.00    1.00     1.00",
        "model               runs  failed  seconds  median  slowest  LLM calls   in  out      cost",
        "openai/gpt-4o-mini     2             2.00    1.00     1.00          2  200  100  $0.00009",
    ]


def test_stats_as_json(folder, command):
    _, (line,), _ = command("stats", "--json", "--top", "1")

    told = json.loads(line)
    assert [list(told)] == [["agent", "tool", "model", "test", "slowest", "dearest"]]
    assert [len(rows) for rows in told.values()] == [1] * 6
    assert told["test"][0] == {
        "name": "tests/test_new.py::test_failed",
        "count": 1,
        "failed": 1,
        "seconds": 1.5,
        "median_seconds": 1.5,
        "slowest_seconds": 1.5,
        "llm_calls": 1,
        "input_tokens": 100,
        "output_tokens": 50,
        "cost": "0.000045",
    }
    assert told["dearest"][0]["cost"] == "0.000045"


def test_a_price_that_nobody_knows(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = crew_trace()
    calls = [span if span.kind != "llm" else span.model_copy(update={"model": "mine/own"}) for span in made.all_spans]
    keep(tmp_path / ".crewai-traces", "test_a.py::test_one", Trace(all_spans=tuple(calls), origin=made.origin))

    _, out, _ = command("stats", "--by", "model")

    assert out[1].split()[-2:] == ["no", "price"]

"""``--crewai-trace-html``: the viewer of a run, and ``crewai-trace html``."""

from __future__ import annotations

import re

import pytest

from pytest_crewai_trace.cli import main
from tests.support.spans import trace
from tests.support.viewer import BEFORE, Folder, call, content

TESTS = """
    @pytest.mark.parametrize("number", range(3))
    def test_passes(number): ScriptedLLM(f"answer {number}").call("hi")

    def test_fails():
        ScriptedLLM("no").call("hi")
        assert False, "no article"
"""


def opened(path):
    """Each test of a viewer, with what is shown when it is opened."""
    data = content(path)
    return [(test, data[f"trace-{test['place']}"]) for test in data["run"]["tests"]]


def shown(path):
    """Each test of a viewer, with what the model answered, or why that is not known."""
    return sorted(
        (test["id"], test["outcome"], trace["incomplete"] or [span.get("response") for span in trace["spans"]])
        for test, trace in opened(path)
    )


TIMES = {"seconds", "durations", "start", "end", "time", "time_to_first_chunk", "response_id"}


def everything(path):
    """All that a viewer shows of its tests, but when it was, in which process, and in which order."""

    def timeless(value):
        if isinstance(value, dict):
            return {name: timeless(item) for name, item in value.items() if name not in TIMES}
        return [timeless(item) for item in value] if isinstance(value, list) else value

    def rows(tables):
        return {
            what: sorted((name, times, failed, used) for name, times, failed, _, used in tables[what])
            for what in tables
        }

    tests = {}
    for test, made in opened(path):
        made["totals"] = rows(made["totals"])
        tests[test["key"]] = timeless([{**test, "place": 0, "worker": None}, made])
    run = content(path)["run"]
    return tests, run["sum"], rows(run["totals"]), run["skipped"]


ALL = [
    ("test_it.py::test_fails", "failed", ["no"]),
    *((f"test_it.py::test_passes[{number}]", "passed", [f"answer {number}"]) for number in range(3)),
]


def test_a_run(project):
    project.tests(TESTS)
    result = project.run("--crewai-trace-html=out/traces.html")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["crewai-trace: viewer of 4 traces in *out?traces.html"])
    path = project.path / "out" / "traces.html"
    assert shown(path) == ALL
    (failed,) = (test for test in content(path)["run"]["tests"] if test["bad"])
    assert failed["message"] == "AssertionError: no article\nassert False"

    project.run("--crewai-trace-html=out/traces.html", "--crewai-trace-keep=failed", "--junitxml=junit.xml")
    (link,) = re.findall(r'name="crewai_viewer" value="([^"]+)"', (project.path / "junit.xml").read_text("utf-8"))
    assert link == f"out/traces.html#{failed['key']}"
    assert shown(path) == ALL[:1]
    assert "the run that failed, " in content(path)["trace-0"]["compared"]["with"]


def test_the_spans_that_an_expectation_is_about(project):
    project.tests(
        """
        class Mismatch:
            spans = (1,)

        class WrongAnswer(AssertionError):
            mismatches = (Mismatch(),)

        def test_it():
            ScriptedLLM("one").call("hi")
            ScriptedLLM("two").call("hi")
            raise WrongAnswer
        """
    )
    project.run("--crewai-trace-html=traces.html")
    assert content(project.path / "traces.html")["trace-0"]["failing"] == [1]


def test_workers_and_merged_shards_show_the_same(project):
    """S45 S50: one process, four workers, two shards; all that is shown but times."""
    project.tests(TESTS)
    project.run("--crewai-trace-html=alone.html").assert_outcomes(passed=3, failed=1)
    alone = everything(project.path / "alone.html")
    # In a folder of its own: else it would be compared with the run before.
    apart = ("--crewai-trace-html=workers.html", "--crewai-trace-dir=workers", "-p", "xdist.plugin", "-n", "4")
    project.run_apart(*apart).assert_outcomes(passed=3, failed=1)
    assert shown(project.path / "workers.html") == ALL
    assert everything(project.path / "workers.html") == alone
    for shard, tests in (("one", "passes"), ("two", "fails")):
        project.run("--crewai-trace", "--crewai-trace-keep=all", f"--crewai-trace-dir={shard}", "-k", tests)
    folder, path = str(project.path / "all"), project.path / "merged.html"
    assert main(["merge", str(project.path / "one"), str(project.path / "two"), "-o", folder]) == 0
    assert main(["html", folder, "-o", str(path)]) == 0
    assert everything(path) == alone


def test_a_killed_worker(project):
    """S46: what it had finished is there as one process shows it, the test that it died in is shown as crashed."""
    project.tests(
        """
        def test_a(): ScriptedLLM("a").call("hi")
        def test_b():
            ScriptedLLM("b").call("hi")
            if "PYTEST_XDIST_WORKER" in os.environ:
                os._exit(3)
        """
    )
    project.run_apart("--crewai-trace-html=traces.html", "-p", "xdist.plugin", "-n", "1", "--max-worker-restart=0")
    assert shown(project.path / "traces.html") == [
        ("test_it.py::test_a", "passed", ["a"]),
        ("test_it.py::test_b", "crashed", ["the process died, and with it the trace of this test"]),
    ]
    project.run("--crewai-trace-html=alone.html")
    alone, apart = (everything(project.path / name)[0] for name in ("alone.html", "traces.html"))
    assert [apart[key] == alone[key] for key in sorted(alone, key=lambda key: alone[key][0]["id"])] == [True, False]


def test_a_secret_is_not_in_it(project):
    """S63."""
    secret = "sk-proj-" + "Ab1" * 16
    project.tests(f"def test_it(): ScriptedLLM('{secret}').call('{secret}'); assert 0, '{secret}'")
    project.run("--crewai-trace-html=traces.html")
    text = str(content(project.path / "traces.html"))
    assert "test_it" in text
    assert secret not in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--crewai-trace-html=."], "* is a folder; name a file in it*"),
        (["--crewai-trace-html=test_it.py"], "*test_it.py exists and is no viewer of traces*"),
        (["--crewai-trace-html=x.html", "--crewai-trace-keep=none"], "*keeps none; valid with it: failed, all"),
    ],
)
def test_what_makes_no_sense_is_said_before_a_test_runs(project, arguments, says):
    project.tests("def test_it(): print('ran')", crews=False)
    result = project.run(*arguments, "-s")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {says}"])
    assert "ran" not in result.stdout.str().split()


def test_nothing_to_show(project):
    """S75."""
    project.tests("def test_it(): pass", crews=False)
    project.run("--crewai-trace-html=x.html").stdout.fnmatch_lines(["*no trace was kept, so there is no viewer"])
    assert "viewer" not in project.run("--crewai-trace-html=x.html", "--collect-only").stdout.str()
    assert not (project.path / "x.html").exists()


def test_what_cannot_be_written_changes_no_outcome(project):
    """S39."""
    project.tests(
        """
        def test_it():
            ScriptedLLM("a").call("hi")
            os.mkdir("x.html")
        """
    )
    result = project.run("--crewai-trace-html=x.html")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["crewai-trace: the viewer could not be written: * is a folder*"])


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CREWAI_TRACE_DIR", raising=False)
    assert main(["html", "-o", "x.html"]) == 1
    assert "there is no '.crewai-traces'" in capsys.readouterr().err
    folder = Folder(tmp_path / ".crewai-traces")
    folder.keep("t.py::one", "passed", trace(call("before")), run=BEFORE)
    folder.keep("t.py::one", "failed", trace(call("now")))
    assert main(["html", "-o", "x.html"]) == 0
    assert capsys.readouterr().out == "1 trace in x.html\n"
    assert shown(tmp_path / "x.html") == [("t.py::one", "failed", ["now"])]
    assert content(tmp_path / "x.html")["trace-0"]["compared"]["with"] == f"the run that passed, {BEFORE}"
    assert main(["html", ".crewai-traces", "-o", "x.html"]) == 0
    assert len(shown(tmp_path / "x.html")) == 2
    (tmp_path / "mine.html").write_text("mine", "utf-8")
    assert main(["html", "-o", "mine.html"]) == 1
    assert "mine.html exists and is no viewer of traces" in capsys.readouterr().err
    assert main(["html", "-o", "mine.html", "--force"]) == 0

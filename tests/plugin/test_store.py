"""Trace files: which stay, what is in them, and that nothing of the disk changes a test's outcome."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from pytest_crewai_trace.store.reader import find
from pytest_crewai_trace.store.writer import RUN_NAME
from tests.support.disks import read_only, small

FOLDER = ".crewai-traces"
EACH = """
    def say(text="hello"):
        return ScriptedLLM(text).call("hi")

    def test_passed(): say()

    def test_failed():
        say()
        assert 1 == 2, "no article"

    @pytest.fixture
    def article():
        say()
        raise RuntimeError("no fixture")

    def test_error(article): pass

    @pytest.mark.xfail
    def test_xfailed():
        say()
        assert False

    @pytest.mark.xfail
    def test_xpassed(): say()

    def test_skipped():
        say()
        pytest.skip("no")

    def test_nothing_ran(): assert False
"""
BAD = {"test_failed": "failed", "test_error": "error"}
ALL = {
    **BAD,
    "test_passed": "passed",
    "test_xfailed": "xfailed",
    "test_xpassed": "xpassed",
    "test_skipped": "skipped",
}


def stored(folder):
    """The traces in a folder by the name of their test, where each was attempted once."""
    found = find([folder]) if folder.exists() else find([])
    assert not found.skipped
    by_name = {one.attempt.test_id.partition("::")[2]: one for one in found.stored}
    assert len(by_name) == len(found.stored)
    return by_name


def outcomes(folder):
    return {name: one.attempt.outcome for name, one in stored(folder).items()}


def said(result):
    """Our lines at the end, but for the numbers."""
    return [line for line in result.outlines if line.startswith("crewai-trace: ") and "LLM call" not in line][1:]


@pytest.mark.parametrize(
    ("arguments", "environment", "ini", "kept"),
    [
        ((), None, "", BAD),
        (("--crewai-trace-keep=all",), None, "", ALL),
        (("--crewai-trace-keep=none",), None, "", {}),
        ((), "all", "none", ALL),
        ((), None, "all", ALL),
        (("--crewai-trace-keep=failed",), "none", "all", BAD),
    ],
)
def test_which_traces_stay(crews, monkeypatch, arguments, environment, ini, kept):
    crews.tests(EACH)
    crews.write("pytest.ini", f"[pytest]\ncrewai_trace_keep = {ini}\n")
    if environment:
        monkeypatch.setenv("CREWAI_TRACE_KEEP", environment)

    result = crews.run("--crewai-trace", *arguments)

    result.assert_outcomes(passed=1, failed=2, errors=1, skipped=1, xfailed=1, xpassed=1)
    assert outcomes(crews.path / FOLDER) == kept
    (run,) = (path.name for path in (crews.path / FOLDER).iterdir() if path.is_dir()) if kept else (None,)
    number = f"{len(kept)} traces"
    assert said(result) == ([f"crewai-trace: kept {number} in {FOLDER}/{run}"] if kept else [])
    assert run is None or RUN_NAME.fullmatch(run)


def test_the_marker_says_what_stays(crews):
    crews.tests("""
        @pytest.mark.crewai_trace(keep="all")
        class TestKept:
            def test_one(self): ScriptedLLM("x").call("hi")

            @pytest.mark.crewai_trace(enabled=True)
            def test_two(self): ScriptedLLM("x").call("hi")

            @pytest.mark.crewai_trace(keep="none")
            def test_three(self):
                ScriptedLLM("x").call("hi")
                assert False
        """)

    crews.run("--crewai-trace").assert_outcomes(passed=2, failed=1)

    assert outcomes(crews.path / FOLDER) == {"TestKept::test_one": "passed", "TestKept::test_two": "passed"}


@pytest.mark.parametrize(
    ("how", "where"),
    [("option", "inner/given"), ("environment", "inner/given"), ("ini", "given"), ("absolute", "elsewhere")],
)
def test_where_traces_stay(crews, monkeypatch, how, where):
    """What is typed is as seen from where pytest is started; what stands in ini, from the project."""
    crews.tests(EACH, "inner/test_it.py")
    crews.write("pytest.ini", "[pytest]\n" + ("crewai_trace_dir = given\n" if how == "ini" else ""))
    monkeypatch.chdir(crews.path / "inner")
    if how == "environment":
        monkeypatch.setenv("CREWAI_TRACE_DIR", "given")
    arguments = {"option": ["--crewai-trace-dir=given"], "absolute": [f"--crewai-trace-dir={crews.path / 'elsewhere'}"]}

    crews.run("--crewai-trace", "-k", "test_failed", *arguments.get(how, []))

    assert outcomes(crews.path / where) == {"test_failed": "failed"}
    assert (crews.path / where / ".gitignore").read_text().splitlines()[-1] == "*"


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("crewai_trace_keep", "some", "'some'; valid: failed, all, none"),
        ("crewai_trace_show", "some", "'some'; valid: failed, all, none"),
        ("crewai_trace_dir_size", "much", "'much'; valid: a number of KB, MB or GB, such as 200 MB"),
    ],
)
def test_bad_values(project, name, value, valid):
    project.tests("def test_one(): pass", crews=False)
    project.write("pytest.ini", f"[pytest]\n{name} = {value}\n")

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line.startswith("ERROR")] == [f"ERROR: ini {name}: {valid}"]


def test_what_a_file_says(crews, monkeypatch):
    """S70: only the user may read it."""
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_JOB_URL", "https://user:password1234@gitlab.invalid/jobs/1")
    crews.tests("""
        def test_one():
            run(react("search", query="AI"), final("done"), tools=[search])
            assert 1 == 2, "no article"
        """)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x.invalid"]
    for command in (["init", "-q", "-b", "trunk"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*git, *command], cwd=crews.path, check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], cwd=crews.path, check=True, capture_output=True, text=True)

    crews.run("--crewai-trace")

    (one,) = stored(crews.path / FOLDER).values()
    told = one.attempt
    assert told.test_id == "test_it.py::test_one"
    assert (told.outcome, told.attempt, told.worker) == ("failed", 1, None)
    assert told.message == "AssertionError: no article\nassert 1 == 2"
    assert set(told.durations) == {"setup", "call", "teardown"}
    assert told.usage.requests == 2
    assert told.spans == len(crews.traces["test_one"].spans)
    assert told.git == {"commit": commit.stdout.strip(), "branch": "trunk"}
    assert told.ci == {"name": "GitLab CI", "url": "https://gitlab.invalid/jobs/1"}
    assert {"python", "platform", "pytest", "crewai"} <= set(told.versions)
    assert RUN_NAME.fullmatch(told.run)
    assert one.trace() == crews.traces["test_one"]
    if os.name == "posix":
        assert stat.S_IMODE(one.path.stat().st_mode) == 0o600
        assert [stat.S_IMODE(path.stat().st_mode) for path in (one.path.parent, crews.path / FOLDER)] == [0o700] * 2


def test_s47_each_attempt_has_its_file(crews):
    pytest.importorskip("pytest_rerunfailures")
    crews.tests("""
        attempts = []

        def test_one():
            attempts.append(1)
            ScriptedLLM(f"attempt {len(attempts)}").call("hi")
            assert len(attempts) == 2
        """)

    result = crews.run("--crewai-trace", "--crewai-trace-keep=all", "-p", "pytest_rerunfailures", "--reruns=1")

    result.assert_outcomes(passed=1)
    found = find([crews.path / FOLDER]).stored
    assert [(one.attempt.attempt, one.attempt.outcome) for one in found] == [(1, "failed"), (2, "passed")]
    assert [one.trace().output for one in found] == ["attempt 1", "attempt 2"]


IDS = [
    *(
        "../../up",
        "/etc/passwd",
        "a:b",
        "CON",
        "dot.",
        "x" * 300,
        "Twin",
        "twin",
        "🎉",
        "ü",
        "a b",
        "a_b",
        "a-b",
        "a/b",
    ),
    *("a\x00b", "a\nb", "\u202ex", ""),
]


def test_s57_any_test_id_has_one_file_inside_the_folder(crews):
    crews.tests(f"""
        @pytest.mark.crewai_trace(keep="all")
        @pytest.mark.parametrize("value", range({len(IDS)}), ids={IDS!a})
        def test_one(value): ScriptedLLM("x").call("hi")
        """)

    crews.run("--crewai-trace").assert_outcomes(passed=len(IDS))

    files = list(crews.path.rglob("*.jsonl"))
    assert len({path.name.lower() for path in files}) == len(IDS)
    assert {path.parent.parent for path in files} == {crews.path / FOLDER}
    assert all(path.name.isascii() and len(path.name) < 150 for path in files)
    assert len({one.attempt.test_id for one in find([crews.path / FOLDER]).stored}) == len(IDS)


# -- faults of the disk ----------------------------------------------------------------------------------------------


def test_s40_a_folder_that_is_a_file(crews):
    crews.tests(EACH)
    crews.write(FOLDER, "mine")

    result = crews.run("--crewai-trace")

    result.assert_outcomes(passed=1, failed=2, errors=1, skipped=1, xfailed=1, xpassed=1)
    assert said(result) == [f"crewai-trace: 2 traces could not be kept: not a folder ({crews.path / FOLDER})"]
    assert (crews.path / FOLDER).read_text() == "mine"


def test_s40_a_folder_that_cannot_be_made(crews):
    crews.tests(EACH)
    crews.write("file", "")

    result = crews.run("--crewai-trace", "--crewai-trace-dir=file/inside", "-k", "test_failed")

    folder = crews.path / "file" / "inside"
    assert said(result) == [f"crewai-trace: 1 trace could not be kept: not a folder ({folder})"]


def test_s40_a_read_only_folder(crews):
    crews.tests(EACH)
    folder = crews.path / FOLDER
    folder.mkdir()

    with read_only(folder) as why:
        result = crews.run("--crewai-trace")

    result.assert_outcomes(passed=1, failed=2, errors=1, skipped=1, xfailed=1, xpassed=1)
    assert said(result)[0].startswith(f"crewai-trace: 2 traces could not be kept: {why} (")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("named", [False, True])
def test_s40_a_link_out_of_the_project(crews, named, tmp_path_factory):
    """Followed only where somebody named it."""
    target = tmp_path_factory.mktemp("target")
    crews.tests(EACH)
    (crews.path / FOLDER).symlink_to(target)

    result = crews.run("--crewai-trace", "-k", "test_failed", *([f"--crewai-trace-dir={FOLDER}"] if named else []))

    assert outcomes(target) == ({"test_failed": "failed"} if named else {})
    if not named:
        why = "a link that leads out of the project; --crewai-trace-dir says that it is meant"
        assert said(result) == [f"crewai-trace: 1 trace could not be kept: {why} ({crews.path / FOLDER})"]


@pytest.fixture
def small_disk(tmp_path_factory):
    """A file system of 64 KB."""
    place = tmp_path_factory.mktemp("small")
    with small(place, kilobytes=64):
        yield place


def test_s39_a_full_disk(crews, small_disk):
    """What does not fit is counted; no half of it stays, and what is whole can be read."""
    crews.tests("""
        @pytest.mark.parametrize("number", range(4))
        def test_one(number):
            ScriptedLLM("x" * 25_000).call("hi")
            assert False
        """)

    result = crews.run("--crewai-trace", f"--crewai-trace-dir={small_disk / 'traces'}")

    result.assert_outcomes(failed=4)
    kept, lost = said(result)
    assert len(stored(small_disk)) == int(kept.split()[2])
    assert lost.startswith(f"crewai-trace: {4 - len(stored(small_disk))} trace")
    assert "could not be kept: No space left on device (" in lost
    assert all(path.name.endswith((".jsonl", ".gitignore")) for path in small_disk.rglob("*") if path.is_file())


def test_s41_s44_two_runs_in_one_folder_and_no_more_than_fits(crews):
    """The oldest go first, those of passed tests before others; what is not ours stays."""
    crews.tests("""
        @pytest.mark.parametrize("number", range(6))
        def test_one(number):
            ScriptedLLM("x" * 10_000).call("hi")
            assert number != 0
        """)
    crews.write(f"{FOLDER}/notes.jsonl", "x" * 100_000)
    crews.write("pytest.ini", "[pytest]\ncrewai_trace_dir_size = 60 KB\n")

    first = crews.run("--crewai-trace", "--crewai-trace-keep=all")
    second = crews.run("--crewai-trace", "--crewai-trace-keep=all")

    first.assert_outcomes(passed=5, failed=1)
    second.assert_outcomes(passed=5, failed=1)
    kept = list((crews.path / FOLDER).glob("*/*.jsonl"))
    dropped = [int(line.split()[2]) for result in (first, second) for line in said(result) if "dropped" in line]
    assert sum(dropped) + len(kept) == 12
    assert sum(path.stat().st_size for path in kept) <= 60_000
    assert sum("failed" in path.name for path in kept) == 2
    assert (crews.path / FOLDER / "notes.jsonl").stat().st_size == 100_000
    assert said(second)[-1] == f"crewai-trace: dropped {dropped[-1]} old traces: the folder was full"


def test_an_error_of_ours_is_said_and_changes_nothing(crews):
    """S07"""
    crews.tests("""
        def test_one(monkeypatch):
            from pytest_crewai_trace.store import writer
            def raises(*args):
                raise ZeroDivisionError("our mistake")
            writer.Store.name = raises
            ScriptedLLM("x").call("hi")
            assert False
        """)
    from pytest_crewai_trace.store import writer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer.Store, "name", writer.Store.name)  # put back
        result = crews.run("--crewai-trace")

    result.assert_outcomes(failed=1)
    assert said(result) == ["crewai-trace: 1 trace could not be kept: ZeroDivisionError: our mistake"]


def test_s75_nothing_is_written_where_nothing_is_to_be_kept(crews):
    crews.tests("def test_one(): pytest.skip('no')\ndef test_two(crewai_trace): assert False")

    for arguments in (["--collect-only"], [], ["-k", "nothing"]):
        crews.run("--crewai-trace", "--crewai-trace-keep=all", *arguments)

    assert not (crews.path / FOLDER).exists()


def test_s49_a_pytest_inside_pytest_keeps_to_its_own_folder(crews, monkeypatch, tmp_path):
    """Its traces are its own, and the job summary is the outer run's."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    crews.write("conftest.py", "pytest_plugins = ['pytester']")
    crews.tests("""
        def test_outer(pytester):
            pytester.makepyfile(
                "from tests.support.llm import ScriptedLLM\\n"
                "def test_inner(): ScriptedLLM('inner').call('hi'); assert False"
            )
            pytester.runpytest_inprocess("-p", "pytest_crewai_trace.plugin", "--crewai-trace")
            assert len(list(pytester.path.glob(".crewai-traces/*/*test_inner*"))) == 1
            ScriptedLLM("outer").call("hi")
            assert False
        """)
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)

    crews.run_apart("--crewai-trace").assert_outcomes(failed=1)

    assert [one.trace().output for one in stored(crews.path / FOLDER).values()] == ["outer"]
    summary = (tmp_path / "summary.md").read_text()
    assert summary.count("### crewAI traces") == 1
    assert "inner" not in summary


def test_the_folder_of_another_project_is_left_alone(crews):
    """A folder that was there gets no .gitignore, or git would not see what else is in it."""
    crews.tests(EACH)
    Path(crews.path / "artifacts").mkdir()

    crews.run("--crewai-trace", "-k", "test_failed", "--crewai-trace-dir=artifacts")

    assert not (crews.path / "artifacts" / ".gitignore").exists()
    assert len(list((crews.path / "artifacts").glob("*/.gitignore"))) == 1

"""Traces with syrupy: all that its users know holds, and its files are safe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import syrupy

from pytest_crewai_trace.snapshot.extension import MOST_BYTES

TRACES = """
    import os
    import pytest
    from pytest_crewai_trace import Trace
    from tests.support.spans import span, together, trace

    def run(query="AI 2024", calls=1, **fields):
        tool = span("tool", "search", arguments={"query": query}, **{"result": "three articles", **fields})
        writer = span("agent", "Writer", *(span("llm", "gpt-4o", response="x") for _ in range(calls)))
        return trace(
            span("crew", "crew",
                span("task", "research", span("agent", "Researcher", span("llm", "gpt-4o"), tool), output="found"),
                span("task", "write", writer, output="written"),
            )
        )
"""
OUTPUT = ("-p", "syrupy", "-p", "no:randomly", "-rA", "--tb=short")


@pytest.fixture
def snapshots(project, monkeypatch):
    monkeypatch.setattr(syrupy, "_syrupy", syrupy._syrupy)  # each inner session puts itself there
    for name in ("CI", "BUILD_NUMBER", "PYTEST_XDIST_WORKER"):  # what syrupy heeds
        monkeypatch.delenv(name, raising=False)
    return Snapshots(project)


class Snapshots:
    def __init__(self, project):
        self.project = project

    def tests(self, text, name="test_it.py"):
        self.project.write(name, TRACES.replace("\n    ", "\n").lstrip() + "\n" + _dedent(text))

    def run(self, *arguments):
        return self.project.run(*OUTPUT, *arguments)

    def accept(self, *arguments):
        result = self.run("--snapshot-update", *arguments)
        assert result.ret == 0, result.stdout.str()
        return result

    def file(self, name="test_one", module="test_it"):
        return self.project.path / "__snapshots__" / module / f"{name}.crewai"

    @property
    def files(self):
        folder = self.project.path / "__snapshots__"
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _dedent(text):
    lines = text.strip("\n").splitlines()
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[margin:] for line in lines) + "\n"


ONE = """
    def test_one(snapshot):
        assert run() == snapshot
"""
TEXT = """\
crewai-trace snapshot 1, level calls

crew crew
  task research
    agent Researcher
      llm gpt-4o
      tool search
        arguments.query: "AI 2024"
        result: "three articles"
  task write
    agent Writer
      llm gpt-4o
"""


def first_line(result):
    """What a failed comparison says first."""
    line = next(line for line in result.outlines if "trace == snapshot: " in line)
    return line.partition("trace == snapshot: ")[2]


# -- as syrupy's users know it -------------------------------------------------------------------------------


def test_a_trace_is_compared_in_our_format_with_syrupys_own_fixture(snapshots):
    snapshots.tests(ONE)

    missing = snapshots.run()
    assert missing.ret == 1
    assert first_line(missing) == "snapshot 'test_one' does not exist yet"
    assert snapshots.accept().ret == 0
    assert snapshots.file().read_text() == TEXT
    assert snapshots.run().ret == 0


def test_on_either_side_and_with_what_is_no_trace(snapshots):
    snapshots.tests("""
        def test_one(snapshot):
            assert snapshot == run()
            assert "a text" == snapshot
            assert run() == snapshot(name="named")
            snapshot.assert_match(run())
    """)

    snapshots.accept("-k", "nothing or test_one", "--snapshot-details")

    assert [name for name in snapshots.files if name.endswith(".crewai")] == [
        "test_it/test_one.1.crewai",
        "test_it/test_one.crewai",
        "test_it/test_one[named].crewai",
    ]
    assert "'a text'" in (snapshots.project.path / "__snapshots__/test_it.ambr").read_text()


def test_a_live_trace_a_span_and_a_saved_trace(snapshots):
    snapshots.tests("""
        from pytest_crewai_trace.live import LiveTrace

        def test_one(snapshot, crewai_snapshot):
            assert LiveTrace(run) == snapshot
            assert Trace.from_json(run().to_json()) == snapshot
            assert run().task("write") == crewai_snapshot(level="path")
    """)
    snapshots.accept()

    assert snapshots.file().read_text() == snapshots.file("test_one.1").read_text() == TEXT
    written = snapshots.file("test_one.2").read_text()
    assert written == "crewai-trace snapshot 1, level path\n\ntask write\n  agent Writer\n    llm gpt-4o\n"


def test_a_fixture_that_is_asked_for_in_the_test(snapshots):
    snapshots.tests("""
        def test_one(request, crewai_trace):
            assert run() == request.getfixturevalue("snapshot")
    """)

    snapshots.accept()

    assert snapshots.files == ["test_it/test_one.crewai"]


def test_unused_snapshots_are_found_told_and_deleted(snapshots):
    snapshots.tests(ONE + ONE.replace("one", "two") + ONE.replace("one", "three"))
    snapshots.accept()
    snapshots.tests(ONE)

    unused = snapshots.run("--snapshot-details")
    assert unused.ret == 1
    assert "2 snapshots unused" in unused.stdout.str()
    assert "__snapshots__/test_it/test_two.crewai" in unused.stdout.str().replace(os.sep, "/")
    assert len(snapshots.files) == 3
    snapshots.accept()
    assert snapshots.files == ["test_it/test_one.crewai"]


def test_a_selection_of_tests_leaves_the_snapshots_of_others_alone(snapshots):
    snapshots.tests(ONE + ONE.replace("one", "two"))
    snapshots.accept()

    assert "unused" not in snapshots.run("-k", "one").stdout.str()
    snapshots.accept("-k", "one")
    snapshots.accept("test_it.py::test_one")
    assert len(snapshots.files) == 2


def test_the_user_s_own_extension_and_matchers(snapshots):
    snapshots.tests("""
        import datetime
        from syrupy.extensions.json import JSONSnapshotExtension
        from syrupy.matchers import path_type
        from syrupy.filters import props

        class Mine(JSONSnapshotExtension):
            file_extension = _file_extension = "mine"

            def serialize(self, data, **options):
                return "mine: " + type(data).__name__

        @pytest.fixture
        def mine(snapshot):
            return snapshot.use_extension(Mine)

        @pytest.fixture
        def as_json(snapshot):
            return snapshot.use_extension(JSONSnapshotExtension)

        def test_one(mine, as_json, snapshot):
            assert run() == mine
            assert {"a": 1} == as_json
            assert run() == as_json
            assert run() == snapshot(extension_class=Mine, name="this time")
            now = {"at": datetime.datetime.now()}
            assert now == snapshot(matcher=path_type({"at": (datetime.datetime,)}))

        def test_two(crewai_snapshot):
            assert run() == crewai_snapshot(matcher=path_type({".*arguments.query": (str,)}, regex=True))
            assert run() == crewai_snapshot(exclude=props("result"))
    """)
    snapshots.accept()

    assert snapshots.run().ret == 0
    folder = snapshots.project.path / "__snapshots__"
    assert (folder / "test_it/test_one.mine").read_text() == "mine: Trace"
    assert (folder / "test_it/test_one[this time].mine").read_text() == "mine: Trace"
    assert (folder / "test_it/test_one.crewai").read_text() == TEXT
    assert 'arguments.query: "str"' in snapshots.file("test_two").read_text()
    assert "result" not in snapshots.file("test_two.1").read_text()


def test_an_override_for_a_whole_project(snapshots):
    snapshots.project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def crewai_snapshot(crewai_snapshot):
            return crewai_snapshot.with_defaults(level="content", ignore=["llm"])
    """,
    )
    snapshots.tests("""
        def test_one(crewai_snapshot):
            assert run() == crewai_snapshot
            assert run() == crewai_snapshot(level="path")
    """)
    snapshots.accept()

    assert 'output: "written"' in snapshots.file().read_text()
    assert "level path" in snapshots.file("test_one.1").read_text()
    assert "llm" not in snapshots.file().read_text() + snapshots.file("test_one.1").read_text()


def test_with_xdist_and_in_random_order(snapshots):
    pytest.importorskip("xdist")
    pytest.importorskip("pytest_randomly")
    snapshots.tests("""
        @pytest.mark.parametrize("number", range(8))
        def test_one(number, snapshot):
            assert run(f"AI {number}") == snapshot
    """)
    told = ("-p", "xdist", "-p", "pytest_randomly", "-n", "2", *OUTPUT[:2])

    snapshots.project.run_apart(*told, "--snapshot-update").assert_outcomes(passed=8)
    assert len(snapshots.files) == 8
    kept = {name: (snapshots.project.path / "__snapshots__" / name).read_bytes() for name in snapshots.files}
    again = snapshots.project.run_apart(*told)
    again.assert_outcomes(passed=8)
    assert again.ret == 0
    snapshots.project.run_apart(*told, "--snapshot-update")
    assert kept == {name: (snapshots.project.path / "__snapshots__" / name).read_bytes() for name in snapshots.files}


@pytest.mark.parametrize("name", ["a/../../b", "x" * 300, "ünï", "a\\nb", "emoji 👩", "CON", "a.", "é" * 150])
def test_s57_any_name_has_a_file_of_its_own_inside_the_folder(snapshots, name):
    snapshots.tests(f"""
        def test_one(crewai_snapshot):
            assert run() == crewai_snapshot(name={name!r})
            assert run() == crewai_snapshot(name={name + "?"!r})
    """)

    snapshots.accept()

    assert len(snapshots.files) == 2
    assert all(file.startswith("test_it/test_one[") for file in snapshots.files)
    assert snapshots.run().ret == 0


def test_s57_tests_of_one_name_have_files_of_their_own(snapshots):
    snapshots.tests("""
        class TestA:
            def test_one(self, snapshot):
                assert run("A") == snapshot

            class TestIn:
                def test_one(self, snapshot):
                    assert run("A in") == snapshot

        class TestB:
            def test_one(self, snapshot):
                assert run("B") == snapshot

        @pytest.mark.parametrize("value", ["a/b", "a\\\\b", "..", "", "[", "\\x1b[31m", "é", "CON"])
        def test_one(value, snapshot):
            assert run(value) == snapshot
    """)

    snapshots.accept()

    assert len(snapshots.files) == 11
    assert all(file.startswith(("test_it/Test", "test_it/test_one[")) for file in snapshots.files)
    assert len({(snapshots.project.path / "__snapshots__" / file).read_text() for file in snapshots.files}) == 11
    assert snapshots.run().ret == 0


def test_a_test_that_was_renamed(snapshots):
    """Its old file is told of as unused, and an update makes the new one and deletes the old."""
    snapshots.tests(ONE)
    snapshots.accept()
    snapshots.tests(ONE.replace("test_one", "test_other"))

    result = snapshots.run()
    assert first_line(result) == "snapshot 'test_other' does not exist yet"
    result.stdout.fnmatch_lines(["*1 snapshot unused*"])
    snapshots.accept()
    assert snapshots.files == ["test_it/test_other.crewai"]


# -- what a failure says -------------------------------------------------------------------------------------


def change(snapshots, old, new, *arguments):
    """The result of a test that was accepted and then edited."""
    snapshots.tests(ONE)
    snapshots.accept()
    snapshots.tests(ONE.replace(old, new))
    return snapshots.run(*arguments)


def test_the_change_comes_first_then_the_tree_then_how_to_accept_it(snapshots):
    result = change(snapshots, "run()", "run('AI 2025', calls=2, result='four')")

    expected = (
        'tool \'search\' was called with query="AI 2025" instead of "AI 2024"; Writer made 2 LLM calls instead of 1;'
        ' tool \'search\' returned "four" instead of "three articles"'
    )
    assert first_line(result) == expected
    section = result.outlines[result.outlines.index("behaviour:") :]
    end = section.index("If this is meant: pytest test_it.py::test_one --snapshot-update")
    assert section[: end + 1] == [
        "behaviour:",
        '  tool \'search\' was called with query="AI 2025" instead of "AI 2024"',
        "  Writer made 2 LLM calls instead of 1",
        "detail:",
        '  tool \'search\' returned "four" instead of "three articles"',
        "",
        "  crew crew",
        "    task research",
        "      agent Researcher",
        "        llm gpt-4o",
        "        tool search",
        '-         arguments.query: "AI 2024"',
        '+         arguments.query: "AI 2025"',
        '-         result: "three articles"',
        '+         result: "four"',
        "    task write",
        "      agent Writer",
        "        llm gpt-4o",
        "+       llm gpt-4o",
        "",
        "If this is meant: pytest test_it.py::test_one --snapshot-update",
    ]


@pytest.mark.parametrize("verbose", ["-vv", "CI"])
def test_where_pytest_does_not_cut_messages_all_is_in_one_place(snapshots, monkeypatch, verbose):
    if verbose == "CI":
        monkeypatch.setenv("CI", "true")
    result = change(snapshots, "run()", "run('AI 2025')", *(["-vv"] if verbose == "-vv" else []))

    assert '+         arguments.query: "AI 2025"' in result.stdout.str()
    assert "- crewai snapshot -" not in result.stdout.str()


def test_syrupys_diff_mode_is_heeded(snapshots):
    result = change(snapshots, "run()", "run('AI 2025')", "--snapshot-diff-mode=disabled")

    assert "was called with" in first_line(result)
    assert '+         arguments.query: "AI 2025"' not in result.stdout.str()


def test_a_level_that_was_changed(snapshots):
    result = change(snapshots, "== snapshot", "== snapshot(level='content')")

    assert first_line(result) == "the snapshot is of level 'calls', this comparison of level 'content'"


def test_an_update_accepts_the_change(snapshots):
    assert change(snapshots, "run()", "run('AI 2025')").ret == 1
    snapshots.accept()

    assert "AI 2025" in snapshots.file().read_text()
    assert snapshots.run().ret == 0


# -- variants ------------------------------------------------------------------------------------------------


def test_variants_are_accepted_one_by_one(snapshots):
    of_three = """
        def test_one(crewai_snapshot):
            assert run({!r}, **{}) == crewai_snapshot(variants=2)
    """
    snapshots.tests(of_three.format("a", {}))
    snapshots.accept()
    snapshots.tests(of_three.format("b", {}))
    result = snapshots.run()
    assert first_line(result) == 'tool \'search\' was called with query="b" instead of "a"'
    assert "variant 1 of 1, the nearest; an update adds it as another (variants=2)" in result.stdout.str()
    snapshots.accept()
    both = snapshots.file().read_text()
    assert both.count("variant") == 2

    for accepted in "ab":
        snapshots.tests(of_three.format(accepted, {}))
        assert snapshots.run().ret == 0
        snapshots.accept()
    assert snapshots.file().read_text() == both

    snapshots.tests(of_three.format("b", {"result": "four"}))
    result = snapshots.run()
    assert first_line(result) == 'tool \'search\' returned "four" instead of "three articles"'
    assert "variant 2 of 2, the nearest; an update replaces that one" in result.stdout.str()
    snapshots.accept()
    assert '"a"' in snapshots.file().read_text()
    assert '"four"' in snapshots.file().read_text()

    snapshots.tests(of_three.format("a", {}).replace("variants=2", ""))
    assert first_line(snapshots.run()) == "variant 1 of 2 accepted ones, but this comparison accepts 1"


# -- files ---------------------------------------------------------------------------------------------------

BAD_FILES = {
    "nonsense": (b"nonsense", "its first line should be"),
    "empty": (b"", "its first line should be"),
    "binary": (b"\x00\xff\xfe", "it is not UTF-8"),
    "newer": (b"crewai-trace snapshot 2, level calls\n\ncrew c\n", "it is of format 2; this version"),
    "much newer": (b"crewai-trace snapshot 9, shape round\n", "it is of format 9; this version"),
    "level": (b"crewai-trace snapshot 1, level high\n\ncrew c\n", "its first line should be"),
    "python tags": (TEXT.encode() + b"!!python/object/apply:os.system ['x']\n", "line 13 is neither"),
    "edited": (TEXT.replace("      tool", "     tool").encode(), "line 7 is neither a span nor a fact"),
    "twice": (TEXT.encode() + b"        result: 1\n        result: 2\n", "line 14 is neither"),
    "no span": (b"crewai-trace snapshot 1, level calls\n\n", "there is no span in it"),
    "conflict": (TEXT.encode() + b"<<<<<<< HEAD\n", "line 13 is neither"),
}


@pytest.mark.parametrize(("content", "said"), BAD_FILES.values(), ids=BAD_FILES)
@pytest.mark.parametrize("update", [[], ["--snapshot-update"]], ids=["compared", "updated"])
def test_s61_a_file_that_is_no_snapshot_is_named_and_left_alone(snapshots, content, said, update):
    snapshots.tests(ONE)
    snapshots.file().parent.mkdir(parents=True)
    snapshots.file().write_bytes(content)

    result = snapshots.run(*update)

    assert result.ret == 1
    assert first_line(result).startswith(f"the snapshot file cannot be used: {said}")
    assert "test_one.crewai" in result.stdout.str()
    assert snapshots.file().read_bytes() == content


def test_s62_a_file_of_a_gigabyte_is_refused_before_it_is_read(snapshots):
    snapshots.tests(ONE)
    snapshots.file().parent.mkdir(parents=True)
    with snapshots.file().open("wb") as file:
        file.truncate(1_000_000_000)

    result = snapshots.run("--snapshot-update")

    assert f"it has 1,000,000,000 bytes; at most {MOST_BYTES:,} are read" in first_line(result)
    assert snapshots.file().stat().st_size == 1_000_000_000


def test_s40_a_folder_that_cannot_be_used(snapshots):
    snapshots.tests(ONE)
    (snapshots.project.path / "__snapshots__").write_text("a file")

    result = snapshots.run("--snapshot-update")

    assert first_line(result) == "the snapshot file can be neither read nor written: Not a directory"
    assert (snapshots.project.path / "__snapshots__").read_text() == "a file"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_crash_during_an_update_leaves_the_old_file(snapshots, monkeypatch, step):
    assert change(snapshots, "run()", "run('AI 2025')").ret == 1

    def crash(*arguments):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, crash)
        result = snapshots.run("--snapshot-update")

    assert result.ret != 0
    assert snapshots.file().read_text() == TEXT
    assert [path.name for path in snapshots.file().parent.iterdir()] == ["test_one.crewai"]


def test_line_ends_and_byte_order_marks_of_an_editor_do_no_harm(snapshots):
    snapshots.tests(ONE)
    snapshots.accept()
    snapshots.file().write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())

    assert snapshots.run().ret == 0


# -- what users add ------------------------------------------------------------------------------------------

INI = """
    [pytest]
    crewai_trace_normalize = (?P<order>ORD-\\d+)
    crewai_trace_redact = customer \\w+
"""


def test_ini_and_hooks(snapshots):
    snapshots.project.write("pytest.ini", INI)
    snapshots.project.write(
        "conftest.py",
        """
        def pytest_crewai_trace_redact(text):
            return text.replace("Jane", "somebody")

        def pytest_crewai_trace_normalize(value, path):
            assert "Jane" not in str(value)
            if path == "crew crew > task research > agent Researcher > tool search > result":
                return "RESULT"
    """,
    )
    snapshots.tests("""
        def test_one(snapshot):
            assert run("ORD-17, ORD-5, ORD-17 of customer Jane; Jane has sk-" + "proj-Canary0123456789") == snapshot
    """)
    snapshots.accept()

    query = '"<order 1>, <order 2>, <order 1> of [redacted]; somebody has [redacted OpenAI key]"'
    assert f'arguments.query: {query}\n        result: "RESULT"\n' in snapshots.file().read_text()


@pytest.mark.parametrize("hook", ["pytest_crewai_trace_redact(text)", "pytest_crewai_trace_normalize(value)"])
def test_s66_a_hook_that_raises_is_named_and_nothing_is_written(snapshots, hook):
    snapshots.project.write("conftest.py", f"def {hook}:\n    raise LookupError('boom')\n")
    snapshots.tests(ONE)

    result = snapshots.run("--snapshot-update")

    name = hook.partition("(")[0]
    assert first_line(result).startswith(f"HookError: {name} raised LookupError: boom (in: ")
    assert "conftest.py" in first_line(result)
    assert not snapshots.file().exists()


@pytest.mark.parametrize("ini", ["crewai_trace_normalize", "crewai_trace_redact"])
@pytest.mark.parametrize("pattern", ["(", "a*"])
def test_a_pattern_that_makes_no_sense(snapshots, ini, pattern):
    snapshots.project.write("pytest.ini", f"[pytest]\n{ini} = {pattern}\n")
    snapshots.tests(ONE)

    result = snapshots.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ini {ini}: '{pattern}' cannot be used" in result.stderr.str()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("level='call'", "unknown level 'call'; did you mean 'calls'? valid: path, calls, content, full"),
        ("levle='calls'", "unknown option 'levle'; did you mean 'level'?"),
        ("variants=0", "variants=0; valid: 1 to 20"),
        ("fold=3", "fold=3; valid: None (never) or a number"),
        ("ignore='llm'", "ignore='llm'; valid: a list of paths"),
        ("ignore=['tol search']", "unknown span or attribute 'tol'; did you mean 'tool'"),
        ("ignore=['tol search > result']", "unknown kind of span 'tol'; did you mean 'tool'?"),
        ("ignore=['tool search > reslt']", "unknown span or attribute 'reslt'; did you mean 'result'?"),
        ("replace={'tool': 'x'}", "the path 'tool' ends with a span"),
        ("replace={'result': 5}", "valid: a text or a function of the value"),
        ("include=lambda **_: True", "include=: not for traces"),
    ],
)
def test_options_that_make_no_sense(snapshots, options, said):
    snapshots.tests(f"""
        def test_one(crewai_snapshot):
            assert run() == crewai_snapshot({options})
    """)

    assert said in snapshots.run().stdout.str()


def test_what_is_no_trace_and_what_is_not_for_it(snapshots):
    snapshots.tests("""
        def test_one(snapshot, crewai_snapshot):
            with pytest.raises(TypeError, match="compares traces and spans, not str"):
                "a" == crewai_snapshot
            with pytest.raises(TypeError, match="level: for traces and spans only, not for str"):
                "a" == snapshot(level="path")
    """)

    assert snapshots.run().ret == 0


@pytest.mark.parametrize(
    "trace", ["Trace()", "Trace(incomplete=('lost',))", "run().model_copy(update=dict(incomplete=('x',)))"]
)
def test_an_empty_or_incomplete_trace_equals_no_snapshot(snapshots, trace):
    snapshots.tests(f"def test_one(snapshot):\n    assert {trace} == snapshot\n")

    result = snapshots.run("--snapshot-update")

    assert "TraceIncompleteError: the trace is" in first_line(result)
    assert snapshots.run().ret == 1


def test_nothing_left_is_no_snapshot(snapshots):
    snapshots.tests("def test_one(crewai_snapshot):\n    assert run() == crewai_snapshot(ignore=['crew'])\n")

    assert "nothing is left to compare" in first_line(snapshots.run("--snapshot-update"))


def test_without_syrupy_the_fixture_is_not_there_and_nothing_else_is_different(snapshots):
    snapshots.project.tests("def test_one(crewai_trace): pass\n", crews=False)

    snapshots.project.run().assert_outcomes(passed=1)
    assert Path("__snapshots__").exists() is False

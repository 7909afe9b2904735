"""What goes to JUnit XML, GitHub's job summary and pytest-html, and what -v and --crewai-trace-show print."""

from __future__ import annotations

import re
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from pytest_crewai_trace.report.github import summary
from pytest_crewai_trace.report.terminal import Counts
from tests.plugin.terminal import TITLE, trace_sections

TESTS = """
    def test_passed(): ScriptedLLM("An article.").call("hi")

    def test_failed():
        ScriptedLLM(HOSTILE).call("hi")
        assert False, "no article"

    def test_nothing(): pass
"""
HOSTILE = "\x00\x1b[2J\ufffe\ud800 ]]> & <b> @octocat #1 | `x` ::error::x [a](javascript:alert(1)) </pre><script>"


@pytest.fixture
def suite(crews):
    crews.tests(f"HOSTILE = {HOSTILE!a}\n" + TESTS.replace("\n    ", "\n"))
    return crews


def seconds_left_out(lines):
    return [re.sub(r"\d+\.\d+ s", "T s", line) for line in lines]


@pytest.mark.parametrize(
    ("arguments", "lines", "trees"),
    [
        ((), 0, 1),
        (("-v",), 2, 1),
        (("--crewai-trace-show=failed",), 0, 1),
        (("--crewai-trace-show=none",), 0, 0),
        (("--crewai-trace-show=all",), 2, 1),
    ],
)
def test_what_is_printed(suite, arguments, lines, trees):
    result = suite.run("--crewai-trace", *arguments)

    out = seconds_left_out(result.outlines)
    told = [line for line in out if line.startswith(("passed  ", "failed  "))]
    assert len(trace_sections(result)) == trees
    assert (
        sorted(told)
        == [
            "failed      test_it.py::test_failed: 1 LLM call, 15 tokens, $0.0000045, T s",
            "passed      test_it.py::test_passed: 1 LLM call, 15 tokens, $0.0000045, T s",
        ][:lines]
    )
    tree = "  llm gpt-4o-mini -> 'An article.'  [T s, 15 tokens]"
    assert (tree in out) is ("--crewai-trace-show=all" in arguments)


def test_a_bad_value(suite):
    assert suite.run("--crewai-trace-show=some").ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("logging", ["no", "all"])
@pytest.mark.parametrize("workers", [(), ("-p", "xdist.plugin", "-n", "1")], ids=["alone", "xdist"])
def test_s56_junit(suite, logging, workers):
    """Numbers for every test that ran something, the tree of the failed one; valid XML whatever a model said."""
    suite.write("pytest.ini", f"[pytest]\njunit_logging = {logging}\n")
    suite.tests(f"def test_names():\n    run(name={HOSTILE!a})\n    assert False, 'no article'\n", "test_names.py")
    run = suite.run_apart if workers else suite.run

    run("--crewai-trace", "--junitxml=junit.xml", *workers).assert_outcomes(passed=2, failed=2)

    root = ElementTree.parse(suite.path / "junit.xml").getroot()
    cases = {case.get("name"): case for case in root.iter("testcase")}
    told = {name: {one.get("name"): one.get("value") for one in case.iter("property")} for name, case in cases.items()}
    numbers = {"crewai_llm_calls": "1", "crewai_tokens": "15", "crewai_cost": "0.0000045"}
    for failed in ("test_failed", "test_names"):
        assert (suite.path / told[failed].pop("crewai_trace")).is_file()
    assert told == {"test_passed": numbers, "test_failed": numbers, "test_nothing": {}, "test_names": numbers}
    outputs = {name: "".join(one.text or "" for one in case.iter("system-out")) for name, case in cases.items()}
    assert outputs["test_failed"].count(f" {TITLE} ") == 1
    assert "llm gpt-4o-mini -> '\ufffd\\x1b[2J\\ufffe" in outputs["test_failed"]
    assert "crew \ufffd\\x1b[2J\\ufffe" in outputs["test_names"]
    assert TITLE not in outputs["test_passed"]


def test_junit_of_a_setup_and_of_a_teardown_that_fail(crews):
    crews.tests("""
        @pytest.fixture
        def before():
            ScriptedLLM("x").call("hi")
            raise RuntimeError

        @pytest.fixture
        def after():
            yield
            raise RuntimeError

        def test_setup(before): pass

        def test_teardown(after): ScriptedLLM("x").call("hi")

        def test_both(after):
            ScriptedLLM("x").call("hi")
            assert False
        """)

    crews.run("--crewai-trace", "--junitxml=junit.xml")

    root = ElementTree.parse(crews.path / "junit.xml").getroot()
    assert {case.get("name") for case in root.iter("testcase") if TITLE in "".join(case.itertext())} == {
        "test_setup",
        "test_teardown",
        "test_both",
    }


def test_pytest_html_has_the_tree_of_a_failed_test(suite):
    """S54"""
    pytest.importorskip("pytest_html")
    html = ("-p", "pytest_metadata.plugin", "-p", "pytest_html.plugin", "--html=report.html", "--self-contained-html")

    suite.run("--crewai-trace", *html).assert_outcomes(passed=2, failed=1)

    text = (suite.path / "report.html").read_text()
    assert text.count("crewai trace") >= 1
    assert "<b> @octocat" not in text


def test_s53_s55_the_job_summary(suite, monkeypatch):
    """A table, worst first, and the tree of the failure, folded; nothing that a model said is more than text."""
    path = suite.path / "summary.md"
    path.write_text("# Of another step\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)

    suite.run("--crewai-trace")

    lines = seconds_left_out(path.read_text().splitlines())
    assert lines[:6] == [
        "# Of another step",
        "",
        "### crewAI traces",
        "",
        "| | test | LLM calls | tokens | cost | seconds |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    rows = [re.sub(r"\d\.\d \|$", "T |", line) for line in lines[6:8]]
    assert rows == [
        "| failed | test&#95;it&#46;py&#58;&#58;test&#95;failed | 1 | 15 | $0.0000045 | T |",
        "| passed | test&#95;it&#46;py&#58;&#58;test&#95;passed | 1 | 15 | $0.0000045 | T |",
    ]
    (folded,) = lines[9:]
    said = "AssertionError&#58; no article&#10;assert False&#10;&#10;  llm gpt-4o-mini"
    assert folded.startswith(f"<details><summary>test&#95;it.py&#58;&#58;test&#95;failed</summary><pre>{said}")
    assert folded.endswith("</pre></details>")
    inside = folded.removesuffix("</pre></details>").partition("<pre>")[2]
    assert not set("<>@`|[]*:") & set(inside)


def test_s50_the_job_summary_of_workers_is_written_once(suite, monkeypatch):
    """xdist's workers have summaries of their own, which nobody sees."""
    pytest.importorskip("xdist")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(suite.path / "summary.md"))
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)

    suite.run_apart("--crewai-trace", "-p", "xdist.plugin", "-n", "1").assert_outcomes(passed=2, failed=1)

    text = (suite.path / "summary.md").read_text()
    assert (text.count("### crewAI traces"), text.count("<details>")) == (1, 1)


def test_the_job_summary_says_what_failed_before_the_tree():
    """What an expectation says has a tree of its own, which is not shown twice."""
    said = "expected: no errors\nactual: 1\ntrace:\n  crew crew\n> tool search\n  ... 2 more\nnext: look"
    told = [said, "line\n" * 30, None]
    failed = [
        SimpleNamespace(failed=True, nodeid=f"t{number}", crewai_trace_tree="> tool a", crewai_trace_said=one)
        for number, one in enumerate(told)
    ]

    shown = [line.partition("<pre>")[2] for line in summary([], failed).splitlines() if "<pre>" in line]

    tree = "&#62; tool a</pre></details>"
    assert shown == [
        f"expected&#58; no errors&#10;actual&#58; 1&#10;next&#58; look&#10;&#10;{tree}",
        f"{'line&#10;' * 20}...&#10;&#10;{tree}",
        tree,
    ]


def test_an_expectation_marks_what_it_is_about_in_every_report(crews, monkeypatch):
    path = crews.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    crews.tests("""
        from pytest_crewai_trace import expect

        def test_it(crewai_trace):
            run(react("search", query="AI"), final("done"), tools=[search])
            expect(crewai_trace).to_call_tool("search", {"query": "cats"})
        """)

    crews.run("--crewai-trace", "--junitxml=junit.xml").assert_outcomes(failed=1)

    root = ElementTree.parse(crews.path / "junit.xml").getroot()
    tree = "".join(one.text or "" for one in root.iter("system-out"))
    assert [line.split()[1] for line in tree.splitlines() if line.startswith(">")] == ["tool"]
    folded = path.read_text()
    assert folded.count("&#10;&#62;       tool search") == 1
    assert "expected&#58; search(query=&#39;cats&#39;) to be called" in folded


def test_s53_s55_a_tree_of_many_lines_is_one_line_of_the_summary():
    """Markdown would begin anew after an empty line."""
    tree = "crew crew\n\n::error::x\n# heading\n    code"
    failed = SimpleNamespace(failed=True, nodeid="test_a.py::test_one", crewai_trace_tree=tree)

    (folded,) = [line for line in summary([], [failed]).splitlines() if "crew crew" in line]

    assert folded.endswith("</pre></details>")


def test_a_summary_that_cannot_be_written_is_said(suite, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(suite.path / "nowhere" / "summary.md"))
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)

    result = suite.run("--crewai-trace")

    result.assert_outcomes(passed=2, failed=1)
    assert (
        f"crewai-trace: the job summary could not be written: No such file or directory "
        f"({suite.path / 'nowhere' / 'summary.md'})"
    ) in result.outlines


def test_a_summary_stays_below_what_github_shows():
    one = Counts(
        test="test_a.py::test_one",
        attempt="1",
        empty=False,
        usage={"requests": 1},
        costs={},
        tool_seconds=0.0,
        outcome="passed",
        seconds=1.0,
        tree=None,
    )

    text = summary([{**one, "attempt": str(number)} for number in range(1_000)], [], 5_000)

    assert len(text.encode()) < 5_000
    assert text.endswith("\nThe rest does not fit.\n")
    assert "\n800 more tests.\n" in summary([{**one, "attempt": str(number)} for number in range(1_000)], [])

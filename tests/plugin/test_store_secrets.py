"""S63 - S66: what a run shows and stores holds no secret."""

from __future__ import annotations

import base64
import json

import pytest

from pytest_crewai_trace.store.reader import find

CANARIES = {
    "OpenAI": "sk-proj-CANARY0123456789abcdefghijkl",
    "Anthropic": "sk-ant-api03-CANARY0123456789abcdef",
    "AWS": "AKIACANARY0123456789",
    "GitHub": "ghp_CANARY0123456789abcdefghijklmnopqr",
    "Slack": "xoxb-CANARY0123456789",
    "user info": "https://user:CANARYpassword1@host.invalid/path",
    "bearer": "Authorization: Bearer CANARY.0123456789.abcdef",
    "named": '{"api_key": "CANARY0123456789"}',
    "in JSON in JSON": json.dumps({"text": json.dumps({"api_key": "CANARY0123456789"})}),
    "base64": base64.b64encode(b"key sk-proj-CANARY0123456789abcdefghijkl").decode(),
}
# In a prompt, the arguments of a tool, its result, an exception; the assertion itself says nothing.
SPILL = f"""
from crewai.tools import tool

@tool("fetch")
def fetch(text: str) -> str:
    "Fetch."
    return text

@tool("fail")
def fail(text: str) -> str:
    "Fail."
    raise ValueError(text)

@pytest.mark.parametrize("number", range({len(CANARIES)}))
def test_one(number):
    text = {list(CANARIES.values())!r}[number]
    run(react("fetch", text=text), react("fail", text=text), final(text), tools=[fetch, fail], max_iter=5)
    ScriptedLLM(text).call(text)
    raise SystemError("no secret here")
"""


def everything(project, result):
    files = [path for path in project.path.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert len(files) > len(CANARIES)
    shown = "".join(line for line in str(result.stdout).splitlines(True) if "SPILL" not in line)
    return {"the terminal": shown, **{str(path): path.read_text("utf-8") for path in files}}


def test_s63_s64_no_canary_in_anything_that_is_stored_or_shown(crews, monkeypatch):
    pytest.importorskip("pytest_html")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(crews.path / "summary.md"))
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    crews.tests(SPILL)
    html = ("-p", "pytest_metadata.plugin", "-p", "pytest_html.plugin", "--html=report.html", "--self-contained-html")

    result = crews.run("--crewai-trace", "--crewai-trace-show=all", "-v", "--tb=line", "--junitxml=junit.xml", *html)

    result.assert_outcomes(failed=len(CANARIES))
    places = everything(crews, result)
    assert [name for name, text in places.items() if "CANARY" in text] == []
    assert {"summary.md", "junit.xml", "report.html"} <= {name.rpartition("/")[2] for name in places}
    stored = find([crews.path / ".crewai-traces"]).stored
    assert len(stored) == len(CANARIES)
    assert all("[redacted" in one.path.read_text() for one in stored)


def test_s65_the_values_of_secret_variables_also_of_those_that_are_gone_again(crews, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "correct horse battery staple")
    crews.tests("""
        def test_before():
            ScriptedLLM("x").call("hi")
            assert False  # what is known of the environment was looked up for this one

        def test_one(monkeypatch):
            monkeypatch.setenv("OTHER_SECRET", "a-word-like-any-other")
            ScriptedLLM("correct horse battery staple").call("a-word-like-any-other")
            assert False

        def test_two():
            ScriptedLLM("a-word-like-any-other").call("hi")
            assert False
        """)

    result = crews.run("--crewai-trace", "--tb=no")

    one, two = ((next((crews.path / ".crewai-traces").rglob(f"*{name}*.jsonl"))).read_text() for name in ("one", "two"))
    for text in (one, two, str(result.stdout)):
        assert "horse" not in text
        assert "a-word-like-any-other" not in text
    assert "[redacted $OTHER_SECRET]" in one
    assert "[redacted $OTHER_SECRET]" in two


def test_patterns_and_hooks_of_the_user(crews):
    crews.write("pytest.ini", "[pytest]\ncrewai_trace_redact =\n    case (?P<secret>\\d+)\n")
    crews.write("conftest.py", "def pytest_crewai_trace_redact(text, where): return text.replace('Ada', 'A.')\n")
    crews.tests("""
        def test_one():
            ScriptedLLM("Ada has case 4711, and 4711 is a number").call("hi")
            assert False
        """)

    result = crews.run("--crewai-trace")

    (one,) = find([crews.path / ".crewai-traces"]).stored
    assert one.trace().output == "A. has case [redacted], and 4711 is a number"
    assert "llm gpt-4o-mini -> 'A. has case [redacted], and 4711 is a number'" in str(result.stdout)


def test_s66_a_redactor_that_raises(crews):
    """The texts are dropped, the trace stays, and it is said whose redactor it was."""
    crews.write(
        "conftest.py",
        """
        def pytest_crewai_trace_redact(text, where):
            if where == "llm.response":
                raise LookupError("mine")
        """,
    )
    crews.tests("""
        def test_one():
            ScriptedLLM("a secret of mine").call("hi")
            assert False
        """)

    result = crews.run("--crewai-trace", "--tb=no")

    result.assert_outcomes(failed=1)
    (one,) = find([crews.path / ".crewai-traces"]).stored
    assert one.trace().output == "[redacted: a redactor failed]"
    assert "a secret of mine" not in str(result.stdout)
    (line,) = (line for line in result.outlines if "pytest_crewai_trace_redact" in line)
    assert line.startswith("crewai-trace: pytest_crewai_trace_redact raised LookupError: mine (in: ")
    assert line.endswith("); the texts that it was given were dropped")


def test_s63_no_canary_in_the_message_of_an_assertion(crews):
    """On the terminal, with locals and verbosity, and in JUnit XML: an argument, a result, an answer, an exception."""
    crews.write("canaries.py", f"SECRETS = {list(CANARIES.values())!r}\n")
    crews.tests(
        SPILL.partition("@pytest.mark")[0]
        + f"""
from canaries import SECRETS
from pytest_crewai_trace import expect

@pytest.fixture(params=range({len(CANARIES)}))
def spilled(request, crewai_trace):
    text = SECRETS[request.param]
    run(react("fetch", text=text), react("fail", text=text), final(text), tools=[fetch, fail], max_iter=5)
    return crewai_trace

def test_call(spilled):
    expect(spilled).to_call_tool("fetch", {{"text": "x"}})

def test_said(spilled):
    expect(spilled).to_say("x" * 40)

def test_errors(spilled):
    expect(spilled).to_have_no_errors()

def test_all(spilled):
    with expect.all():
        expect(spilled).to_output("x")
        expect(spilled).to_stay_within(llm_calls=1)

def test_calls(spilled):
    assert spilled.tool_calls == [ToolCall("fetch", {{"text": "x"}}, result="x")]

def test_one_call(spilled):
    assert spilled.tool_calls[1] == ToolCall("fail", {{"text": "x"}}, error="x")
"""
    )

    result = crews.run("-vv", "--showlocals", "--crewai-trace", "--junitxml=junit.xml")

    result.assert_outcomes(failed=6 * len(CANARIES))
    shown = {"the terminal": str(result.stdout), "JUnit": (crews.path / "junit.xml").read_text()}
    assert {name: [line for line in text.splitlines() if "CANARY" in line] for name, text in shown.items()} == {
        "the terminal": [],
        "JUnit": [],
    }


def test_patterns_and_hooks_of_the_user_in_the_message_of_an_assertion(crews):
    crews.write("pytest.ini", "[pytest]\ncrewai_trace_redact =\n    case (?P<secret>\\d+)\n")
    crews.write(
        "conftest.py",
        """
        def pytest_crewai_trace_redact(text, where):
            return text.replace("Ada", "A.") if where in ("assertion", "llm.response") else None
        """,
    )
    crews.tests("""
        from pytest_crewai_trace import expect

        def test_one(crewai_trace):
            ScriptedLLM("Ada has case 4711").call("hi")
            expect(crewai_trace).to_say("4712")
        """)

    result = crews.run()

    assert "LLM call 'gpt-4o-mini' said 'A. has case [redacted]'" in str(result.stdout)
    assert "llm gpt-4o-mini -> 'A. has case [redacted]'" in str(result.stdout)
    assert "4711'" not in str(result.stdout).partition("expect(crewai_trace)")[2]


def test_s66_a_redactor_that_raises_leaves_nothing_in_the_message_of_an_assertion(crews):
    crews.write("conftest.py", "def pytest_crewai_trace_redact(text, where): raise LookupError('mine')\n")
    crews.tests("""
        from pytest_crewai_trace import expect

        WORDS = ["a word", "of mine"]

        def test_expect(crewai_trace):
            ScriptedLLM(" ".join(WORDS)).call("hi")
            expect(crewai_trace).to_say("x")

        def test_assert(crewai_trace):
            run(react("search", query=" ".join(WORDS)), final("done"), tools=[search])
            assert crewai_trace.tool_calls == [ToolCall("search", {"query": "x"})]
        """)

    result = crews.run()

    result.assert_outcomes(failed=2)
    assert "a word of mine" not in str(result.stdout)
    assert "expected: [redacted: a redactor failed]" in str(result.stdout)
    result.stdout.fnmatch_lines(["crewai-trace: pytest_crewai_trace_redact raised LookupError: mine (in: *"])

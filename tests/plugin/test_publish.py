"""``--crewai-trace-publish``: what a run sends to CrewAI AMP, what it says of it, and what it never does."""

from __future__ import annotations

import _thread
import base64
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from xml.etree import ElementTree

import pytest

from pytest_crewai_trace.publish.native import SPANS_SINCE, crewai_version
from tests.plugin.publishing import (
    CALL,
    PUBLISH,
    begins,
    command,
    killing,
    lines,
    names_sent,
    run_and_keep,
    sent,
    waiting,
)
from tests.support.amp import refuse
from tests.support.envelopes import envelope, uuid
from tests.support.faults import silence
from tests.support.loopback import json_reply

TRACING = "crewai.telemetry.tracing."
LISTENER = "crewai.events.listeners.tracing.trace_listener"
posix = pytest.mark.skipif(os.name != "posix", reason="sends signals")


def test_failed_tests_are_sent_with_links(crews, amp):
    crews.tests(f"""
        def test_passes(): {CALL}

        def test_fails():
            run(react("search", query="x"), final("done"), tools=[search], name="press")
            assert 1 == 2

        def test_nothing_ran(): assert False
        """)

    result = crews.run(PUBLISH, "failed", "--junitxml=junit.xml")

    result.assert_outcomes(passed=1, failed=2)
    (root,) = sent(amp)
    assert root["test.case.name"] == "test_it.py::test_fails"
    assert root["test.case.result.status"] == "fail"
    assert root["test.suite.name"] == "test_it.py"
    assert root["crewai.test.message"].startswith("assert 1 == 2")
    assert root["crewai.trace.llm_calls"] == 2
    assert root["gen_ai.workflow.name"] == "press"
    page = f"{amp.url}/traces/{root['crewai.execution_uuid']}"
    assert f"published 1 trace to CrewAI AMP ({amp.url})" in lines(result)
    assert f"  failed test_it.py::test_fails  {page}" in lines(result)
    cases = ElementTree.parse(crews.path / "junit.xml").iter("testcase")
    told = {case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")} for case in cases}
    assert told["test_fails"]["crewai_amp"] == page
    assert "crewai_amp" not in told["test_passes"]
    assert [request.header("Authorization") for request in amp.requests if request.path.endswith("/grants")] == [
        "Bearer pat-of-nobody"
    ]
    assert waiting(crews) == []


@pytest.mark.parametrize("arguments", [(), ("--crewai-trace",), ("--crewai-trace", "--crewai-trace-publish=none")])
def test_s02_without_the_option_nothing_leaves(crews, amp, monkeypatch, arguments):
    """Everything that makes crewAI trace is on, and there is a credential: 0 requests."""
    monkeypatch.setenv("CREWAI_TRACING_ENABLED", "true")
    crews.tests("""
        class Greeting(Flow):
            @start()
            def hello(self): return "hello"

        def test_crew(): run(crew={"tracing": True})
        def test_flow():
            Greeting(tracing=True).kickoff()
            assert False
        """)

    crews.run(*arguments).assert_outcomes(passed=1, failed=1)

    assert amp.requests == []
    assert not list(crews.path.rglob("*.envelope.json"))


def test_nothing_is_sent_while_tests_run(crews, amp):
    """A test looks at the server when another has ended: it has seen nothing, and the envelope is on disk, redacted."""
    crews.tests("""
        from pathlib import Path

        def test_one():
            ScriptedLLM("key sk-proj-abcdefgh12345678").call("hi")
            assert False

        def test_two(server):
            assert server.requests == []
            (envelope,) = Path(".crewai-traces").rglob("*.envelope.json")
            assert envelope.stat().st_mode & 0o777 == 0o600 or os.name != "posix"
            assert "sk-proj" not in envelope.read_text()
        """)

    class Server:
        @pytest.fixture
        def server(self):
            return amp

    crews.run(PUBLISH, "all", plugins=(Server(),)).assert_outcomes(passed=1, failed=1)

    assert len(sent(amp)) == 1


def test_two_runs_of_a_test_are_one_trace_with_two_roots(crews, amp):
    crews.tests("""
        def test_two():
            run(name="first")
            run(name="second")
        """)

    crews.run(PUBLISH, "all")

    names = {one["gen_ai.workflow.name"] for one in sent(amp)}
    assert names == {"first", "second"}
    assert len({one["crewai.execution_uuid"] for one in sent(amp)}) == 1
    assert sum(request.path.endswith("/grants") for request in amp.requests) == 1


@pytest.mark.parametrize("content", ["full", "redacted", "none"])
def test_content(crews, amp, monkeypatch, content):
    """S63, S65: what is sent of a prompt, a key in it, a value of the environment, a failure, a parameter."""
    monkeypatch.setenv("SOME_API_KEY", "value-of-the-environment")
    crews.tests("""
        @pytest.mark.parametrize("topic", ["parameter-of-test"], ids=["one"])
        def test_one(topic):
            crew = one_agent_crew(ScriptedLLM(final("answer sk-proj-abcdefgh12345678 value-of-the-environment")))
            crew.kickoff(inputs={"topic": "prompt-of-somebody"})
            assert False, "message-of-failure"
        """)

    crews.run(PUBLISH, "all", f"{PUBLISH}-content={content}").assert_outcomes(failed=1)

    body = b"".join(request.body for request in amp.requests)
    assert b"value-of-the-environment" not in body
    assert (b"sk-proj-abcdefgh12345678" in body) == (content == "full")
    for text in (b"prompt-of-somebody", b"message-of-failure", b"parameter-of-test", b"Researcher backstory"):
        assert (text in body) == (content != "none"), text
    tokens = b"gen_ai.usage.input_tokens" if crewai_version() >= SPANS_SINCE else b"prompt_tokens"
    for text in (b"Researcher", b"test_one[one]", b"gpt-4o-mini", tokens):
        assert text in body


def test_s66_a_redactor_that_raises_drops_the_text(crews, amp):
    crews.write("conftest.py", "def pytest_crewai_trace_redact(text, where): raise KeyError(where)")
    crews.tests("""
        def test_one():
            run(final("answer-of-model"))
            assert False
        """)

    crews.run(PUBLISH, "all").assert_outcomes(failed=1)

    body = b"".join(request.body for request in amp.requests)
    assert b"answer-of-model" not in body
    assert b"a redactor failed" in body


def test_attributes_of_hooks(crews, amp):
    crews.write(
        "conftest.py",
        """
        def pytest_crewai_trace_publish_attributes(item, trace):
            theirs = {"team": item.name, "calls": len(trace.llm_calls), "token": "sk-proj-abcdefgh12345678"}
            return {**theirs, "test.case.name": "mine"}
        """,
    )
    crews.tests(f"def test_one(): {CALL}")

    crews.run(PUBLISH, "all")

    (root,) = sent(amp)
    assert (root["team"], root["calls"]) == ("test_one", 1)
    assert root["test.case.name"] == "test_it.py::test_one"
    assert "sk-proj" not in root["token"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise KeyError('x')", "raised KeyError: 'x'"),
        ("return {'a': [1]}", "raised TypeError: 'a' is list; valid: str, int, float, bool"),
        ("return 3", "raised TypeError: it gave int, not a dict of names and values, or None"),
    ],
)
def test_a_hook_that_fails_is_reported_as_theirs(crews, amp, body, said):
    crews.write("conftest.py", f"def pytest_crewai_trace_publish_attributes(item):\n    {body}")
    crews.tests(f"def test_one(): {CALL}")

    result = crews.run(PUBLISH, "all")

    assert names_sent(amp) == ["test_one"]
    (line,) = [line for line in lines(result) if line.startswith("pytest_crewai_trace_publish_attributes")]
    assert said in line
    assert "conftest.py" in line


@pytest.mark.parametrize("strict", [False, True])
def test_s74_a_failed_upload(crews, amp, strict):
    """S74: one line, which counts them (S73); the traces stay; the exit code is pytest's, unless strict."""
    amp.override = refuse(500)
    crews.tests(f"def test_one(): {CALL}")

    result = crews.run(PUBLISH, "all", f"{PUBLISH}-timeout=5", *([f"{PUBLISH}-strict"] if strict else []))

    result.assert_outcomes(passed=1)
    assert result.ret == (pytest.ExitCode.TESTS_FAILED if strict else pytest.ExitCode.OK)
    assert "published 0 traces" in "\n".join(lines(result))
    assert any("1 trace not sent" in line and "crewai-trace publish .crewai-traces" in line for line in lines(result))
    assert len(waiting(crews)) == 1


def test_s74_strict_leaves_other_exit_codes(crews, amp):
    amp.override = refuse(422)
    crews.tests(f"""
        def test_one():
            {CALL}
            pytest.exit("enough", returncode=7)
        """)

    assert crews.run(PUBLISH, "all", f"{PUBLISH}-strict").ret == 7


def test_s22_a_refused_credential(crews, amp):
    amp.override = refuse(401)
    crews.tests(f"""
        @pytest.mark.parametrize("number", range(3))
        def test_one(number): {CALL}
        """)

    result = crews.run(PUBLISH, "all")

    assert result.ret == pytest.ExitCode.OK
    (line,) = [line for line in lines(result) if "CREWAI_USER_PAT" in line]
    assert "pat-of-nobody" not in line
    assert len(waiting(crews)) == 3
    code, out, _ = command(crews, "publish")
    assert code == 3
    assert "CREWAI_USER_PAT" in out


def test_s71_no_credential(crews, amp, monkeypatch):
    monkeypatch.delenv("CREWAI_USER_PAT")
    monkeypatch.setenv("HOME", str(crews.path))
    monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
    crews.tests(f"def test_one(): {CALL}")

    result = crews.run(PUBLISH, "all")

    assert result.ret == pytest.ExitCode.OK
    (line,) = [line for line in lines(result) if "nothing was published" in line]
    assert "fork" in line
    assert "1 trace kept, for: crewai-trace publish .crewai-traces" in line
    assert amp.requests == []


@pytest.mark.parametrize("arguments", [("--collect-only",), ("-k", "skipped"), ("-k", "empty")])
def test_s75_nothing_ran(crews, amp, arguments):
    crews.tests("""
        @pytest.mark.skip
        def test_skipped(): run()
        def test_empty(): pass
        """)

    result = crews.run(PUBLISH, "all", *arguments)

    assert amp.requests == []
    assert not (crews.path / ".crewai-traces").exists()
    _header, *said = lines(result)
    assert said == ([] if "--collect-only" in arguments else ["there was no trace of a test to publish"])


def test_s42_publishing_again_sends_nothing_twice(crews, amp):
    crews.tests(f"""
        def test_one(): {CALL}
        def test_two(): {CALL}
        """)
    run_and_keep(crews, amp)

    first, second = command(crews, "publish"), command(crews, "publish", ".crewai-traces")

    assert first[0] == second[0] == 0
    assert "published 2 traces" in first[1]
    assert "nothing to publish" in second[1]
    assert "2 traces sent before" in second[1]
    assert names_sent(amp) == ["test_one", "test_two"]


def test_s49_a_pytest_inside_a_test_keeps_to_itself(crews, amp, monkeypatch):
    """What the environment says is meant for the outer run."""
    monkeypatch.setenv("CREWAI_TRACE_PUBLISH", "all")  # as if of an outer run: a test is running
    crews.tests(f"def test_one(): {CALL}")

    crews.run("--crewai-trace", "--crewai-trace-keep=all").assert_outcomes(passed=1)

    assert amp.requests == []


@pytest.mark.parametrize(
    ("arguments", "variable", "ini", "traced"),
    [
        ((f"{PUBLISH}=all",), None, "crewai_trace = false", True),
        ((), "all", "crewai_trace = false", True),
        ((), None, "crewai_trace_publish = all", False),
        ((f"{PUBLISH}=all", "--no-crewai-trace"), None, "", False),
    ],
)
def test_tracing_where_crewais_own_is_switched_off(crews, amp, monkeypatch, arguments, variable, ini, traced):
    """To publish asks for traces; where something else has the last word, that is said."""
    monkeypatch.setenv("CREWAI_TRACING_ENABLED", "false")
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    if variable is not None:
        monkeypatch.setenv("CREWAI_TRACE_PUBLISH", variable)
    crews.write("pytest.ini", f"[pytest]\n{ini}\n")
    crews.tests(f"def test_one(): {CALL}")

    said = lines(crews.run(*arguments))

    assert bool(amp.requests) is traced
    source = "command line" if arguments else "CREWAI_TRACING_ENABLED"
    assert (f"there was no trace of a test to publish: tracing is off ({source})" in said) is not traced


@pytest.mark.parametrize(
    ("arguments", "ini", "said"),
    [
        ((f"{PUBLISH}=some",), "", "invalid choice: 'some'"),
        ((), "crewai_trace_publish = some", "ini crewai_trace_publish: 'some'; valid: failed, all, none"),
        ((), "crewai_trace_publish_content = x", "ini crewai_trace_publish_content: 'x'; valid: full, redacted, none"),
        ((f"{PUBLISH}-timeout=-1",), "", "command line: '-1'; valid: a number of seconds"),
        ((f"{PUBLISH}-timeout=nan",), "", "command line: 'nan'; valid: a number of seconds"),
        ((), "crewai_trace_publish_strict = perhaps", "ini crewai_trace_publish_strict: 'perhaps'; valid: true"),
    ],
)
def test_wrong_settings(project, arguments, ini, said):
    project.write("pytest.ini", f"[pytest]\n{ini}\n")

    result = project.run(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in "\n".join([*result.outlines, *result.errlines])


def test_dry_run_prints_what_would_be_sent(crews, amp):
    crews.tests("def test_one(): run(final('the answer'))")
    run_and_keep(crews, amp)
    amp.requests.clear()

    code, out, err = command(crews, "publish", "--dry-run")
    stripped = json.loads(command(crews, "publish", "--dry-run", "--content=none")[1])

    assert code == 0
    shown = json.loads(out)
    assert shown["test"]["test.case.name"] == "test_it.py::test_one"
    assert "the answer" in json.dumps(shown["spans"])
    assert "the answer" not in json.dumps(stripped)
    assert "1 trace would be sent; nothing was" in err
    assert amp.requests == []


def test_the_command_imports_no_crewai(project, amp):
    """Neither where it is imported nor while it sends."""
    project.write(".crewai-traces/run/test-1.passed.envelope.json", envelope().dump())
    code = """
        import sys
        from pytest_crewai_trace.cli import main

        code = main(["publish"])
        print(code, sorted({"crewai", "httpx"} & set(sys.modules)))
        """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=project.path, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "0 ['httpx']"
    assert list(amp.spans) == [uuid(0)]


def test_a_green_run_leaves_nothing_to_do(crews, amp):
    """The next step of the job publishes a folder that nobody made, and is green too."""
    crews.tests(f"def test_one(): {CALL}")

    result = crews.run(PUBLISH, "failed", "--crewai-trace-dir=traces")
    code, out, err = command(crews, "publish", "traces")

    assert "there was no trace of a failed test to publish" in lines(result)
    assert code == 0
    assert out == "nothing to publish in traces\n"
    assert err == "there is no 'traces'; pytest --crewai-trace-publish makes what is sent\n"
    assert amp.requests == []


def test_s42_s73_what_the_server_does_not_want_is_counted_apart_and_not_sent_again(crews, amp):
    """One is sent, one rejected: exit code 1 from the command, and neither is sent again."""
    crews.tests(f"""
        def test_one(): {CALL}
        def test_two(): {CALL}
        """)
    run_and_keep(crews, amp)
    seen = []

    def second_is_refused(request):
        if not begins(request):
            return None
        seen.append(request)
        return json_reply({}, 422) if len(seen) > 1 else None

    amp.override = second_is_refused

    first, again = command(crews, "publish"), command(crews, "publish")

    assert first[0] == 1
    assert "published 1 trace" in first[1]
    assert "1 trace not accepted by AMP" in first[1]
    assert again[0] == 0
    assert len(seen) == 2


@posix
def test_a_killed_run_is_published_later(crews, amp):
    """kill -9 in the middle: everything that had finished is sent by the command, once."""
    crews.tests(f"""
        import signal

        @pytest.mark.parametrize("number", range(8))
        def test_one(number):
            {CALL}
            if number == 5:
                os.kill(os.getpid(), signal.SIGKILL)
        """)

    result = crews.run_apart(PUBLISH, "all")

    assert result.ret == -signal.SIGKILL
    assert amp.requests == []
    assert command(crews, "publish")[0] == 0
    assert names_sent(amp) == [f"test_one[{number}]" for number in range(5)]


@posix
def test_s41_a_killed_publisher_and_two_at_once(crews, amp):
    """Killed when some are sent and others under way; then two at the same time: each trace is at the server once."""
    crews.tests(f"""
        @pytest.mark.parametrize("number", range(6))
        def test_one(number): {CALL}
        """)
    run_and_keep(crews, amp)
    publisher = [sys.executable, "-m", "pytest_crewai_trace.cli", "publish"]

    def kill():
        killed.kill()
        killed.wait()

    amp.override = killing(crews, kill, after=2)
    killed = subprocess.Popen(publisher, cwd=crews.path, stdout=subprocess.DEVNULL)
    assert killed.wait(60) == -signal.SIGKILL
    amp.override = None
    assert len(names_sent(amp)) == 2
    both = [subprocess.Popen(publisher, cwd=crews.path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [one.communicate(timeout=60)[0] for one in both]

    assert [one.returncode for one in both] == [0, 0], outputs
    assert names_sent(amp) == [f"test_one[{number}]" for number in range(6)]
    assert waiting(crews) == []


def test_github_summary_has_the_links(crews, amp, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(crews.path / "summary.md"))
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    crews.tests(f"def test_one(): {CALL}")

    crews.run_apart(PUBLISH, "all")

    (root,) = sent(amp)
    text = (crews.path / "summary.md").read_text()
    assert "| CrewAI AMP |" in text
    assert f"/traces/{root['crewai.execution_uuid']}" in text.replace("&#58;", ":")


@pytest.mark.parametrize(
    ("module", "old", "new", "name"),
    [
        (TRACING + "session", "event_bus: CrewAIEventsBus", "bus: CrewAIEventsBus", "TraceSession"),
        (LISTENER, "_create_trace_event", "_make_trace_event", "TraceCollectionListener"),
    ],
)
def test_a_crewai_whose_private_names_have_changed(crews, amp, module, old, new, name):
    """One line; nothing is sent, everything is kept."""
    if module.startswith(TRACING) and crewai_version() < SPANS_SINCE:
        pytest.skip("this crewAI makes no spans")
    crews.write(
        "conftest.py",
        f"""
        import sys
        from tests.support.guarded import Renamed

        sys.meta_path.insert(0, Renamed({{{module!r}: {{{old!r}: {new!r}}}}}))
        """,
    )
    crews.tests("""
        def test_one(): run()
        def test_two(): run()
        """)

    result = crews.run_apart(PUBLISH, "all")

    result.assert_outcomes(passed=2)
    (line,) = [line for line in lines(result) if "kept, not published" in line]
    assert line.startswith("2 traces kept, not published: crewAI ")
    assert name in line
    assert amp.requests == []
    assert len(list(crews.path.rglob("*.passed.jsonl"))) == 2


def test_a_run_without_grants_goes_in_batches(crews, amp):
    """Where the server does not know grants, it gets the events of the older protocol."""
    amp.override = lambda request: json_reply({}, 404) if request.path.endswith("/grants") else None
    crews.tests(f"""
        class Greeting(Flow):
            @start()
            def hello(self): {CALL}

        def test_one(): Greeting().kickoff()
        """)

    result = crews.run(PUBLISH, "all")

    (batch,) = amp.batches.values()
    assert batch.status == "completed"
    types = [event["type"] for event in batch.events]
    assert types[:2] == ["flow_started", "method_execution_started"]
    assert {"llm_call_started", "flow_finished"} < set(types)
    assert batch.opened["execution_type"] == "flow"
    assert any(line.startswith("published 1 trace") for line in lines(result))


def test_merged_shards_are_published_once(crews, amp):
    crews.tests(f"def test_one(): {CALL}", "test_a.py")
    crews.tests(f"def test_one(): {CALL}", "test_b.py")
    amp.override = refuse(401)
    for shard in ("a", "b"):
        crews.run(PUBLISH, "all", f"test_{shard}.py", f"--crewai-trace-dir={shard}")
    amp.override = None

    merged = command(crews, "merge", "a", "b", "-o", "merged")
    code, out, _ = command(crews, "publish", "merged", "a")

    assert merged[0] == code == 0, merged
    assert "published 2 traces" in out
    assert {one["test.suite.name"] for one in sent(amp)} == {"test_a.py", "test_b.py"}
    assert len(sent(amp)) == 2
    assert "nothing to publish" in command(crews, "publish", "merged")[1]


def test_s43_what_is_no_envelope(crews, amp):
    """Named, and nothing else is lost."""
    crews.tests(f"def test_one(): {CALL}")
    run_and_keep(crews, amp)
    (item,) = waiting(crews)
    (item.path.parent / "broken-1.passed.envelope.json").write_text('{"schema_version": 99}')

    code, out, _ = command(crews, "publish")

    assert code == 1
    assert "broken-1.passed.envelope.json  it could not be read: not an envelope: " in out
    assert names_sent(amp) == ["test_one"]


def test_the_viewer_and_the_list_of_traces(crews, amp):
    """The viewer links to the page; an envelope is no trace to those who read traces."""
    crews.tests(f"def test_one(): {CALL}")

    result = crews.run(PUBLISH, "all", "--crewai-trace-html=viewer.html")

    (root,) = sent(amp)
    assert any(line.startswith("viewer of 1 ") and "skipped" not in line for line in lines(result))
    packed = re.search(r'id="run"[^>]*>([^<]+)<', (crews.path / "viewer.html").read_text())
    told = json.loads(gzip.decompress(base64.b64decode(packed[1])))
    assert told["tests"][0]["page"] == f"{amp.url}/traces/{root['crewai.execution_uuid']}"
    code, out, err = command(crews, "list")
    assert (code, err) == (0, "")
    assert "test_one" in out


def test_lone_surrogates_and_control_characters(crews, amp):
    """S58: what a model says arrives, with what has no place in OTLP replaced."""
    crews.tests(r"""
        def test_one():
            ScriptedLLM("a \ud800 b \x1b[31m").call("\udfff hi")
            run(final("c \ud800 d"), name="n\ud800")
            assert False, "\ud800"
        """)

    crews.run(PUBLISH, "all").assert_outcomes(failed=1)

    assert len({one["crewai.execution_uuid"] for one in sent(amp)}) == 1
    body = b"".join(request.body for request in amp.requests)
    assert b"c ? d" in body or b"c \\\\ud800 d" in body or b"c \\ud800 d" in body


def test_interrupted_runs_are_kept(crews, amp):
    crews.tests(f"""
        def test_one(): {CALL}
        def test_two(): raise KeyboardInterrupt
        """)

    result = crews.run(PUBLISH, "all", no_reraise_ctrlc=True)

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert amp.requests == []
    assert any(line.startswith("interrupted: ") and "crewai-trace publish" in line for line in lines(result))
    assert command(crews, "publish", "--which=failed")[1].startswith("nothing to publish")
    assert command(crews, "publish")[0] == 0
    assert names_sent(amp) == ["test_one"]


def test_s34_ctrl_c_while_traces_are_sent(crews, amp):
    """What was sent is told, the rest is kept, and the run ends as any other: with what its tests came to."""
    begun = []

    def interrupt(request):
        if begins(request):
            begun.append(request)
            if len(begun) == 2:
                _thread.interrupt_main()
        return silence if len(begun) > 1 else None

    crews.tests(f"""
        @pytest.mark.parametrize("number", range(3))
        def test_one(number):
            {CALL}
            assert number
        """)
    amp.override = interrupt

    result = crews.run(PUBLISH, "all", no_reraise_ctrlc=True)

    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said = lines(result)
    assert "stopped: publishing was interrupted" in said
    kept = len(waiting(crews))
    assert kept >= 2
    assert f"published {3 - kept} trace{'s' if kept == 3 else ''} to CrewAI AMP ({amp.url})" in said
    assert f"{kept} traces not sent; kept, for: crewai-trace publish .crewai-traces" in said


def test_s39_what_was_sent_cannot_be_remembered(crews, amp):
    """Said, and the others are sent all the same."""
    crews.tests(f"""
        def test_one(): {CALL}
        def test_two(): {CALL}
        """)
    run_and_keep(crews, amp)
    first = waiting(crews)[0].path
    first.with_name(first.name.replace(".envelope.", ".published.")).mkdir()

    code, out, _ = command(crews, "publish")

    assert names_sent(amp) == ["test_one", "test_two"]
    assert code == 0
    assert "published 2 traces" in out
    assert "what was sent could not be remembered, and would be sent again: " in out
    assert [item.path for item in waiting(crews)] == [first]


def test_s73_what_the_full_folder_dropped_is_counted(crews, amp):
    crews.write("pytest.ini", "[pytest]\ncrewai_trace_dir_size = 1 KB\n")
    crews.tests(f"""
        @pytest.mark.parametrize("number", range(3))
        def test_one(number): {CALL}
        """)

    result = crews.run(PUBLISH, "all", f"{PUBLISH}-strict")

    assert names_sent(amp) == ["test_one[2]"]
    assert "2 traces not published: dropped, as the trace folder was full" in lines(result)
    assert result.ret == pytest.ExitCode.TESTS_FAILED

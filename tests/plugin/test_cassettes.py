"""Cassettes as a user meets them: recorded once, replayed without a server, and what is said when they do not fit."""

from __future__ import annotations

import re
import textwrap
from itertools import takewhile

import pytest

from tests.support.providers import Answer, ProviderServer, ToolRequest

CREW = """
import os
import httpx, requests
from crewai import LLM

def model(**options):
    return LLM(model="openai/gpt-4o-mini", base_url=os.environ["SERVER"] + "/v1", api_key="none", **options)

def research(goal="Find", **options):
    crew = one_agent_crew(model(), **options)
    crew.agents[0].goal = goal
    return crew.kickoff(inputs={"topic": "AI"}).raw
"""


@pytest.fixture
def taped(crews, monkeypatch):
    """A project whose models are a server on loopback."""

    def answer(text):
        if "results for AI" in text:
            return Answer("The answer.")
        return ToolRequest((("search", {"query": "AI"}),)) if '"tools"' in text else Answer(f"No {len(text)}.")

    with ProviderServer(answer) as server:
        monkeypatch.setenv("SERVER", server.url)
        monkeypatch.delenv("CI", raising=False)
        monkeypatch.delenv("BUILD_NUMBER", raising=False)
        crews.server = server
        crews.write("conftest.py", "pytest_plugins = []\n")
        yield crews


def cassettes(project):
    return sorted(path.relative_to(project.path).as_posix() for path in project.path.rglob("*.yaml"))


def write(project, text):
    project.tests(CREW + textwrap.dedent(text))


def failure(result):
    """What the failed test is told."""
    lines = iter(result.outlines)
    first = next(line for line in lines if line.startswith("E   "))
    return "\n".join(line[4:] for line in [first, *takewhile(lambda line: line.startswith(("E   ", "    ")), lines)])


ONE = """
@pytest.mark.crewai_cassette
def test_one(crewai_trace):
    assert research(tools=[search]) == "The answer."
    assert crewai_trace.tool_calls == [ToolCall("search", {"query": "AI"})]
"""


def test_recorded_once_and_replayed_without_a_connection(taped):
    write(taped, ONE)

    taped.run("--crewai-record", "once").assert_outcomes(passed=1)
    assert cassettes(taped) == ["cassettes/test_it/test_one.yaml"]
    assert len(taped.server.requests) == 2
    recorded = taped.traces["test_one"]
    taped.captured.clear()
    taped.run().assert_outcomes(passed=1)

    assert len(taped.server.requests) == 2
    assert taped.traces["test_one"] == recorded
    assert taped.traces["test_one"].render() == recorded.render()


def test_the_fixture_says_what_was_used(taped):
    write(
        taped,
        """
        def test_one(crewai_cassette):
            research()
            used = (crewai_cassette.record, crewai_cassette.played, crewai_cassette.recorded)
            assert used in [("once", 0, 1), ("none", 1, 0)]
            assert crewai_cassette.path.name == "test_one.yaml"
        """,
    )

    taped.run("--crewai-record", "once").assert_outcomes(passed=1)
    taped.run().assert_outcomes(passed=1)


def test_a_missing_cassette_says_how_to_record_it(taped):
    write(taped, ONE)

    result = taped.run()

    result.assert_outcomes(failed=1)
    assert taped.server.requests == []
    assert (
        "has no cassette yet. Record cassettes/test_it/test_one.yaml: pytest test_it.py::test_one --crewai-record once"
        in (failure(result))
    )


def test_a_missing_cassette_fails_in_ci(taped, monkeypatch):
    monkeypatch.setenv("CI", "true")
    write(taped, ONE)

    result = taped.run()

    result.assert_outcomes(failed=1)
    assert "has no cassette cassettes/test_it/test_one.yaml in CI. Was it committed?" in failure(result)


def test_a_test_that_asks_nobody_needs_no_cassette(taped):
    write(taped, "@pytest.mark.crewai_cassette\ndef test_one(): pass\n")

    taped.run().assert_outcomes(passed=1)
    taped.run("--crewai-record", "all").assert_outcomes(passed=1)

    assert cassettes(taped) == []


def test_an_edited_goal_fails_at_once_with_the_diff_on_its_line(taped):
    write(taped, ONE)
    taped.run("--crewai-record", "once").assert_outcomes(passed=1)
    asked = len(taped.server.requests)

    write(taped, ONE.replace("tools=", 'goal="Lose", tools='))
    result = taped.run()

    result.assert_outcomes(failed=1)
    assert len(taped.server.requests) == asked
    message = failure(result)
    assert message.splitlines()[0].endswith("the cassette cassettes/test_it/test_one.yaml has no reply to this request")
    assert "agent 'Researcher', task 'research' made request 1: POST http://127.0.0.1:" in message
    assert (
        "The nearest recorded one is request 1 of agent 'Researcher', task 'research', which was not used yet."
        in message
    )
    assert "Changed: system prompt\n" in message
    changed = [line.strip() for line in message.splitlines() if re.match(r" +[-+] ", line)]
    assert changed == ["- Your personal goal is: Find", "+ Your personal goal is: Lose"]
    assert "Record it again: pytest test_it.py::test_one --crewai-record all" in message


def test_a_mismatch_is_not_retried_and_nothing_goes_on(taped):
    write(taped, ONE)
    taped.run("--crewai-record", "once").assert_outcomes(passed=1)

    write(taped, ONE.replace("tools=", 'goal="Lose", tools='))
    taped.captured.clear()
    taped.run().assert_outcomes(failed=1)

    assert len(taped.traces["test_one"].llm_calls) == 1
    assert taped.traces["test_one"].tools == ()


def test_who_catches_the_mismatch_does_not_get_along_with_it(taped):
    write(
        taped,
        """
        @pytest.mark.crewai_cassette
        def test_one():
            try:
                research(goal=os.environ.get("GOAL", "Find"))
            except BaseException:
                pass
        """,
    )
    taped.run("--crewai-record", "once").assert_outcomes(passed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOAL", "Lose")
        result = taped.run()

    result.assert_outcomes(failed=1)
    assert "+ Your personal goal is: Lose" in failure(result)


def test_a_mismatch_in_a_thread_that_crewai_waits_for(taped):
    write(
        taped,
        """
        @pytest.mark.crewai_cassette
        def test_one():
            from crewai import Crew
            word, people = os.environ.get("WORD", "Look"), [agent(f"R{n}", model()) for n in range(3)]
            tasks = [task(f"{word} {n}", people[n], name=f"t{n}", async_execution=n < 2) for n in range(3)]
            Crew(agents=people, tasks=tasks).kickoff()
        """,
    )
    taped.run("--crewai-record", "once").assert_outcomes(passed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORD", "See")
        result = taped.run("-o", "faulthandler_timeout=30")

    result.assert_outcomes(failed=1)
    assert "Changed: message 2 (user)" in failure(result)


def test_a_reply_that_was_never_used_fails_the_test(taped):
    write(
        taped,
        """
        @pytest.mark.crewai_cassette
        def test_one():
            for number in range(int(os.environ.get("TIMES", "3"))):
                model().call(f"question {number}")
        """,
    )
    taped.run("--crewai-record", "once").assert_outcomes(passed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMES", "2")
        result = taped.run()

    result.assert_outcomes(failed=1)
    message = failure(result)
    assert "1 of the recorded replies in cassettes/test_it/test_one.yaml was never used" in message
    assert "question 2" in message
    assert "--crewai-record all; or @pytest.mark.crewai_cassette(allow_unused=True)" in message

    write(taped, "@pytest.mark.crewai_cassette(allow_unused=True)\ndef test_one(): model().call('question 1')\n")
    taped.run().assert_outcomes(passed=1)


def test_the_same_request_gets_its_replies_in_order_and_then_none(taped):
    write(
        taped,
        """
        @pytest.mark.crewai_cassette
        def test_one():
            told = [requests.get(os.environ["SERVER"] + "/page").text for _ in range(int(os.environ.get("TIMES", "2")))]
            assert len(told) == 2
        """,
    )
    taped.run("--crewai-record", "once").assert_outcomes(passed=1)
    path = taped.path / cassettes(taped)[0]
    text = path.read_text("utf-8")
    path.write_text(text[: text.rindex("<p>")] + text[text.rindex("<p>") :].replace("page", "second"), "utf-8")
    taped.run().assert_outcomes(passed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIMES", "3")
        result = taped.run()

    result.assert_outcomes(failed=1)
    assert "was used already: this one came once more" in failure(result)


def test_new_episodes_adds_and_all_replaces(taped):
    write(taped, '@pytest.mark.crewai_cassette\ndef test_one(): model().call("one")\n')
    taped.run("--crewai-record", "once").assert_outcomes(passed=1)
    more = '@pytest.mark.crewai_cassette\ndef test_one(): model().call("one"), model().call("two")\n'
    write(taped, more)
    taped.run("--crewai-record", "once").assert_outcomes(failed=1)
    taped.run("--crewai-record", "new_episodes").assert_outcomes(passed=1)
    assert [request.body.count(b"two") for request in taped.server.requests] == [0, 1]
    taped.run().assert_outcomes(passed=1)
    first = (taped.path / cassettes(taped)[0]).read_text("utf-8")

    write(taped, more.replace('model().call("one"), ', ""))
    taped.run("--crewai-record", "all").assert_outcomes(passed=1)

    text = (taped.path / cassettes(taped)[0]).read_text("utf-8")
    assert (first.count("- key: "), text.count("- key: ")) == (2, 1)
    assert len(taped.server.requests) == 3
    taped.run().assert_outcomes(passed=1)


def test_in_order_goes_by_position_of_each_agent_and_task(taped):
    crew = """
        @pytest.mark.crewai_cassette(mode="in_order")
        def test_one():
            from crewai import Crew
            word = os.environ.get("WORD", "Look")
            people = [agent(name, model()) for name in ("Ann", "Bob")]
            tasks = [task(f"{word} for {one.role}", one, name=f"for {one.role}") for one in people]
            crews = [Crew(agents=[one], tasks=[its]) for one, its in zip(people, tasks)]
            if word != "Look":
                crews.reverse()
            said = {crew.agents[0].role: crew.kickoff().raw for crew in crews}
            assert said == {"Ann": "reply to Ann", "Bob": "reply to Bob"}
        """
    write(taped, crew)
    taped.server.answer = lambda text: Answer(f"reply to {'Ann' if 'for Ann' in text else 'Bob'}")
    taped.run("--crewai-record", "once").assert_outcomes(passed=1)
    asked = len(taped.server.requests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORD", "Edited")
        taped.run().assert_outcomes(passed=1)
        write(taped, crew.replace('mode="in_order"', ""))
        taped.run().assert_outcomes(failed=1)

    assert len(taped.server.requests) == asked


def test_what_differs_from_run_to_run_does_not_count(taped):
    write(
        taped,
        """
        import datetime, uuid

        @pytest.mark.crewai_cassette(volatile=[r"session-\\w+"])
        def test_one():
            ids = f"id {uuid.uuid4()}, session-{uuid.uuid4().hex}"
            model().call(f"It is {datetime.datetime.now()}, {ids}, at {object()}")
        """,
    )
    taped.run("--crewai-record", "once").assert_outcomes(passed=1)
    taped.run().assert_outcomes(passed=1)
    assert len(taped.server.requests) == 1


def test_fixtures_of_a_test_are_in_its_cassette_and_those_of_a_session_are_not(taped):
    write(
        taped,
        """
        @pytest.fixture(scope="session")
        def page():
            return httpx.get(os.environ["SERVER"] + "/session").text

        @pytest.fixture
        def answer(page):
            return model().call("a question")

        @pytest.mark.crewai_cassette
        def test_one(answer, page):
            assert answer.startswith("No") and page

        @pytest.mark.crewai_cassette
        class TestTwo:
            def test_two(self, answer): pass

            @pytest.mark.parametrize("number", [1, pytest.param(2)])
            def test_three(self, answer, number): pass
        """,
    )
    taped.run("--crewai-record", "once").assert_outcomes(passed=4)
    asked = [request.path for request in taped.server.requests]
    assert asked.count("/session") == 1
    taped.run("-k", "TestTwo").assert_outcomes(passed=3)
    taped.run().assert_outcomes(passed=4)

    again = [request.path for request in taped.server.requests][len(asked) :]
    assert again == ["/session", "/session"]
    assert cassettes(taped) == [
        "cassettes/test_it/TestTwo.test_three[1].yaml",
        "cassettes/test_it/TestTwo.test_three[2].yaml",
        "cassettes/test_it/TestTwo.test_two.yaml",
        "cassettes/test_it/test_one.yaml",
    ]
    assert not any("/session" in (taped.path / name).read_text("utf-8") for name in cassettes(taped))


def test_a_marker_on_a_parameter_and_the_fixture_by_name(taped):
    write(
        taped,
        """
        @pytest.mark.parametrize("number", [pytest.param(1, marks=pytest.mark.crewai_cassette), 2])
        def test_one(number, request):
            if number == 2:
                assert "crewai_cassette" not in request.fixturenames
                request.getfixturevalue("crewai_cassette")
            model().call("a question")
        """,
    )
    taped.run("--crewai-record", "once").assert_outcomes(passed=2)
    assert len(taped.server.requests) == 2
    taped.run().assert_outcomes(passed=2)
    assert len(taped.server.requests) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("mode='sideways'", "mode='sideways'"),
        ("order=1", "has no argument 'order'"),
        ("'a', 'b'", "takes one path, not 2 arguments"),
        ("1", "path=1"),
        ("volatile='x'", "volatile='x'"),
        ("volatile=['(']", r"volatile=['(']"),
        ("volatile=['x*']", r"volatile=['x*']"),
        ("allow_unused='no'", "allow_unused='no'"),
    ],
)
def test_mistakes_in_the_marker_end_the_session_at_collection(project, arguments, says):
    project.tests(f"@pytest.mark.crewai_cassette({arguments})\ndef test_one(): pass\n", crews=False)

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = "\n".join(result.errlines)
    assert "test_it.py::test_one: marker crewai_cassette" in told
    assert says in told
    assert "valid: a path, mode=by_request|in_order, volatile=[regular expressions], allow_unused=True|False" in told


def test_a_mistake_in_the_option_names_the_choices(project):
    result = project.run("--crewai-record", "maybe")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert re.search(r"none.*once.*new_episodes.*all", "\n".join(result.errlines))


def test_a_cassette_needs_the_trace(project):
    project.tests(
        "@pytest.mark.crewai_cassette\n@pytest.mark.crewai_trace(enabled=False)\ndef test_one(): pass\n", crews=False
    )

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "crewai_cassette, but its marker crewai_trace(enabled=False) forbids it" in "\n".join(result.errlines)


BROKEN = {
    "": "is empty",
    "{": "is broken: ",
    "a: 1\n": "is broken: it has no version",
    "version: 2\ntest: x\ncalls: []\n": "is broken: it has version 2, and this plugin knows 1",
    "version: 1\ncalls: []\n": "does not say which test it is of",
    "version: 1\ntest: test_it.py::test_one\ncalls: 3\n": "it has no list of calls",
    "version: 1\ntest: test_it.py::test_one\ncalls: [{}]\n": "call 1 has no request with a method and a url",
    "version: 1\ntest: test_it.py::test_one\ncalls:\n- request: {method: GET, url: x}\n  reply: {status: 9}\n": (
        "call 1 has no reply with a status between 100 and 599"
    ),
    "version: 1\ntest: t\ncalls: [{request: {method: GET, url: x}, reply: {status: 200, base64: '?'}}]\n": (
        "is broken: call 1"
    ),
    "interactions: []\nversion: 1\n": "it is a cassette of vcrpy or pytest-recording",
    "version: 1\ntest: !!python/object/apply:os.getcwd []\n": "the tag",  # S61
    "version: 1\nversion: 1\n": "the key 'version'",  # S61
    "a: &a [b, b]\nc: [*a, *a]\n": "an anchor or alias",  # S61
    "version: 1\ntest: test_other.py::test_one\ncalls: []\n": "is of another test, test_other.py::test_one",
    b"\xff\xfe": "is not UTF-8",
}


@pytest.mark.parametrize("text", BROKEN, ids=[says[:40] for says in BROKEN.values()])
def test_s61_a_bad_cassette_is_said_in_one_sentence(project, text):
    path = project.path / "cassettes" / "test_it" / "test_one.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    project.tests("def test_one(crewai_cassette): pass\n", crews=False)

    result = project.run()

    result.assert_outcomes(errors=1)
    told = "\n".join(result.outlines)
    assert f"the cassette cassettes/test_it/test_one.yaml {BROKEN[text]}" in told or BROKEN[text] in told
    assert "pytest test_it.py::test_one --crewai-record all" in told
    assert "INTERNALERROR" not in told
    assert "Traceback" not in told


def test_s62_a_file_of_1_gb_is_refused_before_it_is_read(project):
    path = project.path / "cassettes" / "test_it" / "test_one.yaml"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(1_000_000_000)
    project.tests("def test_one(crewai_cassette): pass\n", crews=False)

    result = project.run()

    result.assert_outcomes(errors=1)
    assert "has 1,000,000,000 bytes; at most 200,000,000 are read" in "\n".join(result.outlines)


def test_a_cassette_of_another_provider_says_so(taped):
    write(taped, '@pytest.mark.crewai_cassette\ndef test_one(): model().call("one")\n')
    taped.run("--crewai-record", "once").assert_outcomes(passed=1)
    path = taped.path / cassettes(taped)[0]
    path.write_text(
        re.sub(r"http://127[^\n]*", "https://api.anthropic.com/v1/messages", path.read_text("utf-8")), "utf-8"
    )

    result = taped.run()

    result.assert_outcomes(failed=1)
    assert "Recorded is only POST api.anthropic.com/v1/messages: another provider, model or address?" in failure(result)


def test_names_of_tests_are_names_of_files(project):
    project.tests(
        """
        import os

        @pytest.mark.parametrize("name", ["../../x", "a/b", "a b", "x" * 300, "é", "CON", "a:b", "a?b", "\\0"])
        def test_one(name, crewai_cassette):
            assert crewai_cassette.path.parent == crewai_cassette.path.parents[2] / "cassettes" / "test_it"
            assert len(crewai_cassette.path.name) < 150
            (crewai_cassette.path.parents[2] / "seen").open("a").write(crewai_cassette.path.name.lower() + "\\n")
        """,
        crews=False,
    )
    project.run().assert_outcomes(passed=9)
    assert len(set((project.path / "seen").read_text().split())) == 9


# -- with pytest-recording and plain vcrpy -----------------------------------------------------------------------------


@pytest.fixture
def recording(taped):
    """A project with pytest-recording."""
    pytest.importorskip("pytest_recording")
    taped.also = ("-p", "pytest_recording.plugin")
    return taped


BESIDE = """
import vcr

@pytest.mark.crewai_cassette
def test_ours():
    assert model().call("one").startswith("No")

@pytest.mark.vcr
def test_theirs():
    assert httpx.get(os.environ["SERVER"] + "/theirs").text == "<p>page /theirs</p>"

def test_plain(tmp_path):
    with vcr.use_cassette("plain.yaml", record_mode="once"):
        assert requests.get(os.environ["SERVER"] + "/plain").text == "<p>page /plain</p>"

def test_inside(crewai_cassette):
    with vcr.use_cassette("inside.yaml", record_mode="once"):
        assert httpx.get(os.environ["SERVER"] + "/inside").text == "<p>page /inside</p>"
    assert model().call("two").startswith("No")
"""


def test_pytest_recording_and_plain_vcrpy_go_on_working(recording):
    write(recording, BESIDE)

    recording.run(*recording.also, "--crewai-record", "once", "--record-mode", "once").assert_outcomes(passed=4)
    asked = len(recording.server.requests)
    recording.run(*recording.also).assert_outcomes(passed=4)

    assert asked == len(recording.server.requests) == 5
    names = ["test_inside.yaml", "test_ours.yaml", "test_theirs.yaml"]
    assert cassettes(recording) == [*(f"cassettes/test_it/{name}" for name in names), "inside.yaml", "plain.yaml"]


def test_vcr_config_and_pytest_recording_configure_are_honoured(recording):
    recording.write(
        "conftest.py",
        """
        import pytest

        def pytest_recording_configure(config, vcr):
            vcr.before_record_response = change

        def change(response):
            response["body"]["string"] = response["body"]["string"].replace(b"page", b"changed")
            return response

        @pytest.fixture
        def vcr_config():
            return {
                "filter_query_parameters": [("user", "somebody")],
                "ignore_hosts": ["localhost"],
                "before_record_request": lambda request: None if "/health" in request.uri else request,
                "record_mode": "all",
                "match_on": ["method"],
            }
        """,
    )
    write(
        recording,
        """
        @pytest.mark.crewai_cassette
        def test_one():
            server = os.environ["SERVER"]
            httpx.get(server + "/page?user=" + os.environ.get("WHO", "ann"))
            httpx.get(server + "/health")
            httpx.get(server.replace("127.0.0.1", "localhost") + "/ignored")
        """,
    )

    recording.run(*recording.also, "--crewai-record", "once").assert_outcomes(passed=1)
    assert [request.path for request in recording.server.requests] == ["/page?user=ann", "/health", "/ignored"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHO", "bob")
        recording.run(*recording.also).assert_outcomes(passed=1)

    assert [request.path for request in recording.server.requests][3:] == ["/health", "/ignored"]
    text = (recording.path / cassettes(recording)[0]).read_text("utf-8")
    assert text.count("- key: ") == 1
    assert "?user=somebody" in text
    assert "<p>changed" in text


def test_one_test_has_one_cassette(recording):
    write(recording, "@pytest.mark.vcr\n@pytest.mark.crewai_cassette\ndef test_one(): pass\n")

    result = recording.run(*recording.also)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "the test has the marker vcr too" in "\n".join(result.errlines)


def test_the_folder_of_pytest_recording_and_a_path(recording):
    recording.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture(scope="module")
        def vcr_cassette_dir(request):
            return str(request.path.parent / "tapes")
        """,
    )
    write(
        recording,
        """
        @pytest.mark.crewai_cassette("shared", allow_unused=True)
        @pytest.mark.parametrize("number", [1, 2])
        def test_one(number):
            assert model().call(f"question {number}")
        """,
    )
    recording.run(*recording.also, "--crewai-record", "new_episodes").assert_outcomes(passed=2)
    recording.run(*recording.also).assert_outcomes(passed=2)

    assert cassettes(recording) == ["tapes/shared.yaml"]
    assert len(recording.server.requests) == 2


# -- off the network ---------------------------------------------------------------------------------------------------


def test_what_is_not_http_is_kept_off_the_network_and_named(taped):
    write(
        taped,
        """
        import socket

        @pytest.mark.crewai_cassette
        def test_one():
            model().call("one")
            socket.create_connection(("192.0.2.1", 80), timeout=1)

        @pytest.mark.crewai_cassette
        @pytest.mark.crewai_network(allow=["192.0.2.1"])
        def test_two():
            model().call("one")
            with pytest.raises(OSError):
                socket.create_connection(("192.0.2.1", 80), timeout=0.01)
        """,
    )
    for name in ("test_one", "test_two"):  # recording has the network, and there is none here
        taped.run("--crewai-record", "once", "-k", name)

    result = taped.run()

    result.assert_outcomes(passed=1, failed=1)
    assert "this test replays a cassette and has no network, but a connection was tried to 192.0.2.1:80" in failure(
        result
    )
    assert "test_it.py:" in failure(result)

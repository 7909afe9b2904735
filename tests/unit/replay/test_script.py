"""Which reply a request gets, and what is said of the rest."""

from __future__ import annotations

import threading

import pytest

from pytest_crewai_trace.errors import ScriptError
from pytest_crewai_trace.replay.reply import Request, checked_usage
from pytest_crewai_trace.replay.script import Script


def ask(agent=None, task=None, text="question", **more):
    return Request(0, "gpt-4o", [{"role": "user", "content": text}], agent, task, **more)


def contents(script, *requests):
    return [script.answer(request).content for request in requests]


def test_replies_come_in_order():
    script = Script()
    script.reply("one").reply("two")

    assert contents(script, ask(), ask("Writer")) == ["one", "two"]
    assert [request.number for request in script.requests] == [1, 2]


def test_the_nearest_queue_answers():
    script = Script()
    script.reply("anyone")
    script.agent("Writer").reply("agent")
    script.task("write").reply("task")
    script.when(lambda request: "now" in request.text).reply("when")

    asked = ask("Writer", "write", "now"), ask("Writer", "write"), ask("Writer", "write"), ask("Critic", "judge")
    assert contents(script, *asked) == ["when", "task", "agent", "anyone"]
    assert script.unused() is None


def test_an_agent_with_replies_of_its_own_takes_nobody_elses():
    script = Script()
    script.reply("anyone")
    script.agent("Writer").reply("own")

    assert contents(script, ask("Writer")) == ["own"]
    with pytest.raises(ScriptError, match=r"no reply left for agent 'Writer', request 2.*agent 'Writer': 1; left for"):
        script.answer(ask("Writer"))
    assert script.problems
    assert "anyone: 1 of 1" in script.unused()


def test_defaults_answer_for_ever():
    script = Script()
    script.default("all")
    script.agent("Writer").reply("once").default("writer")

    assert contents(script, ask("Writer"), ask("Writer"), ask("Writer"), ask("Critic"), ask()) == [
        "once",
        "writer",
        "writer",
        "all",
        "all",
    ]
    assert script.unused() is None


@pytest.mark.parametrize("role", ["writer", " Writer\n", "WRITER"])
def test_names_are_compared_without_case_and_spaces(role):
    script = Script()
    script.agent(role).reply("x")

    assert contents(script, ask("Writer")) == ["x"]


def test_usage_of_all_and_of_one():
    script = Script()
    script.usage = {"input_tokens": 1}
    script.reply("one").reply("two", usage={"input_tokens": 2})

    assert [script.answer(ask()).usage for _ in range(2)] == [{"input_tokens": 1}, {"input_tokens": 2}]


@pytest.mark.parametrize("usage", [{"tokens": 1}, {"input_tokens": -1}, {"input_tokens": "1"}])
def test_bad_usage(usage):
    with pytest.raises(ValueError, match="usage"):
        checked_usage(usage)


def test_threads_get_each_reply_once():
    script = Script()
    for number in range(200):
        script.reply(str(number))
    got = []
    threads = [
        threading.Thread(target=lambda: got.extend(contents(script, *(ask() for _ in range(50))))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(int, got)) == list(range(200))
    assert [request.number for request in script.requests] == list(range(1, 201))


def test_a_request_says_who_asked():
    assert ask("Writer", "write").who == "agent 'Writer' (task 'write')"
    assert ask(None, "write").who == "task 'write'"
    assert ask().who == "a bare LLM call"
    assert ask(purpose="memory").who == "memory"
    parts = [{"content": [{"type": "text", "text": "look"}, {"type": "image"}]}, {"content": None}]
    assert Request(1, "m", parts).prompt == "look\n\n\n"
    assert Request(1, "m", []).text == ""


def test_after_a_problem_nothing_goes_on():
    """crewAI asks again: the first problem is the one to tell."""
    script = Script()
    script.agent("Writer").reply("x")
    with pytest.raises(ScriptError, match="request 1"):
        script.answer(ask("Critic"))
    with pytest.raises(ScriptError, match="request 1"):
        script.answer(ask("Writer"))

    assert len(script.problems) == 1

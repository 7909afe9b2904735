"""What is said of a request without a reply, for each provider's form of a request."""

from __future__ import annotations

import pytest

from pytest_crewai_trace.replay.body import Body
from pytest_crewai_trace.replay.cassette import Call, Reply, Request
from pytest_crewai_trace.replay.matching import Volatile
from pytest_crewai_trace.replay.mismatch import Explanation, parts_of, unused

URL = "https://api.example/v1/chat"
ANN = ("Ann", "look")


def chat(system="You are Ann.\nYour goal is: find", user="Look", **more):
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return Request("POST", URL, Body("json", {"model": "m", "messages": messages, **more}))


def call(request, who=ANN, number=1, used=False):
    made = Call("", *who, request, Reply(200))
    made.number, made.used = number, used
    return made


def explain(request, *calls, who=ANN, number=1):
    explanation = Explanation(
        shown="c.yaml", calls=calls, again="AGAIN", once="ONCE", ci=False, plain=Volatile().without
    )
    return explanation(request, who, number)


def test_all_of_it():
    assert explain(chat(system="You are Ann.\nYour goal is: lose"), call(chat())) == (
        "the cassette c.yaml has no reply to this request\n"
        "  agent 'Ann', task 'look' made request 1: POST https://api.example/v1/chat\n"
        "The nearest recorded one is request 1 of agent 'Ann', task 'look', which was not used yet.\n"
        "Changed: system prompt\n"
        "  system prompt\n"
        "      You are Ann.\n"
        "    - Your goal is: find\n"
        "    + Your goal is: lose\n"
        "Is that meant? Record it again: AGAIN"
    )


TOOL = {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("request_", "changed"),
    [
        (chat(user="Look there"), "message 2 (user)"),
        (chat(model="other"), "model"),
        (chat(temperature=0.5), "parameter temperature"),
        (chat(tools=[TOOL]), "tool 'search'"),
        (Request("POST", URL + "?a=1", chat().body), "query"),
    ],
)
def test_the_part_that_changed(request_, changed):
    assert f"Changed: {changed}\n" in explain(request_, call(chat()))


def test_the_nearest_is_the_most_alike_then_of_the_same_agent_then_unused():
    far = call(chat(user="Something else", system="You are Bob."), ("Bob", "write"))
    near = call(chat(user="Look here"), number=2)
    assert "request 2 of agent 'Ann'" in explain(chat(user="Look there"), far, near)
    first, second = call(chat(user="Look here"), used=True), call(chat(user="Look here"), number=2)
    assert "request 2 of agent 'Ann', task 'look', which was not used yet" in explain(
        chat(user="Look there"), first, second, number=3
    )


def test_the_same_once_more():
    assert (
        "The same is recorded as request 1 of agent 'Ann', task 'look', and was used already: this one came once more"
        in (explain(chat(), call(chat(), used=True), number=2))
    )


def test_another_address():
    assert "Recorded is only POST api.example/v1/chat: another provider, model or address?" in explain(
        Request("POST", "https://other.example/v1/messages", chat().body), call(chat())
    )


def test_who_is_not_known():
    assert "code outside of an agent made request 1" in explain(chat(), who=(None, None))


def test_what_is_volatile_is_no_change():
    message = explain(chat(user="On 2026-11-22: lose"), call(chat(user="On 2025-01-01: find")))
    assert "    - On <date>: find\n    + On <date>: lose" in message


def test_a_long_change_is_cut():
    message = explain(chat(user="\n".join(map(str, range(1_000)))), call(chat(user="x" * 10_000)))
    assert "... (" in message
    assert "more lines" in message
    assert len(message) < 5_000


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (
            {"model": "m", "system": [{"type": "text", "text": "S"}], "messages": [{"role": "user", "content": "U"}]},
            {"model": "m", "system prompt": "S", "message 1 (user)": "U"},
        ),
        (
            {
                "systemInstruction": {"parts": [{"text": "S"}], "role": "user"},
                "contents": [{"role": "user", "parts": [{"text": "U"}]}],
                "generationConfig": {"temperature": 1},
                "tools": [{"functionDeclarations": [{"name": "t"}]}],
            },
            {"system prompt": "S", "message 1 (user)": "U", "parameter temperature": "1", "tool 't'": "name: t"},
        ),
        (
            {"system": [{"text": "S"}], "messages": [{"role": "user", "content": [{"text": "U"}]}]}
            | {"toolConfig": {"tools": [{"toolSpec": {"name": "t"}}]}},
            {"system prompt": "S", "message 1 (user)": "U", "tool 't'": "toolSpec:\n  name: t"},
        ),
        (
            {
                "instructions": "S",
                "input": [{"role": "user", "content": "U"}, {"type": "function_call_output", "output": "O"}],
            },
            {
                "system prompt": "S",
                "message 1 (user)": "U",
                "message 2 (function_call_output)": "type: function_call_output\noutput: O",
            },
        ),
        ({"prompt": "P", "stream": True}, {"parameter prompt": "P", "parameter stream": "true"}),
        ([1, None], {"body": "- 1\n- null"}),
    ],
    ids=["anthropic", "gemini", "bedrock", "responses", "other", "list"],
)
def test_the_parts_of_each_provider(body, parts):
    found = parts_of(Request("POST", URL, Body("json", body)))
    assert found == {"method": "POST", "address": "api.example/v1/chat", "query": "", **parts}


def test_replies_that_were_never_used():
    told = unused([call(chat(), used=True), call(chat(user="Why?\nSo"), number=2)], "c.yaml", "AGAIN")
    assert told == (
        "1 of the recorded replies in c.yaml was never used\n"
        "  request 2 of agent 'Ann', task 'look': POST https://api.example/v1/chat\n"
        "    'Why?'\n"
        "Is that meant? Record it again: AGAIN; or @pytest.mark.crewai_cassette(allow_unused=True)"
    )
    assert unused([call(chat(), used=True)], "c.yaml", "AGAIN") is None
    assert "and 3 more" in unused([call(chat())] * 8, "c.yaml", "AGAIN")

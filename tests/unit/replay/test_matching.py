"""Which recorded call answers a request."""

from __future__ import annotations

import pytest

from pytest_crewai_trace.replay.body import Body, json_body
from pytest_crewai_trace.replay.cassette import Call, Reply, Request
from pytest_crewai_trace.replay.matching import Index, InOrder, Volatile, endpoint, key_of, place, sent_key_of

URL = "https://api.openai.com/v1/chat/completions"
ANN, BOB = ("Ann", "look"), ("Bob", "look")


def ask(content, url=URL, **more):
    return Request("POST", url, Body("json", {"messages": [{"role": "user", "content": content}], **more}))


def call(request, who=ANN, text="reply"):
    return Call(key_of(request), *who, request, Reply(200, {}, Body("text", text)))


def index(*calls, volatile=(), clean=lambda request: request):
    return Index(calls, Volatile(volatile), clean)


def answer(played, request, who=ANN):
    found = played.take(request, who)
    return None if found is None else found.reply.body.value


def test_the_order_of_keys_and_the_form_of_the_body_do_not_count():
    one = Request("POST", URL, json_body(b'{"b": 1, "a": [1.0, "\\u00fc"]}'))
    other = Request("post", URL + "?", json_body('{"a":[1.0,"ü"],"b":1}'.encode()))
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(
    "other",
    [
        Request("GET", URL, ask("x").body),
        Request("POST", URL + "/2", ask("x").body),
        Request("POST", URL.replace("openai", "openbi"), ask("x").body),
        Request("POST", URL + "?a=1", ask("x").body),
        ask("y"),
        ask("x", temperature=0),
        Request("POST", URL),
    ],
    ids=["method", "path", "host", "query", "message", "parameter", "body"],
)
def test_everything_else_counts(other):
    assert key_of(other) != key_of(ask("x"))
    assert answer(index(call(ask("x"))), other) is None


def test_in_any_order_each_gets_its_own():
    played = index(*(call(ask(f"question {number}"), text=str(number)) for number in range(100)))
    assert [answer(played, ask(f"question {number}")) for number in reversed(range(100))] == [
        str(number) for number in reversed(range(100))
    ]


def test_the_same_request_again_gets_the_next_reply_and_then_none():
    played = index(call(ask("x"), text="1"), call(ask("y"), text="y"), call(ask("x"), text="2"))
    assert [answer(played, ask("x")) for _ in range(3)] == ["1", "2", None]


VOLATILE = [
    ("id 0b8b3a3e-5b1c-4b6e-9d3f-2f6a1c9e7d10", "id 7e57d004-2b97-4e7a-b45f-5387367791cd"),
    ("It is 2026-11-22", "It is 2027-01-03"),
    ("Today:\n2026-11-22", "Today:\n2027-01-03"),
    ("Log:\n\t10:11:12 up\r\n0x7f3a5c2d1e90", "Log:\n\t10:11:13 up\r\n0x7f0000000010"),
    ("It is 2026-11-22 10:11:12.123456", "It is 2026-11-23T23:59:59Z"),
    ("Today is Sunday, November 22, 2026.", "Today is Monday, November 23, 2026."),
    ("at 9:05 PM", "at 10:15 AM"),
    ("<object at 0x7f3a5c2d1e90>", "<object at 0x7f0000000010>"),
    ("call_9xKqT2mZp4Wv1aBc", "call_140421602823184"),
    ("toolu_01A09q90qw90lq917835lq9", "toolu_01B19q90qw90lq917835lq0"),
]


@pytest.mark.parametrize(("then", "now"), VOLATILE)
def test_what_differs_from_run_to_run_does_not_count(then, now):
    played = index(call(ask(then)))
    assert answer(played, ask(now)) == "reply"
    assert answer(played, ask(now)) is None


@pytest.mark.parametrize(
    ("then", "now"),
    [("in 3 steps", "in 4 steps"), ("call_home", "call_work"), ("version 1.2.3", "version 1.2.4"), ("face", "fade")],
)
def test_what_looks_alike_counts(then, now):
    assert answer(index(call(ask(then))), ask(now)) is None


def test_what_is_the_same_goes_before_what_is_alike():
    played = index(call(ask("on 2026-01-01"), text="1"), call(ask("on 2026-01-02"), text="2"))
    assert [answer(played, ask(f"on 2026-01-0{day}")) for day in (2, 1)] == ["2", "1"]


def test_what_is_alike_is_looked_for_with_those_who_asked_it_first():
    played = index(call(ask("on 2026-01-01"), ANN, "Ann's"), call(ask("on 2026-01-02"), BOB, "Bob's"))
    assert answer(played, ask("on 2027-07-07"), BOB) == "Bob's"
    assert answer(played, ask("on 2027-07-07"), BOB) == "Ann's"


def test_what_is_alike_is_given_once_and_in_order():
    played = index(*(call(ask(f"on 2026-01-0{day}"), who, str(day)) for day, who in ((1, ANN), (2, BOB), (3, ANN))))
    assert [answer(played, ask("on 2027-07-07"), who) for who in (("Eve", None), BOB, ANN, ANN)] == [
        "1",
        "2",
        "3",
        None,
    ]


def test_what_is_sent_byte_for_byte_once_more_is_found_by_its_bytes():
    data = b'{"messages": [] }'
    calls = [Call(key_of(ask("x")), *ANN, ask("x"), None, sent=sent_key_of("POST", URL, data)) for _ in range(2)]
    played = index(*calls, call(ask("y")))

    assert [played.take_sent("post", URL, data) for _ in range(3)] == [*calls, None]
    assert played.take(ask("x"), ANN) is None  # they were used
    assert index(*calls).take_sent("POST", URL, data + b" ") is None
    assert index(*calls).take_sent("POST", URL + "/other", data) is None
    assert InOrder(calls).take_sent("POST", URL, data) is None


def test_only_what_those_who_ask_have_recorded_is_read():
    reads = []

    class Unread(Call):
        @property
        def request(self):
            reads.append(self.agent)
            return super().request

    calls = [
        Unread(key_of(ask(f"on 2026-01-0{day}")), name, "look", ask(f"on 2026-01-0{day}"), None)
        for day, name in ((1, "Ann"), (2, "Bob"))
    ]
    assert index(*calls).take(ask("on 2027-07-07"), BOB) is calls[1]
    assert reads == ["Bob"]


def test_the_user_adds_to_it():
    assert answer(index(call(ask("session-aa"))), ask("session-bb")) is None
    assert answer(index(call(ask("session-aa")), volatile=[r"session-\w+"]), ask("session-bb")) == "reply"
    assert answer(index(call(ask("x\nseed aa\ny")), volatile=[r"(?m)^seed \w+$"]), ask("x\nseed bb\ny")) == "reply"


def test_secrets_are_taken_out_before_it_is_looked_up_again():
    played = index(call(ask("key [redacted]")), clean=lambda request: ask("key [redacted]"))
    assert answer(played, ask("key sk-123")) == "reply"


def test_the_port_of_this_machine_does_not_count_and_other_ports_do():
    assert answer(index(call(ask("x", "http://127.0.0.1:1/v1"))), ask("x", "http://127.0.0.1:2/v1")) == "reply"
    assert answer(index(call(ask("x", "http://a.example:1/v1"))), ask("x", "http://a.example:2/v1")) is None


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("https://A.example:443/x?b=2&a=1&key=secret", "a.example/x?[('a', '1'), ('b', '2'), ('key', '')]"),
        ("http://a.example", "a.example/"),
        ("http://[::1]:8000/x", "::1:8000/x"),
        ("http://[broken/", "http://[broken/"),
        ("x", "/x".replace("/x", "x")),
    ],
)
def test_places(url, where):
    assert place(url) == where


def test_endpoints():
    assert endpoint(ask("x", "http://localhost:123/v1?a=b")) == "POST localhost/v1"


def test_by_position_of_agent_and_task():
    played = InOrder([call(ask("a1"), ANN, "a1"), call(ask("b1"), BOB, "b1"), call(ask("a2"), ANN, "a2")])
    assert [answer(played, ask("new"), who) for who in (BOB, ANN, ANN)] == ["b1", "a1", "a2"]
    assert answer(played, ask("new"), ANN) is None


def test_by_position_when_role_or_task_was_edited_too():
    played = InOrder([call(ask("a"), ANN, "a"), call(ask("b"), ("Bob", "write"), "b")])
    assert answer(played, ask("x"), ("Robert", "write")) == "b"
    assert answer(played, ask("x"), ("Ann", "look closer")) == "a"


def test_by_position_never_from_another_address():
    played = InOrder([call(ask("a"), ANN)])
    assert answer(played, ask("a", URL + "/other"), ANN) is None
    assert answer(played, ask("a"), (None, None)) is None

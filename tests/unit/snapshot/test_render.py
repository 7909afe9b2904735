"""What a snapshot says: by level, without what differs from run to run, in an order that does not."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crewai_trace.snapshot import facts
from pytest_crewai_trace.snapshot.facts import Custom
from pytest_crewai_trace.snapshot.normalise import Normaliser
from pytest_crewai_trace.snapshot.options import ATTRIBUTES, LEVELS, Options, Rule
from pytest_crewai_trace.snapshot.render import tree_text
from pytest_crewai_trace.trace.redact import Redactor
from pytest_crewai_trace.trace.trace import Trace
from pytest_crewai_trace.trace.values import ToolCall
from tests.support.spans import span, together, trace
from tests.unit.strategies import interleavings, shifted, sketches, trace_of, traces


def text_of(made, custom=None, redactor=None, **options):
    return tree_text(made, Options.of(**options), redactor or Redactor(), custom or Custom())


def tree(text):
    return dedent(text).lstrip("\n")


def crew(**changes):
    fields = {"backstory": "Curious.", "query": "AI", "answer": "It is 2026.", **changes}
    system = {"role": "system", "content": f"You are Researcher. {fields['backstory']}"}
    asked = {"role": "user", "content": "Find out"}
    found = {"role": "tool", "content": "x"}
    call = ToolCall("search", {"query": fields["query"]})
    return trace(
        span(
            "crew",
            "research",
            span(
                "task",
                "find",
                span(
                    "agent",
                    "Researcher",
                    span("llm", "gpt-4o", messages=[system, asked], requested_tool_calls=[call]),
                    span("tool", "search", arguments={"query": fields["query"]}, result="three articles"),
                    span(
                        "llm",
                        "gpt-4o",
                        messages=[system, asked, found],
                        response=fields["answer"],
                    ),
                    goal="Find out",
                    output=fields["answer"],
                ),
                description="Find out about AI",
                output=fields["answer"],
            ),
            inputs={"topic": "AI"},
            output=fields["answer"],
        )
    )


LEVEL_TEXTS = {
    "path": """
        crew research
          task find
            agent Researcher
              llm gpt-4o
              tool search
              llm gpt-4o
        """,
    "calls": """
        crew research
          task find
            agent Researcher
              llm gpt-4o
              tool search
                arguments.query: "AI"
                result: "three articles"
              llm gpt-4o
        """,
    "content": """
        crew research
          inputs.topic: "AI"
          output: "It is 2026."
          task find
            output: "It is 2026."
            agent Researcher
              llm gpt-4o
                asks.0.search.query: "AI"
              tool search
                arguments.query: "AI"
                result: "three articles"
              llm gpt-4o
                response: "It is 2026."
        """,
    "full": """
        crew research
          inputs.topic: "AI"
          output: "It is 2026."
          task find
            output: "It is 2026."
            description: "Find out about AI"
            agent Researcher
              goal: "Find out"
              llm gpt-4o
                asks.0.search.query: "AI"
                messages.1_system: "You are Researcher. Curious."
                messages.2_user: "Find out"
              tool search
                arguments.query: "AI"
                result: "three articles"
              llm gpt-4o
                response: "It is 2026."
                messages.first_2: "as in the call before"
                messages.3_tool: "x"
        """,
}


@pytest.mark.parametrize("level", LEVELS)
def test_what_each_level_shows(level):
    assert text_of(crew(), level=level) == tree(LEVEL_TEXTS[level])


@pytest.mark.parametrize(("change", "first"), [("backstory", "full"), ("answer", "content"), ("query", "calls")])
def test_a_change_is_seen_from_its_level_on(change, first):
    for level in LEVELS:
        is_seen = text_of(crew(**{change: "another"}), level=level) != text_of(crew(), level=level)
        assert is_seen == (LEVELS.index(level) >= LEVELS.index(first))


def test_statuses_routes_and_verdicts_are_behaviour():
    made = trace(
        span(
            "flow",
            "F",
            span("method", "judge", result="approved", params={}, router=True),
            span("method", "write", result="A long text. Not a route.", params={}),
            span("method", "ask", result=True, paused=True),
            span("guardrail", "short", success=False, attempt=2, feedback="too long"),
            span("tool", "t", arguments={}, result="x", cached=True, attempt=3),
            span("tool", "u", open=True),
            span("human_feedback", "review", message="ok?", outcome="approved"),
            span("memory", "m", operation="query", query="q", results=["r"]),
            error="boom",
        )
    )

    assert text_of(made) == tree(
        """
        flow F
          error: "RuntimeError: boom"
          method ask
            status: "paused"
          method judge
            route: "approved"
          method write
          guardrail short
            attempt: 2
            passed: false
          tool t
            attempt: 3
            arguments: {}
            result: "x"
            cached: true
          tool u
            status: "open"
            arguments: {}
          human_feedback feedback review
            outcome: "approved"
          memory query
        """
    )


def test_every_attribute_that_is_shown_can_be_ignored():
    shown = {name for table in (facts._CONTENT, facts._FULL) for names in table.values() for name in names}

    assert shown <= ATTRIBUTES
    for name in shown:
        Rule.of(f"* > {name}")


# -- what differs from run to run -----------------------------------------------------------------------------


A, B = "123e4567-e89b-12d3-a456-426614174000", "223e4567-e89b-12d3-a456-426614174000"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{A} {B} {A}", "<uuid 1> <uuid 2> <uuid 1>"),
        ("call_AbCdEfGhIjKlMnOpQrStUv12 and toolu_01AbCdEfGhIjKl", "<id 1> and <id 2>"),
        ("at 2026-11-22T10:11:12.345Z, 2026-11-22 10:11", "at <time 1>, <time 2>"),
        ("Sun, 22 Nov 2026 10:11:12 GMT", "<time 1>"),
        ("/tmp/pytest-of-joe/pytest-7/test_x0/report.md", "<tmp 1>/report.md"),
        ("/tmp/tmpab12/x and /private/var/folders/ab/c_d/T/tmpq/y", "<tmp 1>/x and <tmp 2>/y"),
        (r"C:\Users\joe\AppData\Local\Temp\tmpab\x.txt", r"<tmp 1>\x.txt"),
        (
            "http://127.0.0.1:54321/a http://localhost:54321/b",
            "http://127.0.0.1:<port 1>/a http://localhost:<port 1>/b",
        ),
        ("<object at 0x7f00deadbeef>", "<object at <address 1>>"),
    ],
)
def test_ids_times_paths_and_ports_become_numbered_placeholders(text, shown):
    assert Normaliser().text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22, AI 2026, 10:30, version 1.2.3",
        "call_transportation_service search_2026 call_me",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "https://example.org:8080/tmp/x and/tmp",
        "0x1f",
    ],
)
def test_behaviour_is_no_placeholder(text):
    assert Normaliser().text(text) == text
    assert Normaliser().neutral(text) == text


def test_placeholders_are_numbered_through_the_snapshot():
    made = trace(
        span("tool", "a", arguments={"id": A}, result=[A, B]),
        span("tool", "b", arguments={"id": B}, result="x" * 2000 + A),
    )
    text = text_of(made)

    assert 'arguments.id: "<uuid 1>"' in text
    assert 'result: ["<uuid 1>", "<uuid 2>"]' in text
    assert 'arguments.id: "<uuid 2>"' in text
    assert text == text_of(Trace.from_json(made.to_json().replace(A[:8], "99999999").replace(B[:8], "88888888")))


def test_what_users_add():
    made = trace(span("tool", "search", arguments={"order": "ORD-7", "n": 3, "secret": "x1"}, result="ORD-7 ORD-9"))
    seen = []

    def normalise(value, path):
        seen.append((value, path))
        return "three" if value == 3 else value

    custom = Custom((re.compile(r"(?P<order>ORD-\d+)"),), normalise)
    text = text_of(made, custom)

    assert 'arguments.order: "<order 1>"' in text
    assert 'result: "<order 1> <order 2>"' in text
    assert 'arguments.n: "three"' in text
    assert ("[redacted value]", "tool search > arguments.secret") in seen


def test_redaction_comes_first():
    """S63: a replacement, the hook and the hash of a folded text see no secret."""
    secret = "sk-" + "proj-Canary0123456789"
    seen = []
    made = trace(
        span(
            "tool",
            secret,
            arguments={secret: secret, "api_key": "abc", "h": ["Cookie", "a=b"]},
            result=secret * 100,
            error=secret,
        )
    )
    text = text_of(
        made,
        Custom(normalise=lambda value, path: seen.append((value, path)) or value),
        replace={"arguments.h": lambda value: seen.append(value) or value},
        level="full",
    )

    assert "Canary" not in text + str(seen)
    assert 'arguments.api_key: "[redacted value]"' in text
    assert "a=b" not in text


# -- ignore and replace -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        ("tool search > result", ['result: "three articles"']),
        ("tool > result", ['result: "three articles"']),
        ("result", ['result: "three articles"']),
        ("arguments.query", ['arguments.query: "AI"']),
        ("arguments.*", ['arguments.query: "AI"']),
        ("crew res* > agent Researcher > arg*", []),
        ("crew res* > tool > arg*", ['arguments.query: "AI"']),
        ("task other > tool > result", []),
        ("* sear* > result", ['result: "three articles"']),
        ("llm", ["llm gpt-4o", "llm gpt-4o"]),
        ("llm gpt-5*", []),
        (
            "task find > agent",
            [
                "agent Researcher",
                "llm gpt-4o",
                "tool search",
                'arguments.query: "AI"',
                'result: "three articles"',
                "llm gpt-4o",
            ],
        ),
    ],
)
def test_ignore_leaves_out_spans_and_attributes(path, gone):
    whole = [line.strip() for line in text_of(crew()).splitlines()]
    rest = [line.strip() for line in text_of(crew(), ignore=[path]).splitlines()]

    for line in gone:
        whole.remove(line)
    assert rest == whole


def test_replace_puts_something_in_the_place_of_a_value():
    text = text_of(crew(), replace={"tool search > result": "SOME", "arguments.query": lambda value: value.lower()})

    assert 'result: "SOME"' in text
    assert 'arguments.query: "ai"' in text
    whole = text_of(crew(), replace={"arguments": sorted})
    assert 'arguments: ["query"]' in whole


def test_what_is_ignored_has_no_say_in_the_order():
    runs = [
        trace(
            together(
                span("crew", "c", span("tool", "t", arguments={"n": 2}, result=one)),
                span("crew", "c", span("tool", "t", arguments={"n": 1}, result=other)),
            )
        )
        for one, other in [("a", "b"), ("b", "a")]
    ]

    assert len({text_of(run, ignore=["result"]) for run in runs}) == 1
    assert len({text_of(run, level="path") for run in runs}) == 1


# -- order ------------------------------------------------------------------------------------------------------


@given(st.data())
def test_concurrent_children_are_in_one_order_whatever_happened_first(data):
    from tests.support.spans import happenings

    branches = [data.draw(sketches(2)) for _ in range(3)]
    lists = [happenings(branch) for branch in branches]
    begins = [entry for events in lists for entry in events[:1]]
    rest = [events[1:] for events in lists]

    runs = {text_of(trace_of([*data.draw(st.permutations(begins)), *data.draw(interleavings(rest))])) for _ in range(4)}

    assert len(runs) == 1


@pytest.mark.parametrize("ids", [("1" * 8, "2" * 8), ("2" * 8, "1" * 8)])
def test_ids_have_no_say_in_the_order_of_what_is_concurrent(ids):
    one, other = (A.replace("123e4567", number) for number in ids)
    made = trace(
        together(
            span("crew", "c", span("tool", "t", arguments={"id": one}, result="z")),
            span("crew", "c", span("tool", "t", arguments={"id": other}, result="a")),
        )
    )

    lines = text_of(made).splitlines()
    assert [line.strip() for line in lines if "result" in line or "id" in line] == [
        'arguments.id: "<uuid 1>"',
        'result: "a"',
        'arguments.id: "<uuid 2>"',
        'result: "z"',
    ]


def test_what_ran_one_after_the_other_keeps_its_order():
    assert text_of(trace(span("crew", "c", span("task", "b"), span("task", "a")))) == "crew c\n  task b\n  task a\n"


@given(traces())
def test_times_and_ids_do_not_show(made):
    if made.empty or not made.complete:
        return
    for level in LEVELS:
        assert text_of(made, level=level) == text_of(Trace.from_json(made.to_json()), level=level)
        assert text_of(shifted(made, 100.0), level="path") == text_of(made, level="path")


def test_a_span_is_a_tree_of_its_own():
    made = crew()

    assert (
        text_of(made.task("find"), level="path")
        == tree(LEVEL_TEXTS["path"]).partition("\n")[2].replace("\n  ", "\n")[2:]
    )

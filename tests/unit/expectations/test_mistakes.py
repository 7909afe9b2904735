"""Mistakes in what a test says: one sentence that names the input and the remedy."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from pydantic import BaseModel

from pytest_crewai_trace import ToolCall, expect
from tests.unit.expectations.stories import research

RUN = expect(research())


class Query(BaseModel):
    query: str


async def takes_time(*values):
    return True


MISTAKES = [
    (lambda: RUN.to_call_tool("search", Query), TypeError, "arguments takes a value, a matcher or a callable, not the"),
    (
        lambda: RUN.to_call_tool("search", {"query": str}),
        TypeError,
        "argument query takes a value, a matcher or a callable, not the type str",
    ),
    (
        lambda: RUN.to_call_tool("search", ToolCall("search", {"query": "AI"})),
        TypeError,
        "arguments takes a dict, not a ToolCall: to_call_tools([...]) takes those",
    ),
    (
        lambda: RUN.to_output(list[int]),
        TypeError,
        "to_output takes a value, a matcher or a callable, not the type list",
    ),
    (
        lambda: RUN.to_call_tool("search", {"query": takes_time}),
        TypeError,
        "takes_time is asynchronous; what is called with a value has to answer at once",
    ),
    (
        lambda: RUN.to_say(takes_time),
        TypeError,
        "takes_time is asynchronous; what is called with a value has to answer",
    ),
    (
        lambda: RUN.to_call_tools([ToolCall("search")], overrides={"search": takes_time}),
        TypeError,
        "takes_time is asynchronous; what is called with a value has to answer at once",
    ),
    (
        lambda: RUN.to_call_tool("search", {"query": re.compile(b"AI")}),
        TypeError,
        "/b'AI'/ is a regular expression of bytes; what a trace has is text",
    ),
    (
        lambda: RUN.to_call_tools(["search"], overrides=["search"]),
        TypeError,
        "overrides takes a dict, not ['search']: write overrides={'search': 'partial'}",
    ),
    (
        lambda: RUN.to_follow("Researcher", "...", "Writer"),
        TypeError,
        "to_follow takes ... without quotes for anything in between: write to_follow('A', ..., 'B')",
    ),
    (
        lambda: RUN.to_use_tool("search"),
        AttributeError,
        "unknown expectation 'to_use_tool'; did you mean 'to_use_tool_",
    ),
    (lambda: RUN.to_call_tool("search", times=-1), ValueError, "times=-1: it takes 0 or more"),
    (
        lambda: RUN.to_call_tool("search", times=0),
        ValueError,
        "times=0: to say that it must not happen, write not_to_call_tool('search')",
    ),
    (
        lambda: RUN.to_call_llm(at_most=0),
        ValueError,
        "at_most=0: to say that it must not happen, write not_to_call_llm()",
    ),
    (lambda: RUN.to_call_tool("search", times="2"), TypeError, "times='2': it takes a whole number"),
    (lambda: RUN.to_call_tool("search", at_least=True), TypeError, "at_least=True: it takes a whole number"),
    (
        lambda: RUN.to_call_tool("search", times=1, at_least=1),
        TypeError,
        "times= is exact: give either times=, or at_least= and at_most=",
    ),
    (
        lambda: RUN.to_call_tool("search", at_least=3, at_most=2),
        ValueError,
        "at_least=3 is more than at_most=2: no count is both",
    ),
    (
        lambda: RUN.to_call_tool("search", tims=1),
        TypeError,
        "to_call_tool() takes no tims=; did you mean 'times'? it takes name, arguments, partial=, times=, at_least=,",
    ),
    (
        lambda: RUN.to_call_tool("search", query="AI"),
        TypeError,
        "; the arguments of the tool go into a dict: to_call_tool(..., {'query': 'AI'})",
    ),
    (
        lambda: RUN.to_follow("Researcher", upto="Writer"),
        TypeError,
        "to_follow() takes no upto=; it takes *names",
    ),
    (lambda: RUN.to_succeed(always=True), TypeError, "to_succeed() takes no always=; it takes nothing"),
    (
        lambda: RUN.to_delegate("Boss"),
        TypeError,
        "to_delegate(): missing a required",
    ),
    (
        lambda: RUN.to_have_no_loops(3),
        TypeError,
        "to_have_no_loops(): too many positional arguments; it takes repeats=",
    ),
    (
        lambda: ToolCall("search", "AI"),
        TypeError,
        "the arguments of a ToolCall are a dict, not 'AI': write ToolCall('search', {'query': ...})",
    ),
    (lambda: RUN.to_call_tool(""), ValueError, "the tool takes a name, not an empty text"),
    (
        lambda: RUN.to_call_tool(["search"]),
        TypeError,
        "the tool takes one name, not ['search']: state an expectation for each",
    ),
    (lambda: RUN.to_call_tool("search", by=3), TypeError, "by takes a name (str), not 3"),
    (
        lambda: RUN.to_call_tool("search", "AI"),
        TypeError,
        "arguments takes a dict, a matcher or a callable, not 'AI'",
    ),
    (
        lambda: RUN.to_call_tool("search", partial=True),
        TypeError,
        "partial=True needs arguments= as a dict: those that must be among the call's",
    ),
    (lambda: RUN.to_call_tool("search", {}, partial="yes"), TypeError, "partial='yes': it takes True or False"),
    (
        lambda: RUN.to_call_tool("search", error=TimeoutError("slow")),
        TypeError,
        "error takes an exception class, not an exception: write TimeoutError",
    ),
    (lambda: RUN.not_to_call_tool("search", unknown_ok=1), TypeError, "unknown_ok=1: it takes True or False"),
    (
        lambda: RUN.to_call_tools("search"),
        TypeError,
        "to_call_tools takes a list, not 'search': write to_call_tools(['search', ToolCall('fetch', {...})])",
    ),
    (
        lambda: RUN.to_call_tools([]),
        ValueError,
        "to_call_tools([]) expects nothing: to say that no tool is called, assert trace.tool_calls == []",
    ),
    (lambda: RUN.to_call_tools([3]), TypeError, "to_call_tools takes names and ToolCalls, not 3"),
    (
        lambda: RUN.to_call_tools(["search"], "sorted"),
        ValueError,
        "order='sorted': it takes one of 'exact', 'in_order', 'any_order'",
    ),
    (
        lambda: RUN.to_call_tools(["search"], allow_extra=True),
        TypeError,
        "order='exact' leaves no room for other calls: write order='in_order' or 'any_order'",
    ),
    (
        lambda: RUN.to_call_tools([ToolCall("search")], overrides={"search": "fuzzy"}),
        ValueError,
        "overrides['search']='fuzzy': it takes 'exact', 'partial', 'ignore' or a callable of two dicts",
    ),
    (
        lambda: RUN.to_call_tools([ToolCall("search")], overrides={"serach": "ignore"}),
        ValueError,
        "overrides['serach']: no expected call has this name; did you mean 'search'?",
    ),
    (RUN.to_follow, ValueError, "to_follow takes at least one name: write to_follow('A', ..., 'B')"),
    (lambda: RUN.to_follow(...), ValueError, "to_follow takes at least one name: write to_follow('A', ..., 'B')"),
    (
        lambda: RUN.to_follow(["A", "B"]),
        TypeError,
        "to_follow takes names and ..., not ['A', 'B']: write to_follow('A', ..., 'B')",
    ),
    (lambda: RUN.to_route("a", 1), TypeError, "to_route takes names and ..., not 1: write to_route('A', ..., 'B')"),
    (lambda: RUN.to_delegate("A", "B"), TypeError, "positional argument"),
    (lambda: RUN.to_use_output_of(None), TypeError, "to_use_output_of takes a name (str), not None"),
    (lambda: RUN.to_say(""), ValueError, "to_say: an empty text is found in everything; write what is to be found"),
    (
        lambda: RUN.not_to_say(re.compile("")),
        ValueError,
        "to_say: an empty regular expression is found in everything; write what is to be found",
    ),
    (
        lambda: RUN.to_see(re.compile(b"x")),
        TypeError,
        "to_see takes a regular expression of text, not of bytes: b'x'",
    ),
    (
        lambda: RUN.to_say(["a"]),
        TypeError,
        "to_say takes a text, a compiled regular expression or a callable, not ['a']",
    ),
    (lambda: RUN.to_fail(""), ValueError, "with_: an empty regular expression is found in everything; write True"),
    (
        lambda: RUN.to_fail("("),
        ValueError,
        "with_='(' is no regular expression: missing ), unterminated subpattern at position 0; re.escape() quotes",
    ),
    (lambda: RUN.to_fail(None), TypeError, "with_ takes an exception class, a regular expression or True, not None"),
    (lambda: RUN.to_recover_from(int), TypeError, "to_recover_from takes an exception class, a regular expression or"),
    (lambda: RUN.to_pass_guardrail(attempts=0), ValueError, "attempts=0: it takes 1 or more"),
    (
        lambda: RUN.to_pass_guardrail(attempts=1, at_most=2),
        TypeError,
        "attempts= is exact: give either attempts= or at_most=",
    ),
    (
        RUN.to_stay_within,
        TypeError,
        "to_stay_within() takes at least one limit: llm_calls, tool_calls, input_tokens, output_tokens, total_tokens,",
    ),
    (
        lambda: RUN.to_stay_within(tokens=3),
        TypeError,
        "to_stay_within() takes no tokens=; did you mean 'total_tokens'? it takes llm_calls=, tool_calls=,",
    ),
    (lambda: RUN.to_stay_within(llm_calls=-1), ValueError, "llm_calls=-1: it takes 0 or more"),
    (lambda: RUN.to_stay_within(llm_calls=1.5), TypeError, "llm_calls=1.5: it takes a whole number"),
    (lambda: RUN.to_stay_within(cost="cheap"), ValueError, "cost='cheap': it takes US dollars, such as '0.02'"),
    (lambda: RUN.to_stay_within(cost=Decimal("NaN")), ValueError, "cost=Decimal('NaN'): it takes 0 or more"),
    (lambda: RUN.to_stay_within(cost=True), TypeError, "cost=True: it takes US dollars, such as '0.02'"),
    (lambda: RUN.to_stay_within(seconds=float("inf")), ValueError, "seconds=inf: it takes 0 or more"),
    (lambda: RUN.to_stay_within(seconds="3"), TypeError, "seconds='3': it takes a number of seconds"),
    (lambda: RUN.to_have_no_loops(repeats=1), ValueError, "repeats=1: it takes 2 or more"),
    (
        lambda: RUN.to_output("text", partial=True),
        TypeError,
        "partial=True needs the expected output as a dict or a list",
    ),
    (lambda: RUN.to_output(""), ValueError, "to_output: an empty text is found in everything"),
    (
        lambda: expect("trace"),
        TypeError,
        "expect() takes a trace or a span of it, not 'trace': write expect(crewai_trace)",
    ),
    (
        lambda: expect(research().agents),
        TypeError,
        "expect() takes a trace or one span, not a list of 2 spans: take .one() or .first",
    ),
]


@pytest.mark.parametrize(("mistake", "kind", "message"), MISTAKES, ids=[message[:40] for *_, message in MISTAKES])
def test_a_mistake_is_told_in_one_sentence(mistake, kind, message):
    with pytest.raises(kind, match=re.escape(message)) as caught:
        mistake()
    assert "\n" not in str(caught.value)


def test_arguments_may_be_a_model():
    RUN.to_call_tool("search", Query(query="AI"))
    with pytest.raises(AssertionError, match="query: expected 'ML', got 'AI'"):
        RUN.to_call_tool("search", Query(query="ML"))


def test_the_task_that_is_looked_at_is_no_source_of_its_own_prompts():
    with pytest.raises(AssertionError, match="task 'write' is where it is looked for"):
        expect(research().task("write")).to_use_output_of("write")

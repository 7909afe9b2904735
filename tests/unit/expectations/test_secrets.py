"""S63, S65, S66: no message of an expectation, and nothing that a comparison says, holds a secret."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from pytest_crewai_trace import ToolCall, TraceAssertionError, expect
from pytest_crewai_trace.expectations.compare import explain
from tests.support.spans import span
from tests.unit.expectations.stories import agent, failure, llm, research, story, tool

CANARIES = {
    "OpenAI": "sk-proj-CANARY0123456789abcdefghijklCANARY",
    "GitHub": "ghp_CANARY0123456789abcdefghijklmnopqrCANARY",
    "bearer": "Authorization: Bearer CANARY.0123456789.abcdefCANARY",
    "user info": "https://user:CANARYpassword1CANARY@host.invalid/path",
    "query": "https://host.invalid/path?api_key=CANARY0123456789CANARY",
    "named": '{"api_key": "CANARY0123456789CANARY"}',
}
# What is cut is cut somewhere in a long text: at each of these some message cuts the secret in two.
PADDINGS = (0, 30, 50, 90)


class Report(BaseModel):
    pages: int


def spilled(text):
    """A run in which a secret went everywhere."""
    fetch = {"url": text, "headers": {"X-Api-Key": "CANARY-in-a-header-1"}}
    return story(
        span(
            "crew",
            "crew",
            span(
                "task",
                "research",
                agent(
                    "Researcher",
                    llm(f"Research {text}", says=[], calls=(ToolCall("fetch", fetch),)),
                    tool("fetch", text, **fetch),
                    tool("fetch", text, **fetch),
                    tool("fetch", text, **fetch),
                    tool("fail", text, text=text, _error=text),
                    span("guardrail", text, success=False, feedback=text),
                    llm("nothing of it", says=text),
                    tools=("fetch", "fail"),
                    output=text,
                    max_iter=1,
                ),
                output=text,
                output_data={"pages": text, "api_key": "CANARY-under-a-name-1"},
            ),
            span("task", f"write {text}", agent("Writer", llm(text, says=text), output=text), output=text),
            span("method", "judge", router=True, result=text),
            output=text,
            error=text,
        )
    )


def failures(trace, text):
    """Expectations that do not hold, each of which has the secret in its words."""
    whole, task, tool_span = expect(trace), expect(trace.task("research")), expect(trace.tools.last)
    yield lambda: whole.to_call_tool("fetch", {"url": "x"})
    yield lambda: whole.to_call_tool("fetch", {"url": f"{text}!", "headers": {}})
    yield lambda: whole.to_call_tool("fetch", {"token": "CANARY0123456789-expected"}, partial=True)
    yield lambda: whole.to_call_tool("fetch", lambda given: False)
    yield lambda: whole.to_call_tool("fetch", result=f"x{text}")
    yield lambda: whole.to_call_tool("fetch", times=2)
    yield lambda: whole.to_call_tool("fail", error=KeyError)
    yield lambda: whole.to_call_tool("fail", error=False)
    yield lambda: whole.to_call_tool("delete", {"url": text})
    yield lambda: whole.not_to_call_tool("fetch", {"url": text}, partial=True)
    yield lambda: whole.to_call_tools(["search", "fetch"])
    yield lambda: whole.to_call_tools([ToolCall("fetch", {"url": text, "headers": {}}, result="x")], "any_order")
    yield lambda: whole.to_call_tools([ToolCall("fetch", {}, error="x"), "delete"], "in_order", partial=True)
    yield lambda: whole.to_follow("Writer", "Researcher")
    yield lambda: whole.to_follow("fetch", f"write {text}")
    yield lambda: whole.to_route("judge", "approved")
    yield lambda: task.to_use_output_of(f"write {text}")
    yield lambda: whole.to_use_tool_result("fetch")
    yield lambda: whole.to_call_llm(by="Nobody")
    yield lambda: whole.to_say("x" * 50)
    yield lambda: whole.to_say(text.replace("w", "W"))
    yield lambda: whole.not_to_say(text)
    yield lambda: whole.not_to_say(re.compile(re.escape(text[-8:])))
    yield lambda: whole.not_to_say(lambda said: False if not said else "CANARY" not in said)
    yield lambda: whole.to_see("x" * 50)
    yield lambda: whole.not_to_see(text)
    yield lambda: whole.not_to_see(re.compile("C.NARY"))
    yield whole.to_succeed
    yield lambda: whole.to_fail(KeyError)
    yield task.to_fail
    yield whole.to_have_no_errors
    yield lambda: whole.to_recover_from(re.compile("C.NARY"))
    yield whole.to_pass_guardrail
    yield lambda: whole.to_pass_guardrail("other")
    yield lambda: whole.to_hit_cache("fetch")
    yield lambda: whole.to_stay_within(llm_calls=0, total_tokens=0, seconds=0)
    yield whole.to_have_no_loops
    yield lambda: task.to_output(Report)
    yield lambda: task.to_output({"pages": 1, "api_key": "x"})
    yield lambda: task.to_output(f"{text}?")
    yield lambda: task.to_output(re.compile("nothing of it"))
    yield lambda: tool_span.to_output("x")
    yield lambda: whole.to_output("x")


def test_s63_no_failed_expectation_shows_a_secret():
    shown = []
    for canary in CANARIES.values():
        for padding in PADDINGS:
            text = f"{'word ' * (padding // 5)}{canary}{' word' * 40}"
            for expectation in failures(spilled(text), text):
                with pytest.raises(TraceAssertionError) as caught:
                    expectation()
                mismatch = caught.value.mismatches[0]
                said = [str(caught.value), repr(caught.value), mismatch.expected, mismatch.actual, mismatch.nearest]
                shown += [line for line in "\n".join(said).splitlines() if "CANARY" in line or "anary" in line]
    assert shown == []


def test_s63_nor_what_a_mistake_in_an_argument_says():
    key = CANARIES["OpenAI"]
    with pytest.raises(TypeError, match="redacted OpenAI key") as caught:
        expect(research()).to_call_tool("search", [key])
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES)
@pytest.mark.parametrize("padding", PADDINGS)
def test_s63_no_comparison_of_tool_calls_shows_a_secret(canary, padding):
    text = f"{'word ' * (padding // 5)}{canary}{' word' * 40}"
    left = ToolCall("fetch", {"url": text, "headers": {"X-Api-Key": "CANARY-in-a-header-1"}}, result=text, error=text)
    others = [
        ToolCall("fetch", {"url": f"{text}?", "headers": {}}, result="x", error=f"x{text}"),
        ToolCall("fetch", {"url": "x", "password": "CANARY"}),
        ToolCall("search"),
    ]
    for right in others:
        for one, other in ((left, right), (right, left), ([left], [right]), ([left], []), ([right, left], [left])):
            said = explain("==", one, other)
            assert said is not None
            assert [line for line in said if "CANARY" in line] == []


def test_two_secrets_that_differ_are_told_apart():
    left, right = ("sk-proj-0123456789abcdefghijklmn", "sk-proj-abcdefghijklmnopq0123456")

    assert explain("==", ToolCall("fetch", {"key": left}), ToolCall("fetch", {"key": right}))[2:] == [
        "key: another '[redacted OpenAI key]' != '[redacted OpenAI key]'"
    ]
    message = failure(lambda: expect(story(tool("fetch", url=left))).to_call_tool("fetch", {"url": right}))
    assert "url: expected '[redacted OpenAI key]', got another '[redacted OpenAI key]'" in message


def test_s65_nor_the_values_of_secret_variables(monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "correct horse battery staple")
    message = failure(lambda: expect(research("correct horse battery staple")).to_call_tool("search", {"query": "AI"}))
    assert "horse" not in message
    assert "query: expected 'AI', got '[redacted $MY_API_KEY]'" in message


def test_s68_what_is_no_secret_stays_readable():
    message = failure(lambda: expect(research("token budgets of authors")).to_call_tool("search", {"query": "AI"}))
    assert "got 'token budgets of authors'" in message

"""The trace as JSON: there and back without loss, and what is no trace is said to be none."""

from __future__ import annotations

import copy
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crewai_trace import Trace, TraceDocumentError
from pytest_crewai_trace.trace.document import SCHEMA_VERSION
from pytest_crewai_trace.trace.messages import Messages
from pytest_crewai_trace.trace.semconv import KINDS
from pytest_crewai_trace.trace.span import SPAN_CLASSES, LLMSpan
from tests.support.spans import span, trace
from tests.unit.strategies import fields_of, traces


def everything(made: Trace) -> dict:
    return {**made.model_dump(), "types": [type(one) for one in made.all_spans]}


@given(traces(), st.sampled_from([None, 2]))
def test_there_and_back_loses_nothing(made, indent):
    """Every field of every kind, ids, times and origins too."""
    written = made.to_json(indent=indent)
    again = Trace.from_json(written)

    assert everything(again) == everything(made)
    assert again.to_json(indent=indent) == written
    assert everything(Trace.from_json(written.encode())) == everything(made)
    assert json.loads(written)["schema_version"] == SCHEMA_VERSION
    if made.all_spans and made.complete:
        assert again == made


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_each_kind_there_and_back(kind, data):
    made = Trace(all_spans=(data.draw(fields_of(SPAN_CLASSES[kind], id=st.just(0), parent_id=st.none())),))

    assert everything(Trace.from_json(made.to_json())) == everything(made)


def test_an_empty_trace_there_and_back():
    assert Trace.from_json(Trace().to_json()).empty
    assert json.loads(Trace().to_json()) == {"schema_version": 1, "messages": [], "spans": []}


def test_text_is_written_as_it_is():
    """S58: everything that is text, in UTF-8; what must be escaped is."""
    made = trace(span("tool", "t", result="a\x00b\u2028\U0001f600é"))

    written = made.to_json()
    assert "\U0001f600é" in written
    assert "\\u0000" in written
    assert Trace.from_json(written.encode("utf-8")).tools.one().result == "a\x00b\u2028\U0001f600é"


def test_text_that_no_file_takes_is_replaced_when_it_is_written():
    """S58: in a trace that was made by hand; what is captured has none."""
    made = trace(span("tool", "t", result="a\ud800b"))

    assert Trace.from_json(made.to_json().encode()).tools.one().result == "a?b"


def conversation(calls: int) -> Trace:
    said, known = [], None
    for number in range(calls):
        said.append({"role": "user", "content": f"message {number} " + "x" * 1_000})
        known = Messages(said[-1:], known, number)
        yield known


def test_what_a_call_shares_with_an_earlier_one_is_written_once():
    """S60: the document grows with what is new in each call."""
    written = trace(*(span("llm", "gpt", messages=messages) for messages in conversation(100))).to_json()

    assert written.count("x" * 1_000) == 100
    assert len(written) < 150_000
    again = Trace.from_json(written)
    assert len(again.llm_calls[99].messages) == 100
    assert len({id(m) for call in again.llm_calls for m in call.messages}) == 100


def test_the_same_conversation_twice_is_written_once():
    messages = Messages([{"content": "hello"}])
    document = json.loads(trace(span("llm", "a", messages=messages), span("llm", "b", messages=messages)).to_json())

    assert document["messages"] == [{"tail": [{"content": "hello"}]}]
    assert [one["messages"] for one in document["spans"]] == [0, 0]


# -- what is no trace ------------------------------------------------------------------------------------------------


def refusal(text: str | bytes) -> str:
    with pytest.raises(TraceDocumentError) as caught:
        Trace.from_json(text)
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) < 300
    assert caught.value.__context__ is None or caught.value.__suppress_context__  # not three tracebacks
    return message


@pytest.mark.parametrize("version", [2, 3, 10**30])
def test_a_newer_schema_is_refused_by_its_number(version):
    """S43"""
    document = {**json.loads(trace(span("crew", "c")).to_json()), "schema_version": version, "news": []}

    message = refusal(json.dumps(document))
    assert f"a trace of schema version {str(version)[:19]}" in message
    assert message.endswith("this version of pytest-crewai-trace reads up to 1")


@pytest.mark.parametrize("version", [0, -1, True, None, "1", 1.0, [], {}])
def test_a_version_that_is_none_is_refused(version):
    assert refusal(json.dumps({"schema_version": version})) == (
        "not a trace: a trace is a JSON object with a number 'schema_version'"
    )


def one_llm_call() -> dict:
    return json.loads(trace(span("llm", "gpt", messages=[{"content": "hi"}])).to_json())


def changed(*path_and_value) -> str:
    """A good document with one value replaced; a value of ``...`` is one that is missing."""
    *path, last, value = path_and_value
    document = one_llm_call()
    inner = document
    for key in path:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(document)


LOOP = [{"base": 1, "shared": 0, "tail": []}, {"base": 0, "shared": 0, "tail": []}]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON (Expecting value: line 1 column 1 (char 0))"),
        ("{", "not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
        (b"\xff\xfe\xff", "not JSON ("),
        (b"\x80", "not JSON ("),
        ("[" * 100_000, "not JSON ("),
        ('{"a":' * 100_000, "not JSON ("),
        ("null", "a trace is a JSON object with a number 'schema_version'"),
        ("[]", "a trace is a JSON object with a number 'schema_version'"),
        ("{}", "a trace is a JSON object with a number 'schema_version'"),
        ('"schema_version"', "a trace is a JSON object with a number 'schema_version'"),
        ('{"schema_version": 1}', "'messages' should be a list of objects"),
        (changed("spans", ...), "'spans' should be a list of objects"),
        (changed("spans", {}), "'spans' should be a list of objects"),
        (changed("spans", "x"), "'spans' should be a list of objects"),
        (changed("spans", ["messages"]), "'spans' should be a list of objects"),
        (changed("spans", [None]), "'spans' should be a list of objects"),
        (changed("messages", None), "'messages' should be a list of objects"),
        (changed("messages", [[]]), "'messages' should be a list of objects"),
        (changed("messages", 0, {}), "'tail' should be a list of objects"),
        (changed("messages", 0, "tail", "hello"), "'tail' should be a list of objects"),
        (changed("messages", 0, "tail", ["hello"]), "'tail' should be a list of objects"),
        (changed("messages", 0, "base", 0), "there are no messages 0"),
        (changed("messages", 0, "base", -1), "there are no messages -1"),
        (changed("messages", LOOP), "there are no messages 1"),
        (changed("messages", 0, "base", None), "there are no messages None"),
        (changed("messages", 0, "shared", 1), "messages cannot share 1"),
        (changed("messages", 0, "shared", -1), "messages cannot share -1"),
        (changed("messages", 0, "shared", True), "messages cannot share True"),
        (changed("messages", 0, "shared", "1"), "messages cannot share '1'"),
        (changed("spans", 0, "messages", 1), "there are no messages 1"),
        (changed("spans", 0, "messages", -1), "there are no messages -1"),
        (changed("spans", 0, "messages", 10**30), f"there are no messages {10**30}"),
        (changed("spans", 0, "messages", False), "there are no messages False"),
        (changed("spans", 0, "messages", [{"content": "hi"}]), "there are no messages [{'content': 'hi'}]"),
        (changed("spans", 0, "id", ...), "0.llm.id: Field required"),
        (changed("spans", 0, "id", 1), "span 1 at place 0 with parent None: not in start order"),
        (changed("spans", 0, "id", -1), "span -1 at place 0 with parent None: not in start order"),
        (changed("spans", 0, "id", 10**30), f"span {10**30} at place 0 with parent None: not in start order"),
        (changed("spans", 0, "parent_id", 0), "span 0 at place 0 with parent 0: not in start order"),
        (changed("spans", 0, "parent_id", -1), "span 0 at place 0 with parent -1: not in start order"),
        (changed("spans", 0, "kind", ...), "0: Unable to extract tag using discriminator 'kind'"),
        (changed("spans", 0, "kind", "x\x1b[31m"), "0: Input tag 'x\\x1b[31m' found using 'kind'"),
        (changed("spans", 0, "kind", ["llm"]), "0: Input tag '['llm']' found using 'kind'"),
        (changed("spans", 0, "kind", "x" * 10_000), "0: Input tag 'xxxx"),
        (changed("spans", 0, "status", "failed"), "0.llm.status: Input should be 'unset', 'ok' or 'error'"),
        (changed("spans", 0, "start", "soon"), "0.llm.start: Input should be a valid number"),
        (changed("spans", 0, "start", 10**400), "0.llm.start: Input should be"),
        (changed("spans", 0, "arguments", {}), "0.llm.arguments: Extra inputs are not permitted"),
        (
            changed("spans", 0, "origin", "started_at", "once"),
            "0.llm.origin.started_at: Input should be a valid datetime",
        ),
        (changed("spans", 0, "error", {"text": "x"}), "0.llm.error.text: Extra inputs are not permitted"),
        (changed("spans", 0, "requested_tool_calls", [{"nam": "x"}]), "ToolCall.__init__() got an unexpected"),
        (changed("spans", 0, "requested_tool_calls", [{}]), "ToolCall.__init__() missing"),
        (changed("event_counts", {"ignored": {"x": "y"}}), "event_counts.ignored.x: Input should be a valid integer"),
        (changed("all_spans", []), "pytest_crewai_trace.trace.trace.Trace() got multiple values for keyword argument"),
        (changed("\x1b", 1), "\\x1b: Extra inputs are not permitted"),
        (changed("incomplete", "why"), "incomplete: Input should be a valid tuple"),
        (changed("spans", 0, "response", float("nan")), "not JSON (NaN is no number)"),
        (changed("spans", 0, "response", float("-inf")), "not JSON (-Infinity is no number)"),
        (changed("spans", 0, "start", 1.5).replace("1.5", "1e999"), "not JSON (a number is too large)"),
        (changed("spans", 0, "response", "\ud800"), "not JSON ('utf-8' codec can't encode character '\\ud800'"),
    ],
)
def test_what_is_no_trace_is_refused_in_one_sentence(text, says):
    """S43, S58, S59"""
    assert refusal(text).startswith(f"not a trace: {says}")


def test_two_spans_of_one_id_are_refused():
    document = one_llm_call()
    document["spans"] *= 2

    assert refusal(json.dumps(document)) == "not a trace: span 0 at place 1 with parent None: not in start order"


def test_spans_that_are_each_others_parents_are_refused():
    document = one_llm_call()
    document["spans"] = [{**document["spans"][0], "parent_id": 1}, {**document["spans"][0], "id": 1, "parent_id": 0}]

    assert refusal(json.dumps(document)) == "not a trace: span 0 at place 0 with parent 1: not in start order"


GOOD = trace(
    span(
        "crew",
        "c",
        span("llm", "gpt", messages=[{"content": "hi"}]),
        span("tool", "t", arguments={"a": 1.5}, error="x"),
    )
).to_json()


@given(st.integers(0, len(GOOD) - 1))
def test_a_truncated_document_is_refused(length):
    """S43: half a file is never a whole one."""
    assert refusal(GOOD[:length]).startswith("not a trace: not JSON (")


@given(st.text() | st.binary())
def test_noise_is_refused(noise):
    """S43"""
    assert refusal(noise)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([10**400, "llm", "spans", {}]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


def places(value, path=()):
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


@given(st.data(), values)
def test_a_document_with_anything_anywhere_is_a_trace_or_is_refused(data, value):
    """S43: and what is a trace can be asked, shown and written again."""
    document = copy.deepcopy(json.loads(GOOD))
    path = data.draw(st.sampled_from([*places(document)]))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    if path:
        inner[path[-1]] = value
    else:
        document = value
    text = json.dumps(document)
    try:
        made = Trace.from_json(text)
    except TraceDocumentError:
        made = None
    if made is None:
        refusal(text)
        return
    assert re.match(r'{"schema_version":1\b', made.to_json())
    assert made.to_json().encode()
    assert repr(made)
    assert made.render()
    if made.all_spans and made.complete:
        assert made == Trace.from_json(made.to_json())
        assert made.usage.requests == len(made.llm_calls)
        assert made.cost is None or made.cost >= 0


def test_messages_of_a_span_outside_a_trace_are_a_list():
    assert LLMSpan(id=0, name="x", messages=[{"content": "hi"}]).model_dump()["messages"] == [{"content": "hi"}]

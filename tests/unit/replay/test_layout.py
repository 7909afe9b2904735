"""The YAML of cassettes: what is written is read again, by the quick way and by PyYAML, and nothing else is let in."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_crewai_trace.replay import layout
from pytest_crewai_trace.replay.handwritten import read_yaml
from pytest_crewai_trace.replay.layout import LayoutError, read, write

TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.sampled_from("ab :-#|\n\t\"'\\{}[]&*!%@`,?0.e~\r\x85\u2028\ufeff"), max_size=12),
    st.sampled_from(
        ["null", "Yes", "y", "1", "1e5", "0x1", "2026-11-22", "12:30", "- a", "a: b", "a #b", "---", "..."]
    ),
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
DOCUMENTS = st.dictionaries(TEXT, VALUES, min_size=1, max_size=5) | st.lists(VALUES, min_size=1, max_size=4)


def same(one, other):
    """Equal, and of the same types all the way down; 0.0 and -0.0 are the same."""
    return one == other and json.dumps(one) == json.dumps(other)


@given(DOCUMENTS)
@example({"a": ["\n a", " a\n\n", "a\n\n\n", "\ta", "a\n \nb", "a\n  "], "b": [[["x\ny"], []], {}], "c:": {"d": "x\n"}})
def test_what_is_written_is_read_again(value):
    assert same(layout._read(write(value)), value)


@given(DOCUMENTS)
@example({"a": ["\n a", " a\n\n", "a\n\n\n", "\ta", "a\n \nb", "a\n  "], "b": [[["x\ny"], []], {}], "c:": {"d": "x\n"}})
def test_pyyaml_reads_the_same(value):
    assert same(read_yaml(write(value)), value)


@given(DOCUMENTS, st.data())
def test_what_the_quick_way_takes_pyyaml_reads_the_same(value, data):
    text = write(value)
    place = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 3))
    changed = text[:place] + data.draw(st.text(' \n-:|"#a1{}[]&*!~2+\t', max_size=3)) + text[place + cut :]
    try:
        quick = layout._read(changed)
    except (layout._NotOurs, LayoutError):
        return
    assert same(quick, read_yaml(changed))


def test_it_is_laid_out_for_review():
    value = {
        "version": 1,
        "calls": [
            {
                "agent": "Senior Researcher",
                "request": {
                    "url": "https://api.openai.com/v1/chat/completions",
                    "json": {
                        "messages": [{"role": "system", "content": "You are X.\nYour goal: find 'it'\n"}],
                        "top_p": 0.5,
                    },
                },
                "empty": [{}, [], "", None, True],
            }
        ],
    }
    assert write(value) == (
        "version: 1\n"
        "calls:\n"
        "- agent: Senior Researcher\n"
        "  request:\n"
        "    url: https://api.openai.com/v1/chat/completions\n"
        "    json:\n"
        "      messages:\n"
        "      - role: system\n"
        "        content: |\n"
        "          You are X.\n"
        "          Your goal: find 'it'\n"
        "      top_p: 0.5\n"
        '  empty: [{}, [], "", null, true]\n'
    )


@pytest.mark.parametrize(
    "value",
    ["\ud800", {"\ud800": 1}, {"a": "x\n\ud800"}, float("nan"), [float("inf")], {1: 2}, b"", object()],
    ids=["surrogate", "key", "block", "nan", "inf", "int-key", "bytes", "object"],
)
def test_what_json_does_not_have_is_not_written(value):
    with pytest.raises(LayoutError):
        write([value])


def test_no_endless_nesting_is_written_or_read():
    value: list = []
    for _ in range(1_000):
        value = [value]
    with pytest.raises(LayoutError, match="nested"):
        write(value)
    with pytest.raises(LayoutError):
        read("[" * 100_000)


def test_edited_by_hand_it_is_still_read():
    text = "# a remark\nversion: 1\n\ncalls:\n  - agent: 'A'   # why\n    json: {\"a\": [1, 2.5e3, yes, 2026-11-22]}\n"
    assert read(text) == {"version": 1, "calls": [{"agent": "A", "json": {"a": [1, 2500.0, "yes", "2026-11-22"]}}]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: !!python/object/apply:os.system [echo]\n", "the tag 'tag:yaml.org,2002:python/object/apply:os.system'"),
        ("a: !!binary aGk=\n", "the tag 'tag:yaml.org,2002:binary'"),
        ("a: !custom {}\n", "the tag '!custom'"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "an anchor or alias"),
        ("a: *unknown\n", "an anchor or alias"),
        ("a: 1\nb: 2\na: 3\n", "the key 'a'"),
        ("a: {b: 1, b: 2}\n", "the key 'b'"),
        ("? [a, b]\n: 1\n", "a key that is no text"),
        ("a: [1\nb: 2\n", "line 2"),
        ("a: 1\n---\nb: 1\n", "line 2"),
    ],
)
def test_s61_tags_aliases_and_repeated_keys_are_refused(text, says):
    with pytest.raises(LayoutError) as refused:
        read(text)
    assert says in str(refused.value)
    assert "line" in str(refused.value)

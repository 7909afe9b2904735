"""The format is read back as it was written, whatever stands in it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crewai_trace.snapshot.options import Options
from pytest_crewai_trace.snapshot.reading import Reading
from pytest_crewai_trace.snapshot.render import tree_text
from pytest_crewai_trace.snapshot.text import Snapshot, SnapshotFileError, in_lines, in_one_line, inline
from pytest_crewai_trace.trace.redact import Redactor
from pytest_crewai_trace.trace.span import CrewSpan, ToolSpan
from pytest_crewai_trace.trace.trace import Trace
from tests.support.spans import span, trace
from tests.unit.strategies import plain_values, traces

NASTY = [
    "\x1b[31mred\x1b]8;;http://x\x07",
    "a\r\nb\rc\x08\x9b",
    "\u202eevil\u2066\u200b\ufeff",
    "crew crew\n  task a\nvariant 2\n| x\n... 5 characters",
    'quote " and \\ and \\n',
    " leading and trailing ",
    "\n\n",
    "\ud800",
    "[bold]x[/bold]",
    "::error::x",
    "NaN",
    "null",
    "a\u2028b\u0085c",
    "👩‍👩‍👧 日本語\u3000é",
]


def text_of(made, **options):
    return tree_text(made, Options.of(**options), Redactor())


def facts(made, **options):
    """The facts of the only tool in a trace."""
    found = Reading().tree(text_of(made, **options))[0]
    while found.children:
        found = found.children[0]
    return found.facts


@pytest.mark.parametrize("nasty", NASTY)
def test_s51_hostile_text_breaks_neither_format_nor_terminal(nasty):
    made = trace(
        span(
            "crew",
            nasty,
            span("task", nasty, span("tool", nasty, arguments={nasty: nasty, "x": [nasty]}, result=nasty)),
            span("task", "b", error=nasty),
        )
    )

    text = text_of(made)

    assert all(c == "\n" or c == "\u3000" or c.isprintable() for c in text.replace("\u3000", " "))
    assert not any(line.endswith(" ") for line in text.split("\n"))
    root = Reading().tree(text)[0]
    assert [child.kind for child in root.children] == ["task", "task"]
    assert root.children[0].children[0].kind == "tool"
    assert len(root.children[0].children[0].facts) == 3
    assert Snapshot.read(Snapshot("calls", (text,)).write()).variants == (text,)


@given(st.text(), st.text())
def test_different_texts_are_written_differently(one, other):
    written = [in_one_line(text, None) or in_lines(text, None) for text in (one, other)]

    assert (one == other) == (written[0] == written[1])


@given(st.text())
def test_a_text_on_one_line_is_json_where_it_can_be(text):
    written = inline(text)

    assert "\n" not in written
    if "\\U" not in written:
        assert json.loads(written) == text


@given(traces())
def test_what_is_written_is_read_back(made: Trace):
    if made.empty or not made.complete:
        return
    for level in ("path", "calls", "content", "full"):
        text = text_of(made, level=level)
        lines = []
        stack = Reading().tree(text)[::-1]
        while stack:
            entry = stack.pop()
            lines += entry.lines()
            stack += entry.children[::-1]
        assert "\n".join([*lines, ""]) == text
        assert Snapshot.read(Snapshot(level, (text, text), "1.2.3").write()).variants == (text, text)


@given(plain_values)
def test_any_value_is_told_apart_from_another(value):
    one = facts(trace(span("tool", "t", result=value)))
    other = facts(trace(span("tool", "t", result={"another": value})))

    assert one != other


def test_values_of_each_type():
    arguments = {
        "s": "1",
        "n": 1,
        "f": 1.5,
        "t": True,
        "z": None,
        "l": [1, "a"],
        "d": {},
        "e": [],
        "deep": {"a b": [{"c": 2}]},
    }

    assert facts(trace(span("tool", "t", arguments=arguments, result="a\nb\n"))) == {
        "arguments.d": "{}",
        'arguments.deep."a b".0.c': "2",
        "arguments.e": "[]",
        "arguments.f": "1.5",
        "arguments.l": '[1, "a"]',
        "arguments.n": "1",
        "arguments.s": '"1"',
        "arguments.t": "true",
        "arguments.z": "null",
        "result": "\n| a\n| b\n|",
    }


def test_long_texts_are_folded_to_their_beginning_length_and_hash():
    long = "\n".join(f"line {n}" for n in range(1_000))
    changed = long.replace("line 900", "line nine hundred")

    folded = facts(trace(span("tool", "t", result=long)))["result"]

    assert folded.split("\n") == [
        "",
        *(f"| line {n}" for n in range(5)),
        "... 8,889 characters in 1,000 lines, sha256 01cc7c22cf66",
    ]
    assert folded != facts(trace(span("tool", "t", result=changed)))["result"]
    assert len(facts(trace(span("tool", "t", result="x" * 5_000)))["result"]) < 400
    whole = facts(trace(span("tool", "t", result=long)), fold=None)["result"]
    assert whole.split("\n")[1:] == [f"| line {n}" for n in range(1_000)]


def test_depth_of_2000_is_no_limit_to_spans_or_data():
    """syrupy's amber and JSON stop at 99 levels, without a word."""

    def deep(innermost):
        crews = [CrewSpan(id=n, parent_id=n - 1 if n else None, name="c", end=1.0) for n in range(2_000)]
        return Trace(all_spans=(*crews, ToolSpan(id=2_000, parent_id=1_999, name="t", end=1.0, result=innermost)))

    def nested(innermost):
        for _ in range(2_000):
            innermost = {"a": innermost}
        return trace(span("tool", "t", arguments=innermost))

    assert text_of(deep("x")) == text_of(deep("x"))
    assert text_of(deep("x")) != text_of(deep("y"))
    assert len(text_of(deep("x"))) < 400_000
    assert facts(deep("x")) == {"arguments": "{}", "result": '"x"'}
    assert text_of(nested("x")) != text_of(nested("y"))


def test_the_header_of_level_full_has_the_version_of_crewai():
    written = Snapshot("full", ("crew c\n",), "1.15.30").write()

    assert written == "crewai-trace snapshot 1, level full, crewAI 1.15.30\n\ncrew c\n"
    assert Snapshot.read(written).crewai == "1.15.30"


@pytest.mark.parametrize(
    "tree",
    [
        "crew c\n    task t\n",
        "  crew c\n",
        "crew c\n output: 1\n",
        "crew c\n  output: word\n",
        "crew c\n  output: 1\n  output: 1\n",
        "crew c\n  | x\n",
        "crew c\n(41) crew c\n",
        "tree c\n",
        "crew c\n  !!python/name:x\n",
        "\tcrew c\n",
        "crew c\n  Output: 1\n",
        'crew c\n  output: "\x1b[31m"\n',
        "crew \u202ec\n",
        "",
    ],
)
def test_s61_nonsense_is_refused(tree):
    with pytest.raises(SnapshotFileError):
        Reading().tree(tree)

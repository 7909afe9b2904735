"""What is read of a file that somebody edited, and what the trees that are read together share."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_crewai_trace.snapshot.changes import changes
from pytest_crewai_trace.snapshot.extension import Compared, Rendered, TraceSnapshotExtension
from pytest_crewai_trace.snapshot.messages import explain
from pytest_crewai_trace.snapshot.options import Options
from pytest_crewai_trace.snapshot.reading import Reading
from pytest_crewai_trace.snapshot.text import UNSAFE, Snapshot, SnapshotFileError
from pytest_crewai_trace.trace.span import CrewSpan, ToolSpan
from pytest_crewai_trace.trace.trace import Trace
from tests.support.spans import span, trace


def run(query="AI 2024"):
    search = span("tool", "search", arguments={"query": query, "a b": [1, {"x": "l\nm"}]}, result="long\n" * 30)
    return trace(
        span(
            "crew",
            "c",
            span("task", "research", span("agent", "Researcher", span("llm", "m"), search)),
            span("task", "write", span("agent", "Writer", span("llm", "m")), error="boom"),
        )
    )


def text_of(made):
    return Compared(made).snapshot().variants[0]


STORED = Snapshot("calls", (text_of(run("AI 2025")), text_of(run("AI 2026")))).write()


class Result:
    exception = None
    snapshot_name = snapshot_location = "test"

    def __init__(self, asserted, recalled):
        self.asserted_data, self.recalled_data = asserted, recalled


class Item:
    nodeid = "test"


def said(made, stored):
    """What a comparison says, if it fails."""
    rendered = Rendered.of(Compared(made, Options.of(variants=3)))
    if TraceSnapshotExtension().matches(serialized_data=rendered, snapshot_data=stored):
        return []
    return explain(Result(rendered, stored), Item())


BITS = ["\n", "\n\n", " ", "  ", "\t", "\x1b[31m", "\u202e", "\r", "\x00", "é", '"', ":", "\\", "null", "| x", "crew c"]
BITS += ["variant 3\n", "(41) ", "agent A\n", "result: 1", "<<<<<<< HEAD\n", "=======\n", "!!python/name:os.system"]
EDITS = st.lists(
    st.tuples(st.integers(0, len(STORED)), st.integers(0, 30), st.sampled_from(BITS)), min_size=1, max_size=4
)


@given(
    st.lists(st.tuples(st.integers(0, len(STORED)), st.integers(0, 30), st.sampled_from(BITS)), min_size=1, max_size=4)
)
@example([(STORED.index("AI 2025"), 2, "\x1b[31m")])
def test_s51_s61_an_edited_file_is_compared_or_refused_by_name(edits):
    """Whatever is in it, nothing but a clear error comes of it, and nothing of it acts on a terminal."""
    stored = STORED
    for place, gone, new in edits:
        stored = stored[:place] + new + stored[place + gone :]
    try:
        lines = said(run(), stored)
    except SnapshotFileError as error:
        lines = [str(error)]

    assert not any(UNSAFE.search(line) for line in lines)


@pytest.mark.parametrize("after", ["\n      llm m\n", "\n  task write\n", "\nvariant 2\n", 'boom"\n'])
def test_a_line_that_is_wrong_is_named_by_its_number(after):
    place = STORED.rindex(after) + len(after)
    broken = f"{STORED[:place]}\n\n  bad\n{STORED[place:]}"

    with pytest.raises(SnapshotFileError) as caught:
        Reading().trees(Snapshot.read(broken))

    line = int(re.search(r"line ([0-9]+) ", str(caught.value))[1])
    assert broken.split("\n")[line - 1] == "  bad"


def test_empty_lines_and_spaces_at_the_ends_of_files_are_no_change():
    one = text_of(run())
    other = "\n" + one.replace("\n  task", "\n\n \n  task") + "\n\n"
    reading = Reading()

    assert reading.tree(other) == reading.tree(one)
    assert changes(reading.tree(one), reading.tree(other)).size == 0


def test_equal_spans_are_one_object_and_others_are_not():
    reading = Reading()
    (one,), (other,) = (reading.tree(text_of(run(query))) for query in ("a", "b"))

    assert one is not other
    assert one.children[0] is not other.children[0]
    assert one.children[1] is other.children[1]


def test_equal_spans_that_came_and_went_are_counted_one_by_one():
    def searches(*queries):
        return text_of(trace(span("agent", "A", *(span("tool", "s", arguments={"q": q}) for q in queries))))

    found = changes(*map(Reading().tree, (searches("a", "a", "b"), searches("b", "a"))))

    assert found.behaviour == [
        "A did not call tool 's' with q=\"a\"",
        "tool 's' ran in another order",
    ]


def test_a_change_at_a_depth_of_2000_is_named_first():
    def deep(result):
        crews = [CrewSpan(id=n, parent_id=n - 1 if n else None, name="c", end=1.0) for n in range(2_000)]
        return Trace(all_spans=(*crews, ToolSpan(id=2_000, parent_id=1_999, name="t", end=1.0, result=result)))

    lines = said(deep("x"), Snapshot("calls", (text_of(deep("y")),)).write())

    assert lines[0] == 'tool \'t\' returned "x" instead of "y"'
    assert len(lines) < 250


def test_more_variants_than_can_be_accepted_are_refused_before_they_are_read():
    many = "crewai-trace snapshot 1, level calls\n" + "\nvariant 1\n\ncrew c\n" * 100_000

    with pytest.raises(SnapshotFileError, match="it has 100,000 variants; at most 20 can be accepted"):
        Snapshot.read(many)

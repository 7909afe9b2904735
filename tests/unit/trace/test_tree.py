"""The index over the spans: what it refuses, and that its cost grows with the number of spans and no faster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crewai_trace import Trace
from pytest_crewai_trace.trace import order, render
from pytest_crewai_trace.trace.document import dump, load
from pytest_crewai_trace.trace.render import excerpt, failing
from pytest_crewai_trace.trace.span import TaskSpan, ToolSpan
from pytest_crewai_trace.trace.tree import Tree
from pytest_crewai_trace.trace.values import Origin

SHAPES = {
    "chain": lambda number: number - 1,
    "flat": lambda number: 0,
    "roots": lambda number: None,
    "bushy": lambda number: (number - 1) // 3,
    "comb": lambda number: number - 1 if number % 2 else max(0, number - 2),
}


@pytest.mark.parametrize(
    ("spans", "says"),
    [
        ([(1, None)], "span 1 at place 0 with parent None: not in start order"),
        ([(0, None), (0, None)], "span 0 at place 1 with parent None: not in start order"),
        ([(0, 0)], "span 0 at place 0 with parent 0: not in start order"),
        ([(0, 1), (1, 0)], "span 0 at place 0 with parent 1: not in start order"),
        ([(0, None), (1, 2), (2, 1)], "span 1 at place 1 with parent 2: not in start order"),
        ([(0, None), (1, -1)], "span 1 at place 1 with parent -1: not in start order"),
        ([(0, None), (1, 10**30)], f"span 1 at place 1 with parent {10**30}: not in start order"),
    ],
)
def test_spans_must_be_numbered_in_start_order(spans, says):
    """No duplicate, no gap, no loop."""
    with pytest.raises(ValueError, match="not in start order") as caught:
        Trace(all_spans=tuple(ToolSpan(id=number, parent_id=parent, name="t") for number, parent in spans))
    assert says in str(caught.value)


class CountedSpan:
    """Counts how often anything of it is looked at."""

    looks = 0

    def __init__(self, number: int, parent: int | None) -> None:
        self.fields = {"id": number, "parent_id": parent, "kind": "task" if number % 2 else "tool", "name": "x"}

    def __getattr__(self, name):
        CountedSpan.looks += 1
        return self.fields[name]


class CountedInt(int):
    """Counts how often it is compared: what sorting and searching do."""

    compared = 0

    def __lt__(self, other):
        CountedInt.compared += 1
        return int(self) < int(other)

    __hash__ = int.__hash__


def looks_at(shape: str, size: int) -> int:
    CountedSpan.looks = 0
    spans = [CountedSpan(number, SHAPES[shape](number) if number else None) for number in range(size)]
    tree = Tree(spans)
    tree.inside(None), tree.inside(None, "tool"), tree.inside(None, "task"), tree.children_of(None)
    tree.inside(size // 2), tree.inside(size // 2, "tool")
    return CountedSpan.looks


@pytest.mark.parametrize("shape", SHAPES)
def test_the_work_grows_with_the_number_of_spans(shape):
    """S60: four times the spans, four times the work; it would be sixteen times if it were square."""
    assert looks_at(shape, 8_000) <= 4.1 * looks_at(shape, 2_000)


@pytest.mark.parametrize("shape", ["flat", "bushy", "roots"])
def test_a_question_about_a_leaf_does_not_look_at_the_others(shape):
    size = 5_000
    tree = Tree([CountedSpan(number, SHAPES[shape](number) if number else None) for number in range(size)])
    tree.enter = [CountedInt(place) for place in tree.enter]
    tree.leave = [CountedInt(place) for place in tree.leave]
    tree._enters = {kind: [CountedInt(place) for place in places] for kind, places in tree._enters.items()}
    CountedSpan.looks = CountedInt.compared = 0

    for leaf in range(size - 100, size):
        assert tree.inside(leaf) == tree.inside(leaf, "tool") == ()

    assert CountedSpan.looks == 0
    assert CountedInt.compared < 100 * 40  # binary search


def large(shape: str, size: int) -> Trace:
    """Each span goes on until all that began after it have ended: siblings are concurrent, and alike."""
    spans = (
        TaskSpan(
            id=number,
            parent_id=SHAPES[shape](number) if number else None,
            name="t",
            status="error" if number == size - 1 else "ok",
            end=1.0,
            origin=Origin(sequence=number, end_sequence=2 * size - number),
        )
        for number in range(size)
    )
    return Trace(all_spans=tuple(spans))


def test_a_chain_of_100_000_spans():
    """S60: it is built, asked, rendered, shown, written and read, without recursion and without endless indents."""
    size = 100_000
    made = large("chain", size)

    assert len(made.roots[0].tasks) == size - 1
    text = made.render()
    assert text.count("\n") == size - 1
    assert max(map(len, text.splitlines())) <= 120
    assert text.splitlines()[-1].endswith("(99999) task t !!")
    shown = excerpt(made.tree, failing(made.tree)).splitlines()
    assert len(shown) <= 81
    assert [line for line in shown if line.startswith("> ")] == [shown[-1]]
    written = dump(made)
    again = load(written)
    assert again.all_spans[-1].parent_id == size - 2
    assert dump(again) == written


@pytest.mark.parametrize("shape", SHAPES)
def test_the_work_of_comparing_grows_with_the_number_of_spans(shape, monkeypatch):
    """S60"""
    looks = []
    monkeypatch.setattr(order, "content", lambda span, content=order.content: looks.append(1) or content(span))
    monkeypatch.setattr(render, "label", lambda span, label=render.label: looks.append(1) or label(span))

    def looks_at(size):
        looks.clear()
        one, other = large(shape, size), large(shape, size)
        assert one == other
        assert one.render() == other.render()
        return len(looks)

    assert looks_at(800) < 6 * looks_at(200)  # 16 times if it were square


@given(st.lists(st.integers(0, 30), max_size=30))
def test_a_span_stands_before_what_is_inside_it(parents):
    spans = [ToolSpan(id=0, name="t")]
    spans += [ToolSpan(id=at, parent_id=parent % at, name="t") for at, parent in enumerate(parents, 1)]
    tree = Tree(spans)

    assert sorted(tree.enter) == list(range(len(spans)))
    for one in spans[1:]:
        assert tree.enter[one.parent_id] < tree.enter[one.id] < tree.leave[one.id] <= tree.leave[one.parent_id]

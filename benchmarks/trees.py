"""Building the tree and asking it, beside pydantic-evals on the same spans, if that is installed."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from typing import Any

from benchmarks.expectations import SHAPES, SIZES, trace_of
from benchmarks.measure import Ratio, Table, case, exponent, interleave, seconds
from pytest_crewai_trace import Trace
from pytest_crewai_trace.trace.tree import Tree

MOST_EXPONENT = 1.1
MOST_LOOK_UP = 10.0  # us, plus the result
MOST_INSIDE = 2.0  # ms at 10,000 spans
_ROUNDS = {1_000: 9, 10_000: 7, 100_000: 2}
OURS, THEIRS = "pytest-crewai-trace", "pydantic-evals"
_PEER_CHAIN = 500  # spans; a chain of 10,000 takes it a minute or two
_MANY = 200  # questions in a round, where one takes microseconds


def tables(*, full: bool) -> Iterator[Table]:
    traces = {(shape, size): trace_of(shape, size) for shape in SHAPES for size in SIZES}
    gc.collect()
    gc.freeze()  # else each collection goes over all of them
    try:
        yield building(traces)
        yield looking_up(traces)
        yield inside(traces, full=full)
    finally:
        gc.unfreeze()


def nodes_of(trace: Trace) -> list[Any]:
    from pydantic_evals.otel.span_tree import SpanNode

    began = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return [
        SpanNode(
            name=span.name,
            trace_id=1,
            span_id=span.id + 1,
            parent_span_id=None if span.parent_id is None else span.parent_id + 1,
            start_timestamp=began + timedelta(seconds=span.start),
            end_timestamp=began + timedelta(seconds=span.end or 0.0),
            attributes={},
        )
        for span in trace.all_spans
    ]


def tree_of(trace: Trace) -> Any:
    from pydantic_evals.otel import SpanTree

    tree = SpanTree()
    tree.add_spans(nodes_of(trace))
    return tree


def building(traces: dict[tuple[str, int], Trace]) -> Table:
    installed = find_spec("pydantic_evals") is not None
    made = Table(
        "Building the tree of spans",
        ("shape", *(f"{size:,} spans, ms" for size in SIZES), "exponent", *(f"{THEIRS}, {size:,}" for size in SIZES)),
        note="The index over spans that are there, and pydantic-evals' `SpanTree` of spans that are there, in one go.",
    )
    ratios, slopes, apart = [], [], []
    for shape in SHAPES:
        ours, theirs = [], []
        for size in SIZES:
            spans = traces[shape, size].all_spans
            cases = {OURS: case(lambda spans=spans: Tree(spans))}  # type: ignore[misc]
            if installed:
                cases[THEIRS] = lambda trace=traces[shape, size]: _theirs_built(trace)  # type: ignore[misc]
            taken = interleave(_ROUNDS[size], cases)
            ours.append(statistics.median(seconds(taken[OURS])))
            if installed:
                theirs.append(statistics.median(seconds(taken[THEIRS])))
                ratios.append(Ratio.of(seconds(taken[OURS]), seconds(taken[THEIRS])))
        slopes.append(exponent(SIZES, ours))
        made.add(shape, *_ms(ours), f"{slopes[-1]:.2f}", *(_ms(theirs) or [""] * len(SIZES)))
        made.curves.setdefault("building the tree, ms, over the spans", {})[f"ours, {shape}"] = _points(SIZES, ours)
        if theirs:
            made.curves["building the tree, ms, over the spans"][f"{THEIRS}, {shape}"] = _points(SIZES, theirs)
    worst = max((ratio.median for ratio in ratios), default=0.0)
    apart = [ratio.apart for ratio in ratios]
    made.promise(
        "building the tree, 1k / 10k / 100k spans, bushy, flat and chain",
        f"{' / '.join(made.rows[0][1:4])} ms (bushy), exponent {max(slopes):.2f}",
        f"{THEIRS} in one go {' / '.join(made.rows[0][5:])} ms; at the worst ours takes {worst:.2f} of it"
        if ratios
        else f"{THEIRS} is not installed",
        f"not slower than its one go; exponent at most {MOST_EXPONENT}",
        met=worst <= 1 and max(slopes) <= MOST_EXPONENT,
        apart=statistics.median(apart) if apart else None,
    )
    return made


def _theirs_built(trace: Trace) -> Any:
    """Each round has nodes of its own, as the tree hangs them into one another."""
    from pydantic_evals.otel import SpanTree

    nodes, tree = nodes_of(trace), SpanTree()
    return case(lambda: tree.add_spans(nodes))()


def looking_up(traces: dict[tuple[str, int], Trace]) -> Table:
    """Questions that are answered by an index, asked again and again; each answer has about as many spans."""
    made = Table(
        "Queries",
        ("question", *(f"{size:,} spans, us" for size in SIZES), *(f"less its result, {size:,}" for size in SIZES)),
        note=f"Bushy trees, medians of rounds with {_MANY} questions. Its result: making a list of as many spans.",
    )
    questions: dict[str, Callable[[Trace], Any]] = {
        "by kind": lambda trace: trace.tools,
        "by name": lambda trace: trace.find(kind="tool", name="tool 1"),
        "an agent": lambda trace: trace.agents.of(agent="agent 2"),
        "a tool, by its agent": lambda trace: trace.tools.of(agent="agent 1"),
    }
    worst, rows = 0.0, {}
    for what, ask in questions.items():
        us, beyond = [], []
        for size in SIZES:
            trace = traces["bushy", size]
            found = ask(trace)
            taken = interleave(
                5,
                {
                    "ask": case(lambda ask=ask, trace=trace: [ask(trace) for _ in range(_MANY)]),  # type: ignore[misc]
                    "result": case(lambda found=found: [type(found)(found, "") for _ in range(_MANY)]),  # type: ignore[misc]
                },
            )
            us.append(statistics.median(seconds(taken["ask"])) / _MANY * 1e6)
            result = statistics.median(seconds(taken["result"])) / _MANY * 1e6
            beyond.append(max(0.0, us[-1] - result))
        worst = max(worst, *beyond)
        rows[what] = us
        made.add(what, *(f"{one:,.1f}" for one in us), *(f"{one:,.1f}" for one in beyond))
    apart = None
    beside = f"{THEIRS} is not installed"
    if find_spec("pydantic_evals") is not None:
        found_in = []
        for size in SIZES:
            tree = tree_of(traces["bushy", size])
            taken = interleave(3, {"find": case(lambda tree=tree: tree.find({"name_equals": "tool 1"}))})  # type: ignore[misc]
            found_in.append(statistics.median(seconds(taken["find"])) * 1e3)
        made.add(f"{THEIRS}: find(name_equals)", *(f"{one * 1e3:,.0f}" for one in found_in), "", "", "")
        beside = f"{THEIRS} find(name_equals) {' / '.join(f'{one:,.2f}' for one in found_in)} ms"
    trace = traces["bushy", SIZES[1]]
    again = interleave(6, {"ask": case(lambda: [questions["by name"](trace) for _ in range(_MANY)])})["ask"]
    apart = Ratio.of(seconds(again), [1.0] * len(again)).apart
    made.promise(
        "queries by kind, name, agent, tool, 1k / 10k / 100k spans",
        f"by name {' / '.join(f'{one:,.1f}' for one in rows['by name'])} us; beyond the result at most {worst:.1f} us",
        beside,
        f"under {MOST_LOOK_UP:.0f} us plus the result",
        met=worst < MOST_LOOK_UP,
        apart=apart,
    )
    return made


def inside(traces: dict[tuple[str, int], Trace], *, full: bool) -> Table:
    made = Table(
        "Ancestors and descendants",
        ("shape", *(f"{size:,} spans, ms" for size in SIZES), "exponent", "pydantic-evals", "its spans"),
        note="The calls of one tool inside the first span, and whether a span lies inside another; the trace was asked"
        " nothing before.",
    )
    at_10k, apart = [], []
    for shape in SHAPES:
        taken = []
        for size in SIZES:
            cpus = seconds(interleave(_ROUNDS[size] - 1, {"": _asked_first(traces[shape, size])})[""])
            taken.append(statistics.median(cpus))
            if size == SIZES[1]:
                apart.append(Ratio.of(cpus, [1.0] * len(cpus)).apart)
        at_10k.append(taken[1] * 1e3)
        theirs, spans = "", ""
        if find_spec("pydantic_evals") is not None:
            size = _PEER_CHAIN if shape == "chain" and not full else SIZES[1]
            beside = traces.get((shape, size)) or trace_of(shape, size)
            theirs, spans = f"{_theirs_inside(beside) * 1e3:,.0f} ms", f"{size:,}"
        made.add(shape, *_ms(taken), f"{exponent(SIZES, taken):.2f}", theirs, spans)
        made.curves.setdefault("an ancestor condition, ms, over the spans", {})[f"ours, {shape}"] = _points(
            SIZES, taken
        )
    made.promise(
        "ancestor and descendant conditions at 10k spans",
        f"{' / '.join(f'{one:.2f}' for one in at_10k)} ms ({', '.join(SHAPES)})",
        f"{THEIRS} " + ", ".join(f"{row[0]} {row[-2]} (at {row[-1]})" for row in made.rows)
        if made.rows[0][-2]
        else f"{THEIRS} is not installed",
        f"under {MOST_INSIDE:.0f} ms on any shape",
        met=max(at_10k) < MOST_INSIDE,
        apart=max(apart),
    )
    return made


def _asked_first(trace: Trace) -> Callable[[], Any]:
    """On a copy that nothing was asked before."""
    name = trace.tools[-1].name
    count = len(trace.all_spans[0].tools.named(name))

    def run() -> Any:
        copy = trace.model_copy()
        last = len(copy.all_spans) - 1

        def ask() -> None:
            assert len(copy.all_spans[0].tools.named(name)) == count
            assert copy.tree.is_inside(last, 0)

        return case(ask)()

    return run


def _theirs_inside(trace: Trace) -> float:
    tree = tree_of(trace)
    name = trace.tools[-1].name
    query: Any = {"name_equals": name, "some_ancestor_has": {"name_equals": trace.all_spans[0].name}}
    cpu = case(lambda: tree.find(query))()
    return cpu.seconds


def _ms(values: list[float]) -> list[str]:
    return [f"{one * 1e3:,.2f}" if one < 0.01 else f"{one * 1e3:,.0f}" for one in values]


def _points(sizes: tuple[int, ...], values: list[float]) -> list[tuple[float, float]]:
    return [(float(size), value * 1e3) for size, value in zip(sizes, values, strict=True)]

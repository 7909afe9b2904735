"""Expectations that hold, on 1,000, 10,000 and 100,000 spans in three shapes; and a peer on the same trees."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from typing import Any

from benchmarks.growth import BRANCHES, MOST_EXPONENT
from benchmarks.measure import Cpu, Table, exponent, verdict
from pytest_crewai_trace import ToolCall, Trace, expect
from pytest_crewai_trace.trace.span import AgentSpan, AnySpan, CrewSpan, LLMSpan, TaskSpan, ToolSpan

SIZES = (1_000, 10_000, 100_000)
SHAPES = ("bushy", "flat", "chain")
MOST_MS = 5.0
NAMES = 50
_INNER = ("crew", "task", "agent")
_CHAIN = ("crew", "task", "agent", "tool", "llm")
_LEAST_MS = 0.5  # what takes less says nothing about growth
_PEER_SIZES = {"bushy": 10_000, "flat": 10_000, "chain": 1_000}  # a chain of 10,000 takes it minutes


def parent_of(shape: str, number: int) -> int | None:
    if number == 0:
        return None
    return number - 1 if shape == "chain" else 0 if shape == "flat" else (number - 1) // BRANCHES


def kind_of(shape: str, number: int, size: int) -> str:
    if shape == "chain":
        return _CHAIN[number % len(_CHAIN)]
    leaf = number > 0 and (shape == "flat" or number * BRANCHES + 1 >= size)
    return ("llm", "tool")[number % 2] if leaf else _INNER[number % 3]


def span_of(shape: str, number: int, size: int) -> AnySpan:
    kind = kind_of(shape, number, size)
    leaf = kind in ("llm", "tool") and shape != "chain"
    common: dict[str, Any] = {
        "id": number,
        "parent_id": parent_of(shape, number),
        "name": "gpt-4o-mini" if kind == "llm" else f"{kind} {number % NAMES}",
        "status": "ok",
        "start": float(number),
        "end": number + 0.5 if leaf else 2.0 * size - number,
        "agent_role": f"agent {number % NAMES}",
        "task_name": f"task {number % NAMES}",
    }
    if kind == "llm":
        return LLMSpan(
            **common,
            model="openai/gpt-4o-mini",
            messages=[{"role": "user", "content": f"prompt {number} with result {number - 1} and output {number}"}],
            response=f"answer {number}",
            reported_usage={"prompt_tokens": number % 700 + 1, "completion_tokens": 5},
        )
    if kind == "tool":
        return ToolSpan(**common, arguments={"query": number}, result=f"result {number}")
    if kind == "agent":
        return AgentSpan(**common, available_tools=("tool 1",), output=f"output {number}")
    return TaskSpan(**common, output=f"output {number}") if kind == "task" else CrewSpan(**common, output="done")


def trace_of(shape: str, size: int) -> Trace:
    return Trace(all_spans=tuple(span_of(shape, number, size) for number in range(size)))


def expectations(known: Trace, trace: Trace) -> dict[str, Callable[[], object]]:
    """Each with the arguments that make it look at the most; they are looked up in an equal trace that is ``known``."""
    size = len(known.all_spans)
    first, last = known.tools[0], known.tools[-1]
    calls = len(known.tools.named(last.name))
    root = trace.all_spans[0]
    found = {
        "to_call_tool": lambda: expect(trace).to_call_tool(last.name, {"query": last.arguments["query"]}),
        "to_call_tool, times": lambda: expect(trace).to_call_tool(last.name, times=calls),
        "to_call_tool, inside a span": lambda: expect(root).to_call_tool(last.name, times=calls),
        "not_to_call_tool": lambda: expect(trace).not_to_call_tool(last.name, {"query": -1}),
        "to_call_tools": lambda: expect(trace).to_call_tools(
            [first.name, ToolCall(last.name, last.arguments)], "in_order"
        ),
        "to_follow": lambda: expect(trace).to_follow(first.name, ..., last.name),
        "to_call_llm": lambda: expect(trace).to_call_llm("gpt-4o-mini", at_least=2),
        "not_to_say": lambda: expect(trace).not_to_say("secret"),
        "not_to_see": lambda: expect(trace).not_to_see("secret"),
        "to_succeed": lambda: expect(trace).to_succeed(),
        "to_have_no_errors": lambda: expect(trace).to_have_no_errors(),
        "to_stay_within, calls and tokens": lambda: expect(trace).to_stay_within(llm_calls=size, total_tokens=10**9),
        "to_stay_within, seconds": lambda: expect(trace).to_stay_within(seconds=10**9),
        "to_have_no_loops": lambda: expect(trace).to_have_no_loops(),
        "to_output": lambda: expect(trace).to_output("done"),
    }
    if known.agents:
        found["to_finish_before_max_iter"] = lambda: expect(trace).to_finish_before_max_iter()
    if known.all_spans[-1].parent_id != size - 2:  # in a chain no call of a model stands beside a tool
        found["to_use_tool_result"] = lambda: expect(trace).to_use_tool_result(first.name)
    return found


def table(*, rounds: int) -> Table:
    made = Table(
        "Expectations that hold",
        ("expectation", *(f"{shape}, ms" for shape in SHAPES), "exponent", "target", "met"),
        note=f"On {SIZES[1]:,} spans, each the first question to its trace, medians of {3 * rounds} rounds; the"
        f" exponent is the worst of the shapes over {', '.join(f'{size:,}' for size in SIZES)} spans, where the largest"
        f" takes more than {_LEAST_MS} ms.",
    )
    times: dict[str, dict[str, list[float]]] = {}
    for shape in SHAPES:
        for size in SIZES:
            for name, seconds in first_asked(trace_of(shape, size), rounds if size == SIZES[-1] else 3 * rounds):
                times.setdefault(name, {}).setdefault(shape, []).append(seconds * 1e3)
    for name, by_shape in times.items():
        slopes = [exponent(SIZES, values) for values in by_shape.values() if values[-1] > _LEAST_MS]
        worst = max(values[1] for values in by_shape.values())
        slope = max(slopes, default=0.0)
        made.add(
            name,
            *(f"{by_shape[shape][1]:.2f}" if shape in by_shape else "" for shape in SHAPES),
            f"{slope:.2f}" if slopes else "",
            f"under {MOST_MS:.0f} ms, exponent at most {MOST_EXPONENT}",
            verdict(max(worst / MOST_MS, slope / MOST_EXPONENT), 1.0),
        )
    return made


def first_asked(trace: Trace, rounds: int) -> Iterator[tuple[str, float]]:
    """Each expectation on a copy of the trace that nothing was asked before."""
    for name in expectations(trace, trace):
        taken = []
        for _ in range(rounds):
            case = expectations(trace, trace.model_copy())[name]
            with Cpu() as cpu:
                case()
            taken.append(cpu.seconds)
        yield name, statistics.median(taken)


def timed(cases: dict[str, Callable[[], object]], rounds: int) -> Iterator[tuple[str, float]]:
    for name, case in cases.items():
        taken = []
        for _ in range(rounds):
            with Cpu() as cpu:
                case()
            taken.append(cpu.seconds)
        yield name, statistics.median(taken)


def peer(*, rounds: int) -> Table | None:
    """The same questions to the span tree of pydantic-evals, if it is installed."""
    if find_spec("pydantic_evals") is None:
        return None
    from pydantic_evals.otel import SpanTree
    from pydantic_evals.otel.span_tree import SpanNode

    made = Table(
        "The same questions, beside pydantic-evals",
        ("shape", "spans", "question", "pytest-crewai-trace, ms", "pydantic-evals, ms", "times as long"),
        note="How often a tool was called, in the whole trace and inside its first span.",
    )
    began = datetime(2026, 1, 1, tzinfo=timezone.utc)
    for shape, size in _PEER_SIZES.items():
        trace = trace_of(shape, size)
        nodes = [
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
        tree = SpanTree()
        tree.add_spans(nodes)
        root, name = trace.all_spans[0], trace.tools[-1].name
        calls = len(trace.tools.named(name))
        inside: Any = {"name_equals": name, "some_ancestor_has": {"name_equals": root.name}}
        ours = dict(timed({key: expectations(trace, trace)[key] for key in _ASKED}, 3 * rounds))
        theirs = dict(
            timed(
                {
                    _ASKED[0]: lambda tree=tree, name=name, calls=calls: _same(tree.find({"name_equals": name}), calls),
                    _ASKED[1]: lambda tree=tree, inside=inside, calls=calls: _same(tree.find(inside), calls),
                },
                rounds,
            )
        )
        for key, question in zip(_ASKED, ("by name", "by name, inside a span"), strict=True):
            factor = theirs[key] / ours[key]
            made.add(
                shape, f"{size:,}", question, f"{ours[key] * 1e3:.2f}", f"{theirs[key] * 1e3:,.1f}", f"{factor:,.0f}"
            )
    return made


_ASKED = ("to_call_tool, times", "to_call_tool, inside a span")


def _same(found: list[Any], count: int) -> None:
    if len(found) != count:
        raise AssertionError(f"{len(found)} spans, not {count}")

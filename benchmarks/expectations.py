"""Expectations that hold, on 1,000, 10,000 and 100,000 spans in three shapes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
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

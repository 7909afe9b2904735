"""Snapshots of 1,000 to 100,000 spans, beside syrupy's amber and JSON of the same spans as plain dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from syrupy.extensions.amber import AmberSnapshotExtension
from syrupy.extensions.json import JSONSnapshotExtension

from benchmarks.measure import Cpu, Table, exponent, interleave, verdict
from pytest_crewai_trace.snapshot.extension import Compared, Rendered, TraceSnapshotExtension
from pytest_crewai_trace.snapshot.messages import explain
from pytest_crewai_trace.trace.trace import Trace
from tests.support.spans import span, trace

AMBER, JSON = "syrupy's amber", "syrupy's JSON"
OURS = "pytest-crewai-trace"
MOST_OF = {AMBER: 1 / 10, JSON: 1 / 5}
MOST_EXPONENT = 1.1
_CALLS = 10  # tool calls of each task, each after an LLM call


def crew(size: int, *, changed: int = 0) -> Trace:
    """A crew of about so many spans; ``changed`` arguments are others."""
    tasks = []
    for number in range(size // (2 * _CALLS + 2)):
        inside = []
        for place in range(_CALLS):
            topic = f"topic {number} {place}" if number % 50 or number // 50 >= changed else "another topic"
            result = f"three articles about {topic}, found in the index of the company"
            inside += [
                span("llm", "gpt-4o"),
                span("tool", "search", arguments={"query": topic, "limit": 10}, result=result),
            ]
        agent = span("agent", f"Researcher {number % 7}", *inside, output="found")
        tasks.append(span("task", f"task {number}", agent, output=f"The answer to {number}."))
    return trace(span("crew", "research", *tasks))


def as_dict(one: Any) -> dict[str, Any]:
    return {**one.model_dump(mode="json"), "children": [as_dict(child) for child in one.children]}


class Result:
    """What syrupy says of a failed comparison."""

    exception = None
    snapshot_name = snapshot_location = "test"

    def __init__(self, asserted: Rendered, recalled: str) -> None:
        self.asserted_data, self.recalled_data = asserted, recalled


class Item:
    nodeid = "test"


def serialized(size: int) -> dict[str, Callable[[], Any]]:
    made = crew(size)
    plain = [as_dict(root) for root in made.roots]
    return {
        AMBER: lambda: AmberSnapshotExtension().serialize(plain),
        JSON: lambda: JSONSnapshotExtension().serialize(plain),
        OURS: lambda: Rendered.of(Compared(made)),
    }


def shown(extension: Any, plain: Any, kept: Any) -> list[str]:
    return list(extension.diff_lines(extension.serialize(plain), kept))


def explained(made: Trace, kept: str) -> list[str]:
    rendered = Rendered.of(Compared(made))
    if TraceSnapshotExtension().matches(serialized_data=rendered, snapshot_data=kept):
        raise AssertionError("they should differ")
    return explain(Result(rendered, kept), Item())  # type: ignore[arg-type]


def failed(size: int) -> dict[str, Callable[[], Any]]:
    """Comparing with what was stored, of which the calls of three tasks were others, and saying so."""
    made, stored = crew(size), crew(size, changed=3)
    plain, stored_plain = ([as_dict(root) for root in one.roots] for one in (made, stored))
    text = str(Rendered.of(Compared(stored)))
    cases: dict[str, Callable[[], Any]] = {}
    for name, extension in {AMBER: AmberSnapshotExtension(), JSON: JSONSnapshotExtension()}.items():
        kept = extension.serialize(stored_plain)
        cases[name] = partial(shown, extension, plain, kept)
    cases[OURS] = lambda: explained(made, text)
    return cases


def tables(*, full: bool) -> Iterator[Table]:
    sizes = (1_000, 10_000, 100_000) if full else (1_000, 10_000)
    yield table("Serialising a snapshot", serialized, sizes)
    yield table("A comparison that fails", failed, sizes)


def table(title: str, cases_of: Callable[[int], dict[str, Callable[[], Any]]], sizes: tuple[int, ...]) -> Table:
    made = Table(
        title,
        ("", *(f"{size:,} spans, ms" for size in sizes), "exponent", "ours to it at 10,000", "target", "met"),
        note="Level calls, redacted and normalised; beside it syrupy's serialisers of `model_dump()` of the spans."
        " The least of several rounds.",
    )
    taken: dict[str, list[float]] = {}
    for size in sizes:
        rounds = {1_000: 9, 10_000: 5, 100_000: 1}[size]
        for name, cpus in interleave(rounds, {n: timed(case) for n, case in cases_of(size).items()}).items():
            taken.setdefault(name, []).append(min(cpu.seconds for cpu in cpus))
    at = sizes.index(10_000)
    for name, seconds in taken.items():
        slope = exponent(sizes, seconds)
        shown = (*(f"{one * 1e3:,.0f}" for one in seconds), f"{slope:.2f}")
        if name == OURS:
            made.add(name, *shown, "", f"exponent at most {MOST_EXPONENT}", verdict(slope, MOST_EXPONENT))
        else:
            ratio = taken[OURS][at] / seconds[at]
            made.add(name, *shown, f"{ratio:.3f}", f"at most {MOST_OF[name]}", verdict(ratio, MOST_OF[name]))
    return made


def timed(case: Callable[[], Any]) -> Callable[[], Cpu]:
    def run() -> Cpu:
        with Cpu() as cpu:
            case()
        return cpu

    return run

"""Snapshots of 1,000 to 100,000 spans, beside syrupy's amber and JSON of the same spans as plain dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from syrupy.extensions.amber import AmberSnapshotExtension
from syrupy.extensions.json import JSONSnapshotExtension

from benchmarks.measure import Cpu, Ratio, Table, exponent, interleave, seconds
from pytest_crewai_trace.snapshot.extension import Compared, Rendered, TraceSnapshotExtension
from pytest_crewai_trace.snapshot.messages import explain
from pytest_crewai_trace.trace.trace import Trace
from tests.support.spans import span, trace

AMBER, JSON = "syrupy's amber", "syrupy's JSON"
OURS = "pytest-crewai-trace"
MOST_OF = {AMBER: 14, JSON: 9}
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
    cases: dict[str, Callable[[], Any]] = {
        name: partial(compared, extension, plain, extension.serialize(plain))
        for name, extension in {AMBER: AmberSnapshotExtension(), JSON: JSONSnapshotExtension()}.items()
    }
    cases[OURS] = partial(compared, TraceSnapshotExtension(), Compared(made), str(Rendered.of(Compared(made))))
    return cases


def compared(extension: Any, data: Any, kept: str) -> None:
    """Serialise, and compare with what is kept."""
    if not extension.matches(serialized_data=extension.serialize(data), snapshot_data=kept):
        raise AssertionError("they should be equal")


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
    yield table("Writing and comparing", serialized, sizes)
    yield table("Comparing, where it fails", failed, sizes)


def table(title: str, cases_of: Callable[[int], dict[str, Callable[[], Any]]], sizes: tuple[int, ...]) -> Table:
    made = Table(
        title,
        ("", *(f"{size:,} spans, ms" for size in sizes), "exponent", "of ours at 10,000"),
        note="Level calls, redacted and normalised; beside it syrupy's serialisers of `model_dump()` of the spans."
        " The least of several rounds.",
    )
    taken: dict[str, list[float]] = {}
    at_10k: dict[str, list[Cpu]] = {}
    for size in sizes:
        rounds = {1_000: 20, 10_000: 10, 100_000: 1}[size]
        measured = interleave(rounds, {n: timed(case) for n, case in cases_of(size).items()})
        at_10k = measured if size == 10_000 else at_10k
        for name, cpus in measured.items():
            taken.setdefault(name, []).append(min(cpu.seconds for cpu in cpus))
    at = sizes.index(10_000)
    slopes = {name: exponent(sizes, of) for name, of in taken.items()}
    times = {name: of[at] / taken[OURS][at] for name, of in taken.items()}
    for name, of in taken.items():
        made.add(name, *(f"{one * 1e3:,.0f}" for one in of), f"{slopes[name]:.2f}", f"{times[name]:.1f}")
    made.promise(
        f"snapshot: {title[0].lower()}{title[1:]}, {' / '.join(f'{size // 1000}k' for size in sizes)} spans",
        f"{' / '.join(f'{one * 1e3:,.0f}' for one in taken[OURS])} ms, exponent {slopes[OURS]:.2f}",
        "; ".join(
            f"{name} {' / '.join(f'{one * 1e3:,.0f}' for one in taken[name])} ms, {times[name]:.1f} times ours"
            for name in MOST_OF
        ),
        f"{', '.join(f'1/{n} of {name}' for name, n in MOST_OF.items())} at 10k; exponent at most {MOST_EXPONENT}",
        met=all(times[name] >= least for name, least in MOST_OF.items()) and slopes[OURS] <= MOST_EXPONENT,
        apart=max(Ratio.of(seconds(at_10k[OURS]), seconds(at_10k[name])).apart for name in MOST_OF),
    )
    made.curves[f"{title[0].lower()}{title[1:]}, ms, over the spans"] = {
        name: [(float(size), one * 1e3) for size, one in zip(sizes, of, strict=True)]
        for name, of in sorted(taken.items(), key=lambda item: item[0] != OURS)
    }
    return made


def timed(case: Callable[[], Any]) -> Callable[[], Cpu]:
    def run() -> Cpu:
        with Cpu() as cpu:
            case()
        return cpu

    return run

"""What keeping the trace of a test with 100 spans takes, beside writing the same data as JSON and reading it back.

And the bare trace file, of 100 and 10,000 spans: to JSON and back, beside ``json`` and ``orjson`` of plain dicts.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from benchmarks.measure import Cpu, Ratio, Spread, Table, case, interleave, seconds, verdict
from pytest_crewai_trace.store.attempt import Attempt
from pytest_crewai_trace.store.clean import Cleaning
from pytest_crewai_trace.store.reader import read
from pytest_crewai_trace.store.writer import Store
from pytest_crewai_trace.trace.document import as_json, to_document
from pytest_crewai_trace.trace.messages import Messages
from pytest_crewai_trace.trace.trace import Trace
from tests.support.spans import span, trace

OURS, JSON, ORJSON = "pytest-crewai-trace", "json", "orjson"
MOST_OF_ORJSON = 3.0
TARGET = 3.0  # milliseconds that a test of 100 spans may take longer
CALLS = 48
RUN = "20260101T000000Z-00000a"


def made(number: int, calls: int = CALLS) -> Trace:
    """A crew of one agent with so many tool calls, each with a result of its own that the next conversation repeats."""
    messages, inside = Messages([{"role": "system", "content": "You are a careful researcher. " * 10}]), []
    for call in range(calls):
        result = f"Result {number} {call}: " + "documents about crews and flows, " * 6
        usage = {"prompt_tokens": 100, "completion_tokens": 20}
        asked = f"Search for topic {number} {call}."
        of: dict[str, Any] = {"agent_role": "Researcher", "task_name": "research"}
        inside.append(
            span(
                "llm", "gpt", model="openai/gpt-4o-mini", messages=messages, response=asked, reported_usage=usage, **of
            )
        )
        inside.append(span("tool", "search", arguments={"query": f"topic {number} {call}"}, result=result, **of))
        said = [{"role": "assistant", "content": asked}, {"role": "tool", "content": result}]
        messages = Messages(said, messages, len(messages))
    return trace(span("crew", "crew", span("task", "research", span("agent", "Researcher", *inside))))


def files(*, rounds: int) -> Table:
    """What a trace file takes beside the same plain dicts in JSON; without the look for secrets, which has its row."""
    found = Table(
        "A trace file, written and read",
        ("", "spans", "ms", "of orjson"),
        "To JSON in a file, and from it to the typed trace; json and orjson write and read plain dicts.",
    )
    shown, beside, worst, apart = [], [], 0.0, 0.0
    with tempfile.TemporaryDirectory() as place:
        for size, many in ((100, rounds), (10_000, max(2, rounds // 4))):
            trace = made(0, size // 2 - 2)
            document = to_document(trace)
            path, plain = Path(place, "ours.json"), Path(place, "plain.json")
            ways: dict[str, dict[str, Callable[[], object]]] = {
                "write": {
                    OURS: lambda trace=trace, path=path: path.write_bytes(as_json(to_document(trace))),  # type: ignore[misc]
                    JSON: lambda document=document, plain=plain: plain.write_text(json.dumps(document), "utf-8"),  # type: ignore[misc]
                    ORJSON: lambda document=document, plain=plain: plain.write_bytes(orjson.dumps(document)),  # type: ignore[misc]
                },
                "read": {
                    OURS: lambda path=path: Trace.from_json(path.read_bytes()),  # type: ignore[misc]
                    JSON: lambda plain=plain: json.loads(plain.read_bytes()),  # type: ignore[misc]
                    ORJSON: lambda plain=plain: orjson.loads(plain.read_bytes()),  # type: ignore[misc]
                },
            }
            for what, cases in ways.items():
                taken = interleave(many, {name: case(function) for name, function in cases.items()})
                ratio = Ratio.of(seconds(taken[OURS]), seconds(taken[ORJSON]))
                worst, apart = max(worst, ratio.median), max(apart, ratio.apart)
                for name, cpus in taken.items():
                    times = Ratio.of(seconds(cpus), seconds(taken[ORJSON])).median
                    found.add(f"{what}: {name}", size, Spread.of(seconds(cpus)).show(1e3, 2), f"{times:.1f}")
                shown.append(f"{what} {size} {ratio.median:.1f} x orjson")
                of = statistics.median(seconds(taken[JSON])) / statistics.median(seconds(taken[ORJSON]))
                beside.append(f"json {of:.1f} x orjson")
    found.promise(
        "trace file: write, read, 100 / 10k spans",
        "; ".join(shown),
        "; ".join(beside),
        f"at most {MOST_OF_ORJSON:.0f} x orjson",
        met=worst <= MOST_OF_ORJSON,
        apart=apart,
    )
    return found


def table(rounds: int) -> Table:
    """Milliseconds of CPU of one trace; each round has one that is new."""
    traces = [made(number) for number in range(rounds + 1)]
    numbers: dict[str, int] = {}

    def numbered(name: str, work: Callable[[Trace, int], object]) -> Callable[[], Cpu]:
        def run() -> Cpu:
            number = numbers[name] = numbers.get(name, -1) + 1
            with Cpu() as cpu:
                work(traces[number], number)
            return cpu

        return run

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        store = Store(folder / "traces", RUN, Cleaning(), most_bytes=10**9, root=folder)

        def keep(what: Trace, number: int) -> object:
            kept = store.keep(Attempt(test_id=f"test_a.py::test_{number}", outcome="passed", run=RUN), what)
            assert kept.path is not None
            return kept

        def bare(what: Trace, number: int) -> object:
            return (folder / f"{number}.json").write_text(json.dumps(to_document(what)), encoding="utf-8")

        def pydantic(what: Trace, number: int) -> object:
            return (folder / f"{number}.pydantic.json").write_text(what.model_dump_json(), encoding="utf-8")

        def again(what: Trace, number: int) -> object:
            path = next((folder / "traces" / RUN).glob(f"*test_{number}-*"))
            return read(path).trace()

        def loaded(what: Trace, number: int) -> object:
            return json.loads((folder / f"{number}.json").read_text(encoding="utf-8"))

        cases = {
            "keep: clean, write, rename": numbered("keep", keep),
            "json.dumps of the same, as it is": numbered("bare", bare),
            "model_dump_json, as it is": numbered("pydantic", pydantic),
        }
        taken = interleave(rounds, cases)
        taken |= interleave(
            rounds, {"read": numbered("again", again), "json.loads of the same": numbered("loaded", loaded)}
        )
    found = Table(
        f"Keeping a trace of {len(traces[0].all_spans)} spans",
        ("", "ms", "of json.dumps", f"under {TARGET:g} ms"),
        "Milliseconds of CPU of one trace; all texts of a round are new. Cleaning looks for secrets in every text.",
    )
    reference = Spread.of([cpu.seconds for cpu in taken["json.dumps of the same, as it is"]]).median
    for name, cpus in taken.items():
        spread = Spread.of([cpu.seconds for cpu in cpus])
        within = verdict(spread.median * 1e3, TARGET) if name.startswith("keep") else ""
        found.add(name, spread.show(1e3, 2), f"{spread.median / reference:.1f}", within)
    return found

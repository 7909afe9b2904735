"""What keeping the trace of a test with 100 spans takes, beside writing the same data as JSON and reading it back."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import Cpu, Spread, Table, interleave, verdict
from pytest_crewai_trace.store.attempt import Attempt
from pytest_crewai_trace.store.clean import Cleaning
from pytest_crewai_trace.store.reader import read
from pytest_crewai_trace.store.writer import Store
from pytest_crewai_trace.trace.document import to_document
from pytest_crewai_trace.trace.messages import Messages
from pytest_crewai_trace.trace.trace import Trace
from tests.support.spans import span, trace

TARGET = 3.0  # milliseconds that a test of 100 spans may take longer
CALLS = 48
RUN = "20260101T000000Z-00000a"


def made(number: int) -> Trace:
    """A crew of one agent with 48 tool calls, each with a result of its own that the next conversation repeats."""
    messages, inside = Messages([{"role": "system", "content": "You are a careful researcher. " * 10}]), []
    for call in range(CALLS):
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


def table(rounds: int) -> Table:
    """Milliseconds of CPU of one trace; each round has one that is new."""
    traces = [made(number) for number in range(rounds + 1)]
    numbers: dict[str, int] = {}

    def case(name: str, work: Callable[[Trace, int], object]) -> Callable[[], Cpu]:
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
            "keep: clean, write, rename": case("keep", keep),
            "json.dumps of the same, as it is": case("bare", bare),
            "model_dump_json, as it is": case("pydantic", pydantic),
        }
        taken = interleave(rounds, cases)
        taken |= interleave(rounds, {"read": case("again", again), "json.loads of the same": case("loaded", loaded)})
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

"""Runs crewAI in one process: traced by crewAI itself, then by us, then in a pytest that publishes; writes what we made
of it to a file.

``python -c "from tests.support.native import main; main()" FILE SCENE...``, with AMP's stand-in in its environment.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_crewai_trace.capture.bus import Recording
from pytest_crewai_trace.capture.guard import Guard
from pytest_crewai_trace.publish.native import NativeTracing


def scenes() -> dict[str, Any]:
    """The runs, each of which can be run again and then does the same."""
    from crewai import Crew
    from crewai.flow.flow import Flow, listen, start

    from tests.support.crews import agent, flaky_tool, one_agent_crew, search, task
    from tests.support.llm import Chunks, ScriptedLLM, final, react

    tracing: dict[str, Any] = {"tracing": True}

    def crew() -> Any:
        fetch = flaky_tool(ValueError("no such page"))
        model = ScriptedLLM(
            by_agent={
                "Researcher": [
                    react("search", query="AI"),
                    react("fetch", url="u"),
                    react("fetch", url="v"),
                    final("facts"),
                ],
                "Writer": [Chunks(("Thought: done\n", "Final Answer: text"))],
            }
        )
        agents = [agent("Researcher", model, tools=[search, fetch]), agent("Writer", model)]
        tasks = [task("Research {topic}", agents[0], name="research"), task("Write", agents[1])]
        return Crew(agents=agents, tasks=tasks, name="press", **tracing).kickoff(inputs={"topic": "AI"})

    class Press(Flow):  # type: ignore[type-arg]
        @start()
        def research(self) -> str:
            return one_agent_crew(ScriptedLLM(final("facts")), name="inner").kickoff(inputs={"topic": "AI"}).raw

        @listen(research)
        def write(self, facts: str) -> str:
            return f"text of {facts}"

    def raising() -> None:
        with contextlib.suppress(ValueError):
            one_agent_crew(ScriptedLLM(ValueError("broken model"), repeat_last=True), crew=tracing).kickoff()

    def lone() -> Any:
        return agent("Researcher", ScriptedLLM(final("facts"))).kickoff("hello")

    return {"crew": crew, "flow": lambda: Press(**tracing).kickoff(), "agent": lone, "raising": raising}


def traced_by_us(run: Any) -> dict[str, Any]:
    recording = Recording(print)
    recording.start()
    recorder = recording.begin()
    native = NativeTracing("00000000-0000-4000-8000-000000000001")
    recorder.also = native.take
    run()
    recording.settle(recorder, 5)
    recording.end(recorder)
    recording.stop()
    made = native.finish(20)
    spans = None if made.spans is None else base64.b64encode(made.spans).decode()
    return {"spans": spans, "events": made.events, "gone": made.gone, "problem": made.problem}


TEST = """
import pytest
from tests.support.native import scenes

@pytest.mark.parametrize("scene", {wanted})
def test_scene(scene):
    scenes()[scene]()
"""


def published_by_us(wanted: list[str]) -> int:
    """The exit code of a run that publishes all of it, in the folder that this is in."""
    file = Path("test_scenes.py")
    file.write_text(TEST.format(wanted=wanted), encoding="utf-8")
    return int(pytest.main(["--crewai-trace-publish=all", "-p", "no:cacheprovider", str(file)]))


def main() -> None:
    from crewai.events.event_bus import crewai_event_bus

    found = scenes()
    report, *wanted = sys.argv[1:]
    for name in wanted:
        found[name]()
        crewai_event_bus.flush(timeout=30)
    os.environ["CREWAI_TRACING_ENABLED"] = "false"
    guard = Guard(lambda message: None)
    guard.start()
    ours = {name: traced_by_us(found[name]) for name in wanted}
    guard.stop()
    assert published_by_us(wanted) == 0
    Path(report).write_text(json.dumps(ours), encoding="utf-8")

"""Runs made by hand and stored, and what is in a viewer of them."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

from pytest_crewai_trace.report.html import Written, write
from pytest_crewai_trace.store.attempt import Attempt
from pytest_crewai_trace.store.clean import Cleaning
from pytest_crewai_trace.store.reader import find
from pytest_crewai_trace.store.writer import Store
from pytest_crewai_trace.trace.trace import Trace
from pytest_crewai_trace.trace.usage import prices
from tests.support.spans import span, together, trace

RUN = "20260102T030405Z-abcdef"
BEFORE = "20260101T030405Z-abcdef"
_DATA = re.compile(r'<script type="application/json" id="([\w-]+)">(.*?)</script>')
# Opens each folded part, and waits until what is in it was made.
OPEN_ALL = """async () => {
  for (const one of document.querySelectorAll("details:not([open]) > summary")) one.click();
  const empty = () => [...document.querySelectorAll("details[open]")].some((one) => one.childElementCount < 2);
  while (empty()) await new Promise((done) => setTimeout(done));
}"""
USED = {"prompt_tokens": 1_000, "completion_tokens": 200}


class Folder:
    """A folder of traces, filled by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stores: dict[str, Store] = {}

    def keep(self, test_id: str, outcome: Any, kept: Trace, *, run: str = RUN, **facts: Any) -> Path:
        store = self._stores.setdefault(
            run, Store(self.path, run, Cleaning(), most_bytes=10**9, root=self.path.parent, is_default=False)
        )
        facts = {"durations": {"call": 1.5}, "spans": len(kept.all_spans), "prices": prices(kept), **facts}
        done = store.keep(Attempt(test_id=test_id, outcome=outcome, run=run, **facts), kept)
        assert done.path is not None, done.problem
        return done.path

    def view(self, path: Path | None = None, **options: Any) -> Path:
        path = path or self.path.parent / "traces.html"
        self.written: Written = write(path, find([self.path]), **options)
        return path


def content(viewer: Path) -> dict[str, Any]:
    """The data of a viewer: ``run``, and ``trace-0`` and so on."""
    found = _DATA.findall(viewer.read_text("utf-8"))
    return {name: json.loads(gzip.decompress(base64.b64decode(json.loads(text)))) for name, text in found}


def call(response: Any = "done", **fields: Any) -> Any:
    fields = {"model": "openai/gpt-4o-mini", "reported_usage": USED, **fields}
    return span("llm", "gpt-4o-mini", response=response, **fields)


def fill(folder: Folder) -> None:
    """A mixed run: a crew, a flow with parallel branches, a failed assertion, an error, a large one."""
    talk = [
        {"role": "system", "content": "You are Researcher."},
        {"role": "user", "content": "Research AI."},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "search", "arguments": '{"query": "AI"}'}}]},
        {"role": "tool", "content": "three articles", "tool_call_id": "1"},
    ]  # fmt: skip
    crew = span(
        "crew", "crew",
        span("task", "research", span("agent", "Researcher",
            call(None, messages=talk[:2], requested_tool_calls=[{"name": "search", "arguments": {"query": "AI"}}]),
            span("tool", "search", arguments={"query": "AI"}, result="three articles"),
            call("Three articles were found.", messages=talk))),
        span("task", "write", span("agent", "Writer", call("An article."))),
        inputs={"topic": "AI"}, output="An article.",
    )  # fmt: skip
    folder.keep("tests/test_crew.py::test_research", "passed", trace(crew))
    slow = span("tool", "fetch", arguments={"url": "https://example.org/long"}, error="too slow")
    failing = span("crew", "crew", span("task", "research", span("agent", "Researcher", call("no"), slow, call("yes"))))
    folder.keep(
        "tests/test_crew.py::test_failing", "failed", trace(failing),
        message="AssertionError: expected: no errors\nactual: 1 span failed",
    )  # fmt: skip
    raising = span("crew", "crew", span("task", "research", error="model down"), error="model down")
    folder.keep("tests/test_crew.py::test_raising", "error", trace(raising), message="ConnectionError: model down")
    branch = [span("method", name, call(f"{name} done")) for name in ("left", "right")]
    flow = span("flow", "Review", span("method", "begin"), together(*branch), span("method", "waits", open=True))
    folder.keep("tests/test_flow.py::test_parallel", "passed", trace(flow), attempt=2, worker="gw1")
    many = [call("yes") if number % 2 else span("tool", f"tool {number}") for number in range(1_997)]
    large = span("crew", "crew", span("task", "count", span("agent", "Counter", *many)))
    folder.keep("tests/test_large.py::test_large", "passed", trace(large))

"""Trace files made by hand."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pytest_crewai_trace.report.terminal import count
from pytest_crewai_trace.store.attempt import Attempt
from pytest_crewai_trace.store.clean import Cleaning
from pytest_crewai_trace.store.writer import Kept, Store
from pytest_crewai_trace.trace.trace import Trace, TraceOrigin
from pytest_crewai_trace.trace.usage import Usage
from tests.support.spans import span, trace

RUN = "20260101T000000Z-00000a"
LATER = "20260102T000000Z-00000b"
BEGAN = datetime(2026, 1, 1, tzinfo=timezone.utc)


def crew_trace(*tools: Any, answer: str = "An article.", **fields: Any) -> Trace:
    """A crew of one agent, which calls a model and tools."""
    call = span(
        "llm",
        "gpt-4o-mini",
        model="openai/gpt-4o-mini",
        response=answer,
        messages=[{"role": "user", "content": "Write."}],
        reported_usage={"prompt_tokens": 100, "completion_tokens": 50},
        agent_role="Writer",
        task_name="write",
    )
    agent = span("agent", "Writer", call, *tools, agent_role="Writer", task_name="write")
    origin = TraceOrigin(test_id="t", started_at=BEGAN)
    return trace(span("crew", "crew", span("task", "write", agent)), origin=origin, **fields)


def store(folder: Path, run: str = RUN, **options: Any) -> Store:
    return Store(folder, run, Cleaning(), **{"most_bytes": 10**9, "root": folder.parent, **options})


def keep(folder: Path, test: str, what: Trace | None = None, *, run: str = RUN, **facts: Any) -> Kept:
    """Write one file."""
    what = crew_trace() if what is None else what
    counts = count(what, test, "1")
    told = {"outcome": "passed", "run": run, "started_at": BEGAN, "durations": {"call": 1.5}, **facts}
    attempt = Attempt(
        test_id=test,
        spans=len(what.all_spans),
        usage=Usage(**counts["usage"]),
        costs=counts["costs"],
        **told,
    )
    return store(folder, run).keep(attempt, what)

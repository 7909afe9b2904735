"""Traces in the format of Chrome's tracing and of Perfetto: a process for each test, a lane for what ran at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.trace.render import label

if TYPE_CHECKING:
    from pytest_crewai_trace.store.attempt import Attempt
    from pytest_crewai_trace.trace.trace import Trace


def trace_events(number: int, attempt: Attempt, trace: Trace) -> Iterator[dict[str, Any]]:
    """The events of one test; times are microseconds since its trace began."""
    yield {"ph": "M", "pid": number, "tid": 0, "name": "process_name", "args": {"name": attempt.test_id}}
    ends = [max(span.start, span.start if span.end is None else span.end) for span in trace.all_spans]
    for span, lane in zip(trace.all_spans, lanes(trace, ends), strict=True):
        said: dict[str, Any] = {"what": label(span), "status": span.status}
        if span.kind == "llm":
            said |= {"input_tokens": span.call_usage.input_tokens, "output_tokens": span.call_usage.output_tokens}
        yield {
            "ph": "X",
            "pid": number,
            "tid": lane,
            "name": f"{span.kind} {span.name}",
            "cat": span.kind,
            "ts": _microseconds(span.start),
            "dur": _microseconds(ends[span.id] - span.start),
            "args": said,
        }


def _microseconds(seconds: float) -> float:
    return round(min(max(seconds, 0.0), 1e9) * 1e6, 3)


def lanes(trace: Trace, ends: list[float]) -> list[int]:
    """A lane for each span, in which it lies inside what is open there or after it: its parent's, if that will do."""
    open_in: list[list[float]] = []
    found: list[int] = []
    for span in trace.all_spans:
        parents = [] if span.parent_id is None else [found[span.parent_id]]
        for lane in (*parents, *range(len(open_in))):
            stack = open_in[lane]
            while stack and stack[-1] <= span.start:
                stack.pop()
            if not stack or stack[-1] >= ends[span.id]:
                break
        else:
            lane = len(open_in)
            open_in.append([])
        open_in[lane].append(ends[span.id])
        found.append(lane)
    return found

"""What the tests of publishing look at: what arrived at AMP, what was said, what waits."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from pytest_crewai_trace.publish import outbox
from pytest_crewai_trace.publish.native import SPANS_SINCE, crewai_version
from tests.support.amp import Override, refuse

PUBLISH = "--crewai-trace-publish"
# A call of a model as cheap as a trace can be.
CALL = "ScriptedLLM('x').call('hi')"


def attributes(span):
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def sent(amp):
    """The attributes of each root span that arrived; each trace came whole."""
    if crewai_version() < SPANS_SINCE:
        pytest.skip("this crewAI makes no spans")
    spans = [span for execution in amp.spans.values() for span in execution]
    roots = [span for span in spans if not span.parent_span_id]
    ids = {span.span_id for span in spans}
    assert all(span.parent_span_id in ids for span in spans if span.parent_span_id)
    return sorted(
        (attributes(span) for span in roots), key=lambda one: (one["test.case.name"], one["crewai.test.attempt"])
    )


def names_sent(amp):
    return [one["test.case.name"].partition("::")[2] for one in sent(amp)]


def lines(result):
    """What we say at the end."""
    return [line.removeprefix("crewai-trace: ") for line in result.outlines if line.startswith("crewai-trace: ")]


def waiting(project):
    return [item for item in outbox.find([project.path / ".crewai-traces"]) if item.waits]


def run_and_keep(project, amp):
    """Run the tests; AMP lets nobody in, so that all is kept."""
    amp.override = refuse(401)
    project.run(PUBLISH, "all")
    amp.override = None


def begins(request) -> bool:
    """Whether it is the first request of a trace: for a grant, or for a batch where crewAI makes no spans."""
    return request.path.endswith(("/grants", "/batches"))


def killing(project, kill: Callable[[], None], *, after: int) -> Override:
    """An override for AMP: when so many traces are sent and remembered, whoever asks for another grant is killed."""
    asked = itertools.count()

    def override(request):
        if not begins(request) or next(asked) < after:
            return
        end = time.monotonic() + 60
        while len(list(project.path.rglob("*.published.json"))) < after and time.monotonic() < end:
            time.sleep(0.01)
        kill()

    return override


def command(project, *arguments):
    """The exit code and the output of ``crewai-trace``, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest_crewai_trace.cli", *arguments],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr

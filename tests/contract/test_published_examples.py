"""The example suite, published: each test arrives once, whichever crewAI ran it."""

from __future__ import annotations

import sys
from collections import Counter
from xml.etree import ElementTree

from pytest_crewai_trace.publish.native import SPANS_SINCE, crewai_version
from tests.support.amp import Amp, is_tracing, spans_of
from tests.support.homes import ROOT, environment_of, on_pipe

GRANTS = crewai_version() >= SPANS_SINCE


def test_every_example_arrives_once(tmp_path):
    """What pytest says of each test in its JUnit XML is what is at the server: its execution, and its page."""
    traces, junit = tmp_path / "traces", tmp_path / "junit.xml"
    (tmp_path / "home").mkdir()
    with Amp() as amp:
        environment = environment_of(tmp_path / "home", amp.url) | {"CREWAI_USER_PAT": "pat"}
        options = ["--crewai-trace-publish=all", f"--crewai-trace-dir={traces}", f"--junitxml={junit}"]
        said = on_pipe(
            [sys.executable, "-m", "pytest", "examples", *options, "-p", "no:cacheprovider"],
            ROOT,
            environment,
            timeout=1_200,
        )
        published = [request for request in amp.requests if is_tracing(request)]
        again = on_pipe([sys.executable, "-m", "pytest_crewai_trace.cli", "publish", str(traces)], ROOT, environment)

    cases = [case for case in ElementTree.parse(junit).iter("testcase") if case.find("skipped") is None]
    told = {
        (case.get("classname"), case.get("name")): {
            each.get("name"): each.get("value") for each in case.iter("property")
        }
        for case in cases
    }
    assert len(cases) == len(told) > 30, said
    executions = {properties["crewai_execution"] for properties in told.values()}
    assert f"crewai-trace: published {len(cases)} traces to CrewAI AMP ({amp.url})" in said.splitlines(), said
    assert set(amp.spans if GRANTS else amp.batches) == executions
    for properties in told.values():
        page = "traces" if GRANTS else "crewai_plus/trace_batches"
        assert properties["crewai_amp"] == f"{amp.url}/{page}/{properties['crewai_execution']}"
    if GRANTS:
        uploads = [spans_of(request) for request in published if request.path == "/v1/traces"]
        assert max(Counter(span.span_id for spans in uploads for span in spans).values()) == 1
        assert sum(request.path.endswith("/grants") for request in published) == len(cases)
    else:
        assert {batch.status for batch in amp.batches.values()} == {"completed"}
        ids = Counter(event["event_id"] for batch in amp.batches.values() for event in batch.events)
        assert max(ids.values()) == 1
        assert sum(request.path.endswith("/batches") for request in published) == len(cases)
    assert again.startswith("nothing to publish in "), again
    assert [request for request in amp.requests if is_tracing(request)] == published

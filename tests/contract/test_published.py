"""What we publish is what crewAI itself sends: one process runs everything traced by crewAI, by us, and in a run of
pytest that publishes to the same server."""

from __future__ import annotations

import base64
import json
import re
import sys
from typing import Any

import pytest

from pytest_crewai_trace.publish.native import SPANS_SINCE, crewai_version
from tests.support.amp import Amp, is_tracing, spans_in, spans_of
from tests.support.homes import environment_of, make_home, on_pipe
from tests.support.loopback import Request

GRANTS = crewai_version() >= SPANS_SINCE
# Without grants a lone agent and a run that raises share a batch with what comes next.
SCENES = ["crew", "flow", "raising", "agent"] if GRANTS else ["crew", "flow"]
UNLIKE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?|0x[0-9a-f]{6,}"
    r"|\btracing=(True|None)"
)
# The switch of crewAI's own tracing, which is off where we stand in for it; and what a live agent or tool holds by the
# time it is looked at from another thread.
TIMES = re.compile(
    r".*(_ms|_seconds|duration|timestamp|_at|_time)|emission_sequence|current_usage_count|tools_results|last_used_tool"
    r"|tracing"
)


OURS = ("test.", "vcs.", "cicd.", "crewai.test.", "crewai.trace.", "crewai.ci.", "crewai.versions.")


class Both:
    """The requests that crewAI made, what we made in their place by scene, and the requests of the run of pytest."""

    def __init__(self, requests: list[Request], ours: dict[str, Any]) -> None:
        by_us = [str(request.header("User-Agent")).startswith("pytest-crewai-trace/") for request in requests]
        self.requests = [request for request, ours_too in zip(requests, by_us, strict=True) if not ours_too]
        self.published = [request for request, ours_too in zip(requests, by_us, strict=True) if ours_too]
        self.ours = ours

    def published_spans(self, scene: str) -> list[Any]:
        """Those of a scene, as they arrived; what we add is gone, and was on the root alone."""
        spans = [span for request in self.published if request.path == "/v1/traces" for span in spans_of(request)]
        (root,) = [span for span in spans if attributes(span).get("test.case.name", "").endswith(f"[{scene}]")]
        execution = attributes(root)["crewai.execution_uuid"]
        spans = [span for span in spans if attributes(span)["crewai.execution_uuid"] == execution]
        kept = [each for each in root.attributes if not each.key.startswith(OURS)]
        del root.attributes[:]
        root.attributes.extend(kept)
        return spans

    def published_events(self, scene: str) -> list[dict[str, Any]]:
        sent = [request.json["events"] for request in self.published if request.path.endswith("/events")]
        (events,) = [each for each in sent if each[0]["event_data"]["test.case.name"].endswith(f"[{scene}]")]
        data = {name: value for name, value in events[0]["event_data"].items() if not name.startswith(OURS)}
        return [{**events[0], "event_data": data}, *events[1:]]

    def native_spans(self, scene: str) -> list[Any]:
        grants = [request.json["execution_uuid"] for request in self.requests if request.path.endswith("/grants")]
        execution = grants[SCENES.index(scene)]
        spans = [span for request in self.requests if request.path == "/v1/traces" for span in spans_of(request)]
        return [span for span in spans if attributes(span)["crewai.execution_uuid"] == execution]

    def our_spans(self, scene: str) -> list[Any]:
        return spans_in(base64.b64decode(self.ours[scene]["spans"]))

    def native_events(self, scene: str) -> list[dict[str, Any]]:
        sent = [request.json["events"] for request in self.requests if request.path.endswith("/events")]
        # Emitted once a process.
        return [event for event in sent[SCENES.index(scene)] if not event["type"].endswith("_env")]


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Both:
    root = tmp_path_factory.mktemp("both")
    project, report = make_home(root, fresh=False), root / "ours.json"
    with Amp() as amp:
        environment = environment_of(root / "home", amp.url)
        environment |= {"CREWAI_TRACING_ENABLED": "true", "CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_USER_PAT": "pat"}
        code = "from tests.support.native import main; main()"
        output = on_pipe([sys.executable, "-c", code, str(report), *SCENES], project, environment)
    assert report.exists(), output
    return Both([request for request in amp.requests if is_tracing(request)], json.loads(report.read_text()))


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or str(each.value) for each in span.attributes}


def tree(spans: list[Any], parent: bytes = b"") -> list[Any]:
    """Names, kinds, attributes, statuses and parents; what differs from run to run is replaced."""
    return sorted(
        (
            [
                span.name,
                span.kind,
                span.status.code,
                alike(span.status.message),
                {name: "<time>" if TIMES.fullmatch(name) else alike(value) for name, value in attributes(span).items()},
                [(event.name, sorted(each.key for each in event.attributes)) for event in span.events],
                tree(spans, span.span_id),
            ]
            for span in spans
            if span.parent_span_id == parent
        ),
        key=json.dumps,
    )


def alike(value: Any) -> Any:
    if isinstance(value, str):
        return UNLIKE.sub("<unlike>", value)
    if isinstance(value, dict):
        return {name: "<time>" if TIMES.fullmatch(name) else alike(item) for name, item in value.items()}
    return [alike(item) for item in value] if isinstance(value, list) else value


def test_nothing_is_missing(both):
    assert [(made["gone"], made["problem"]) for made in both.ours.values()] == [(None, None)] * len(SCENES)


@pytest.mark.skipif(not GRANTS, reason="crewAI makes no spans before 1.15.22")
@pytest.mark.parametrize("scene", SCENES)
def test_the_same_spans(both, scene):
    native, ours = both.native_spans(scene), both.our_spans(scene)

    assert len(native) > 1
    assert tree(ours) == tree(native)
    assert sum(1 for _ in ours) == sum(1 for _ in native)
    assert len({span.trace_id for span in ours}) == 1


@pytest.mark.skipif(not GRANTS, reason="crewAI makes no spans before 1.15.22")
@pytest.mark.parametrize("scene", SCENES)
def test_the_same_spans_arrive(both, scene):
    """From a run of pytest, by way of the trace folder and the server: nothing else than what we add."""
    assert tree(both.published_spans(scene)) == tree(both.native_spans(scene))


@pytest.mark.skipif(GRANTS, reason="crewAI sends spans from 1.15.22")
@pytest.mark.parametrize("scene", SCENES)
def test_the_same_events_arrive(both, scene):
    assert alike(both.published_events(scene)) == alike(both.native_events(scene))


@pytest.mark.skipif(GRANTS, reason="crewAI sends spans from 1.15.22")
@pytest.mark.parametrize("scene", SCENES)
def test_the_same_events(both, scene):
    ours = both.ours[scene]["events"]

    assert alike(ours) == alike(both.native_events(scene))
    ids = {event["event_id"] for event in ours}
    assert all(event["parent_event_id"] in {None, *ids} for event in ours)


@pytest.mark.skipif(not GRANTS, reason="crewAI sends the events of the older protocol itself")
def test_events_for_a_server_without_grants(both):
    types = [event["type"] for event in both.ours["flow"]["events"]]

    assert types[:3] == ["flow_started", "method_execution_started", "crew_kickoff_started"]
    assert types[-1] == "flow_finished"

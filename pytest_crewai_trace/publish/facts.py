"""What a published trace says of its test: the attributes that we add.

Names are those of OpenTelemetry where it has one (https://opentelemetry.io/docs/specs/semconv/registry/attributes/),
else they begin with ``crewai.``.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.capture.plain import plain
from pytest_crewai_trace.errors import answer_of
from pytest_crewai_trace.publish.content import names_only
from pytest_crewai_trace.store.surroundings import repository, without_credentials

if TYPE_CHECKING:
    import pytest

    from pytest_crewai_trace.publish.content import Cleaner
    from pytest_crewai_trace.publish.envelope import Attribute
    from pytest_crewai_trace.store.attempt import Attempt
    from pytest_crewai_trace.trace.trace import Trace

_HOOK = "pytest_crewai_trace_publish_attributes"
_LONGEST = 10_000  # characters of a value
_MOST = 100  # attributes of a hook
_CI = {"run": "run.id", "pipeline": "name", "job": "task.name", "url": "run.url.full"}


def facts_of(attempt: Attempt, trace: Trace, root: Path) -> dict[str, Attribute]:
    """Of the test, its run and its trace; ``root`` is the project."""
    suite, _, _ = attempt.test_id.rpartition("::")
    found: dict[str, Attribute | None] = {
        "test.case.name": attempt.test_id,
        "test.case.result.status": "fail" if attempt.bad else "pass",
        "test.suite.name": suite or attempt.test_id,
        "crewai.test.outcome": attempt.outcome,
        "crewai.test.attempt": attempt.attempt,
        "crewai.test.run": attempt.run or None,
        "crewai.test.worker": attempt.worker,
        "crewai.test.message": attempt.message,
        "crewai.test.duration": attempt.seconds,
        "crewai.trace.incomplete": "; ".join(trace.incomplete) or None,
        "crewai.ci.name": attempt.ci.get("name"),
        **{f"crewai.versions.{name}": found for name, found in attempt.versions.items()},
        **_version_control(attempt, root),
        **{f"cicd.pipeline.{name}": attempt.ci.get(said) for said, name in _CI.items()},
        **_totals(attempt, trace),
    }
    return {name: value for name, value in found.items() if value is not None}


def _version_control(attempt: Attempt, root: Path) -> dict[str, Attribute | None]:
    said = attempt.ci.get("repository", "")
    url = repository(root) or without_credentials(said)
    is_name = said.count("/") > 0 and ":" not in said  # such as owner/name
    return {
        "vcs.ref.head.revision": attempt.ci.get("commit") or attempt.git.get("commit"),
        "vcs.ref.head.name": attempt.ci.get("branch") or attempt.git.get("branch"),
        "vcs.repository.url.full": url,
        "vcs.repository.name": said if is_name else None if url is None else url.rpartition("/")[2],
    }


def _totals(attempt: Attempt, trace: Trace) -> dict[str, Attribute | None]:
    usage, cost = attempt.usage, attempt.cost
    return {
        "crewai.trace.spans": attempt.spans,
        "crewai.trace.llm_calls": usage.requests,
        "crewai.trace.tool_calls": len(trace.tree.inside(None, "tool")),
        "crewai.trace.input_tokens": usage.input_tokens if usage.complete else None,
        "crewai.trace.output_tokens": usage.output_tokens if usage.complete else None,
        "crewai.trace.total_tokens": usage.total_tokens if usage.complete else None,
        "crewai.trace.cost_usd": None if cost is None else float(cost),
        "crewai.trace.tool_seconds": attempt.tool_seconds,
    }


def parameters_of(item: pytest.Item) -> dict[str, Attribute]:
    """What a parametrised test was called with."""
    params = getattr(getattr(item, "callspec", None), "params", None)
    return {
        f"crewai.test.parameter.{name}": _attribute(plain(value))
        for name, value in (params.items() if isinstance(params, dict) else ())
    }


def added_by_hook(item: pytest.Item, trace: Trace) -> dict[str, Attribute]:
    """What the implementations of the hook add.

    Raises:
        HookError: one raised, or gave something else than names and plain values.
    """
    found: dict[str, Attribute] = {}
    for implementation in item.ihook.pytest_crewai_trace_publish_attributes.get_hookimpls():
        found.update(answer_of(_HOOK, implementation, {"item": item, "trace": trace}, _checked))
    return found


def _checked(told: Any) -> dict[str, Attribute]:
    if told is None:
        return {}
    if not isinstance(told, dict) or not all(isinstance(name, str) and name for name in told):
        raise TypeError(f"it gave {type(told).__name__}, not a dict of names and values, or None")
    if len(told) > _MOST:
        raise ValueError(f"it gave {len(told)} attributes; at most {_MOST} are sent")
    for name, value in told.items():
        if not isinstance(value, str | bool | int | float):
            raise TypeError(f"{name!r} is {type(value).__name__}; valid: str, int, float, bool")
    return told


def _attribute(value: Any) -> Attribute:
    return value if isinstance(value, str | bool | int | float) else json.dumps(value)


def cleaned(found: dict[str, Attribute], cleaner: Cleaner) -> dict[str, Attribute]:
    """As they may be sent."""
    made: dict[str, Attribute] = {}
    for name, value in (names_only(found) if cleaner.names_only else found).items():
        if isinstance(value, str):
            made[cleaner.text(name, "test")] = cleaner.text(value, f"test.{name}")[:_LONGEST]
        elif isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
            made[name] = value
        elif isinstance(value, int):
            made[name] = value if -(2**63) <= value < 2**63 else hex(value)[:_LONGEST]
        else:
            made[name] = str(value)
    return made

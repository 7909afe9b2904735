"""Makes what is to be sent of an attempt at a test, in the process that ran it; nothing is sent here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from pytest_crewai_trace.errors import HookError
from pytest_crewai_trace.publish import content
from pytest_crewai_trace.publish.envelope import Envelope
from pytest_crewai_trace.publish.facts import added_by_hook, cleaned, facts_of, parameters_of
from pytest_crewai_trace.store.writer import ENVELOPE, SUFFIX

if TYPE_CHECKING:
    import pytest

    from pytest_crewai_trace.publish.native import Made, NativeTracing
    from pytest_crewai_trace.publish.options import Content
    from pytest_crewai_trace.store.attempt import Attempt
    from pytest_crewai_trace.store.clean import Cleaning
    from pytest_crewai_trace.store.writer import Store
    from pytest_crewai_trace.trace.trace import Trace

# How long a test's end waits for what crewAI's tracing makes of it, in seconds.
_PATIENCE = 10.0


class PackedOnReport(TypedDict):
    """What travels on a report of what is to be sent: AMP's key of it, the name of its file in the run's folder.

    ``held``: why it is kept and not sent. ``problem``: what went wrong with some of it.
    """

    execution: str
    envelope: str | None
    held: str | None
    problem: str | None


def new_execution() -> str:
    """AMP's key of a trace; made of the system's randomness, which no test seeds or patches."""
    return str(UUID(bytes=os.urandom(16), version=4))


class Packing:
    """Writes envelopes beside the traces of one process."""

    def __init__(self, store: Store, cleaning: Cleaning, how_much: Content, root: Path) -> None:
        self._store = store
        self._cleaner = content.Cleaner(cleaning, how_much)
        self._root = root

    def pack(
        self, item: pytest.Item, attempt: Attempt, trace: Trace, native: NativeTracing
    ) -> tuple[PackedOnReport, str | None]:
        """Write what is to be sent of an attempt; with the name that its trace is to have."""
        made = native.finish(_PATIENCE)
        told = PackedOnReport(execution=native.execution_uuid, envelope=None, held=made.gone, problem=made.problem)
        if made.spans is None and not made.events:
            told["held"] = made.gone or made.problem or "crewAI's own tracing made nothing of it"
            return told, None
        try:
            added = added_by_hook(item, trace)
        except HookError as error:
            added, told["problem"] = {}, str(error)
        try:
            attributes = {**added, **parameters_of(item), **facts_of(attempt, trace, self._root)}
            envelope = self._envelope(made, attempt, trace, native.execution_uuid, cleaned(attributes, self._cleaner))
            name = self._store.name(attempt)
            kept = self._store.put(name.removesuffix(SUFFIX) + ENVELOPE, envelope.dump())
        except Exception as error:  # noqa: BLE001 - what could not be cleaned is not sent, and the test is over
            told["held"] = f"what is to be sent could not be made: {type(error).__name__}: {error}"
            return told, None
        told["envelope"] = None if kept.path is None else kept.path.name
        told["held"] = told["held"] or kept.problem
        return told, name

    def _envelope(
        self,
        made: Made,
        attempt: Attempt,
        trace: Trace,
        execution: str,
        attributes: dict[str, bool | int | float | str],
    ) -> Envelope:
        root = next(iter(trace.spans), None)
        return Envelope(
            execution_uuid=execution,
            name=self._cleaner.text("" if root is None else root.name, "name") or "crew",
            execution_type="flow" if root is not None and root.kind == "flow" else "crew",
            crewai_version=attempt.versions.get("crewai", ""),
            started_at=attempt.started_at,
            duration=trace.duration,
            test=attributes,
            spans=None if made.spans is None else content.spans(made.spans, self._cleaner),
            events=content.events(made.events, self._cleaner),
        )

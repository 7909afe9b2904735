"""Sends what waits in the outbox, remembers what came of it, and says so."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from pytest_crewai_trace.errors import plural
from pytest_crewai_trace.publish import outbox
from pytest_crewai_trace.publish.amp import Amp
from pytest_crewai_trace.publish.content import Cleaner, events, names_only, spans
from pytest_crewai_trace.publish.delivery import Delivery, Parcel, Progress, Sent
from pytest_crewai_trace.trace.render import one_line, printable

if TYPE_CHECKING:
    from pytest_crewai_trace.publish.credentials import Access
    from pytest_crewai_trace.publish.envelope import Envelope
    from pytest_crewai_trace.publish.outbox import Item

_WIDEST = 300  # characters of a reason
_LEAST = 1.0  # seconds that are left for sending, however long the wait for a lock was


@dataclass(frozen=True)
class Posted:
    """What came of one envelope, and which test it is of."""

    item: Item
    sent: Sent
    execution: str
    test: str


@dataclass(frozen=True)
class Outcome:
    """What came of all. ``stopped``: why the rest was not tried; ``refused``: because of the credential;
    ``interrupted``: because of Ctrl-C.

    ``forgotten``: why what came of some could not be remembered.
    """

    posted: tuple[Posted, ...]
    base_url: str
    forgotten: str | None = None
    stopped: str | None = None
    refused: bool = False
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Whether AMP has all of it."""
        return all(one.sent.state in ("sent", "skipped") for one in self.posted)

    @property
    def links(self) -> dict[str, str]:
        """The pages of executions."""
        return {one.execution: one.sent.url for one in self.posted if one.sent.url is not None}


class Sending:
    """One delivery by ``client``. ``names_only``: without what was said, whatever the envelopes hold."""

    def __init__(
        self, access: Access, *, seconds: float, names_only: bool = False, client: Callable[..., Amp] = Amp
    ) -> None:
        self._access = access
        self._seconds = seconds
        self._names_only = names_only
        self._client = client
        self._loaded: dict[str, tuple[str, str]] = {}
        self._forgotten: str | None = None
        self._lock = Lock()

    def send(self, items: Sequence[Item], on_posted: Callable[[Posted], None] = lambda posted: None) -> Outcome:
        """Send what waits; ``on_posted`` is called for each as it ends, one at a time, from other threads too."""
        deadline = time.monotonic() + self._seconds
        folders: dict[Path, list[Item]] = {}
        for item in items:
            folders.setdefault(item.path.parent, []).append(item)
        with ExitStack() as locks:
            waiting: dict[str, Item] = {}
            held_back: list[Posted] = []
            for folder, inside in folders.items():
                problem = locks.enter_context(outbox.locked(folder, deadline))
                now = [outbox.again(item) for item in inside]  # somebody else may have sent it meanwhile
                now = [item for item in now if item.waits and item.path.exists()]
                if problem:
                    held_back += [self._posted(item, Sent(str(item.path), "kept", problem)) for item in now]
                else:
                    waiting.update({str(item.path): item for item in now})
            left = max(deadline - time.monotonic(), min(_LEAST, self._seconds))
            delivery = self._deliver(waiting, left, on_posted)
        posted = [self._posted(waiting[sent.key], sent) for sent in delivery.results]
        for one in held_back:
            on_posted(one)
        all_posted = (*posted, *held_back)
        return Outcome(
            all_posted,
            self._access.base_url,
            self._forgotten,
            delivery.stopped,
            delivery.refused,
            delivery.interrupted,
        )

    def _deliver(self, waiting: dict[str, Item], left: float, on_posted: Callable[[Posted], None]) -> Delivery:
        if not waiting:
            return Delivery(())

        def keep(sent: Sent) -> None:
            posted = self._posted(waiting[sent.key], sent)
            if sent.final or sent.progress is not None:
                self._keep(posted)
            on_posted(posted)

        def progressed(key: str, progress: Progress) -> None:
            self._keep(self._posted(waiting[key], Sent(key, "kept", progress=progress)))

        parcels = [self._parcel(item) for item in waiting.values()]
        return self._client(self._access, total_timeout=self._seconds).send(parcels, keep, progressed, left)

    def _keep(self, posted: Posted) -> None:
        try:
            posted.item.keep(posted.sent, posted.execution)
        except OSError as error:  # a full disk, say: the others are sent all the same
            self._forgotten = f"{error.strerror or error} ({error.filename or posted.item.path})"

    def _parcel(self, item: Item) -> Parcel:
        def load() -> Envelope:
            envelope = item.load()
            with self._lock:
                self._loaded[str(item.path)] = (envelope.execution_uuid, str(envelope.test.get("test.case.name", "")))
            return without_content(envelope) if self._names_only else envelope

        return replace(item.parcel, load=load)

    def _told(self, key: str) -> tuple[str, str]:
        with self._lock:
            return self._loaded.get(key, ("", Path(key).name))

    def _posted(self, item: Item, sent: Sent) -> Posted:
        return Posted(item, sent, *self._told(sent.key))


def without_content(envelope: Envelope) -> Envelope:
    """An envelope without what was said in the test: structure, names, times, tokens and verdicts."""
    cleaner = Cleaner(None, "none")
    return envelope.model_copy(
        update={
            "spans": None if envelope.spans is None else spans(envelope.spans, cleaner),
            "events": events(envelope.events, cleaner),
            "test": names_only(envelope.test),
        }
    )


def lines(outcome: Outcome, place: str) -> Iterator[str]:
    """What there is to say: how many were sent, and what came of the others and why; ``place`` is where those are."""
    counts: Counter[str] = Counter(one.sent.state for one in outcome.posted)
    where = printable(outcome.base_url)
    yield f"published {plural(counts['sent'], 'trace')} to CrewAI AMP ({where})"
    if outcome.forgotten is not None:
        reason = printable(one_line(outcome.forgotten, _WIDEST))
        yield f"what was sent could not be remembered, and would be sent again: {reason}"
    if outcome.stopped is not None:
        yield f"stopped: {printable(one_line(outcome.stopped, _WIDEST))}"
    for state, said in (
        ("partial", "reached AMP in part"),
        ("rejected", "not accepted by AMP, and not to be sent again"),
        ("skipped", "empty"),
    ):
        if counts[state]:
            yield f"{plural(counts[state], 'trace')} {said}{_reason(outcome, state)}"
    waiting = counts["failed"] + counts["kept"]
    if waiting:
        reason = _reason(outcome, "failed", "kept") if outcome.stopped is None else ""
        yield f"{plural(waiting, 'trace')} not sent{reason}; kept, for: crewai-trace publish {place}"


def _reason(outcome: Outcome, *states: str) -> str:
    """The most frequent reason, and how many others there are."""
    reasons = Counter(one.sent.reason for one in outcome.posted if one.sent.state in states and one.sent.reason)
    if not reasons:
        return ""
    (first, _), others = reasons.most_common(1)[0], len(reasons) - 1
    return f": {printable(one_line(first, _WIDEST))}" + (f" (and {plural(others, 'other reason')})" if others else "")

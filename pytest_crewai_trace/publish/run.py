"""One delivery: the threads that send, and the one that watches the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_crewai_trace.errors import CrewaiTraceError
from pytest_crewai_trace.publish.calls import Caller, CallError, TimeIsUp
from pytest_crewai_trace.publish.delivery import Delivery, Parcel, Progress, Sent
from pytest_crewai_trace.publish.line import Line, quiet, trusted
from pytest_crewai_trace.publish.protocols import CredentialRefused, GrantsUnknown, NothingToSend, Trip

if TYPE_CHECKING:
    from pytest_crewai_trace.publish.amp import Amp
    from pytest_crewai_trace.publish.delivery import State
    from pytest_crewai_trace.publish.envelope import Envelope

MOST_FAILURES = 3  # in a row
_GRACE = 1.0  # seconds in which requests that were cut come back
_TICK = 1.0  # seconds after which Ctrl-C is seen where a wait cannot be interrupted


class _CallbackRaised(BaseException):
    """A callback of the caller's; not an ``Exception``, for it is nobody's here to handle."""


class Run:
    """Sends the parcels on as many lines as ``amp`` has connections, within so many seconds."""

    def __init__(
        self,
        amp: Amp,
        parcels: tuple[Parcel, ...],
        on_result: Callable[[Sent], None],
        on_progress: Callable[[str, Progress], None],
        seconds: float,
    ) -> None:
        self._amp = amp
        self._timing = amp.timing
        self._parcels = parcels
        self._on_result = on_result
        self._on_progress = on_progress
        self._deadline = self._timing.clock() + seconds
        self._changed = threading.Condition(threading.RLock())  # guards all below
        self._stop = threading.Event()
        self._stopped: str | None = None
        self._refused = False
        self._interrupted = False
        self._over = False
        self._no_grants = False
        self._failures = 0
        self._taken = 0
        self._working = 0
        self._looks_at = 0.0
        self._results: dict[int, Sent] = {}
        self._ends: dict[Line, float] = {}
        self._broken: BaseException | None = None

    # -- the thread that watches --------------------------------------------------------------------------------------

    def whole(self) -> Delivery:
        """The delivery, from the first request to the last."""
        try:
            verify = trusted()
            lines = [Line(verify) for _ in range(min(self._amp.connections, len(self._parcels)))]
        except Exception as error:  # noqa: BLE001 - whatever the environment names as proxy or certificates
            self._halt(f"the proxy or certificate settings of this machine are of no use ({type(error).__name__})")
            return self._ended()
        threads = [threading.Thread(target=self._work, args=(line,), daemon=True) for line in lines]
        self._working = len(threads)
        try:
            for thread in threads:
                thread.start()
            self._watch()
        except KeyboardInterrupt:
            self._interrupted = True
            self._halt("publishing was interrupted")
        except BaseException:
            self._halt("publishing was broken off")
            raise
        finally:
            for line in lines:
                line.cut()
            end = time.monotonic() + _GRACE
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(end - time.monotonic(), 0))
        return self._ended()

    def _watch(self) -> None:
        with self._changed:
            while self._working:
                now = self._timing.clock()
                if now >= self._deadline:
                    self._halt(self._time_is_up)
                    return
                for line, end in self._ends.items():
                    if now >= end:
                        line.cut()
                        self._ends[line] = self._deadline
                self._looks_at = min([self._deadline, now + _TICK, *self._ends.values()])
                self._changed.wait(self._looks_at - now)

    def _ended(self) -> Delivery:
        with self._changed:
            self._over = True
            if self._broken is not None:
                raise self._broken
            for number, parcel in enumerate(self._parcels):
                if number in self._results:
                    continue
                if number < self._taken:  # its thread hangs where nothing can reach it, such as a look-up of a name
                    sent = Sent(parcel.key, "failed", f"it had not ended: {self._stopped}", progress=parcel.progress)
                else:
                    sent = Sent(parcel.key, "kept", f"it was not tried: {self._stopped}", progress=parcel.progress)
                self._results[number] = sent
                self._on_result(sent)
            results = tuple(self._results[number] for number in range(len(self._parcels)))
            left_out = any(not sent.final for sent in results)
            return Delivery(results, self._stopped if left_out else None, self._refused, self._interrupted)

    @property
    def _time_is_up(self) -> str:
        return f"the {self._amp.total_timeout:g} s for publishing were up"

    def _halt(self, why: str) -> None:
        """Begin no more requests. The first reason counts."""
        with self._changed:
            self._stopped = self._stopped or why
            self._stop.set()
            self._changed.notify_all()

    # -- the threads that send ----------------------------------------------------------------------------------------

    def _work(self, line: Line) -> None:
        try:
            with quiet(), closing(line):
                while (number := self._take()) is not None:
                    self._end(number, self._deliver(self._parcels[number], line))
        except _CallbackRaised as error:
            self._broken = self._broken or error.__cause__
            self._halt("the delivery was broken off")
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def _take(self) -> int | None:
        with self._changed:
            if self._stopped is not None or self._taken == len(self._parcels):
                return None
            self._taken += 1
            return self._taken - 1

    def _end(self, number: int, sent: Sent) -> None:
        with self._changed:
            if not self._over:
                self._results[number] = sent
                self._tell(self._on_result, sent)

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        with self._changed:
            try:
                if not self._over:
                    callback(*arguments)
            except BaseException as error:
                raise _CallbackRaised from error

    def _deliver(self, parcel: Parcel, line: Line) -> Sent:
        caller = Caller(self, line)
        try:
            envelope = parcel.load()
        except Exception as error:  # noqa: BLE001 - it is not ours
            why = str(error) if isinstance(error, CrewaiTraceError) else type(error).__name__
            return Sent(parcel.key, "failed", f"it could not be read: {why}", progress=parcel.progress)
        tell = partial(self._tell, self._on_progress, parcel.key)
        trip = Trip(self._amp.access, envelope, caller, parcel.progress, now=self._timing.now, on_progress=tell)
        try:
            self._go(trip, envelope)
        except CallError as error:
            return self._without(trip, parcel.key, caller.attempts, error)
        except Exception as error:  # noqa: BLE001 - what cannot be sent may not end the others
            reason = f"it could not be made ready to be sent ({type(error).__name__})"
            return Sent(parcel.key, "failed", reason, attempts=caller.attempts, progress=trip.progress)
        self._count(failed=False)
        return self._arrived(trip, parcel.key, caller.attempts)

    def _arrived(self, trip: Trip, key: str, attempts: int) -> Sent:
        state: State = "sent"
        reason, progress = "", trip.progress
        if progress is not None and progress.rejected:
            state = "partial" if progress.rejected < progress.accepted else "rejected"
            reason = f"AMP rejected {progress.rejected:,} of its {progress.accepted:,} spans"
        return Sent(key, state, reason, None if state == "rejected" else trip.page, attempts, trip.cut, progress)

    def _go(self, trip: Trip, envelope: Envelope) -> None:
        if not envelope.spans and not envelope.events:
            raise NothingToSend
        begun = trip.progress is not None and trip.progress.protocol == "batches"
        if envelope.spans and not begun and not self._no_grants:
            try:
                trip.by_grant()
            except GrantsUnknown:
                self._no_grants = True
            else:
                return
        if not envelope.events:
            raise CallError("AMP knows no grants here, and there are no events for its older protocol", 404, "rejected")
        trip.by_batch()

    def _without(self, trip: Trip, key: str, attempts: int, error: CallError) -> Sent:
        """What came of a parcel that did not arrive whole."""
        state, reason = error.state, str(error)
        if isinstance(error, CredentialRefused):
            self._refused = True
            self._halt(reason)
        elif isinstance(error, TimeIsUp):
            if not attempts:
                state, reason = "kept", f"it was not tried: {reason}"
        else:
            self._count(failed=state == "failed")
        accepted = 0 if trip.progress is None else trip.progress.accepted
        if state == "rejected" and accepted:
            state, reason = "partial", f"AMP has a part of it: {reason}"
        return Sent(key, state, reason, None, attempts, trip.cut, trip.progress)

    def _count(self, *, failed: bool) -> None:
        with self._changed:
            self._failures = self._failures + 1 if failed else 0
            if self._failures == MOST_FAILURES:
                self._halt(f"publishing was stopped after {MOST_FAILURES} failures in a row")

    # -- what a call asks of its run ----------------------------------------------------------------------------------

    @contextmanager
    def underway(self, line: Line) -> Iterator[float]:
        """The seconds that the request inside may take; after that it is cut. Raises ``TimeIsUp``."""
        with self._changed:
            now = self._timing.clock()
            if self._stopped is not None or now >= self._deadline:
                raise TimeIsUp(self._stopped or self._time_is_up)
            seconds = min(self._amp.request_timeout, self._deadline - now)
            self._ends[line] = now + seconds
            if now + seconds < self._looks_at:
                self._changed.notify_all()
        try:
            yield seconds
        finally:
            with self._changed:
                del self._ends[line]
                line.mend()

    def pause(self, tried: int, asked: str | None) -> None:
        """Wait before the next try. Raises ``TimeIsUp`` where there is no time for it."""
        seconds = self._timing.pause(tried, asked)
        if self._stopped is None:
            if seconds >= self._deadline - self._timing.clock():
                raise TimeIsUp(self._time_is_up)
            self._timing.wait(self._stop, seconds)
        if self._stopped is not None:
            raise TimeIsUp(self._stopped)

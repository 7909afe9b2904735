"""Requests with their retries, and what their failures mean."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeVar

from pytest_crewai_trace.publish.line import Answer, Line, Request, TroubleError
from pytest_crewai_trace.publish.retry import TRIES

if TYPE_CHECKING:
    from pytest_crewai_trace.publish.delivery import State

_Read = TypeVar("_Read")
_PASSING = frozenset({408, 425, 429})
_OUR_SIDE = frozenset({401, 403, 407})  # a credential, or a proxy: the trace may well be wanted


class CallError(Exception):
    """A request that came to nothing: why, as half a sentence; ``status`` where there was an answer."""

    def __init__(self, reason: str, status: int | None = None, state: State = "failed") -> None:
        super().__init__(reason)
        self.status = status
        self.state = state


class TimeIsUp(CallError):  # noqa: N818 - it is no error of anybody
    """The delivery as a whole has come to its end."""


class Run(Protocol):
    """The delivery that a call is part of."""

    def underway(self, line: Line) -> AbstractContextManager[float]:
        """The seconds that the request inside may take. Raises ``TimeIsUp``."""

    def pause(self, tried: int, asked: str | None) -> None:
        """Wait before the next try. Raises ``TimeIsUp``."""


class Caller:
    """Makes the requests of one parcel on one line; ``attempts`` counts them."""

    def __init__(self, run: Run, line: Line) -> None:
        self._run = run
        self._line = line
        self.attempts = 0

    def call(self, whom: str, request: Request, read: Callable[[Answer], _Read], *, tries: int = TRIES) -> _Read:
        """What ``read`` makes of a 2xx answer; ``whom`` is what to call the server in a reason.

        Raises:
            CallError: there is none, after as many tries as it takes; or ``read`` raised ``ValueError``.
        """
        failed, asked = CallError(f"{whom} was not asked"), None
        for tried in range(tries):
            try:
                if tried:
                    self._run.pause(tried, asked)
                answer = self._once(request)
            except TimeIsUp as error:
                raise TimeIsUp(f"{failed}; {error}" if tried else str(error), failed.status) from None
            except TroubleError as trouble:
                failed, asked = CallError(f"{whom} {trouble}"), None
                if not trouble.again:
                    raise failed from None
                continue
            if 200 <= answer.status < 300:
                try:
                    return read(answer)
                except ValueError as error:
                    raise CallError(f"the answer of {whom} {error}", answer.status) from None
            failed, asked = _refusal(whom, answer.status), answer.headers.get("retry-after")
            if answer.status not in _PASSING and answer.status < 500:
                raise failed
        raise failed

    def _once(self, request: Request) -> Answer:
        with self._run.underway(self._line) as seconds:
            self.attempts += 1
            return self._line.send(request, seconds)


def _refusal(whom: str, status: int) -> CallError:
    if 300 <= status < 400:
        return CallError(f"{whom} answered HTTP {status}, and redirects are not followed", status)
    final = 400 <= status < 500 and status not in _PASSING | _OUR_SIDE
    return CallError(f"{whom} answered HTTP {status}", status, "rejected" if final else "failed")

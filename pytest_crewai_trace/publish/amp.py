"""The client of CrewAI AMP."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pytest_crewai_trace.publish.delivery import Delivery, Parcel, Progress, Sent
from pytest_crewai_trace.publish.retry import Timing

if TYPE_CHECKING:
    from pytest_crewai_trace.publish.credentials import Access


class Amp:
    """Sends traces to AMP: ``connections`` at a time, ``request_timeout`` seconds a request, ``total_timeout`` in all.

    Proxies and certificates are httpx's own: ``HTTPS_PROXY``, ``NO_PROXY``, ``SSL_CERT_FILE``. No variable of
    OpenTelemetry has a say. Nothing that a server does makes it raise.

    Raises ``ValueError`` for a number that is not positive.
    """

    def __init__(
        self,
        access: Access,
        *,
        request_timeout: float = 10.0,
        total_timeout: float = 30.0,
        connections: int = 4,
        timing: Timing | None = None,
    ) -> None:
        given = {"request_timeout": request_timeout, "total_timeout": total_timeout, "connections": connections}
        for name, number in given.items():
            if not 0 < number < math.inf:
                raise ValueError(f"{name} should be a positive number, not {number!r}")
        self.access = access
        self.request_timeout = request_timeout
        self.total_timeout = total_timeout
        self.connections = connections
        self.timing = timing or Timing()

    def send(
        self,
        parcels: Iterable[Parcel],
        on_result: Callable[[Sent], None] = lambda sent: None,
        on_progress: Callable[[str, Progress], None] = lambda key, progress: None,
        left: float | None = None,
    ) -> Delivery:
        """Sends the parcels. Both callbacks are called one at a time, but from other threads: ``on_result`` once for
        each parcel as it ends, ``on_progress`` with its key when a part of it has arrived and there is more to come.
        ``left``: the seconds that are left of the total, where some of it is gone.

        Ctrl-C ends the delivery at once, which says so. An exception of a callback ends it and is raised again.
        """
        given = tuple(parcels)
        if not given:
            return Delivery(())
        seconds = self.total_timeout if left is None else min(left, self.total_timeout)
        from pytest_crewai_trace.publish.run import Run

        return Run(self, given, on_result, on_progress, seconds).whole()

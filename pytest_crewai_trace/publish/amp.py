"""The client of CrewAI AMP."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_crewai_trace.publish.credentials import Access
    from pytest_crewai_trace.publish.delivery import Delivery, Parcel, Progress, Sent


class Amp:
    """Sends traces to AMP: ``connections`` at a time, ``request_timeout`` seconds a request, ``total_timeout`` in all.

    ``with Amp(access) as amp: amp.send(parcels)``. Nothing that a server does makes it raise.
    """

    def __init__(
        self,
        access: Access,
        *,
        request_timeout: float = 10.0,
        total_timeout: float = 30.0,
        connections: int = 4,
    ) -> None:
        raise NotImplementedError

    def send(
        self,
        parcels: Iterable[Parcel],
        on_result: Callable[[Sent], None] = lambda sent: None,
        on_progress: Callable[[str, Progress], None] = lambda key, progress: None,
    ) -> Delivery:
        """Sends the parcels. Both callbacks are called one at a time, but from other threads: ``on_result`` once for
        each parcel as it ends, ``on_progress`` with its key when a part of it has arrived and there is more to come.

        An exception of a callback ends the delivery and is raised again.
        """
        raise NotImplementedError

"""What goes into a delivery to CrewAI AMP, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pytest_crewai_trace.publish.envelope import Envelope

Protocol = Literal["grants", "batches"]
State = Literal["sent", "partial", "rejected", "skipped", "failed", "kept"]
# Not to be tried again.
FINAL: frozenset[State] = frozenset({"sent", "partial", "rejected", "skipped"})


@dataclass(frozen=True)
class Progress:
    """How far a trace has come: ``accepted`` spans (``grants``) or events (``batches``), in their order; of them
    the server ``rejected`` some.

    To be remembered, so that a later delivery goes on from there.
    """

    protocol: Protocol
    accepted: int
    rejected: int = 0


@dataclass(frozen=True)
class Parcel:
    """An envelope to be sent, under the sender's own ``key`` for it; ``load`` is called when its turn comes."""

    key: str
    load: Callable[[], Envelope]
    progress: Progress | None = None


@dataclass(frozen=True)
class Sent:
    """What came of one parcel.

    ``state``: ``sent`` all of it; ``partial`` the server has a part and refused the rest; ``rejected`` the server does
    not want it; ``skipped`` there was nothing in it; ``failed`` it may be tried again; ``kept`` it was not tried.
    ``reason``: one sentence, empty for ``sent``. ``url``: its page in AMP's viewer, of the server's own origin.
    ``attempts``: requests made for it. ``cut``: values that were shortened to fit.
    """

    key: str
    state: State
    reason: str = ""
    url: str | None = None
    attempts: int = 0
    cut: int = 0
    progress: Progress | None = None

    @property
    def final(self) -> bool:
        """Whether a later delivery leaves it out."""
        return self.state in FINAL


@dataclass(frozen=True)
class Delivery:
    """What came of a whole delivery: ``results`` in the order of the parcels.

    ``stopped``: why the rest was not tried, one sentence. ``refused``: it was the credential. ``interrupted``: it was
    Ctrl-C.
    """

    results: tuple[Sent, ...]
    stopped: str | None = None
    refused: bool = False
    interrupted: bool = False

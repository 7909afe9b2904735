"""Which AMP, and in whose name: the environment, then what `crewai login` saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Credential:
    """A token, ``source``: what to call it in a message, ``remedy``: what to do when AMP refuses it."""

    token: str = field(repr=False)
    source: str
    remedy: str


@dataclass(frozen=True)
class Access:
    """Where traces go, and in whose name; without a ``credential`` anonymously."""

    base_url: str
    credential: Credential | None
    organization: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class NoAccess:
    """Why nothing can be published, and what to do: one sentence."""

    reason: str


def find_access(environ: Mapping[str, str], *, anonymous: bool = False) -> Access | NoAccess:
    """The access that crewAI itself would use. ``anonymous``: without a credential, whatever there is."""
    raise NotImplementedError

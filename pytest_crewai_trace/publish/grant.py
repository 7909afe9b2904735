"""A grant: leave to send the spans of one execution to a collector, for a while."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeGuard
from uuid import UUID

from pytest_crewai_trace.publish.addresses import collector_at, page_of

RENEW_BEFORE = timedelta(seconds=30)


@dataclass(frozen=True)
class Grant:
    """``token`` is for the collector alone, where our own credential never goes."""

    token: str = field(repr=False)
    collector: str = field(repr=False)
    expires_at: datetime
    page: str | None = field(default=None, repr=False)

    def expires_soon(self, now: datetime) -> bool:
        return self.expires_at - now <= RENEW_BEFORE


def read_grant(body: bytes, *, execution_uuid: str, base: str, credential: str | None, now: datetime) -> Grant:
    """The grant in an answer.

    Raises ``ValueError`` with what is wrong with it; nothing of its text is in there.
    """
    found = json_object(body)
    tier = "ephemeral" if credential is None else "authenticated"
    if found.get("tier") != tier:
        raise ValueError("is of another tier")
    if _uuid(found.get("execution_uuid")) != UUID(execution_uuid):
        raise ValueError("is for another execution")
    token = found.get("token")
    if not is_token(token):
        raise ValueError("has no token")
    if token == credential:
        raise ValueError("has our own credential for a token")
    collector = collector_at(found.get("collector_url"))
    if collector is None:
        raise ValueError("names a collector that is neither https nor on this machine")
    expires_at = _moment(found.get("expires_at"))
    if expires_at is None:
        raise ValueError("does not say how long it lasts")
    if expires_at <= now:
        raise ValueError("has expired by the clock of this machine")
    page = page_of(found.get("trace_url"), base)
    if credential is None and page is not None and "?" in page:
        page = None  # it may hold an access code
    return Grant(token, collector, expires_at, page)


def is_token(value: object) -> TypeGuard[str]:
    """Whether it can stand in a header."""
    return isinstance(value, str) and value.isascii() and value.isprintable() and value != "" and " " not in value


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that an answer has to be.

    Raises ``ValueError`` with what it is instead.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError("is not a JSON object")
    return found


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        return None


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except (ValueError, TypeError, AttributeError):
        return None
    return found if found.tzinfo is not None else None

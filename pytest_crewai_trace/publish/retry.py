"""When to try again: pauses with jitter, and what a server asks for, within bounds."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

TRIES = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds
_SECONDS = re.compile(r"\d{1,30}(\.\d{1,30})?", re.ASCII)


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Timing:
    """Where time comes from. ``clock``: seconds that never go back. ``wait``: until an event is set, or so many
    seconds. ``jitter``: from 0 to 1."""

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _now
    wait: Callable[[threading.Event, float], object] = threading.Event.wait
    jitter: Callable[[], float] = random.random

    def pause(self, tried: int, asked: str | None) -> float:
        """Seconds before the next try; ``asked`` is a ``Retry-After``."""
        wanted = retry_after(asked, self.now())
        own = min(FIRST_PAUSE * 2.0 ** (tried - 1), LONGEST_PAUSE)
        jittered = own * (0.5 + self.jitter() / 2)
        return jittered if wanted is None else min(wanted + jittered, LONGEST_PAUSE)


def retry_after(asked: str | None, now: datetime) -> float | None:
    """The seconds that a ``Retry-After`` asks for, at most ``LONGEST_PAUSE``; ``None`` where it asks for nothing."""
    if asked is None:
        return None
    asked = asked.strip()
    if _SECONDS.fullmatch(asked):
        return min(float(asked), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(asked)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        seconds = (moment - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(seconds, LONGEST_PAUSE) if seconds > 0 else None

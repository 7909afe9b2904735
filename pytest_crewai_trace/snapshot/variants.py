"""Several accepted ways of one test."""

from __future__ import annotations

from pytest_crewai_trace.snapshot.messages import nearest
from pytest_crewai_trace.snapshot.text import Snapshot


def joined(stored: Snapshot, made: Snapshot, most: int) -> Snapshot:
    """The stored variants and the new one; where there is no room, it replaces the nearest."""
    text = made.variants[0]
    if stored.level != made.level or text in stored.variants:
        return made
    variants = list(stored.variants)
    if len(variants) < most:
        variants.append(text)
    else:
        variants[nearest(stored, text)[0]] = text
    return Snapshot(made.level, tuple(variants[:most]), made.crewai)

"""Several accepted ways of one test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_crewai_trace.snapshot.messages import nearest
from pytest_crewai_trace.snapshot.text import Snapshot

if TYPE_CHECKING:
    from pytest_crewai_trace.snapshot.extension import Rendered


def joined(stored: Snapshot, rendered: Rendered) -> Snapshot:
    """The stored variants and the new one; where there is no room, it replaces the nearest."""
    made, most = rendered.snapshot, rendered.options.variants
    text = made.variants[0]
    if stored.level != made.level or text in stored.variants:
        return made
    variants = list(stored.variants)
    if len(variants) < most:
        variants.append(text)
    else:
        variants[nearest(stored, rendered).place] = text
    return Snapshot(made.level, tuple(variants[:most]), made.crewai)

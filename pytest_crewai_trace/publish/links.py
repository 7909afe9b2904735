"""The pages of published traces in AMP, for those who show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_crewai_trace.publish import addresses

if TYPE_CHECKING:
    from pathlib import Path

# By AMP's key of the execution; what this session has published.
LINKS: pytest.StashKey[dict[str, str]] = pytest.StashKey()


def links_of(config: pytest.Config, reports: Iterable[Any]) -> dict[tuple[str, str], str]:
    """The pages of the attempts that reports are of, by test and attempt."""
    links = config.stash.get(LINKS, {})
    published = [report for report in reports if hasattr(report, "crewai_trace_packed")]
    return {
        (report.crewai_trace["test"], report.crewai_trace["attempt"]): links[execution]
        for report in published
        if (execution := report.crewai_trace_packed["execution"]) in links
    }


def page_of(trace: Path) -> str | None:
    """The page of a kept trace, as its record says; nothing else than the address of one on the web."""
    from pytest_crewai_trace.publish.outbox import record_of

    record = record_of(trace)
    return None if record is None or record.url is None else web_address(record.url)


def web_address(url: str) -> str | None:
    """``url``, if a browser may be sent there: one of the web, without a user, of nothing but what URLs are made of."""
    return addresses.page_of(url, url)

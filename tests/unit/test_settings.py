"""What the settings derive by themselves."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from pytest_crewai_trace.settings import run_name
from pytest_crewai_trace.store.writer import RUN_NAME

BEGUN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def test_runs_are_in_the_order_of_their_names():
    """Also those that begin in the same second; of the first and last microsecond the name is as long as any other."""
    begun = [BEGUN + timedelta(microseconds=number) for number in (0, 1, 2, 500_000, 999_998, 999_999, 1_000_000)]
    names = [run_name(at) for at in begun]
    assert names == sorted(names)
    assert all(RUN_NAME.fullmatch(name) for name in names)
    assert len({run_name(BEGUN) for _ in range(200)}) > 1

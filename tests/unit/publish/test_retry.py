"""S23, S24: when to try again."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crewai_trace.publish.retry import LONGEST_PAUSE, Timing, retry_after

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (None, None),
        ("3", 3),
        (" 3 ", 3),
        ("0", 0),
        ("1.5", 1.5),
        ("1000000000", LONGEST_PAUSE),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e9", None),
        ("٣", None),
        ("1_0", None),
        ("soon", None),
        ("", None),
        ("Mon, 23 Nov 2026 12:00:04 GMT", 4),
        ("Mon, 23 Nov 2026 12:00:04", 4),
        ("Mon, 23 Nov 2026 14:00:05 +0200", 5),
        ("Mon, 23 Nov 2026 11:00:00 GMT", None),
        ("Mon, 23 Nov 2099 11:00:00 GMT", LONGEST_PAUSE),
        ("Mon, 31 Feb 2026 11:00:00 GMT", None),
    ],
)
def test_what_a_server_asks_for(asked, seconds):
    assert retry_after(asked, NOW) == seconds


@given(st.text() | st.text("0123456789.-+eE: ,GMTNov"))
def test_s24_whatever_it_is_the_pause_is_bounded(asked):
    assert 0.25 <= Timing(now=lambda: NOW).pause(1, asked) <= LONGEST_PAUSE


@given(st.floats(0, 1), st.integers(1, 60))
def test_s23_pauses_grow_to_a_bound_and_are_jittered(jitter, tried):
    pause = Timing(jitter=lambda: jitter).pause(tried, None)
    assert 0.25 <= pause <= LONGEST_PAUSE
    assert pause == pytest.approx(min(0.5 * 2 ** (tried - 1), LONGEST_PAUSE) * (0.5 + jitter / 2))

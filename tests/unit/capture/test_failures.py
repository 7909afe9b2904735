"""What the event of a failure says of its exception."""

from __future__ import annotations

import pytest

from pytest_crewai_trace.capture.failures import failure


class Falsy(ValueError):
    def __bool__(self):
        return False


class Empty(ValueError):
    def __len__(self):
        return 0


@pytest.mark.parametrize("error", [ValueError, Falsy, Empty])
def test_an_exception_is_found_whatever_its_truth_value(error):
    with pytest.raises(error) as caught:
        raise error("boom")
    at_hand = failure({"error": caught.value})
    try:
        raise error("boom")
    except error:
        handled = failure({"error": "Failed: boom"})

    assert [found["type"] for found in (at_hand, handled)] == [error.__name__] * 2
    assert 'raise error("boom")' in handled["traceback"]

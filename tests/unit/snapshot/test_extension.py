"""The names of snapshot files."""

from __future__ import annotations

import pytest

from pytest_crewai_trace.snapshot.extension import file_name


@pytest.mark.parametrize("name", ["CON", "aux", "NUL.first", "com1", "...", "", "\u202e", "a/../b", "x" * 300])
def test_s57_a_name_that_is_no_file_name_becomes_one(name):
    """On Windows too: no device, no dot or space at the end, nothing that leads elsewhere."""
    made = file_name(name)

    assert made != name
    assert made.isprintable()
    assert len(made.encode()) <= 200
    assert not set('\\/?*:|"<>') & set(made)
    assert made.split(".")[0].upper() not in ("CON", "AUX", "NUL", "COM1")
    assert made == made.rstrip(". ")


def test_names_that_clean_to_the_same_differ():
    assert len({file_name("a/b"), file_name("a:b"), file_name("ab")}) == 3

"""Every number of the scoreboard has a test, and the table says how it went."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import scoreboard

TESTS = Path(__file__).parents[1]


def test_every_number_has_a_test():
    named = (numbers for file in TESTS.rglob("test_*.py") for _, numbers in scoreboard.named_in(file))
    carried = set().union(*named)

    assert list(scoreboard.titles()) == [f"S{number:02}" for number in range(1, 79)]
    assert sorted(set(scoreboard.titles()) - carried) == []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("test_s36_s43_a_truncated_file", {"S36", "S43"}),
        ("S02, S05: with everything on", {"S02", "S05"}),
        ("S63 - S65", {"S63", "S64", "S65"}),
        ("S09 to S11", {"S09", "S10", "S11"}),
        ("test_it[S15 refused]", {"S15"}),
        ("sha S256, CSS36, test_s100_x, S3", set()),
    ],
)
def test_numbers_in_names_and_docstrings(text, numbers):
    assert scoreboard.numbers_in(text) == numbers


@pytest.fixture
def board(pytester, monkeypatch):
    """A suite of its own that uses the plugin."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile("""
        import pytest

        def test_s01_passes(): pass
        def test_s01_fails(): assert False
        def test_plain(): pass
        def test_with_docstring():
            "S02 - S03"
        @pytest.mark.parametrize("n", [1, 2])
        def test_s04(n): pass
        @pytest.fixture
        def broken():
            yield
            raise ValueError
        def test_s05(broken): pass
        @pytest.mark.skip
        def test_s06(): pass
        @pytest.mark.skip
        def test_s04_elsewhere(): pass
    """)
    return lambda *arguments: pytester.runpytest("-p", "tests.scoreboard", "-p", "no:cacheprovider", *arguments)


@pytest.mark.parametrize("more", [(), ("-p", "xdist", "-n", "1")], ids=["here", "worker"])
def test_the_table(board, more):
    result = board("--scoreboard", *more)

    result.stdout.fnmatch_lines(
        [
            "S01  failed   *  test_the_table.py::test_s01_fails",
            "S02  passed   *  test_the_table.py::test_with_docstring",
            "S03  passed   *  test_the_table.py::test_with_docstring",
            "S04  passed   *  test_the_table.py::test_s04",
            "S05  failed   *  test_the_table.py::test_s05",
            "S06  skipped  *  test_the_table.py::test_s06",
            "S07  no test *",
            "3 passed, 2 failed, 1 skipped, 72 no test",
        ]
    )


def test_numbers_choose_tests(board):
    board("-k", "S03").assert_outcomes(passed=1, deselected=8)
    board("-m", "scoreboard").assert_outcomes(passed=5, failed=1, errors=1, skipped=2, deselected=1)

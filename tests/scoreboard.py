"""The scoreboard (docs/scoreboard.md): which tests carry which number, and how they went.

A pytest plugin: ``-k S36`` finds the tests that carry a number in their name or docstring, ``-m scoreboard`` all of
them, and ``--scoreboard`` ends a run with the table. With xdist too: the numbers travel on the reports.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "scoreboard.md"
# A number as it stands in a name (test_s36_s43_...) or a docstring (S34 - S37, S02).
_NUMBER = re.compile(r"(?<![A-Za-z0-9])[Ss](\d\d)(?:\s?(?:-|to|\u2013)\s?S(\d\d))?(?!\d)")
_ROW = re.compile(r"(?m)^\| (S\d\d) \| (.+) \|$")


def numbers_in(text: str) -> set[str]:
    """The numbers that a text names, ranges as each of theirs."""
    found = ((int(match[1]), int(match[2] or match[1])) for match in _NUMBER.finditer(text.replace("_", " ")))
    return {f"S{number:02}" for first, last in found for number in range(first, last + 1)}


def titles() -> dict[str, str]:
    """What each number stands for."""
    return dict(_ROW.findall(PAGE.read_text("utf-8")))


def named_in(file: Path) -> Iterator[tuple[str, set[str]]]:
    """The tests of a file that carry a number, without importing it: also in the names of what they are given."""
    module = ast.parse(file.read_text("utf-8"))
    tables = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test"):
            given = [part for one in node.decorator_list for part in ast.walk(one)]
            named = [tables[part.id] for part in given if isinstance(part, ast.Name) and part.id in tables]
            given += [part for one in named for part in ast.walk(one)]
            ids = [part.value for part in given if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            if numbers := numbers_in("\n".join([node.name, ast.get_docstring(node) or "", *ids])):
                yield node.name, numbers


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--scoreboard", action="store_true", help="end with the table of docs/scoreboard.md")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "scoreboard(*numbers): carries numbers of the scoreboard; put there by them")
    if config.getoption("scoreboard") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Scoreboard())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        numbers = sorted(numbers_in(f"{item.name}\n{getattr(getattr(item, 'function', None), '__doc__', None) or ''}"))
        if numbers:
            item.add_marker(pytest.mark.scoreboard(*numbers))
            item.extra_keyword_matches.update(numbers)
            item.user_properties.append(("scoreboard", " ".join(numbers)))


@dataclass
class Row:
    """How the tests of one number went."""

    tests: dict[str, str] = field(default_factory=dict)

    def take(self, test: str, outcome: str) -> None:
        if outcome == "failed" or self.tests.get(test) not in ("failed", "skipped"):
            self.tests[test] = outcome

    @property
    def verdict(self) -> str:
        outcomes = set(self.tests.values())
        return next((outcome for outcome in ("failed", "passed", "skipped") if outcome in outcomes), "no test")

    @property
    def where(self) -> str:
        """The tests that the verdict is of: the first, and how many more."""
        names = [test for test, outcome in self.tests.items() if outcome == self.verdict]
        return "" if not names else names[0] + (f" and {len(names) - 1} more" if names[1:] else "")


class Scoreboard:
    """Gathers the reports of the tests that carry a number."""

    def __init__(self) -> None:
        self.rows = {number: Row() for number in titles()}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        carried = dict(report.user_properties).get("scoreboard", "")
        test = report.nodeid.partition("[")[0]
        for number in str(carried).split():
            if number in self.rows:
                self.rows[number].take(test, report.outcome)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("scoreboard")
        for line in self.lines():
            terminalreporter.line(line)

    def lines(self) -> Iterator[str]:
        """The table, and its sum."""
        width = max(map(len, titles().values()))
        for number, title in titles().items():
            row = self.rows[number]
            yield f"{number}  {row.verdict:<7}  {title:<{width}}  {row.where}".rstrip()
        verdicts = [row.verdict for row in self.rows.values()]
        kinds = ("passed", "failed", "skipped", "no test")
        yield ", ".join(f"{verdicts.count(kind)} {kind}" for kind in kinds if kind in verdicts)

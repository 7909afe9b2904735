"""docs/assertions.md: every assertion is there, and fails with the message that stands below it."""

from __future__ import annotations

import inspect
import re
import textwrap
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

from pytest_crewai_trace import Expectation
from tests.docs.test_code_blocks import REPOSITORY, files_of

PAGE = REPOSITORY / "docs" / "assertions.md"
FAILURE = re.compile(
    r"(?ms)^<!-- not run: fails as below -->\n```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<text>.*?)^```\n)?"
)
PROMPT = re.compile(r"(the prompt ends with|the last one:) .*")
TIME = re.compile(r"\d+\.\d\d s\b")


def failures(page: str) -> list[tuple[str, str]]:
    """What fails on the page, and the message below it."""
    return [(found["code"], found["text"] or "") for found in FAILURE.finditer(page)]


def module(page: Path) -> str:
    """The page's own module, and a test for each failure that writes down what it says."""
    (code,) = files_of(page).values()
    fixtures = re.findall(r"@pytest\.fixture\ndef (\w+)", code)
    for number, (failing, _) in enumerate(failures(page.read_text("utf-8"))):
        used = [name for name in fixtures if re.search(rf"\b{name}\b", failing)]
        code += f"\n\ndef test_failure_{number}({', '.join(used)}):\n{textwrap.indent(failing, '    ')}\n"
    return code


class Reports:
    """Keeps what each failing test says."""

    def __init__(self) -> None:
        self.messages: dict[int, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        number = re.search(r"test_failure_(\d+)$", report.nodeid)
        if number and report.when == "call":
            lines = [line[4:].rstrip() for line in str(report.longrepr).splitlines() if line.startswith("E  ")]
            message = "\n".join(lines).rstrip()
            self.messages[int(number[1])] = re.sub(r"^(pytest_crewai_trace\.errors\.)?\w+Error: ", "", message)


def anywhere(message: str) -> str:
    """A message without times, and without crewAI's own words in prompts."""
    return PROMPT.sub(r"\1 ...", TIME.sub("0.00 s", message))


def run(pytester: pytest.Pytester) -> dict[int, str]:
    """The message of each failure of the page, as pytest shows it."""
    pytester.makepyfile(test_page=module(PAGE))
    reports = Reports()
    pytester.runpytest_inprocess(
        *("-vv", "--tb=short", "-k", "failure", "-p", "no:randomly", "-p", "no:playwright"), plugins=[reports]
    )
    return reports.messages


@pytest.mark.skipif(
    Version(version("crewai")) < Version("1.15.21"), reason="an older crewAI tries again in another way"
)
def test_every_message_is_what_it_says(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY))
    expected = [text.rstrip() for _, text in failures(PAGE.read_text("utf-8"))]

    messages = run(pytester)

    assert len(messages) == len(expected)
    assert [anywhere(messages[number]) for number in range(len(expected))] == [anywhere(text) for text in expected]


def test_every_assertion_is_on_the_page() -> None:
    page = PAGE.read_text("utf-8")
    methods = {
        name: inspect.signature(method)
        for name, method in vars(Expectation).items()
        if not name.startswith("_") and callable(method)
    }
    assert len(methods) >= 24
    failing = "\n".join(code for code, _ in failures(page))
    for name, signature in methods.items():
        heading = re.search(rf"^### .*`{name}\((.*?)\)`", page, re.MULTILINE)
        assert heading, name
        assert re.findall(r"\w+", heading[1].replace("=3", "")) == [p for p in signature.parameters if p != "self"], (
            name
        )
        assert f".{name}(" in failing, name

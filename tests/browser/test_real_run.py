"""The viewer of tests that really ran: crews, a flow with parallel branches, a failure, an error, 2,000 spans."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
from crewai.flow.flow import Flow, and_, listen, start
from tests.support.crews import agent, one_agent_crew, search
from tests.support.llm import ScriptedLLM, final, react

class Review(Flow):
    @start()
    def left(self):
        return ScriptedLLM("left").call("go left")

    @start()
    def right(self):
        return ScriptedLLM("right").call("go right")

    @listen(and_(left, right))
    def both(self):
        return "both"

def test_crew():
    replies = [react("search", query="AI"), final("Three articles were found.")]
    one_agent_crew(ScriptedLLM(*replies), tools=[search]).kickoff(inputs={"topic": "AI"})

def test_flow():
    Review().kickoff()

class Count(Flow):
    @start()
    def count(self):
        model = ScriptedLLM(*[f"number {number}" for number in range(2_000)])
        for number in range(2_000):
            model.call("count")

def test_large():
    Count().kickoff()

def test_failing():
    one_agent_crew(ScriptedLLM(final("nothing"))).kickoff(inputs={"topic": "AI"})
    assert False, "no article"

def test_raising():
    one_agent_crew(ScriptedLLM(*[ConnectionError("model down")] * 9)).kickoff(inputs={"topic": "AI"})
"""


@pytest.fixture
def viewer(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(test_it=TESTS)
    quiet = ("-p", "no:randomly", "-p", "no:playwright")
    result = pytester.runpytest_subprocess("--crewai-trace-html=traces.html", *quiet, timeout=240)
    result.assert_outcomes(passed=3, failed=2)
    return pytester.path / "traces.html"


def test_a_run_of_real_crews(opened, viewer):
    page = opened(viewer)
    names = page.locator("#tests .row > div:first-child .name").all_inner_texts()
    assert names == ["test_failing", "test_raising", "test_crew", "test_flow", "test_large"]

    page.locator("#tests .row", has_text="test_raising").click()
    assert "ConnectionError: model down" in page.locator("#span .error").inner_text()
    page.get_by_text("Traceback").click()
    assert "tests/support/llm.py" in page.locator("#span .error details pre").inner_text()

    page.locator("#tests .row", has_text="test_crew").click()
    page.get_by_role("treeitem", name="llm").last.click()
    said = page.locator("#span .message").last.inner_text()
    assert "Three articles were found." in said
    page.get_by_role("treeitem", name="tool search").click()
    assert "results for AI" in page.locator("#span").inner_text()

    page.locator("#tests .row", has_text="test_flow").click()
    assert page.get_by_role("treeitem", name="method").count() == 3

    page.locator("#tests .row", has_text="test_large").click()
    page.get_by_role("button", name="Expand all").click()
    page.locator("#timeline").focus()
    page.keyboard.press("End")
    last = page.locator("#timeline .row[aria-selected=true]")
    assert (last.get_attribute("aria-posinset"), last.get_attribute("aria-setsize")) == ("2000", "2000")
    assert "number 1999" in page.locator("#span .message.answer").inner_text()
    assert page.locator("#timeline .row").count() < 60

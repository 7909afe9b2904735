"""The viewer in a real Chromium. Every page is checked for requests, messages and scripts that are not ours."""

from __future__ import annotations

import pytest

from pytest_crewai_trace.trace.trace import Trace
from tests.support.spans import span, trace
from tests.support.viewer import BEFORE, RUN, call


def names(page):
    return [row.inner_text() for row in page.locator("#tests .row > div:first-child .name").all()]


def open_test(page, name):
    page.locator("#tests .row", has_text=name).first.click()
    page.wait_for_selector("#timeline .row")


def spans(page):
    return page.locator("#timeline .row").all()


def active(page):
    """What a screen reader would say of the row that is active."""
    box = page.evaluate("document.activeElement.getAttribute('aria-activedescendant')")
    return page.evaluate("id => document.getElementById(id).getAttribute('aria-label')", box)


def test_the_list_shows_failed_tests_first(opened, mixed):
    page = opened(mixed)
    assert names(page) == ["test_failing", "test_raising", "test_research", "test_parallel", "test_large"]
    first = page.locator("#tests .row").first.inner_text()
    assert "AssertionError: expected: no errors" in first
    assert page.locator("#summary").inner_text().startswith("5 tests · 2 failed · ")


def test_filter_search_and_order(opened, mixed):
    page = opened(mixed)
    page.get_by_role("button", name="error 1").click()
    assert names(page) == ["test_raising"]
    page.get_by_role("button", name="failed 1").click()
    assert names(page) == ["test_failing", "test_raising"]
    page.get_by_role("button", name="error 1").click()
    page.get_by_role("button", name="failed 1").click()
    page.fill("#search", "WRITER test_crew")
    assert names(page) == ["test_research"]
    assert page.locator("#matches").inner_text() == "1 of 5 tests"
    page.fill("#search", "no such test")
    assert names(page) == []
    page.fill("#search", "")
    page.select_option("#order", "tokens")
    assert names(page)[:2] == ["test_large", "test_research"]


def test_totals_of_the_run(opened, mixed):
    page = opened(mixed)
    table = page.get_by_role("table", name="By agent")
    assert table.get_by_role("row", name="Researcher").inner_text().split("\t")[:4] == [
        "Researcher",
        "2",
        "0",
        "14.00 s",
    ]
    assert (
        page.get_by_role("table", name="By tool").get_by_role("row", name="fetch").inner_text().split("\t")[2] == "✕ 1"
    )
    assert "2,000 spans" not in page.locator("main").inner_text()


def test_a_failed_test_opens_where_it_failed(opened, mixed):
    page = opened(mixed)
    open_test(page, "test_failing")
    assert "actual: 1 span failed" in page.locator("main section.error").first.inner_text()
    assert page.locator("#span h3").inner_text() == "tool fetch"
    assert "RuntimeError: too slow" in page.locator("#span").inner_text()
    assert page.locator("#span h4").all_inner_texts() == ["Error", "Arguments"]
    assert "https://example.org/long" in page.locator("#span").inner_text()
    page.locator("#timeline .row").first.click()
    assert page.locator("#span h3").inner_text() == "crew crew"
    page.get_by_role("button", name="Where it failed").click()
    assert page.locator("#span h3").inner_text() == "tool fetch"


def test_the_conversation_comes_first(opened, folder):
    offered = ({"name": "search"},)
    folder.keep(
        "t.py::test", "passed", trace(call(tool_definitions=offered, parameters={"seed": 7}, call_type="llm_call"))
    )
    page = opened(folder.view())
    page.wait_for_selector("#timeline .row")
    page.locator("#timeline .row").click()
    assert page.locator("#span h4").all_inner_texts() == ["Conversation", "Tools that were offered", "Parameters"]
    assert "Kind of call\nllm_call" in page.locator("#span dl.facts").first.inner_text()


def test_the_list_says_what_failed_without_the_modules_of_the_error(opened, folder):
    messages = [
        "pytest_crewai_trace.errors.TraceAssertionError: expected: no errors\nactual: 1",
        "httpx.ConnectError: down",
    ]
    for number, message in enumerate([*messages, "assert a.b.C == 1"]):
        folder.keep(f"t.py::test_{number}", "failed", trace(span("tool", "a")), message=message)
    page = opened(folder.view())
    told = page.locator("#tests .row .quiet .name").all_inner_texts()
    assert told == ["expected: no errors", "ConnectError: down", "assert a.b.C == 1"]
    page.locator("#tests .row").first.click()
    assert messages[0] in page.locator("main section.error").inner_text()


def test_tokens_cost_and_the_conversation(opened, mixed):
    page = opened(mixed)
    open_test(page, "test_research")
    page.get_by_role("treeitem", name="llm gpt-4o-mini").nth(1).click()
    panel = page.locator("#span")
    facts = dict(zip(panel.locator("dt").all_inner_texts(), panel.locator("dd").all_inner_texts(), strict=False))
    assert (facts["Tokens"], facts["Input"], facts["Cost"]) == ("1,200 tokens", "1,000", "$0.00027")
    said = [message.inner_text() for message in panel.locator(".message").all()]
    assert [text.split("\n")[0].lower() for text in said] == ["system", "user", "assistant", "tool", "answer"]
    assert "calls search" in said[2]
    assert "Three articles were found." in said[4]


def test_parallel_branches_stand_beside_each_other_on_one_scale(opened, mixed):
    page = opened(mixed)
    open_test(page, "test_parallel")
    left, right = (
        page.get_by_role("treeitem", name=f"method {name},").locator(".bar").bounding_box()
        for name in ("left", "right")
    )
    track = page.locator(".track").first.bounding_box()
    assert left["y"] < right["y"]
    assert left["x"] < right["x"] < left["x"] + left["width"]
    # Eleven moments: the left branch began at the third and ended at the seventh.
    assert left["width"] / track["width"] == pytest.approx(3 / 11, abs=0.1)
    assert "did not end" in page.get_by_role("treeitem", name="method waits").get_attribute("aria-label")


def test_expand_and_collapse(opened, mixed):
    page = opened(mixed)
    open_test(page, "test_research")
    assert len(spans(page)) == 9
    page.get_by_role("treeitem", name="task research").locator(".fold").click()
    assert len(spans(page)) == 5
    page.get_by_role("button", name="Collapse all").click()
    assert len(spans(page)) == 1
    page.get_by_role("button", name="Expand all").click()
    assert len(spans(page)) == 9


def test_only_what_is_in_view_is_rendered(opened, mixed):
    page = opened(mixed)
    open_test(page, "test_large")
    page.get_by_role("button", name="Expand all").click()
    page.locator("#timeline").focus()
    page.keyboard.press("End")
    assert active(page).startswith("tool tool 1996")
    assert page.locator("#timeline .row").count() < 60
    assert page.locator("#timeline .row[aria-selected=true]").get_attribute("aria-posinset") == "1997"
    assert page.locator("#timeline .row[aria-selected=true]").get_attribute("aria-setsize") == "1997"


def test_the_keyboard_alone_suffices(opened, mixed):
    page = opened(mixed)
    press = page.keyboard.press
    press("/")
    page.keyboard.type("test_")
    press("ArrowDown")
    assert active(page).startswith("failed, tests/test_crew.py::test_failing")
    press("ArrowDown")
    press("ArrowDown")
    press("Enter")
    page.wait_for_selector("#timeline .row")
    assert page.evaluate("document.activeElement.innerText").endswith("test_research")
    while page.evaluate("document.activeElement.id") != "timeline":
        press("Tab")
    press("Home")
    assert active(page).startswith("crew crew")
    press("ArrowLeft")
    assert page.locator("#timeline .row").first.get_attribute("aria-expanded") == "false"
    press("ArrowRight")
    press("ArrowRight")
    assert active(page).startswith("task research")
    for _ in range(3):
        press("ArrowDown")
    assert active(page).startswith("tool search")
    press("Enter")
    assert page.evaluate("document.activeElement.innerText") == "tool search"
    press("Escape")
    assert page.evaluate("document.activeElement.id") == "timeline"
    press("ArrowLeft")
    assert active(page).startswith("agent Researcher")
    press("Escape")
    assert page.evaluate("document.activeElement.id") == "tests"
    press("Home")
    press("Enter")
    page.wait_for_selector("#timeline .marked")
    press("f")
    assert active(page).startswith("tool fetch")


def test_a_test_has_an_address(opened, mixed):
    page = opened(mixed)
    open_test(page, "test_parallel")
    page.get_by_role("treeitem", name="method left").click()
    where = "#" + page.url.partition("#")[2]
    again = opened(mixed, where=where)
    again.wait_for_selector("#timeline .row")
    assert again.locator("#span h3").inner_text() == "method left"
    page.go_back()
    page.wait_for_selector("main table")
    nowhere = opened(mixed, where="#no-such-test/%zz")
    assert nowhere.locator("main h2").inner_text() == "The whole run"


def test_compared_with_an_earlier_run(opened, folder):
    folder.keep("t.py::test", "passed", trace(span("tool", "before")), run=BEFORE)
    folder.keep("t.py::test", "failed", trace(span("tool", "now")), run=RUN)
    page = opened(folder.view())
    page.locator("#tests .row", has_text="failed").click()
    page.get_by_text("Compared with the run that passed").click()
    assert "before" in page.locator(".diff .gone").first.inner_text()
    assert "now" in page.locator(".diff .new").first.inner_text()


def test_one_test_is_open_at_once(opened, folder):
    folder.keep("t.py::test", "passed", trace(span("tool", "only")))
    page = opened(folder.view())
    page.wait_for_selector("#timeline .row")


def test_no_trace_at_all(opened, folder):
    folder.path.mkdir()
    page = opened(folder.view())
    assert page.locator("#summary").inner_text() == "0 tests · none failed · 0 LLM calls"


def test_a_damaged_trace_is_told(opened, folder):
    folder.keep("t.py::one", "passed", trace(span("tool", "a")))
    folder.keep("t.py::two", "passed", trace(span("tool", "b")))
    path = folder.view()
    text = path.read_text("utf-8")
    start = text.index('id="trace-0">"') + len('id="trace-0">"')
    path.write_text(text[:start] + "AAAA" + text[start + 4 :], "utf-8")
    page = opened(path)
    page.locator("#tests .row").first.click()
    assert "cannot be read" in page.get_by_role("alert").inner_text()
    open_test(page, "two")


def test_a_browser_that_cannot_unpack(browser, mixed):
    context = browser.new_context()
    context.add_init_script("delete window.DecompressionStream")
    page = context.new_page()
    page.goto(mixed.as_uri())
    assert "this browser cannot unpack gzip" in page.get_by_role("alert").inner_text()
    context.close()


def test_without_javascript(browser, mixed):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(mixed.as_uri())
    assert "with JavaScript, which is off" in page.locator("noscript").inner_text()
    context.close()


PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def test_a_phone(opened, mixed):
    page = opened(mixed, **PHONE)
    page.locator("#tests .row", has_text="test_failing").tap()
    page.wait_for_selector("#timeline .row")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert not page.locator("#tests").is_visible()
    page.get_by_role("button", name="All tests").tap()
    page.wait_for_selector("#tests .row")


@pytest.mark.parametrize("device", [{}, PHONE], ids=["mouse", "finger"])
def test_the_first_row_that_is_touched_is_opened(opened, folder, device):
    """Also where the list was scrolled before it had the focus."""
    for number in range(40):
        folder.keep(f"t.py::test_{number:02}", "passed", trace(span("tool", "a")))
    page = opened(folder.view(), **device)
    page.evaluate("document.querySelector('#tests').scrollTop = 1e6")
    row = page.locator("#tests .row", has_text="test_37")
    (row.tap if device else row.click)()
    page.wait_for_selector("#timeline .row")
    assert page.title() == "passed: t.py::test_37"


def test_the_next_test_and_the_one_before(opened, mixed):
    page = opened(mixed)
    titles = []
    for key in "nnpp":
        page.keyboard.press(key)
        page.wait_for_selector("#timeline .row")
        titles.append(page.title().rpartition("::")[2])
    assert titles == ["test_failing", "test_raising", "test_failing", "test_failing"]
    assert page.evaluate("document.activeElement.innerText").endswith("test_failing")


def test_the_scale_begins_with_the_first_span_and_has_round_marks(opened, folder):
    """What a test did before, such as imports, takes no room."""
    made = trace(span("crew", "crew", span("tool", "a"), span("tool", "b")))
    moved = [one.model_copy(update={"start": one.start + 30, "end": one.end + 30}) for one in made.all_spans]
    folder.keep("t.py::test", "passed", Trace(all_spans=moved))
    page = opened(folder.view())
    page.wait_for_selector("#timeline .row")
    assert page.locator(".marks > span").all_inner_texts() == ["0", "1 s", "2 s", "3 s", "4 s", "5 s"]
    track, bar = (page.locator(f"#timeline {one}").first.bounding_box() for one in (".track", ".bar"))
    assert (bar["x"], bar["width"]) == pytest.approx((track["x"], track["width"]), abs=1)
    assert page.locator("dl.facts").first.inner_text().replace("\n", " ").endswith("before the first span 30.00 s")
    page.get_by_role("treeitem", name="tool b").click()
    assert "Began after\n3.00 s" in page.locator("#span").inner_text()


def test_times_and_the_marks_of_scales(opened, mixed):
    page = opened(mixed)
    told = page.evaluate("[0, 0.0004, 0.0099, 0.0123, 0.9996, 59.99, 59.999, 119.7, 125, 3600].map(seconds)")
    assert told == ["0 ms", "0.4 ms", "9.9 ms", "12 ms", "1.00 s", "59.99 s", "1 min", "2 min", "2 min 5 s", "60 min"]
    marks = page.evaluate(
        "[0, 0.013, 11, 59, 60, 400, 4000, 1e6].map((end) => moments(end).map((one) => +one.toFixed(9)))"
    )
    assert marks[:5] == [
        [0],
        [0, 0.005, 0.01],
        [0, 2, 4, 6, 8, 10],
        [0, 10, 20, 30, 40, 50],
        [0, 20, 40, 60],
    ]
    assert all(len(each) <= 7 for each in marks)


def test_messages_that_an_earlier_call_had_are_folded(opened, folder):
    from pytest_crewai_trace.trace.messages import Messages

    first = Messages([{"role": "user", "content": f"message {number}"} for number in range(3)])
    second = Messages([{"role": "user", "content": "message 3"}], first, 3)
    third = Messages([{"role": "user", "content": "other"}], second, 2)
    folder.keep("t.py::test", "passed", trace(call(messages=first), call(messages=second), call(messages=third)))
    page = opened(folder.view())
    page.wait_for_selector("#timeline .row")
    page.locator("#timeline .row").nth(2).click()
    assert "message 0" not in page.locator("#span").inner_text()
    page.get_by_text("2 messages that an earlier call had too").click()
    page.get_by_text("message 0").wait_for()
    assert page.locator("#span .message pre").all_inner_texts() == ["message 0", "message 1", "other", "done"]

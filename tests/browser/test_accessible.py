"""Without a mouse, with a screen reader, with poor eyes: what can be told of it without a person."""

from __future__ import annotations

from importlib import resources

import pytest

from tests.browser.test_viewer import open_test
from tests.support.viewer import OPEN_ALL


def test_every_control_says_what_it_is(opened, mixed):
    page = opened(mixed)
    open_test(page, "test_failing")
    nameless = page.evaluate(NAMELESS)
    assert nameless == []
    assert page.locator("main h2").count() == 1
    assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_in_both_schemes(opened, mixed, scheme):
    """At least 4.5 to 1 between every text and what is behind it (WCAG AA)."""
    page = opened(mixed, color_scheme=scheme)
    open_test(page, "test_failing")
    poor = page.evaluate(CONTRAST)
    assert poor == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_axe_finds_nothing(opened, mixed, scheme, width):
    """Names, roles, headings, landmarks, what scrolls, contrast: the rules of https://github.com/dequelabs/axe-core."""
    files = resources.files(pytest.importorskip("axe_playwright_python", reason="axe is not installed"))
    axe = files.joinpath("axe.min.js").read_text("utf-8")
    page = opened(mixed, viewport={"width": width, "height": 800}, color_scheme=scheme)
    found = [_violations(page, axe)]
    open_test(page, "test_research")
    page.get_by_role("treeitem", name="llm").last.click()
    page.evaluate(OPEN_ALL)
    found.append(_violations(page, axe))
    assert found == [[], []]


def _violations(page, axe):
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    return [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found["violations"]]


def test_who_uses_the_keyboard_sees_where_the_focus_is(opened, mixed):
    """Every stop of the Tab key has an outline that is in view, and all of the page can be reached."""
    page = opened(mixed)
    open_test(page, "test_failing")
    page = opened(mixed, where="#" + page.url.partition("#")[2])
    page.wait_for_selector("#timeline .row")
    stops = []
    while (stop := _focused(page)) is not None:
        stops.append(stop)
    names = [name for name, *_ in stops]
    assert [stop for stop in stops if stop[1:] != [True, True]] == []
    assert {
        "Skip to the trace",
        "Keys",
        "search",
        "order",
        "tests",
        "Where it failed",
        "Expand all",
        "timeline",
    } <= set(names)


def _focused(page):
    """Press Tab: what has the focus, whether an outline says so, whether it is in view; ``None`` after the last."""
    page.keyboard.press("Tab")
    return page.evaluate(FOCUSED)


FOCUSED = """() => {
  const one = document.activeElement;
  if (one === document.body || one.dataset.seen) return null;
  one.dataset.seen = "yes";
  const shown = document.getElementById(one.getAttribute("aria-activedescendant")) ?? one;
  const style = getComputedStyle(shown);
  const { top, left } = one.getBoundingClientRect();
  const told = style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2;
  return [one.id || one.innerText.trim(), told, top < innerHeight && left >= 0 && left < innerWidth];
}"""
NAMELESS = """() => {
  const named = (one) => one.ariaLabel || one.innerText.trim() || one.labels?.length;
  const silent = ["presentation", "status", "alert"];
  return [...document.querySelectorAll("button, input, select, summary, [tabindex='0'], [role]")]
    .filter((one) => !silent.includes(one.getAttribute("role")) && !named(one)).map((one) => one.outerHTML);
}"""
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const back = parse(getComputedStyle(at).backgroundColor);
      if (back.length === 3 || back[3] === 1) return back;
    }
    return [255, 255, 255];
  };
  const told = (one) => [...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  const poor = [];
  for (const one of document.querySelectorAll("body *")) {
    if (!one.checkVisibility() || !told(one) || one.closest("script, style, option")) continue;
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${one.className} ${one.textContent.trim().slice(0, 20)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""

"""What models, tools and test ids say is hostile text. The fixture ``opened`` fails on any script, dialog, request."""

from __future__ import annotations

from pytest_crewai_trace.trace.values import Error, SpanEvent
from tests.support.spans import span, trace
from tests.support.viewer import OPEN_ALL, call

MARKUP = {
    "script": "</script><script>alert('script')</script>",
    "comment": "<!--<script>alert('comment')",
    "image": "<img src=x onerror=alert('image')>",
    "svg": "<svg/onload=alert('svg')>",
    "frame": "<iframe src=https://example.org/></iframe>",
    "link": "<a href=\"javascript:alert('link')\">click</a><base href=https://example.org/>",
    "style": "</style><link rel=stylesheet href=https://example.org/x.css>",
    "meta": "<meta http-equiv=refresh content='0;url=https://example.org/'>",
    "attribute": '" onmouseover="alert(\'attribute\')" autofocus onfocus="alert(\'focus\')" x="',
    "template": "{{ 7*7 }}${alert('template')}{% for x in y %}",
    "json": '"</script>\\u003c/script>',
    "address": "https://example.org/pixel.png ![](https://example.org/pixel.png)",
    "prototype": "__proto__",
    "terminal": "\x1b[31mred\x1b]8;;https://example.org\x07link\x07 \x9b1m [bold]rich[/bold] [link=https://example.org]x[/link]",
    "workflow": "::error::no\n::set-output name=x::y",
    "markdown": "| a | b |\n```\n@everyone <details open ontoggle=alert(1)>",
}
HIDDEN = "a\u202eb\u2066c\u200bd\ufeffe\x85f\x9bg\x00h\ri\bj\U000e0041k"
NOT_OURS = "img, svg, iframe, a:not(.skip), base, link:not([rel=icon]), form, script:not([type]):not(:last-of-type)"


def everywhere(text):
    """A trace that has a text in every place that takes one."""
    said = [
        {"role": text, "content": text, text: text},
        {"role": "user", "content": [{"type": "text", "text": text}, {"type": text, text: text}]},
    ]
    model = call(
        text,
        messages=said,
        model=text,
        requested_tool_calls=[{"name": text, "arguments": {text: text}}],
        tool_definitions=({text: text},),
        parameters={text: text},
        finish_reason=text,
    )
    tool = span(
        "tool",
        text,
        arguments={text: text, "deep": [[{text: [text]}]]},
        result=text,
        error=Error(type=text, message=text, traceback=text),
        events=(SpanEvent(name=text, attributes={text: text}, note=text),),
    )
    agent = span("agent", text, model, tool, agent_role=text, task_name=text, prompt=text, available_tools=(text,))
    task = span("task", text, agent, description=text, output=text, output_data={text: text})
    event = SpanEvent(name=text, attributes={text: text})
    return trace(span("crew", text, task, inputs={text: text}), incomplete=(text,), events=(event,))


def shown_in(page, place):
    """Open a test, each of its spans and each folded part; all that there was to read."""
    page.keyboard.press("Escape")
    page.locator("#tests .row").nth(place).hover()
    page.locator("#tests .row").nth(place).click()
    page.wait_for_selector("#timeline .row")
    read = ""
    for number in range(page.locator("#timeline .row").count()):
        page.locator("#timeline .row").nth(number).click()
        page.evaluate(OPEN_ALL)
        read += page.locator("main").inner_text() + page.title()
        assert page.locator(NOT_OURS).count() == 0
    return read


def test_markup_stays_text(opened, folder):
    """S51 S52 S53 S54 S55: in every place, of every kind."""
    for name, text in MARKUP.items():
        facts = {"message": text, "versions": {"python": text}, "git": {"branch": text}, "ci": {"name": text}}
        folder.keep(f"tests/test_it.py::test[{text}]", "failed", everywhere(text), **facts)
        (folder.path / f"{name}.jsonl").write_text(text, "utf-8")
    page = opened(folder.view(), viewport={"width": 1280, "height": 2_000})
    assert page.locator("#tests .row").count() == len(MARKUP)
    read = "".join(shown_in(page, place) for place in range(len(MARKUP)))
    for text in MARKUP.values():
        if text.isprintable():
            assert text in read
    assert "\\x1b[31mred\\x1b]8;;https://example.org\\x07link\\x07 \\x9b1m [bold]rich[/bold]" in read


def test_what_cannot_be_seen_is_shown_escaped(opened, folder):
    """S51 S58."""
    folder.keep(f"t.py::test[{HIDDEN}]", "failed", everywhere(HIDDEN), message=HIDDEN)
    page = opened(folder.view())
    read = shown_in(page, 0)
    assert "".join(character if character.isprintable() else repr(character)[1:-1] for character in HIDDEN) in read
    everything = page.evaluate("document.documentElement.outerHTML + document.title").replace("\n", "")
    assert [character for character in HIDDEN if not character.isprintable() and character in everything] == []


def test_test_ids_of_every_kind(opened, folder):
    """S57."""
    ids = ["../../etc/passwd", "/absolute::x", "a::CON.", "x" * 3_000, "t::A", "t::a", "t::💥", "::", "t.py::test[::]"]
    for test_id in ids:
        folder.keep(test_id, "passed", trace(span("tool", "a")))
    page = opened(folder.view())
    assert page.locator("#tests .row").count() == len(ids)
    titles = {page.locator("#tests .row").nth(place).get_attribute("title") for place in range(len(ids))}
    assert titles == set(ids)


def test_large_values_are_cut_until_somebody_asks(opened, folder):
    """S60."""
    huge = "word " * 400_000
    many = {f"key {number}": number for number in range(1_000)}
    folder.keep("t.py::test", "passed", trace(span("tool", "a", arguments=many, result=huge)))
    page = opened(folder.view())
    page.wait_for_selector("#timeline .row")
    page.locator("#timeline .row").first.click()
    assert page.evaluate("document.querySelector('#span').textContent.length") < 30_000
    page.get_by_role("button", name="Show all 2,000,000 characters").click()
    assert page.evaluate("document.querySelector('#span').textContent.length") > 2_000_000
    page.get_by_text("900 more items").click()
    page.get_by_text("key 150", exact=True).wait_for()

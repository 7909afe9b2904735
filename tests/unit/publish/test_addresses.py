"""Which addresses are taken, and which are shown."""

from __future__ import annotations

import pytest

from pytest_crewai_trace.publish.addresses import collector_at, origin, page_of

HOSTILE = [
    "https://user@app.crewai.com/t",
    "https://user:password@app.crewai.com/t",
    "https://@app.crewai.com/t",
    "https://app.crewai.com\\@evil.example/t",
    "https://app.crewai.com\n.evil.example/t",
    "https://app.crewai.com/a b",
    "https://app.crewai.com/\x1b[31m",
    "https://app.crewai.com/\u202e",
    "https://app.crewai.com/`",
    "https://app.crewai.com/<script>",
    'https://app.crewai.com/"',
    "https://app.crewai.com:0/",
    "https://app.crewai.com:99999/",
    "https://app.crewai.com:port/",
    "https://[::1/",
    "https://",
    "//app.crewai.com/t",
    "/t",
    "",
    "app.crewai.com/t",
    "ftp://app.crewai.com/t",
    "javascript:alert(1)",
    "https://app.crewai.com/" + "x" * 3_000,
    None,
    7,
    ["https://app.crewai.com/t"],
    b"https://app.crewai.com/t",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_s27_s76_what_is_no_address(value):
    assert page_of(value, "https://app.crewai.com") is None
    assert collector_at(value) is None
    with pytest.raises(ValueError, match="should look like"):
        origin(value)


@pytest.mark.parametrize(
    "page", ["https://app.crewai.com/t/1?x=y#z", "https://APP.crewai.com/t", "https://app.crewai.com:443/t"]
)
def test_s76_a_page_of_the_servers_own(page):
    assert page_of(page, "https://app.crewai.com") == page


@pytest.mark.parametrize(
    "page",
    [
        "http://app.crewai.com/t",
        "https://app.crewai.com:8443/t",
        "https://app.crewai.com.evil.example/t",
        "https://evil.example/https://app.crewai.com/t",
        "https://crewai.com/t",
    ],
)
def test_s76_a_page_of_another_origin(page):
    assert page_of(page, "https://app.crewai.com") is None


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://collector.example/v1/traces", True),
        ("https://10.0.0.1:4318/v1/traces", True),
        ("http://localhost:4318/v1/traces", True),
        ("http://a.localhost./v1", True),
        ("http://127.1.2.3/v1", True),
        ("http://[::1]:4318/v1", True),
        ("http://10.0.0.1/v1", False),
        ("http://localhost.evil.example/v1", False),
        ("http://127.0.0.1.evil.example/v1", False),
        ("http://[::ffff:10.0.0.1]/v1", False),
    ],
)
def test_s27_a_collector_is_https_or_on_this_machine(url, taken):
    assert collector_at(url) == (url if taken else None)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://amp.example", "https://amp.example"),
        ("https://amp.example/", "https://amp.example"),
        ("http://amp.example:3000/some/path?x=y", "http://amp.example:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_a_server_is_its_origin(url, found):
    assert origin(url) == found

"""One headless Chromium for all tests of this folder, and pages that tell what they asked for and executed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.viewer import Folder, fill

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def chromium() -> str | None:
    """CHROMIUM, or what is on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


# Not longer than its package: while it runs, no test of this process could start an event loop.
@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium: install it (apt-get install chromium), or name it in the environment as CHROMIUM")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=executable, args=list(QUIET))
        try:
            yield started
        finally:
            started.close()


@dataclass
class Seen:
    """What a page did: requests besides the file itself, messages of the console, dialogs, scripts."""

    page: Any
    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    scripts: dict[str, str] = field(default_factory=dict)

    def watch(self, url: str) -> None:
        page = self.page
        page.on("request", lambda request: request.url.partition("#")[0] != url and self.requests.append(request.url))
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", lambda dialog: (self.problems.append(dialog.message), dialog.dismiss()))
        page.context.on("page", lambda opened: self.problems.append(f"opened {opened.url}"))
        session = page.context.new_cdp_session(page)
        session.on("Debugger.scriptParsed", self._parsed)
        session.send("Debugger.enable")

    def _parsed(self, script: dict[str, Any]) -> None:
        """Playwright's own have no address, and nothing of the page's has called them."""
        callers = {frame["scriptId"] for frame in script.get("stackTrace", {}).get("callFrames", ())}
        if script["url"] or script["embedderName"] or callers & self.scripts.keys():
            self.scripts[script["scriptId"]] = script["url"] or "evaluated"


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """``opened(path)``: a viewer in a page of its own; at the end, that nothing was asked for but the file."""
    contexts = []
    seen: list[tuple[Seen, str]] = []

    def opened(path: Path, *, where: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        watched = Seen(page)
        url = path.as_uri()
        watched.watch(url)
        seen.append((watched, url))
        page.goto(url + where)
        page.wait_for_selector("main h2, [role=alert]")
        return page

    yield opened
    for context in contexts:
        context.close()
    for watched, url in seen:
        assert watched.requests == []
        assert watched.problems == []
        assert [script.partition("#")[0] for script in watched.scripts.values()] == [url]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "traces")


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The viewer of a mixed run."""
    made = Folder(tmp_path_factory.mktemp("mixed") / "traces")
    fill(made)
    return made.view()

"""The distribution's Chromium for tests of the monitor, and a watch over everything that a page must not do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)

#: For `pytestmark`: without a browser the tests say loudly that they did not run.
needs_browser = pytest.mark.skipif(
    CHROMIUM is None,
    reason="NO BROWSER: the pages were not tested; install it with `apt-get install chromium`",
)

#: A page says within this time that it is live, or that it is not.
PATIENCE_MS = 20_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that asks nothing of the network by itself."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        expect.set_options(timeout=PATIENCE_MS)
        yield browser
        browser.close()


class Watch:
    """Everything a page must not do."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        #: Set while a test breaks the connection itself: a browser then reports it on its console.
        self.cut = False

    def context(self, context: BrowserContext) -> None:
        """Watch every request of this context and every page that it opens."""
        context.on("request", lambda request: self.request(request.url))
        context.on("console", lambda message: self.console(message.type, message.text))
        context.on("weberror", lambda error: self.faults.append(f"script: {error.error}"))

    def request(self, url: str) -> None:
        """Nothing leaves this machine."""
        if urlsplit(url).hostname != "127.0.0.1" and not url.startswith("data:"):
            self.faults.append(f"left this host: {url}")

    def console(self, kind: str, text: str) -> None:
        """Nothing is reported, least of all a broken policy."""
        expected = self.cut and ("net::ERR" in text or "Failed to fetch" in text)
        if kind in ("error", "warning") and not expected:
            self.faults.append(f"console: {text}")


@contextmanager
def watching() -> Iterator[Watch]:
    """Fails at the end of the block if a page did what it must not do."""
    watch = Watch()
    yield watch
    assert watch.faults == []

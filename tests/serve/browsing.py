"""A browser for tests of the page, and what a page of it shows.

Rules: wait by locators, since the page's policy forbids the evaluation that `wait_for_function` is made of; never for a
time alone. playwright is imported only where a browser is started, because `make versions` collects these tests without
it.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

WITHIN_MS: Final = 60_000
FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium(executable: str) -> "Iterator[Browser]":
    """Debian's Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS, timeout=3 * WITHIN_MS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser(outside_part: Callable[[bool, str], None]) -> "Iterator[Browser]":
    """One browser for all tests of the module. Not for the session: while it runs, no other test of this process could
    call asyncio.run."""
    executable = shutil.which("chromium")
    outside_part(executable is not None, "Chromium (chromium)")
    assert executable
    with chromium(executable) as there:
        yield there


class Tab:
    """A tab at the page. refused: requests that failed, which the browser writes about by itself; errors: all other
    complaints."""

    def __init__(self, page: "Page") -> None:
        self.page = page
        self.errors: list[str] = []
        self.refused: list[str] = []
        self.urls: list[str] = []
        page.set_default_timeout(WITHIN_MS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.urls.append(request.url))

    def _console(self, message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning"):
            (self.refused if message.text.startswith("Failed to load resource") else self.errors).append(message.text)

    def open(self, url: str) -> None:
        """Open an address and wait until it is live."""
        self.page.goto(url)
        self.wait("#state[data-state=live]")

    def wait(self, selector: str, text: str = "") -> None:
        """Wait until an element is there, with a text."""
        found = self.page.locator(selector)
        (found.filter(has_text=text) if text else found).first.wait_for()

    def wait_for_bars(self, count: int) -> None:
        """Wait until this many are drawn."""
        self.wait(f"body[data-bars='{count}']")

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what no element shows."""
        until_s = time.monotonic() + WITHIN_MS / 1000
        while not condition():
            assert time.monotonic() < until_s
            self.page.wait_for_timeout(20)

    def text(self, selector: str) -> str:
        """The text of an element."""
        return self.page.locator(selector).inner_text()

    def drawn(self) -> Any:
        """What the library was given to draw: candles, volumes, missing, blanks, and the range of times in view."""
        return self.page.evaluate("import('./app/page.js').then((page) => page.drawn())")

    def bars(self) -> list[Any]:
        """The candles that are drawn."""
        candles: list[Any] = self.drawn()["candles"]
        return candles

    def rows(self) -> list[list[str]]:
        """The table of bars, newest first."""
        if self.page.locator("#table").is_hidden():
            self.page.locator("#as-table").click()
        self.wait("#rows tr")
        return [row.split("\t") for row in self.page.locator("#rows").inner_text().split("\n")]


@pytest.fixture
def tab(browser: "Browser") -> Iterator[Tab]:
    """A new tab without anything remembered; it must not have complained at the end."""
    context = browser.new_context(viewport={"width": 1280, "height": 760})
    opened = Tab(context.new_page())
    yield opened
    context.close()
    assert opened.errors == []


def same_as(bars: list[Any], drawn: list[Any]) -> None:
    """Fails where what is drawn isn't what the server answers."""
    names = ("open", "high", "low", "close")
    assert [[float(bar[name]) for name in names] for bar in bars] == [
        [point[name] for name in names] for point in drawn
    ]

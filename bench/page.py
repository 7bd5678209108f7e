"""The page in a browser: how long 1 000 bars take, and whether its memory stays: `python bench/page.py [--minutes 10]`.
Needs Chromium.

A log of 1 100 synthetic minutes is served by `tradecap serve` as a process of its own, without a store. `drawn` is the
time from the start of the navigation to the frame in which the chart library was given the bars, by the page's own
clock, with an empty cache; the middle of five. Then ten trades a second come in, and every 30 s the page's heap is read
after a forced collection of garbage.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import chain
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tradecap.flows.replay.replay import Choice, look_at, replay
from tradecap.flows.run import Run
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.market.records import Trade, frame, series_head
from tradecap.recordings.reading import Source
from tradecap.venues.binance import synthetic

START_MS = 1_723_161_600_000
MINUTES = 1100
BARS = 1000
RATE = 10
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
PEPE = synthetic.SPOT["PEPEUSDT"]


def trades() -> tuple[list[Trade], Iterator[Trade]]:
    """Those of MINUTES, and those after them."""
    end_us = (START_MS + MINUTES * 60_000) * 1000
    made = synthetic.trades(PEPE, 1, START_MS, START_MS + 10 * 86_400_000)
    first: list[Trade] = []
    for trade in made:
        if trade.trade_time_us >= end_us:
            return first, chain([trade], made)
        first.append(trade)
    raise AssertionError


@contextmanager
def served(log: Log) -> Iterator[str]:
    """The URL of `tradecap serve` over a log alone."""
    command = [
        sys.executable,
        "-m",
        "tradecap",
        "serve",
        "--port",
        "0",
        "--grpc-port",
        "0",
        "--json",
        "--log",
        log.url,
        "--store",
        "chdb:./none",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            first = json.loads(process.stdout.readline())
            while not is_ready(first["url"]):
                time.sleep(0.5)
            yield first["app"]
        finally:
            process.terminate()


def is_ready(url: str) -> bool:
    """Whether the server has read the log to its end."""
    try:
        with urllib.request.urlopen(f"{url}/ready"):
            return True
    except urllib.error.HTTPError:
        return False


def drawn_ms(browser: Browser, url: str) -> float:
    """From the navigation's start until BARS were given to the library."""
    context = browser.new_context(viewport={"width": 1280, "height": 760})
    page = context.new_page()
    page.goto(url)
    page.locator(f"body[data-bars='{BARS}']").wait_for()
    found = float(page.evaluate("performance.getEntriesByName('drawn')[0].startTime"))
    context.close()
    return found


def watch_heap(
    browser: Browser, url: str, log: Log, following: Iterator[Trade], seconds: float
) -> list[tuple[float, float, int]]:
    """RATE trades a second for a time: after how long, the heap in MB, trades written."""
    context = browser.new_context(viewport={"width": 1280, "height": 760})
    page = context.new_page()
    page.goto(url)
    page.locator("#state[data-state=live]").wait_for()
    protocol = context.new_cdp_session(page)
    seen: list[tuple[float, float, int]] = []
    with log.writer() as writer:
        run = Run(writer, "bench")
        began_s, written = time.monotonic(), 0
        while (passed_s := time.monotonic() - began_s) < seconds:
            if passed_s >= 30 * len(seen):
                protocol.send("HeapProfiler.collectGarbage")
                seen.append((passed_s, protocol.send("Runtime.getHeapUsage")["usedSize"] / 1e6, written))
                print(
                    f"{passed_s:6.0f} s  {seen[-1][1]:7.3f} MB  {written} trades, "
                    f"{page.locator('body').get_attribute('data-bars')} bars",
                    flush=True,
                )
            trade = next(following)
            run.record(
                None,
                series_head(trade.venue, trade.symbol, trade.channel, "ws"),
                frame(synthetic.message(trade)),
                trade,
            )
            run.flush()
            written += 1
            page.wait_for_timeout(max(written / RATE - (time.monotonic() - began_s), 0) * 1000)
        page.locator("#close").filter(has_text=f"{trade.price / 10**8:.8f}".rstrip("0")).wait_for()
        context.close()
    return seen


def main() -> None:
    """Both figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    executable = shutil.which("chromium")
    assert executable, "Chromium (chromium) is missing"
    first, following = trades()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        log = open_log(f"file:{Path(folder) / 'log'}", create=True)
        lines = b"".join(synthetic.message(trade) + b"\n" for trade in first)
        with log.writer() as writer:
            replay(
                look_at([Source("made", stream=BytesIO(lines))], Choice()),
                writer,
                Choice(),
                stop=lambda: False,
                progress=lambda _: None,
            )
        with served(log) as url:
            browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
            times = [drawn_ms(browser, url) for _ in range(6)][1:]
            print(
                f"drawn: {BARS} bars after {statistics.median(times):.0f} ms ({min(times):.0f} to {max(times):.0f})",
                flush=True,
            )
            heaps = watch_heap(browser, url, log, following, minutes * 60)
            browser.close()
        settled = heaps[1:] or heaps
        print(
            f"heap: {settled[0][1]:.2f} MB after {settled[0][0]:.0f} s, {settled[-1][1]:.2f} MB after "
            f"{settled[-1][0]:.0f} s"
        )


if __name__ == "__main__":
    main()

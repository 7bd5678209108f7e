"""Writes docs/pictures/page*.png: the page of `tradecap serve` in Chromium, at the width of a desktop and of a phone.

Run by hand, `python docs/make_page_pictures.py`, when the page has changed; it takes about twenty seconds and needs
Chromium. Rules: the trades are synthetic and from a seed; nine minutes of them are left out, so that the pictures show
a gap.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

from tradecap.flows.replay.replay import Choice, look_at, replay
from tradecap.log import open_log
from tradecap.recordings.reading import Source
from tradecap.venues.binance import synthetic

PICTURES: Final = Path(__file__).parent / "pictures"
START_MS: Final = 1_723_190_400_000
"""2024-08-09 08:00:00 UTC."""
MINUTES: Final = 262
LOST: Final = range(200, 209)
"""Minutes that weren't captured."""
FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
SHOTS: Final = {"page": (1280, 720, "light", 1.0), "page-phone": (390, 780, "dark", 1.5)}
"""Width, height, colours, pixels of the picture for each of the page."""


@contextmanager
def served(folder: str) -> Iterator[str]:
    """The address of the page over a log with a gap."""
    log = open_log(f"file:{folder}/log", create=True)
    made = synthetic.trades(synthetic.SPOT["BTCUSDT"], 3, START_MS, START_MS + MINUTES * 60_000 - 17_000)
    kept = (
        synthetic.message(trade) for trade in made if (trade.trade_time_us // 1000 - START_MS) // 60_000 not in LOST
    )
    source = Source("made", stream=BytesIO(b"\n".join(kept) + b"\n"))
    with log.writer() as writer:
        replay(look_at([source], Choice()), writer, Choice(), stop=lambda: False, progress=lambda _: None)
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
        f"chdb:{folder}/none",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            yield json.loads(process.stdout.readline())["app"]
        finally:
            process.terminate()


def shoot(browser: Browser, url: str, name: str) -> None:
    """One picture."""
    width, height, scheme, scale = SHOTS[name]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=scale,
    )
    page = context.new_page()
    page.goto(url)
    page.locator("#state[data-state=live]").wait_for()
    page.locator("#proof").filter(has_text="1 gap").wait_for()
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    context.close()
    print(f"wrote pictures/{path.name}, {path.stat().st_size:,} bytes")


def main() -> None:
    """All pictures."""
    executable = shutil.which("chromium")
    assert executable, "Chromium (chromium) is missing"
    with tempfile.TemporaryDirectory() as folder, served(folder) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        for name in SHOTS:
            shoot(browser, url, name)
        browser.close()


if __name__ == "__main__":
    main()

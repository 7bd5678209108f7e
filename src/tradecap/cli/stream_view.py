"""What `stream` shows while it runs: on a terminal a table that is redrawn, otherwise a line every 10 s. News is
printed at once."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from tradecap.cli.escaping import folded
from tradecap.cli.output import Output, amount, counted, lasting, number, spoilt, stacked, table
from tradecap.cli.signals import STOPPING
from tradecap.flows.capture.status import Status
from tradecap.flows.shipping import Figures
from tradecap.market.id_book import IdBook

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

EVERY_S: Final = 10.0
SHOWN_AGE_S: Final = 2.0
SHOWN: Final = 12
"""Series on the terminal; the others are only counted."""
NARROW: Final = 60
"""Below this many columns the table has no newest id: how far it is proven matters more."""


class View:
    """Shows a `Status`, as a context. stop: whether someone asked for the end."""

    def __init__(self, out: Output, stop: Callable[[], bool]) -> None:
        self._out, self._stop = out, stop
        self._live: Live | None = None
        self._is_stopping = False
        self._next_s = time.monotonic() + EVERY_S

    def __enter__(self) -> Self:
        is_terminal = sys.stderr and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        if is_terminal and not (self._out.quiet or self._out.json_messages):
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(file=lasting(sys.stderr), markup=False, highlight=False),
                transient=True,
                auto_refresh=False,
            )
            self._live.start()
            self._out.is_drawing = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
            self._out.is_drawing = False

    def see(self, status: Status, spool: Figures | None = None) -> None:
        """Show the status."""
        while status.news:
            self.report(*status.news.popleft())
        if self._live:
            if self._stop() and not self._is_stopping:
                self._is_stopping = True
                self._live.console.print(STOPPING)
            self._live.update(draw(status, self._live.console.width, self._live.console.height, spool), refresh=True)
        elif time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + EVERY_S
            fields = _fields(status) | ({"spool": spool._asdict()} if spool else {})
            self._out.note("; ".join(_sentences(status, spool)), **fields)

    def report(self, level: str, text: str, fields: Mapping[str, object]) -> None:
        """Print a line of news."""
        if self._live:
            self._live.console.print(spoilt(text) if level == "warning" else stacked(text))
        elif level == "warning":
            self._out.warn(text, **fields)
        else:
            self._out.note(text, **fields)


def _sentences(status: Status, spool: Figures | None = None) -> tuple[str, ...]:
    counts, latency = status.counts, status.latency
    rate = f"{counted(counts.valid, 'trade')}, {number(round(status.rate))}/s, {counted(status.live, 'connection')} up"
    durable = f"durable after p50 {latency.quantile_ms(0.5):.0f} ms, p99 {latency.quantile_ms(0.99):.0f} ms"
    gaps = (
        f"{counted(counts.gaps_found, 'gap')} found, {number(counts.gaps_repaired)} repaired, "
        f"{number(status.gaps_open)} open"
    )
    return f"{rate}, {durable}", gaps, *_growing(spool)


def _growing(spool: Figures | None) -> tuple[str, ...]:
    """What waits in the spool, if it isn't shipped as it comes."""
    if spool is None or (spool.is_up and spool.age_s < SHOWN_AGE_S):
        return ()
    state = "catching up" if spool.is_up else "the broker doesn't answer"
    return (f"spool: {amount(spool.waiting)} not shipped yet, the oldest {spool.age_s:.0f} s old; {state}",)


def _fields(status: Status) -> dict[str, object]:
    series = [
        {
            "symbol": symbol,
            "price": _price(book),
            "id": book.newest.id if book.newest else None,
            "proven_to": book.proven,
        }
        for symbol, book in status.books.items()
    ]
    return {
        **asdict(status.counts),
        "rate": round(status.rate, 1),
        "connections": status.live,
        **status.latency.summary(),
        "series": series,
    }


def draw(status: Status, width: int, height: int, spool: Figures | None = None) -> "RenderableType":
    """A picture that fits the terminal: rate and gaps first, then as many series as there is room for."""
    sentences = _sentences(status, spool)
    lines = sum(len(folded(each, width)) for each in sentences)
    shown = max(1, min(SHOWN, height - lines - 4))
    books = list(status.books.items())
    rows = [_row(symbol, book, is_narrow=width < NARROW) for symbol, book in books[:shown]]
    names = ("symbol", "price", "proven to id") if width < NARROW else ("symbol", "price", "id", "proven to id")
    more = [f"and {number(len(books) - shown)} more"] if len(books) > shown else []
    return stacked(*sentences, table(names, rows, drop=("price",)), *more)


def _row(symbol: str, book: IdBook, *, is_narrow: bool) -> tuple[str, ...]:
    newest = "" if book.newest is None else str(book.newest.id)
    proven = "" if book.proven is None else str(book.proven)
    return (symbol, _price(book), proven) if is_narrow else (symbol, _price(book), newest, proven)


def _price(book: IdBook) -> str:
    trade = book.newest
    if trade is None:
        return ""
    return f"{trade.price // 10**8}.{trade.price % 10**8:08d}".rstrip("0").rstrip(".")

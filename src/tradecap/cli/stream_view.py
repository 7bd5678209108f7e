"""What `stream` shows while it runs: on a terminal a table that moves, else a line every 10 s. What happens is told at once."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from tradecap.cli.output import Output, number, table
from tradecap.flows.capture_status import Status
from tradecap.market.capture import IdBook

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

EVERY_S: Final = 10.0
SHOWN: Final = 12
"""Series on the terminal; the rest is counted."""


class View:
    """Shows a `Status`, as a context."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._live: Live | None = None
        self._next_s = time.monotonic() + EVERY_S

    def __enter__(self) -> Self:
        if sys.stderr and sys.stderr.isatty() and not (self._out.quiet or self._out.json_messages):
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True, markup=False, highlight=False), transient=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def see(self, status: Status) -> None:
        """Show how it stands."""
        while status.news:
            self.tell(*status.news.popleft())
        if self._live:
            self._live.update(_drawn(status), refresh=True)
        elif time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + EVERY_S
            self._out.note(_sentence(status), **_fields(status))

    def tell(self, level: str, text: str, fields: Mapping[str, object]) -> None:
        """Something happened."""
        said = dict(fields)
        if self._live:
            self._live.console.print(text)
        elif level == "warning":
            self._out.warn(text, **said)
        else:
            self._out.note(text, **said)


def _sentence(status: Status) -> str:
    counts = status.counts
    latency = status.latency
    return (
        f"{number(counts['valid'])} trades, {number(round(status.rate))}/s, {status.live} connections up, durable after "
        f"p50 {latency.quantile_ms(0.5):.0f} ms, p99 {latency.quantile_ms(0.99):.0f} ms; gaps: {counts['gaps_found']} found, "
        f"{counts['gaps_repaired']} repaired, {status.gaps_open} open"
    )


def _fields(status: Status) -> dict[str, object]:
    series = [
        {"symbol": symbol, "price": _price(book), "id": book.newest.id if book.newest else None, "proven_to": book.proven}
        for symbol, book in status.books.items()
    ]
    return {**status.counts, "rate": round(status.rate, 1), "connections": status.live, **status.latency.summary(), "series": series}


def _drawn(status: Status) -> "RenderableType":
    from rich.console import Group

    rows = [
        (symbol, _price(book), book.newest.id if book.newest else None, f"proven to id {number(book.proven)}" if book.proven is not None else "")
        for symbol, book in list(status.books.items())[:SHOWN]
    ]
    more = [f"and {len(status.books) - SHOWN} more"] if len(status.books) > SHOWN else []
    return Group(table(("symbol", "price", "id", ""), rows), *more, _sentence(status))


def _price(book: IdBook) -> str:
    trade = book.newest
    if trade is None:
        return ""
    return f"{trade.price // 10**8}.{trade.price % 10**8:08d}".rstrip("0").rstrip(".")

"""tradecap candles: bars of one symbol."""

from collections.abc import Iterator
from dataclasses import astuple, fields
from typing import TYPE_CHECKING

import click

from tradecap.cli.options import POSITIVE, SYMBOL, command, shared, time_range, typed
from tradecap.cli.output import Output, counted, number, stacked, table
from tradecap.cli.plot import plot as drawn
from tradecap.cli.settings import Settings
from tradecap.errors import Exit
from tradecap.flows.candles import (
    BarsQuery,
    Candles,
    ShownCandle,
    as_json,
    interval_text,
    open_time_text,
    parse_interval,
)
from tradecap.flows.candles import candles as flow
from tradecap.flows.records import read_record
from tradecap.market.records import CHANNELS
from tradecap.store import open_store
from tradecap.venues.api import VENUES

if TYPE_CHECKING:
    from rich.console import RenderableType


@command
@click.argument("symbol", type=SYMBOL)
@click.option(
    "--interval",
    type=typed("interval", parse_interval),
    default="1m",
    metavar="DURATION",
    help="Any multiple of a minute that divides a day (default 1m).",
)
@click.option(
    "--venue",
    type=click.Choice(VENUES),
    help="The venue, if the store has the symbol from several venues.",
)
@click.option(
    "--channel",
    type=click.Choice(CHANNELS),
    help="Candles of single trades or of aggregates (default trade, or aggTrade if there is only that).",
)
@time_range
@click.option(
    "--limit", type=POSITIVE, metavar="N", help="At most N candles: the newest, or with --from the first N from there."
)
@click.option("--plot", is_flag=True, help="Draw the candles in the terminal.")
@click.option("--csv", is_flag=True, help="Print the candles as CSV.")
@shared
def candles(
    symbol: str,
    interval: int,
    venue: str | None,
    channel: str | None,
    from_ns: int | None,
    to_ns: int | None,
    limit: int | None,
    plot: bool,
    csv: bool,
    settings: Settings,
    out: Output,
) -> Exit:
    """Show the candles of one symbol.

    A candle is complete when every trade of its interval is there, as the ids in it and in its neighbours prove.

    \b
    Examples:
      tradecap candles BTCUSDT
      tradecap candles btcusdt --interval 5m --plot
      tradecap candles PEPEUSDT --from 2024-08-09T12:00:00Z --limit 3 --csv
    """
    bars = BarsQuery(
        symbol=symbol,
        seconds=interval,
        venue=venue or "",
        channel=channel or "",
        from_s=_seconds(from_ns),
        to_s=_seconds(to_ns),
        limit=limit,
    )
    with open_store(settings.store.value, read=read_record) as store:
        found = flow(store, bars)
    if csv:
        out.lines(_csv(found))
    else:
        out.show(
            as_json(found, interval),
            lambda: stacked(title(found, interval), drawn(found.candles) if plot else _table(found)),
        )
    return Exit.OK


def _seconds(ns: int | None) -> int | None:
    """The first whole second that isn't before."""
    return None if ns is None else -(-ns // 10**9)


def _csv(found: Candles) -> Iterator[str]:
    yield ",".join(field.name for field in fields(ShownCandle))
    for candle in found.candles:
        yield ",".join(
            [
                open_time_text(candle),
                *(str(value).lower() if isinstance(value, bool) else str(value) for value in astuple(candle)[1:]),
            ]
        )


def title(found: Candles, interval: int) -> str:
    whole = sum(candle.complete for candle in found.candles)
    count = f"{counted(len(found.candles), 'candle')} of {interval_text(interval)}, {number(whole)} complete"
    return f"{found.symbol} · {found.venue} · {found.channel} · {count}"


def _table(found: Candles) -> "RenderableType":
    rows = [
        (
            f"{c.open_time:%Y-%m-%d %H:%M}",
            *(_right(v) for v in (c.open, c.high, c.low, c.close, c.volume)),
            c.trades,
            f"{c.vwap:.8g}",
            "yes" if c.complete else "open",
        )
        for c in found.candles
    ]
    names = ("open time (UTC)", "open", "high", "low", "close", "volume", "trades", "vwap", "complete")
    return table(names, rows, drop=("vwap", "trades", "volume", "complete", "low", "high", "open"))


def _right(value: str) -> "RenderableType":
    from tradecap.cli.lines import TerminalLine

    return TerminalLine(value, justify="right")

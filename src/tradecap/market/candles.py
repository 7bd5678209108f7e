"""Candles of one series, exact in any order of arrival.

Rules (docs/binance.md §10): a trade belongs to the interval its trade time T falls in, UTC. Inside an interval the id
is the order, never the time and never the order of arrival; of records with one id the first one given is the trade.
Prices, volumes and `trades` are of order-book trades; first_id, last_id and ids are of all. Integers all the way: only
volatility and VWAP are floats. `complete` is derived from the neighbours by id, never from a clock. Nothing here knows
a clock, a file or a venue.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import fsum, log1p, nan, sqrt
from typing import Final

import msgspec

from tradecap.market.records import Trade

MINUTE_S: Final = 60
DAY_S: Final = 86_400


class Candle(msgspec.Struct, frozen=True, gc=False):
    """One interval [open_time_s, open_time_s + interval_s) of one series. Times are seconds since 1970 UTC.

    Prices and volumes are in units of 10^-8, quote volumes in 10^-16 (price x quantity, not rounded). trades counts
    fills: an aggregate counts as last_id - first_id + 1 of them. volatility_sq is the realised variance: the sum of
    squared log returns between consecutive order-book trades by id. open_id and close_id are the first and last id of
    an order-book trade. first_id, last_id and ids (their number) are of all trades; of aggregates their own id. An
    interval without an order-book trade has trades 0 and zeros everywhere but in those three.
    """

    open_time_s: int
    interval_s: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trades: int
    taker_buy_volume: int
    taker_buy_quote_volume: int
    volatility_sq: float
    open_id: int
    close_id: int
    first_id: int
    last_id: int
    ids: int
    complete: bool

    @property
    def vwap(self) -> float:
        """Mean price weighted by quantity, in quote units; nan without an order-book trade."""
        return self.quote_volume / (self.volume * 10**8) if self.volume else nan

    @property
    def volatility(self) -> float:
        """Realised volatility of the interval, not annualised."""
        return sqrt(self.volatility_sq)


def check_interval(seconds: int) -> None:
    """Raise ValueError unless seconds is a multiple of a minute that divides a day."""
    if seconds < MINUTE_S or seconds % MINUTE_S or DAY_S % seconds:
        raise ValueError(f"an interval must be a multiple of 60 s that divides a day, not {seconds} s")


def candles(trades: Iterable[Trade], interval_s: int = MINUTE_S) -> list[Candle]:
    """The candles to show of one series, ascending. Holds all its trades in memory.

    ValueError when interval_s is none (`check_interval`) or the trades are of several series.
    """
    return shown(every_interval(trades, interval_s))


def shown(intervals: Iterable[Candle]) -> list[Candle]:
    """Those with an order-book trade. Apply it last: a roll-up needs the others too, for the ids they hold."""
    return [candle for candle in intervals if candle.trades]


def every_interval(trades: Iterable[Trade], interval_s: int = MINUTE_S) -> list[Candle]:
    """As `candles`, together with the intervals that hold ids but no order-book trade (USD-M insurance fund, ADL)."""
    check_interval(interval_s)
    interval_us = interval_s * 1_000_000
    buckets: dict[int, list[Trade]] = {}
    for trade in _in_order(trades):
        buckets.setdefault(trade.trade_time_us // interval_us, []).append(trade)
    return with_neighbours([_candle(number * interval_s, interval_s, buckets[number]) for number in sorted(buckets)])


def every_second(trades: Iterable[Trade]) -> list[Candle]:
    """The seconds of one series that hold a trade, ascending. `complete` isn't known of them."""
    buckets: dict[int, list[Trade]] = {}
    for trade in _in_order(trades):
        buckets.setdefault(trade.trade_time_us // 1_000_000, []).append(trade)
    return [_candle(second, 1, buckets[second]) for second in sorted(buckets)]


def roll_up(intervals: Sequence[Candle], interval_s: int) -> list[Candle]:
    """Longer intervals from shorter ones, ascending: every_interval(trades, interval_s) ==
    roll_up(every_interval(trades), interval_s).

    All integers and `complete` are equal exactly, whatever the ids of the shorter intervals look like, as open and
    close go by open_id and close_id. volatility_sq is equal to 1e-9 relative, the squared return over each inner edge
    added, as long as the ids of two parts of one interval don't interleave (T fell while the id rose, across an edge):
    candles then don't show which trades follow each other, and it is an approximation. ValueError when interval_s is
    not an interval or not a multiple of the given ones.
    """
    check_interval(interval_s)
    buckets: dict[int, list[Candle]] = {}
    for part in intervals:
        if interval_s % part.interval_s:
            raise ValueError(f"intervals of {part.interval_s} s don't add up to {interval_s} s")
        buckets.setdefault(part.open_time_s // interval_s, []).append(part)
    return with_neighbours([_rolled(number * interval_s, interval_s, buckets[number]) for number in sorted(buckets)])


def _in_order(trades: Iterable[Trade]) -> Iterator[Trade]:
    """One trade for each id, ascending by id."""
    by_id: dict[int, Trade] = {}
    series: tuple[str, str, str] | None = None
    for trade in trades:
        its_series = (trade.venue, trade.symbol, trade.channel)
        if its_series != series:
            if series:
                raise ValueError(f"candles are of one series, not of {series} and {its_series}")
            series = its_series
        by_id.setdefault(trade.id, trade)
    return (by_id[trade_id] for trade_id in sorted(by_id))


def _candle(open_time_s: int, interval_s: int, trades: Sequence[Trade]) -> Candle:
    """trades: all of the interval, distinct, ascending by id, at least one."""
    book = [trade for trade in trades if trade.order_book]
    prices = [trade.price for trade in book]
    quotes = [trade.price * trade.qty for trade in book]
    return Candle(
        open_time_s=open_time_s,
        interval_s=interval_s,
        open=prices[0] if book else 0,
        high=max(prices, default=0),
        low=min(prices, default=0),
        close=prices[-1] if book else 0,
        volume=sum(trade.qty for trade in book),
        quote_volume=sum(quotes),
        trades=sum(trade.last_id - trade.first_id + 1 for trade in book),
        taker_buy_volume=sum(trade.qty for trade in book if not trade.is_buyer_maker),
        taker_buy_quote_volume=sum(
            quote for trade, quote in zip(book, quotes, strict=True) if not trade.is_buyer_maker
        ),
        volatility_sq=fsum(squared_return(before, after) for before, after in pairwise(prices) if before != after),
        open_id=book[0].id if book else 0,
        close_id=book[-1].id if book else 0,
        first_id=trades[0].id,
        last_id=trades[-1].id,
        ids=len(trades),
        complete=False,
    )


def _rolled(open_time_s: int, interval_s: int, parts: Sequence[Candle]) -> Candle:
    """parts: those of one interval, at least one."""
    book = sorted((part for part in parts if part.trades), key=lambda part: part.open_id)
    closing = max(book, key=lambda part: part.close_id, default=None)
    edges = [squared_return(before.close, after.open) for before, after in pairwise(book)]
    return Candle(
        open_time_s=open_time_s,
        interval_s=interval_s,
        open=book[0].open if book else 0,
        high=max((part.high for part in book), default=0),
        low=min((part.low for part in book), default=0),
        close=closing.close if closing else 0,
        volume=sum(part.volume for part in book),
        quote_volume=sum(part.quote_volume for part in book),
        trades=sum(part.trades for part in book),
        taker_buy_volume=sum(part.taker_buy_volume for part in book),
        taker_buy_quote_volume=sum(part.taker_buy_quote_volume for part in book),
        volatility_sq=fsum([*edges, *(part.volatility_sq for part in book)]),
        open_id=book[0].open_id if book else 0,
        close_id=closing.close_id if closing else 0,
        first_id=min(part.first_id for part in parts),
        last_id=max(part.last_id for part in parts),
        ids=sum(part.ids for part in parts),
        complete=False,
    )


def squared_return(before: int, after: int) -> float:
    """The squared logarithmic return between two prices.

    The difference is taken in integers: two close prices as floats would lose most of its digits.

    Squared, a fall is a rise the other way: seen from the lower price, a deep one doesn't end at log1p(-1), from 9 999
    999 999 to 0.00000001.
    """
    return log1p(abs(after - before) / min(before, after)) ** 2


def with_neighbours(intervals: Sequence[Candle]) -> list[Candle]:
    """Mark the complete ones: no id missing inside, and both neighbours adjoin by id. The newest never is: its next
    trade may still come."""
    marked = []
    for at, candle in enumerate(intervals[:-1]):
        is_whole = candle.ids == candle.last_id - candle.first_id + 1
        begins = candle.first_id == 0 or (at > 0 and intervals[at - 1].last_id == candle.first_id - 1)
        ends = intervals[at + 1].first_id == candle.last_id + 1
        marked.append(msgspec.structs.replace(candle, complete=is_whole and begins and ends))
    return [*marked, *intervals[-1:]]

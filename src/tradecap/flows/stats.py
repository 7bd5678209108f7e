"""Figures over bars: how much was traded, and where the price jumped. Exact all the way; only vwap and change are
floats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from tradecap.flows.candles import ShownCandle
from tradecap.market import candles as market


@dataclass(frozen=True, kw_only=True)
class Volume:
    """What was traded in some minutes. In units of 10^-8, quote volumes of 10^-16. complete: no id between the first
    and the last is missing."""

    volume: int
    quote_volume: int
    taker_buy_volume: int
    taker_buy_quote_volume: int
    trades: int
    first_id: int | None
    last_id: int | None
    complete: bool

    @property
    def vwap(self) -> float | None:
        """Mean price weighted by quantity; None where nothing was traded."""
        return self.quote_volume / (self.volume * 10**8) if self.volume else None


@dataclass(frozen=True)
class Spike:
    """A bar whose close is far from that of the bar before it. change: (close - previous_close) / previous_close."""

    open_time: datetime
    previous_close: str
    close: str
    change: float


def volume(minutes: Sequence[market.Candle]) -> Volume:
    """The sums over some minutes of one series."""
    first = min((minute.first_id for minute in minutes), default=None)
    last = max((minute.last_id for minute in minutes), default=None)
    return Volume(
        volume=sum(minute.volume for minute in minutes),
        quote_volume=sum(minute.quote_volume for minute in minutes),
        taker_buy_volume=sum(minute.taker_buy_volume for minute in minutes),
        taker_buy_quote_volume=sum(minute.taker_buy_quote_volume for minute in minutes),
        trades=sum(minute.trades for minute in minutes),
        first_id=first,
        last_id=last,
        complete=first is not None and last is not None and sum(minute.ids for minute in minutes) == last - first + 1,
    )


def spikes(bars: Iterable[ShownCandle], seconds: int, threshold: Fraction) -> list[Spike]:
    """The bars with |close - previous close| >= threshold x previous close. Both bars must be complete and adjacent: a
    hole is not a jump."""
    found = []
    for before, after in pairwise(bars):
        if not (before.complete and after.complete) or after.open_time - before.open_time != timedelta(seconds=seconds):
            continue
        old, new = Fraction(before.close), Fraction(after.close)
        if abs(new - old) >= threshold * old:
            found.append(Spike(after.open_time, before.close, after.close, float((new - old) / old)))
    return found

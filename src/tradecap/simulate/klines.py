"""Klines of every interval that the venue has, as REST rows and as messages of the stream.

Rules (docs/binance.md §4, §5 and §10): `market.candles` makes a minute from the trades by T; longer intervals are sums
of minutes, a second is made from the trades that the exchange remembers. An interval without a trade has n = 0, the
previous close as all four prices, and on the stream f = L = -1. Weeks begin on Monday, months on their first day, three
days are counted from 1970; a time zone moves the boundaries. Memory is bounded: MAX_MINUTES of each symbol. Pure.
"""

import calendar
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from tradecap.market.candles import MINUTE_S, Candle, every_interval, roll_up
from tradecap.market.records import Trade
from tradecap.simulate.messages import decimal, unit_time

_M, _H, _D = 60, 3600, 86_400
SECOND: Final = "1s"
INTERVALS: Final = {
    SECOND: 1,
    **{"1m": _M, "3m": 3 * _M, "5m": 5 * _M, "15m": 15 * _M, "30m": 30 * _M},
    **{"1h": _H, "2h": 2 * _H, "4h": 4 * _H, "6h": 6 * _H, "8h": 8 * _H, "12h": 12 * _H},
    **{"1d": _D, "3d": 3 * _D, "1w": 7 * _D, "1M": 0},
}
"""In seconds; a month has no fixed number of them."""
MONDAY_S: Final = 4 * _D
"""1970-01-05."""
MAX_MINUTES: Final = 50_000
FOLDED: Final = 100
"""Trades collected before they are added to their minutes."""


class Parts(Protocol):
    """The candles that klines are made of."""

    def candles(self) -> dict[int, Candle]:
        """By their open time in seconds, ascending. Don't change it."""


class Minutes:
    """The minutes of one symbol with trades so far, ascending."""

    def __init__(self) -> None:
        self._minutes: dict[int, Candle] = {}
        self._waiting: list[Trade] = []

    def add(self, trade: Trade) -> None:
        self._waiting.append(trade)
        if len(self._waiting) >= FOLDED:
            self._fold()

    def __bool__(self) -> bool:
        return bool(self._minutes or self._waiting)

    def candles(self) -> dict[int, Candle]:
        """By their open time in seconds, ascending. Don't change it."""
        if self._waiting:
            self._fold()
        return self._minutes

    def _fold(self) -> None:
        waiting, self._waiting = self._waiting, []
        minutes = self._minutes
        for candle in every_interval(waiting):
            known = minutes.get(candle.open_time_s)
            is_late = known is None and bool(minutes) and candle.open_time_s < next(reversed(minutes))
            minutes[candle.open_time_s] = roll_up([known, candle], MINUTE_S)[0] if known else candle
            if is_late:  # T fell while the id rose: rare, but the minutes must stay in order
                minutes = self._minutes = dict(sorted(minutes.items()))
        while len(minutes) > MAX_MINUTES:
            del minutes[next(iter(minutes))]


def opening(interval: str, time_s: int, offset_s: int = 0) -> int:
    """The open time of the interval that a time falls in, in a time zone offset_s ahead of UTC."""
    local = time_s + offset_s
    if interval == "1M":
        day = datetime.fromtimestamp(local, UTC)
        return calendar.timegm((day.year, day.month, 1, 0, 0, 0)) - offset_s
    origin = MONDAY_S if interval == "1w" else 0
    return local - (local - origin) % INTERVALS[interval] - offset_s


def following(interval: str, open_s: int, offset_s: int = 0) -> int:
    """The open time of the interval after the one that opens at open_s."""
    if interval != "1M":
        return open_s + INTERVALS[interval]
    return opening("1M", open_s + offset_s + 32 * _D - offset_s, offset_s)


class ServedKline:
    """One interval, made of its minutes. Without a minute, all prices are the previous close."""

    __slots__ = ("close", "high", "interval", "low", "next_s", "open", "open_s", "parts")

    def __init__(self, interval: str, open_s: int, next_s: int, parts: Sequence[Candle], close_before: int) -> None:
        self.interval, self.open_s, self.next_s, self.parts = interval, open_s, next_s, parts
        self.open = min(parts, key=lambda part: part.open_id).open if parts else close_before
        self.close = max(parts, key=lambda part: part.close_id).close if parts else close_before
        self.high = max((part.high for part in parts), default=close_before)
        self.low = min((part.low for part in parts), default=close_before)

    def row(self, micro: bool) -> list[object]:
        """A row of /klines."""
        parts = self.parts
        return [
            unit_time(self.open_s * 1_000_000, micro),
            *(decimal(price) for price in (self.open, self.high, self.low, self.close)),
            decimal(sum(part.volume for part in parts)),
            unit_time(self.next_s * 1_000_000, micro) - 1,
            decimal(sum(part.quote_volume for part in parts) // 10**8),
            sum(part.trades for part in parts),
            decimal(sum(part.taker_buy_volume for part in parts)),
            decimal(sum(part.taker_buy_quote_volume for part in parts) // 10**8),
            "0",
        ]

    def message(self, symbol: str, event_us: int, micro: bool, is_closed: bool) -> dict[str, object]:
        """A message of the kline stream."""
        row, parts = self.row(micro), self.parts
        ids = (
            {"f": min(part.first_id for part in parts), "L": max(part.last_id for part in parts)}
            if parts
            else {"f": -1, "L": -1}
        )
        prices = {"o": row[1], "c": row[4], "h": row[2], "l": row[3]}
        volumes = {"v": row[5], "n": row[8], "x": is_closed, "q": row[7], "V": row[9], "Q": row[10], "B": "0"}
        inner = {"t": row[0], "T": row[6], "s": symbol, "i": self.interval, **ids, **prices, **volumes}
        return {"e": "kline", "E": unit_time(event_us, micro), "s": symbol, "k": inner}


def klines(source: Parts, interval: str, now_s: int, *, since_s: int = 0, offset_s: int = 0) -> Iterator[ServedKline]:
    """All klines that opened at since_s or later, ascending, up to the one that now_s falls in, without a hole."""
    candles = list(source.candles().values())
    if not candles:
        return
    open_s = opening(interval, candles[0].open_time_s, offset_s)
    if since_s > open_s:
        first = opening(interval, since_s, offset_s)
        open_s = first if first >= since_s else following(interval, first, offset_s)
    close_before, at = 0, 0
    while at < len(candles) and candles[at].open_time_s < open_s:
        close_before = candles[at].close
        at += 1
    until_s = max(now_s, candles[-1].open_time_s)
    while open_s <= until_s:
        next_s = following(interval, open_s, offset_s)
        start = at
        while at < len(candles) and candles[at].open_time_s < next_s:
            at += 1
        parts = candles[start:at]
        kline = ServedKline(interval, open_s, next_s, parts, close_before)
        close_before = kline.close
        yield kline
        open_s = next_s


_ZONE: Final = re.compile(r"([+-]?)(\d{1,2})(?::([0-5]\d))?", re.ASCII)


def zone_offset_s(text: str) -> int | None:
    """Seconds ahead of UTC for `0`, `8`, `-1:00`, `05:45`. None if it can't be read or is outside -12:00 to +14:00."""
    match = _ZONE.fullmatch(text)
    if match is None:
        return None
    seconds = (int(match[2]) * _H + int(match[3] or 0) * _M) * (-1 if match[1] == "-" else 1)
    return seconds if -12 * _H <= seconds <= 14 * _H else None

"""What has been traded so far: the exchange's memory, which REST answers from.

Rules: it never knows a trade before it was traded. Ids of a series rise. Memory is bounded: the newest `keep` trades of
each series and `klines.MAX_MINUTES` minutes; older ones are forgotten. Seconds are made from the trades on request.
Numbers stay exact. Pure.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final

from tradecap.market.candles import Candle, every_second
from tradecap.market.records import Trade
from tradecap.simulate.klines import SECOND, Minutes, Parts
from tradecap.simulate.tape import Entry

KEEP: Final = 500_000


class History:
    """The newest trades of one series, ascending by id, at 60 to 90 bytes each."""

    def __init__(self, first: Trade, keep: int = KEEP) -> None:
        self._model = first
        self._keep = keep
        self._ids, self._prices, self._times = array("q"), array("q"), array("q")
        self._firsts, self._lasts = array("q"), array("q")
        self._are_fills = first.channel == "trade"
        self._qtys: list[int] = []  # a quantity may be beyond 64 bits (10^11 PEPE in units of 10^-8)
        self._makers = bytearray()
        self._has_forgotten = False

    def add(self, trade: Trade) -> None:
        self._ids.append(trade.id)
        self._prices.append(trade.price)
        self._times.append(trade.trade_time_us)
        self._qtys.append(trade.qty)
        self._makers.append(trade.is_buyer_maker)
        if not self._are_fills:
            self._firsts.append(trade.first_id)
            self._lasts.append(trade.last_id)
        if len(self._ids) > self._keep + max(self._keep // 4, 1_000):
            self._forget(len(self._ids) - self._keep)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def last_id(self) -> int:
        return self._ids[-1]

    def newest(self, limit: int) -> list[Trade]:
        return self._slice(len(self._ids) - limit, len(self._ids))

    def from_id(self, trade_id: int, limit: int) -> list[Trade]:
        """Up to `limit` trades from this id on."""
        at = bisect_left(self._ids, trade_id)
        return self._slice(at, at + limit)

    def within(self, start_us: int | None, end_us: int | None, limit: int) -> list[Trade]:
        """Trades from start_us to end_us (inclusive): the oldest, without a start the newest (docs/binance.md §5)."""
        low = 0 if start_us is None else bisect_left(self._times, start_us)
        high = len(self._ids) if end_us is None else bisect_right(self._times, end_us)
        return (
            self._slice(max(low, high - limit), high) if start_us is None else self._slice(low, min(low + limit, high))
        )

    def seconds(self, since_s: int, until_s: int) -> list[Candle]:
        """The seconds with trades from since_s to until_s (inclusive), and the last one before them (for its close)."""
        low = bisect_left(self._times, since_s * 1_000_000)
        if low:
            low = bisect_left(self._times, self._times[low - 1] // 1_000_000 * 1_000_000)
        return every_second(self._slice(low, bisect_left(self._times, (until_s + 1) * 1_000_000)))

    @property
    def first_s(self) -> int:
        """The oldest second that is remembered completely."""
        return self._times[0] // 1_000_000 + self._has_forgotten

    def _slice(self, low: int, high: int) -> list[Trade]:
        return [self._trade(at) for at in range(max(0, low), min(high, len(self._ids)))]

    def _trade(self, at: int) -> Trade:
        trade_id, time_us = self._ids[at], self._times[at]
        return Trade(
            venue=self._model.venue,
            symbol=self._model.symbol,
            channel=self._model.channel,
            id=trade_id,
            first_id=trade_id if self._are_fills else self._firsts[at],
            last_id=trade_id if self._are_fills else self._lasts[at],
            price=self._prices[at],
            qty=self._qtys[at],
            trade_time_us=time_us,
            event_time_us=time_us,
            is_buyer_maker=bool(self._makers[at]),
            order_book=True,
        )

    def _forget(self, count: int) -> None:
        for column in (self._ids, self._prices, self._times, self._firsts, self._lasts, self._qtys, self._makers):
            del column[:count]
        self._has_forgotten = True


class Seconds:
    """Some seconds of one symbol."""

    def __init__(self, candles: Iterable[Candle]) -> None:
        self._candles = {candle.open_time_s: candle for candle in candles}

    def candles(self) -> dict[int, Candle]:
        return self._candles


class Market:
    """All series of the exchange, by stream name. symbols: all that it serves, traded or not."""

    def __init__(self, symbols: Iterable[str] = (), keep: int = KEEP) -> None:
        self.symbols = set(symbols)
        self.trades = 0
        self._keep = keep
        self._histories: dict[str, History] = {}
        self._minutes: dict[str, tuple[str, Minutes]] = {}

    def add(self, entry: Entry) -> bool:
        """Add an entry. Returns whether it counts as a trade (for a symbol without trades, aggregates count)."""
        trade = entry.trade
        if trade is None:
            return False
        history = self._histories.get(entry.stream)
        if history is None:
            history = self._begin(entry.stream, trade)
        history.add(trade)
        channel, minutes = self._minutes[trade.symbol]
        if channel != trade.channel:
            return False
        minutes.add(trade)
        self.trades += 1
        return True

    def _begin(self, stream: str, trade: Trade) -> History:
        self.symbols.add(trade.symbol)
        if trade.symbol not in self._minutes or trade.channel == "trade":  # minutes are made of trades if there are any
            self._minutes[trade.symbol] = (trade.channel, Minutes())
        history = self._histories[stream] = History(trade, self._keep)
        return history

    def history(self, symbol: str, channel: str) -> History | None:
        """The trades of a series, None before the first."""
        return self._histories.get(f"{symbol.lower()}@{channel}")

    def last_id(self, stream: str) -> int | None:
        """The newest id of a stream, None before the first."""
        history = self._histories.get(stream)
        return history.last_id if history else None

    def parts(self, symbol: str, interval: str, since_s: int, until_s: int, count: int) -> Parts:
        """The candles for the first `count` klines of this interval from since_s to until_s."""
        if interval != SECOND or symbol not in self._minutes:
            return self.minutes(symbol)
        history = self._histories[f"{symbol.lower()}@{self._minutes[symbol][0]}"]
        since_s = max(since_s, history.first_s)
        return Seconds(history.seconds(since_s, min(until_s, since_s + count)))

    def minutes(self, symbol: str) -> Minutes:
        """The minutes of a symbol; empty before its first trade."""
        return self._minutes[symbol][1] if symbol in self._minutes else Minutes()

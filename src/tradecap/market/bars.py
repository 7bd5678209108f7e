"""Bars of one series that grow trade by trade.

Rules: what `every` gives is what `candles.every_interval` gives for the same trades, in whatever order they came; of
records with one id the one with the least (run, seq) is the trade, and of equal ones the first. A trade whose id is the
greatest of its minute costs O(1); any other one makes its minute be computed again when it is asked for.

Memory: trades are kept for `kept_s` of trade time behind the newest two (one wild time moves nothing), then only the
bar of their minute; `bars_kept` bars at most, the newest. About 300 bytes a trade and 400 a bar. A bar without its
trades still grows at its end. What would change it otherwise (an id in between, a record that may win over one that is
forgotten) makes it `unsure`: only the store can tell then, and it isn't complete. Ids are kept as intervals forever.
Nothing here knows a clock, a file or a venue.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final

import msgspec

from tradecap.market.candles import Candle, every_interval, squared_return, with_neighbours
from tradecap.market.records import Trade
from tradecap.market.trade_ids import TradeIds

KEPT_S: Final = 3600
BARS_KEPT: Final = 1500
"""A day of minutes, and an hour."""
Rank = tuple[str, int]
"""(run, seq) of a record. Runs are UUIDs in lower case, so their texts are in the order of their numbers."""
ANY: Final[Rank] = ("", 0)


class GrowingMinute:
    """A minute in the making; its sums are right unless is_dirty. trades is None once they are forgotten."""

    __slots__ = ("bar", "highest_rank", "is_dirty", "is_unsure", "trades")

    def __init__(self, trade: Trade, rank: Rank) -> None:
        self.trades: dict[int, tuple[Trade, Rank]] | None = {trade.id: (trade, rank)}
        self.bar = every_interval([trade])[0]
        self.highest_rank = rank
        self.is_dirty = False
        self.is_unsure = False

    def add(self, trade: Trade, rank: Rank) -> None:
        """Take in a trade whose id isn't in here."""
        self.highest_rank = max(self.highest_rank, rank)
        if self.trades is not None:
            self.trades[trade.id] = trade, rank
        if trade.id > self.bar.last_id and not self.is_dirty:
            self.bar = _grown(self.bar, trade)
        elif self.trades is None:
            self.is_unsure = True
        else:
            self.is_dirty = True
            self.bar = msgspec.structs.replace(self.bar, last_id=max(self.bar.last_id, trade.id))

    def remove(self, trade_id: int) -> bool:
        """Take out a trade that lost; whether any is left."""
        assert self.trades is not None
        del self.trades[trade_id]
        self.is_dirty = True
        return bool(self.trades)

    def made(self) -> Candle:
        """The bar, without its neighbours."""
        if self.is_dirty and self.trades is not None:
            self.bar = every_interval(trade for trade, _ in self.trades.values())[0]
            self.is_dirty = False
        return self.bar

    def settle(self) -> list[int]:
        """Forget the trades; their ids."""
        self.made()
        ids = list(self.trades or ())
        self.trades = None
        return ids


class Bars:
    """The minutes of a series.

    floor_s: minutes before it aren't kept; it rises as old bars go. ids: all that were seen or made known.
    """

    def __init__(self, kept_s: int = KEPT_S, bars_kept: int = BARS_KEPT, floor_s: int = 0) -> None:
        self.floor_s = floor_s
        self.ids = TradeIds()
        self.newest: Trade | None = None
        """The trade with the greatest id."""
        self.version = 0
        """Grows whenever a bar or the ids have changed."""
        self.forgotten = 0
        """Changes up to this version can't be listed: a minute that changed then is gone."""
        self._kept_s, self._bars_kept = kept_s, bars_kept
        self._minutes: dict[int, GrowingMinute] = {}
        self._order: list[int] = []
        self._where: dict[int, int] = {}
        """By id of a trade that is kept, the minute it is in."""
        self._last_us = 0
        self._settled_s = 0
        self._every: tuple[int, list[Candle]] = (-1, [])
        self._touched: dict[int, int] = {}
        """By minute, the version that changed it last, in the order of these changes."""
        self._last_touched = -1

    def add(self, trade: Trade, rank: Rank = ANY) -> Candle | None:
        """Take in a trade. The bar of its minute, where that has changed."""
        return self.bar(trade.trade_time_us // 60_000_000 * 60) if self.take(trade, rank) else None

    def take(self, trade: Trade, rank: Rank = ANY) -> bool:
        """As `add`, without making the bar; whether anything has changed."""
        at_s = trade.trade_time_us // 60_000_000 * 60
        known_at_s = self._where.get(trade.id)
        if known_at_s is not None:
            return self._compare(trade, rank, known_at_s, at_s)
        is_known = not self.ids.add(trade.id)
        if self.newest is None or trade.id >= self.newest.id:
            self.newest = trade
        if at_s < self.floor_s or (is_known and not self._is_reported(trade, rank, at_s)):
            self.version += not is_known
            return False
        if not is_known:
            self._put(trade, rank, at_s)
        self._settle(trade)
        self.version += 1
        return True

    def know(self, first_id: int, last_id: int) -> None:
        """Ids that the store holds. A trade with one of them that comes here later is known."""
        self.version += self.ids.add_range(first_id, last_id) > 0

    def every(self) -> list[Candle]:
        """All minutes that are kept, ascending; also those that hold ids and no trade of the order book."""
        if self._every[0] != self.version:
            bars = with_neighbours([self._minutes[at_s].made() for at_s in self._order])
            if unsure := self.unsure():
                bars = [
                    msgspec.structs.replace(bar, complete=bar.complete and bar.open_time_s not in unsure)
                    for bar in bars
                ]
            self._every = self.version, bars
        return self._every[1]

    def unsure(self) -> set[int]:
        """The minutes of which something came that can't be put in any more."""
        return {at_s for at_s, minute in self._minutes.items() if minute.is_unsure}

    def bar(self, at_s: int) -> Candle | None:
        """The bar of a minute; None where there is none."""
        at = bisect_left(self._order, at_s)
        if at == len(self._order) or self._order[at] != at_s:
            return None
        around = with_neighbours([self._minutes[each].made() for each in self._order[max(at - 1, 0) : at + 2]])
        bar = around[1 if at else 0]
        return msgspec.structs.replace(bar, complete=False) if self._minutes[at_s].is_unsure else bar

    def changed(self, since: int) -> list[int]:
        """The minutes that a later version than `since` has changed, ascending; also their neighbours, whose `complete`
        may have changed."""
        found = []
        for at_s in reversed(self._touched):
            if self._touched[at_s] <= since:
                break
            found.append(at_s)
        return sorted(found)

    def grown(self, trade: Trade) -> Candle | None:
        """The newest minute, if `trade`, which was taken just now, is its last trade by id and its sums are right; else
        None."""
        minute = self._minutes[self._order[-1]] if self._order else None
        if minute is None or minute.is_dirty or minute.bar.last_id != trade.id:
            return None
        return minute.bar

    @property
    def newest_s(self) -> int | None:
        """When the newest minute opens."""
        return self._order[-1] if self._order else None

    @property
    def oldest_s(self) -> int | None:
        """When the oldest minute that is kept opens."""
        return self._order[0] if self._order else None

    def around(self, since_s: int, until_s: int) -> tuple[int, int]:
        """When the minute before a range of time opens, and the first one after it; the range's own ends where there is
        none."""
        first, end = bisect_left(self._order, since_s), bisect_left(self._order, until_s)
        return self._order[first - 1] if first else since_s, self._order[end] if end < len(self._order) else until_s - 1

    def between(self, since_s: int, until_s: int) -> list[Candle]:
        """The minutes of a range of time, without their neighbours. A minute that is unsure has no ids, so it isn't
        complete."""
        first, end = bisect_left(self._order, since_s), bisect_left(self._order, until_s)
        there = [self._minutes[at_s] for at_s in self._order[first:end]]
        return [
            msgspec.structs.replace(minute.made(), ids=0) if minute.is_unsure else minute.made() for minute in there
        ]

    def trades(self, from_id: int, at_most: int) -> list[tuple[Trade, Rank]]:
        """Trades that are kept, with an id of at least from_id, ascending by id."""
        found: list[tuple[Trade, Rank]] = []
        there = [minute for minute in self._minutes.values() if minute.trades and minute.made().last_id >= from_id]
        for minute in sorted(there, key=lambda each: each.bar.first_id):
            if len(found) >= at_most and minute.bar.first_id > found[at_most - 1][0].id:
                break
            found += [each for trade_id, each in (minute.trades or {}).items() if trade_id >= from_id]
            found.sort(key=lambda each: each[0].id)
        return found[:at_most]

    @property
    def kept(self) -> int:
        """How many trades are kept."""
        return len(self._where)

    def shrink(self) -> None:
        """Forget the trades of the older half of the minutes that still have them."""
        held = [at_s for at_s in self._order if self._minutes[at_s].trades is not None]
        self._forget(held[: -(-len(held) // 2)])

    def _compare(self, trade: Trade, rank: Rank, known_at_s: int, at_s: int) -> bool:
        """A record of an id whose trade is kept: the lower (run, seq) wins."""
        minute = self._minutes[known_at_s]
        assert minute.trades is not None
        held, held_rank = minute.trades[trade.id]
        if rank >= held_rank:
            return False
        if held == trade:
            minute.trades[trade.id] = held, rank
            return False
        if not minute.remove(trade.id):
            self._drop(known_at_s)
        self._touch_around(known_at_s)
        del self._where[trade.id]
        if self.newest is held:
            self.newest = trade
        if at_s >= self.floor_s:
            self._put(trade, rank, at_s)
        self.version += 1
        if known_at_s not in self._minutes or (held.order_book and not self._minutes[known_at_s].made().trades):
            self.forgotten = self.version  # a bar has gone, which no change can show
        return True

    def _is_reported(self, trade: Trade, rank: Rank, at_s: int) -> bool:
        """A record of a known id whose trade is forgotten: whether a minute is no longer certain, as the record may win
        over it."""
        doubtful = [
            minute
            for minute in self._minutes.values()
            if minute.trades is None
            and minute.bar.first_id <= trade.id <= minute.bar.last_id
            and rank < minute.highest_rank
        ]
        if doubtful and at_s in self._minutes:
            doubtful.append(self._minutes[at_s])
        sure = [minute for minute in doubtful if not minute.is_unsure]
        for minute in sure:
            minute.is_unsure = True
            self._touch(minute.bar.open_time_s)
        return bool(sure)

    def _put(self, trade: Trade, rank: Rank, at_s: int) -> None:
        minute = self._minutes.get(at_s)
        is_plain = minute is not None and trade.id > minute.bar.last_id and at_s == self._order[-1]
        if minute is None:
            self._minutes[at_s] = minute = GrowingMinute(trade, rank)
            if self._order and at_s > self._order[-1]:
                self._order.append(at_s)
            else:
                insort(self._order, at_s)
        else:
            minute.add(trade, rank)
        if minute.trades is not None:
            self._where[trade.id] = at_s
        if not is_plain:
            self._touch_around(at_s)
        self._touch(at_s)

    def _touch(self, at_s: int) -> None:
        """The coming version changes a minute."""
        if at_s != self._last_touched:
            self._touched.pop(at_s, None)
            self._last_touched = at_s
        self._touched[at_s] = self.version + 1

    def _touch_around(self, at_s: int) -> None:
        at = bisect_left(self._order, at_s)
        for each in (*self._order[max(at - 1, 0) : at], *self._order[at : at + 2]):
            self._touch(each)

    def _settle(self, trade: Trade) -> None:
        """Forget what is old, once in a minute of trade time."""
        sure_s = min(self._last_us, trade.trade_time_us) // 60_000_000 * 60
        self._last_us = trade.trade_time_us
        if sure_s <= self._settled_s:
            return
        self._settled_s = sure_s
        self._forget(self._order[: bisect_left(self._order, sure_s - self._kept_s)])
        if len(self._order) > self._bars_kept:
            for at_s in self._order[: -self._bars_kept]:
                self._forget([at_s])
                self._drop(at_s)
            self.floor_s = max(self.floor_s, self._order[0])

    def _forget(self, minutes: Iterable[int]) -> None:
        for at_s in minutes:
            for trade_id in self._minutes[at_s].settle():
                del self._where[trade_id]

    def _drop(self, at_s: int) -> None:
        del self._minutes[at_s]
        self._order.remove(at_s)
        self.forgotten = max(self.forgotten, self._touched.pop(at_s, 0))
        if at_s == self._last_touched:
            self._last_touched = -1


def _grown(bar: Candle, trade: Trade) -> Candle:
    """The bar with a trade behind its last one."""
    if not trade.order_book:
        return msgspec.structs.replace(bar, last_id=trade.id, ids=bar.ids + 1)
    is_first, quote, bought = not bar.trades, trade.price * trade.qty, 0 if trade.is_buyer_maker else 1
    moved = 0.0 if is_first or bar.close == trade.price else squared_return(bar.close, trade.price)
    return Candle(
        open_time_s=bar.open_time_s,
        interval_s=bar.interval_s,
        open=trade.price if is_first else bar.open,
        high=max(bar.high, trade.price),
        low=trade.price if is_first else min(bar.low, trade.price),
        close=trade.price,
        volume=bar.volume + trade.qty,
        quote_volume=bar.quote_volume + quote,
        trades=bar.trades + trade.last_id - trade.first_id + 1,
        taker_buy_volume=bar.taker_buy_volume + bought * trade.qty,
        taker_buy_quote_volume=bar.taker_buy_quote_volume + bought * quote,
        volatility_sq=bar.volatility_sq + moved,
        open_id=trade.id if is_first else bar.open_id,
        close_id=trade.id,
        first_id=bar.first_id,
        last_id=trade.id,
        ids=bar.ids + 1,
        complete=False,
    )

"""Bars and trades of a series without a seam: history from the store, the rest from the running part.

Rules: a minute is the running part's unless the store has more ids of it, or the running part is unsure of it. Bars up
to the one before the first running minute come rolled up from the store; from there on minutes of both are merged and
rolled up here, so `complete` is by the ids of the neighbours across the seam as well. While the store is away, what the
running part holds by itself is still answered.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from tradecap.flows.candles import FOREVER_S, BarsQuery, Candles, ShownCandle, candle_of, chosen, shown
from tradecap.flows.live import Live
from tradecap.flows.stored import Stored
from tradecap.market import bars as market_bars
from tradecap.market import candles as market
from tradecap.market.bars import Rank
from tradecap.market.records import Trade
from tradecap.market.trade_ids import TradeIds
from tradecap.store.api import QueryCutError, Series, SeriesSpan, StoreAwayError

LOOKS: Final = 10
"""Pages that one question goes through in search of complete bars."""
LEAST_PAGE: Final = 100


@dataclass(frozen=True)
class Page:
    """Bars, oldest first. next_s: where the following page begins; None where there is none."""

    candles: Candles
    next_s: int | None


class KnownSeries(NamedTuple):
    """What is known of a series. Times are us since 1970."""

    series: Series
    ids: TradeIds
    first_time_us: int
    last_time_us: int


class Joined:
    """See the module. stored: None where there is no store."""

    def __init__(self, live: Live, stored: Stored | None) -> None:
        self.live, self.stored = live, stored

    def series(self) -> list[Series]:
        """All series of store and log, in order."""
        return sorted({*self.live.series(), *(span.series for span in self._spans())})

    def choose(self, symbol: str, venue: str = "", channel: str = "") -> Series:
        """The series that is meant. Raises UnknownSymbolError or SeveralVenuesError."""
        wanted = BarsQuery(symbol=symbol, venue=venue, channel=channel)
        live = self.live.series()
        return chosen(live if any(each[1].upper() == symbol.upper() for each in live) else self.series(), wanted)

    def as_of_us(self, series: Series) -> int:
        """When its newest trade was traded."""
        with self.live.bars(series) as bars:
            if bars and bars.newest:
                return bars.newest.trade_time_us
        return next((span.last_time_us for span in self._spans() if span.series == series), 0)

    def known(self, series: Series) -> KnownSeries:
        """Its ids and times."""
        as_of_us = self.as_of_us(series)
        with self.live.bars(series) as bars:
            ids = TradeIds(bars.ids) if bars else TradeIds()
        if self.stored and (ids.pieces != 1):  # whoever loads the store may have filled a hole by another log
            try:
                for each in self.stored.remembered(("held", series), lambda store: store.held_ids(series)):
                    ids.add_range(*each)
            except (StoreAwayError, QueryCutError):
                pass  # what is known without it is true all the same
        first_us = self.live.first_us.get(series) or next(
            (span.first_time_us for span in self._spans() if span.series == series), as_of_us
        )
        return KnownSeries(series, ids, first_us, as_of_us)

    def _spans(self) -> Sequence[SeriesSpan]:
        if self.stored is None:
            return ()
        try:
            return self.stored.remembered("spans", lambda store: store.series_spans())
        except (StoreAwayError, QueryCutError):
            return ()

    # ---- bars --------------------------------------------------------------------------------------------------------

    def candles(self, series: Series, wanted: BarsQuery, *, complete: bool = False) -> Page:
        """A page of bars: from wanted.from_s on, or without it the newest. complete: only those that are."""
        limit = wanted.limit or LEAST_PAGE
        since_s, until_s = wanted.from_s or 0, FOREVER_S if wanted.to_s is None else wanted.to_s
        if wanted.from_s is None:
            found, next_s = self._backward(series, wanted.seconds, until_s, limit, complete), None
        else:
            found, next_s = self._forward(series, wanted.seconds, since_s, until_s, limit, complete)
        return Page(Candles(*series, found), next_s)

    def _forward(
        self, series: Series, seconds: int, since_s: int, until_s: int, limit: int, complete: bool
    ) -> tuple[list[ShownCandle], int | None]:
        found: list[ShownCandle] = []
        edge_s, tail = self._tail(series, seconds)
        for _ in range(LOOKS):
            rows = self._first(series, seconds, since_s, min(until_s, edge_s), limit + 1)
            rows = rows + [shown(bar) for bar in _within(tail, max(since_s, edge_s), until_s)[: limit + 1 - len(rows)]]
            found += [row for row in rows if row.complete or not complete]
            if len(found) > limit:
                return found[:limit], _opens(found[limit])
            if len(rows) <= limit:
                return found, None
            since_s = _opens(rows[-1]) + seconds
        return found, since_s

    def _backward(self, series: Series, seconds: int, until_s: int, limit: int, complete: bool) -> list[ShownCandle]:
        edge_s, tail = self._tail(series, seconds)
        found = [bar for bar in _within(tail, edge_s, until_s) if bar.complete or not complete][-limit:]
        newest = [shown(bar) for bar in found]
        until_s = min(until_s, edge_s)
        for _ in range(LOOKS):
            missing = limit - len(newest)
            if missing <= 0 or self.stored is None:
                break
            rows = self._newest(series, seconds, until_s, missing)
            newest = [row for row in rows if row.complete or not complete] + newest
            if len(rows) < missing:
                break
            until_s = _opens(rows[0])
        return newest

    def _first(self, series: Series, seconds: int, since_s: int, until_s: int, at_most: int) -> list[ShownCandle]:
        if self.stored is None or since_s >= until_s:
            return []
        return self.stored.remembered(
            ("first", series, seconds, since_s, until_s, at_most),
            lambda store: [candle_of(row) for row in store.first_candles(series, seconds, since_s, until_s, at_most)],
        )

    def _newest(self, series: Series, seconds: int, until_s: int, at_most: int) -> list[ShownCandle]:
        assert self.stored
        return self.stored.remembered(
            ("newest", series, seconds, until_s, at_most),
            lambda store: [
                candle_of(row) for row in reversed(store.newest_candles(series, seconds, 0, until_s, at_most))
            ],
        )

    def newest(
        self, series: Series, seconds: int, limit: int, lived: list[market.Candle]
    ) -> list[tuple[ShownCandle, int]]:
        """The newest bars, oldest first, where `lived` are the running minutes; each with the number of its ids (0: not
        known)."""
        edge_s, tail = self._tail(series, seconds, lived)
        found = [(shown(bar), bar.ids) for bar in tail[-limit:]]
        missing = limit - len(found)
        if missing <= 0 or self.stored is None:
            return found
        rows = self._newest(series, seconds, min(edge_s, FOREVER_S), missing)
        return [(row, row.last_id - row.first_id + 1 if row.complete else 0) for row in rows] + found

    def held(self, series: Series, since_s: int) -> Sequence[market.Candle]:
        """The store's minutes."""
        return (
            self.stored.remembered(
                ("minutes", series, since_s), lambda store: store.minutes(series, since_s, FOREVER_S)
            )
            if self.stored
            else ()
        )

    def _tail(
        self, series: Series, seconds: int, lived: list[market.Candle] | None = None
    ) -> tuple[int, list[market.Candle]]:
        """Where the bars end that the store alone answers, and all bars from there on."""
        lived = self._lived(series) if lived is None else lived
        if self.stored is None:
            return 0, _rolled(lived, seconds)
        if not lived:
            return FOREVER_S, []
        first_s = lived[0].open_time_s
        edge_s = max((first_s // seconds - 1) * seconds, 0)
        try:
            minutes = self._merged(series, edge_s, lived)
        except (StoreAwayError, QueryCutError):
            minutes, edge_s = lived, -(-first_s // seconds) * seconds
        return edge_s, _within(_rolled(minutes, seconds), edge_s, FOREVER_S)

    def minutes(self, series: Series, since_s: int, until_s: int) -> list[market.Candle]:
        """Minutes in a range of time, also those without a trade of the order book."""
        lived = self._lived(series)
        is_alone = self.stored is None or (lived and lived[0].open_time_s <= since_s and self.stored.problem)
        return _within(lived if is_alone else self._merged(series, since_s, lived), since_s, until_s)

    def _lived(self, series: Series) -> list[market.Candle]:
        """The running minutes; those that are unsure have no ids, so they aren't complete, and the store's win."""
        with self.live.bars(series) as bars:
            return lived_of(bars)

    def _merged(self, series: Series, since_s: int, lived: list[market.Candle]) -> list[market.Candle]:
        held = self.held(series, since_s)
        if lived and (not held or held[-1].open_time_s < lived[0].open_time_s):
            return [*held, *lived]
        by_time = {minute.open_time_s: minute for minute in held}
        for bar in lived:
            there = by_time.get(bar.open_time_s)
            if there is None or bar.ids >= there.ids:
                by_time[bar.open_time_s] = bar
        return [by_time[at_s] for at_s in sorted(by_time)]

    # ---- trades ------------------------------------------------------------------------------------------------------

    def trades(self, series: Series, from_id: int | None, at_most: int) -> tuple[list[tuple[Trade, Rank]], int | None]:
        """Trades from an id on (None: the newest at_most ids), ascending by id, each with its record; and the id to go
        on from, None at the end."""
        with self.live.bars(series) as bars:
            last_id = bars.newest.id if bars and bars.newest else None
            if from_id is None:
                from_id = max((last_id or self._last_id(series)) - at_most + 1, 0)
            found = bars.trades(from_id, at_most) if bars else []
        if self.stored and not _is_dense(found, from_id, at_most, last_id):
            since_id = from_id
            by_id = {
                each.trade.id: (each.trade, (each.run, each.seq))
                for each in self.stored.ask(lambda s: s.trades_from(series, since_id, 0, at_most))
            }
            for trade, rank in found:
                if trade.id not in by_id or rank < by_id[trade.id][1]:
                    by_id[trade.id] = trade, rank
            found = [by_id[trade_id] for trade_id in sorted(by_id)][:at_most]
        ends = len(found) < at_most or found[-1][0].id == last_id
        return found, None if ends else found[-1][0].id + 1

    def _last_id(self, series: Series) -> int:
        return next((span.last_id for span in self._spans() if span.series == series), 0)


def lived_of(bars: market_bars.Bars | None) -> list[market.Candle]:
    """The running minutes of a series; those that are unsure have no ids, so they aren't complete, and the store's
    win."""
    lived, unsure = (bars.every(), bars.unsure()) if bars else ([], set[int]())
    return (
        [msgspec.structs.replace(bar, ids=0) if bar.open_time_s in unsure else bar for bar in lived]
        if unsure
        else lived
    )


def _rolled(minutes: list[market.Candle], seconds: int) -> list[market.Candle]:
    bars = market.with_neighbours(minutes) if seconds == market.MINUTE_S else market.roll_up(minutes, seconds)
    return market.shown(bars)


def _within(bars: Sequence[market.Candle], since_s: int, until_s: int) -> list[market.Candle]:
    first, end = (bisect_left(bars, at_s, key=lambda bar: bar.open_time_s) for at_s in (since_s, until_s))
    return list(bars[first:end])


def _opens(candle: ShownCandle) -> int:
    return int(candle.open_time.timestamp())


def _is_dense(found: list[tuple[Trade, Rank]], from_id: int, at_most: int, last_id: int | None) -> bool:
    """Whether no id is missing from from_id on, so that nobody else can hold more."""
    if not found:
        return last_id is not None and from_id > last_id
    last = found[-1][0].id
    return last - from_id + 1 == len(found) and (len(found) == at_most or last == last_id)

"""Follows bars: those that are there first, then each change, without a seam.

Rules: the running minutes and the subscription are taken under one lock, so the first change that a subscriber gets is the one after the bars it was
given. What the store knows is asked before and after, never under the lock. A bar that began before the running part does takes its older minutes
from the store, which are asked again after each sweep.
"""

import threading
from collections.abc import Sequence
from typing import NamedTuple

from tradecap.flows.candles import Candle
from tradecap.flows.joined import Joined, lived_of
from tradecap.flows.ticks import Lost, Subscriber, Tick, Ticker
from tradecap.market.bars import Bars
from tradecap.store.api import Series


class Past(NamedTuple):
    """A bar that was there at the beginning. revision: how many ids it has (0: the store alone has it, with holes)."""

    series: Series
    candle: Candle
    revision: int
    is_closed: bool


class Changes(NamedTuple):
    """The bars that have changed, oldest first, and the version of the series that they show. ticks is None where that can't be known any more."""

    ticks: list[Tick] | None
    at: int


class Watching:
    """See the module. Any thread may use it."""

    def __init__(self, joined: Joined) -> None:
        self._joined, self._live = joined, joined.live
        self._tickers: dict[tuple[Series, int], Ticker] = {}
        self._lock = threading.Lock()

    def ticker(self, series: Series, seconds: int) -> Ticker:
        """The bars of a series in an interval, to be given back by `leave`. `prepare` and `begin` ask the store for what they need of it."""
        with self._lock:
            ticker = self._tickers.setdefault((series, seconds), Ticker(series, seconds))
            ticker.users += 1
        return ticker

    def leave(self, ticker: Ticker) -> None:
        """Nobody needs this ticker here any more."""
        with self._lock:
            ticker.users -= 1

    def begin(self, tickers: Sequence[Ticker], history: int, subscriber: Subscriber | None = None) -> tuple[list[Past], dict[Series, int]]:
        """The newest bars of each series, `history` and the current one, and the versions that they show.

        subscriber: gets every tick after them; to be given back by `end`.
        """
        for ticker in tickers:
            self.prepare(ticker)
        if history and self._joined.stored:  # what the store answers is remembered, so that the queue doesn't fill up meanwhile
            for ticker in tickers:
                with self._live.bars(ticker.series) as bars:
                    lived = lived_of(bars)
                self._joined.newest(ticker.series, ticker.seconds, history + 1, lived)
        with self._live.still() as all_bars:
            running = {ticker.series: lived_of(all_bars.get(ticker.series)) for ticker in tickers}
            versions = {ticker.series: all_bars[ticker.series].version if ticker.series in all_bars else 0 for ticker in tickers}
            if subscriber:
                for ticker in tickers:
                    self._live.subscribe(ticker, subscriber)
        past = []
        try:
            for ticker in tickers:
                found = self._joined.newest(ticker.series, ticker.seconds, history + 1, running[ticker.series])
                past += [Past(ticker.series, candle, ids, n < len(found)) for n, (candle, ids) in enumerate(found, 1)]
        except BaseException:
            if subscriber:
                self.end(tickers, subscriber)
            raise
        return past, versions

    def end(self, tickers: Sequence[Ticker], subscriber: Subscriber) -> None:
        """The subscriber gets nothing any more, even where `begin` is still at work in another thread."""
        subscriber.lose(Lost.ENDED)
        for ticker in tickers:
            self._live.unsubscribe(ticker, subscriber)

    def changes(self, ticker: Ticker, since: int) -> Changes:
        """What has changed after a version of the series."""
        with self._live.bars(ticker.series) as bars:
            return Changes(ticker.changed(bars, since), bars.version) if bars else Changes([] if not since else None, 0)

    def current(self, ticker: Ticker) -> Changes:
        """The newest bar, as the only change."""
        with self._live.bars(ticker.series) as bars:
            newest = ticker.current(bars) if bars else None
            return Changes([newest] if newest else [], bars.version if bars else 0)

    def refresh(self) -> None:
        """Ask the store again where it has swept. Raises TradecapError where it is away."""
        for ticker in list(self._tickers.values()):
            if ticker.users and ticker.sweep is not None:
                self.prepare(ticker)

    def prepare(self, ticker: Ticker) -> None:
        """Ask the store for the minutes that this ticker needs, once for each sweep. Raises TradecapError where it is needed and away."""
        stored = self._joined.stored
        if stored is None or ticker.sweep == stored.sweep:
            return
        with self._live.bars(ticker.series) as bars:
            edge_s = _edge_s(bars, ticker.seconds)
        if edge_s is None:
            return
        sweep = stored.sweep
        minutes = self._joined.held(ticker.series, edge_s)
        with self._live.bars(ticker.series) as bars:
            lived = {bar.open_time_s: bar.ids for bar in lived_of(bars)}
            ticker.hold([minute for minute in minutes if minute.ids > lived.get(minute.open_time_s, 0)], sweep)


def _edge_s(bars: Bars | None, seconds: int) -> int | None:
    """From where on the store's minutes are needed: the newest bar or the one before it began before the running part. None: they aren't."""
    if bars is None or bars.newest_s is None or bars.oldest_s is None or bars.oldest_s < (bars.newest_s // seconds - 1) * seconds:
        return None
    return max((bars.oldest_s // seconds - 1) * seconds, 0)

"""Follows bars: first the existing ones, then each change, with nothing missing in between.

Rules: the running minutes and the subscription are taken under one lock, so the first change that a subscriber gets is
the one after the bars it was given. The store is queried before and after that, never under the lock. If a bar began
before the running part, its older minutes come from the store, and are queried again after each sweep.
"""

import threading
from collections.abc import Sequence
from typing import NamedTuple

from tradecap.flows.candles import ShownCandle
from tradecap.flows.joined import Joined, lived_of
from tradecap.flows.ticks import Lost, Subscriber, Tick, Ticker
from tradecap.market.bars import Bars
from tradecap.store.api import Series


class Past(NamedTuple):
    """A bar that existed at the beginning. revision: how many ids it has (0: only the store has it, with holes)."""

    series: Series
    candle: ShownCandle
    revision: int
    is_closed: bool


class Changes(NamedTuple):
    """The bars that have changed, oldest first, and the version of the series that they show. ticks: None if the
    changes are no longer known."""

    ticks: list[Tick] | None
    at: int


class Watching:
    """See the module. Any thread may use it."""

    def __init__(self, joined: Joined) -> None:
        self._joined, self._live = joined, joined.live
        self._tickers: dict[tuple[Series, int], Ticker] = {}
        self._lock = threading.Lock()

    def ticker(self, series: Series, seconds: int) -> Ticker:
        """The bars of a series in an interval, until `leave`. `prepare` and `begin` query the store for what the ticker
        needs."""
        with self._lock:
            ticker = self._tickers.setdefault((series, seconds), Ticker(series, seconds))
            ticker.users += 1
        return ticker

    def leave(self, ticker: Ticker) -> None:
        """A ticker from `ticker` is no longer needed by its caller."""
        with self._lock:
            ticker.users -= 1

    def begin(
        self, tickers: Sequence[Ticker], history: int, subscriber: Subscriber | None = None
    ) -> tuple[list[Past], dict[Series, int]]:
        """The newest bars of each series, `history` and the current one, and the versions that they show.

        subscriber: gets every tick after them, until `end`.
        """
        for ticker in tickers:
            self.prepare(ticker)
        if history and self._joined.stored:  # the answers are cached, so that the queue doesn't fill up meanwhile
            for ticker in tickers:
                with self._live.bars(ticker.series) as bars:
                    lived = lived_of(bars)
                self._joined.newest(ticker.series, ticker.seconds, history + 1, lived)
        with self._live.still() as all_bars:
            running = {ticker.series: lived_of(all_bars.get(ticker.series)) for ticker in tickers}
            versions = {
                ticker.series: all_bars[ticker.series].version if ticker.series in all_bars else 0 for ticker in tickers
            }
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
        """Send the subscriber nothing more, even if `begin` is still running in another thread."""
        subscriber.lose(Lost.ENDED)
        for ticker in tickers:
            self._live.unsubscribe(ticker, subscriber)

    def changes(self, ticker: Ticker, since: int) -> Changes:
        """What has changed since a version of the series."""
        with self._live.bars(ticker.series) as bars:
            return Changes(ticker.changed(bars, since), bars.version) if bars else Changes([] if not since else None, 0)

    def current(self, ticker: Ticker) -> Changes:
        """The newest bar, as the only change."""
        with self._live.bars(ticker.series) as bars:
            newest = ticker.current(bars) if bars else None
            return Changes([newest] if newest else [], bars.version if bars else 0)

    def refresh(self) -> None:
        """Query the store again after a sweep. Raises TradecapError if it doesn't answer."""
        for ticker in list(self._tickers.values()):
            if ticker.users and ticker.sweep is not None:
                self.prepare(ticker)

    def prepare(self, ticker: Ticker) -> None:
        """Query the store for the minutes that this ticker needs, once for each sweep. Raises TradecapError if the
        store is needed and doesn't answer."""
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
    """The time from which minutes of the store are needed, because the newest bar or the one before it began before the
    running part. None if they aren't needed."""
    if (
        bars is None
        or bars.newest_s is None
        or bars.oldest_s is None
        or bars.oldest_s < (bars.newest_s // seconds - 1) * seconds
    ):
        return None
    return max((bars.oldest_s // seconds - 1) * seconds, 0)

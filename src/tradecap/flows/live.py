"""The newest bars and trades, which grow as the log does.

How store and log are joined: first the store's position in this log is taken, then the newest hour of the store's
trades is read, then the log is followed from that position. Trades that the store gained in between come twice and are
recognised by their id, so nothing is missing and nothing counts twice. If several records have one id, the first one by
(run, seq) is the trade, as everywhere. A log gives only what is durable.

If the store is further behind than `history_s`, reading begins that long before the log's end. The trades in between
will be in the store later, and the ids of the bars at both edges show that they aren't complete. Without a store
everything comes from the log.

Tickers (`flows.ticks`) get each change under the lock that guards the bars. Other callers are called after each batch
with the series that have changed.

Memory: `market.bars` says how much a series takes. At most TRADES_KEPT trades are kept in all series together; beyond
that, the series with the most trades forgets the older half of them. Only one batch of the log is held at a time.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from tradecap.errors import TradecapError
from tradecap.flows.records import records_of, unwatched
from tradecap.flows.ticks import Subscriber, Ticker
from tradecap.log.api import Damage, Log
from tradecap.market.bars import KEPT_S, Bars, Rank
from tradecap.market.batch import BEGINNING, Batch, Positions
from tradecap.market.records import Trade
from tradecap.store.api import Series, Store

HISTORY_S: Final = 7200.0
TRADES_KEPT: Final = 2_000_000
"""About 600 MB."""
PAGE: Final = 50_000
"""Trades per query to the store."""
CHUNK: Final = 500
"""Trades that are added under one lock: a reader waits for no more than these."""
RETRY_S: Final = 1.0
LOOK_S: Final = 0.25
LAG_S: Final = 2.0
"""How often the log is asked how much of it is still unread."""
REPORTED: Final = 100
"""The newest places of damage that are remembered, so that each is reported once."""
QUIET_S: Final = 15.0
"""A log that brings nothing for this long has been read to its end, even if `Log.behind` counts more: it also counts
markers of transactions. A reader of a topic collects the first batch of a partition for 5 s."""


class Live:
    """Follows a log in its own thread. Call `begin` first, then `start`, and `finish` at the end."""

    def __init__(
        self, log: Log, store: Store | None, *, history_s: float = HISTORY_S, say: Callable[[str], None] = unwatched
    ) -> None:
        self.log = log
        self.positions: Positions = BEGINNING
        """Up to where the log has been read."""
        self.problem: TradecapError | None = None
        """Why the log can't be read now."""
        self.is_caught_up = False
        """Whether the end of the log has been reached once."""
        self.behind: Mapping[int, int] = {}
        """By partition, how much of the log was unread, at most LAG_S ago."""
        self.taken_s = 0.0
        self._failed_s = 0.0
        """When the newest batch came (monotonic)."""
        self.first_us: dict[Series, int] = {}
        """The time of the first known trade of each series, in us."""
        self._store, self._history_s, self._say = store, history_s, say
        self._bars: dict[Series, Bars] = {}
        self._tickers: dict[Series, list[Ticker]] = {}
        """The tickers that have subscribers."""
        self._calls: list[Callable[[Collection[Series]], None]] = []
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._looked_s = 0.0
        self._unread: set[int] = set()
        """The partitions whose end hasn't been reached yet."""
        self._reported: list[Damage] = []

    def begin(self) -> None:
        """Read the store's newest trades, and find where to follow the log. Raises TradecapError if either can't be
        read."""
        stored = self._store.positions(self.log.id) if self._store else BEGINNING
        self.positions = self.log.recent(self._history_s, stored)
        self._unread = {partition for partition, left in self.log.behind(self.positions).items() if left}
        for span in self._store.series_spans() if self._store else ():
            self._preload(self._store, span.series, span.last_time_us)
            self.first_us[span.series] = span.first_time_us

    def _preload(self, store: Store | None, series: Series, last_time_us: int) -> None:
        assert store is not None
        held = store.held_ids(series)
        floor_s = (last_time_us // 10**6 - KEPT_S) // 60 * 60
        bars = self._bars[series] = Bars(floor_s=floor_s)
        from_id = 0
        while True:
            page = store.trades_from(series, from_id, floor_s * 10**6, PAGE)
            for each in page:
                bars.take(each.trade, (each.run, each.seq))
            if len(page) < PAGE:
                break
            from_id = page[-1].trade.id + 1
        for ids in held:  # only now, because `take` skips ids that are known
            bars.know(*ids)
        self._bound()

    def start(self) -> None:
        """Begin to follow the log."""
        self.taken_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """End following."""
        self._is_over.set()
        if self._thread:
            self._thread.join(30)
            self._thread = None

    def series(self) -> list[Series]:
        """All known series, in order."""
        with self._lock:
            return sorted(self._bars)

    @contextmanager
    def bars(self, series: Series) -> Iterator[Bars | None]:
        """The bars of a series, which don't change meanwhile; None if the series is unknown."""
        with self._lock:
            yield self._bars.get(series)

    @contextmanager
    def still(self) -> Iterator[Mapping[Series, Bars]]:
        """The bars of all series, which don't change meanwhile."""
        with self._lock:
            yield self._bars

    def subscribe(self, ticker: Ticker, subscriber: Subscriber) -> None:
        """Send a subscriber every tick of a series. Call this only within `still`."""
        ticker.subscribe(subscriber, self._bars.get(ticker.series))
        subscribed = self._tickers.setdefault(ticker.series, [])
        if ticker not in subscribed:
            subscribed.append(ticker)

    def unsubscribe(self, ticker: Ticker, subscriber: Subscriber) -> None:
        """Send this subscriber no more ticks."""
        with self._lock:
            ticker.unsubscribe(subscriber)
            subscribed = self._tickers.get(ticker.series, [])
            if ticker in subscribed and not ticker.has_subscribers:
                subscribed.remove(ticker)

    def call(self, changed: Callable[[Collection[Series]], None]) -> None:
        """From now on call `changed` in the log's thread after each batch, with the series whose bars have changed."""
        self._calls.append(changed)

    def version(self, series: Series) -> int:
        """Grows whenever the bars of a series have changed."""
        bars = self._bars.get(series)
        return bars.version if bars else 0

    def ills(self) -> list[str]:
        """What only a restart can repair; empty if healthy."""
        return ["the log isn't followed any more"] if self._thread and not self._thread.is_alive() else []

    def not_ready(self) -> list[str]:
        """What is missing; empty if ready."""
        if self.problem:
            return [f"the log can't be read: {self.problem.message}"]
        if ills := self.ills():
            return ills
        return [] if self.is_caught_up else ["the log hasn't been read to its end yet"]

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                for batch in self.log.read(self.positions, follow=self._is_followed, on_damage=self._note):
                    self._take(batch)
                    if self._is_over.is_set():
                        return
            except TradecapError as error:
                self._report(error)
            except Exception as error:  # noqa: BLE001 -- in a thread: it would end unnoticed, and the answers would go stale
                self._report(
                    TradecapError(
                        f"Reading the log failed: {type(error).__name__}: {error}.", "look at the log, and report this."
                    )
                )
            self._is_over.wait(RETRY_S)

    def _report(self, error: TradecapError) -> None:
        if self.problem is None or self.problem.message != error.message:
            self._say(f"The log can't be read: {error.message} Trying again.")
        self.problem = error
        self._failed_s = time.monotonic()

    def _is_followed(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._looked_s > (LAG_S if self.is_caught_up else LOOK_S):
            # a reader that waits for more doesn't notice that a log has gone away; this call does
            self.behind = self.log.behind(self.positions)
            self._looked_s = time.monotonic()
            is_quiet = now_s - max(self.taken_s, self._failed_s) > QUIET_S  # an outage isn't silence
            self.is_caught_up = self.is_caught_up or is_quiet or not any(self.behind.values())
            self.problem = None
        return not self._is_over.is_set()

    def _take(self, batch: Batch) -> None:
        found: list[tuple[Trade, Rank]] = []
        for envelope, reading, _ in records_of(batch, self.log.id):
            if type(reading) is Trade:
                found.append((reading, (envelope.run, envelope.seq)))
                if len(found) >= CHUNK:
                    self._put(found)
                    found = []
        self._put(found)
        self.problem = None
        self.positions = {**self.positions, batch.end.partition: batch.end.at}
        self.taken_s = time.monotonic()
        if batch.is_newest:
            self._unread.discard(batch.end.partition)
        self.is_caught_up = self.is_caught_up or (batch.is_newest and not self._unread)
        self._bound()

    def _put(self, found: list[tuple[Trade, Rank]]) -> None:
        changed: set[Series] = set()
        with self._lock:
            for trade, rank in found:
                series = trade.venue, trade.symbol, trade.channel
                bars = self._bars.get(series)
                if bars is None:
                    bars = self._bars[series] = Bars()
                    self.first_us[series] = trade.trade_time_us
                if bars.take(trade, rank):
                    changed.add(series)
                    for ticker in self._tickers.get(series, ()):
                        ticker.grow(bars, trade)
            for series in changed:
                for ticker in self._tickers.get(series, ()):
                    ticker.settle(self._bars[series])
        for call in self._calls if changed else ():
            call(changed)

    def _bound(self) -> None:
        with self._lock:
            while sum(bars.kept for bars in self._bars.values()) > TRADES_KEPT:
                max(self._bars.values(), key=lambda bars: bars.kept).shrink()

    def _note(self, damage: Damage) -> None:
        if damage not in self._reported:
            self._reported = [*self._reported[-REPORTED:], damage]
            self._say(f"{damage.detail}. Everything after it is served.")

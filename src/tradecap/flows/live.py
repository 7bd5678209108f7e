"""The running part: bars and trades that grow as the log does.

The seam: first the store's position in this log is taken, then the newest hour of the store's trades is read, then the log is followed from that
position. Whatever the store gained in between comes twice, and is one trade by its id; so nothing is missing and nothing counts twice. Of records
with one id the first by (run, seq) is the trade, as everywhere. A log gives only what is durable.

Where the store is further behind than `history_s`, reading begins that long before the log's end: what lies between is the store's business, and
the bars at both edges aren't complete, by their ids. Without a store everything is from the log.

What follows the bars (`flows.ticks`) is given each change under the lock that guards them; others are called after each batch with the series that
have changed.

Memory: `market.bars` says what a series takes; TRADES_KEPT trades at most are kept in all series together (beyond that the series that has most
forgets the older half of its trades). Of a log nothing is held but the batch in hand.
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
"""Trades that are taken from the store at once."""
CHUNK: Final = 500
"""Trades that are put in at once: a reader waits for no more."""
RETRY_S: Final = 1.0
LOOK_S: Final = 0.25
LAG_S: Final = 2.0
"""How often the log is asked how much of it hasn't been read."""
TOLD: Final = 100
"""Places of damage that are told once."""
QUIET_S: Final = 5.0
"""A log that brings nothing for so long is read to its end, whatever `Log.behind` says: markers of transactions count there."""


class Live:
    """Follows a log in a thread of its own. `begin` first, then `start`, and `finish` at the end."""

    def __init__(self, log: Log, store: Store | None, *, history_s: float = HISTORY_S, say: Callable[[str], None] = unwatched) -> None:
        self.log = log
        self.positions: Positions = BEGINNING
        """Up to where the log has been read."""
        self.problem: TradecapError | None = None
        """Why the log can't be read now."""
        self.is_caught_up = False
        """Whether the end of the log has been reached once."""
        self.behind: Mapping[int, int] = {}
        """By partition, how much of the log wasn't read, LAG_S ago at most."""
        self.taken_s = 0.0
        """When something came last (monotonic)."""
        self.first_us: dict[Series, int] = {}
        """When the first trade of a series was traded that is known of, in us."""
        self._store, self._history_s, self._say = store, history_s, say
        self._bars: dict[Series, Bars] = {}
        self._tickers: dict[Series, list[Ticker]] = {}
        """Those that have subscribers."""
        self._calls: list[Callable[[Collection[Series]], None]] = []
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._looked_s = 0.0
        self._told: list[Damage] = []

    def begin(self) -> None:
        """Join the store's newest trades to the log. Raises TradecapError where either can't be read."""
        stood = self._store.positions(self.log.id) if self._store else BEGINNING
        self.positions = self.log.recent(self._history_s, stood)
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
        for ids in held:  # known only now: an id that is known isn't taken
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
        """All that are known of, in order."""
        with self._lock:
            return sorted(self._bars)

    @contextmanager
    def bars(self, series: Series) -> Iterator[Bars | None]:
        """The bars of a series, which don't change meanwhile; None where nothing of it is known."""
        with self._lock:
            yield self._bars.get(series)

    @contextmanager
    def still(self) -> Iterator[Mapping[Series, Bars]]:
        """The bars of all series, none of which changes meanwhile."""
        with self._lock:
            yield self._bars

    def subscribe(self, ticker: Ticker, subscriber: Subscriber) -> None:
        """Give a subscriber every tick of a series. Only within `still`."""
        ticker.subscribe(subscriber, self._bars.get(ticker.series))
        there = self._tickers.setdefault(ticker.series, [])
        if ticker not in there:
            there.append(ticker)

    def unsubscribe(self, ticker: Ticker, subscriber: Subscriber) -> None:
        """The opposite."""
        with self._lock:
            ticker.unsubscribe(subscriber)
            there = self._tickers.get(ticker.series, [])
            if ticker in there and not ticker.has_subscribers:
                there.remove(ticker)

    def call(self, changed: Callable[[Collection[Series]], None]) -> None:
        """From now on call this in the log's thread after each batch, with the series whose bars have changed."""
        self._calls.append(changed)

    def version(self, series: Series) -> int:
        """Grows whenever the bars of a series have changed."""
        bars = self._bars.get(series)
        return bars.version if bars else 0

    def ills(self) -> list[str]:
        """What only a restart repairs: [] is healthy."""
        return ["the log isn't followed any more"] if self._thread and not self._thread.is_alive() else []

    def not_ready(self) -> list[str]:
        """What is missing: [] is ready."""
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
                self._tell(error)
            except Exception as error:  # noqa: BLE001 -- of a thread: it would end unseen, and the answers grow old
                self._tell(TradecapError(f"Reading the log failed: {type(error).__name__}: {error}.", "look at the log, and report this."))
            self._is_over.wait(RETRY_S)

    def _tell(self, error: TradecapError) -> None:
        if self.problem is None or self.problem.message != error.message:
            self._say(f"The log can't be read: {error.message} It is tried again.")
        self.problem = error

    def _is_followed(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._looked_s > (LAG_S if self.is_caught_up else LOOK_S):
            # a log that has gone away shows here: a reader that waits for more doesn't notice
            self.behind = self.log.behind(self.positions)
            self._looked_s = time.monotonic()
            self.is_caught_up = self.is_caught_up or now_s - self.taken_s > QUIET_S or not any(self.behind.values())
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
        self.is_caught_up = self.is_caught_up or batch.is_newest
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
        if damage not in self._told:
            self._told = [*self._told[-TOLD:], damage]
            self._say(f"{damage.detail}. What comes after it is served.")

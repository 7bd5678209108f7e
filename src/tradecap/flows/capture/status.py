"""The state of a running capture, as the live line, the metrics and the health checks see it.

Rules: only the capture's thread writes it; other threads read whole values, which may be a moment old. It reads no
clock for the health checks: the caller passes monotonic seconds.
"""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from tradecap.flows.capture.counts import CaptureCounts
from tradecap.flows.capture.states import State, after_connections
from tradecap.market.id_book import IdBook
from tradecap.market.pacing import Lateness

STUCK_S: Final = 10.0
"""A log with records to write that made none durable for this long is stuck."""
RATE_EVERY_S: Final = 0.2


class NewsItem(NamedTuple):
    """A line for people. level: info or warning."""

    level: str
    text: str
    fields: Mapping[str, object]


class Status:
    """The status of one capture. latency: from the socket to the durable log."""

    def __init__(self, run: str, books: Mapping[str, IdBook], stale_s: float) -> None:
        self.run = run
        self.books = books
        self.state = State.CONNECTING
        self.latency = Lateness()
        self.live = 0
        """Connections that are up."""
        self.counts = CaptureCounts()
        """As they were at the last `count`."""
        self.gaps_open = 0
        self.news: deque[NewsItem] = deque(maxlen=1000)
        self.arrived_s = self.flushed_s = time.monotonic()
        self.rate = 0.0
        """Trades a second, smoothed."""
        self._stale_s = stale_s
        self._samples: list[int] = []
        self._waiting_s: float | None = None
        self._counted_s = self.arrived_s
        self._counted_valid = 0

    # ---- the capture's side ----

    def connected(self, live: int) -> None:
        """This many connections are up now."""
        self.live = live
        self.state = after_connections(self.state, live)

    def arrived(self, now_s: float) -> None:
        """A message arrived."""
        self.arrived_s = now_s

    def waits(self, now_s: float) -> None:
        """The first record since the last flush was written."""
        self._waiting_s = now_s

    def sample(self, recv_ns: Iterable[int]) -> None:
        """Receive times of some messages. Their latency is known at the next flush."""
        self._samples.extend(recv_ns)

    def flushed(self, now_s: float) -> None:
        """Everything written is durable."""
        now_ns = time.time_ns()
        for recv_ns in self._samples:
            self.latency.add(now_ns - recv_ns)
        self._samples.clear()
        self.flushed_s = now_s
        self._waiting_s = None

    def count(self, counts: CaptureCounts) -> None:
        """Publish a copy of the counts."""
        now_s = time.monotonic()
        if now_s - self._counted_s > RATE_EVERY_S:
            self.rate = 0.7 * self.rate + 0.3 * (counts.valid - self._counted_valid) / (now_s - self._counted_s)
            self._counted_valid, self._counted_s = counts.valid, now_s
        self.counts = replace(counts)
        self.gaps_open = sum(1 for book in self.books.values() for _ in book.open)

    def report(self, level: str, text: str, fields: Mapping[str, object]) -> None:
        """Add a line for people."""
        self.news.append(NewsItem(level, text, fields))

    # ---- the readers' side ----

    def ills(self, now_s: float) -> list[str]:
        """What is wrong; empty if the capture is healthy."""
        ills = []
        if now_s - self.arrived_s >= self._stale_s:
            ills.append(f"no data for {now_s - self.arrived_s:.0f} s")
        waiting_s = self._waiting_s
        if waiting_s is not None and now_s - waiting_s >= STUCK_S:
            ills.append(f"the log made nothing durable for {now_s - waiting_s:.0f} s")
        return ills

    def not_ready(self, now_s: float) -> list[str]:
        """What keeps the capture from doing its work: no connection, a series without a trade yet, or an ill."""
        missing = [] if self.live else ["no connection is up"]
        unseen = [symbol for symbol, book in self.books.items() if book.newest is None]
        return missing + ([f"nothing of {', '.join(unseen[:5])} yet"] if unseen else []) + self.ills(now_s)

"""The state of a running capture, for who looks at it: the live line, the metrics, the health.

Rules: written by the capture's thread alone; others read whole values, which may be a moment old. It knows no clock: times are monotonic seconds
that are handed in, so that who asks for the health says when.
"""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from tradecap.market.id_book import IdBook
from tradecap.market.pacing import Lateness

if TYPE_CHECKING:
    from tradecap.flows.capture.plan import Captured

STUCK_S: Final = 10.0
"""A log that made nothing durable for so long, with something to write, is stuck."""


class Said(NamedTuple):
    """Something worth a line."""

    level: str
    text: str
    fields: Mapping[str, object]


class Status:
    """Of one capture. latency is from the socket to the durable log."""

    def __init__(self, run: str, books: Mapping[str, IdBook], stale_s: float) -> None:
        self.run = run
        self.books = books
        self.latency = Lateness()
        self.live = 0
        self.was_live = False
        self.counts: dict[str, int] = {}
        self.gaps_open = 0
        self.news: deque[Said] = deque(maxlen=1000)
        self.arrived_s = self.flushed_s = time.monotonic()
        self.rate = 0.0
        self._stale_s = stale_s
        self._samples: list[int] = []
        self._waiting_s: float | None = None
        self._valid = 0
        self._counted_s = self.arrived_s

    # ---- the capture's side ----

    def arrived(self, now_s: float) -> None:
        """Something came."""
        self.arrived_s = now_s

    def waits(self, now_s: float) -> None:
        """The first record since the last flush was written."""
        self._waiting_s = now_s

    def sample(self, recv_ns: Iterable[int]) -> None:
        """Some of the messages: their latency will be known when they are durable."""
        self._samples.extend(recv_ns)

    def flushed(self, now_s: float) -> None:
        """What was written is durable."""
        now_ns = time.time_ns()
        for recv_ns in self._samples:
            self.latency.add(now_ns - recv_ns)
        self._samples.clear()
        self.flushed_s = now_s
        self._waiting_s = None

    def count(self, done: "Captured", records: int) -> None:
        """Take the counts over."""
        now = time.monotonic()
        if now - self._counted_s > 0.2:
            self.rate = 0.7 * self.rate + 0.3 * (done.valid - self._valid) / (now - self._counted_s)
            self._valid, self._counted_s = done.valid, now
        names = ("valid", "duplicates_dropped", "quarantined", "ignored", "gaps_found", "gaps_repaired", "outliers", "reconnects")
        self.counts = {"records": records, **{name: getattr(done, name) for name in names}}
        self.gaps_open = sum(1 for book in self.books.values() for _ in book.open)

    def say(self, level: str, text: str, fields: Mapping[str, object]) -> None:
        """Something to be told."""
        self.news.append(Said(level, text, fields))

    # ---- who looks ----

    def ills(self, now_s: float) -> list[str]:
        """What is wrong: [] is healthy."""
        ills = []
        if now_s - self.arrived_s >= self._stale_s:
            ills.append(f"no data for {now_s - self.arrived_s:.0f} s")
        waiting_s = self._waiting_s
        if waiting_s is not None and now_s - waiting_s >= STUCK_S:
            ills.append(f"the log made nothing durable for {now_s - waiting_s:.0f} s")
        return ills

    def not_ready(self, now_s: float) -> list[str]:
        """What is missing for the capture to do its work: a connection, and each series seen."""
        missing = [] if self.live else ["no connection is up"]
        unseen = [symbol for symbol, book in self.books.items() if book.newest is None]
        return missing + ([f"nothing of {', '.join(unseen[:5])} yet"] if unseen else []) + self.ills(now_s)

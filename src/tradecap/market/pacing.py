"""When each record of a paced replay is due, and how well that was kept.

Rules: due times are offsets from the start of the replay, never before the one of the record before. Recorded silence
is kept, however long; speed divides it. Recorded times may be missing, may lag behind (streams of one connection are in
no common order: 14 times in one recording, docs/binance.md §4) and may jump back (a clock was set, an older recording
follows). Nothing here sleeps or reads a clock.
"""

from math import ceil, inf
from typing import Final

DISORDER_NS: Final = 10_000_000_000
"""A record at most this far behind the newest one is late and due at once; one further behind begins a new time line.
Observed: 0.22 s (§9)."""


class Pacer:
    """Turns recorded times (ns, of any epoch) into due times (ns since the start of the replay). speed 1 = as recorded,
    10 = ten times as fast."""

    def __init__(self, speed: float) -> None:
        if not 0 < speed < inf:
            raise ValueError(f"speed must be a number above 0, not {speed}")
        self._speed = speed
        self._due_ns = 0
        # The line between both times: the record of `_origin_ns` is due at `_origin_due_ns`.
        self._origin_ns: int | None = None
        self._origin_due_ns = 0
        self._newest_ns = 0

    def due_ns(self, recorded_ns: int | None) -> int:
        """When the next record is due. One without a time is due together with the one before it."""
        if recorded_ns is None:
            return self._due_ns
        if self._origin_ns is None or recorded_ns < self._newest_ns - DISORDER_NS:
            self._origin_ns, self._origin_due_ns = recorded_ns, self._due_ns
            self._newest_ns = recorded_ns
        elif recorded_ns > self._newest_ns:
            self._newest_ns = recorded_ns
            # From the origin each time, not step by step: roundings must not add up.
            self._due_ns = self._origin_due_ns + round((recorded_ns - self._origin_ns) / self._speed)
        return self._due_ns


class Lateness:
    """How far records were from their due times, in constant memory: a histogram whose steps are below 1.6 % of the
    value."""

    def __init__(self) -> None:
        self.records = 0
        self._max_ns = 0
        # How many, by the greatest ns of their step. At most 64 steps for each power of two, so below 4 100 for all of
        # 64 bits.
        self._steps: dict[int, int] = {}

    def add(self, late_ns: int) -> None:
        """Count one record, late_ns after its due time (before it, if negative: too early is as wrong as too late)."""
        off_ns = abs(late_ns)
        shift = max(0, off_ns.bit_length() - 7)
        step = ((off_ns >> shift) + 1 << shift) - 1
        self._steps[step] = self._steps.get(step, 0) + 1
        self.records += 1
        self._max_ns = max(self._max_ns, off_ns)

    def quantile_ms(self, share: float) -> float:
        """In ms, what this share of the records stayed below or met: the upper end of its step, so never better than it
        was. 0 without records."""
        rank = ceil(self.records * share)
        for step in sorted(self._steps):
            rank -= self._steps[step]
            if rank <= 0:
                return min(step, self._max_ns) / 1e6
        return 0.0

    def summary(self) -> dict[str, float]:
        """p50_ms, p99_ms and max_ms."""
        return {"p50_ms": self.quantile_ms(0.5), "p99_ms": self.quantile_ms(0.99), "max_ms": self._max_ns / 1e6}

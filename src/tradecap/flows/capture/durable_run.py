"""A run whose records become durable soon: every FLUSH_S, or after FLUSH_RECORDS, whichever comes first."""

import time
from typing import Final

from tradecap.flows.capture.status import Status
from tradecap.flows.run import Run
from tradecap.market.records import Trade

FLUSH_RECORDS: Final = 1000
FLUSH_S: Final = 0.1


class DurableRun:
    """Writes one run, and flushes. It belongs to one thread, which calls `flush_if_due` when it has nothing else to do."""

    def __init__(self, run: Run, status: Status) -> None:
        self.run = run
        self._status = status
        self._unflushed = 0
        self._flushed_s = time.monotonic()

    def record(self, recv_ns: int, head: bytes, framed: bytes, trade: Trade | None = None) -> None:
        """Write a data record."""
        self.run.record(recv_ns, head, framed, trade)
        self.wrote(1)

    def wrote(self, records: int) -> None:
        """So many were written to `run` past `record`, at a stretch: looking at the clock for each of them would cost more than writing it."""
        if records and not self._unflushed:
            self._status.waits(time.monotonic())
        self._unflushed += records
        if self._unflushed >= FLUSH_RECORDS:
            self.flush()

    @property
    def room(self) -> int:
        """How many records may still be written before a flush is due."""
        return FLUSH_RECORDS - self._unflushed

    def event(self, name: str, head: bytes, **detail: object) -> None:
        """Write down what happened, and to which venue or series."""
        self.run.event(name, head, **detail)
        self.wrote(1)

    def flush_if_due(self) -> None:
        """Make what was written durable, when it has waited long enough."""
        if self._unflushed and self.due_in_s() <= 0:
            self.flush()
        elif not self._unflushed:
            self.run.alive_if_due()

    def flush(self) -> None:
        """Make what was written durable now."""
        self.run.flush()
        self._unflushed = 0
        self._flushed_s = time.monotonic()
        self._status.flushed(self._flushed_s)

    def due_in_s(self) -> float:
        """How long what was written may still wait; FLUSH_S when nothing was."""
        return max(0.0, FLUSH_S - (time.monotonic() - self._flushed_s)) if self._unflushed else FLUSH_S

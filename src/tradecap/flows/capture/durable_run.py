"""The one way a capture writes to its run: data records and events, durable within FLUSH_S or after FLUSH_RECORDS,
whichever comes first."""

import time
from collections.abc import Sequence
from typing import Final

from tradecap.flows.capture.counts import CaptureCounts
from tradecap.flows.capture.status import Status
from tradecap.flows.run import Run
from tradecap.market.records import DataRecord

FLUSH_RECORDS: Final = 1000
FLUSH_S: Final = 0.1


class DurableRun:
    """Writes one run, and flushes. It belongs to one thread, which calls `flush_if_due` when it has nothing else to
    do."""

    def __init__(self, run: Run, status: Status) -> None:
        self._run, self._status = run, status
        self._unflushed = 0
        self._flushed_s = time.monotonic()

    def write(self, records: Sequence[DataRecord]) -> None:
        """Write data records, in order. Many at once are cheaper than one by one; still no more than FLUSH_RECORDS wait
        for a flush."""
        while records:
            now = records if len(records) <= self.room else records[: self.room]
            self._run.write(now)
            self._note_written(len(now))
            records = records[len(now) :]

    def event(self, name: str, head: bytes, **detail: object) -> None:
        """Write down what happened, and to which venue or series."""
        self._run.event(name, head, **detail)
        self._note_written(1)

    def end(self, counts: CaptureCounts, **detail: object) -> None:
        """Write the end record, and make it durable. Its counts, and from then on `counts`, include it."""
        others = {name: count for name, count in vars(counts).items() if name != "records"}
        self._run.end(**others, **detail)
        counts.records = self.records

    @property
    def records(self) -> int:
        """Records written so far, events included."""
        return self._run.records

    @property
    def room(self) -> int:
        """How many records may still be written before a flush is due."""
        return FLUSH_RECORDS - self._unflushed

    def flush_if_due(self) -> None:
        """Make what was written durable, if it has waited long enough."""
        if self._unflushed and self.due_in_s() <= 0:
            self.flush()
        elif not self._unflushed:
            self._run.alive_if_due()

    def flush(self) -> None:
        """Make what was written durable now."""
        self._run.flush()
        self._unflushed = 0
        self._flushed_s = time.monotonic()
        self._status.flushed(self._flushed_s)

    def due_in_s(self) -> float:
        """How long what was written may still wait; FLUSH_S if nothing was written."""
        return max(0.0, FLUSH_S - (time.monotonic() - self._flushed_s)) if self._unflushed else FLUSH_S

    def _note_written(self, records: int) -> None:
        if not self._unflushed:
            self._status.waits(time.monotonic())
        self._unflushed += records
        if self._unflushed >= FLUSH_RECORDS:
            self.flush()

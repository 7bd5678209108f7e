"""One run of a program that writes to a log: what every such flow begins and ends with.

A run begins with `started`, attests the runs whose writers died (`recovered`), and ends with `ended`, which holds its
counts.
"""

import time
from collections.abc import Sequence
from typing import Final

from tradecap import __version__
from tradecap.log.api import Block, LogWriter
from tradecap.market.records import DataRecord, RunWriter, Trade

ALIVE_S: Final = 20.0
"""A writer without records for this long writes `alive`; a run on a topic counts as open for three times as long after
its newest record."""


class Run:
    """Numbers records and hands them to the log's writer."""

    def __init__(self, writer: LogWriter, command: str, **detail: object) -> None:
        self.id = writer.run
        self._writer = writer
        self._lines = RunWriter(writer.run)
        self.event("started", b"", version=__version__, command=command, **detail)
        for torn in writer.torn:
            self.event("recovered", b"", run=torn.run, last_seq=torn.last_seq)
        self.flush()

    @property
    def records(self) -> int:
        """Records written so far, events included."""
        return self._lines.seq

    def record(self, recv_ns: int | None, head: bytes, framed: bytes, trade: Trade | None = None) -> None:
        """Write one data record; head and framed as of market.records."""
        self._writer.append(self._lines.record(recv_ns, head, framed), trade)

    def write(self, records: Sequence[DataRecord]) -> None:
        """Write data records, in order."""
        append = self._writer.append
        for line, record in zip(self._lines.records(records), records, strict=True):
            append(line, record[-1])

    def append_many(self, block: Block) -> None:
        """Write records that carry the next numbers, from `records` on."""
        self._writer.append_many(block)
        self._lines.seq += len(block.ends)

    def event(self, name: str, head: bytes = b"", **detail: object) -> None:
        """Write down what happened; head, as of market.records, says to which venue or series."""
        self._writer.append(self._lines.event(time.time_ns(), name, detail, head))

    def flush(self) -> None:
        """Make everything written durable."""
        self._writer.flush()
        self._written_s = time.monotonic()

    def alive_if_due(self) -> None:
        """Write `alive` after ALIVE_S without a record: on a topic, silence is all that tells a dead writer from an
        idle one."""
        if time.monotonic() - self._written_s >= ALIVE_S:
            self.event("alive")
            self.flush()

    def end(self, **counts: object) -> None:
        """Write the end record; `records` in it counts it too."""
        self.event("ended", b"", records=self.records + 1, **counts)
        self.flush()

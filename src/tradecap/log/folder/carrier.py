"""Takes records of another log into a folder, unchanged.

Rules: it is a writer like any other as to locks, segments and manifests, but begins no run: what it writes has its
identity already. A segment holds records of one run, so one that goes on with another run is closed first.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Self

from tradecap.log.api import Block, Record
from tradecap.log.folder.writer import FileWriter
from tradecap.market.records import MAX_LINE


class FileCarrier:
    """See `Carrier`. Closes the writer at its end."""

    longest = MAX_LINE
    needs_trades = True
    retries = 0

    def __init__(self, writer: FileWriter) -> None:
        self._writer = writer
        self._run = ""

    def send(self, records: Sequence[Record], is_wanted: Callable[[], bool]) -> bool:  # noqa: ARG002 -- a disk answers at once
        """See `Carrier.send`."""
        for run, of_run in groupby(records, key=lambda record: record.envelope.run):
            if run != self._run:
                if self._run:
                    self._writer.cut()
                self._run = run
            self._writer.append_many(Block.of((line, trade) for line, _, trade in of_run))
        return True

    def settle(self, is_wanted: Callable[[], bool]) -> bool:  # noqa: ARG002 -- as above
        """See `Carrier.settle`."""
        self._writer.flush()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._writer.close()

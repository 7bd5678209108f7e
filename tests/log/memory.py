"""A log that only the tests have: three partitions in memory, offsets with holes. It shows that nothing above the log
needs files."""

import os
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, Self

from tradecap.log.api import Block, Damage, Part, Record, TornRun
from tradecap.market.batch import BEGINNING, Batch, Position, Positions, SeriesNote, Values
from tradecap.market.records import Trade, new_run, read_envelope

PARTITIONS: Final = 3
BATCH: Final = 50
"""Values in a batch at most."""


class Kept:
    """What outlives a handle: by partition (offset, value), the ids of runs being written, the last run."""

    def __init__(self) -> None:
        self.id = new_run(time.time_ns() // 1_000_000, "", os.urandom(10))
        self.partitions: list[list[tuple[int, bytes]]] = [[] for _ in range(PARTITIONS)]
        self.open_runs: set[str] = set()
        self.last_run = ""
        self.lock = threading.Lock()


class MemoryLog:
    """See `Log`."""

    has_one_writer = False
    lag_unit = "offsets"

    def __init__(self, kept: Kept) -> None:
        self.id = kept.id
        self.url = f"memory:{kept.id[:8]}"
        self._kept = kept

    def read(
        self,
        after: Positions = BEGINNING,
        *,
        follow: Callable[[], bool] | None = None,
        on_damage: Callable[[Damage], None] | None = None,  # noqa: ARG002 -- memory has none
    ) -> Iterator[Batch]:
        """See `Log.read`."""
        at = {partition: int(after.get(partition, "0")) for partition in range(PARTITIONS)}
        while True:
            is_followed = follow is not None and follow()
            ends = [partition[-1][0] + 1 if partition else 0 for partition in self._kept.partitions]
            for batch in self._between(at, ends):
                at[batch.end.partition] = batch.end.order
                yield batch
            if not is_followed:
                return
            time.sleep(0.01)

    def feed(
        self,
        reader: str,  # noqa: ARG002 -- there is one
        positions: Callable[[], Positions],
        *,
        follow: Callable[[], bool] | None = None,
        on_damage: Callable[[Damage], None],
        segment_files: int = 0,  # noqa: ARG002 -- memory has none
    ) -> Iterator[Batch]:
        """See `Log.feed`."""
        return self.read(positions(), follow=follow, on_damage=on_damage)

    def _between(self, start: dict[int, int], ends: Sequence[int]) -> Iterator[Batch]:
        for number, kept in enumerate(self._kept.partitions):
            found = [(offset, value) for offset, value in list(kept) if start[number] <= offset < ends[number]]
            for first in range(0, len(found), BATCH):
                some = found[first : first + BATCH]
                end = some[-1][0] + 1
                yield Batch(
                    Values([value for _, value in some], [offset for offset, _ in some]),
                    len(some),
                    Position(number, str(end), end),
                    is_newest=end == ends[number],
                )

    def skim(self, on_damage: Callable[[Damage], None]) -> Iterator[Batch | Sequence[SeriesNote]]:
        """See `Log.skim`."""
        return self.read(on_damage=on_damage)

    def snapshot(self, newest: int | None = None) -> "MemorySnapshot":  # noqa: ARG002 -- it is small
        """See `Log.snapshot`."""
        return MemorySnapshot(self, [partition[-1][0] + 1 if partition else 0 for partition in self._kept.partitions])

    def again(self, part: Part) -> Part | None:  # noqa: ARG002 -- it gives no evidence to be held against it
        """See `Log.again`."""
        return None

    def glance(self, part: Part) -> Part | None:  # noqa: ARG002 -- as above
        """See `Log.glance`."""
        return None

    def writer(self) -> "MemoryWriter":
        """See `Log.writer`."""
        return MemoryWriter(self._kept)

    def carrier(self) -> "MemoryCarrier":
        """See `Log.carrier`."""
        return MemoryCarrier(MemoryWriter(self._kept))

    def open_runs(self, within_s: float = 60.0) -> frozenset[str]:  # noqa: ARG002 -- the writers tell
        """See `Log.open_runs`."""
        return frozenset(self._kept.open_runs)

    def behind(self, after: Positions) -> dict[int, int]:
        """See `Log.behind`."""
        ends = [partition[-1][0] + 1 if partition else 0 for partition in self._kept.partitions]
        return {partition: end - int(after.get(partition, "0")) for partition, end in enumerate(ends)}

    def recent(self, within_s: float, after: Positions) -> Positions:  # noqa: ARG002 -- it keeps no times
        """See `Log.recent`."""
        return after

    def free_bytes(self) -> None:
        """See `Log.free_bytes`."""


class MemorySnapshot:
    """See `Snapshot`."""

    shortened: frozenset[int] = frozenset()
    newest_run = ""

    def __init__(self, log: MemoryLog, ends: list[int]) -> None:
        self.id = log.id
        self._log, self._ends = log, ends

    def read(
        self,
        after: Positions = BEGINNING,
        *,
        on_damage: Callable[[Damage], None] | None = None,  # noqa: ARG002 -- the protocol's signature
    ) -> Iterator[Batch]:
        """See `Snapshot.read`."""
        return self._log._between({n: int(after.get(n, "0")) for n in range(PARTITIONS)}, self._ends)

    def read_on(self, after: Positions, *, on_damage: Callable[[Damage], None]) -> Iterator[Batch]:
        """See `Snapshot.read_on`."""
        return self.read(after, on_damage=on_damage)

    def evidence(self, damage: Collection[Damage]) -> None:
        """None: nothing of it could be read again later."""


class MemoryCarrier:
    """See `Carrier`."""

    longest = 1_000_000
    needs_trades = False
    retries = 0

    def __init__(self, writer: "MemoryWriter") -> None:
        self._writer = writer

    def send(self, records: Sequence[Record], is_wanted: Callable[[], bool]) -> bool:  # noqa: ARG002 -- memory answers at once
        """See `Carrier.send`."""
        for record in records:
            self._writer.append(record.line)
        return True

    def settle(self, is_wanted: Callable[[], bool]) -> bool:  # noqa: ARG002 -- as above
        """See `Carrier.settle`."""
        self._writer.flush()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._writer.close()


class MemoryWriter:
    """See `LogWriter`."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        with kept.lock:
            self.run = kept.last_run = new_run(time.time_ns() // 1_000_000, kept.last_run, os.urandom(10))
            kept.open_runs.add(self.run)
        self.torn: list[TornRun] = []
        self.torn_bytes = 0
        self._waiting: list[bytes] = []

    def append(self, line: bytes, trade: Trade | None = None) -> None:  # noqa: ARG002 -- the record tells
        """See `LogWriter.append`."""
        self._waiting.append(line.removesuffix(b"\n"))

    def append_many(self, block: Block) -> None:
        """See `LogWriter.append_many`."""
        self._waiting += block.text.split(b"\n")[:-1]

    def flush(self) -> None:
        """See `LogWriter.flush`."""
        with self._kept.lock:
            for value in self._waiting:
                envelope = read_envelope(value)
                key = (envelope.symbol or envelope.run) if envelope else ""
                partition = self._kept.partitions[zlib.crc32(key.encode()) % PARTITIONS]
                partition.append((partition[-1][0] + 1 + len(partition) % 3 // 2 if partition else 4, value))
            self._waiting = []

    def close(self) -> None:
        """See `LogWriter.close`."""
        self.flush()
        self._kept.open_runs.discard(self.run)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

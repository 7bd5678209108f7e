"""The one writer of a file log, for one run.

Rules: `append` only collects (and writes through above 1 MiB); acknowledged is what `flush` returned for: written,
fsynced, then published to readers. A segment is closed when it is big or old enough and at the end of the run, so that
none ever holds two runs. When a write fails or is interrupted half-way nothing is tried again: the segment stays as it
is, and the next writer sorts out what is whole. The lock goes with the process, however it dies.
"""

import contextlib
import os
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from tradecap.digits import number
from tradecap.durable import sync, sync_folder, write_all
from tradecap.errors import Exit, TradecapError
from tradecap.log.api import Block, Stretch, TornRun
from tradecap.log.folder.facts import SegmentFacts, SeriesKey, series_note
from tradecap.log.folder.lock import Lock, cannot_write
from tradecap.log.folder.recovery import RECOVERED_MARK, recover
from tradecap.log.folder.segment import DurableLength, Head, Manifest, Segment, close_segment, write_head
from tradecap.market.batch import SeriesNote
from tradecap.market.records import Trade, attested_run, new_run, read_envelope
from tradecap.market.trade_ids import TradeIds

WRITE_THROUGH: Final = 1024 * 1024
"""Bytes collected at most before they are written (not yet durable)."""


class FileWriter:
    """Writes one run into the log in folder. Begun by `FileLog.writer`.

    run is the run's id, torn the runs whose writers died unattested, torn_bytes what their crashes left behind their
    last whole record. It belongs to one thread. Every method raises TradecapError (exit 4) when the disk is full or
    can't be written; the message says how many records are safe.
    """

    def __init__(self, folder: Path, log_id: str, *, segment_bytes: int, segment_age_s: float) -> None:
        self._folder = folder
        self._log_id = log_id
        self._segment_bytes = segment_bytes
        self._segment_age_s = segment_age_s
        self._lock = Lock(folder)
        try:
            found = recover(folder, log_id)
            self.run = new_run(time.time_ns() // 1_000_000, found.last_run, os.urandom(10))
            self._lock.name_run(self.run)
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise cannot_write(folder, error, "the records of earlier runs are safe") from error
            raise
        self.torn: list[TornRun] = found.torn
        self.torn_bytes = found.torn_bytes
        self._next = Segment(folder, found.number + 1)
        self._previous = found.previous
        self._active: _Active | None = None
        self._collected: list[bytes] = []
        self._further = 0
        self._room = min(WRITE_THROUGH, segment_bytes)
        self._series: dict[tuple[str, str, str], _Ids] = {}
        self._recovered: list[str] = []
        self._safe = 0
        self._is_stranded = False
        self._is_closed = False

    def append(self, line: bytes, trade: Trade | None = None) -> None:
        """Take one record (with its newline); `trade` is what it was decoded to, for the manifest. Durable only after
        `flush`."""
        self._collected.append(line)
        if trade is not None:
            key = trade.venue, trade.symbol, trade.channel
            ids = self._series.get(key) or self._begin_series(key, trade.id)
            if trade.id == ids.next:
                ids.next += 1
            else:
                ids.jump(trade.id)
            ids.trades += 1
        elif RECOVERED_MARK in line:
            self._note_recovered(line)
        self._room -= len(line)
        if self._room <= 0:
            with self._all_or_stranded():
                self._write()

    def append_many(self, block: Block) -> None:
        """See `LogWriter.append_many`."""
        text, ends, stretches = block
        first = start = 0
        while first < len(ends):
            # up to the line after which `append` would write
            behind = min(bisect_left(ends, start + self._room, first), len(ends) - 1) + 1
            end = ends[behind - 1]
            self._collected.append(text if end - start == len(text) else text[start:end])
            self._further += behind - first - 1
            stretches = self._note_trades(stretches, behind)
            if RECOVERED_MARK in self._collected[-1]:
                self._note_recoveries(block, first, behind)
            self._room -= end - start
            if self._room <= 0:
                with self._all_or_stranded():
                    self._write()
            first, start = behind, end

    def _note_trades(self, stretches: Sequence[Stretch], behind: int) -> Sequence[Stretch]:
        """Note the ids on the lines before `behind`; the stretches on the other lines."""
        for at, (line, key, first_id, count) in enumerate(stretches):
            if line >= behind:
                return stretches[at:]
            taken = min(count, behind - line)
            ids = self._series.get(key) or self._begin_series(key, first_id)
            if first_id != ids.next:
                ids.jump(first_id)
            ids.next = first_id + taken
            ids.trades += taken
            if taken < count:
                return [Stretch(behind, key, first_id + taken, count - taken), *stretches[at + 1 :]]
        return ()

    def _note_recoveries(self, block: Block, first: int, behind: int) -> None:
        """Note the `recovered` events among the lines from `first` to the one before `behind`. A trade is none,
        whatever is in its text."""
        trades = {line for begun, _, _, count in block.stretches for line in range(begun, begun + count)}
        for at in range(first, behind):
            line = block.text[block.ends[at - 1] if at else 0 : block.ends[at]]
            if at not in trades and RECOVERED_MARK in line:
                self._note_recovered(line)

    def cut(self) -> None:
        """Close the segment here: the next record begins another. For records of several runs, since no segment holds
        two."""
        with self._all_or_stranded():
            self._write()
            self._close_segment()

    def flush(self) -> None:
        """Make everything appended durable, then show it to readers."""
        with self._all_or_stranded():
            self._write()
            if self._active is not None:
                self._active.make_durable()
                self._safe += self._active.newly_safe()

    def close(self) -> None:
        """Flush, close the segment and give the log free. After a failed write it only gives the log free."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if not self._is_stranded:
                with self._all_or_stranded():
                    self._write()
                    self._close_segment()
        finally:
            if self._active is not None:
                self._active.release()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _all_or_stranded(self) -> Iterator[None]:
        """After a write that broke off half-way (full disk, Ctrl-C), refuse further writes: bytes could be there twice,
        or missing."""
        if self._is_stranded or (self._is_closed and self._lock.is_free):
            raise TradecapError(
                f"The writer of {self._folder} has stopped: {number(self._safe)} records of run {self.run} are safe.",
                "begin a new run; what is whole in the log is kept.",
                Exit.UNDELIVERED,
            )
        self._is_stranded = True
        try:
            yield
        except OSError as error:
            raise cannot_write(
                self._folder, error, f"{number(self._safe)} records of run {self.run} are safe"
            ) from error
        self._is_stranded = False

    def _write(self) -> None:
        """Write what was collected, and close the segment when it is big or old enough."""
        if self._collected:
            data = b"".join(self._collected)
            records = len(self._collected) + self._further
            if data.count(b"\n") != records or not data.endswith(b"\n"):
                raise ValueError("a record is one line and ends with its newline")
            if self._active is None:
                self._active = _Active(self._next, self.run)
                self._next = self._next.next
            self._active.write(data, records)
            self._collected, self._further = [], 0
        if self._active is not None and self._active.is_due(self._segment_bytes, self._segment_age_s):
            self._close_segment()
        left = self._segment_bytes - (self._active.size if self._active else 0)
        self._room = min(WRITE_THROUGH, left)

    def _close_segment(self) -> None:
        if self._active is None:
            return
        self._previous = close_segment(self._active.segment, self._manifest(self._active)).sha256
        self._safe += self._active.newly_safe()
        self._active.release()
        self._active = None
        self._series, self._recovered = {}, []

    def _manifest(self, active: "_Active") -> Manifest:
        first, last = read_envelope(active.first_line[:-1]), read_envelope(active.last_line[:-1])
        facts = SegmentFacts(
            records=active.records, size=active.size, first=first, last=last, recovered=self._recovered
        )
        return facts.manifest(
            self._log_id, active.segment, self._previous, [ids.note(key) for key, ids in self._series.items()]
        )

    def _begin_series(self, key: tuple[str, str, str], first_id: int) -> "_Ids":
        ids = self._series[key] = _Ids(first_id)
        return ids

    def _note_recovered(self, line: bytes) -> None:
        envelope = read_envelope(line[:-1])
        if envelope is not None and (run := attested_run(envelope)):
            self._recovered.append(run)


class _Active:
    """The open segment. Created durably: named in the folder and in head.json before a record in it can be
    acknowledged."""

    def __init__(self, segment: Segment, run: str) -> None:
        self.segment = segment
        self.size = 0
        self.records = 0
        self.first_line = self.last_line = b""
        self._reported = 0
        self._durable_size = 0
        self._begun = time.monotonic()
        self._plain = segment.plain.open("xb", buffering=0)
        self._durable = DurableLength(segment)
        # the segment first: head.json must never name one that a crash kept from being begun
        sync_folder(segment.folder)
        write_head(segment.folder, Head(segment.number, run))

    def write(self, data: bytes, records: int) -> None:
        write_all(self._plain.fileno(), data)
        self.first_line = self.first_line or data[: data.index(b"\n") + 1]
        self.last_line = data[data.rfind(b"\n", 0, -1) + 1 :]
        self.size += len(data)
        self.records += records

    def make_durable(self) -> None:
        if self.size > self._durable_size:
            sync(self._plain.fileno())
            self._durable.publish(self.size)
            self._durable_size = self.size

    def newly_safe(self) -> int:
        """The records that became durable since this was asked last; asked only when all of them are."""
        newly, self._reported = self.records - self._reported, self.records
        return newly

    def is_due(self, segment_bytes: int, segment_age_s: float) -> bool:
        return self.size >= segment_bytes or time.monotonic() - self._begun >= segment_age_s

    def release(self) -> None:
        self._plain.close()
        self._durable.close()


class _Ids:
    """The ids of one series in one segment, as closed intervals in order of arrival. `next` is the id that would extend
    the last one."""

    __slots__ = ("_done", "_start", "next", "trades")

    def __init__(self, first: int) -> None:
        self._done: list[tuple[int, int]] = []
        self._start = self.next = first
        self.trades = 0

    def jump(self, trade_id: int) -> None:
        """Begin another interval."""
        self._done.append((self._start, self.next - 1))
        self._start, self.next = trade_id, trade_id + 1

    def note(self, key: SeriesKey) -> SeriesNote:
        seen = TradeIds()
        for first, last in sorted([*self._done, (self._start, self.next - 1)]):
            seen.add_range(first, last)
        return series_note(key, self.trades, seen)

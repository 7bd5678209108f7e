"""Counts a log on all cores: the log's side of `verify`, in one pass.

Rules: this process reads the log and judges its files; the others are handed whole batches of lines, one at a time, and give back what they counted,
which is merged in the order of the log. So the outcome is that of counting alone (`Tally.merge` holds a test to that), and as many batches as there
are processes are in memory. A short log is counted here, before another process would be up. One that dies is made up for here.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self

from tradecap.flows.records import read_lines, split
from tradecap.log import Damage, Log
from tradecap.market.tally import Tally

ALONE: Final = 4
"""Batches (of 8 MiB) that are counted before others are asked to help: half a second's work."""
MOST: Final = 8
"""Processes; from about here on reading the log is what takes the time."""


def tally_log(log: Log, on_damage: Callable[[Damage], None], progress: Callable[[int], None], *, alone: int = ALONE) -> Tally:
    """One pass over the log; a second one only for records that stand twice."""
    tally = Tally()
    with _Team(tally, log.id) as team:
        for number, batch in enumerate(log.read(on_damage=on_damage)):
            if number < alone:
                count(tally, batch.lines, log.id)
            else:
                team.count(batch.lines)
            progress(batch.records)
    if tally.repeated:
        for envelope, _, line in read_lines(log):
            if (envelope.run, envelope.seq) in tally.repeated:
                tally.note_repeat(envelope, line)
    return tally


def count(tally: Tally, lines: bytes, log_id: str) -> None:
    """Count some lines of the log."""
    for envelope, reading, line in split(lines, log_id):
        tally.add(envelope, reading, line)


class _Team:
    """Processes that count for a tally, begun when there is something to do. Leaving the context takes in what they have left."""

    def __init__(self, tally: Tally, log_id: str) -> None:
        self._tally, self._log_id = tally, log_id
        self._left = _cores() if _cores() > 1 else 0
        self._idle: list[Connection] = []
        self._busy: deque[tuple[Connection, bytes]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            while self._busy and kind is None:
                self._take_in()
        finally:
            for connection in [*self._idle, *(connection for connection, _ in self._busy)]:
                connection.close()

    def count(self, lines: bytes) -> None:
        """Have some lines counted, by whoever is free."""
        if self._left and not self._idle:
            self._left -= 1
            self._idle.append(_begin(self._log_id))
        while self._busy and not self._idle:
            self._take_in()
        if not self._idle:
            count(self._tally, lines, self._log_id)
            return
        connection = self._idle.pop()
        try:
            connection.send_bytes(lines)
        except OSError:  # it died while it had nothing to do
            self.count(lines)
        else:
            self._busy.append((connection, lines))

    def _take_in(self) -> None:
        """What was counted of the lines that come next in the log."""
        connection, lines = self._busy.popleft()
        try:
            part: Tally | None = connection.recv()
        except (EOFError, OSError):
            part = None
        else:
            self._idle.append(connection)
        if part is None or not self._tally.merge(part):
            count(self._tally, lines, self._log_id)


def _cores() -> int:
    return min(MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _begin(log_id: str) -> Connection:
    """A new process, by the connection to it. Not a fork: the store's threads would be missing in it."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    processes.Process(target=work, args=(theirs, log_id), name="tradecap-tally", daemon=True).start()
    theirs.close()
    return ours


def work(connection: Connection, log_id: str) -> None:
    """What the other process does until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks
    while True:
        try:
            lines = connection.recv_bytes()
        except EOFError:
            return
        part = Tally()
        count(part, lines, log_id)
        connection.send(part)

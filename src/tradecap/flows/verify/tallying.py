"""Counts a log on all cores: the log's side of `verify`, in one pass.

Rules: this process reads the log and judges its files; the others are handed whole batches of lines, one at a time, and give back what they counted,
which is merged in the order of the log. So the outcome is that of counting alone (`Tally.merge` holds a test to that), and as many batches as there
are processes are in memory. A short log is counted here, before another process would be up. One that dies is made up for here.
"""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self

from tradecap.flows.records import read_lines, records_of
from tradecap.log.api import Damage, Snapshot
from tradecap.market.batch import Batch
from tradecap.proof.tally import Tally

ALONE: Final = 4
"""Batches (of 8 MiB) that are counted before others are asked to help: half a second's work."""
MOST: Final = 8
"""Processes; from about here on reading the log is what takes the time."""
WORKER: Final = "import sys; from tradecap.flows.verify.tallying import work; work(int(sys.argv[1]), sys.argv[2])"
"""Not by `multiprocessing`, which runs the calling script once more in each process it spawns, nor a fork, which would lack the store's threads."""


def tally_log(log: Snapshot, on_damage: Callable[[Damage], None], progress: Callable[[int], None], *, alone: int = ALONE) -> Tally:
    """One pass over the log; a second one only for records that stand twice."""
    tally = Tally()
    with _Team(tally, log.id) as team:
        for number, batch in enumerate(log.read(on_damage=on_damage)):
            if number < alone:
                count(tally, batch, log.id)
            else:
                team.count(batch)
            progress(batch.records)
    if tally.repeated:
        for envelope, _, line in read_lines(log):
            if (envelope.run, envelope.seq) in tally.repeated:
                tally.note_repeat(envelope, line)
    return tally


def count(tally: Tally, batch: Batch, log_id: str) -> None:
    """Count the records of a batch."""
    for envelope, reading, raw in records_of(batch, log_id):
        tally.add(envelope, reading, raw)


class _Worker:
    """A process that counts what it is sent, until the connection to it is closed."""

    def __init__(self, log_id: str) -> None:
        self.connection, theirs = Pipe()
        self.batch: Batch | None = None
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(theirs.fileno()), log_id],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # what it dies of is no loss
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C is for the one who asks
            )

    def send(self, batch: Batch) -> bool:
        """Have a batch counted; False where the process is gone."""
        self.batch = batch
        try:
            self.connection.send(batch)
        except OSError:
            return False
        return True

    def counted(self) -> Tally | None:
        """What it counted of the batch that was sent; None where it died over it."""
        try:
            tally = self.connection.recv()
        except (EOFError, OSError):
            return None
        assert isinstance(tally, Tally)
        return tally

    def close(self) -> None:
        """Let it end."""
        self.connection.close()
        self._process.kill()
        self._process.wait()


class _Team:
    """Processes that count for a tally, begun when there is something to do. Leaving the context takes in what they have left."""

    def __init__(self, tally: Tally, log_id: str) -> None:
        self._tally, self._log_id = tally, log_id
        self._places = _cores() if _cores() > 1 else 0
        self._idle: list[_Worker] = []
        self._busy: deque[_Worker] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            while self._busy and kind is None:
                self._take_in()
        finally:
            for worker in (*self._idle, *self._busy):
                worker.close()

    def count(self, batch: Batch) -> None:
        """Have a batch counted, by whoever is free."""
        if self._places and not self._idle:
            self._begin()
        while self._busy and not self._idle:
            self._take_in()
        if not self._idle:
            count(self._tally, batch, self._log_id)
            return
        worker = self._idle.pop()
        if worker.send(batch):
            self._busy.append(worker)
        else:
            worker.close()
            self.count(batch)

    def _begin(self) -> None:
        """One more process, where the machine has room for it."""
        try:
            self._idle.append(_Worker(self._log_id))
        except OSError:
            self._places = 0
        else:
            self._places -= 1

    def _take_in(self) -> None:
        """What was counted of the lines that come next in the log."""
        worker = self._busy.popleft()
        part = worker.counted()
        if part is None:
            worker.close()
        else:
            self._idle.append(worker)
        if (part is None or not self._tally.merge(part)) and worker.batch is not None:
            count(self._tally, worker.batch, self._log_id)


def _cores() -> int:
    return min(MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def work(descriptor: int, log_id: str) -> None:
    """What the other process does until nobody asks any more."""
    with Connection(descriptor) as connection:
        while True:
            try:
                batch = connection.recv()
            except (EOFError, OSError):
                return
            part = Tally()
            assert isinstance(batch, Batch)
            count(part, batch, log_id)
            connection.send(part)

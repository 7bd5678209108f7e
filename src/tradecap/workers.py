"""Processes that count for `verify`, one for each core.

Rules: not by `multiprocessing`, which runs the calling script once more in each process it spawns, nor by a fork, which
would lack the store's threads. A worker ends when the connection to it is closed.
"""

import os
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Final

from tradecap.flows.verify.counting import Counter
from tradecap.market.batch import Portion
from tradecap.proof.tally import Tally

MOST: Final = 8
"""Processes; from about here on reading the log is what takes the time."""
OVERLAPPED_FROM: Final = 3
"""Cores. On two, counting alone and the store alone use both (docs/performance.md)."""
WORK: Final = "import sys; from tradecap.workers import work; work(int(sys.argv[1]), sys.argv[2])"


class Workers:
    """Begins up to one process for each core; none on a machine with one core."""

    def __init__(self, cores: int | None = None) -> None:
        wanted = min(MOST, cores or _cores())
        self._left = wanted if wanted > 1 else 0

    def __call__(self, log_id: str) -> "CountingProcess | None":
        """Another process for a log; None where the machine has no room for it."""
        if not self._left:
            return None
        try:
            worker = CountingProcess(log_id)
        except OSError:
            self._left = 0
            return None
        self._left -= 1
        return worker


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_cores_to_overlap() -> bool:
    """Whether there are cores for the store's side while the log is counted."""
    return _cores() >= OVERLAPPED_FROM


class CountingProcess:
    """A process that counts what it is sent, until the connection to it is closed."""

    def __init__(self, log_id: str) -> None:
        self.connection, theirs = Pipe()
        self.portion: Portion | None = None
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", WORK, str(theirs.fileno()), log_id],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # its last words aren't needed
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C is for the one who asks
            )

    def send(self, portion: Portion) -> bool:
        """Have a portion counted; False where the process is gone."""
        self.portion = portion
        try:
            self.connection.send(portion)
        except OSError:
            return False
        return True

    def counted(self) -> Tally | None:
        """What it counted of the portion that was sent; None where it died over it."""
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


def work(descriptor: int, log_id: str) -> None:
    """What the other process does until nobody asks any more."""
    counter = Counter(log_id)
    with Connection(descriptor) as connection:
        while True:
            try:
                portion = connection.recv()
            except (EOFError, OSError):
                return
            part = Tally()
            assert isinstance(portion, Portion)
            counter.count(part, portion)
            connection.send(part)

"""The whole capture into a log on disk, without a store.

URL MESSAGES CORE, and STEP to measure the memory every STEP messages.
"""

import sys
import tempfile
from pathlib import Path

from bench.clients.measure import Stopwatch, asked, rss_mb

from tradecap.flows.capture.counts import CaptureCounts, Captured
from tradecap.flows.capture.plan import Plan
from tradecap.flows.capture.status import Status
from tradecap.flows.capture.wiring import Wiring
from tradecap.log.folder.log import FileLog
from tradecap.venues.api import SITES


class Memory:
    """The memory that the capture takes, every `step` messages."""

    def __init__(self, step: int) -> None:
        self._step = step
        self.mb: dict[int, float] = {}

    def see(self, status: Status) -> None:
        """As the live line would."""
        steps = status.counts.valid // self._step
        if steps and steps * self._step not in self.mb:
            self.mb[steps * self._step] = rss_mb()


def captured(url: str, messages: int, memory: Memory) -> Captured:
    """As `tradecap stream BTCUSDT --max-trades` does it."""
    plan = Plan(venue="binance", channel="trade", symbols=("BTCUSDT",), max_trades=messages)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        log = FileLog(Path(folder) / "log", create=True)
        with log.writer() as writer:
            return Wiring(SITES["binance"].at(url), log, writer, plan).run(stop=lambda: False, see=memory.see)


url, messages = asked()
memory = Memory(int(sys.argv[4]) if len(sys.argv) > 4 else messages)
watch = Stopwatch()
done = captured(url, messages, memory)
assert done.counts == CaptureCounts(records=done.counts.records, valid=messages), done
watch.tell(messages, "websockets", latency=done.latency, rss_mb=memory.mb)

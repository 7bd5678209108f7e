"""The whole capture into a log on disk, without a store.

URL MESSAGES CORE, and STEP to be told the memory at each so many messages.
"""

import sys
import tempfile
from pathlib import Path

from bench.clients.measure import Stopwatch, asked, rss_mb

from tradecap.flows.capture.capture import capture
from tradecap.flows.capture.plan import Captured, Plan
from tradecap.flows.capture.status import Status
from tradecap.log.folder.log import FileLog
from tradecap.venues.binance.control import CONTROL
from tradecap.venues.feed import Feed


class Memory:
    """What the capture takes, at each so many messages."""

    def __init__(self, step: int) -> None:
        self._step = step
        self.mb: dict[int, float] = {}

    def see(self, status: Status) -> None:
        """As the live line would."""
        steps = status.counts["valid"] // self._step
        if steps and steps * self._step not in self.mb:
            self.mb[steps * self._step] = rss_mb()


def captured(url: str, messages: int, memory: Memory) -> Captured:
    """As `tradecap stream BTCUSDT --max-trades` does it."""
    plan = Plan("binance", "trade", ("BTCUSDT",), max_trades=messages)
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as folder,
        FileLog(Path(folder) / "log", create=True).writer() as writer,
        Feed(f"{url}/stream", ["btcusdt@trade"], CONTROL) as feed,
    ):
        return capture(feed, writer, plan, repair=None, known={}, free=lambda: sys.maxsize, stop=lambda: False, see=memory.see)


url, messages = asked()
memory = Memory(int(sys.argv[4]) if len(sys.argv) > 4 else messages)
watch = Stopwatch()
done = captured(url, messages, memory)
assert (done.valid, done.gaps_found, done.duplicates_dropped, done.quarantined) == (messages, 0, 0, 0), done
watch.tell(messages, "websockets", latency=done.latency, rss_mb=memory.mb)

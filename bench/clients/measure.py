"""The common part of the clients of bench/capture.py: each takes URL MESSAGES CORE, stays on that core, and prints its
figures as a line of JSON.

Only the standard library: it runs in other people's environments as well.
"""

import json
import os
import resource
import sys
import time
from importlib.metadata import version


def asked() -> tuple[str, int]:
    """(URL, messages); from here on on the one core."""
    url, messages, core = sys.argv[1:4]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    return url, int(messages)


class Stopwatch:
    """Started before the client connects, stopped when it has the last message. Starting Python and importing aren't
    measured."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def tell(self, messages: int, *packages: str, **more: object) -> None:
        """Print what was measured."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        rates = {"per_s": round(messages / wall), "per_cpu_s": round(messages / cpu), "peak_mb": round(peak, 1)}
        print(json.dumps(rates | more | {"versions": {name: version(name) for name in packages}}), flush=True)


def rss_mb() -> float:
    """The memory of this process, now."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 -- the same in one line
        return round(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)

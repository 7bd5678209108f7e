"""A capture whose machine has a clock that is set, and that watches itself:
`python -m tests.chaos.soaking CLOCK SAMPLES` and the words of capturing.

CLOCK is how wrong the time of day is, in seconds, one value every SET_EVERY_S, over and over: `0,3600,-3600`. Monotonic
time goes on, as it does on a real machine. SAMPLES is a file that gets a line of JSON every SAMPLE_EVERY_S: what the
process holds.
"""

import gc
import json
import resource
import sys
import threading
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from tests.chaos import capturing
from tradecap.flows.capture import capture
from tradecap.venues.binance import limits, plain, strict

SET_EVERY_S = 0.7
SAMPLE_EVERY_S = 0.5
LIFETIME_S = 1.5
JITTER_S = 0.2


def set_clock(wrong_by_s: Sequence[float]) -> None:
    """From here on the time of day is wrong, each time by another of these."""
    began_s, right_ns = time.monotonic(), time.time_ns

    def time_ns() -> int:
        return right_ns() + int(wrong_by_s[int((time.monotonic() - began_s) / SET_EVERY_S) % len(wrong_by_s)] * 1e9)

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


def watch(samples: Path) -> None:
    """Write down what this process holds, from a thread that ends with it."""

    def watched() -> None:
        with samples.open("a") as file:
            while True:
                time.sleep(SAMPLE_EVERY_S)
                gc.collect()
                held = {
                    "memory": _memory(),
                    "objects": len(gc.get_objects()),
                    "threads": threading.active_count(),
                    "files": sum(1 for _ in Path("/dev/fd").iterdir()),
                }
                file.write(json.dumps(held) + "\n")
                file.flush()

    threading.Thread(target=watched, daemon=True).start()


def _memory() -> int:
    """Bytes in memory; where the system doesn't say, the most there ever were."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    # so little is remembered that all of it is full after seconds: memory that still grows then is growth
    capture.REMEMBERED = 4096  # type: ignore[misc]  # Final for everybody else
    plain.scaled = strict.scaled = lru_cache(maxsize=4096)(limits.scaled.__wrapped__)  # type: ignore[attr-defined]  # a name of theirs that isn't exported
    set_clock([float(part) for part in sys.argv[1].split(",")])
    watch(Path(sys.argv[2]))
    sys.exit(capturing.main(*sys.argv[3:], lifetime_s=LIFETIME_S, jitter_s=JITTER_S))

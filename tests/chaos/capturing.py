"""A capture in a process of its own, to be killed:
`python -m tests.chaos.capturing LOG BASE CONNECTIONS SECONDS SYMBOL...`.

It is the real flow with the real feed; only the waits are shorter than a person's, so that 20 s hold what else takes a
day. Like the command it ends with the exit code of the problem, where there is one.
"""

import signal
import sys
from contextlib import nullcontext
from pathlib import Path

from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.plan import Plan
from tradecap.flows.capture.wiring import Wiring
from tradecap.flows.ship import Shipped
from tradecap.flows.shipping import Shipping
from tradecap.flows.stop import Stop
from tradecap.log import open_log
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.spool import Spool
from tradecap.venues.api import SITES
from tradecap.venues.feed import Terms

LIFETIME_S = 4.0
JITTER_S = 1.0
STALE_S = 1.5


def terms(connections: int, lifetime_s: float, jitter_s: float) -> Terms:
    """As the feed's own, with hours become seconds."""
    return Terms(
        connections=connections,
        first_delay_s=0.02,
        longest_delay_s=0.5,
        open_within_s=1.0,
        acknowledge_within_s=1.0,
        ping_after_s=0.3,
        dead_after_s=1.0,
        lifetime_s=lifetime_s,
        lifetime_jitter_s=jitter_s,
        flowing_within_s=1.0,
        attempts_in_5_minutes=100_000,
    )


def captured(folder: Path, base: str, how: Terms, seconds: float, symbols: tuple[str, ...], topic: str) -> Exit:
    """Capture for this long, or until SIGTERM. With a topic, folder is its spool."""
    site = SITES["binance"].at(base)._replace(weight_per_minute=1_000_000)
    stop = Stop()
    signal.signal(signal.SIGTERM, lambda *_: stop.ask())
    log = FileLog(folder, create=True)
    plan = Plan(venue="binance", channel="trade", symbols=symbols, duration_s=seconds, stale_s=STALE_S)
    shipping = _shipping(log, topic) if topic else None
    with open_log(log.url, segment_bytes=200_000, segment_age_s=2.0).writer() as writer, shipping or nullcontext():
        if shipping:
            shipping.start(stop)
        done = Wiring(site, log, writer, plan, terms=how).run(stop=stop, see=lambda status: status.news.clear())
        undelivered = shipping.finish() if shipping else 0
    if done.problem:
        raise done.problem
    if shipping and undelivered:
        raise shipping.undelivered(undelivered)
    return Exit.OK


def _shipping(log: FileLog, topic: str) -> Shipping:
    """What `stream` sets up for a spool that knows its topic."""
    spool = Spool(log)
    assert spool.target is not None
    return Shipping(spool, lambda: open_log(topic), Shipped(target=spool.target), sys.maxsize, "tradecap ship")


def main(
    folder: str,
    base: str,
    connections: str,
    seconds: str,
    *symbols: str,
    lifetime_s: float = LIFETIME_S,
    jitter_s: float = JITTER_S,
    topic: str = "",
) -> int:
    """The exit code."""
    try:
        return captured(
            Path(folder), base, terms(int(connections), lifetime_s, jitter_s), float(seconds), symbols, topic
        )
    except TradecapError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

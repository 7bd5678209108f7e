"""One ordeal: the local exchange, faults drawn from a seed, a capture that is killed and begun again, and at the end
the account.

The same seed draws the same faults at the same times; what the machine's scheduler does between them is its own.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tradecap.errors import Exit
from tradecap.flows.records import read_lines
from tradecap.log.folder.lock import read_holder
from tradecap.log.folder.log import FileLog
from tradecap.market.records import Trade
from tradecap.simulate.exchange import Exchange
from tradecap.simulate.faults import Fault
from tradecap.simulate.generator import Generated
from tradecap.simulate.limits import Rules

SYMBOLS = ("BTCUSDT", "ETHUSDT")
KINDS = (
    *(
        "drop",
        "drop",
        "duplicate",
        "reorder",
        "delay",
        "corrupt",
        "truncate",
        "null",
        "missing",
        "wrong_type",
        "bad_time",
        "out_of_range",
    ),
    *("close", "abort", "abort", "silent", "shutdown", "refuse", "http", "http", "slow", "clock"),
)
NO_CONNECTION = b"no connection came about"
CALM_S = 3.0
"""How long the last capture lasts, in calm weather."""
ROOT = Path(__file__).parents[2]
LAST_CALM_S = 2.5
"""Without faults, so that what the last of them cost can be seen by the ids after it."""


@dataclass
class Ordeal:
    """What happened: the exchange's own trades by symbol, its account of the faults, and when (seconds of its tape)
    captures were ended."""

    trades: dict[str, list[Trade]] = field(default_factory=dict)
    reports: list[dict[str, object]] = field(default_factory=list)
    ends: list[tuple[float, str]] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def faults(rng: Random, seconds: float) -> Iterator[tuple[float, Fault]]:
    """When which fault is fired."""
    at = 0.5
    while at < seconds - LAST_CALM_S:
        kind = rng.choice(KINDS)
        yield at, _fault(kind, rng)
        at += rng.uniform(0.1, 1.2)


def _fault(kind: str, rng: Random) -> Fault:
    sockets = rng.choice(["all", "oldest", "newest", "random"])
    if kind in ("close", "shutdown"):
        return Fault(
            kind, sockets=sockets, code=rng.choice([1001, 1008, 1011, 1012, 3001]), by_s=rng.uniform(0.05, 0.6)
        )
    if kind in ("abort", "silent"):
        return Fault(kind, sockets=sockets, partial=rng.random() < 0.5)
    if kind == "refuse":
        return Fault(kind, for_s=rng.uniform(0.1, 0.8))
    if kind == "http":
        return Fault(
            kind,
            status=rng.choice([403, 429, 500, 503, 504]),
            on=rng.choice(["rest", "ws", "both"]),
            count=rng.randint(1, 3),
            retry_after_s=1.0,
        )
    if kind == "slow":
        return Fault(kind, by_s=rng.uniform(0.1, 0.7), on=rng.choice(["rest", "ws"]))
    if kind == "clock":
        return Fault(kind, by_s=rng.uniform(-3, 3), for_s=rng.uniform(0.2, 1.0))
    return Fault(kind, count=rng.randint(2, 12), by_s=rng.uniform(0.02, 0.4))


async def endure(folder: Path, seed: int, seconds: float, connections: int, *, rate: float = 150.0) -> Ordeal:
    """Run it in the running loop."""
    rng = Random(seed)
    ordeal = Ordeal()
    rules = Rules(weight_per_minute=None, connections_per_5_minutes=None, ping_every_s=2.0, pong_within_s=6.0)
    source = Generated(SYMBOLS, begin_ms=int(time.time() * 1000), rate=rate, seed=seed)
    async with Exchange(source, rules=rules, seed=seed) as exchange:
        firing = asyncio.create_task(fire_all(exchange, list(faults(rng, seconds))))
        began = time.monotonic()
        while (left := seconds - (time.monotonic() - began)) > 0:
            lasts = left if left < 5.0 else rng.uniform(1.5, min(6.0, left - 2.5))
            how = "duration" if lasts == left else rng.choice(["kill", "kill", "term"])
            ordeal.outputs.append(await live(["tests.chaos.capturing"], folder, exchange.url, connections, lasts, how))
            ordeal.ends.append((exchange.elapsed_s(), how))
        await firing
        # what the last captures couldn't fetch, because REST refused until they ended, is a named gap that this one
        # fills
        ordeal.outputs.append(
            await live(["tests.chaos.capturing"], folder, exchange.url, connections, CALM_S, "duration")
        )
        ordeal.ends.append((exchange.elapsed_s(), "duration"))
        exchange.check()
        ordeal.reports = list(exchange.reports)
        ordeal.trades = traded(exchange)
    return ordeal


def traded(exchange: Exchange) -> dict[str, list[Trade]]:
    """The exchange's own trades, by symbol."""
    histories = {symbol: exchange.market.history(symbol, "trade") for symbol in SYMBOLS}
    return {symbol: history.from_id(0, len(history)) for symbol, history in histories.items() if history}


async def fire_all(exchange: Exchange, due: list[tuple[float, Fault]]) -> None:
    """Each fault when it is due."""
    began = time.monotonic()
    for at, fault in due:
        await asyncio.sleep(max(0.0, at - (time.monotonic() - began)))
        exchange.fire(fault)


async def live(
    program: list[str], folder: Path, url: str, connections: int, lasts: float, how: str, allowed: Collection[int] = ()
) -> str:
    """One life of a capture; what it printed. Raises where it ends otherwise than it was made to. allowed: exit codes
    that are right as well."""
    is_left_alone = how not in ("kill", "term")
    seconds = lasts if is_left_alone else 3600.0
    words = [sys.executable, "-m", *program, str(folder), url, str(connections), str(seconds), *SYMBOLS]
    process = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    try:
        if not is_left_alone:
            await _begun(folder, process)
            await asyncio.sleep(lasts)
            process.send_signal(signal.SIGKILL if how == "kill" else signal.SIGTERM)
        asked = time.monotonic()
        _, answer = await asyncio.wait_for(process.communicate(), 90.0 + (lasts if is_left_alone else 0.0))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()  # one that doesn't end by itself isn't left behind
    took_s = time.monotonic() - asked
    wanted = -signal.SIGKILL if how == "kill" else Exit.OK
    # on a busy machine a short life among faults may end before it had a connection
    is_unlucky = _never_connected(folder) if how == "term" else how in ("duration", "full") and NO_CONNECTION in answer
    if process.returncode == Exit.UNREACHABLE and is_unlucky:
        wanted = Exit.UNREACHABLE
    if process.returncode not in (wanted, *allowed) or (how == "term" and took_s > 60.0):
        raise AssertionError(
            f"the capture was ended by {how} and gave {process.returncode} after {took_s:.1f} s:\n{answer.decode()}"
        )
    return answer.decode()


async def _begun(folder: Path, process: asyncio.subprocess.Process) -> None:
    """Wait until it holds the log, which is after it has set its handler of signals: a slow machine takes seconds to
    start Python."""
    deadline = time.monotonic() + 60.0
    while process.returncode is None and time.monotonic() < deadline:
        holder = read_holder(folder / "lock") if (folder / "lock").exists() else None
        if holder and holder.pid == process.pid:
            return
        await asyncio.sleep(0.01)


def _never_connected(folder: Path) -> bool:
    """Whether the newest run tried, never had a connection, and reports that at its end: asked to stop, it ends with
    the reason (exit 3)."""
    events: dict[str, list[str]] = {}
    for envelope, _, _ in read_lines(FileLog(folder, create=False)):
        events.setdefault(envelope.run, []).append(envelope.event)
    newest = events[max(events)]
    return "disconnected" in newest and "connected" not in newest and newest[-1] == "ended"


def run(folder: Path, seed: int, seconds: float, connections: int) -> Ordeal:
    """As `endure`, in a loop of its own."""
    return asyncio.run(endure(folder, seed, seconds, connections))

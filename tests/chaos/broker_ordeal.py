"""One ordeal with a broker: as `ordeal`, through a spool into a topic, and from there into a store by a loader that is
killed as well.

The broker is paused (SIGSTOP), killed and started again, and away for a while; every tenth seed for a minute. A capture
may meet a full disk.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

from tests.chaos.ordeal import CALM_S, ROOT, SYMBOLS, Ordeal, faults, fire_all, live, traded
from tests.kafka.broker import Broker
from tradecap.errors import Exit
from tradecap.log import open_log
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.spool import Spool, Target
from tradecap.simulate.exchange import Exchange
from tradecap.simulate.generator import Generated
from tradecap.simulate.limits import Rules

PROGRAM = str(Path(sys.executable).with_name("tradecap"))
FULL_AT = 150_000
"""Bytes of a file at which the disk of a capture counts as full."""


async def endure(folder: Path, seed: int, seconds: float, connections: int, broker: Broker, topic: str) -> Ordeal:
    """Run it in the running loop."""
    rng = Random(seed)
    ordeal = Ordeal()
    rules = Rules(weight_per_minute=None, connections_per_5_minutes=None, ping_every_s=2.0, pong_within_s=6.0)
    source = Generated(SYMBOLS, begin_ms=int(time.time() * 1000), rate=150.0, seed=seed)
    store = f"chdb:{folder / 'db'}"
    await _ran("init-db", "--store", store, "-q")
    # a capture asks the broker which log its topic is only where the spool is new, and here the broker may be away by
    # then
    Spool(FileLog(folder / "spool", create=True)).belong_to(Target(open_log(topic).id, topic))
    async with Exchange(source, rules=rules, seed=seed) as exchange, _loading(Random(seed), topic, store):
        firing = asyncio.create_task(fire_all(exchange, list(faults(rng, seconds))))
        breaking = asyncio.create_task(
            _break(broker, Random(seed + 1), seconds, away_s=60.0 if seed % 10 == 0 else 4.0)
        )
        began = time.monotonic()
        while (left := seconds - (time.monotonic() - began)) > 0 or not breaking.done():
            lasts = max(left, 1.0) if left < 5.0 else rng.uniform(1.5, min(6.0, left - 2.5))
            how = "duration" if left < 5.0 else rng.choice(["kill", "kill", "term", "full"])
            await _live(folder, exchange, connections, topic, lasts, how, ordeal)
        await firing
        await breaking
        await _live(folder, exchange, connections, topic, CALM_S, "calm", ordeal)
        exchange.check()
        ordeal.reports = list(exchange.reports)
        ordeal.trades = traded(exchange)
    return ordeal


async def _live(
    folder: Path, exchange: Exchange, connections: int, topic: str, lasts: float, how: str, ordeal: Ordeal
) -> None:
    """One capture. Where it isn't killed it may leave records undelivered; in calm weather it may not."""
    program = ["tests.chaos.shipping", topic, str(FULL_AT if how == "full" else 0)]
    # on a busy machine SIGTERM may come before there is a handler, and then before there is a run
    allowed = {"kill": (), "calm": (), "term": (Exit.UNDELIVERED, -signal.SIGTERM)}.get(how, (Exit.UNDELIVERED,))
    ordeal.outputs.append(await live(program, folder / "spool", exchange.url, connections, lasts, how, allowed))
    ordeal.ends.append((exchange.elapsed_s(), how))


async def _break(broker: Broker, rng: Random, seconds: float, *, away_s: float) -> None:
    """What becomes of the broker. It is up at the end."""
    began = time.monotonic()
    await asyncio.sleep(2.0)
    kinds = [rng.choice(["pause", "restart"]) for _ in range(int(seconds / 8))] + ["away"]
    for kind in kinds:
        if kind == "pause":
            broker.pause()
            await asyncio.sleep(rng.uniform(0.5, 3.0))
            broker.resume()
        else:
            broker.kill()
            await asyncio.sleep(away_s if kind == "away" else 0.1)
            await asyncio.to_thread(broker.start)
        await asyncio.sleep(min(rng.uniform(0.5, 3.0), max(0.0, seconds - (time.monotonic() - began))))


@contextlib.asynccontextmanager
async def _loading(rng: Random, topic: str, store: str) -> AsyncIterator[None]:
    """A loader that follows the topic, is killed, and begun again."""
    running = asyncio.create_task(_load_again_and_again(rng, topic, store))
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _load_again_and_again(rng: Random, topic: str, store: str) -> None:
    while True:
        words = [PROGRAM, "load", "--follow", "--log", topic, "--store", store, "-q"]
        loader = await asyncio.create_subprocess_exec(
            *words, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(loader.wait(), rng.uniform(2.0, 8.0))
        finally:
            with contextlib.suppress(ProcessLookupError):
                loader.send_signal(signal.SIGKILL)
            await loader.wait()


async def _ran(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(PROGRAM, *words, cwd=ROOT)
    assert await process.wait() == 0


def run(folder: Path, seed: int, seconds: float, connections: int, broker: Broker, topic: str) -> Ordeal:
    """As `endure`, in a loop of its own."""
    return asyncio.run(endure(folder, seed, seconds, connections, broker, topic))

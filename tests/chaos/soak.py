"""A soak: days in minutes. Hours are seconds for connections, the tape runs SPEED times as fast and over the end of a
month, clocks are set wrong.

Nothing breaks here that a client could not have seen coming: connections end after their time and after a notice, and
single messages are dropped so that there is something to repair. So there is no excuse for a gap at a handover, nor for
a process that grows.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from random import Random
from urllib.request import urlopen

from tests.chaos.ordeal import LAST_CALM_S, SYMBOLS, fire_all, live, traded
from tests.chaos.soaking import LIFETIME_S
from tradecap.market.records import Trade
from tradecap.market.trade_ids import TradeIds
from tradecap.simulate.exchange import Exchange
from tradecap.simulate.faults import Fault
from tradecap.simulate.generator import Generated
from tradecap.simulate.limits import Rules

SPEED = 20.0
RATE = 10.0
"""Trades of a series in a second of the tape."""
LIVES = (
    (0.15, "kill", "3456000"),
    (0.15, "term", "-1700000000"),
    (0.7, "duration", "0,3600,-0.4,-7200,86400,0.3,-1700000000"),
)
"""How long, how it ends, and how wrong its clock is: 40 days ahead, then in the seventies as after a dead battery, then
set again and again. The ids of the runs must rise all the same."""
KINDS = ("http", "drop", "shutdown", "clock")
"""In turn: the venue makes a repair wait while the clock is set."""


@dataclass
class Soaked:
    """What happened. dropped: ids that the streams kept back; klines: the files with the exchange's own, by symbol;
    samples: of the last life."""

    trades: dict[str, list[Trade]] = field(default_factory=dict)
    dropped: dict[str, TradeIds] = field(default_factory=dict)
    klines: dict[str, Path] = field(default_factory=dict)
    samples: list[dict[str, int]] = field(default_factory=list)


def faults(rng: Random, seconds: float) -> Iterator[tuple[float, Fault]]:
    """When which fault is fired, in seconds since somebody listens."""
    at = 0.0
    for kind in cycle(KINDS):
        if at > seconds - LAST_CALM_S:
            return
        yield at, _fault(kind, rng)
        at += rng.uniform(0.3, 1.0)


def _fault(kind: str, rng: Random) -> Fault:
    if kind == "shutdown":
        return Fault(kind, by_s=1.0, code=1012)
    if kind == "http":
        return Fault(kind, status=429, path="historicalTrades", retry_after_s=1.0)
    if kind == "clock":
        return Fault(kind, by_s=rng.choice([-86_400.0, -2.0, 3.0, 3600.0]), for_s=0.5)
    return Fault(kind, count=rng.randint(1, 3))


async def soak(folder: Path, midnight_ms: int, seconds: float, connections: int) -> Soaked:
    """Run it in the running loop; the tape is at midnight_ms in the middle of it. folder gets the log, the samples and
    the klines."""
    soaked = Soaked()
    rules = Rules(
        weight_per_minute=None,
        connections_per_5_minutes=None,
        ping_every_s=2.0,
        pong_within_s=6.0,
        lifetime_s=LIFETIME_S * 24 / 23.5 + 0.5,
    )
    source = Generated(SYMBOLS, begin_ms=midnight_ms - int(seconds * SPEED * 500), rate=RATE)
    async with Exchange(source, rules=rules, speed=SPEED) as exchange:
        for share, how, clock in LIVES:
            samples = folder / f"{how}.ndjson"
            program = ["tests.chaos.soaking", clock, str(samples)]
            firing = asyncio.create_task(_fire(exchange, share * seconds))
            await live(program, folder / "log", exchange.url, connections, share * seconds, how)
            firing.cancel()
            with suppress(asyncio.CancelledError):
                await firing
        exchange.check()
        for symbol in SYMBOLS:
            soaked.klines[symbol] = folder / f"{symbol}-1m.json"
            soaked.klines[symbol].write_bytes(await asyncio.to_thread(_klines, exchange.rest_url, symbol))
        soaked.trades = traded(exchange)
        soaked.dropped = _dropped(exchange)
    soaked.samples = [json.loads(line) for line in samples.read_text().splitlines()]
    return soaked


async def _fire(exchange: Exchange, seconds: float) -> None:
    """The faults of one life, from when it is subscribed."""
    while not any(socket.session.streams for socket in exchange.sockets):
        await asyncio.sleep(0.01)
    await fire_all(exchange, list(faults(Random(seconds), seconds)))


def _klines(rest_url: str, symbol: str) -> bytes:
    with urlopen(f"{rest_url}/api/v3/klines?symbol={symbol}&interval=1m&limit=1000") as answer:
        body: bytes = answer.read()
        return body


def _dropped(exchange: Exchange) -> dict[str, TradeIds]:
    dropped = {symbol: TradeIds() for symbol in SYMBOLS}
    for report in exchange.reports:
        if report["fault"] == "drop":
            for series in report["series"]:  # type: ignore[attr-defined]  # plain data, as it is reported
                for first, last in series["ids"]:
                    dropped[series["symbol"]].add_range(first, last)
    return dropped

"""The local exchange: WebSocket and REST on one port, over one tape.

    async with Exchange(Generated(["BTCUSDT"], begin_ms=..., rate=500)) as exchange:
        exchange.url, exchange.rest_url      # ws://127.0.0.1:40123, http://127.0.0.1:40123
        exchange.fire(Fault("close", code=1001))

Rules: REST and the streams show one and the same market. This file is the exchange's life: start, play, stop. How it is
set up is in settings.py, its clients in connections.py, its faults in fault_injector.py.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from tradecap.errors import TradecapError
from tradecap.simulate.connections import Connections
from tradecap.simulate.exchange_info import ListedSymbol, listing
from tradecap.simulate.fault_injector import FaultInjector
from tradecap.simulate.faults import Fault
from tradecap.simulate.hub import Hub
from tradecap.simulate.kline_stream import KlineStream
from tradecap.simulate.limits import AddressLimits
from tradecap.simulate.market_data import Market
from tradecap.simulate.player import Clock, Player, shifted
from tradecap.simulate.rest import RestEndpoints
from tradecap.simulate.settings import ExchangeSettings, FaultReport
from tradecap.simulate.tape import Entry, TradeSource, endless
from tradecap.simulate.websocket import WebSocket


class Exchange:
    """A local exchange. It serves from `async with` on; see `url` and `rest_url`.

    Settings may also be given by name: Exchange(source, speed=None). Raises TradecapError (exit 3) when the port is
    taken.
    """

    def __init__(self, source: TradeSource, settings: ExchangeSettings | None = None, **changes: Any) -> None:
        self.settings = settings = replace(settings or ExchangeSettings(), **changes)
        self._source = source
        shift_us = _shift_us(source, settings)
        self.market = Market(source.symbols, settings.keep)
        self.clock = Clock(source.first_time_us + shift_us, None if settings.start == "manual" else settings.speed)
        self.hub = Hub()
        self._klines = KlineStream(self.market, self.hub, self.clock.now_us, settings.rules.kline_every_s)
        self._faults = FaultInjector(self, settings)
        self.connections = self._connections()
        self.player = self._player(shift_us)
        self._listings: dict[str, ListedSymbol] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._began_s, self._recalled = 0.0, 0

    def _connections(self) -> Connections:
        rules, limits = self.settings.rules, AddressLimits(self.settings.rules)
        return Connections(
            self.settings,
            hub=self.hub,
            clock=self.clock,
            rest=RestEndpoints(self.market, self.clock.now_us, self.listings, rules, limits),
            limits=limits,
            faults=self._faults,
            subscribed=self._begin_if_subscribed,
        )

    def _player(self, shift_us: int) -> Player:
        entries = endless(self._source.entries) if self.settings.loop else self._source.entries()
        return Player(
            shifted(entries, shift_us) if shift_us else entries,
            self.clock,
            speed=self.settings.speed,
            send=self._send,
            remember=self.market.add,
            flush=self.flush,
            drained=self.connections.drained,
            pulse=self._klines.pulse,
        )

    # ---- life ----

    async def __aenter__(self) -> Self:
        if self.settings.history_s:
            self.player.recall(self.settings.history_s)
            self._recalled = self.market.trades
        self._faults.start_untimed(listening=False)
        await self.connections.open()
        self._faults.start_untimed(listening=True)
        self._tasks.append(asyncio.create_task(self._keep_checking()))
        if self.settings.start == "now":
            self.begin()
        elif self.settings.start == "manual":
            self._began_s = time.monotonic()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._faults.finish()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self.connections.close()
        if kind is None:
            self.check()

    async def _keep_checking(self) -> None:
        """Fire the faults that are due by time, and check the clients' lives."""
        pause_s = 0.02 if self._faults.is_scheduled else 0.25
        pause_s = max(0.005, min(pause_s, self.settings.rules.ping_every_s / self.settings.time_scale / 8))
        while True:
            await asyncio.sleep(pause_s)
            if self._began_s:
                self._faults.time_passed(self.elapsed_s())
            self.connections.check_lives()

    def check(self) -> None:
        """Raise the error that stopped the tape, if there was one."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    # ---- the tape ----

    def begin(self) -> None:
        """Start to play, unless it plays already."""
        if len(self._tasks) < 2 and self.settings.start != "manual":
            self._began_s = time.monotonic()
            self._tasks.append(asyncio.create_task(self.player.play(self.settings.rules.kline_every_s / 4)))

    def _begin_if_subscribed(self) -> None:
        if self.settings.start == "subscriber" and self.hub.count() >= self.settings.streams:
            self.begin()

    async def play(self, count: int) -> int:
        """Send the next `count` entries at once (with start="manual"). Returns how many there were."""
        done = self.player.step(count)
        self._klines.pulse()
        self.flush()
        await self.connections.drained()
        return done

    def _send(self, entry: Entry) -> None:
        """Put an entry of the tape into the market, then send it to its subscribers."""
        is_counted = self.market.add(entry)
        self.counts["messages"] += self._faults.send(entry)
        if is_counted and self._faults.is_scheduled:
            self._faults.trade_played(self.played())

    def flush(self) -> None:
        """Write what was sent to the clients' connections."""
        self.connections.flush()

    # ---- faults ----

    def fire(self, fault: Fault) -> None:
        """Let a fault happen now. When it has had its effect, it is in `reports`."""
        self._faults.fire(fault)

    @property
    def reports(self) -> list[FaultReport]:
        """What faults have done so far."""
        return [*self._faults.reports]

    async def refuse(self, for_s: float) -> None:
        """Refuse new connections for `for_s` seconds."""
        await self.connections.refuse(for_s)

    # ---- where it is ----

    @property
    def port(self) -> int:
        return self.connections.port

    @property
    def url(self) -> str:
        """The base of WebSocket addresses, without a path."""
        return f"{'wss' if self.settings.tls else 'ws'}://{self._host}:{self.port}"

    @property
    def rest_url(self) -> str:
        """The base of REST addresses, without a path."""
        return f"{'https' if self.settings.tls else 'http'}://{self._host}:{self.port}"

    @property
    def ca(self) -> str | None:
        """The CA file that clients have to trust."""
        return self.settings.ca

    @property
    def _host(self) -> str:
        host = self.settings.host
        if host in ("0.0.0.0", "::", "", "localhost"):
            return "127.0.0.1"
        return f"[{host}]" if ":" in host else host

    # ---- what it has and what it did ----

    @property
    def symbols(self) -> list[str]:
        """The symbols served."""
        return sorted(self.market.symbols)

    @property
    def problems(self) -> list[TradecapError]:
        """Why recordings broke off before their end."""
        return self._source.problems

    @property
    def origin(self) -> str:
        """Where the trades come from."""
        return self._source.names

    @property
    def sockets(self) -> Mapping[WebSocket, None]:
        """The open WebSockets, the oldest first."""
        return self.connections.sockets

    @property
    def counts(self) -> Counter[str]:
        """Messages, connections, requests, and the connections ended by the exchange with the reason."""
        return self.connections.counts

    def played(self) -> int:
        """Trades since the tape began to play."""
        return self.market.trades - self._recalled

    def elapsed_s(self) -> float:
        """Seconds since the tape began to play."""
        return time.monotonic() - self._began_s if self._began_s else 0.0

    def summary(self) -> dict[str, object]:
        """What has happened so far."""
        ended = {name.removeprefix("ended: "): n for name, n in self.counts.items() if name.startswith("ended: ")}
        lateness = self.player.lateness
        return {
            "trades": self.market.trades,
            **{name: self.counts[name] for name in ("messages", "connections", "requests")},
            "cut": sum(ended.values()),
            "cut_because": ended,
            "left_out": {kind: n for kind, n in self._source.left_out.items() if n},
            "pacing": lateness.summary() if lateness.records else None,
        }

    def listings(self) -> Mapping[str, ListedSymbol]:
        """The symbols served, including those that appeared while it played."""
        for symbol in self.market.symbols - self._listings.keys():
            self._listings[symbol] = listing(symbol, self._source.samples.get(symbol, ()))
        return self._listings


def _shift_us(source: TradeSource, settings: ExchangeSettings) -> int:
    """How far to move the tape's times: by whole milliseconds, with `now` set."""
    if not settings.now:
        return 0
    return (time.time_ns() // 1000 - source.first_time_us - int(settings.history_s * 1e6)) // 1000 * 1000

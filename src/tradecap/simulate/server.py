"""The local exchange: WebSocket and REST on one port, over one tape.

    async with Exchange(Generated(["BTCUSDT"], begin_ms=..., rate=500)) as exchange:
        exchange.url, exchange.rest_url      # ws://127.0.0.1:40123, http://127.0.0.1:40123
        exchange.fire(Fault("close", code=1001))

Rules: what REST knows and what streams say is one market. Everything is bounded: a client that doesn't read is cut, at full speed the tape waits for
it `patience_s` at most. The venue's clocks (ping, pong, 24 h, weight windows, bans) run `time_scale` times as fast as ours.
"""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, Literal, Protocol, Self

from tradecap.errors import TradecapError
from tradecap.market.records import Trade
from tradecap.simulate.cruelty import Cruelty, Report
from tradecap.simulate.entrance import Entrance
from tradecap.simulate.exchange_info import Listing, listing
from tradecap.simulate.faults import Fault, Schedule
from tradecap.simulate.hub import Hub
from tradecap.simulate.kline_stream import KlineStream
from tradecap.simulate.limits import Limits, Rules
from tradecap.simulate.market_data import KEEP, Market
from tradecap.simulate.player import Clock, Player, shifted
from tradecap.simulate.rest import Answer, Rest, limited
from tradecap.simulate.subscriptions import Refused, Session, session_at
from tradecap.simulate.tape import Entry, endless
from tradecap.simulate.websocket import Connection, Socket
from tradecap.simulate.wire import Wire

MAX_BEHIND: Final = 16 * 1024 * 1024
PATIENCE_S: Final = 5.0
REQUEST_S: Final = 10.0
IDLE_S: Final = 60.0

Start = Literal["now", "subscriber", "manual"]


class Source(Protocol):
    """Where trades come from: `Recording` or `Generated`."""

    symbols: list[str]
    samples: dict[str, list[Trade]]
    first_time_us: int
    names: str
    left_out: Counter[str]
    problems: list[TradecapError]

    def entries(self) -> Iterator[Entry]:
        """One pass."""


class Exchange:
    """A local exchange. Serves from `async with` on; see `url` and `rest_url`.

    speed None is as fast as clients read. start: play at once, as soon as `streams` streams are subscribed, or only by `play(n)`. now: shift times so
    that the first trade is now. history_s: this much of the tape has been traded already when it starts. A request must be sent within `request_s`; a
    connection without one is ended after `idle_s`. Raises TradecapError (exit 3) when the port is taken.
    """

    def __init__(
        self,
        source: Source,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        ca: str | None = None,
        speed: float | None = 1.0,
        loop: bool = False,
        now: bool = False,
        history_s: float = 0.0,
        start: Start = "now",
        streams: int = 1,
        rules: Rules | None = None,
        time_scale: float = 1.0,
        faults: Iterable[Fault] = (),
        seed: int = 1,
        on_fault: Callable[[Report], None] | None = None,
        keep: int = KEEP,
        max_behind: int = MAX_BEHIND,
        patience_s: float = PATIENCE_S,
        request_s: float = REQUEST_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self.rules, self.max_behind, self.ca = rules or Rules(), max_behind, ca
        self.dirty: list[Socket] = []
        self.counts: Counter[str] = Counter()
        self.sockets: dict[Socket, None] = {}
        self.patience_s, self.request_s, self.idle_s = patience_s, request_s, idle_s
        self.entrance = Entrance(host, port, tls, lambda: Wire(self), request_s)
        self._is_tls = tls is not None
        self._source, self._start, self._streams, self._scale = source, start, streams, time_scale
        self.market = Market(source.symbols, keep)
        self._history_s = history_s
        shift_us = (time.time_ns() // 1000 - source.first_time_us - int(history_s * 1e6)) // 1000 * 1000 if now else 0
        self.clock = Clock(source.first_time_us + shift_us, speed if start != "manual" else None)
        self.hub = Hub()
        self._klines = KlineStream(self.market, self.hub, self.clock.now_us, self.rules.kline_every_s)
        entries = endless(source.entries) if loop else source.entries()
        self.player = Player(
            shifted(entries, shift_us) if shift_us else entries,
            self.clock,
            speed=speed,
            say=self.say,
            remember=self.market.add,
            flush=self.flush,
            drained=self._drained,
            pulse=self._klines.pulse,
        )
        self._listings: dict[str, Listing] = {}
        self._limits = Limits(self.rules)
        self._rest = Rest(self.market, self.clock.now_us, self.listings, self.rules, self._limits)
        self._late: dict[Socket, None] = {}
        self._caught_up = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._numbers = 0
        self._began_s, self._recalled = 0.0, 0
        self._schedule = Schedule(faults, seed)
        self.cruelty = Cruelty(self, seed, on_fault or (lambda _: None))

    # ---- life ----

    async def __aenter__(self) -> Self:
        if self._history_s:
            self.player.recall(self._history_s)
            self._recalled = self.market.trades
        untimed = self._schedule.untimed()
        self.cruelty.arm(fault for fault in untimed if fault.kind != "refuse")
        await self.entrance.open()
        self.cruelty.arm(fault for fault in untimed if fault.kind == "refuse")
        self._tasks.append(asyncio.create_task(self._keep_house()))
        if self._start == "now":
            self.begin()
        elif self._start == "manual":
            self._began_s = time.monotonic()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.cruelty.finish()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self.entrance.close()
        for socket in [*self.sockets]:
            socket.close(1001)
        await self.entrance.end(1.0, lambda: bool(self.sockets))
        if kind is None:
            self.check()

    @property
    def port(self) -> int:
        return self.entrance.port

    @property
    def url(self) -> str:
        """The base of WebSocket addresses, without a path."""
        return f"{'wss' if self._is_tls else 'ws'}://{self._name}:{self.port}"

    @property
    def rest_url(self) -> str:
        """The base of REST addresses, without a path."""
        return f"{'https' if self._is_tls else 'http'}://{self._name}:{self.port}"

    @property
    def _name(self) -> str:
        host = self.entrance.host
        if host in ("0.0.0.0", "::", "", "localhost"):
            return "127.0.0.1"
        return f"[{host}]" if ":" in host else host

    # ---- the tape ----

    def begin(self) -> None:
        """Start to play, if it hasn't."""
        if len(self._tasks) < 2 and self._start != "manual":
            self._began_s = time.monotonic()
            self._tasks.append(asyncio.create_task(self._play()))

    async def _play(self) -> None:
        await self.player.play(self.rules.kline_every_s / 4)

    async def play(self, count: int) -> int:
        """Say the next `count` entries at once (with start="manual"); how many there were."""
        done = self.player.step(count)
        self._klines.pulse()
        self.flush()
        await self._drained()
        return done

    def say(self, entry: Entry) -> None:
        """One entry of the tape: into the market, then to who hears it."""
        is_counted = self.market.add(entry)
        self.counts["messages"] += self.cruelty.say(entry)
        if is_counted and self._schedule:
            for fault in self._schedule.at_trade(self.played()):
                self.cruelty.fire_due(fault)

    # ---- faults ----

    def fire(self, fault: Fault) -> None:
        """Let a fault happen now. What it did is in `reports`, when it has done it."""
        self.cruelty.fire(fault)

    @property
    def reports(self) -> list[Report]:
        """What faults have done so far."""
        return [*self.cruelty.reports]

    def played(self) -> int:
        """Trades since the tape began to play."""
        return self.market.trades - self._recalled

    def elapsed_s(self) -> float:
        """Since the tape began to play."""
        return time.monotonic() - self._began_s if self._began_s else 0.0

    async def refuse(self, for_s: float) -> None:
        """Refuse new connections for `for_s` seconds."""
        self.entrance.close()
        await self.entrance.reopen_after(for_s)

    def flush(self) -> None:
        """Send what was said."""
        dirty, self.dirty[:] = [*self.dirty], []
        for socket in dirty:
            socket.flush()

    async def _drained(self) -> None:
        deadline = time.monotonic() + self.patience_s
        while self._late:
            self._caught_up.clear()
            left = deadline - time.monotonic()
            if left <= 0:
                for socket in [*self._late]:
                    self.cut(socket)
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._caught_up.wait(), left)

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

    def check(self) -> None:
        """Raise what the tape stumbled over, if it did."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    def summary(self) -> dict[str, object]:
        """What has happened so far."""
        ended = {name.removeprefix("ended: "): n for name, n in self.counts.items() if name.startswith("ended: ")}
        return {
            "trades": self.market.trades,
            **{name: self.counts[name] for name in ("messages", "connections", "requests")},
            "cut": sum(ended.values()),
            "cut_because": ended,
            "left_out": {kind: n for kind, n in self._source.left_out.items() if n},
            "pacing": self.player.lateness.summary() if self.player.lateness.records else None,
        }

    def listings(self) -> Mapping[str, Listing]:
        """The symbols served, those that appeared on the way as well."""
        for symbol in self.market.symbols - self._listings.keys():
            self._listings[symbol] = listing(symbol, self._source.samples.get(symbol, ()))
        return self._listings

    # ---- the house ----

    def now_s(self) -> float:
        return time.monotonic() * self._scale

    async def _keep_house(self) -> None:
        """Pings, missing pongs, the end of a long life."""
        rules = self.rules
        pause_s = 0.02 if self._schedule else 0.25
        while True:
            await asyncio.sleep(max(0.005, min(pause_s, rules.ping_every_s / self._scale / 8)))
            if self._schedule and self._began_s:
                for fault in self._schedule.at_time(self.elapsed_s()):
                    self.cruelty.fire_due(fault)
            now_s = self.now_s()
            for socket in [*self.sockets]:
                if socket.pings and now_s - next(iter(socket.pings.values())) > rules.pong_within_s:
                    self._end(socket, "no pong", 1008, "Pong timeout")
                elif now_s - socket.opened_s > rules.lifetime_s:
                    self._end(socket, "24 hours", 1001, "")
                elif now_s - socket.pinged_s >= rules.ping_every_s:
                    socket.ping(self.clock.now_us() // 1000, now_s)

    def _end(self, socket: Socket, why: str, code: int, reason: str) -> None:
        self.counts[f"ended: {why}"] += 1
        socket.close(code, reason)

    # ---- connections ----

    def admits(self, wire: Wire) -> bool:
        return self.entrance.admits(wire)

    def left(self, wire: Wire) -> None:
        self.entrance.left(wire)

    def upgrade(self, wire: Wire, target: str) -> Session | Answer:
        denied, _ = self.cruelty.at_door("ws", target)
        if denied:
            return denied
        now_s = self.now_s()
        if not self._limits.connection(wire.address, now_s):
            return limited(429, 300, self.clock.now_us() // 1000 + 300_000, "300 connections per 5 MINUTE")
        try:
            session = session_at(target)
        except Refused as error:
            return Answer(400, error.message.encode())
        return session if session is not None else Answer(404, b"<html><body>there is no such stream path: /ws, /ws/NAME, /stream</body></html>")

    def answer(self, wire: Wire, method: str, target: str, headers: Mapping[str, str]) -> tuple[Answer, float]:
        self.counts["requests"] += 1
        denied, delay_s = self.cruelty.at_door("rest", target)
        return denied or self._rest.answer(method, target, headers, wire.address, self.now_s()), delay_s

    def joined(self, socket: Socket) -> None:
        self._numbers += 1
        socket.number = self._numbers
        self.sockets[socket] = None
        self.counts["connections"] += 1
        self.asked(socket)

    def asked(self, socket: Socket) -> None:
        if socket not in self.sockets:
            return
        self.hub.sync(socket)
        if socket.session.streams:
            self.cruelty.subscribed()
        if self._start == "subscriber" and self.hub.count() >= self._streams:
            self.begin()

    def parted(self, socket: Socket) -> None:
        self.sockets.pop(socket, None)
        self.hub.leave(socket)
        self.behind(socket, False)
        self.cruelty.heard_no_more(socket)

    def behind(self, socket: Socket, is_behind: bool) -> None:
        if is_behind and socket in self.sockets:
            self._late[socket] = None
        else:
            self._late.pop(socket, None)
            if not self._late:
                self._caught_up.set()

    def cut(self, connection: Connection) -> None:
        self.counts["ended: didn't read"] += 1
        connection.abort()

    def too_many(self, socket: Socket) -> None:
        self._end(socket, "too many messages", 1008, "Too many requests")

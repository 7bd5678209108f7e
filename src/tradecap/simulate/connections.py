"""The clients of the exchange: TCP connections, the WebSockets among them, and the venue's rules for both.

Rules: everything is bounded. A client that doesn't read is cut; at full speed the tape waits up to `patience_s` for it.
A WebSocket ends when a pong is missing, after 24 hours and after too many messages. The clocks of these rules run
`time_scale` times as fast as ours.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from tradecap.simulate.fault_injector import FaultInjector
from tradecap.simulate.hub import Hub
from tradecap.simulate.limits import AddressLimits
from tradecap.simulate.player import Clock
from tradecap.simulate.rest import HttpAnswer, RestEndpoints, limited
from tradecap.simulate.settings import ExchangeSettings
from tradecap.simulate.subscriptions import Session, SubscriptionRefusal, session_at
from tradecap.simulate.tcp_server import TcpServer
from tradecap.simulate.websocket import Abortable, WebSocket
from tradecap.simulate.wire import Wire

NO_SUCH_PATH: Final = b"<html><body>there is no such stream path: /ws, /ws/NAME, /stream</body></html>"


class Connections:
    """All clients. `subscribed` is called after each change of subscriptions."""

    def __init__(
        self,
        settings: ExchangeSettings,
        *,
        hub: Hub,
        clock: Clock,
        rest: RestEndpoints,
        limits: AddressLimits,
        faults: FaultInjector,
        subscribed: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.sockets: dict[WebSocket, None] = {}
        self.dirty: list[WebSocket] = []
        self._hub, self._clock, self._rest, self._limits, self._faults = hub, clock, rest, limits, faults
        self._subscribed = subscribed
        self._server = TcpServer(settings, lambda: Wire(self))
        self._behind: dict[WebSocket, None] = {}
        self._caught_up = asyncio.Event()
        self._last_number = 0

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return self._server.port

    @property
    def wires(self) -> set[Wire]:
        """All TCP connections."""
        return self._server.wires

    # ---- start and stop ----

    async def open(self) -> None:
        """Listen. Raises TradecapError (exit 3) when the port is taken."""
        await self._server.open()

    async def refuse(self, for_s: float) -> None:
        """Refuse new connections for `for_s` seconds."""
        self._server.close()
        await asyncio.sleep(for_s)
        await self._server.open()

    async def close(self) -> None:
        """Stop listening, say goodbye to every client, and end what is left a second later."""
        self._server.close()
        for socket in [*self.sockets]:
            socket.close(1001)
        await self._server.end(1.0, lambda: bool(self.sockets))

    def handle_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The exception handler for a loop that runs nothing but the exchange."""
        self._server.handle_loop_error(loop, context)

    # ---- while it runs ----

    def flush(self) -> None:
        """Write what was put into WebSockets."""
        dirty, self.dirty[:] = [*self.dirty], []
        for socket in dirty:
            socket.flush()

    async def drained(self) -> None:
        """Wait until all clients have caught up, `patience_s` at most; then cut those that haven't."""
        deadline = time.monotonic() + self.settings.patience_s
        while self._behind:
            self._caught_up.clear()
            left = deadline - time.monotonic()
            if left <= 0:
                for socket in [*self._behind]:
                    self.cut(socket)
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._caught_up.wait(), left)

    def check_lives(self) -> None:
        """Send the pings that are due; end WebSockets without a pong, and those that are too old."""
        rules, now_s = self.settings.rules, self.now_s()
        for socket in [*self.sockets]:
            if socket.pings and now_s - next(iter(socket.pings.values())) > rules.pong_within_s:
                self._end(socket, "no pong", 1008, "Pong timeout")
            elif now_s - socket.opened_s > rules.lifetime_s:
                self._end(socket, "24 hours", 1001, "")
            elif now_s - socket.pinged_s >= rules.ping_every_s:
                socket.ping(self._clock.now_us() // 1000, now_s)

    def _end(self, socket: WebSocket, why: str, code: int, reason: str) -> None:
        self.counts[f"ended: {why}"] += 1
        socket.close(code, reason)

    def now_s(self) -> float:
        """The clock of the venue's rules."""
        return time.monotonic() * self.settings.time_scale

    # ---- what a TCP connection reports and asks ----

    def admits(self, wire: Wire) -> bool:
        return self._server.admits(wire)

    def left(self, wire: Wire) -> None:
        self._server.left(wire)

    def upgrade(self, wire: Wire, target: str) -> Session | HttpAnswer:
        denied, _ = self._faults.answer("ws", target)
        if denied:
            return denied
        if not self._limits.connection(wire.address, self.now_s()):
            until_ms = self._clock.now_us() // 1000 + 300_000
            return limited(429, 300, until_ms, "300 connections per 5 MINUTE")
        try:
            session = session_at(target)
        except SubscriptionRefusal as error:
            return HttpAnswer(400, error.message.encode())
        return session if session is not None else HttpAnswer(404, NO_SUCH_PATH)

    def answer(self, wire: Wire, method: str, target: str, headers: Mapping[str, str]) -> tuple[HttpAnswer, float]:
        self.counts["requests"] += 1
        denied, delay_s = self._faults.answer("rest", target)
        return denied or self._rest.answer(method, target, headers, wire.address, self.now_s()), delay_s

    # ---- what a WebSocket reports ----

    def joined(self, socket: WebSocket) -> None:
        self._last_number += 1
        socket.number = self._last_number
        self.sockets[socket] = None
        self.counts["connections"] += 1
        self.session_changed(socket)

    def session_changed(self, socket: WebSocket) -> None:
        if socket not in self.sockets:
            return
        self._hub.update(socket)
        if socket.session.streams:
            self._faults.stream_subscribed()
        self._subscribed()

    def parted(self, socket: WebSocket) -> None:
        self.sockets.pop(socket, None)
        self._hub.remove(socket)
        self.behind(socket, False)
        self._faults.socket_ended(socket)

    def behind(self, socket: WebSocket, is_behind: bool) -> None:
        if is_behind and socket in self.sockets:
            self._behind[socket] = None
        else:
            self._behind.pop(socket, None)
            if not self._behind:
                self._caught_up.set()

    def cut(self, connection: Abortable) -> None:
        self.counts["ended: didn't read"] += 1
        connection.abort()

    def too_many(self, socket: WebSocket) -> None:
        self._end(socket, "too many messages", 1008, "Too many requests")

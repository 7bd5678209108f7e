"""Faults at work on a running exchange: when they fire, what they do to connections and the clock, their reports.

Rules: each fault that fires is reported once, as plain data, when it has had its effect, with the ids it touched, so
that a test can compare a client's behaviour with it. A fault that touched nothing is reported too. Reports are in the
order in which things happened.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from random import Random
from typing import Final, Protocol

from tradecap.market.trade_ids import TradeIds
from tradecap.simulate.faults import CONNECTION_KINDS, MESSAGE_KINDS, Fault
from tradecap.simulate.hub import Hub
from tradecap.simulate.market_data import Market
from tradecap.simulate.messages import server_shutdown, text_frame, wrapped
from tradecap.simulate.player import Clock
from tradecap.simulate.request_faults import RequestFaults, RequestKind
from tradecap.simulate.rest import HttpAnswer
from tradecap.simulate.schedule import Schedule
from tradecap.simulate.settings import ExchangeSettings, FaultReport
from tradecap.simulate.spoiler import Outgoing, Spoiler, Spoiling
from tradecap.simulate.tape import Entry
from tradecap.simulate.websocket import WebSocket

MAX_REPORTS: Final = 10_000
"""The newest reports that are remembered; `on_fault` gets all of them."""


class FaultTarget(Protocol):
    """The exchange, as its faults see it."""

    market: Market
    hub: Hub
    clock: Clock

    @property
    def sockets(self) -> Mapping[WebSocket, None]: ...
    def flush(self) -> None: ...
    async def refuse(self, for_s: float) -> None: ...
    def elapsed_s(self) -> float: ...
    def played(self) -> int: ...


class FaultInjector:
    """Fires the faults of the settings when they are due, and others by hand (`fire`)."""

    def __init__(self, target: FaultTarget, settings: ExchangeSettings) -> None:
        self._target, self._on_fault = target, settings.on_fault
        self._rng = Random(f"{settings.seed}/cruelty")
        self._schedule = Schedule(settings.faults, settings.seed)
        self._untimed = self._schedule.take_untimed()
        self._spoiler = Spoiler(settings.seed, self._send_later)
        self._requests = RequestFaults(target.clock.now_us, self._report)
        self._awaiting_subscriber: list[Fault] = []
        self._silent: dict[WebSocket, dict[str, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.reports: deque[FaultReport] = deque(maxlen=MAX_REPORTS)

    # ---- when ----

    @property
    def is_scheduled(self) -> bool:
        """Whether faults are still to come."""
        return bool(self._schedule)

    def fire(self, fault: Fault) -> None:
        """Let a fault happen now."""
        if fault.kind in MESSAGE_KINDS:
            self._spoiler.add(fault, self._report_messages)
            return
        {
            "close": self._close,
            "abort": self._abort,
            "silent": self._silence,
            "shutdown": self._shutdown,
            "refuse": self._refuse,
            "http": self._answer_requests,
            "slow": self._answer_requests,
            "clock": self._set_clock_wrong,
        }[fault.kind](fault)

    def start_untimed(self, *, listening: bool) -> None:
        """Fire the faults without a trigger: `refuse` when the exchange is listening, all others before it does.

        Those that touch connections wait for the first subscriber.
        """
        for fault in self._untimed:
            if (fault.kind == "refuse") == listening:
                if fault.kind in CONNECTION_KINDS:
                    self._awaiting_subscriber.append(fault)
                else:
                    self.fire(fault)

    def stream_subscribed(self) -> None:
        """Fire what waited for a subscriber in the next turn of the loop, after the answer to the subscription."""
        waiting, self._awaiting_subscriber = self._awaiting_subscriber, []
        for fault in waiting:
            asyncio.get_running_loop().call_soon(self.fire, fault)

    def trade_played(self, count: int) -> None:
        """Fire what is due after this many trades."""
        for fault in self._schedule.at_trade(count):
            self._fire_due(fault)

    def time_passed(self, elapsed_s: float) -> None:
        """Fire what is due by this time after the tape began."""
        for fault in self._schedule.at_time(elapsed_s):
            self._fire_due(fault)

    def _fire_due(self, fault: Fault) -> None:
        """Not again while it still waits for messages or requests to touch, because no client is connected."""
        waiting = [each.fault for each in self._spoiler.active] + [each.fault for each in self._requests.active]
        if not any(fault is each for each in waiting):
            self.fire(fault)

    def finish(self) -> None:
        """The exchange ends: report what is still under way."""
        self._send_all(self._spoiler.finish())
        self._target.flush()
        for socket in [*self._silent]:
            self.socket_ended(socket)
        for task in self._tasks:
            task.cancel()

    # ---- messages ----

    def send(self, entry: Entry) -> int:
        """Send an entry, or what the faults at work make of it. Returns the number of receivers."""
        hub = self._target.hub
        if not hub.has_listeners(entry.stream):
            return 0
        if not self._spoiler.active:
            return hub.send(entry.stream, entry.text, entry.trade)
        return self._send_all(self._spoiler.messages(entry))

    def _send_all(self, messages: Iterable[Outgoing]) -> int:
        return sum(self._target.hub.send(each.stream, each.payload, each.entry.trade) for each in messages)

    def _send_later(self, by_s: float, messages: list[Outgoing]) -> None:
        def now() -> None:
            self._send_all(messages)
            self._target.flush()

        asyncio.get_running_loop().call_later(by_s, now)

    def _report_messages(self, spoiling: Spoiling) -> None:
        series = [_series(stream, ids=_ranges(ids)) for stream, ids in spoiling.touched.items()]
        self._report(spoiling.fault, {"series": series})

    # ---- connections ----

    def _chosen(self, fault: Fault) -> list[WebSocket]:
        sockets = [socket for socket in self._target.sockets if not socket.is_silent]
        if not sockets or fault.sockets == "all":
            return sockets
        return {"oldest": sockets[:1], "newest": sockets[-1:], "random": [self._rng.choice(sockets)]}[fault.sockets]

    def _last_ids(self, sockets: Iterable[WebSocket]) -> list[FaultReport]:
        """The last id sent on each stream of these connections."""
        streams = dict.fromkeys(stream for socket in sockets for stream in socket.session.streams)
        last = {stream: self._target.market.last_id(stream) for stream in streams}
        return [_series(stream, last_id=number) for stream, number in last.items() if number is not None]

    def _report_sockets(self, fault: Fault, sockets: list[WebSocket], **more: object) -> None:
        self._target.flush()
        numbers = [socket.number for socket in sockets]
        self._report(fault, {"connections": numbers, "series": self._last_ids(sockets), **more})

    def _close(self, fault: Fault) -> None:
        sockets = self._chosen(fault)
        self._report_sockets(fault, sockets, code=fault.code)
        for socket in sockets:
            socket.close(fault.code, fault.reason)

    def _abort(self, fault: Fault) -> None:
        sockets = self._chosen(fault)
        self._report_sockets(fault, sockets)
        for socket in sockets:
            socket.abort(text_frame(b'{"e":"trade","E":1723161300')[:20] if fault.partial else b"")

    def _silence(self, fault: Fault) -> None:
        sockets = self._chosen(fault)
        self._report_sockets(fault, sockets)
        for socket in sockets:
            self._silent[socket] = {
                stream: self._target.market.last_id(stream) or 0 for stream in socket.session.streams
            }
            socket.silence()
            self._target.hub.remove(socket)
            if fault.for_s is not None:
                asyncio.get_running_loop().call_later(fault.for_s, socket.abort)

    def socket_ended(self, socket: WebSocket) -> None:
        """A connection is gone. If it was silent, report now what was not sent on it."""
        before = self._silent.pop(socket, None)
        if before is None:
            return
        missed = []
        for stream, first in before.items():
            last = self._target.market.last_id(stream)
            if last is not None and last > first:
                missed.append(_series(stream, ids=[[first + 1, last]]))
        self._report(Fault("silent"), {"ended": True, "connections": [socket.number], "series": missed})

    def _shutdown(self, fault: Fault) -> None:
        sockets = self._chosen(fault)
        for socket in sockets:
            body = server_shutdown(self._target.clock.now_us(), socket.session.is_micro)
            socket.put(text_frame(wrapped(b"!serverShutdown", body) if socket.session.is_combined else body))
        self._report_sockets(fault, sockets, code=fault.code)
        for socket in sockets:
            asyncio.get_running_loop().call_later(fault.by_s, socket.close, fault.code, fault.reason)

    # ---- requests and the clock ----

    def answer(self, kind: RequestKind, target: str) -> tuple[HttpAnswer | None, float]:
        """What a request gets instead of its answer (None: its answer), and how many seconds later."""
        return self._requests.answer(kind, target)

    def _answer_requests(self, fault: Fault) -> None:
        added = self._requests.add(fault)
        if fault.for_s is not None:
            asyncio.get_running_loop().call_later(fault.for_s, self._requests.active.remove, added)

    def _refuse(self, fault: Fault) -> None:
        assert fault.for_s is not None
        task = asyncio.get_running_loop().create_task(self._target.refuse(fault.for_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._report(fault, {"for_s": fault.for_s})

    def _set_clock_wrong(self, fault: Fault) -> None:
        self._target.clock.offset_us = int(fault.by_s * 1_000_000)
        self._report(fault, {"by_s": fault.by_s})
        if fault.for_s is not None:
            asyncio.get_running_loop().call_later(fault.for_s, self._set_clock_right)

    def _set_clock_right(self) -> None:
        self._target.clock.offset_us = 0

    # ---- reports ----

    def _report(self, fault: Fault, details: FaultReport) -> None:
        seconds, trades = round(self._target.elapsed_s(), 6), self._target.played()
        report = {"fault": fault.kind, "seconds": seconds, "trades": trades, **details}
        self.reports.append(report)
        if self._on_fault:
            self._on_fault(report)


def _series(stream: str, **details: object) -> FaultReport:
    symbol, _, channel = stream.partition("@")
    return {"venue": "binance", "symbol": symbol.upper(), "channel": channel, **details}


def _ranges(ids: list[int]) -> list[list[int]]:
    return TradeIds((number, number) for number in ids).to_list()

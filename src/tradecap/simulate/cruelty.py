"""Faults at work on a running exchange: connections, doors, the clock; and the account of all that fired.

Rules: what fires is told once, as plain data, when it has had its effect, with the ids it touched; so that a test can hold a client's behaviour
against it. A fault that touched nothing says so too. The order of what is told is the order in which it happened.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from tradecap.market.trade_ids import TradeIds
from tradecap.simulate.faults import MESSAGE_KINDS, SOCKET_KINDS, Fault
from tradecap.simulate.hub import Hub
from tradecap.simulate.market_data import Market
from tradecap.simulate.messages import server_shutdown, text_frame, wrapped
from tradecap.simulate.player import Clock
from tradecap.simulate.rest import Answer, limited
from tradecap.simulate.spoiler import Said, Spoiler, Spoiling
from tradecap.simulate.tape import Entry
from tradecap.simulate.websocket import Socket

Report = dict[str, object]

MAX_REPORTS: Final = 10_000
"""So many are remembered; all are told."""
BODIES: Final = {
    403: b"<html><head><title>403 Forbidden</title></head><body>Request blocked.</body></html>",
    451: b'{"code":0,"msg":"Service unavailable from a restricted location according to \'b. Eligibility\'."}',
    500: b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}',
    503: b'{"code":-1008,"msg":"Server is currently overloaded with other requests. Please try again in a few minutes."}',
    504: b'{"code":-1007,"msg":"Timeout waiting for response from backend server. Send status unknown; execution status unknown."}',
}


class Victim(Protocol):
    """The exchange, as its faults see it."""

    market: Market
    hub: Hub
    clock: Clock
    sockets: dict[Socket, None]

    def flush(self) -> None: ...
    async def refuse(self, for_s: float) -> None: ...
    def elapsed_s(self) -> float: ...
    def played(self) -> int: ...


@dataclass
class _Door:
    """A fault that answers requests. left None: until it is taken away."""

    fault: Fault
    left: int | None


class Cruelty:
    """Fires faults. `told` gets each report."""

    def __init__(self, victim: Victim, seed: int, told: Callable[[Report], None]) -> None:
        self._victim, self._told = victim, told
        self._rng = Random(f"{seed}/cruelty")
        self.spoiler = Spoiler(seed, self._later)
        self._doors: list[_Door] = []
        self._armed: list[Fault] = []
        self._silent: dict[Socket, dict[str, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.reports: deque[Report] = deque(maxlen=MAX_REPORTS)

    def fire(self, fault: Fault) -> None:
        """Let it happen now."""
        if fault.kind in MESSAGE_KINDS:
            self.spoiler.add(fault, self._spoilt)
            return
        {
            "close": self._close,
            "abort": self._abort,
            "silent": self._silence,
            "shutdown": self._shutdown,
            "refuse": self._refuse,
            "http": self._stand_in_door,
            "slow": self._stand_in_door,
            "clock": self._clock,
        }[fault.kind](fault)

    def arm(self, faults: Iterable[Fault]) -> None:
        """Let faults without a time work from now on; those that touch connections wait until there is a subscriber to touch."""
        for fault in faults:
            if fault.kind in SOCKET_KINDS:
                self._armed.append(fault)
            else:
                self.fire(fault)

    def subscribed(self) -> None:
        """Somebody has subscribed: what waited for it happens in the next turn of the loop, after the answer."""
        armed, self._armed = self._armed, []
        for fault in armed:
            asyncio.get_running_loop().call_soon(self.fire, fault)

    def fire_due(self, fault: Fault) -> None:
        """As `fire`, for the schedule: while it still waits for messages or requests to touch (nobody is there), it isn't fired once more."""
        waiting = [spoiling.fault for spoiling in self.spoiler.active] + [door.fault for door in self._doors]
        if not any(fault is each for each in waiting):
            self.fire(fault)

    def say(self, entry: Entry) -> int:
        """Say an entry, or what the faults at work make of it; to how many."""
        hub = self._victim.hub
        if not hub.hears(entry.stream):
            return 0
        if not self.spoiler.active:
            return hub.say(entry.stream, entry.text, entry.trade)
        return self._say(self.spoiler.spoilt(entry))

    def _say(self, said: Iterable[Said]) -> int:
        return sum(self._victim.hub.say(stream, payload, entry.trade) for stream, payload, entry in said)

    def finish(self) -> None:
        """The end: what is still under way is told."""
        self._say(self.spoiler.finish())
        self._victim.flush()
        for socket in [*self._silent]:
            self.heard_no_more(socket)
        for task in self._tasks:
            task.cancel()

    # ---- messages ----

    def _later(self, by_s: float, said: list[Said]) -> None:
        def now() -> None:
            self._say(said)
            self._victim.flush()

        asyncio.get_running_loop().call_later(by_s, now)

    def _spoilt(self, spoiling: Spoiling) -> None:
        self._report(spoiling.fault, series=[_series(stream, ids=_ranges(ids)) for stream, ids in spoiling.touched.items()])

    # ---- connections ----

    def _chosen(self, fault: Fault) -> list[Socket]:
        sockets = [socket for socket in self._victim.sockets if not socket.is_silent]
        if not sockets or fault.sockets == "all":
            return sockets
        return {"oldest": sockets[:1], "newest": sockets[-1:], "random": [self._rng.choice(sockets)]}[fault.sockets]

    def _last_ids(self, sockets: Iterable[Socket]) -> list[Report]:
        """Where the streams of these connections stand: the last id each of them was told."""
        streams = dict.fromkeys(stream for socket in sockets for stream in socket.session.streams)
        last = {stream: self._victim.market.last_id(stream) for stream in streams}
        return [_series(stream, last_id=number) for stream, number in last.items() if number is not None]

    def _tell_sockets(self, fault: Fault, sockets: list[Socket], **more: object) -> None:
        self._victim.flush()
        self._report(fault, connections=[socket.number for socket in sockets], series=self._last_ids(sockets), **more)

    def _close(self, fault: Fault) -> None:
        sockets = self._chosen(fault)
        self._tell_sockets(fault, sockets, code=fault.code)
        for socket in sockets:
            socket.close(fault.code, fault.reason)

    def _abort(self, fault: Fault) -> None:
        sockets = self._chosen(fault)
        self._tell_sockets(fault, sockets)
        for socket in sockets:
            socket.abort(text_frame(b'{"e":"trade","E":1723161300')[:20] if fault.partial else b"")

    def _silence(self, fault: Fault) -> None:
        sockets = self._chosen(fault)
        self._tell_sockets(fault, sockets)
        for socket in sockets:
            self._silent[socket] = {stream: self._victim.market.last_id(stream) or 0 for stream in socket.session.streams}
            socket.hush()
            self._victim.hub.leave(socket)
            if fault.for_s is not None:
                asyncio.get_running_loop().call_later(fault.for_s, socket.abort)

    def heard_no_more(self, socket: Socket) -> None:
        """A connection is gone; of a silent one, what it wasn't told is told now."""
        before = self._silent.pop(socket, None)
        if before is None:
            return
        now = {stream: self._victim.market.last_id(stream) for stream in before}
        missed = [_series(stream, ids=[[before[stream] + 1, last]]) for stream, last in now.items() if last is not None and last > before[stream]]
        self._report(Fault("silent"), ended=True, connections=[socket.number], series=missed)

    def _shutdown(self, fault: Fault) -> None:
        sockets = self._chosen(fault)
        for socket in sockets:
            body = server_shutdown(self._victim.clock.now_us(), socket.session.is_micro)
            socket.put(text_frame(wrapped(b"!serverShutdown", body) if socket.session.is_combined else body))
        self._tell_sockets(fault, sockets, code=fault.code)
        for socket in sockets:
            asyncio.get_running_loop().call_later(fault.by_s, socket.close, fault.code, fault.reason)

    # ---- doors and clock ----

    def _refuse(self, fault: Fault) -> None:
        assert fault.for_s is not None
        task = asyncio.get_running_loop().create_task(self._victim.refuse(fault.for_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._report(fault, for_s=fault.for_s)

    def _stand_in_door(self, fault: Fault) -> None:
        door = _Door(fault, None if fault.for_s is not None else fault.count)
        self._doors.append(door)
        if fault.for_s is not None:
            asyncio.get_running_loop().call_later(fault.for_s, self._doors.remove, door)

    def at_door(self, way: str, target: str) -> tuple[Answer | None, float]:
        """What a request (way `rest` or `ws`) gets instead of its answer, None for nothing, and how many seconds later."""
        delay_s = 0.0
        for door in [*self._doors]:
            fault = door.fault
            if fault.on not in (way, "both") or fault.path not in target:
                continue
            if door.left is not None:
                door.left -= 1
                if door.left == 0:
                    self._doors.remove(door)
            if fault.kind == "slow":
                delay_s += fault.by_s
                self._report(fault, request=target, by_s=fault.by_s)
                continue
            self._report(fault, request=target, status=fault.status)
            return self._denied(fault), delay_s
        return None, delay_s

    def _denied(self, fault: Fault) -> Answer:
        if fault.status in (418, 429):
            retry_s = int(fault.retry_after_s if fault.retry_after_s is not None else 120 if fault.status == 418 else 10)
            return limited(fault.status, retry_s, self._victim.clock.now_us() // 1000 + retry_s * 1000)
        body = BODIES.get(fault.status, b"<html><body>%d</body></html>" % fault.status)
        return Answer(fault.status, body)

    def _clock(self, fault: Fault) -> None:
        self._victim.clock.offset_us = int(fault.by_s * 1_000_000)
        self._report(fault, by_s=fault.by_s)
        if fault.for_s is not None:
            asyncio.get_running_loop().call_later(fault.for_s, self._right_clock)

    def _right_clock(self) -> None:
        self._victim.clock.offset_us = 0

    # ---- the account ----

    def _report(self, fault: Fault, **what: object) -> None:
        head = {"fault": fault.kind, "seconds": round(self._victim.elapsed_s(), 6), "trades": self._victim.played()}
        report = head | what
        self.reports.append(report)
        self._told(report)


def _series(stream: str, **what: object) -> Report:
    symbol, _, channel = stream.partition("@")
    return {"venue": "binance", "symbol": symbol.upper(), "channel": channel, **what}


def _ranges(ids: list[int]) -> list[list[int]]:
    return TradeIds((number, number) for number in ids).to_list()

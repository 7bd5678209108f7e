"""When a replayed record is written, and how its times are moved to now."""

import time
from collections.abc import Callable
from typing import Final

from tradecap.flows.replay.items import Item
from tradecap.market.pacing import Lateness, Pacer
from tradecap.market.records import Trade
from tradecap.venues.api import VENUES

FLUSH_NS: Final = 100_000_000
"""A paced replay flushes this often, where FLUSH_ROOM_NS are left before the next record is due; at the latest after
FLUSH_LATEST_NS."""
FLUSH_ROOM_NS: Final = 5_000_000
FLUSH_LATEST_NS: Final = 1_000_000_000
IDLE_NS: Final = 1_000_000_000
"""How often a long wait looks whether it is time to say that the run is alive."""
NAP_NS: Final = 50_000_000
"""A wait looks this often whether somebody asked for the end."""


class Pace:
    """Waits until a message is due, and calls idle (which makes the log durable) while there is time. stop() ends a
    wait."""

    def __init__(self, speed: float, idle: Callable[[], None], stop: Callable[[], bool]) -> None:
        self.lateness = Lateness()
        self._pacer = Pacer(speed)
        self._idle = idle
        self._stop = stop
        self._began = self._idled = time.perf_counter_ns()

    def wait(self, item: Item) -> None:
        """Sleep until this message is due."""
        due = self._began + self._pacer.due_ns(_recorded_ns(item))
        now = time.perf_counter_ns()
        since = now - self._idled
        if since > FLUSH_LATEST_NS or (since > FLUSH_NS and due - now > FLUSH_ROOM_NS):
            self._idle()
            now = self._idled = time.perf_counter_ns()
        while now < due and not self._stop():
            time.sleep(min(due - now, NAP_NS) / 1e9)
            now = time.perf_counter_ns()
            if now - self._idled > IDLE_NS:
                self._idle()
                self._idled = now
        if now >= due:
            self.lateness.add(now - due)


def _recorded_ns(item: Item) -> int | None:
    """When a message was recorded: by the receive time, else E, else T."""
    if item.recv_ns is not None:
        return item.recv_ns
    reading = item.reading
    return (reading.event_time_us or reading.trade_time_us) * 1000 if type(reading) is Trade else None


class Shift:
    """Moves the times of a recording so that its first trade is now. The one change that a replay makes to a payload,
    and only when asked to."""

    def __init__(self) -> None:
        self._by_us: int | None = None

    def moved(self, item: Item) -> Item:
        """The item with the times of its message and its receive time moved."""
        trade = item.reading
        if type(trade) is not Trade:
            return item
        if self._by_us is None:
            self._by_us = time.time_ns() // 1000 - trade.trade_time_us
        by_us = self._by_us // 1000 * 1000  # whole milliseconds: the venue's unit
        venue = VENUES[trade.venue]
        payload = venue.moved(item.payload, trade.channel, by_us)
        recv_ns = None if item.recv_ns is None else item.recv_ns + by_us * 1000
        return Item(
            venue.decode(payload, trade.venue, trade.symbol, trade.channel),
            payload,
            recv_ns,
            item.head,
            symbol=item.symbol,
        )

"""Plays a tape: sends each entry when it is due, and keeps the exchange's clock.

Rules: pacing is that of `market.pacing` (recorded silence is kept, speed divides it). At full speed the tape goes as
fast as the slowest client that still reads. The exchange's clock runs with the tape: it shows the event time of the
entry that is being sent, goes on in between, and goes on after the end. A trade is in the market before it is sent, so
REST always knows what was on the stream.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain, islice
from typing import Final

from tradecap.market.pacing import Lateness, Pacer
from tradecap.simulate.tape import Entry, TapeShift, moved

BATCH: Final = 500
"""At full speed, entries sent before the network gets its turn."""
WORK_S: Final = 0.004
"""When paced, the network gets its turn after this time at the latest."""
AHEAD: Final = 512
"""Entries read ahead while there is time. READ of them are read at once, which takes less than READ_NS."""
READ: Final = 16
READ_NS: Final = 1_000_000
EARLY_NS: Final = 500_000
"""Sleep until this long before an entry is due and spin for the rest: epoll ends a sleep up to 1 ms late."""


class Clock:
    """The exchange's time. speed None: as fast as clients read, so time stands still between two entries."""

    def __init__(self, first_us: int, speed: float | None) -> None:
        self._us, self._at_ns = first_us, 0
        self._speed = speed
        self.offset_us = 0
        """How far off the clock is."""

    def start(self) -> None:
        """Let it run from now on."""
        if not self._at_ns:
            self._at_ns = time.monotonic_ns()

    def set(self, event_us: int, due_ns: int) -> None:
        """At the monotonic time due_ns it was event_us."""
        if event_us > self._us:
            self._us, self._at_ns = event_us, due_ns

    def run_free(self) -> None:
        """The tape has ended: time goes on by itself."""
        self._speed, self._at_ns = self._speed or 1.0, time.monotonic_ns()

    def true_us(self) -> int:
        """The time without the offset."""
        if not self._at_ns or self._speed is None:
            return self._us
        return self._us + max(0, int((time.monotonic_ns() - self._at_ns) * self._speed) // 1000)

    def now_us(self) -> int:
        """The time that the exchange shows."""
        return self.true_us() + self.offset_us


class Player:
    """Plays entries.

    `send` takes an entry, `remember` one that was traded before the beginning. `flush` writes what was sent, `drained`
    waits until clients have caught up, `pulse` is called in between.
    """

    def __init__(
        self,
        entries: Iterator[Entry],
        clock: Clock,
        *,
        speed: float | None,
        send: Callable[[Entry], None],
        remember: Callable[[Entry], object],
        flush: Callable[[], None],
        drained: Callable[[], Awaitable[None]],
        pulse: Callable[[], None],
    ) -> None:
        self._entries, self._clock, self._speed = entries, clock, speed
        self._send, self._remember, self._flush = send, remember, flush
        self._drained, self._pulse = drained, pulse
        self._ahead: deque[Entry] = deque()
        self.lateness = Lateness()
        self.sent = 0
        self.has_ended = False

    async def play(self, pulse_s: float) -> None:
        """Send all entries, each when it is due."""
        self._clock.start()
        if self._speed is None:
            await self._at_full_speed()
        else:
            await self._paced(self._speed, pulse_s)
        self._clock.run_free()
        self.has_ended = True

    async def _at_full_speed(self) -> None:
        while self.step(BATCH):
            self._pulse()
            self._flush()
            await self._drained()
            await asyncio.sleep(0)

    async def _paced(self, speed: float, pulse_s: float) -> None:
        pacer, lateness = Pacer(speed), self.lateness
        began_ns = now_ns = next_look_ns = time.monotonic_ns()
        while (entry := self._next()) is not None:
            due_ns = began_ns + pacer.due_ns(entry.time_ns or None)
            while due_ns > now_ns or now_ns > next_look_ns:
                self._flush()
                self._pulse()
                self._flush()
                self._read_ahead(due_ns)
                await asyncio.sleep(min(max(0.0, (due_ns - time.monotonic_ns() - EARLY_NS) / 1e9), pulse_s))
                now_ns = time.monotonic_ns()
                next_look_ns = now_ns + int(WORK_S * 1e9)
            self._know_time(entry, due_ns)
            self._send(entry)
            self.sent += 1
            lateness.add(now_ns - due_ns)
            if self.sent % 32 == 0:
                now_ns = time.monotonic_ns()
        self._flush()

    def _next(self) -> Entry | None:
        return self._ahead.popleft() if self._ahead else next(self._entries, None)

    def _read_ahead(self, until_ns: int) -> None:
        """Read ahead until the next entry is due: a burst that is read only when it is due would be late."""
        while len(self._ahead) < AHEAD and time.monotonic_ns() < until_ns - READ_NS:
            some = list(islice(self._entries, READ))
            self._ahead.extend(some)
            if len(some) < READ:
                return

    def recall(self, seconds: float) -> None:
        """Take the first `seconds` of the tape as traded already."""
        until_ns = 0
        for entry in self._entries:
            if not until_ns and entry.time_ns:
                until_ns = entry.time_ns + int(seconds * 1e9)
            if entry.time_ns >= until_ns > 0:
                self._entries = chain([entry], self._entries)
                return
            self._remember(entry)
            self._know_time(entry, 0)

    def _know_time(self, entry: Entry, due_ns: int) -> None:
        if entry.trade is not None:
            self._clock.set(entry.trade.event_time_us or entry.trade.trade_time_us, due_ns)

    def step(self, count: int) -> int:
        """Send the next `count` entries at once. Returns how many there were. The caller flushes."""
        done = 0
        for entry in self._entries:
            self._know_time(entry, 0)
            self._send(entry)
            done += 1
            if done >= count:
                break
        self.sent += done
        if done < count:
            self.has_ended = True
        return done


def shifted(entries: Iterator[Entry], time_us: int) -> Iterator[Entry]:
    """All entries at another time, with ids that the recording doesn't have: at another time it is another trade.

    Ids move by the same number of microseconds as times, so two runs with `now` don't share ids either, up to a million
    trades a second.
    """
    shift = TapeShift(time_us, all_ids=abs(time_us))
    return (moved(entry, shift) for entry in entries)

"""One connection slot of a feed: it holds a connection for as long as the feed runs.

Rules: a lost connection is opened again, at once and then with full-jitter back-off that ends when data comes. There
are never more attempts than the venue allows in five minutes, and none before its Retry-After is over; both hold for
all slots together, since the venue counts by address. A connection that is to be replaced (its lifetime is over, the
server shuts down, a caller asked for it) stays until the new one is up and delivers.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable

from tradecap.venues.failures import network_failure
from tradecap.venues.feed.inbox import Inbox, LostError, Terms
from tradecap.venues.feed.line import Line, either


class ConnectThrottle:
    """When the venue may be connected to again. One for all connections of a feed."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._attempts: deque[float] = deque()
        self._paused_until_s = 0.0

    async def wait(self, failed: int) -> None:
        """Wait until the next attempt may be made, after this many failures in a row."""
        await asyncio.sleep(self._delay_s(failed, time.monotonic()))
        while (left_s := self._paused_until_s - time.monotonic()) > 0:
            await asyncio.sleep(left_s)

    def pause(self, seconds: float) -> None:
        """The venue asked for no attempts for this long."""
        self._paused_until_s = max(self._paused_until_s, time.monotonic() + seconds)

    def _delay_s(self, failed: int, now: float) -> float:
        """Full jitter: nothing before the first attempt and the first retry, then up to twice as long each time."""
        terms = self._terms
        while self._attempts and self._attempts[0] < now - 300:
            self._attempts.popleft()
        self._attempts.append(now)
        if len(self._attempts) > terms.attempts_in_5_minutes:
            return terms.longest_delay_s
        return (
            random.uniform(0, min(terms.longest_delay_s, terms.first_delay_s * 2 ** min(failed - 2, 16)))
            if failed > 1
            else 0.0
        )


class ConnectionSlot:
    """One of the connections of a feed: it is opened again for as long as the feed runs."""

    def __init__(
        self, number: int, line: Callable[[], Line], inbox: Inbox, terms: Terms, throttle: ConnectThrottle
    ) -> None:
        self._number, self._line, self._inbox, self._terms, self._throttle = number, line, inbox, terms, throttle
        self._wanted = asyncio.Event()
        self._why = ""
        self._failed = 0
        """Connections and attempts that failed since data came last."""

    def replace(self, reason: str) -> None:
        """Ask for another connection."""
        if not self._wanted.is_set():
            self._why = reason
            self._wanted.set()

    async def keep(self) -> None:
        """Keep a connection open, again and again."""
        line: Line | None = None
        try:
            while True:
                if line is None:
                    line = await self._filled()
                    self._wanted.clear()
                line = await self._use(line)
        finally:
            if line:
                await line.close("the capture ends")

    async def _filled(self) -> Line:
        """A connection, however long it takes."""
        attempt = 0
        while True:
            attempt += 1
            await self._throttle.wait(self._failed)
            try:
                return await self._opened()
            except LostError as lost:
                self._failed += 1
                self._inbox.notice("disconnected", 0, lost.failure, place=self._number, attempt=attempt)
                self._throttle.pause(lost.failure.retry_after_s or 0.0)

    async def _opened(self) -> Line:
        line = self._line()
        began = time.monotonic()
        await line.open(self._failed)
        took_ms = round((time.monotonic() - began) * 1000)
        self._inbox.notice(
            "connected", line.number, place=self._number, url=line.url, streams=len(line.streams), opened_in_ms=took_ms
        )
        return line

    async def _use(self, line: Line) -> Line | None:
        """Use a connection until it ends (None) or another took its place."""
        shutdown, wanted = asyncio.create_task(line.shutdown.wait()), asyncio.create_task(self._wanted.wait())
        try:
            left_s = max(0.0, line.retires_s - time.monotonic())
            await asyncio.wait([line.reading, shutdown, wanted], timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            shutdown.cancel()
            wanted.cancel()
        if line.reading.done():
            self._lost(line)
            return None
        why = "serverShutdown" if line.shutdown.is_set() else self._why if self._wanted.is_set() else "lifetime"
        return await self._handed_over(line, why)

    def _lost(self, line: Line) -> None:
        self._failed = (0 if line.messages else self._failed) + 1
        error = line.reading.exception()
        failure = error.failure if isinstance(error, LostError) else network_failure(error or EOFError("ended"))
        self._inbox.notice(
            "disconnected", line.number, failure, place=self._number, messages=line.messages, lived_s=line.lived_s
        )

    async def _handed_over(self, old: Line, why: str) -> Line | None:
        """Make before break: the old connection goes on until the new one is seen flowing, or ends by itself."""
        opening = asyncio.create_task(self._filled())
        try:
            await asyncio.wait([opening, old.reading], return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                self._lost(old)
                self._wanted.clear()
                return await opening
            new = opening.result()
            await self._flows(new, old)
            # while the log is slow nothing is read, and what the old one has sent would be lost with it
            await self._inbox.room()
            return await self._chosen(old, new, why)
        except asyncio.CancelledError:
            opening.cancel()
            if opening.done() and not opening.cancelled() and not opening.exception():
                await opening.result().close("the capture ends")
            raise

    async def _flows(self, new: Line, old: Line) -> None:
        """Wait until the new one is seen flowing. Where the old one is as quiet, the market is, and there is nothing to
        see."""
        while True:
            before = old.messages
            await either(new.flowing, new.reading, self._terms.flowing_within_s)
            if new.flowing.is_set() or new.reading.done() or old.reading.done() or old.messages == before:
                return

    async def _chosen(self, old: Line, new: Line, why: str) -> Line | None:
        """Choose which of two connections to continue with."""
        gone = [line for line in (old, new) if line.reading.done()]
        for line in gone:
            self._lost(line)
        if new in gone:
            return None if old in gone else old
        self._wanted.clear()
        if old not in gone:
            await old.close(why)
            self._failed = 0 if new.messages else self._failed + new.shutdown.is_set()
            self._inbox.notice(
                "handed_over",
                old.number,
                to=new.number,
                place=self._number,
                why=why,
                messages=old.messages,
                lived_s=old.lived_s,
            )
        return new

"""One place in a feed: it is filled as long as the feed runs.

Rules: a lost connection is opened again, at once and then with full-jitter back-off that ends when data comes; never more attempts than the venue
allows in five minutes, shared by all places. A connection that is to be replaced (its lifetime is over, the server goes away, somebody asked) goes on
until the new one is up and flows.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable

from tradecap.venues.failures import network_failure
from tradecap.venues.feed.inbox import Inbox, LostError, Terms
from tradecap.venues.feed.line import Line, either


class Place:
    """One place in a feed: it is filled as long as the feed runs."""

    def __init__(self, number: int, line: Callable[[], Line], inbox: Inbox, terms: Terms) -> None:
        self._number, self._line, self._inbox, self._terms = number, line, inbox, terms
        self._wanted = asyncio.Event()
        self._why = ""
        self._failed = 0
        self._attempts: deque[float] = deque()

    def replace(self, reason: str) -> None:
        """Ask for another connection."""
        if not self._wanted.is_set():
            self._why = reason
            self._wanted.set()

    async def keep(self) -> None:
        """Fill the place, again and again."""
        line: Line | None = None
        try:
            while True:
                line = line or await self._filled()
                line = await self._kept(line)
        finally:
            if line:
                await line.close("the capture ends")

    async def _filled(self) -> Line:
        """A connection, however long it takes."""
        while True:
            await asyncio.sleep(self._delay_s())
            try:
                return await self._opened()
            except LostError as lost:
                self._failed += 1
                self._inbox.notice("disconnected", 0, lost.failure, place=self._number, attempt=self._failed)
                await asyncio.sleep(lost.failure.retry_after_s or 0.0)

    def _delay_s(self) -> float:
        """Full jitter: nothing before the first attempt, then up to twice as long each time."""
        now = time.monotonic()
        while self._attempts and self._attempts[0] < now - 300:
            self._attempts.popleft()
        self._attempts.append(now)
        if len(self._attempts) > self._terms.attempts_in_5_minutes // self._terms.connections:
            return self._terms.longest_delay_s
        if not self._failed:
            return 0.0
        return random.uniform(0, min(self._terms.longest_delay_s, self._terms.first_delay_s * 2 ** min(self._failed, 16)))

    async def _opened(self) -> Line:
        line = self._line()
        began = time.monotonic()
        await line.open()
        took_ms = round((time.monotonic() - began) * 1000)
        self._inbox.notice("connected", line.number, place=self._number, url=line.url, streams=len(line.streams), opened_in_ms=took_ms)
        return line

    async def _kept(self, line: Line) -> Line | None:
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
        self._wanted.clear()
        return await self._handed_over(line, why)

    def _lost(self, line: Line) -> None:
        self._failed = 0 if line.messages else self._failed + 1
        error = line.reading.exception()
        failure = error.failure if isinstance(error, LostError) else network_failure(error or EOFError("ended"))
        self._inbox.notice("disconnected", line.number, failure, place=self._number, messages=line.messages, lived_s=line.lived_s)

    async def _handed_over(self, old: Line, why: str) -> Line | None:
        """Make before break: the old connection goes on until the new one is seen flowing, or ends by itself."""
        opening = asyncio.create_task(self._filled())
        try:
            await asyncio.wait([opening, old.reading], return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                self._lost(old)
                return await opening
            new = opening.result()
            await either(new.flowing, new.reading, self._terms.flowing_within_s)
        except asyncio.CancelledError:
            opening.cancel()
            if opening.done() and not opening.cancelled() and not opening.exception():
                await opening.result().close("the capture ends")
            raise
        if new.reading.done():
            self._lost(new)
            if not old.reading.done():
                return old
            self._lost(old)
            return None
        await old.close(why)
        self._failed = 0
        self._inbox.notice("handed_over", old.number, to=new.number, place=self._number, why=why, messages=old.messages, lived_s=old.lived_s)
        return new

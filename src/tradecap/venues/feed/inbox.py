"""What leaves the feed, and how: messages and notices in one bounded queue, filled by the feed's thread and emptied by
another."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tradecap.venues.failures import Failure

CAPACITY: Final = 2048
"""Messages that wait to be taken; from there on the sockets are read no further (what a read had brought already is
still put in)."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How the feed treats its connections. The venue's limits: 5 messages a second to it, 24 h a connection, 300
    connections in 5 minutes."""

    connections: int = 1
    first_delay_s: float = 0.25
    longest_delay_s: float = 30.0
    open_within_s: float = 10.0
    acknowledge_within_s: float = 10.0
    request_every_s: float = 0.34
    ping_after_s: float = 8.0
    dead_after_s: float = 20.0
    lifetime_s: float = 23.5 * 3600
    lifetime_jitter_s: float = 600.0
    flowing_within_s: float = 3.0
    attempts_in_5_minutes: int = 240


Message = tuple[int, int, bytes]
"""(connection, recv_ns, payload): a plain tuple, because there are very many of them."""


class Notice(NamedTuple):
    """What happened to a connection: `connected`, `disconnected` (also an attempt that failed) or `handed_over`; detail
    is made of JSON values."""

    name: str
    at_ns: int
    connection: int
    detail: dict[str, Any]
    failure: Failure | None = None


Arrival = Message | Notice


class LostError(Exception):
    """A connection ended, or couldn't be had."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class Inbox:
    """The queue. `take` belongs to one thread, all else to the feed's loop, in which it is made."""

    def __init__(self) -> None:
        self.queue: deque[Arrival] = deque()
        self.arrived = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room = asyncio.Event()
        self._is_full = False

    def attach(self) -> None:
        """The running loop is the feed's."""
        self._loop = asyncio.get_running_loop()

    def on_loop(self, call: Callable[[], None]) -> None:
        """Have something done by the feed's loop, from another thread. Nothing when it has ended."""
        with contextlib.suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call)

    def take(self, timeout_s: float, most: int) -> list[Arrival]:
        """What has arrived, in order, `most` at most; waits up to timeout_s for the first."""
        queue = self.queue
        if not queue:
            self.arrived.wait(timeout_s)
        self.arrived.clear()
        taken = [queue.popleft() for _ in range(min(most, len(queue)))]
        if self._is_full:
            self.on_loop(self._make_room)
        return taken

    def notice(self, name: str, connection: int, failure: Failure | None = None, **detail: Any) -> None:
        """Report what happened."""
        content = {"connection": connection, **detail}
        if failure:
            content |= {"failure": failure.kind, "text": failure.text}
        self.queue.append(Notice(name, time.time_ns(), connection, content, failure))
        self.arrived.set()

    async def room(self) -> None:
        """Wait until what has arrived was taken."""
        while len(self.queue) >= CAPACITY:
            self._is_full = True
            self._room.clear()
            if len(self.queue) >= CAPACITY:
                await self._room.wait()

    def _make_room(self) -> None:
        self._is_full = False
        self._room.set()

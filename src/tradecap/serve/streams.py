"""Streams of bars that are open: how many there may be, what wakes them, and their end.

Rules: all streams run in the server's one event loop; the log's thread wakes those whose series have changed. There are
at most STREAMS of them, and STREAMS_PER_CLIENT of one address; the next one is refused. At the end of the server each
stream is asked to finish.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from tradecap.errors import TradecapError
from tradecap.flows.joined import Joined
from tradecap.flows.watching import Watching
from tradecap.serve.problems import ProblemError
from tradecap.store.api import Series

STREAMS: Final = 1000
STREAMS_PER_CLIENT: Final = 200
WRITE_S: Final = 60.0
HEARTBEAT_S: Final = 15.0
REFRESH_S: Final = 1.0
"""How often the store's sweeps are looked at."""


class Stream:
    """An open stream."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.is_over = False
        """Whether the server ends."""
        self.writes_since_s: float | None = None
        """Since when (monotonic) a write has been waiting for the client."""
        self.is_cut = False
        self._task = asyncio.current_task()

    def wake(self) -> None:
        """Something has changed."""
        self._changed.set()

    def cut(self) -> None:
        """End it in the middle of a write."""
        self.is_cut = True
        if self._task:
            self._task.cancel()

    async def wait(self, within_s: float | None = None) -> bool:
        """Wait for a change, or the server's end. False where nothing came in time."""
        if within_s is None:
            await self._changed.wait()
        elif not self._changed.is_set():
            try:
                await asyncio.wait_for(self._changed.wait(), within_s)
            except TimeoutError:
                return False
        self._changed.clear()
        return True


class Streams:
    """All open streams. most, per_client: how many there may be. heartbeat_s: how often a quiet stream of events sends
    a comment.

    write_s: a stream whose client takes nothing for this long is cut.
    """

    def __init__(
        self,
        joined: Joined,
        most: int = STREAMS,
        per_client: int = STREAMS_PER_CLIENT,
        heartbeat_s: float = HEARTBEAT_S,
        write_s: float = WRITE_S,
    ) -> None:
        self.heartbeat_s, self._write_s = heartbeat_s, write_s
        self.watching = Watching(joined)
        self.refused = self.cut = 0
        self._most, self._per_client = most, per_client
        self._clients: Counter[str] = Counter()
        self._streams: dict[Series, list[Stream]] = {}
        self._all: list[Stream] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: set[Series] = set()
        self._changing = threading.Lock()
        self._is_over = False
        self._refreshing: asyncio.Task[None] | None = None
        joined.live.call(self._note)

    @property
    def open(self) -> int:
        """How many there are."""
        return len(self._all)

    @contextmanager
    def entered(self, client: str, wanted: Sequence[Series]) -> Iterator[Stream]:
        """A stream of these series. Raises ProblemError where there are too many, or the server ends."""
        if self._is_over:
            raise ProblemError(503, "The server is ending.", "connect again in a moment.")
        if self.open >= self._most or self._clients[client] >= self._per_client:
            self.refused += 1
            raise ProblemError(
                429, "Too many streams are open.", "close one first, or ask for several symbols in one stream."
            )
        self._begin()
        stream = Stream()
        self._all.append(stream)
        self._clients[client] += 1
        for series in wanted:
            self._streams.setdefault(series, []).append(stream)
        try:
            yield stream
        finally:
            self._all.remove(stream)
            self._clients -= Counter([client])
            for series in wanted:
                self._streams[series].remove(stream)

    async def start(self) -> None:
        """See `server.Companion`."""

    async def finish(self) -> None:
        """Let every stream finish, and open none any more."""
        self._is_over = True
        if self._refreshing:
            self._refreshing.cancel()
        for stream in self._all:
            stream.is_over = True
            stream.wake()

    def _begin(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._refreshing = self._loop.create_task(self._refresh())

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            for stream in self._all:
                if (
                    stream.writes_since_s is not None
                    and time.monotonic() - stream.writes_since_s > self._write_s
                    and not stream.is_cut
                ):
                    self.cut += 1
                    stream.cut()
            with suppress(TradecapError):  # the store is away: what is known stays as it is
                await asyncio.to_thread(self.watching.refresh)

    def _note(self, changed: Collection[Series]) -> None:
        """In the log's thread."""
        loop = self._loop
        if loop is None or not self._all:
            return
        with self._changing:
            is_first = not self._changed
            self._changed.update(changed)
        if is_first:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        with self._changing:
            changed, self._changed = self._changed, set()
        for series in changed:
            for stream in self._streams.get(series, ()):
                stream.wake()

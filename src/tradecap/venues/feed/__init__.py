"""The one WebSocket client: messages leave with the time they were received, in order of arrival, and nothing is
dropped.

    with Feed(site.stream_url, streams, site.control, Terms()) as feed:
        for arrival in feed.take(0.05): ...

Rules: a thread of its own runs asyncio; `take` belongs to one other thread. Messages and notices of what happened to
connections come through one bounded queue, so a connection's last message comes before the notice of its end. Each of
the `connections` slots is always filled. Numbers of connections begin at 1 and are never used again.

inbox.py is the queue, slot.py keeps a slot filled, line.py is one connection, opening.py opens it, wire.py
is its bytes.
"""

import asyncio
import os
import ssl
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tradecap.proxies import proxy_for
from tradecap.urls import mask
from tradecap.venues.failures import Failure
from tradecap.venues.feed.inbox import Arrival, Inbox, LostError, Message, Notice, Terms
from tradecap.venues.feed.line import Line
from tradecap.venues.feed.slot import ConnectionSlot, ConnectThrottle
from tradecap.venues.sites import Control

MISTAKE = "this is a mistake of tradecap: report it with what 'tradecap -vv' shows."

__all__ = ["Arrival", "Feed", "LostError", "Message", "Notice", "Terms"]


class Feed:
    """Keeps `terms.connections` connections to url, each subscribed to all streams. Used as a context."""

    def __init__(
        self,
        url: str,
        streams: Sequence[str],
        control: Control,
        terms: Terms | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url
        self.terms = terms or Terms()
        self._streams = list(streams)
        self._control = control
        self._ssl = (ssl_context or ssl.create_default_context()) if url.startswith("wss:") else None
        base = urlsplit(url)
        self._proxy = proxy_for(base.scheme, base.hostname or "", base.port or (443 if self._ssl else 80), os.environ)
        self._inbox = Inbox()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="feed", daemon=True)
        self._is_up = threading.Event()
        self._ending = asyncio.Event()
        self._numbers = 0
        throttle = ConnectThrottle(self.terms)
        self._slots = [
            ConnectionSlot(number, self._line, self._inbox, self.terms, throttle)
            for number in range(self.terms.connections)
        ]

    # ---- the other thread's side ----

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_up.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take(self, timeout_s: float, most: int = sys.maxsize) -> list[Arrival]:
        """What has arrived, in order, `most` at most; waits up to timeout_s for the first."""
        return self._inbox.take(timeout_s, most)

    def replace(self, reason: str) -> None:
        """Put a new connection into each slot, before the old one is closed."""

        def ask() -> None:
            for slot in self._slots:
                slot.replace(reason)

        self._inbox.on_loop(ask)

    def stop(self) -> None:
        """Receive nothing more. What has arrived can still be taken."""
        self._inbox.on_loop(self._ending.set)

    def close(self, within_s: float = 5.0) -> None:
        """Stop, and wait until the sockets are closed."""
        self.stop()
        self._thread.join(within_s)

    @property
    def is_running(self) -> bool:
        """Whether more may arrive."""
        return self._thread.is_alive()

    # ---- the loop's side ----

    async def _main(self) -> None:
        self._inbox.attach()
        self._is_up.set()
        tasks = [asyncio.create_task(slot.keep()) for slot in self._slots]
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait([*tasks, ending], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                self._inbox.notice(
                    "disconnected",
                    0,
                    Failure("internal", mask(f"{type(result).__name__}: {result}"), MISTAKE, is_final=True),
                )
        ending.cancel()

    def _line(self) -> Line:
        self._numbers += 1
        return Line(
            self._numbers, self.url, self._streams, self._control, self._inbox, self.terms, self._ssl, self._proxy
        )

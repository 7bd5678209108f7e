"""One connection, from its opening to its end.

Rules: it is open when every subscription was acknowledged. The time is taken when bytes come from the socket, before
they are parsed. Nothing is dropped: while the inbox is full the socket isn't read, and that doesn't count as silence.
It ends with a LostError that says why.
"""

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Sequence

from websockets.exceptions import ConnectionClosed

from tradecap.proxies import Proxy
from tradecap.venues.failures import Failure, close_failure
from tradecap.venues.feed.inbox import CAPACITY, Inbox, LostError, Terms
from tradecap.venues.feed.opening import opened
from tradecap.venues.feed.wire import FeedSocket
from tradecap.venues.sites import Control


class Line:
    """One connection, from its opening to its end."""

    def __init__(
        self,
        number: int,
        url: str,
        streams: Sequence[str],
        control: Control,
        inbox: Inbox,
        terms: Terms,
        ssl_context: ssl.SSLContext | None,
        proxy: Proxy | None = None,
    ) -> None:
        self._control = control
        self.number, self.url, self.streams = number, url, streams
        self.messages = 0
        self.flowing, self.shutdown = asyncio.Event(), asyncio.Event()
        self.reading: asyncio.Task[None]
        self._inbox, self._terms, self._ssl, self._proxy = inbox, terms, ssl_context, proxy
        self._began = time.monotonic()
        self.retires_s = self._began + terms.lifetime_s + random.uniform(-1, 1) * terms.lifetime_jitter_s
        self._unanswered: set[int] = set()
        self._answered = asyncio.Event()
        self._pausing: asyncio.Task[None] | None = None
        self._failure: Failure | None = None
        self._queue = inbox.queue
        self._socket: FeedSocket

    @property
    def lived_s(self) -> float:
        """How long it has been there."""
        return round(time.monotonic() - self._began, 3)

    async def open(self, failed: int = 0) -> None:
        """Connect and subscribe; raises LostError where that fails. failed: attempts so far, each of which began with
        another address."""
        self._socket = await opened(
            self.url, self._terms.open_within_s, self._ssl, self._proxy, failed, self._control.hints
        )
        self.reading = asyncio.create_task(self._read())
        try:
            await self._subscribe()
        except BaseException:
            await self.close("not subscribed")
            raise

    async def _subscribe(self) -> None:
        requests = self._control.subscriptions(self.streams)
        self._unanswered = {number for number, _ in requests}
        try:
            for number, request in requests:
                if number > 1:
                    await asyncio.sleep(self._terms.request_every_s)
                await self._socket.send(request.decode(), text=True)
            await either(self._answered, self.reading, self._terms.acknowledge_within_s)
        except ConnectionClosed as error:
            raise LostError(self._failure or _end_of(error)) from error
        if self.reading.done():
            raise self.reading.exception() or LostError(close_failure(None, ""))
        if self._unanswered:
            raise LostError(
                Failure(
                    "no_acknowledgement",
                    f"subscriptions weren't answered within {self._terms.acknowledge_within_s:g} s",
                )
            )

    async def _read(self) -> None:
        watch = asyncio.create_task(self._watch())
        socket = self._socket
        socket.deliver = self._deliver
        try:
            while True:
                self._deliver([await socket.recv(decode=False)])
        except ConnectionClosed as error:
            raise LostError(self._failure or _end_of(error)) from error
        finally:
            socket.deliver = None
            watch.cancel()

    def _deliver(self, payloads: list[bytes]) -> None:
        """Messages, as they come."""
        queue, number, recv_ns, is_market = self._queue, self.number, self._socket.recv_ns, self._control.is_market
        for payload in payloads:
            if not is_market(payload) and self._is_control(payload):
                continue
            queue.append((number, recv_ns, payload))
            self.messages += 1
        if self.messages:
            self.flowing.set()
        self._inbox.arrived.set()
        if len(queue) >= CAPACITY and self._pausing is None:
            self._pausing = asyncio.create_task(self._pause())

    async def _pause(self) -> None:
        """Read no further until what has arrived was taken. What the socket had given already is delivered: at most 256
        KiB."""
        transport = self._socket.transport
        transport.pause_reading()
        try:
            await self._inbox.room()
        finally:
            self._pausing = None
            transport.resume_reading()

    def _fail(self, failure: Failure) -> None:
        """End the connection from here."""
        self._failure = failure
        self._socket.transport.abort()

    def _is_control(self, payload: bytes) -> bool:
        """Whether it is an answer to us (and not from the market)."""
        if self._control.is_shutdown(payload):
            self.shutdown.set()
            # passed on, but not a sign that the market flows
            self._queue.append((self.number, self._socket.recv_ns, payload))
            self._inbox.arrived.set()
            return True
        reply = self._control.read_reply(payload)
        if reply is None:
            return False
        if reply.error:
            self._fail(
                Failure(
                    "refused_subscription",
                    f"the venue refuses a subscription: {reply.error}",
                    "check the symbols.",
                    is_final=True,
                )
            )
            return True  # answered, but not open
        self._unanswered.discard(reply.id or 0)
        if not self._unanswered:
            self._answered.set()
        return True

    async def _watch(self) -> None:
        """Our own keepalive: a connection that brings no byte, not even an answer to a ping, is dead however open it
        looks."""
        terms, socket = self._terms, self._socket
        socket.heard_s = pinged_s = time.monotonic()
        while True:
            await asyncio.sleep(min(terms.ping_after_s, terms.dead_after_s) / 4)
            now = time.monotonic()
            if self._pausing is not None:
                socket.heard_s = now
            silent_s = now - socket.heard_s
            if silent_s >= terms.dead_after_s:
                self._fail(Failure("silent", f"half open: no byte for {silent_s:.1f} s, not even an answer to a ping"))
                return
            if silent_s >= terms.ping_after_s and now - pinged_s >= terms.ping_after_s:
                pinged_s = now
                with contextlib.suppress(ConnectionClosed, TimeoutError):
                    await asyncio.wait_for(socket.ping(), 1.0)

    async def close(self, why: str) -> None:
        """Say goodbye, and stop reading. What has arrived stays in the queue."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._socket.close(1000, why), 2.0)
            await asyncio.wait([self.reading], timeout=2.0)
        self._socket.transport.abort()  # a peer that didn't answer the close frame would hold the socket
        self.reading.cancel()
        with contextlib.suppress(LostError, asyncio.CancelledError):
            await self.reading


def _end_of(error: ConnectionClosed) -> Failure:
    if error.rcvd is None and error.sent is not None and error.sent.code != 1000:
        return Failure(
            f"close_{error.sent.code}", f"the connection was ended from here: {error.sent.reason or error.sent.code}"
        )
    return close_failure(error.rcvd.code if error.rcvd else None, error.rcvd.reason if error.rcvd else "")


async def either(event: asyncio.Event, task: asyncio.Task[None], timeout_s: float) -> None:
    """Wait for the event or the end of the task."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait([waiting, task], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()

"""HTTP connections with bounds that uvicorn doesn't have.

Rules: a client (an address) has at most `per_client` connections, all together have `in_all`; a connection beyond that
is closed. A connection must bring a whole request head within REQUEST_S of being opened or of the last answer, and must
take what it is sent within WRITE_S: a client that sends byte by byte, sends nothing or never reads holds nothing for
long. One connection holds one answer at most; uvicorn reads no further while it answers.
"""

import asyncio
import socket
from collections import Counter
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S: Final = 15
WRITE_S: Final = 15


class ConnectionLimits:
    """How many connections there may be and how long they may take, and how many there are."""

    def __init__(self, per_client: int, in_all: int, request_s: float = REQUEST_S, write_s: float = WRITE_S) -> None:
        self.per_client, self.in_all = per_client, in_all
        self.request_s, self.write_s = request_s, write_s
        self.by_client: Counter[str] = Counter()
        self.refused = self.cut = 0

    @property
    def open(self) -> int:
        """All connections."""
        return self.by_client.total()

    def enter(self, client: str) -> bool:
        """Whether a further connection of a client is taken."""
        if self.by_client[client] >= self.per_client or self.open >= self.in_all:
            self.refused += 1
            return False
        self.by_client[client] += 1
        return True

    def leave(self, client: str) -> None:
        """A connection that was taken has ended."""
        self.by_client[client] -= 1
        if not self.by_client[client]:
            del self.by_client[client]


class Bounded(H11Protocol):
    """A connection within self.limits."""

    limits: ConnectionLimits
    entered = False
    timer: asyncio.TimerHandle | None = None
    write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        # asyncio does this only for sockets made with a protocol number: head and body of an answer would be 40 ms
        # apart (delayed ACK)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.entered = self.limits.enter(client_of(transport))
        if self.entered:
            self.arm()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.entered:
            self.entered = False
            self.limits.leave(client_of(self.transport))
        for timer in (self.timer, self.write_timer):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before and self.timer and not self.cycle.response_complete:
            self.timer.cancel()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.arm()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.write_timer = self.loop.call_later(self.limits.write_s, self.cut)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.write_timer:
            self.write_timer.cancel()

    def arm(self) -> None:
        if self.timer:
            self.timer.cancel()
        if self.entered:  # it may be gone by the time its answer is complete
            self.timer = self.loop.call_later(self.limits.request_s, self.cut)

    def cut(self) -> None:
        self.limits.cut += 1
        self.transport.abort()


def protocol(limits: ConnectionLimits) -> type[H11Protocol]:
    """The protocol of a server with these limits."""
    return type("BoundedHere", (Bounded,), {"limits": limits})


def client_of(transport: asyncio.BaseTransport) -> str:
    """The address of the other end."""
    peer: Any = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""

"""The listening sockets, the open TCP connections, and the limit on open files.

Rules: a connection that would take one of the last file descriptors is ended at once, with a single warning; asyncio
would print a report for each attempt.
"""

import asyncio
import errno
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from tradecap.errors import Exit, TradecapError
from tradecap.listening import listen
from tradecap.simulate.settings import ExchangeSettings
from tradecap.simulate.wire import Wire

BACKLOG: Final = 512
ACCEPTS_AT_ONCE: Final = 16
"""asyncio accepts this many connections before it looks at any of them."""
RESERVE: Final = 64
"""File descriptors kept free for everything else: recordings, and accepted connections that are still to be checked."""
NO_FILES_LEFT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

logger = logging.getLogger(__name__)


class TcpServer:
    """Listens, and holds the connections that came in. make: creates the protocol of a new connection."""

    def __init__(self, settings: ExchangeSettings, make: Callable[[], Wire]) -> None:
        self._settings, self._make = settings, make
        self.port = settings.port
        self._servers: list[asyncio.Server] = []
        self.wires: set[Wire] = set()
        self._most_files = _most_files()
        self._is_full = False

    async def open(self) -> None:
        """Listen. Raises TradecapError (exit 3) when the port is taken."""
        running = asyncio.get_running_loop()
        host, tls = self._settings.host, self._settings.tls
        more: dict[str, Any] = {"ssl_handshake_timeout": self._settings.request_s} if tls else {}
        try:
            for listener in listen(host, self.port, BACKLOG):
                self.port = listener.getsockname()[1]
                server = await running.create_server(
                    self._make, sock=listener, ssl=tls, backlog=ACCEPTS_AT_ONCE, **more
                )
                listener.listen(BACKLOG)  # create_server has set the system's queue to its own backlog
                self._servers.append(server)
        except OSError as error:
            raise TradecapError(
                f"The exchange can't listen on {host}:{self.port}: {error.strerror or error}.",
                "choose another --port (0 takes any free one).",
                Exit.UNREACHABLE,
            ) from error

    def close(self) -> None:
        """Stop listening; open connections stay."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    def admits(self, wire: Wire) -> bool:
        """Keep a new connection, unless too few file descriptors are left.

        The system gives out the lowest free descriptor, so the number of the newest shows how many are in use.
        """
        if wire.fileno() >= self._most_files - RESERVE:
            self._warn_once()
            return False
        self.wires.add(wire)
        return True

    def left(self, wire: Wire) -> None:
        """Forget a connection that has ended."""
        self.wires.discard(wire)

    async def end(self, within_s: float, has_sockets: Callable[[], bool]) -> None:
        """Wait up to this long until WebSockets have ended, then end everything else."""
        deadline = time.monotonic() + within_s
        while self.wires and time.monotonic() < deadline:
            if not has_sockets():
                for wire in [*self.wires]:
                    if wire.socket is None:
                        wire.transport.close()
            await asyncio.sleep(0.01)
        for wire in [*self.wires]:
            wire.transport.abort()
        await asyncio.sleep(0)

    def handle_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An asyncio exception handler: ignore broken connections, and warn once when no file descriptor is left."""
        error = context.get("exception")
        if not isinstance(error, OSError):
            loop.default_exception_handler(context)
        elif error.errno in NO_FILES_LEFT:
            self._warn_once()

    def _warn_once(self) -> None:
        if not self._is_full:
            self._is_full = True
            logger.warning(
                "no file descriptors left (the limit is %d): new connections are refused; raise it with ulimit -n.",
                self._most_files,
            )


def _most_files() -> int:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 2**31
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft

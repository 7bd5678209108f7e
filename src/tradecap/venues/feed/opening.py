"""Opens a connection: the way to the host, TLS, the handshake of the WebSocket.

Rules: the TCP connection comes from dialing.py, in a thread of its own, since names are resolved by a call that blocks:
nobody waits for it at the end. Redirects are followed up to REDIRECTS times, never from wss to ws. What goes wrong is a
LostError.
"""

import asyncio
import logging
import os
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin, urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from tradecap import __version__
from tradecap.dialing import dial
from tradecap.errors import TradecapError
from tradecap.proxies import Proxy, proxy_for
from tradecap.urls import mask
from tradecap.venues.failures import NO_HINTS, Failure, network_failure, status_failure
from tradecap.venues.feed.inbox import LostError
from tradecap.venues.feed.wire import FeedSocket

MAX_MESSAGE: Final = 16 * 1024 * 1024
REDIRECTS: Final = 5
_QUIET: Final = logging.getLogger("tradecap.venues.feed.websocket")
_QUIET.setLevel(logging.INFO)  # else -vv would show every message


async def opened(
    url: str,
    within_s: float,
    ssl_context: ssl.SSLContext | None,
    proxy: Proxy | None,
    first: int,
    hints: Mapping[int, str] = NO_HINTS,
) -> FeedSocket:
    """A connection to url. Raises LostError. first: which of the host's addresses to begin with; hints: the venue's,
    for an HTTP status."""
    try:
        async with asyncio.timeout(within_s):
            for left in range(REDIRECTS, -1, -1):
                try:
                    return await _connected(url, within_s, ssl_context, proxy, first)
                except ValueError as error:  # websockets follows no redirect on a socket that it was handed
                    url = _moved(url, error, left)
                    proxy = proxy_for(*_place(url), os.environ)
            raise AssertionError("the last answer is returned or raised")
    except TradecapError as error:
        raise LostError(Failure("proxy", error.message.rstrip("."), error.hint, is_final=True)) from error
    except InvalidStatus as error:
        raise LostError(status_failure(error.response.status_code, error.response.headers, hints=hints)) from error
    except (InvalidHandshake, EOFError) as error:
        raise LostError(_no_handshake(error)) from error
    except OSError as error:
        raise LostError(network_failure(error, proxy)) from error
    except (WebSocketException, ValueError) as error:
        raise LostError(Failure("no_websocket", mask(str(error)), is_final=True)) from error


def _moved(url: str, error: ValueError, left: int) -> str:
    """Where a redirect leads. Raises the answer itself where it may not be followed; left: redirects that still may."""
    answer = error.__cause__
    if not isinstance(answer, InvalidStatus):
        raise error
    if not left:
        raise answer
    there = urljoin(url, answer.response.headers["Location"])
    if there.partition(":")[0] != url.partition(":")[0] or "@" in urlsplit(there).netloc:
        raise answer
    return there


def _place(url: str) -> tuple[str, str, int]:
    base = urlsplit(url)
    return base.scheme, base.hostname or "", base.port or (443 if base.scheme == "wss" else 80)


async def _connected(
    url: str, within_s: float, ssl_context: ssl.SSLContext | None, proxy: Proxy | None, first: int
) -> FeedSocket:
    _, host, port = _place(url)
    connection = await _dialled(host, port, within_s, proxy, first)
    try:
        made = await connect(
            url,
            create_connection=FeedSocket,
            sock=connection,
            proxy=None,  # the connection is through it already
            ssl=ssl_context,
            open_timeout=within_s,
            ping_interval=None,  # Line does it, on any byte
            close_timeout=2.0,
            compression=None,
            max_size=MAX_MESSAGE,
            max_queue=2048,
            logger=_QUIET,
            user_agent_header=f"tradecap/{__version__}",
        )
    except BaseException:
        connection.close()
        raise
    assert isinstance(made, FeedSocket)
    return made


async def _dialled(host: str, port: int, within_s: float, proxy: Proxy | None, first: int) -> socket.socket:
    """dial, in a thread. A connection that nobody waits for any more is closed."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[socket.socket] = loop.create_future()

    def give(connection: socket.socket | None, error: BaseException | None) -> None:
        if waiting.done():
            if connection:
                connection.close()
        elif connection:
            waiting.set_result(connection)
        else:
            waiting.set_exception(error or OSError("no connection"))

    def run() -> None:
        connection: socket.socket | None = None
        failure: Exception | None = None
        try:
            connection = dial(host, port, within_s, proxy, first)
            connection.setblocking(False)
        except Exception as error:  # noqa: BLE001 -- of a thread: it is raised where it is waited for
            failure = error
        try:
            loop.call_soon_threadsafe(give, connection, failure)
        except RuntimeError:  # the feed has ended
            if connection:
                connection.close()

    threading.Thread(target=run, name="dial", daemon=True).start()
    return await waiting


def _no_handshake(error: Exception) -> Failure:
    if isinstance(error.__cause__, EOFError | ConnectionError):
        return Failure("aborted", "the connection broke off during the handshake")
    return Failure("no_websocket", mask(f"that is not a WebSocket: {error}"))

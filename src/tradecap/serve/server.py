"""Serves an application until somebody asks for the end; then takes no more, answers what it was asked, and ends."""

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import uvicorn

from tradecap.errors import Exit, TradecapError
from tradecap.listening import listen
from tradecap.serve.connections import ConnectionLimits, protocol
from tradecap.serve.guard import App

DRAIN_S: Final = 10
"""An answer that takes longer after the end was asked for is cut."""
LOOK_S: Final = 0.05
SWITCH_S: Final = 0.0005
"""The log's thread gives the interpreter up with each look at a file. By default it waits 5 ms for a busy event loop to
give it back, each time."""
BACKLOG: Final = 1024


class Tls(NamedTuple):
    """Files in PEM; key: None where the certificate's file holds it."""

    certificate: Path
    key: Path | None


class _ServerWithoutSignals(uvicorn.Server):
    """Leaves signals to the command."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def bound(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen. Raises TradecapError (exit 3) for a port that can't be had."""
    try:
        return listen(host, port, BACKLOG)
    except OSError as error:
        where = f"{host}:{port}" if ":" not in host else f"[{host}]:{port}"
        raise TradecapError(
            f"{where} can't be served: {error.strerror}.", "choose another --port (0: any free one).", Exit.UNREACHABLE
        ) from error


def context_of(tls: Tls) -> ssl.SSLContext:
    """The certificate, loaded. Raises TradecapError (exit 2) for one that isn't good."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else error.strerror or str(error)
        message = f"The certificate {tls.certificate} can't be used: {reason}."
        raise TradecapError(message, "name PEM files: --tls-cert FILE --tls-key FILE") from error
    return context


class Companion(Protocol):
    """What else runs in the server's event loop."""

    async def start(self) -> None:
        """Begin. Raises TradecapError where it can't."""

    async def finish(self) -> None:
        """Take nothing more, and end within DRAIN_S."""


def serve(
    app: App,
    sockets: list[socket.socket],
    limits: ConnectionLimits,
    stop: Callable[[], bool],
    tls: ssl.SSLContext | None,
    begun: Callable[[], None],
    companions: Sequence[Companion] = (),
) -> None:
    """Answer until stop(). begun is called once connections are taken."""
    sys.setswitchinterval(SWITCH_S)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = uvicorn.Config(
        app,
        http=protocol(limits),
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=DRAIN_S,
    )
    config.load()
    config.ssl = tls
    asyncio.run(_run(_ServerWithoutSignals(config), sockets, stop, begun, companions))


async def _run(
    server: _ServerWithoutSignals,
    sockets: list[socket.socket],
    stop: Callable[[], bool],
    begun: Callable[[], None],
    companions: Sequence[Companion],
) -> None:
    for each in companions:
        await each.start()
    serving = asyncio.create_task(server.serve(sockets))
    has_begun = False
    while not serving.done() and not stop():
        if server.started and not has_begun:
            has_begun = True
            begun()
        await asyncio.sleep(LOOK_S)
    server.should_exit = True
    await asyncio.gather(serving, *(each.finish() for each in companions))

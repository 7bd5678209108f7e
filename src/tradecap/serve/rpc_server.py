"""The gRPC server: ports, TLS, who may ask, health, reflection, and its end.

Rules: it runs in the event loop of the HTTP server. The token comes in the metadata (`authorization: Bearer TOKEN`) and
is compared in constant time; health needs none, as over HTTP. A port is never shared with another process (SO_REUSEPORT
is off). At the end no call is taken, the streams are finished, and what still runs after DRAIN_S is cut.
"""

import asyncio
import hmac
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from tradecap.errors import Exit, TradecapError
from tradecap.listening import listen
from tradecap.serve.problems import ProblemError
from tradecap.serve.rpc import NAME, Context, MarketService, refuse
from tradecap.serve.server import DRAIN_S, Tls

LOOK_S: Final = 0.5
"""How often health is looked at."""
OPEN: Final = f"/{HEALTH}/"
"""Methods that need no token."""
OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.server_handshake_timeout_ms", 15_000),
    ("grpc.max_receive_message_length", 64 * 1024),
    ("grpc.max_concurrent_streams", 200),
    ("grpc.max_allowed_incoming_connections", 500),
)
CALLS: Final = 2000
"""At once, of all clients."""


def reserved(host: str, port: int) -> list[socket.socket]:
    """The port, held until the server takes it. Raises TradecapError (exit 3) for one that can't be had."""
    try:
        return listen(host, port)
    except OSError as error:
        raise _taken(
            f"{host}:{port}" if ":" not in host else f"[{host}]:{port}", error.strerror or str(error)
        ) from error


class RpcServer:
    """Runs the service. sockets: as `reserved` gives them. ready: what is missing, [] is ready."""

    def __init__(
        self,
        service: MarketService,
        sockets: Sequence[socket.socket],
        token: str,
        tls: Tls | None,
        ready: Callable[[], list[str]],
    ) -> None:
        self.port: int = sockets[0].getsockname()[1]
        self._service, self._sockets, self._token, self._ready = service, sockets, token.encode(), ready
        self._credentials = _credentials(tls) if tls else None
        self._health = health.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """See `server.Companion`."""
        self._server = grpc.aio.server(interceptors=[Gate(self._token)], options=OPTIONS, maximum_concurrent_rpcs=CALLS)
        self._server.add_generic_rpc_handlers((self._service.handlers(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((NAME, HEALTH, reflection.SERVICE_NAME), self._server)
        for address in _addresses(self._sockets):
            try:
                if self._credentials:
                    self._server.add_secure_port(address, self._credentials)
                else:
                    self._server.add_insecure_port(address)
            except RuntimeError as error:
                raise _taken(address, "it was taken a moment ago") from error
        await self._look_once()
        await self._server.start()
        self._looking = asyncio.create_task(self._look())

    async def finish(self) -> None:
        """See `server.Companion`."""
        if self._server is None:
            return
        if self._looking:
            self._looking.cancel()
        await self._health.enter_graceful_shutdown()
        await self._server.stop(DRAIN_S)

    async def _look(self) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(LOOK_S)
                await self._look_once()

    async def _look_once(self) -> None:
        is_ready = not self._ready()
        status = health_pb2.HealthCheckResponse.SERVING if is_ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", NAME):
            await self._health.set(name, status)


class Gate(grpc.aio.ServerInterceptor):
    """Refuses calls without the token. b'' for none."""

    def __init__(self, token: bytes) -> None:
        self._token = token

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """See grpc."""
        if (
            self._token
            and not handler_call_details.method.startswith(OPEN)
            and not self._is_known(handler_call_details.invocation_metadata)
        ):
            return grpc.stream_stream_rpc_method_handler(_refuse)
        return await continuation(handler_call_details)

    def _is_known(self, metadata: Sequence[tuple[str, str | bytes]]) -> bool:
        given = next((value for name, value in metadata if name == "authorization"), "")
        scheme, _, token = (given if isinstance(given, bytes) else given.encode()).partition(b" ")
        return hmac.compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"


async def _refuse(_: Any, context: Context) -> None:
    await refuse(context, ProblemError(401, "A token is needed.", "send it as metadata: authorization: Bearer TOKEN"))


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    chain = Path(tls.certificate).read_bytes()
    return grpc.ssl_server_credentials([(Path(tls.key).read_bytes() if tls.key else chain, chain)])


def _addresses(sockets: Sequence[socket.socket]) -> list[str]:
    """Where to listen, once these are closed. `::` takes both families in gRPC."""
    names = [each.getsockname()[:2] for each in sockets]
    for each in sockets:
        each.close()
    if any(name == "::" for name, _ in names):
        names = [each for each in names if each[0] != "0.0.0.0"]
    return [f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name, port in names]


def _taken(where: str, why: str) -> TradecapError:
    return TradecapError(
        f"{where} can't be served: {why}.", "choose another --grpc-port (0: any free one).", Exit.UNREACHABLE
    )

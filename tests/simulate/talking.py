"""Ways to talk to an exchange in a test: a client that does as it should, and raw sockets."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.simulate.builders import Scripted, some_entries
from tradecap.simulate import Exchange
from tradecap.simulate.tape import Entry

PATIENCE_S = 60


def running(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that is a coroutine, and ends in time."""

    def run() -> None:
        async def bounded() -> None:
            async with asyncio.timeout(PATIENCE_S):
                await test()

        asyncio.run(bounded())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def an_exchange(entries: list[Entry] | None = None, **how: Any) -> Exchange:
    """An exchange that says only what a test lets it say (`play`)."""
    return Exchange(Scripted(entries or some_entries(1_000)), **({"start": "manual"} | how))


async def hears(exchange: Exchange, path: str, **how: Any) -> ClientConnection:
    """A connection that the exchange knows of."""
    before = exchange.counts["connections"]
    client = await connect(f"{exchange.url}{path}", **({"ping_interval": None} | how))
    while exchange.counts["connections"] == before:
        await asyncio.sleep(0.001)
    return client


async def ask(client: ClientConnection, request: dict[str, object]) -> Any:
    await client.send(json.dumps(request))
    while "id" not in (printed := json.loads(await client.recv())):
        pass
    return printed


async def ids(client: ClientConnection, count: int) -> list[int]:
    """The ids of the next messages."""
    printed = [json.loads(await client.recv()) for _ in range(count)]
    return [message.get("data", message)["t"] for message in printed]


async def until(happened: Callable[[], object]) -> None:
    while not happened():
        await asyncio.sleep(0.005)


async def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body, whatever the status."""

    def fetch() -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    return await asyncio.to_thread(fetch)


async def until_open(exchange: Exchange) -> None:
    """Wait until a port that was closed takes connections again."""
    while True:
        try:
            assert (await get(f"{exchange.rest_url}/api/v3/ping"))[0] == 200
        except urllib.error.URLError:
            await asyncio.sleep(0.05)
        else:
            return


async def closing(client: ClientConnection) -> tuple[int | None, int]:
    """The close code (None: without a close frame) and how many messages came before it."""
    count = 0
    try:
        while True:
            await client.recv()
            count += 1
    except ConnectionClosed as closed:
        return (closed.rcvd.code if closed.rcvd else None), count


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n"


async def dial(exchange: Exchange) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare TCP connection."""
    return await asyncio.open_connection("127.0.0.1", exchange.port)


async def raw_socket(exchange: Exchange) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket whose client does nothing by itself."""
    reader, writer = await dial(exchange)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def frame(opcode: int, data: bytes) -> bytes:
    """A whole frame of a client (RFC 6455 §5.2), masked with zeros."""
    size = len(data)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + data

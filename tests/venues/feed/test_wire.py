"""Messages cut out of the bytes of a connection, against all that may come between them and however the bytes are
split."""

import asyncio
import random
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from tradecap.venues.feed.wire import FeedSocket, whole_texts

pytestmark = pytest.mark.core

SIZES = st.one_of(st.integers(0, 300), st.sampled_from([125, 126, 127, 65_535, 65_536]))
TRAP = b"\x81\x02no"
"""A payload that looks like texts to a reader that begins at the wrong place."""
KINDS = st.sampled_from(["text"] * 6 + ["ping", "pong", "divided", "binary"])


def framed(kind: str, payload: bytes) -> bytes:
    """What a server sends for it."""
    if kind == "divided":
        half = len(payload) // 2
        parts = [
            Frame(Opcode.TEXT, payload[:half], fin=False),
            Frame(Opcode.PING, b"between"),
            Frame(Opcode.CONT, payload[half:]),
        ]
    elif kind in ("ping", "pong"):
        parts = [Frame(Opcode[kind.upper()], payload[:125])]
    else:
        parts = [Frame(Opcode[kind.upper()], payload)]
    return b"".join(part.serialize(mask=False) for part in parts)


def split(data: bytes, seed: int) -> list[bytes]:
    """data in pieces: often of a byte or two, as the worst network has them."""
    chance, pieces = random.Random(seed), []
    while data:
        at = chance.choice([1, 2, 3, 60, 1000, 100_000])
        pieces.append(data[:at])
        data = data[at:]
    return pieces


async def delivered(pieces: Sequence[bytes], messages: int) -> list[bytes]:
    """What a connection makes of these bytes, by either way: by `recv` only what isn't there yet of this many
    messages."""

    async def quiet(server: ServerConnection) -> None:
        await server.wait_closed()

    async with serve(quiet, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(
            f"ws://127.0.0.1:{port}", create_connection=FeedSocket, compression=None, max_queue=None
        ) as socket:
            assert isinstance(socket, FeedSocket)
            got: list[bytes] = []
            socket.deliver = got.extend
            for piece in pieces:
                socket.data_received(piece)
            while len(got) < messages:
                got.append(bytes(await asyncio.wait_for(socket.recv(decode=False), 2.0)))
            return got


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(KINDS, SIZES), max_size=12), st.integers())
def test_every_message_comes_once_and_in_order_however_the_bytes_are_split(
    sent: list[tuple[str, int]], seed: int
) -> None:
    """A trade would be lost, come twice or overtake another one where a read ends within a frame or something else
    comes between."""
    payloads = [b"%d" % number + TRAP * (size // 4) + b"x" * (size % 4) for number, (_, size) in enumerate(sent)]
    data = b"".join(framed(kind, payload) for (kind, _), payload in zip(sent, payloads, strict=True))
    messages = [payload for (kind, _), payload in zip(sent, payloads, strict=True) if kind not in ("ping", "pong")]
    assert asyncio.run(delivered(split(data, seed), len(messages))) == messages


@pytest.mark.parametrize("size", [1, 45, 46, 100_000])
def test_what_comes_with_the_answer_to_the_handshake_is_not_lost(size: int) -> None:
    """A venue that greets at once would be misread from there on."""
    greeting = framed("text", TRAP * 20) + framed("ping", b"")
    texts = [TRAP * n + b"x" * n for n in range(30)]

    async def talk() -> list[bytes]:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", await reader.readuntil(b"\r\n\r\n"))
            assert key
            accepted = (
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                f"{accept_key(key[1].decode())}\r\n\r\n"
            )
            data = b"HTTP/1.1 101 Switching Protocols\r\n" + accepted.encode() + greeting
            for at in range(0, len(data), size):
                writer.write(data[at : at + size])
                await writer.drain()
                await asyncio.sleep(0)
            await reader.readexactly(6 + 8)  # the pong, and "go"
            writer.write(b"".join(framed("text", text) for text in texts))
            await reader.read()
            writer.close()

        async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect(
                f"ws://127.0.0.1:{port}", create_connection=FeedSocket, compression=None, close_timeout=0.1
            ) as client:
                assert isinstance(client, FeedSocket)
                got = [bytes(await asyncio.wait_for(client.recv(decode=False), 60.0))]
                client.deliver = got.extend
                await client.send("go")
                deadline = asyncio.get_running_loop().time() + 60.0
                while len(got) < 31 and asyncio.get_running_loop().time() < deadline:
                    await asyncio.sleep(0.005)
                return got

    assert asyncio.run(talk()) == [TRAP * 20, *texts]


def test_texts_are_cut_out_and_nothing_else() -> None:
    """The fast way would be none, or read a long or a masked frame as if it were a short text."""
    short, long = framed("text", b"a" * 125), framed("text", b"b" * 65_535)
    for other in (
        framed("text", b"c" * 65_536),
        framed("ping", b""),
        framed("binary", b"d"),
        b"\x81\x81maskd",
        long[:-1],
        b"\x81",
        b"",
    ):
        assert whole_texts(short + long + other, 0) == ([b"a" * 125, b"b" * 65_535], len(short + long))


def test_texts_do_not_take_the_slow_way() -> None:
    """A release of websockets that asks its reader otherwise would halve the capture's speed, and nobody would see
    why."""
    texts = [b"%d" % number for number in range(100)]
    data = framed("ping", b"") + b"".join(framed("text", text) for text in texts)
    assert asyncio.run(delivered([data[at : at + 1] for at in range(len(data))], 0)) == texts


def test_nothing_is_cut_out_after_a_goodbye() -> None:
    """What a server sends after its close frame isn't a message (RFC 6455 §5.5.1)."""
    pieces = [
        framed("text", b"before") + Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=False) + framed("text", b"after")
    ]
    assert asyncio.run(delivered(pieces, 1)) == [b"before"]


def test_a_masked_text_ends_the_connection() -> None:
    """The fast way would forgive what the protocol forbids (RFC 6455 §5.1)."""
    with pytest.raises(ConnectionClosedError, match="incorrect masking"):
        asyncio.run(delivered([b"\x81\x81maskd"], 1))

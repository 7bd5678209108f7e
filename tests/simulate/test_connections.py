"""The exchange at its edges, from raw sockets: clients that send nonsense, that don't read, that don't end."""

import asyncio
import json
import time
from dataclasses import replace

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.simulate.builders import Scripted, some_entries
from tests.simulate.talking import (
    HANDSHAKE,
    PING,
    an_exchange,
    ask,
    closing,
    dial,
    frame,
    get,
    hears,
    ids,
    raw_socket,
    running,
    until,
)
from tradecap.simulate import Exchange, Rules

TEXT, BINARY = 1, 2
UNLIMITED = Rules(weight_per_minute=None, requests_per_5_minutes=None, incoming_per_second=None)


async def answered(sent: bytes) -> bytes:
    """What a WebSocket answers to these bytes first."""
    async with an_exchange() as exchange:
        reader, writer = await raw_socket(exchange)
        writer.write(sent)
        answer = await reader.read(1_000)
        writer.close()
        return answer


async def refused(sent: bytes) -> bytes:
    """What a new connection is answered to these bytes."""
    async with an_exchange() as exchange:
        reader, writer = await dial(exchange)
        writer.write(sent)
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return answer


# ---- protocol ----


@running
async def test_half_a_character_gets_an_error_answer() -> None:
    """The connection died without a close frame, and the client learned nothing."""
    assert b'"error":{"code":3,' in await answered(frame(TEXT, b'{"method":"\\ud800","id":1}'))


@running
async def test_bytes_that_are_not_utf_8_close_with_1007() -> None:
    """A client that sends another encoding would get answers here, and a close at the venue (RFC 6455 §8.1)."""
    assert (await answered(frame(TEXT, b'{"method":"\xff","id":1}')))[2:4] == (1007).to_bytes(2, "big")


@running
async def test_binary_frames_are_refused() -> None:
    """A client that sends its requests as bytes would work here only."""
    assert (await answered(frame(BINARY, b'{"method":"LIST_SUBSCRIPTIONS","id":1}')))[2:4] == (1003).to_bytes(2, "big")


@running
async def test_another_version_of_the_protocol_is_answered_with_the_one_that_is_spoken() -> None:
    """A client can only fall back to version 13 if it is named (RFC 6455 §4.4)."""
    answer = await refused(HANDSHAKE.replace(b"Version: 13", b"Version: 8"))
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in answer


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (HANDSHAKE.replace(b"GET", b"POST"), 405),
        (HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
        (HANDSHAKE.replace(b"Sec-WebSocket-Version: 13\r\n", b""), 400),
        (HANDSHAKE.replace(b"GET /ws", b"GET //[/ws"), 404),
    ],
)
def test_an_upgrade_that_is_none_is_refused(wrong: bytes, status: int) -> None:
    """A broken client would get a WebSocket here, or a connection that ends without an answer."""

    async def attempt() -> None:
        assert (await refused(wrong)).startswith(b"HTTP/1.1 %d " % status)

    running(attempt)()


# ---- bounds ----


async def send_until_cut(writer: asyncio.StreamWriter, request: bytes) -> None:
    """Send and never read, until the other side ends it."""
    try:
        while True:
            writer.write(request * 100)
            await writer.drain()
    except ConnectionError:
        writer.transport.abort()


@running
async def test_a_websocket_that_reads_no_answers_is_cut() -> None:
    """Its answers filled the memory: 738 MB were seen."""
    async with an_exchange(rules=UNLIMITED, max_behind=2**20) as exchange:
        _, writer = await raw_socket(exchange)
        names = [f"{'s' * 40}{n}@trade" for n in range(1_000)]
        writer.write(frame(TEXT, json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}).encode()))
        await send_until_cut(writer, frame(TEXT, b'{"method":"LIST_SUBSCRIPTIONS","id":1}'))
        await until(lambda: exchange.summary()["cut_because"] == {"didn't read": 1})


@running
async def test_a_client_of_rest_that_reads_no_answers_is_cut() -> None:
    """Its answers filled the memory: 692 MB were seen."""
    async with an_exchange(rules=UNLIMITED, patience_s=0.2) as exchange:
        await exchange.play(1_000)
        _, writer = await dial(exchange)
        await send_until_cut(writer, PING.replace(b"ping", b"trades?symbol=BTCUSDT&limit=1000"))
        await until(lambda: exchange.summary()["cut_because"] == {"didn't read": 1})
        assert exchange.counts["requests"] < 200  # each answer has 130 KB; the system's own buffers take some MB


@running
async def test_pipelined_requests_are_all_answered_to_a_client_that_reads() -> None:
    """A client with many open requests would be taken for one that doesn't read."""
    async with an_exchange(rules=UNLIMITED) as exchange:
        await exchange.play(1_000)
        reader, writer = await dial(exchange)
        writer.write(PING.replace(b"ping", b"trades?symbol=BTCUSDT&limit=1000") * 60 + PING)
        answer = b""
        while not answer.endswith(b"\r\n\r\n{}"):
            answer = answer[-10:] + await reader.read(2**16)
        assert exchange.counts["requests"] == 61
        writer.close()


HALF_A_BODY = PING.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\nab")


@pytest.mark.parametrize(
    ("sent", "answer"), [(b"", b""), (PING[:20], b"HTTP/1.1 408 "), (HALF_A_BODY, b"HTTP/1.1 408 ")]
)
def test_a_connection_without_a_whole_request_ends(sent: bytes, answer: bytes) -> None:
    """Forgotten and half-sent connections would stay until no file descriptor is left."""

    async def attempt() -> None:
        async with an_exchange(idle_s=0.2, request_s=0.2) as exchange:
            reader, writer = await dial(exchange)
            writer.write(sent)
            assert (await reader.read()).startswith(answer)
            await until(lambda: not exchange.connections.wires)

    running(attempt)()


@running
async def test_a_request_that_drips_in_ends() -> None:
    """A byte every now and then would hold a connection forever."""
    async with an_exchange(request_s=0.3) as exchange:
        reader, writer = await dial(exchange)
        answer = asyncio.create_task(reader.read())
        for byte in PING:
            if not answer.done():
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)
        assert b"408" in await answer
        assert exchange.counts["requests"] == 0
        writer.close()


@running
async def test_a_connection_that_was_used_may_rest_and_be_used_again() -> None:
    """Pools of connections would be cut between two requests."""
    async with an_exchange(request_s=0.05, idle_s=60) as exchange:
        reader, writer = await dial(exchange)
        for _ in range(2):
            writer.write(PING)
            await reader.readuntil(b"{}")
            await asyncio.sleep(0.2)
        writer.close()


@running
async def test_http_keeps_its_connection_and_turns_into_a_websocket() -> None:
    """aiohttp takes a connection that REST has used for its WebSocket; it would hang."""
    async with an_exchange() as exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
        for _ in range(2):
            writer.write(b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"{}")
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        writer.write(
            b"GET /ws/btcusdt@trade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "
            b"Upgrade\r\n" + key + b"\r\n"
        )
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in await reader.readuntil(b"\r\n\r\n")
        await exchange.play(1)
        assert b'"e":"trade"' in await reader.read(1_000)
        writer.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"\r\n" * 50_000,
    ],
)
def test_garbage_ends_a_connection_and_nothing_else(garbage: bytes) -> None:
    """A port scan would end the exchange."""

    async def attempt() -> None:
        async with an_exchange() as exchange:
            reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
            writer.write(garbage)
            writer.write_eof()
            await reader.read()
            assert (await get(f"{exchange.rest_url}/api/v3/ping"))[0] == 200

    running(attempt)()


# ---- the venue's rules ----

FAST = Rules(ping_every_s=0.05, pong_within_s=0.2, incoming_per_second=None)


@running
async def test_pings_come_and_pongs_keep_alive() -> None:
    """A client that answers pings would be cut, or one that doesn't would live on."""
    async with an_exchange(rules=replace(FAST, pong_within_s=2.0)) as exchange, await hears(exchange, "/ws") as client:
        await asyncio.sleep(2.5)
        assert (await ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 1}))["result"] == []


@running
async def test_a_client_without_pongs_is_disconnected() -> None:
    """A client with a dead event loop would look healthy here."""
    async with an_exchange(rules=FAST) as exchange:
        reader, writer = await raw_socket(exchange)
        await until(lambda: not exchange.sockets)
        assert exchange.summary()["cut_because"] == {"no pong": 1}
        assert b"\x89\x0d17232" in await reader.read(100)  # a ping frame whose payload is the exchange's time
        writer.close()


@running
async def test_an_unasked_pong_keeps_nobody_alive() -> None:
    """The venue says that unsolicited pongs don't count; a client relying on them would live here."""
    async with an_exchange(rules=FAST) as exchange:
        _, writer = await raw_socket(exchange)
        deadline = time.monotonic() + 60.0
        while exchange.sockets and time.monotonic() < deadline:
            writer.write(b"\x8a\x80\x00\x00\x00\x00")
            await asyncio.sleep(0.25)
        assert not exchange.sockets
        writer.close()


@running
async def test_more_than_five_messages_a_second_end_it() -> None:
    """A client that subscribes one by one would be cut only at the venue."""
    async with an_exchange() as exchange, await hears(exchange, "/ws") as client:
        for n in range(6):
            await client.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": n}))
        assert await closing(client) == (1008, 5)


@running
async def test_a_day_is_the_end_and_a_scale_makes_it_short() -> None:
    """A client would meet the 24 h limit for the first time in production."""
    async with an_exchange(time_scale=200_000) as exchange, await hears(exchange, "/ws") as client:
        assert await closing(client) == (1001, 0)
        assert exchange.summary()["cut_because"] == {"24 hours": 1}


@running
async def test_too_many_connections_are_refused() -> None:
    """A reconnect loop without a pause would work here."""
    async with an_exchange(rules=Rules(connections_per_5_minutes=1)) as exchange, await hears(exchange, "/ws"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{exchange.url}/ws")
        assert refused.value.response.status_code == 429


@running
async def test_a_client_that_doesnt_read_is_disconnected_and_delays_no_other() -> None:
    """One stopped client would fill the memory, or stop the others."""
    entries = some_entries(60_000)
    async with Exchange(
        Scripted(entries), speed=None, start="subscriber", max_behind=2**20, patience_s=0.5
    ) as exchange:
        stuck = await hears(exchange, "/ws/btcusdt@trade", max_queue=1)
        await until(lambda: exchange.player.has_ended)
        assert exchange.summary()["cut_because"] == {"didn't read": 1}
        stuck.transport.abort()


@running
async def test_full_speed_waits_for_slow_readers() -> None:
    """A fast replay would cut the very client it is for."""
    async with Exchange(Scripted(some_entries(60_000)), speed=None, start="subscriber") as exchange:
        client = await hears(exchange, "/ws/btcusdt@trade")
        assert await ids(client, 60_000) == list(range(1, 60_001))
        await client.close()

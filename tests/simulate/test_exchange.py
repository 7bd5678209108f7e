"""The exchange over real sockets, with a client that does as it's told and one that doesn't."""

import asyncio
import json
import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.simulate.builders import NOON_US, Scripted, some_entries
from tests.simulate.talking import an_exchange, ask, closing, get, hears, ids, raw_socket, running, until, until_open
from tradecap.errors import Exit, TradecapError
from tradecap.simulate import Exchange, Fault, Generated, Rules
from tradecap.simulate.tls import throw_away

# ---- streams ----


@running
async def test_a_stream_says_what_the_tape_says() -> None:
    """What a client gets would not be what the venue sent, byte for byte."""
    entries = some_entries(3)
    async with an_exchange(entries) as exchange, await hears(exchange, "/ws/btcusdt@trade") as client:
        await exchange.play(3)
        assert [await client.recv(decode=False) for _ in range(3)] == [entry.payload for entry in entries]


@running
async def test_the_wrapper_names_the_stream() -> None:
    """A client that files messages by their stream would file them nowhere."""
    async with an_exchange() as exchange, await hears(exchange, "/stream?streams=btcusdt@trade") as client:
        await exchange.play(1)
        assert json.loads(await client.recv())["stream"] == "btcusdt@trade"
        await ask(client, {"method": "SET_PROPERTY", "params": ["combined", False], "id": 1})
        await exchange.play(1)
        assert json.loads(await client.recv())["e"] == "trade"


@running
async def test_subscribing_and_unsubscribing_take_effect_at_once() -> None:
    """A client would miss trades after its acknowledgement, or get some it gave up."""
    async with an_exchange() as exchange, await hears(exchange, "/ws") as client:
        await exchange.play(5)
        assert await ask(client, {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}) == {"result": None, "id": 1}
        await exchange.play(2)
        assert await ids(client, 2) == [6, 7]
        await ask(client, {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
        await exchange.play(2)
        assert await ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 3}) == {"result": [], "id": 3}


@running
async def test_microseconds_for_who_asks() -> None:
    """All times of such a connection would be off by a thousand."""
    async with an_exchange() as exchange, await hears(exchange, "/ws/btcusdt@trade?timeUnit=MICROSECOND") as client:
        await exchange.play(1)
        said = json.loads(await client.recv())
        assert (said["T"], said["E"]) == (NOON_US, NOON_US)


@running
async def test_an_unknown_symbol_and_capitals_are_acknowledged_and_silent() -> None:
    """A client that waits for an error, or writes the symbol in capitals, would learn the truth only at the venue."""
    async with an_exchange() as exchange, await hears(exchange, "/ws") as client:
        names = ["nope@trade", "btcusdt@depth", "BTCUSDT@trade", "BTCUSDT@aggTrade", "Btcusdt@kline_1s"]
        assert (await ask(client, {"method": "SUBSCRIBE", "params": names, "id": 1}))["result"] is None
        await exchange.play(100)
        assert (await ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 2})) == {"result": names, "id": 2}
        assert exchange.counts["messages"] == 0


@running
async def test_a_kline_is_told_when_its_minute_ends() -> None:
    """A client would wait for the final candle for ever."""
    entries = some_entries(200, every_ms=1_000)
    async with an_exchange(entries) as exchange, await hears(exchange, "/ws/btcusdt@kline_1m") as client:
        for _ in range(20):
            await exchange.play(10)
        said = [json.loads(await client.recv())["k"] for _ in range(20 + 3)]
        closed = [kline for kline in said if kline["x"]]
        assert [(kline["t"], kline["n"], kline["f"], kline["L"]) for kline in closed] == [
            (NOON_US // 1000 + n * 60_000, 60, n * 60 + 1, n * 60 + 60) for n in range(3)
        ]


@running
async def test_a_kline_of_one_second_comes_every_second() -> None:
    """The shortest interval of the venue would be missing, on the stream and in REST."""
    async with an_exchange(some_entries(50, every_ms=100)) as exchange, await hears(exchange, "/ws/btcusdt@kline_1s") as client:
        for _ in range(10):
            await exchange.play(5)
        said = [json.loads(await client.recv())["k"] for _ in range(9)]
        closed = [(kline["t"] - NOON_US // 1000, kline["n"]) for kline in said if kline["x"]]
        assert closed == [(0, 10), (1_000, 10), (2_000, 10), (3_000, 10)]
        status, _, body = await get(f"{exchange.rest_url}/api/v3/klines?symbol=BTCUSDT&interval=1s")
        assert (status, [row[8] for row in json.loads(body)]) == (200, [10, 10, 10, 10, 10])


@running
async def test_a_tape_in_a_file_pace_reaches_all_clients_alike() -> None:
    """Of two clients on one stream one would get less."""
    source = Generated(["BTCUSDT"], begin_ms=NOON_US // 1000, rate=2_000)
    async with Exchange(source, start="subscriber") as exchange:
        first, second = [await hears(exchange, "/ws") for _ in range(2)]
        await ask(first, {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
        await ask(second, {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
        one, other = await ids(first, 1_000), await ids(second, 1_000)
        assert one == list(range(one[0], one[0] + 1_000))
        assert other == list(range(other[0], other[0] + 1_000))


# ---- REST and stream are one ----


@running
async def test_what_was_missed_on_the_stream_rest_gives_exactly() -> None:
    """A gap could not be repaired."""
    async with an_exchange() as exchange:
        async with await hears(exchange, "/ws/btcusdt@trade") as client:
            await exchange.play(10)
            before = await ids(client, 10)
        await until(lambda: not exchange.sockets)
        await exchange.play(700)
        async with await hears(exchange, "/ws/btcusdt@trade") as client:
            await exchange.play(5)
            after = await ids(client, 5)
        url = f"{exchange.rest_url}/api/v3/historicalTrades?symbol=BTCUSDT&fromId={before[-1] + 1}&limit=1000"
        repaired = [row["id"] for row in json.loads((await get(url))[2]) if row["id"] < after[0]]
        assert before + repaired + after == list(range(1, 716))


@running
async def test_http_keeps_its_connection_and_turns_into_a_websocket() -> None:
    """aiohttp takes a connection that REST has used for its WebSocket; it would hang."""
    async with an_exchange() as exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
        for _ in range(2):
            writer.write(b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"{}")
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        writer.write(b"GET /ws/btcusdt@trade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + key + b"\r\n")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in await reader.readuntil(b"\r\n\r\n")
        await exchange.play(1)
        assert b'"e":"trade"' in await reader.read(1_000)
        writer.close()


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"\r\n" * 50_000]
)
def test_garbage_ends_a_connection_and_nothing_else(garbage: bytes) -> None:
    """A port scan would end the exchange."""

    async def knock() -> None:
        async with an_exchange() as exchange:
            reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
            writer.write(garbage)
            writer.write_eof()
            await reader.read()
            assert (await get(f"{exchange.rest_url}/api/v3/ping"))[0] == 200

    running(knock)()


# ---- the venue's rules ----

FAST = Rules(ping_every_s=0.05, pong_within_s=0.2, incoming_per_second=None)


@running
async def test_pings_come_and_pongs_keep_alive() -> None:
    """A client that answers pings would be cut, or one that doesn't would live on."""
    async with an_exchange(rules=replace(FAST, pong_within_s=2.0)) as exchange, await hears(exchange, "/ws") as client:
        await asyncio.sleep(2.5)
        assert (await ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 1}))["result"] == []


@running
async def test_who_doesnt_pong_is_cut() -> None:
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
async def test_who_doesnt_read_is_cut_and_holds_nobody_up() -> None:
    """One stopped client would fill the memory, or stop the others."""
    entries = some_entries(60_000)
    async with Exchange(Scripted(entries), speed=None, start="subscriber", max_behind=2**20, patience_s=0.5) as exchange:
        stuck = await hears(exchange, "/ws/btcusdt@trade", max_queue=1)
        await until(lambda: exchange.player.has_ended)
        assert exchange.summary()["cut_because"] == {"didn't read": 1}
        stuck.transport.abort()


@running
async def test_full_speed_waits_for_who_reads() -> None:
    """A fast replay would cut the very client it is for."""
    async with Exchange(Scripted(some_entries(60_000)), speed=None, start="subscriber") as exchange:
        client = await hears(exchange, "/ws/btcusdt@trade")
        assert await ids(client, 60_000) == list(range(1, 60_001))
        await client.close()


# ---- faults ----


@running
async def test_close_abort_and_shutdown() -> None:
    """A client's reconnect would be tested against endings that don't happen."""
    async with an_exchange() as exchange:
        for fault, code in ((Fault("close", code=1012), 1012), (Fault("abort"), None), (Fault("abort", partial=True), None)):
            client = await hears(exchange, "/ws/btcusdt@trade")
            await exchange.play(3)
            exchange.fire(fault)
            assert await closing(client) == (code, 3)
        client = await hears(exchange, "/stream")
        exchange.fire(Fault("shutdown", by_s=0.05))
        assert json.loads(await client.recv()) == {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": exchange.clock.now_us() // 1000}}
        assert await closing(client) == (1001, 0)
        assert [report["fault"] for report in exchange.reports] == ["close", "abort", "abort", "shutdown"]
        assert exchange.reports[0]["series"] == [{"venue": "binance", "symbol": "BTCUSDT", "channel": "trade", "last_id": 3}]


@running
async def test_silence_says_nothing_and_tells_afterwards_what_it_withheld() -> None:
    """A half-open connection would go unnoticed, and a test couldn't know what was lost in it."""
    async with an_exchange() as exchange, await hears(exchange, "/ws/btcusdt@trade") as client:
        await exchange.play(2)
        exchange.fire(Fault("silent", for_s=0.2))
        await exchange.play(7)
        await client.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": 1}))
        assert await closing(client) == (None, 2)
        await until(lambda: len(exchange.reports) == 2)
        assert exchange.reports[1]["series"] == [{"venue": "binance", "symbol": "BTCUSDT", "channel": "trade", "ids": [[3, 9]]}]


@running
async def test_spoilt_messages_are_told_with_their_ids_and_rest_stays_right() -> None:
    """A client's account couldn't be held against the exchange's."""
    async with an_exchange() as exchange, await hears(exchange, "/ws/btcusdt@trade") as client:
        exchange.fire(Fault("drop", count=3))
        await exchange.play(5)
        assert await ids(client, 2) == [4, 5]
        assert exchange.reports[0]["series"] == [{"venue": "binance", "symbol": "BTCUSDT", "channel": "trade", "ids": [[1, 3]]}]
        rows = json.loads((await get(f"{exchange.rest_url}/api/v3/trades?symbol=BTCUSDT"))[2])
        assert [row["id"] for row in rows] == [1, 2, 3, 4, 5]


@running
async def test_delayed_messages_come_late() -> None:
    """A late trade would not be late."""
    async with an_exchange() as exchange, await hears(exchange, "/ws/btcusdt@trade") as client:
        exchange.fire(Fault("delay", by_s=0.1))
        await exchange.play(3)
        assert await ids(client, 3) == [2, 3, 1]


@pytest.mark.parametrize("status", [403, 418, 429, 451, 500, 503])
def test_statuses_on_rest_and_on_the_handshake(status: int) -> None:
    """A client's way of backing off would never be tried."""

    async def knock() -> None:
        async with an_exchange() as exchange:
            exchange.fire(Fault("http", status=status, on="both", count=2, retry_after_s=7))
            told, headers, _ = await get(f"{exchange.rest_url}/api/v3/ping")
            assert told == status
            assert headers.get("Retry-After") == ("7" if status in (418, 429) else None)
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"{exchange.url}/ws")
            assert refused.value.response.status_code == status
            assert (await get(f"{exchange.rest_url}/api/v3/ping"))[0] == 200
            assert [report["request"] for report in exchange.reports] == ["/api/v3/ping", "/ws"]

    running(knock)()


@running
async def test_slow_rest_and_a_wrong_clock() -> None:
    """A client's timeouts and its trust in the server's time would never be tried."""
    async with an_exchange() as exchange:
        exchange.fire(Fault("slow", by_s=0.3))
        began = time.monotonic()
        await get(f"{exchange.rest_url}/api/v3/ping")
        assert time.monotonic() - began >= 0.3
        exchange.fire(Fault("clock", by_s=-60))
        assert json.loads((await get(f"{exchange.rest_url}/api/v3/time"))[2])["serverTime"] == NOON_US // 1000 - 60_000


@running
async def test_a_refused_connection_is_refused_for_so_long() -> None:
    """A client would never meet a port where nobody listens."""
    async with an_exchange() as exchange, await hears(exchange, "/ws/btcusdt@trade") as client:
        exchange.fire(Fault("refuse", for_s=2.0))
        await asyncio.sleep(0.05)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", exchange.port)
        await exchange.play(1)
        assert await ids(client, 1) == [1]
        await until_open(exchange)


@running
async def test_scheduled_faults_fire_at_their_trade() -> None:
    """A scripted test would differ from run to run."""
    faults = [Fault("drop", trades=10, count=2), Fault("close", trades=20)]
    async with an_exchange(faults=faults) as exchange, await hears(exchange, "/ws/btcusdt@trade") as client:
        await exchange.play(30)
        assert await closing(client) == (1001, 18)
        assert [(report["fault"], report["trades"]) for report in exchange.reports] == [("drop", 12), ("close", 20)]


@running
async def test_faults_that_nobody_can_feel_dont_pile_up() -> None:
    """The first client after an hour would get an hour's faults at once."""
    async with an_exchange(faults=[Fault("drop", every_trades=10)]) as exchange:
        await exchange.play(500)
        async with await hears(exchange, "/ws/btcusdt@trade") as client:
            await exchange.play(5)
            assert await ids(client, 4) == [502, 503, 504, 505]


# ---- life ----


@running
async def test_a_taken_port_is_told() -> None:
    """A second exchange would end in a traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(TradecapError) as error:
            await an_exchange(port=taken.getsockname()[1]).__aenter__()
        assert error.value.exit_code is Exit.UNREACHABLE


def test_tls_with_a_throw_away_certificate(tmp_path: Path) -> None:
    """A client that insists on wss could not be tested."""
    context, ca = throw_away("127.0.0.1", tmp_path)

    async def talk() -> None:
        async with an_exchange(tls=context) as exchange:
            assert exchange.url.startswith("wss://")
            trusting = ssl.create_default_context(cafile=str(ca))
            async with await hears(exchange, "/ws/btcusdt@trade", ssl=trusting) as client:
                await exchange.play(1)
                assert await ids(client, 1) == [1]

    running(talk)()


@running
async def test_the_end_says_goodbye() -> None:
    """Clients of an exchange that was ended would see an accident."""
    async with an_exchange() as exchange:
        client = await hears(exchange, "/ws/btcusdt@trade")
    assert await closing(client) == (1001, 0)


# ---- faults without a time, and waiting for streams ----


@running
async def test_a_fault_without_a_time_is_at_work_before_anybody_comes() -> None:
    """The first request could be too early for the fault that was meant for it, and with a start that waits it always was."""
    async with an_exchange(start="subscriber", faults=[Fault("http", status=503, on="ws"), Fault("drop", count=2)]) as exchange:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{exchange.url}/ws")
        assert refused.value.response.status_code == 503
        async with await hears(exchange, "/ws/btcusdt@trade") as client:
            assert await ids(client, 2) == [3, 4]


@running
async def test_a_port_that_is_refused_from_the_beginning() -> None:
    """The first connection would succeed, which the fault is there to prevent."""
    async with an_exchange(faults=[Fault("refuse", for_s=2.0)]) as exchange:
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", exchange.port)
        await until_open(exchange)


@running
async def test_a_close_without_a_time_waits_for_a_subscriber() -> None:
    """It would close nobody, and report that it did."""
    async with an_exchange(faults=[Fault("close", code=1012)]) as exchange:
        async with await hears(exchange, "/ws") as client:
            await client.send(json.dumps({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}))
            assert await closing(client) == (1012, 1)
        async with await hears(exchange, "/ws/btcusdt@trade") as client:
            await exchange.play(1)
            assert await ids(client, 1) == [1]


@running
async def test_the_tape_waits_for_all_streams_of_a_client() -> None:
    """A library that subscribes one stream after the other would miss the beginning of the first trades."""
    async with an_exchange(start="subscriber", streams=2) as exchange, await hears(exchange, "/ws/btcusdt@trade") as first:
        async with await hears(exchange, "/ws/btcusdt@trade"):
            await asyncio.sleep(0.1)
        assert exchange.played() == 0
        await ask(first, {"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 1})
        assert await ids(first, 1) == [1]

"""The exchange over real sockets: streams, REST, start and stop."""

import asyncio
import json
import socket
import ssl
from pathlib import Path

import pytest

from tests.simulate.builders import NOON_US, some_entries
from tests.simulate.talking import an_exchange, ask, closing, get, hears, ids, running, until
from tradecap.errors import Exit, TradecapError
from tradecap.simulate import Exchange, Generated
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
        assert await ask(client, {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}) == {
            "result": None,
            "id": 1,
        }
        await exchange.play(2)
        assert await ids(client, 2) == [6, 7]
        await ask(client, {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
        await exchange.play(2)
        assert await ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 3}) == {"result": [], "id": 3}


@running
async def test_microseconds_for_clients_that_ask() -> None:
    """All times of such a connection would be off by a thousand."""
    async with an_exchange() as exchange, await hears(exchange, "/ws/btcusdt@trade?timeUnit=MICROSECOND") as client:
        await exchange.play(1)
        answer = json.loads(await client.recv())
        assert (answer["T"], answer["E"]) == (NOON_US, NOON_US)


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
async def test_a_kline_is_sent_when_its_minute_ends() -> None:
    """A client would wait for the final candle forever."""
    entries = some_entries(200, every_ms=1_000)
    async with an_exchange(entries) as exchange, await hears(exchange, "/ws/btcusdt@kline_1m") as client:
        for _ in range(20):
            await exchange.play(10)
        answer = [json.loads(await client.recv())["k"] for _ in range(20 + 3)]
        closed = [kline for kline in answer if kline["x"]]
        assert [(kline["t"], kline["n"], kline["f"], kline["L"]) for kline in closed] == [
            (NOON_US // 1000 + n * 60_000, 60, n * 60 + 1, n * 60 + 60) for n in range(3)
        ]


@running
async def test_a_kline_of_one_second_comes_every_second() -> None:
    """The shortest interval of the venue would be missing, on the stream and in REST."""
    async with (
        an_exchange(some_entries(50, every_ms=100)) as exchange,
        await hears(exchange, "/ws/btcusdt@kline_1s") as client,
    ):
        for _ in range(10):
            await exchange.play(5)
        answer = [json.loads(await client.recv())["k"] for _ in range(9)]
        closed = [(kline["t"] - NOON_US // 1000, kline["n"]) for kline in answer if kline["x"]]
        assert closed == [(0, 10), (1_000, 10), (2_000, 10), (3_000, 10)]
        status, _, body = await get(f"{exchange.rest_url}/api/v3/klines?symbol=BTCUSDT&interval=1s")
        assert (status, [row[8] for row in json.loads(body)]) == (200, [10, 10, 10, 10, 10])


@running
async def test_a_tape_in_a_file_pace_reaches_all_clients_alike() -> None:
    """One of two clients on one stream would get less."""
    source = Generated(["BTCUSDT"], begin_ms=NOON_US // 1000, rate=2_000)
    async with Exchange(source, start="subscriber") as exchange:
        first, second = [await hears(exchange, "/ws") for _ in range(2)]
        await ask(first, {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
        await ask(second, {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
        one, other = await ids(first, 1_000), await ids(second, 1_000)
        assert one == list(range(one[0], one[0] + 1_000))
        assert other == list(range(other[0], other[0] + 1_000))


@running
async def test_the_tape_waits_for_all_streams_of_a_client() -> None:
    """A library that subscribes one stream after the other would miss the beginning of the first trades."""
    async with (
        an_exchange(start="subscriber", streams=2) as exchange,
        await hears(exchange, "/ws/btcusdt@trade") as first,
    ):
        async with await hears(exchange, "/ws/btcusdt@trade"):
            await asyncio.sleep(0.1)
        assert exchange.played() == 0
        await ask(first, {"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 1})
        assert await ids(first, 1) == [1]


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


# ---- life ----


@running
async def test_a_taken_port_is_reported() -> None:
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

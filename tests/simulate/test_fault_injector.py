"""Faults at work on a running exchange, over real sockets, and their reports."""

import asyncio
import json
import time

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.simulate.builders import NOON_US
from tests.simulate.talking import an_exchange, closing, get, hears, ids, running, until, until_open
from tradecap.simulate import Fault


@running
async def test_close_abort_and_shutdown() -> None:
    """A client's reconnect would be tested against endings that don't happen."""
    async with an_exchange() as exchange:
        for fault, code in (
            (Fault("close", code=1012), 1012),
            (Fault("abort"), None),
            (Fault("abort", partial=True), None),
        ):
            client = await hears(exchange, "/ws/btcusdt@trade")
            await exchange.play(3)
            exchange.fire(fault)
            assert await closing(client) == (code, 3)
        client = await hears(exchange, "/stream")
        exchange.fire(Fault("shutdown", by_s=0.05))
        assert json.loads(await client.recv()) == {
            "stream": "!serverShutdown",
            "data": {"e": "serverShutdown", "E": exchange.clock.now_us() // 1000},
        }
        assert await closing(client) == (1001, 0)
        assert [report["fault"] for report in exchange.reports] == ["close", "abort", "abort", "shutdown"]
        assert exchange.reports[0]["series"] == [
            {"venue": "binance", "symbol": "BTCUSDT", "channel": "trade", "last_id": 3}
        ]


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
        assert exchange.reports[1]["series"] == [
            {"venue": "binance", "symbol": "BTCUSDT", "channel": "trade", "ids": [[3, 9]]}
        ]


@running
async def test_spoilt_messages_are_reported_with_their_ids_and_rest_stays_right() -> None:
    """A client's account couldn't be held against the exchange's."""
    async with an_exchange() as exchange, await hears(exchange, "/ws/btcusdt@trade") as client:
        exchange.fire(Fault("drop", count=3))
        await exchange.play(5)
        assert await ids(client, 2) == [4, 5]
        assert exchange.reports[0]["series"] == [
            {"venue": "binance", "symbol": "BTCUSDT", "channel": "trade", "ids": [[1, 3]]}
        ]
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

    async def attempt() -> None:
        async with an_exchange() as exchange:
            exchange.fire(Fault("http", status=status, on="both", count=2, retry_after_s=7))
            reported, headers, _ = await get(f"{exchange.rest_url}/api/v3/ping")
            assert reported == status
            assert headers.get("Retry-After") == ("7" if status in (418, 429) else None)
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"{exchange.url}/ws")
            assert refused.value.response.status_code == status
            assert (await get(f"{exchange.rest_url}/api/v3/ping"))[0] == 200
            assert [report["request"] for report in exchange.reports] == ["/api/v3/ping", "/ws"]

    running(attempt)()


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


# ---- faults without a time ----


@running
async def test_a_fault_without_a_time_is_at_work_before_anybody_comes() -> None:
    """The first request could be too early for the fault that was meant for it, and with a start that waits it always
    was."""
    async with an_exchange(
        start="subscriber", faults=[Fault("http", status=503, on="ws"), Fault("drop", count=2)]
    ) as exchange:
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

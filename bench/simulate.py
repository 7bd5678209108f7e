"""Measures the local exchange: speed to one client, number of clients, pacing, memory.
`python bench/simulate.py [WHAT...]`

The clients are processes of their own that only count bytes, so that the exchange alone is measured. Rates per CPU
second are steadier when other work shares the machine; both are printed.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import selectors
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import islice
from pathlib import Path

from tradecap.market.pacing import Lateness
from tradecap.simulate import Exchange, Generated, Rules, recording
from tradecap.venues.binance.synthetic import SPOT, message, trades

START_MS = 1_723_161_600_000
HANDSHAKE = (
    "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
Figures = dict[str, object]


def rss_mb() -> int:
    """Memory of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def count(
    port: int, path: str, clients: int, until: int, seconds: float, counted: "multiprocessing.Queue[tuple[int, float]]"
) -> None:
    """`clients` clients that read and count trades. Ends after `until` trades, or `seconds` after the first."""
    ready = selectors.DefaultSelector()
    for _ in range(clients):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall((HANDSHAKE % path).encode())
        ready.register(client, selectors.EVENT_READ)
    seen, began = 0, 0.0
    while seen < until and (not began or time.perf_counter() < began + seconds):
        for key, _ in ready.select(1.0):
            data = key.fileobj.recv(2**20)  # type: ignore[union-attr]  # they are sockets
            seen += data.count(b'"e":"trade"')
            began = began or time.perf_counter()
    counted.put((seen, time.perf_counter() - began))


def a_file(folder: Path, messages: int) -> Path:
    """A recording of this many trades."""
    path = folder / "trades.ndjson"
    with path.open("wb") as file:
        for trade in islice(trades(SPOT["ETHUSDT"], 7, START_MS, 4 * 10**12), messages):
            file.write(message(trade) + b"\n")
    return path


async def one_client(messages: int) -> Figures:
    """At full speed to one client that reads as fast as it can; memory at each tenth of the way."""
    with tempfile.TemporaryDirectory() as folder:
        counted: multiprocessing.Queue[tuple[int, float]] = multiprocessing.Queue()
        async with Exchange(recording(a_file(Path(folder), messages)), speed=None, start="subscriber") as exchange:
            # a few less than there are: an order's big message may be cut by a read
            client = multiprocessing.Process(
                target=count, args=(exchange.port, "/ws/ethusdt@trade", 1, messages * 99 // 100, 1e9, counted)
            )
            client.start()
            began = time.process_time()
            memory: list[int] = []
            while not exchange.player.has_ended:
                await asyncio.sleep(0.02)
                if exchange.market.trades >= (len(memory) + 1) * messages // 10:
                    memory.append(rss_mb())
            cpu_s = time.process_time() - began
            seen, seconds = await asyncio.to_thread(counted.get)
            client.join()
    rates = {"messages_per_s": round(seen / seconds), "messages_per_cpu_s": round(messages / cpu_s)}
    return {
        "messages": messages,
        **rates,
        "rss_mb": memory,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


async def many_clients(clients: int, rate: int, seconds: float) -> Figures:
    """This many clients, each at this rate: whether all of them keep up, and how late messages are."""
    counted: multiprocessing.Queue[tuple[int, float]] = multiprocessing.Queue()
    source = Generated(["BTCUSDT"], begin_ms=START_MS, rate=rate)
    async with Exchange(source, rules=Rules(connections_per_5_minutes=None)) as exchange:
        client = multiprocessing.Process(
            target=count, args=(exchange.port, "/ws/btcusdt@trade", clients, 10**12, seconds, counted)
        )
        client.start()
        seen, taken = await asyncio.to_thread(counted.get)
        client.join()
        cut = exchange.summary()["cut"]
        lateness = exchange.player.lateness.summary()
    return {"clients": clients, "rate": rate, "messages_per_s": round(seen / taken), "cut": cut, "lateness": lateness}


async def pacing(rate: int, seconds: float) -> Figures:
    """How late messages are sent at this rate, compared with a loop that does nothing but sleep."""
    bare, began = Lateness(), time.monotonic_ns()
    for number in range(int(rate * seconds)):
        due_ns = began + number * 1_000_000_000 // rate
        await asyncio.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
        bare.add(time.monotonic_ns() - due_ns)
    return await many_clients(1, rate, seconds) | {"bare_loop": bare.summary()}


def main() -> None:
    """Measure what was asked for, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["one", "many", "pacing"], help="one, many, pacing")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=15.0)
    chosen = parser.parse_args()
    measures: dict[str, Callable[[], Awaitable[Figures]]] = {
        "one": lambda: one_client(chosen.messages),
        "many": lambda: many_clients(200, 100, chosen.seconds),
        "pacing": lambda: pacing(1_000, chosen.seconds),
    }
    for what in chosen.what:

        async def measure(take: Callable[[], Awaitable[Figures]] = measures[what]) -> Figures:
            return await take()

        print(json.dumps({"what": what, **asyncio.run(measure())}), flush=True)


if __name__ == "__main__":
    main()

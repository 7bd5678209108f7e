"""Figures of the gRPC stream, both sides in one run:
`python -m bench.ticks [--seconds 20] [--subscribers 100] [--rate 100]`.

Ours: a folder log to which another process appends `rate` trades a second, each made durable by itself;
`tradecap serve`'s parts follow it, and each of the subscribers gets each tick. Latency is from the moment after the
flush to the moment at which the client has the update; all processes read one monotonic clock. The other side: a
grpc.aio server that yields prebuilt messages of the same size at the same rate (latency from the moment at which the
message was due). Subscribers are spread over two client processes.
"""

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc
from tests.flows.builders import a_message, replayed
from tests.flows.test_watching import bring

from tradecap.flows.joined import Joined
from tradecap.flows.live import Live
from tradecap.log import open_log
from tradecap.serve.app import application
from tradecap.serve.connections import ConnectionLimits
from tradecap.serve.guard import AccessRules
from tradecap.serve.proto import market_pb2 as pb
from tradecap.serve.proto import market_pb2_grpc
from tradecap.serve.rpc import NAME, MarketService
from tradecap.serve.rpc_server import RpcServer, reserved
from tradecap.serve.server import bound, serve
from tradecap.serve.streams import Streams

CLIENTS = 2
FIRST = 10
REQUEST = pb.StreamBarsRequest(symbols=["BTCUSDT"])
context: Any = multiprocessing.get_context("spawn")


def ours(url: str, port: Any) -> None:
    """What `tradecap serve` runs, until it is killed."""
    live = Live(open_log(url), None)
    live.begin()
    live.start()
    joined = Joined(live, None)
    streams = Streams(joined, per_client=10_000)
    app = application(joined, AccessRules(), ConnectionLimits(100, 500), list, streams)[0]
    rpc = RpcServer(MarketService(joined, streams, 0), reserved("127.0.0.1", 0), "", None, list)
    serve(
        app,
        bound("127.0.0.1", 0),
        ConnectionLimits(100, 500),
        lambda: False,
        None,
        lambda: port.put(rpc.port),
        [streams, rpc],
    )


def prebuilt(rate: float, port: Any) -> None:
    """A grpc.aio server that only yields."""

    async def stream(_: bytes, __: Any) -> Any:
        sequence, began_s = 0, time.monotonic()
        while True:
            sequence += 1
            if (wait_s := began_s + sequence / rate - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            due_us = int((began_s + sequence / rate) * 10**6)  # instead of the last id
            yield pb.StreamBarsResponse(sequence=sequence, bar=pb.Bar(**BAR, last_id=due_us)).SerializeToString()

    async def run() -> None:
        server = grpc.aio.server()
        handlers: dict[str, Any] = {"StreamBars": grpc.unary_stream_rpc_method_handler(stream)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))
        port.put(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await asyncio.sleep(3600)

    asyncio.run(run())


BAR: dict[str, Any] = {
    "venue": "binance",
    "symbol": "BTCUSDT",
    "channel": "trade",
    "interval": "1m",
    "open": "60971.71",
    "high": "60971.71",
    "low": "60958.67",
    "close": "60958.67",
    "volume": "19.55099",
    "quote_volume": "1191970.4907073",
    "trades": 274,
    "taker_buy_volume": "10.67287",
    "taker_buy_quote_volume": "650700.361948",
    "vwap": 60967.27,
    "volatility": 9.8e-05,
    "first_id": 1795911753421713,
}


def follow(port: int, subscribers: int, seconds: float, all_there: Any, found: Any) -> None:
    """One client process: (id or moment, when it was received in us) of each update of its subscribers."""

    async def one(stub: Any, into: list[tuple[int, int]]) -> None:
        async for update in stub.StreamBars(REQUEST, timeout=max(until_s - time.monotonic(), 0.1)):
            into.append((update.bar.last_id, time.monotonic_ns() // 1000))  # noqa: PERF401 -- a comprehension would give nothing at the deadline

    all_there.wait()
    until_s = time.monotonic() + seconds

    async def run() -> list[tuple[int, int]]:
        into: list[tuple[int, int]] = []
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = market_pb2_grpc.MarketServiceStub(channel)
            await asyncio.gather(*(one(stub, into) for _ in range(subscribers)), return_exceptions=True)
        return into

    found.put(asyncio.run(run()))


def write(url: str, rate: float, seconds: float, all_there: Any, found: Any) -> None:
    """Append trades; by id, when it was durable in us."""
    all_there.wait()
    time.sleep(1)  # the subscribers connect
    until_s = time.monotonic() + seconds - 2
    durable: dict[int, int] = {}
    with open_log(url).writer() as writer:
        run = bring(writer, [])
        began_s, n = time.monotonic(), 0
        while time.monotonic() < until_s:
            message = a_message(FIRST + n, at_s=10 + n / 1000)
            if (wait_s := began_s + n / rate - time.monotonic()) > 0:
                time.sleep(wait_s)
            bring(writer, [message], run)
            durable[FIRST + n] = time.monotonic_ns() // 1000
            n += 1
    found.put(durable)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(
    server: Any, port: int, subscribers: int, seconds: float, writing: tuple[str, float] | None
) -> tuple[list[float], float, float]:
    """Latencies in ms, updates a second, CPU cores of the server."""
    found, durable, all_there = context.Queue(), context.Queue(), context.Barrier(CLIENTS + 1 + bool(writing))
    processes = [
        context.Process(target=follow, args=(port, subscribers // CLIENTS, seconds, all_there, found))
        for _ in range(CLIENTS)
    ]
    if writing:
        processes.append(context.Process(target=write, args=(*writing, seconds, all_there, durable)))
    for process in processes:
        process.start()
    all_there.wait()
    before_s, began_s = cpu_s(server.pid), time.monotonic()
    updates = [pair for _ in range(CLIENTS) for pair in found.get()]
    cores = (cpu_s(server.pid) - before_s) / (time.monotonic() - began_s)
    moments = durable.get() if writing else None
    latencies = sorted(
        (at - (moments[which] if moments else which)) / 1000 for which, at in updates if not moments or which in moments
    )
    return latencies, len(latencies) / (seconds - 2 * bool(writing)), cores


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--subscribers", type=int, default=100)
    parser.add_argument("--rate", type=float, default=100.0)
    options = parser.parse_args()
    for name in ("ours", "prebuilt"):
        with tempfile.TemporaryDirectory() as folder:
            log = open_log(f"file:{folder}/log", create=True)
            replayed(log, [a_message(n) for n in range(FIRST)])
            queue = context.Queue()
            target, arguments = (ours, (log.url, queue)) if name == "ours" else (prebuilt, (options.rate, queue))
            server = context.Process(target=target, args=arguments, daemon=True)
            server.start()
            port = queue.get(timeout=120)
            found, rate, cores = measured(
                server, port, options.subscribers, options.seconds, (log.url, options.rate) if name == "ours" else None
            )
            server.kill()
            print(
                f"{name:<9} {rate:>8,.0f} updates/s to {options.subscribers} subscribers; latency p50 "
                f"{found[len(found) // 2]:.2f} ms, "
                f"p99 {found[len(found) * 99 // 100]:.2f} ms; {cores:.2f} cores",
                flush=True,
            )
    print(
        f"({os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}, Python {sys.version.split()[0]}, grpcio "
        f"{grpc.__version__})"
    )


if __name__ == "__main__":
    main()

"""How fast a capture can be: socket to decoded, deduplicated, durable, against a bare `websockets` receive loop that does nothing.

    python bench/capture.py [--trades 500000] [--runs 3]

Both read the same messages from the same server, which is a process of its own and writes ready-made frames as fast as they are read; each client is
a process of its own as well. Quote the ratio: messages per CPU second of the client, and wall time.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import multiprocessing
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from websockets.asyncio.client import connect

from tradecap.flows.capture import capture
from tradecap.flows.capture_plan import Plan
from tradecap.log.file import FileLog
from tradecap.market import synthetic
from tradecap.simulate.messages import text_frame
from tradecap.venues.feed import Feed

CHUNK = 256 * 1024
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frames(trades: int) -> list[bytes]:
    """Ready-made frames of so many trades, in chunks as a socket takes them."""
    made = synthetic.trades(synthetic.SPOT["BTCUSDT"], 1, 1_723_161_600_000, 4_000_000_000_000)
    chunks, chunk = [], bytearray()
    for _, trade in zip(range(trades), made, strict=False):
        chunk += text_frame(synthetic.combined(b"btcusdt@trade", synthetic.message(trade)))
        if len(chunk) >= CHUNK:
            chunks.append(bytes(chunk))
            chunk.clear()
    return [*chunks, bytes(chunk)]


def serve(trades: int, port: Connection) -> None:
    """Answer each client's handshake and its first request, then write everything."""
    chunks = frames(trades)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port.send(server.getsockname()[1])
        while True:
            client, _ = server.accept()
            with client:
                request = client.recv(65536)
                key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
                accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
                client.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % accept
                )
                client.recv(65536)
                client.sendall(text_frame(b'{"result":null,"id":1}'))
                try:
                    for chunk in chunks:
                        client.sendall(chunk)
                    client.recv(65536)
                except OSError:
                    continue


def bare(url: str, trades: int) -> dict[str, float]:
    """Receive, and do nothing."""

    async def receive() -> None:
        async with connect(url, compression=None, max_queue=2048) as socket:
            await socket.send('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
            for _ in range(trades + 1):
                await socket.recv(decode=False)

    asyncio.run(receive())
    return {}


def captured(url: str, trades: int) -> dict[str, float]:
    """The whole capture, into a log on disk."""
    plan = Plan("binance", "trade", ("BTCUSDT",), max_trades=trades)
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as folder,
        FileLog(Path(folder) / "log", create=True).writer() as writer,
        Feed(url, ["btcusdt@trade"]) as feed,
    ):
        done = capture(feed, writer, plan, repair=None, known={}, free=lambda: sys.maxsize, stop=lambda: False, see=lambda _: None)
    assert (done.valid, done.gaps_found, done.duplicates_dropped) == (trades, 0, 0)
    return done.latency


def measured(client: Callable[[str, int], dict[str, float]], url: str, trades: int, result: Connection) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    more = client(url, trades)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result.send({"per_s": trades / wall, "per_cpu_s": trades / cpu, "rss_mb": rss, **more})


def in_process(client: Callable[[str, int], dict[str, float]], url: str, trades: int) -> dict[str, float]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=measured, args=(client, url, trades, theirs))
    process.start()
    answer: dict[str, float] = ours.recv()
    process.join()
    return answer


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trades", type=int, default=500_000)
    options.add_argument("--runs", type=int, default=3)
    given = options.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(given.trades, theirs), daemon=True)
    server.start()
    url = f"ws://127.0.0.1:{ours.recv()}/stream"
    rows: dict[str, list[dict[str, float]]] = {"bare websockets": [], "tradecap capture": []}
    for _ in range(given.runs):  # in turn, so that the machine's moods meet both
        rows["bare websockets"].append(in_process(bare, url, given.trades))
        rows["tradecap capture"].append(in_process(captured, url, given.trades))
    medians = {name: {key: round(statistics.median(row[key] for row in runs), 1) for key in runs[0]} for name, runs in rows.items()}
    ratio = {key: round(medians["tradecap capture"][key] / medians["bare websockets"][key], 3) for key in ("per_s", "per_cpu_s")}
    print(json.dumps({"trades": given.trades, "runs": given.runs, **medians, "ratio": ratio}, indent=1))
    server.terminate()


if __name__ == "__main__":
    main()

"""Figures of `tradecap serve`, each against a named alternative in the same run:
`python bench/serving.py [--seconds 5]`.

`/candles` of 100 bars against a raw Starlette Response of the same bytes, and against FastAPI's own encoding of the
list. All three run on the same server (`serve.server`), each in a process of its own; one client process asks over
eight connections. The middle of three rounds counts. Answers per CPU second of the server are the steadier figure where
other work shares the machine; both are printed, and the ratios are of those. While trades come in, every answer is
computed again: the line `changing` shows that, with a trade inserted before each request.
"""

import argparse
import asyncio
import dataclasses
import json
import multiprocessing
import os
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tradecap.flows.joined import Joined
from tradecap.flows.live import Live
from tradecap.flows.replay.replay import Choice, look_at, replay
from tradecap.log import open_log
from tradecap.market.records import Trade
from tradecap.recordings.reading import Source
from tradecap.serve import models
from tradecap.serve.app import application
from tradecap.serve.connections import ConnectionLimits
from tradecap.serve.guard import AccessRules, App, Message, Receive, Scope, Send
from tradecap.serve.server import bound, serve
from tradecap.venues.binance import synthetic

START_MS = 1_723_161_600_000
PATH = "/candles?symbol=BTCUSDT&limit=100"
CONNECTIONS = 8


def recorded(folder: Path) -> str:
    """The URL of a log with somewhat more than 100 minutes of trades."""
    made = synthetic.trades(synthetic.SPOT["BTCUSDT"], 1, START_MS, START_MS + 102 * 60_000)
    lines = b"".join(synthetic.message(trade) + b"\n" for trade in islice(made, 300_000))
    log = open_log(f"file:{folder / 'log'}", create=True)
    with log.writer() as writer:
        replay(
            look_at([Source("made", stream=BytesIO(lines))], Choice()),
            writer,
            Choice(),
            stop=lambda: False,
            progress=lambda _: None,
        )
    return log.url


def joined(url: str) -> Joined:
    """Its bars, once all are there."""
    live = Live(open_log(url), None)
    live.begin()
    live.start()
    while live.not_ready():
        time.sleep(0.05)
    return Joined(live, None)


def ours(url: str) -> App:
    """What `tradecap serve` runs."""
    return application(joined(url), AccessRules(), ConnectionLimits(100, 500), list)[0]


def changing(url: str) -> App:
    """The same, with a trade before each request."""
    there = joined(url)
    app = application(there, AccessRules(), ConnectionLimits(100, 500), list)[0]
    series = there.live.series()[0]

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        with there.live.bars(series) as bars:
            assert bars
            assert bars.newest
            last: Trade = bars.newest
            bars.take(
                Trade(
                    *series,
                    last.id + 1,
                    last.id + 1,
                    last.id + 1,
                    last.price,
                    last.qty,
                    last.trade_time_us,
                    0,
                    True,
                    True,
                ),
                ("z", last.id),
            )
        await app(scope, receive, send)

    return asked


def raw(url: str) -> App:
    """The same bytes, as Starlette sends them."""
    body = answered(url)

    async def candles(_: Request) -> Response:
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/candles", candles)])


def encoded(url: str) -> App:
    """FastAPI encodes the list, as its tutorial shows it."""
    app = FastAPI()
    page = json.loads(answered(url))
    bars = [models.Bar(**{**bar, "open_time": datetime.fromisoformat(bar["open_time"])}) for bar in page["candles"]]
    assert dataclasses.is_dataclass(bars[0])

    @app.get("/candles")
    async def candles(symbol: str, limit: int = 500) -> list[models.Bar]:
        return bars if symbol else bars[:limit]

    return app


def answered(url: str) -> bytes:
    """What ours answers."""
    found: list[Message] = []

    async def send(message: Message) -> None:
        found.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    path, _, query = PATH.partition("?")
    head = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "http_version": "1.1",
    }
    scope = {
        **head,
        "scheme": "http",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 1),
    }

    async def ask() -> None:
        await ours(url)(scope, receive, send)

    asyncio.run(ask())
    assert found[0]["status"] == 200
    return bytes(found[1]["body"])


APPS: dict[str, Callable[[str], App]] = {"ours": ours, "changing": changing, "raw Starlette": raw, "FastAPI": encoded}


def run(kind: str, url: str, port: "multiprocessing.Queue[int]") -> None:
    """A server, until it is killed."""
    (listener,) = bound("127.0.0.1", 0)
    app = APPS[kind](url)
    serve(app, [listener], ConnectionLimits(100, 500), lambda: False, None, lambda: port.put(listener.getsockname()[1]))


def rate(port: int, seconds: float) -> float:
    """Requests a second that are answered."""
    request = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    selector = selectors.DefaultSelector()
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", port))
        selector.register(connection, selectors.EVENT_READ, bytearray())
        connection.sendall(request)
    answers, until_s = 0, time.perf_counter() + seconds
    while time.perf_counter() < until_s:
        for key, _ in selector.select(0.1):
            held: bytearray = key.data
            held += key.fileobj.recv(1 << 20)  # type: ignore[union-attr]  # a socket
            if is_whole(held):
                held.clear()
                answers += 1
                key.fileobj.sendall(request)  # type: ignore[union-attr]  # a socket
    for each in list(selector.get_map().values()):
        each.fileobj.close()  # type: ignore[union-attr]  # a socket
    return answers / seconds


def cpu_s(pid: int) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_whole(answer: bytearray) -> bool:
    """Whether head and body are there."""
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    assert answer.startswith(b"HTTP/1.1 200"), bytes(answer[:200])
    length = answer.lower().find(b"content-length: ")
    return len(answer) >= head + 4 + int(answer[length + 16 : answer.find(b"\r\n", length)])


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    context: Any = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        url = recorded(Path(folder))
        rates: dict[str, list[tuple[float, float]]] = {kind: [] for kind in APPS}
        servers, ports = [], {}
        for kind in APPS:
            port = context.Queue()
            servers.append(context.Process(target=run, args=(kind, url, port), daemon=True))
            servers[-1].start()
            ports[kind] = port.get(timeout=120)
        for _ in range(3):
            for (kind, port), server in zip(ports.items(), servers, strict=True):
                before_s = cpu_s(server.pid)
                wall = rate(port, seconds)
                rates[kind].append((wall * seconds / (cpu_s(server.pid) - before_s), wall))
        for server in servers:
            server.kill()
    middle = {kind: statistics.median(by_cpu for by_cpu, _ in found) for kind, found in rates.items()}
    for kind, value in middle.items():
        print(
            f"{kind:<30} {value:>10,.0f} answers per CPU second, "
            f"{statistics.median(wall for _, wall in rates[kind]):,.0f} by wall time"
        )
    print(f"ours / raw Starlette Response  {middle['ours'] / middle['raw Starlette']:>10.2f} x          AIM 0.5")
    print(f"ours / FastAPI's encoding      {middle['ours'] / middle['FastAPI']:>10.2f} x          AIM 5")
    print(f"({os.cpu_count()} cores, Python {sys.version.split()[0]})")


if __name__ == "__main__":
    main()

"""The server of bench/capture.py: trades (or aggregates) over WebSocket, written as fast as they are read or at a
steady rate.

It does as little as possible, so that the client is what is measured: the frames of 100 000 trades are made once and
sent again and again, and only the leading digits of their ids are rewritten, for a thousand frames at once. However
many are sent, the server holds no more than that.
"""

import base64
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from itertools import islice
from multiprocessing.connection import Connection

from tradecap.market.records import Trade
from tradecap.simulate.messages import text_frame
from tradecap.venues.binance import synthetic

BATCH = 1000
BATCHES = 100
THOUSANDS = 4_000_000
"""The ids begin at this many thousand, and keep their ten digits for six thousand million messages."""
KEY = {"trade": b'"t":', "aggTrade": b'"a":'}
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
GOODBYE = b"\x88\x02\x03\xe8"
Batch = list[bytes]


def batches(channel: str) -> list[Batch]:
    """Ready-made frames, each batch with the same thousand ids."""
    fills = synthetic.trades(synthetic.SPOT["BTCUSDT"], 1, 1_723_161_600_000, 4_000_000_000_000)
    made: Iterator[Trade] = fills if channel == "trade" else synthetic.aggregate(fills)
    frames = []
    for number, trade in enumerate(islice(made, BATCHES * BATCH)):
        key, id_now = KEY[channel], THOUSANDS * 1000 + number % BATCH
        message = synthetic.message(trade).replace(key + b"%d" % trade.id, key + b"%d" % id_now)
        frames.append(text_frame(synthetic.combined(b"btcusdt@" + channel.encode(), message)))
    return [frames[first : first + BATCH] for first in range(0, len(frames), BATCH)]


def serve(messages: int, per_s: int | None, core: int, port: Connection) -> None:
    """Serve one client after the other, each from the first id on; per_s None is as fast as it reads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    made = {channel: batches(channel) for channel in KEY}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port.send(server.getsockname()[1])
        while True:
            client, _ = server.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with client:
                channel = welcome(client)
                try:
                    if per_s is None:
                        fill(client, made[channel], KEY[channel], messages)
                    else:
                        pace(client, made[channel], KEY[channel], messages, per_s)
                    while client.recv(65536)[:1] not in (GOODBYE[:1], b""):
                        pass  # a client's pings
                    client.sendall(GOODBYE)
                except OSError:
                    continue


def welcome(client: socket.socket) -> str:
    """The handshake, and where the streams aren't in the path the acknowledgement of the one request; the channel that
    is wanted."""
    request = client.recv(65536)
    key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
    client.sendall(
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
            b"Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
        )
        % accept
    )
    if b"?streams=" not in request:
        client.recv(65536)
        client.sendall(text_frame(b'{"result":null,"id":1}'))
    return "aggTrade" if b"@aggTrade" in request else "trade"


def fill(client: socket.socket, made: list[Batch], key: bytes, messages: int) -> None:
    """As fast as they are read; in whole batches."""
    joined = [b"".join(batch) for batch in made]
    for number in range(-(-messages // BATCH)):
        client.sendall(joined[number % BATCHES].replace(key + b"%d" % THOUSANDS, key + b"%d" % (THOUSANDS + number)))


def pace(client: socket.socket, made: list[Batch], key: bytes, messages: int, per_s: int) -> None:
    """Each message by itself, when it is due."""
    began = time.monotonic()
    for number in range(messages):
        time.sleep(max(0.0, began + number / per_s - time.monotonic()))
        thousands, place = divmod(number, BATCH)
        client.sendall(
            made[thousands % BATCHES][place].replace(key + b"%d" % THOUSANDS, key + b"%d" % (THOUSANDS + thousands))
        )

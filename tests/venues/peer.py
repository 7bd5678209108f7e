"""A venue that does what a test asks, byte by byte: for what no well-behaved server, not even the local exchange, can
be brought to do."""

import base64
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

TEXT, CONTINUED, CLOSE, PING, PONG = 1, 0, 8, 9, 10
Answer = tuple[int, Mapping[str, str], bytes]


class Client:
    """One connection of a client, after its request was read."""

    def __init__(self, sock: socket.socket, number: int, head: str) -> None:
        self.sock, self.number, self.head = sock, number, head
        self.asked: list[dict[str, Any]] = []

    def accept(self) -> None:
        """Answer the handshake of a WebSocket."""
        key = next(
            line.split(":")[1].strip()
            for line in self.head.split("\r\n")
            if line.lower().startswith("sec-websocket-key")
        )
        accepted = base64.b64encode(
            hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        ).decode()
        self.sock.sendall(
            (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                f"Upgrade\r\nSec-WebSocket-Accept: {accepted}\r\n\r\n"
            ).encode()
        )

    def hear(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload."""
        first, second = self._read(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack("!H", self._read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._read(8))
        mask = self._read(4)
        return first & 15, bytes(byte ^ mask[at % 4] for at, byte in enumerate(self._read(size)))

    def _read(self, count: int) -> bytes:
        read = b""
        while len(read) < count:
            part = self.sock.recv(count - len(read))
            if not part:
                raise ConnectionError("gone")
            read += part
        return read

    def requests(self, count: int = 1) -> list[dict[str, Any]]:
        """The next N control messages, unanswered."""
        heard: list[dict[str, Any]] = []
        while len(heard) < count:
            opcode, payload = self.hear()
            if opcode == TEXT:
                heard.append(json.loads(payload))
            elif opcode == PING:
                self.sock.sendall(framed(payload, PONG))
        self.asked += heard
        return heard

    def grant(self, count: int = 1) -> None:
        """Acknowledge the next N requests."""
        for request in self.requests(count):
            self.say(f'{{"result":null,"id":{request["id"]}}}')

    def say(self, text: str) -> None:
        """A whole message."""
        self.sock.sendall(framed(text.encode()))

    def until_gone(self) -> None:
        """Listen, answering pings, until the client goes."""
        with suppress(OSError):
            while True:
                opcode, payload = self.hear()
                if opcode == PING:
                    self.sock.sendall(framed(payload, PONG))
                elif opcode == CLOSE:
                    self.sock.sendall(framed(payload[:2], CLOSE))
                    return

    def abort(self) -> None:
        """End it without a word."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def framed(payload: bytes, opcode: int = TEXT, *, is_last: bool = True) -> bytes:
    """A frame as a server sends it."""
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack("!H", len(payload))
    return bytes([opcode | (128 if is_last else 0)]) + size + payload


def trade(number: int, symbol: str = "BTCUSDT", price: str = "60000.00000000") -> str:
    """A trade as the combined stream says it."""
    data = f'{{"e":"trade","E":1723161300123,"s":"{symbol}","t":{number},"p":"{price}","q":"0.00100000","T":1723161300123,"m":true,"M":true}}'
    return f'{{"stream":"{symbol.lower()}@trade","data":{data}}}'


def row(number: int, price: str = "60000.00000000") -> dict[str, object]:
    """The same trade as a row of REST."""
    return {
        "id": number,
        "price": price,
        "qty": "0.00100000",
        "quoteQty": "60.00000000",
        "time": 1723161300123,
        "isBuyerMaker": True,
        "isBestMatch": True,
    }


def rows(*numbers: int) -> Answer:
    """An answer of such rows."""
    return 200, {}, json.dumps([row(number) for number in numbers]).encode()


@dataclass
class Peer:
    """Listens. ws: what to do with a client that asks for a WebSocket. rest: what to answer to a path."""

    ws: Callable[[Client], None] = Client.abort
    rest: Callable[[str], Answer] = lambda _: (404, {}, b"")
    url: str = ""
    paths: list[str] = field(default_factory=list)
    opened: int = 0

    def serve(self, listener: socket.socket) -> None:
        """Until the listener is closed."""
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError, ConnectionError), sock:
            while head := _head(sock):
                if "websocket" in head.lower():
                    self.opened += 1
                    self.ws(Client(sock, self.opened, head))
                    return
                path = head.split()[1]
                self.paths.append(path)
                status, headers, body = self.rest(path)
                lines = "".join(
                    f"{name}: {value}\r\n" for name, value in {"Content-Length": len(body), **headers}.items()
                )
                sock.sendall(f"HTTP/1.1 {status} It\r\n{lines}\r\n".encode() + body)
                if "Connection" in headers:
                    return


def _head(sock: socket.socket) -> str:
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        part = sock.recv(1)
        if not part:
            return ""
        read += part
    return read.decode()


@contextmanager
def peering(
    ws: Callable[[Client], None] = Client.abort, rest: Callable[[str], Answer] = lambda _: (404, {}, b"")
) -> Iterator[Peer]:
    """A peer that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = Peer(ws, rest, f"ws://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=peer.serve, args=(listener,), daemon=True).start()
        yield peer

"""Small real proxies: HTTP (CONNECT, and whole URLs in requests) and SOCKS5, with a login. Every name leads to this
machine, so that a test can use names that aren't loopback, which no proxy is ever asked for."""

import base64
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tradecap.dialing import relay

HOME = "127.0.0.1"


@dataclass
class Proxying:
    """A proxy. asked: what it was asked for, in order: `CONNECT venue.test:80`, `GET http://...`,
    `SOCKS venue.test:80`."""

    port: int
    login: str = ""
    status: int = 0
    """Answer every request so."""
    asked: list[str] = field(default_factory=list)

    def serve(self, client: socket.socket) -> None:
        first = client.recv(1, socket.MSG_PEEK)
        target = self._socks(client) if first == b"\x05" else self._http(client)
        if target is not None:
            threading.Thread(target=pump, args=(client, target), daemon=True).start()
            pump(target, client)

    def _http(self, client: socket.socket) -> socket.socket | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        line, *headers = head.decode().split("\r\n")
        method, url, _ = line.split()
        self.asked.append(f"{method} {url}")
        wanted = f"Proxy-Authorization: Basic {base64.b64encode(self.login.encode()).decode()}"
        status = self.status or (407 if self.login and wanted not in headers else 200)
        if status != 200:
            client.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
            return None
        if method == "CONNECT":
            target = socket.create_connection((HOME, int(url.rpartition(":")[2])))
            client.sendall(b"HTTP/1.1 200 Yes\r\nVia: test\r\n\r\n")
            return target
        parts = urlsplit(url)
        target = socket.create_connection((HOME, parts.port or 80))
        path = url.partition(parts.netloc)[2]
        rest = "\r\n".join(each for each in headers if not each.startswith("Proxy-"))
        target.sendall(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n{rest}".encode())
        return target

    def _socks(self, client: socket.socket) -> socket.socket | None:
        _, count = read(client, 2)
        methods = read(client, count)
        method = 2 if self.login else 0
        client.sendall(bytes([5, method if method in methods else 255]))
        if method not in methods:
            return None
        if self.login:
            user = read(client, read(client, 2)[1])
            password = read(client, read(client, 1)[0])
            is_known = b":".join((user, password)) == self.login.encode()
            client.sendall(bytes([1, 0 if is_known else 1]))
            if not is_known:
                return None
        kind = read(client, 4)[3]
        host = read(client, read(client, 1)[0]).decode() if kind == 3 else socket.inet_ntoa(read(client, 4))
        (port,) = struct.unpack("!H", read(client, 2))
        self.asked.append(f"SOCKS {host}:{port}")
        target = socket.create_connection((HOME, port))
        client.sendall(b"\x05\x00\x00\x01\0\0\0\0\0\0")
        return target


def read(client: socket.socket, count: int) -> bytes:
    """This many bytes."""
    data = b""
    while len(data) < count:
        part = client.recv(count - len(data))
        if not part:
            raise ConnectionError("gone")
        data += part
    return data


def pump(source: socket.socket, target: socket.socket) -> None:
    """Bytes from one to the other until it ends."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def proxying(login: str = "", status: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Proxying]:
    """A proxy that listens. tls: it speaks TLS itself."""
    with socket.create_server((HOME, 0)) as listener:
        proxy = Proxying(listener.getsockname()[1], login, status)

        def one(client: socket.socket) -> None:
            with suppress(OSError), client:
                proxy.serve(client)

        def run() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    if tls:
                        threading.Thread(target=behind_tls, args=(client, tls, proxy), daemon=True).start()
                    else:
                        threading.Thread(target=one, args=(client,), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()
        yield proxy


def behind_tls(client: socket.socket, tls: ssl.SSLContext, proxy: Proxying) -> None:
    """TLS ends here; the proxy sees plain bytes."""
    with suppress(OSError):
        secure = tls.wrap_socket(client, server_side=True)
        ours, theirs = socket.socketpair()
        threading.Thread(target=proxy.serve, args=(theirs,), daemon=True).start()
        relay(ours, secure)

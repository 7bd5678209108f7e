"""Opens TCP connections, for WebSocket, REST and the store alike: to one of a name's addresses, or through a proxy.

Rules: every address of a name gets its chance (RFC 8305): the families take turns, the next address is tried
NEXT_AFTER_S after the one before, or at once when that one has failed; the first to answer wins. A proxy is reached the
same way. What fails at a proxy is a ProxyError, which names the proxy by host and port. What is returned is a plain
socket; a proxy that itself speaks TLS (https://) is behind a relay.
"""

import os
import selectors
import socket
import ssl
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from itertools import chain, zip_longest
from typing import Final

from tradecap.errors import Exit, TradecapError
from tradecap.proxies import Proxy
from tradecap.urls import mask

NEXT_AFTER_S: Final = 0.25
MAX_HEAD: Final = 64 * 1024
"""Bytes of a proxy's answer."""

Address = tuple[
    socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]


class ProxyError(OSError):
    """A proxy that can't be reached, or that doesn't let us through. is_final: trying again doesn't help."""

    def __init__(self, proxy: Proxy, why: str, *, is_final: bool = False) -> None:
        super().__init__(f"the proxy {proxy.name} {why}")
        self.hint = f"check {proxy.variable}, or name hosts to reach without it in NO_PROXY."
        self.is_final = is_final


def dial(host: str, port: int, timeout_s: float, proxy: Proxy | None = None, first: int = 0) -> socket.socket:
    """A connection to a host, whatever is in between. first: the number of the address to begin with, when one was
    found to be of no use.

    Raises OSError; TradecapError where a package is missing.
    """
    deadline_s = time.monotonic() + timeout_s
    if proxy is None:
        return _race(host, port, deadline_s, first)
    if proxy.is_socks:
        return _through_socks(proxy, host, port, deadline_s)
    return _through_http(proxy, host, port, deadline_s)


def dial_proxy(proxy: Proxy, timeout_s: float) -> socket.socket:
    """A connection to the proxy itself."""
    deadline_s = time.monotonic() + timeout_s
    try:
        connection = _race(proxy.host, proxy.port, deadline_s)
        return _relayed(_with_tls(connection, proxy, deadline_s)) if proxy.scheme == "https" else connection
    except OSError as error:
        raise ProxyError(proxy, f"can't be reached: {why(error)}") from error


# ---- addresses ----


def _addresses(host: str, port: int) -> list[Address]:
    """The addresses of a name in the order of the system, the families taking turns. Raises socket.gaierror."""
    found = list(dict.fromkeys(socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)))
    preferred = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    return [each for each in chain.from_iterable(zip_longest(preferred, others)) if each is not None]


def _race(host: str, port: int, deadline_s: float, first: int = 0) -> socket.socket:
    """The first connection that comes about."""
    addresses = _addresses(host, port)
    first %= len(addresses)
    waiting = addresses[first:] + addresses[:first]
    failure: OSError = TimeoutError("timed out")
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                if waiting and (error := _begin(selector, waiting.pop(0))):
                    failure = error
                    continue
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError("timed out")
                for key, _ in selector.select(min(left_s, NEXT_AFTER_S) if waiting else left_s):
                    connection = key.fileobj
                    assert isinstance(connection, socket.socket)
                    selector.unregister(connection)
                    if number := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        connection.close()
                        failure = _os_error(number)
                        continue
                    connection.settimeout(max(0.001, deadline_s - time.monotonic()))
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return connection
            raise failure
        finally:
            for key in list(selector.get_map().values()):
                _close(key.fileobj)


def _begin(selector: selectors.BaseSelector, address: Address) -> OSError | None:
    """Begin to connect; the error of an address that can't be tried at all (no route, no such family)."""
    try:
        connection = socket.socket(*address[:3])
    except OSError as error:
        return error
    connection.setblocking(False)
    try:
        with suppress(BlockingIOError):
            connection.connect(address[4])
    except OSError as error:
        connection.close()
        return error
    selector.register(connection, selectors.EVENT_WRITE)
    return None


def _close(connection: object) -> None:
    if isinstance(connection, socket.socket):
        connection.close()


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))  # Python makes it a ConnectionRefusedError, TimeoutError ...


# ---- through a proxy ----


def _through_http(proxy: Proxy, host: str, port: int, deadline_s: float) -> socket.socket:
    connection = dial_proxy(proxy, max(0.0, deadline_s - time.monotonic()))
    try:
        connection.settimeout(max(0.001, deadline_s - time.monotonic()))
        target = f"[{host}]:{port}" if ":" in host else f"{host.encode('idna').decode()}:{port}"
        lines = [
            f"CONNECT {target} HTTP/1.1",
            f"Host: {target}",
            *(f"{name}: {value}" for name, value in proxy.headers.items()),
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        status = _status(connection)
    except (OSError, UnicodeError) as error:
        connection.close()
        raise ProxyError(proxy, f"doesn't answer: {why(error)}") from error
    if not 200 <= status < 300:
        connection.close()
        raise refusal(proxy, status, f"{host}:{port}")
    return connection


def refusal(proxy: Proxy, status: int, target: str) -> ProxyError:
    """What an HTTP proxy means by a status."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        login = "refuses the user or the password" if proxy.user or proxy.password else "wants a user and a password"
        return ProxyError(proxy, f"{login} (HTTP 407)", is_final=True)
    if not status:
        return ProxyError(proxy, "doesn't answer as an HTTP proxy does")
    phrase = f" ({HTTPStatus(status).phrase})" if status in HTTPStatus._value2member_map_ else ""
    return ProxyError(proxy, f"doesn't connect to {target}: HTTP {status}{phrase}")


def _status(connection: socket.socket) -> int:
    """The status of a proxy's answer, read to the end of its head and no further; 0 if it isn't HTTP."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < MAX_HEAD:
        byte = connection.recv(1)
        if not byte:
            break
        head += byte
    parts = head.split(None, 2)
    return int(parts[1]) if len(parts) > 1 and parts[0].startswith(b"HTTP/1") and parts[1].isdigit() else 0


def _through_socks(proxy: Proxy, host: str, port: int, deadline_s: float) -> socket.socket:
    """By python-socks, over connections of ours. With socks5 each address of the name is tried, with socks5h the proxy
    resolves it."""
    try:
        from python_socks import ProxyError as Refused
        from python_socks import ProxyType
        from python_socks.sync import Proxy as Socks

        class Reached(Socks):
            """The connection to the proxy, made here."""

            def connect(
                self,
                dest_host: str,  # noqa: ARG002 -- its signature
                dest_port: int,  # noqa: ARG002 -- its signature
                timeout: float | None = None,
                **_: object,
            ) -> socket.socket:
                return dial_proxy(proxy, timeout or 0.0)

        reached = Reached(ProxyType.SOCKS5, proxy.host, proxy.port)
        socks = Socks(
            ProxyType.SOCKS5,
            proxy.host,
            proxy.port,
            proxy.user or None,
            proxy.password or None,
            rdns=True,
            forward=reached,
        )
    except (ImportError, TypeError) as error:  # releases before 3.0 take no `forward`
        missing = f"{proxy.variable} names a SOCKS proxy, and the package python-socks (3.0 or newer) isn't installed."
        raise TradecapError(missing, "pip install 'tradecap[socks]'", Exit.USAGE) from error
    names = [host] if proxy.scheme == "socks5h" else [str(address[4][0]) for address in _addresses(host, port)]
    for number, name in enumerate(names):
        left_s = max(0.001, deadline_s - time.monotonic())
        try:
            return socks.connect(name, port, timeout=left_s / (len(names) - number))
        except ProxyError:
            raise
        except (Refused, OSError, UnicodeError, AssertionError, IndexError) as error:
            if number + 1 == len(names):
                raise ProxyError(proxy, f"doesn't connect to {host}:{port}: {why(error)}") from error
    raise AssertionError("a name has an address, or resolving it raises")


def why(error: BaseException) -> str:
    """An error of the network, in our words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused: nothing listens there"
    if isinstance(error, socket.gaierror):
        return "its name can't be resolved"
    if isinstance(error, UnicodeError):
        return "the name, the user or the password has characters that can't be sent"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return mask(" ".join(text.split()))


# ---- a proxy that speaks TLS ----


def _with_tls(connection: socket.socket, proxy: Proxy, deadline_s: float) -> ssl.SSLSocket:
    connection.settimeout(max(0.001, deadline_s - time.monotonic()))
    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=proxy.host)
    except BaseException:
        connection.close()
        raise


def _relayed(secure: ssl.SSLSocket) -> socket.socket:
    """A plain socket whose bytes go through another: TLS to the target can't be spoken over TLS to the proxy
    otherwise."""
    ours, theirs = socket.socketpair()
    threading.Thread(target=relay, args=(theirs, secure), name="proxy", daemon=True).start()
    return ours


def relay(plain: socket.socket, secure: ssl.SSLSocket) -> None:
    """Pass bytes on until either side ends. One thread, since a TLS connection isn't for two; it never waits for what
    only one side may bring."""
    with plain, secure, selectors.DefaultSelector() as selector, suppress(OSError):
        selector.register(plain, selectors.EVENT_READ)
        selector.register(secure, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select(0 if secure.pending() else None)]
            if plain in ready and not _passed(plain, secure):
                return
            if (secure in ready or secure.pending()) and not _passed(secure, plain):
                return


def _passed(source: socket.socket, target: socket.socket) -> bool:
    """Pass on what is there; False at the end."""
    source.settimeout(0)
    try:
        data = source.recv(65536)
    except (ssl.SSLWantReadError, BlockingIOError):
        return True  # a record of TLS itself, like a session ticket
    target.settimeout(None)
    target.sendall(data)
    return bool(data)

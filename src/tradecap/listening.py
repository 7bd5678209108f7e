"""Opens the sockets that a server listens on: IPv4 and IPv6 with one port.

Rules: `localhost` is 127.0.0.1 and ::1, whatever the resolver says; `::` and '' are every address of both families; any
other name or address is what it resolves to. A family that this machine doesn't have is left out as long as another is
served. An IPv6 socket never takes IPv4 (that differs from system to system), so each family has a socket of its own.
"""

import errno
import socket
from collections.abc import Sequence
from typing import Final

EVERYWHERE: Final = ("0.0.0.0", "::")
LOOPBACK: Final = ("127.0.0.1", "::1")
ANY_PORT_TRIES: Final = 20
"""A port that is free for one family may be taken for the other."""
_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)


def listen(host: str, port: int, backlog: int = 128) -> list[socket.socket]:
    """Listening sockets for a host, all on one port; 0 takes a port that is free for all of them. Raises OSError."""
    if host == "localhost":
        names: Sequence[str] = LOOPBACK
    elif host in ("", "::"):
        names = EVERYWHERE
    else:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        names = list(dict.fromkeys(str(each[4][0]) for each in found))
    for tries_left in range(ANY_PORT_TRIES - 1, -1, -1):
        try:
            return _bound(names, port, backlog)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def _bound(names: Sequence[str], port: int, backlog: int) -> list[socket.socket]:
    opened: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for name in names:
            try:
                opened.append(_one(name, port or (opened[0].getsockname()[1] if opened else 0), backlog))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
        if absent and not opened:
            raise absent
    except OSError:
        for each in opened:
            each.close()
        raise
    return opened


def _one(name: str, port: int, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((name, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener

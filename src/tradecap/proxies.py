"""Which proxy a connection takes: one rule for WebSocket, REST and the store.

    https, wss, clickhouses    HTTPS_PROXY, else ALL_PROXY
    http, ws, clickhouse       HTTP_PROXY, else ALL_PROXY
    in NO_PROXY, or loopback   none

Rules: of a variable the spelling in small letters wins; an empty one counts as unset. A value is
`[scheme://][user[:password]@]host[:port]`; the scheme is http (also where there is none), https, socks5 (names are
resolved here) or socks5h (by the proxy); the port without one is 80, 443 or 1080. User and password may be
percent-encoded and hold any character. What follows the port is ignored. NO_PROXY lists names (each with the names
below it), addresses and networks (10.0.0.0/8), each with an optional port, between commas or blanks; * is everything.
localhost, the names below it,
127.0.0.0/8 and ::1 are always direct. Pure: nothing here opens anything.

Sources: curl's manual (environment), urllib.request (small letters first), RFC 7617 (logins).
"""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tradecap.errors import TradecapError
from tradecap.urls import learn, split

PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
EXAMPLE: Final = "http://user:password@host:3128"
_SECURE: Final = ("https", "wss", "clickhouses")


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy, and the variable that names it. The login is never shown."""

    scheme: str
    host: str
    port: int
    variable: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Where it is: host:port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS; else HTTP."""
        return self.scheme.startswith("socks")

    @property
    def headers(self) -> dict[str, str]:
        """The headers that an HTTP proxy gets with each request."""
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {login}"} if self.user or self.password else {}


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for a connection; None where it is direct. Raises TradecapError for a variable that can't be read."""
    if is_loopback(host):
        return None
    for name in ("HTTPS_PROXY" if scheme in _SECURE else "HTTP_PROXY", "ALL_PROXY"):
        variable = next((each for each in (name.lower(), name) if environ.get(each)), "")
        if variable:
            excepted = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
            return None if is_excepted(host, port, excepted) else read_proxy(environ[variable], variable)
    return None


def read_proxy(value: str, variable: str) -> Proxy:
    """The proxy that a variable names. Raises TradecapError, which doesn't quote the value."""
    try:
        url = split(value.strip())
    except ValueError as error:
        raise _unreadable(variable, str(error)) from None
    learn(url.password, url.user or "")
    scheme = {"": "http", "socks": "socks5h"}.get(url.scheme, url.scheme)
    if scheme not in PORTS:
        raise _unreadable(variable, f"its scheme is not one of {', '.join(PORTS)}")
    if not url.host:
        raise _unreadable(variable, "it names no host")
    return Proxy(
        scheme=scheme,
        host=url.host,
        port=url.port or PORTS[scheme],
        variable=variable,
        user=url.user or "",
        password=url.password or "",
    )


def _unreadable(variable: str, why: str) -> TradecapError:
    return TradecapError(f"{variable} is not the address of a proxy: {why}.", f"write it like {variable}={EXAMPLE}")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address alone."""
    name = host.strip("[]").lower().rstrip(".")
    address = _address(name)
    if address is not None:
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    return name == "localhost" or name.endswith(".localhost")


def is_excepted(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY names a host."""
    name = host.strip("[]").lower().rstrip(".")
    return any(_matches(name, port, entry.lower()) for entry in no_proxy.replace(",", " ").split())


def _matches(name: str, port: int, entry: str) -> bool:
    if entry == "*":
        return True
    pattern, colon, its_port = entry.rpartition(":")
    if colon and its_port.isdigit() and (":" not in pattern or pattern.endswith("]")):
        if int(its_port) != port:
            return False
        entry = pattern
    entry = entry.strip("[]").removeprefix("*").strip(".")
    address = _address(name)
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    return bool(entry) and (name == entry or name.endswith(f".{entry}"))


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None

"""Opening TCP connections: every address of a name gets its chance."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

import pytest

from tests.exchange import running
from tests.venues.test_feed import QUICK, Tap
from tradecap.dialing import dial
from tradecap.errors import TradecapError
from tradecap.proxies import Proxy
from tradecap.store import open_store
from tradecap.venues.api import SITES
from tradecap.venues.binance.control import CONTROL
from tradecap.venues.feed import Feed
from tradecap.venues.rest import Rest


@contextmanager
def silence() -> Iterator[int]:
    """A port of 127.0.0.2 that answers no SYN: its backlog is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.2", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        time.sleep(0.05)
        yield listener.getsockname()[1]


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> "Names":
    """A resolver that knows a name of ours."""
    names: Names = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *more: object, **how: object) -> list[tuple[object, ...]]:
        if host not in names:
            return real(host, port, *more, **how)  # type: ignore[arg-type, return-value] # handed on as it came
        return [(family_of(each), socket.SOCK_STREAM, 6, "", (each, port)) for each in names[host]]

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    return names


Names = dict[str, Sequence[str]]


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_a_name_whose_first_address_is_silent_connects_at_once(resolving: Names) -> None:
    """A venue with one dead address of two would never be captured."""
    with silence() as port, socket.create_server(("127.0.0.1", port)):
        resolving["two.test"] = ("127.0.0.2", "127.0.0.1")
        began = time.monotonic()
        with dial("two.test", port, 120.0) as connection:
            assert connection.getpeername() == ("127.0.0.1", port)
        assert time.monotonic() - began < 60.0


def test_many_silent_addresses_hold_up_a_second_each_at_most(resolving: Names) -> None:
    """Each would cost the whole time that a connection may take."""
    with silence() as port, socket.create_server(("127.0.0.1", port)):
        resolving["many.test"] = ("127.0.0.2", "127.0.0.2", "203.0.113.1", "127.0.0.1")
        with dial("many.test", port, 60.0) as connection:
            assert connection.getpeername()[0] == "127.0.0.1"


def test_an_address_that_refuses_costs_nothing(resolving: Names) -> None:
    """A host that listens on one family only would be refused for the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        resolving["refusing.test"] = ("::1", "127.0.0.3", "127.0.0.1")
        with dial("refusing.test", port, 60.0) as connection:
            assert connection.getpeername()[0] == "127.0.0.1"


def test_what_no_address_brings_is_reported_in_time(resolving: Names) -> None:
    """It would hang, or say something else than what is wrong."""
    with silence() as port:
        resolving["silent.test"] = ("127.0.0.2",)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            dial("silent.test", port, 0.3)
        assert time.monotonic() - began < 60.0
    resolving["refused.test"] = ("127.0.0.1", "::1")
    with pytest.raises(ConnectionRefusedError):
        dial("refused.test", 1, 60.0)
    with pytest.raises(socket.gaierror):
        dial("no.such.name.invalid", 1, 5.0)


def test_an_address_that_takes_connections_and_sends_nothing_is_not_tried_forever(resolving: Names) -> None:
    """A balancer with a dead machine behind it would be asked again and again, with a good address next to it."""
    with running() as exchange, socket.create_server(("127.0.0.2", exchange.exchange.port)):
        resolving["mute.test"] = ("127.0.0.2", "127.0.0.1")
        url = f"ws://mute.test:{exchange.exchange.port}"
        with Feed(f"{url}/stream", ["btcusdt@trade"], CONTROL, replace(QUICK, open_within_s=0.3)) as feed:
            tap = Tap(feed)
            tap.until_so(lambda: bool(tap.named("connected")))
            assert len(tap.named("disconnected")) <= 1


def test_streams_rest_and_store_try_every_address(resolving: Names) -> None:
    """A part that uses its library's way would hang where the others connect."""
    with silence() as port, running(port=port) as exchange:
        resolving["two.test"] = ("127.0.0.2", "127.0.0.1")
        url = f"ws://two.test:{port}"
        with Feed(f"{url}/stream", ["btcusdt@trade"], CONTROL, QUICK) as feed:
            tap = Tap(feed)
            tap.until(notices=1)
            assert tap.named("connected")
        with Rest(SITES["binance"].at(url)) as rest:
            assert rest.look_up(["BTCUSDT"]) == ({}, {})
        began = time.monotonic()
        with pytest.raises(TradecapError, match=r"Store clickhouse://two\.test"):
            open_store(f"clickhouse://two.test:{port}")
        assert time.monotonic() - began < 60.0
        assert exchange.exchange.counts["requests"] >= 2


def test_a_proxy_with_a_silent_address_is_reached(resolving: Names) -> None:
    """The one way out would be shut as long as one of its machines is down."""
    with silence() as port, socket.create_server(("127.0.0.1", port)) as listener:
        resolving["proxy.test"] = ("127.0.0.2", "127.0.0.1")
        with pytest.raises(OSError, match=r"the proxy proxy\.test"):
            dial("venue.test", 443, 1.0, Proxy(scheme="http", host="proxy.test", port=port, variable="HTTPS_PROXY"))
        assert listener.accept()[0].recv(7) == b"CONNECT"

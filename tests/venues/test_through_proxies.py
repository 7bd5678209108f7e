"""Streams and REST through proxies, over real sockets."""

import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.exchange import Running, running
from tests.proxy import proxying
from tests.venues.test_feed import QUICK, Tap
from tradecap.simulate.tls import throw_away
from tradecap.venues.api import SITES
from tradecap.venues.binance.control import CONTROL
from tradecap.venues.feed import Feed
from tradecap.venues.rest import Rest, RestError

LOGIN = "me:s/e#s?a[m:e@ %"
WRITTEN = "me:s%2Fe%23s%3Fa%5Bm:e%40%20%25"
RAW = "me:s/e#s?a[m:e@ %"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test sets."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextmanager
def tapped(url: str, tls: ssl.SSLContext | None = None) -> Iterator[Tap]:
    with Feed(f"{url}/stream", ["btcusdt@trade"], CONTROL, QUICK, ssl_context=tls) as feed:
        yield Tap(feed)


def captures_and_asks(exchange: Running, tls: ssl.SSLContext | None = None) -> None:
    """A stream of three trades, and REST, by a name that no resolver knows."""
    end = "s" if tls else ""
    site = SITES["binance"].at(
        f"ws{end}://venue.test:{exchange.exchange.port}", f"http{end}://venue.test:{exchange.exchange.port}"
    )
    with tapped(site.ws_url, tls) as tap:
        tap.until(notices=1)
        assert tap.named("connected"), tap.notices[0].failure
        exchange.play(3)
        tap.until(messages=3)
    with Rest(site, ssl_context=tls) as rest:
        assert len(rest.old_trades("BTCUSDT", "trade", 1)) == 3
        assert rest.look_up(["BTCUSDT"]) == ({}, {})


@pytest.mark.parametrize("login", [WRITTEN, RAW])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_login_opens_the_proxy_for_streams_and_rest(scheme: str, login: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream would be captured, and no gap of it ever repaired: HTTP 407."""
    with running() as exchange, proxying(LOGIN) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"{scheme}{login}@127.0.0.1:{proxy.port}/x")
        captures_and_asks(exchange)
        port = exchange.exchange.port
        assert proxy.asked[0] == f"CONNECT venue.test:{port}"
        assert proxy.asked[1].startswith(f"GET http://venue.test:{port}/api/v3/")


@pytest.mark.parametrize("is_tls", [False, True])
def test_tls_goes_through_a_tunnel_also_of_a_proxy_that_speaks_tls(
    is_tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real venues, which are all behind TLS, couldn't be captured through a proxy."""
    context, ca = throw_away("venue.test", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    trusting = ssl.create_default_context(cafile=str(ca))
    with running(tls=context) as exchange, proxying(LOGIN, tls=context if is_tls else None) as proxy:
        monkeypatch.setenv("https_proxy", f"http{'s' if is_tls else ''}://{WRITTEN}@localhost:{proxy.port}")
        captures_and_asks(exchange, trusting)
        assert {each.split()[0] for each in proxy.asked} == {"CONNECT"}


@pytest.mark.core
@pytest.mark.parametrize("login", ["", "me:sesame"])
def test_socks_takes_names_to_the_proxy(login: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where names are resolved only behind the proxy nothing could be captured."""
    with running() as exchange, proxying(login) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://{f'{login}@' if login else ''}127.0.0.1:{proxy.port}")
        captures_and_asks(exchange)
        assert set(proxy.asked) == {f"SOCKS venue.test:{exchange.exchange.port}"}


def test_socks_without_its_package_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first capture behind SOCKS would end with an ImportError."""
    monkeypatch.setitem(sys.modules, "python_socks", None)
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:1")
    with tapped("ws://venue.test:1") as tap:
        tap.until(notices=1)
    notice = tap.named("disconnected")[0]
    assert notice.failure is not None
    assert notice.failure.is_final
    assert "python-socks" in notice.failure.text
    assert notice.failure.hint == "pip install 'tradecap[socks]'"


def failures_of(port: int = 1) -> list[str]:
    """What a stream and REST say that can't be had."""
    with tapped(f"ws://venue.test:{port}") as tap:
        tap.until(notices=1)
    failure = tap.named("disconnected")[0].failure
    assert failure is not None
    with Rest(SITES["binance"].at(f"ws://venue.test:{port}")) as rest, pytest.raises(RestError) as caught:
        rest.newest("BTCUSDT", "trade")
    assert caught.value.failure.kind == failure.kind == "proxy"
    assert "HTTP_PROXY" in failure.hint
    return [failure.text, caught.value.message]


@pytest.mark.parametrize(
    ("scheme", "login", "status", "says"),
    [
        ("http", "me:other", 0, "refuses the user or the password (HTTP 407)"),
        ("http", "", 0, "wants a user and a password (HTTP 407)"),
        ("socks5h", "me:other", 0, "Username and password authentication failure"),
    ],
)
def test_a_failure_at_a_proxy_names_it(
    scheme: str, login: str, status: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that shuts everybody out would look like a venue that is down."""
    with proxying("me:sesame", status) as proxy:
        monkeypatch.setenv(
            "HTTP_PROXY",
            f"{scheme}://{login}@127.0.0.1:{proxy.port}" if login else f"{scheme}://127.0.0.1:{proxy.port}",
        )
        for text in failures_of():
            assert f"the proxy 127.0.0.1:{proxy.port} " in text
            assert says in text
            assert "other" not in text


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host of the venue would be looked at, which is well."""
    monkeypatch.setenv("HTTP_PROXY", "http://me:sesame@127.0.0.1:1/x")
    for text in failures_of():
        assert "the proxy 127.0.0.1:1 can't be reached: the connection was refused" in text


def test_a_proxy_without_a_way_to_the_venue_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP 403 of a proxy would be taken for the venue's firewall."""
    with proxying(status=403) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        with tapped("ws://venue.test:1") as tap:
            tap.until(notices=1)
        failure = tap.notices[0].failure
        assert failure is not None
        assert failure.text == f"the proxy 127.0.0.1:{proxy.port} doesn't connect to venue.test:1: HTTP 403 (Forbidden)"


def test_loopback_is_direct_whatever_the_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local exchange would be asked for at a proxy that leads elsewhere."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with running() as exchange, tapped(exchange.url) as tap:
        tap.until(notices=1)
        assert tap.named("connected")
        with Rest(SITES["binance"].at(exchange.url)) as rest:
            assert rest.look_up(["BTCUSDT"]) == ({}, {})

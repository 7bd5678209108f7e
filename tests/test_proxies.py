"""Which proxy a connection takes: the rule alone."""

from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradecap.errors import TradecapError
from tradecap.proxies import Proxy, is_excepted, is_loopback, proxy_for, read_proxy

BOTH = {"HTTPS_PROXY": "secure:1", "HTTP_PROXY": "plain:2", "ALL_PROXY": "all:3"}


@pytest.mark.parametrize(
    ("scheme", "environ", "name"),
    [
        ("https", BOTH, "secure:1"),
        ("wss", BOTH, "secure:1"),
        ("clickhouses", BOTH, "secure:1"),
        ("http", BOTH, "plain:2"),
        ("ws", BOTH, "plain:2"),
        ("clickhouse", BOTH, "plain:2"),
        ("wss", {"ALL_PROXY": "all:3", "HTTP_PROXY": "plain:2"}, "all:3"),
        ("ws", {"all_proxy": "all:3", "HTTPS_PROXY": "secure:1"}, "all:3"),
        ("wss", {"https_proxy": "small:4", "HTTPS_PROXY": "secure:1"}, "small:4"),
        ("wss", {"https_proxy": "", "HTTPS_PROXY": "secure:1"}, "secure:1"),
        ("wss", {}, None),
        ("wss", {**BOTH, "NO_PROXY": "venue.test"}, None),
        ("wss", {**BOTH, "no_proxy": "*"}, None),
    ],
)
def test_the_scheme_chooses_the_variable(scheme: str, environ: Mapping[str, str], name: str | None) -> None:
    """The stream would go one way and its repair another."""
    proxy = proxy_for(scheme, "venue.test", 443, environ)
    assert (proxy.name if proxy else None) == name


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_this_machine_is_always_direct(host: str) -> None:
    """`tradecap demo` would ask the company's proxy for the exchange in its own process."""
    assert is_loopback(host)
    assert proxy_for("ws", host, 80, {"HTTP_PROXY": "no:1", "ALL_PROXY": "no:1"}) is None


@pytest.mark.parametrize("host", ["localhost.example.com", "10.0.0.1", "::2", "notlocalhost"])
def test_other_machines_are_not_taken_for_this_one(host: str) -> None:
    """A host behind the proxy would be tried directly, and be silent."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("proxy.test:3128", Proxy(scheme="http", host="proxy.test", port=3128, variable="HTTPS_PROXY")),
        ("proxy.test", Proxy(scheme="http", host="proxy.test", port=80, variable="HTTPS_PROXY")),
        ("http://proxy.test/x?y#z", Proxy(scheme="http", host="proxy.test", port=80, variable="HTTPS_PROXY")),
        ("https://proxy.test", Proxy(scheme="https", host="proxy.test", port=443, variable="HTTPS_PROXY")),
        ("SOCKS5H://proxy.test", Proxy(scheme="socks5h", host="proxy.test", port=1080, variable="HTTPS_PROXY")),
        ("socks://proxy.test:9", Proxy(scheme="socks5h", host="proxy.test", port=9, variable="HTTPS_PROXY")),
        ("http://[2001:db8::1]:3128", Proxy(scheme="http", host="2001:db8::1", port=3128, variable="HTTPS_PROXY")),
        (
            "me:sesame@proxy.test:1",
            Proxy(scheme="http", host="proxy.test", port=1, variable="HTTPS_PROXY", user="me", password="sesame"),
        ),
        (
            "http://m%40e:s%2Fs%23%25@proxy.test:1",
            Proxy(scheme="http", host="proxy.test", port=1, variable="HTTPS_PROXY", user="m@e", password="s/s#%"),
        ),
        (
            "http://me:s/e?s#a[m:e@@proxy.test:1/x",
            Proxy(scheme="http", host="proxy.test", port=1, variable="HTTPS_PROXY", user="me", password="s/e?s#a[m:e@"),
        ),
    ],
)
def test_a_proxy_is_read_as_people_write_it(value: str, proxy: Proxy) -> None:
    """A forgotten scheme or a raw sign in the password would lead nowhere."""
    assert read_proxy(value, "HTTPS_PROXY") == proxy


@pytest.mark.parametrize(
    "value",
    [
        "http://u:sesame@host:81x",
        "http://u:sesame@host:99999",
        "ftp://u:sesame@host",
        "http://u:sesame@",
        "u:sesame@[::1",
    ],
)
def test_what_is_no_proxy_is_named_by_its_variable(value: str) -> None:
    """The complaint about a mistyped proxy would print the password in it."""
    with pytest.raises(TradecapError, match="HTTPS_PROXY is not the address of a proxy") as refused:
        read_proxy(value, "HTTPS_PROXY")
    assert "sesame" not in refused.value.message + refused.value.hint


def test_a_login_is_never_part_of_what_is_shown_of_a_proxy() -> None:
    """A traceback or a debug line would show it."""
    proxy = read_proxy("http://me:sesame@host:1", "HTTPS_PROXY")
    assert "sesame" not in f"{proxy!r} {proxy.name}"


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "is_so"),
    [
        ("venue.test", "venue.test", 1, True),
        ("venue.test", "api.venue.test", 1, True),
        (".venue.test,other", "api.venue.test", 1, True),
        ("*.venue.test", "api.venue.test", 1, True),
        ("VENUE.test", "venue.TEST.", 1, True),
        ("venue.test", "myvenue.test", 1, False),
        ("venue.test:8123", "venue.test", 8123, True),
        ("venue.test:8123", "venue.test", 443, False),
        ("a, 10.0.0.0/8 b", "10.1.2.3", 1, True),
        ("10.0.0.0/8", "11.1.2.3", 1, False),
        ("10.1.2.3", "10.1.2.3", 1, True),
        ("2001:db8::/32", "2001:db8::5", 1, True),
        ("[2001:db8::5]:80", "[2001:db8::5]", 80, True),
        ("[2001:db8::5]:80", "2001:db8::5", 81, False),
        ("", "venue.test", 1, False),
        (",. ,", "venue.test", 1, False),
        ("*", "venue.test", 1, True),
    ],
)
def test_exceptions_name_hosts_domains_networks_and_ports(no_proxy: str, host: str, port: int, is_so: bool) -> None:
    """A host of the own network would be asked for at a proxy that can't reach it."""
    assert is_excepted(host, port, no_proxy) is is_so


@given(st.text(), st.text(), st.integers(1, 65535))
def test_no_variable_ends_in_a_traceback(value: str, no_proxy: str, port: int) -> None:
    """A slip in a variable would be reported as a mistake of tradecap."""
    with suppress(TradecapError):
        proxy = proxy_for("wss", "venue.test", port, {"HTTPS_PROXY": value, "NO_PROXY": no_proxy})
        assert proxy is None or (proxy.host and 0 < proxy.port < 65536)

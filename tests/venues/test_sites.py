"""Where venues are, and what is said to them."""

import json

import pytest

from tradecap.errors import TradecapError
from tradecap.venues.api import SITES
from tradecap.venues.binance.control import is_shutdown, read_reply, stream_name, subscriptions
from tradecap.venues.sites import Reply


def test_a_stream_has_its_symbol_in_small_letters() -> None:
    """The venue would acknowledge BTCUSDT@trade and then stay silent."""
    assert stream_name("BTCUSDT", "aggTrade") == "btcusdt@aggTrade"


def test_the_data_only_hosts_are_the_same_venue() -> None:
    """Trades of one market would be two series, depending on the host they came by."""
    assert SITES["binance-data"].venue == "binance"


def test_rest_is_where_the_streams_are_unless_said() -> None:
    """A capture against a local exchange would repair its gaps with the real venue's trades."""
    assert SITES["binance"].at("ws://localhost:8080").rest_url == "http://localhost:8080"
    assert SITES["binance"].at("wss://localhost:8080/").stream_url == "wss://localhost:8080/stream"
    assert SITES["binance"].at("ws://a:1", "https://b:2").rest_url == "https://b:2"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8080",
        "http://localhost",
        "ws://",
        "ws://a:b",
        "ws://a/?x=1",
        "ws://a/stream",
        "wss://a:1/ws",
        "ws://a/ws/btcusdt@trade",
        "ws://me:secret@a:1",
    ],
)
def test_what_is_no_base_is_refused(url: str) -> None:
    """A slip in the URL would look like a venue that is down."""
    with pytest.raises(TradecapError, match="--ws-url") as refused:
        SITES["binance"].at(url)
    assert "secret" not in refused.value.message


def test_many_streams_are_asked_for_in_chunks() -> None:
    """One request with a thousand names would be refused, or cut the connection."""
    names = [f"s{n}@trade" for n in range(250)]
    requests = [json.loads(request) for _, request in subscriptions(names)]
    assert [name for request in requests for name in request["params"]] == names
    assert [(request["id"], len(request["params"])) for request in requests] == [(1, 100), (2, 100), (3, 50)]


@pytest.mark.parametrize(
    ("payload", "reply"),
    [
        (b'{"result":null,"id":1}', Reply(1)),
        (b'{"id":7,"result":null}', Reply(7)),
        (b'{"error":{"code":2,"msg":"Invalid request"},"id":3}', Reply(3, "2: Invalid request")),
        (b'{"error":{"code":3,"msg":"Invalid JSON"}}', Reply(None, "3: Invalid JSON")),
        (b'{"e":"trade","result":1}', None),
        (b'{"stream":"btcusdt@trade","data":{}}', None),
        (b'{"result":', None),
    ],
)
def test_answers_are_told_from_data(payload: bytes, reply: Reply | None) -> None:
    """An answer in the log, or data taken for an answer, would be a message lost."""
    assert read_reply(payload) == reply


def test_the_notice_of_a_shutdown_is_known_in_both_forms() -> None:
    """The capture would learn of it by losing its connection."""
    assert is_shutdown(b'{"e":"serverShutdown","E":1770123456789}')
    assert is_shutdown(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}')
    assert not is_shutdown(b'{"stream":"btcusdt@trade","data":{}}')

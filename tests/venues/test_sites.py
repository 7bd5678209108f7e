"""A venue's site at another address."""

import pytest

from tradecap.errors import TradecapError
from tradecap.venues.api import SITES


def test_rest_is_where_the_streams_are_unless_set() -> None:
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

"""The venues that the program knows."""

import pytest

from tests.cases import CSV, OFF_BOOK, TRADE, USDM
from tradecap.market.records import Rejected, Trade
from tradecap.venues.api import SITES, UNNAMED, VENUES, by_shape, from_name, unsupported, venue_of


def test_names_are_those_of_the_venues_and_sites_themselves() -> None:
    """A record would name a venue that nobody finds."""
    assert all(name == venue.name for name, venue in VENUES.items())
    assert all(name == site.name and site.venue in VENUES for name, site in SITES.items())


@pytest.mark.parametrize(
    ("host", "venue"),
    [
        ("stream.binance.com", "binance"),
        ("data-api.binance.vision", "binance"),
        ("fstream.binance.com", "binance-usdm"),
        ("api.binance.us", "binance-us"),
        ("dstream.binance.com", ""),
        ("xstream.binance.com", ""),
        ("stream.binance.com.evil.example", ""),
        ("", ""),
    ],
)
def test_a_host_belongs_to_one_venue_or_none(host: str, venue: str) -> None:
    """A recording from a look-alike host would be filed as the real market."""
    assert venue_of(host) == venue


@pytest.mark.parametrize(
    ("host", "symbol", "why"),
    [
        ("dapi.binance.com", "", "coin-margined"),
        ("", "BTCUSD_PERP", "coin-margined"),
        ("", "BTC-251230-1-C", "options"),
        ("stream.binance.com", "BTCUSDT", ""),
    ],
)
def test_a_market_that_is_not_read_says_why(host: str, symbol: str, why: str) -> None:
    """Contracts would be stored as coins, or refused without a reason."""
    assert unsupported(host, symbol).startswith(why)
    assert bool(unsupported(host, symbol)) == bool(why)


def test_a_record_without_a_venue_is_read_as_the_first_ones() -> None:
    """The SQL reads it so: Python would count another class."""
    reading = UNNAMED.decode(TRADE, "", "", "")
    assert isinstance(reading, Trade)
    assert reading.venue == "binance"
    assert UNNAMED.decode(TRADE, "kraken", "", "") == Rejected("unknown_message", "venue")


@pytest.mark.parametrize(
    ("payload", "venue"), [(TRADE, "binance"), (USDM, "binance-usdm"), (OFF_BOOK, "binance-usdm"), (CSV, "binance")]
)
def test_the_shape_says_whose_a_message_is(payload: bytes, venue: str) -> None:
    """A USD-M trade filed under spot would share ids with other trades."""
    reading = by_shape(payload, "", "ETHUSDT", "trade")
    assert isinstance(reading, Trade)
    assert reading.venue == venue
    assert by_shape(b"{}", "", "", "") == Rejected("unknown_message")


@pytest.mark.parametrize(
    ("word", "symbol"), [("BTCUSDT", "BTCUSDT"), ("BTCUSD_PERP", "BTCUSD_PERP"), ("DATA", ""), ("", "")]
)
def test_only_a_pair_in_a_file_name_is_a_symbol(word: str, symbol: str) -> None:
    """`DATA.csv` would be replayed as a coin; a file of contracts would not be refused."""
    assert from_name(word) == symbol

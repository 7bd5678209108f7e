"""What Binance's REST interface is asked for, and how its answers are read."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradecap.venues.binance.rest import (
    PAGE,
    REST,
    SYMBOLS_IN_A_URL,
    USDM_REST,
    listing,
    message,
    newest,
    row_id,
    since,
    statuses,
)
from tradecap.venues.sites import Request


def test_each_channel_has_its_own_endpoints() -> None:
    """A gap of aggregates would be filled with single trades, whose ids are others."""
    assert newest("BTCUSDT", "trade", 5) == Request("trades", {"symbol": "BTCUSDT", "limit": 5})
    assert newest("BTCUSDT", "aggTrade", 5) == Request("aggTrades", {"symbol": "BTCUSDT", "limit": 5})
    assert since("BTCUSDT", "trade", 7) == Request(
        "historicalTrades", {"symbol": "BTCUSDT", "fromId": 7, "limit": PAGE}
    )
    assert since("BTCUSDT", "aggTrade", 7) == Request("aggTrades", {"symbol": "BTCUSDT", "fromId": 7, "limit": PAGE})


@pytest.mark.parametrize(
    ("row", "channel", "number"),
    [
        (b'{"id":5,"price":"1"}', "trade", 5),
        (b'{"a":6,"id":5}', "aggTrade", 6),
        (b'{"a":6}', "trade", -1),
        (b'{"id":"5"}', "trade", -1),
        (b"[5]", "trade", -1),
        (b"", "trade", -1),
        (b"\xff", "aggTrade", -1),
    ],
)
def test_a_row_without_an_id_of_its_channel_has_none(row: bytes, channel: str, number: int) -> None:
    """The repair would go on from the id of another numbering."""
    assert row_id(row, channel) == number


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"code":-1121,"msg":"Invalid symbol."}', "-1121 Invalid symbol."),
        (b'{"code":-1121}', ""),
        (b"<html>", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_the_venues_own_words_are_quoted(body: bytes, words: str) -> None:
    """The reason of a refusal would be lost, or the page of a firewall be taken for one."""
    assert message(body) == words
    assert len(message(json.dumps({"code": 1, "msg": "x" * 9999}).encode())) == 300


@pytest.mark.parametrize(
    ("count", "asked"), [(0, False), (1, True), (SYMBOLS_IN_A_URL, True), (SYMBOLS_IN_A_URL + 1, False)]
)
def test_a_long_list_of_symbols_is_not_put_into_the_url(count: int, asked: bool) -> None:
    """The venue refuses a URL of 8 KB: a capture of many symbols could not begin."""
    symbols = [f"S{n}USDT" for n in range(count)]
    request = listing(symbols)
    assert request == Request("exchangeInfo", {"symbols": json.dumps(symbols, separators=(",", ":"))} if asked else {})
    assert USDM_REST.listing(symbols) == Request("exchangeInfo", {})


def test_a_symbol_without_a_status_is_listed() -> None:
    """A symbol that is there would be reported as unknown."""
    body = b'{"symbols":[{"symbol":"A","status":"TRADING"},{"symbol":"B"},{"symbol":"C","status":null}]}'
    assert statuses(body) == {"A": REST.trading, "B": "", "C": ""}


@given(st.binary(max_size=60))
def test_no_answer_raises_anything_but_a_value_error(body: bytes) -> None:
    """The page of a proxy would end a capture with a traceback."""
    assert isinstance(message(body), str)
    assert isinstance(row_id(body, "trade"), int)
    with suppress(ValueError):
        assert isinstance(statuses(body), dict)

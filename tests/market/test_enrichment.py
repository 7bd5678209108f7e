"""What is made of a trade, a minute and a rejected record."""

import base64
import hashlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON_S, a_trade
from tradecap.market.candles import every_interval
from tradecap.market.enrichment import base_and_quote, decimal_text, enriched, minute_key, minute_message, quarantined
from tradecap.market.records import Envelope, Rejected, read_envelope

SERIES = ("binance", "BTCUSDT", "trade")
RUN = "0191f0e8-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("symbol", "pair"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("ETHBTC", ("ETH", "BTC")),
        ("BTCFDUSD", ("BTC", "FDUSD")),
        ("BTCUSDT_240927", ("BTC", "USDT")),
        ("1000PEPEUSDC", ("1000PEPE", "USDC")),
        ("USDTTRY", ("USDT", "TRY")),
        ("USDT", ("", "")),
        ("NONSENSE", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_symbol_is_taken_apart_by_its_quote_asset(symbol: str, pair: tuple[str, str]) -> None:
    """BTCFDUSD would be BTCFD in US dollars."""
    assert base_and_quote(symbol) == pair


@given(st.integers(0, 2**80), st.sampled_from([8, 16]))
def test_numbers_are_exact(units: int, decimals: int) -> None:
    """A price that went through a float loses its last digits."""
    text = decimal_text(units, decimals)
    assert Decimal(text).scaleb(decimals) == units
    assert "." not in text or not text.endswith(("0", "."))


@pytest.mark.parametrize(
    ("hour", "session"),
    [(0, "Asia"), (7.9999, "Asia"), (8, "Europe"), (15.9999, "Europe"), (16, "US"), (23.9999, "US"), (24, "Asia")],
)
def test_a_session_begins_at_its_hour(hour: float, session: str) -> None:
    """A trade at 08:00 would be counted in two sessions, or in none."""
    midnight_us = (NOON_S - 12 * 3600) * 10**6
    trade = a_trade(trade_time_us=midnight_us + round(hour * 3600 * 10**6))
    assert enriched(trade, Envelope(RUN, 1), too_late=False).session == session


def test_what_is_not_known_is_null() -> None:
    """A lateness of 0 for a record without a receive time would look like a perfect capture."""
    message = enriched(a_trade(event_time_us=0), Envelope(RUN, 1), too_late=False)
    assert (message.event_time, message.ingest_ts, message.lateness_ms, message.source) == (None, None, None, "binance")


def test_lateness_may_be_negative() -> None:
    """A clock that is behind would be hidden by a lateness of 0."""
    received = Envelope(RUN, 1, recv=(NOON_S * 1000 - 5) * 10**6, via="ws")
    message = enriched(a_trade(), received, too_late=True)
    assert (message.lateness_ms, message.ingest_ts, message.source, message.too_late) == (
        -5,
        NOON_S * 1000 - 5,
        "binance",
        True,
    )


def test_a_minute_says_how_many_trades_it_is_made_of() -> None:
    """A reader couldn't tell which of two messages is newer."""
    (bar,) = every_interval([a_trade(id=1), a_trade(id=2, order_book=False)])
    message = minute_message(SERIES, bar, closed=True)
    assert (message.revision, message.trades, message.closed, message.open_time) == (2, 1, True, "2024-08-09T12:00:00Z")
    assert minute_key(SERIES, bar.open_time_s) == b"binance|BTCUSDT|trade|2024-08-09T12:00:00Z"


def test_the_payload_of_a_rejected_record_is_cut() -> None:
    """A message of a megabyte would be refused by the broker."""
    raw = b'{"run":"%b","seq":3,"recv":5000000,"venue":"binance","text":"%b"}' % (RUN.encode(), b"x" * 100_000)
    envelope = read_envelope(raw)
    assert envelope
    message = quarantined(Rejected("malformed_json", "p"), envelope, raw, 2, 9)
    assert base64.b64decode(message.b64) == b"x" * 65_536
    assert (message.size, message.sha256) == (100_000, hashlib.sha256(b"x" * 100_000).hexdigest())
    assert (message.source.run, message.source.seq, message.source.partition, message.source.offset) == (RUN, 3, 2, 9)
    assert (message.reason, message.field, message.ingest_ts) == ("malformed_json", "p", 5)


def test_a_record_that_was_cut_before_keeps_the_size_of_the_whole() -> None:
    """The size and hash of the first 64 KiB would pass for those of the message."""
    digest = "ab" * 32
    raw = b'{"run":"%b","seq":3,"recv":null,"size":5000000,"sha256":"%b","b64":"eHg="}' % (
        RUN.encode(),
        digest.encode(),
    )
    envelope = read_envelope(raw)
    assert envelope
    message = quarantined(Rejected("oversize"), envelope, raw, 0, 0)
    assert (message.size, message.sha256, message.b64) == (5_000_000, digest, "eHg=")


def test_what_is_no_record_is_kept_as_it_is() -> None:
    """The payload of an envelope that can't be read is the whole value."""
    message = quarantined(Rejected("malformed_json"), Envelope(RUN, 1), b"\xff\x00", 0, 1)
    assert (base64.b64decode(message.b64), message.size) == (b"\xff\x00", 2)

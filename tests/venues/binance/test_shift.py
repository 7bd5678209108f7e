"""The times of a message, moved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import AGG, AGG_CSV, CSV, ROW, TRADE, USDM
from tradecap.market.records import Trade
from tradecap.venues.binance.plain import decode
from tradecap.venues.binance.shift import moved

MICROSECONDS = TRADE.replace(b"1723161255611", b"1723161255611123")
MESSAGES = [
    (TRADE, "trade"),
    (AGG, "aggTrade"),
    (USDM, "trade"),
    (ROW, "trade"),
    (CSV, "trade"),
    (AGG_CSV, "aggTrade"),
    (MICROSECONDS, "trade"),
]


def read(payload: bytes, channel: str) -> Trade:
    reading = decode(payload, "", "ETHUSDT", channel)
    assert isinstance(reading, Trade)
    return reading


@pytest.mark.parametrize(("payload", "channel"), MESSAGES)
@given(by_ms=st.integers(-(10**10), 10**11))
def test_a_moved_trade_differs_in_its_times_alone(payload: bytes, channel: str, by_ms: int) -> None:
    """`replay --now` would change prices, ids or the unit of a time, and the copy would be no recording any more."""
    before, after = read(payload, channel), read(moved(payload, channel, by_ms * 1000), channel)
    later = before.event_time_us + by_ms * 1000 if before.event_time_us else 0
    assert (after.trade_time_us, after.event_time_us) == (before.trade_time_us + by_ms * 1000, later)
    assert moved(moved(payload, channel, by_ms * 1000), channel, -by_ms * 1000) == payload


def test_a_price_that_looks_like_a_time_is_left_alone() -> None:
    """A number of 13 digits in another member would be moved with the times."""
    odd = TRADE.replace(b'"t":1520538925', b'"t":1723161255611')
    assert b'"t":1723161255611' in moved(odd, "trade", 5000)
    assert moved(odd, "trade", 0) == odd


@pytest.mark.parametrize(
    ("payload", "channel", "expected"),
    [
        (
            b'{"E":1723204860001,"t":1723204860000,"T":1723204860000}',
            "trade",
            b'{"E":1723204860006,"t":1723204860000,"T":1723204860005}',
        ),
        (b'{"T":1723204860000123,"m":true}', "trade", b'{"T":1723204860005123,"m":true}'),
        (b' {"T":1723204860000}', "trade", b' {"T":1723204860005}'),
        (b'{"id":1,"time":1723204860000}', "trade", b'{"id":1,"time":1723204860005}'),
        (b"1,2.0,3.0,6.0,1723204860000,true,true", "trade", b"1,2.0,3.0,6.0,1723204860005,true,true"),
        (b"1,2.0,3.0,4,5,1723204860000,true,true", "aggTrade", b"1,2.0,3.0,4,5,1723204860005,true,true"),
    ],
)
def test_every_time_moves_and_nothing_else_does(payload: bytes, channel: str, expected: bytes) -> None:
    """A moved recording would keep an old time, or get ids and prices that the venue never sent."""
    assert moved(payload, channel, 5_000) == expected

"""Where the numbers of a message are in its bytes."""

import pytest

from tests.cases import AGG, AGG_CSV, COMBINED, CSV, LEGACY, OFF_BOOK, TRADE, USDM
from tradecap.market.records import Trade
from tradecap.venues.binance.fields import numbers_of
from tradecap.venues.binance.plain import decode


@pytest.mark.parametrize(
    ("payload", "channel"),
    [(TRADE, "trade"), (COMBINED, "trade"), (LEGACY, "trade"), (USDM, "trade"), (AGG, "aggTrade")],
)
def test_the_digits_there_are_the_numbers_of_the_trade(payload: bytes, channel: str) -> None:
    """Millions of lines would be read by the digits of another member."""
    numbers, trade = numbers_of(payload, channel), decode(payload)
    assert numbers is not None
    assert isinstance(trade, Trade)
    texts = {name: payload[first:end] for name, (first, end) in numbers.spans.items()}
    amounts = [int(texts[name] + texts[f"{name}_fraction"].ljust(8, b"0")) for name in ("price", "qty")]
    assert amounts == [trade.price, trade.qty]
    assert [int(texts[name]) for name in ("id", "time_ms", "event_ms")] == [
        trade.id,
        trade.trade_time_us // 1000,
        trade.event_time_us // 1000,
    ]
    assert [int(texts.get(name, texts["id"])) for name in ("first", "last")] == [trade.first_id, trade.last_id]
    assert (numbers.since_ms, numbers.until_ms) == (1_262_304_000_000, 4_133_980_800_000), "2010 to 2100"


@pytest.mark.parametrize(
    ("payload", "channel"),
    [
        (TRADE, "kline"),
        (TRADE, "aggTrade"),
        (AGG.replace(b'"f":7,', b""), "aggTrade"),
        (TRADE.replace(b'"t":1520538925', b'"t":1520538925,"t":1520538925'), "trade"),
        (TRADE.replace(b'"m":true', b'"z":5,"m":true'), "trade"),
        (TRADE.replace(b'"t":1520538925', b'"t":"1520538925"'), "trade"),
        (TRADE.replace(b"2683.80000000", b"2683"), "trade"),
        (TRADE.replace(b"2683.80000000", b"26830000.80000000"), "trade"),
        (TRADE.replace(b"2683.80000000", b"2683.800000001"), "trade"),
        (OFF_BOOK, "trade"),
        (CSV, "trade"),
        (AGG_CSV, "aggTrade"),
        (b"", "trade"),
    ],
)
def test_an_unusual_shape_has_no_places(payload: bytes, channel: str) -> None:
    """A message with a repeated, missing or unknown member would be read without the strict checks."""
    assert numbers_of(payload, channel) is None

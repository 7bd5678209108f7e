"""Bars as protobuf messages."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON_S
from tradecap.flows.candles import ShownCandle
from tradecap.flows.joined import KnownSeries
from tradecap.flows.watching import Past
from tradecap.market.trade_ids import TradeIds
from tradecap.serve.proto import market_pb2 as pb
from tradecap.serve.wire import numbered, past_message, series_of

SERIES = ("binance", "BTCUSDT", "trade")
CANDLE = ShownCandle(
    open_time=datetime.fromtimestamp(NOON_S, UTC),
    open="1.5",
    high="9",
    low="0.00000001",
    close="2",
    volume="3",
    quote_volume="4.5",
    trades=5,
    taker_buy_volume="6",
    taker_buy_quote_volume="7",
    vwap=1.25,
    volatility=0.5,
    first_id=8,
    last_id=12,
    complete=True,
)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_a_number_put_in_front_is_a_field_of_the_message(sequence: int, skipped: int) -> None:
    """A client would miss an update without a gap in its sequence, or take the stream for broken."""
    message = past_message(Past(series=SERIES, candle=CANDLE, revision=7, is_closed=True), 300)
    read = pb.StreamBarsResponse.FromString(numbered(message, sequence, skipped))
    whole = pb.StreamBarsResponse.FromString(message)
    assert (read.sequence, read.skipped) == (sequence, skipped)
    whole.sequence, whole.skipped = sequence, skipped
    assert read == whole


def test_a_bar_has_each_value_in_its_own_field() -> None:
    """High and low taken for each other are a plausible chart of nothing."""
    read = pb.StreamBarsResponse.FromString(
        past_message(Past(series=SERIES, candle=CANDLE, revision=7, is_closed=False), 300)
    )
    assert (read.history, read.closed, read.revision) == (True, False, 7)
    bar = read.bar
    assert (bar.venue, bar.symbol, bar.channel, bar.interval, bar.open_time.seconds) == (*SERIES, "5m", NOON_S)
    for name in vars(CANDLE):
        if name != "open_time":
            assert getattr(bar, name) == getattr(CANDLE, name), name


def test_a_series_counts_its_gaps_and_what_is_missing_in_them() -> None:
    """A client would believe that nothing is missing."""
    found = series_of(
        KnownSeries(
            series=SERIES, ids=TradeIds([(5, 6), (8, 8), (20, 29)]), first_time_us=1_000_001, last_time_us=2_000_002
        )
    )
    assert (found.first_id, found.last_id, found.gaps, found.missing) == (5, 29, 2, 12)
    assert found.first_time.ToMicroseconds() == 1_000_001
    assert found.last_time.ToMicroseconds() == 2_000_002
    empty = series_of(KnownSeries(series=SERIES, ids=TradeIds(), first_time_us=0, last_time_us=0))
    assert (empty.first_id, empty.last_id, empty.gaps, empty.missing) == (0, 0, 0, 0)

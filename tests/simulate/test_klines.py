"""Klines of all intervals, from exact minutes."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOON_S, a_trade
from tests.simulate.builders import an_entry, some_entries
from tradecap.market.candles import candles
from tradecap.market.records import Trade
from tradecap.simulate.klines import INTERVALS, Minutes, following, klines, opening, zone_offset_s
from tradecap.simulate.market_data import Market

DAY_S = 86_400
BY_DAY = {"1m": 60, "3m": 180, "15m": 900, "1h": 3600, "4h": 14_400, "1d": DAY_S}


def minutes_of(trades: list[Trade]) -> Minutes:
    minutes = Minutes()
    for trade in trades:
        minutes.add(trade)
    return minutes


@st.composite
def some_trades(draw: st.DrawFn) -> list[Trade]:
    steps = draw(
        st.lists(
            st.tuples(st.integers(0, 500), st.integers(1, 10**9), st.integers(1, 10**6), st.booleans()),
            min_size=1,
            max_size=60,
        )
    )
    trades, at_s = [], NOON_S
    for number, (later_s, price, qty, maker) in enumerate(steps):
        at_s += later_s
        trades.append(a_trade(id=number, price=price, qty=qty, is_buyer_maker=maker, trade_time_us=at_s * 10**6))
    return trades


@settings(deadline=None)
@given(some_trades(), st.sampled_from(sorted(BY_DAY)))
def test_klines_are_the_candles_of_the_same_trades(trades: list[Trade], interval: str) -> None:
    """verify's comparison with klines would fail on sound data, or pass on wrong data."""
    rows = [kline.row(micro=False) for kline in klines(minutes_of(trades), interval, trades[-1].trade_time_us // 10**6)]
    exact = {candle.open_time_s * 1000: candle for candle in candles(trades, BY_DAY[interval])}
    for row in rows:
        candle = exact.pop(int(str(row[0])), None)
        if candle is None:
            assert row[8] == 0
            continue
        units = [int(str(value).replace(".", "")) for value in (*row[1:6], row[7], row[9], row[10])]
        prices, volumes = units[:4], units[4:]
        assert prices == [candle.open, candle.high, candle.low, candle.close]
        sums = (candle.quote_volume // 10**8, candle.taker_buy_volume, candle.taker_buy_quote_volume // 10**8)
        assert volumes == [candle.volume, *sums]
        assert row[8] == candle.trades
    assert not exact


@settings(deadline=None)
@given(some_trades())
def test_no_interval_is_left_out_and_an_empty_one_keeps_the_close(trades: list[Trade]) -> None:
    """A client that counts minutes would run out of step in a quiet market."""
    answer = [*klines(minutes_of(trades), "1m", trades[-1].trade_time_us // 10**6 + 200)]
    assert [kline.open_s for kline in answer] == list(range(answer[0].open_s, answer[0].open_s + 60 * len(answer), 60))
    for before, after in pairwise(answer):
        if not after.parts:
            assert after.open == after.high == after.low == after.close == before.close
            inner = after.message("BTCUSDT", 0, micro=False, is_closed=True)["k"]
            assert isinstance(inner, dict)
            assert (inner["f"], inner["L"], inner["n"], inner["v"]) == (-1, -1, 0, "0.00000000")


@settings(deadline=None)
@given(some_trades(), st.integers(0, 59))
def test_how_trades_are_folded_changes_nothing(trades: list[Trade], cut: int) -> None:
    """A kline would depend on when somebody asked for it."""
    asked = minutes_of(trades[:cut])
    asked.candles()
    for trade in trades[cut:]:
        asked.add(trade)
    # volatility is a float sum: the order of folding may show in its last digit, and klines don't tell it
    assert [k.row(True) for k in klines(asked, "1m", 0)] == [k.row(True) for k in klines(minutes_of(trades), "1m", 0)]


@settings(deadline=None)
@given(some_trades(), st.integers(-3, 200), st.integers(0, 200))
def test_seconds_are_of_the_trades_that_are_remembered(trades: list[Trade], since: int, length: int) -> None:
    """A kline of one second would differ from its trades, or depend on where the request begins."""
    market = Market(["BTCUSDT"])
    for trade in trades:
        market.add(an_entry(trade))
    since_s, until_s = NOON_S + since, NOON_S + since + length
    parts = market.parts("BTCUSDT", "1s", since_s, until_s, 1_000)
    found = [kline for kline in klines(parts, "1s", until_s, since_s=since_s) if kline.open_s <= until_s]
    first_s = max(since_s, trades[0].trade_time_us // 10**6)
    assert [kline.open_s for kline in found] == [*range(first_s, until_s + 1)]
    for kline in found:
        within = [trade for trade in trades if trade.trade_time_us // 10**6 == kline.open_s]
        before = [trade.price for trade in trades if trade.trade_time_us // 10**6 < kline.open_s]
        prices = [trade.price for trade in within] or before[-1:]
        assert (kline.open, kline.high, kline.low, kline.close) == (prices[0], max(prices), min(prices), prices[-1])
        assert sum(part.volume for part in kline.parts) == sum(trade.qty for trade in within)


def test_a_second_of_which_trades_are_forgotten_is_left_out() -> None:
    """A kline would be sent that lacks the first of its trades."""
    market = Market(["BTCUSDT"], keep=10)
    for entry in some_entries(2_000, every_ms=300):
        market.add(entry)
    history = market.history("BTCUSDT", "trade")
    assert history is not None
    (oldest,) = history.from_id(0, 1)
    parts = market.parts("BTCUSDT", "1s", 0, NOON_S + 600, 10**6)
    first = next(iter(klines(parts, "1s", NOON_S + 600, since_s=oldest.trade_time_us // 10**6 + 1)))
    assert sum(part.trades for part in first.parts) == 3


def utc(*day: int) -> int:
    return int(datetime(*day, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]  # mypy has no tuples of three or four


@pytest.mark.parametrize(
    ("interval", "time", "offset_h", "opens", "next_opens"),
    [
        ("1w", utc(2024, 8, 9, 12), 0, utc(2024, 8, 5), utc(2024, 8, 12)),
        ("1M", utc(2024, 8, 9, 12), 0, utc(2024, 8, 1), utc(2024, 9, 1)),
        ("1M", utc(2024, 12, 31, 23), 0, utc(2024, 12, 1), utc(2025, 1, 1)),
        ("1M", utc(2024, 1, 31, 20), 8, utc(2024, 1, 31, 16), utc(2024, 2, 29, 16)),
        ("1d", utc(2024, 8, 9, 17), 8, utc(2024, 8, 9, 16), utc(2024, 8, 10, 16)),
        ("3d", utc(1970, 1, 8), 0, utc(1970, 1, 7), utc(1970, 1, 10)),
        ("4h", utc(2024, 8, 9, 7), 1, utc(2024, 8, 9, 7), utc(2024, 8, 9, 11)),
    ],
)
def test_where_intervals_begin(interval: str, time: int, offset_h: int, opens: int, next_opens: int) -> None:
    """Weeks, months and zones would be cut where the venue doesn't cut them."""
    assert opening(interval, time, offset_h * 3600) == opens
    assert following(interval, opens, offset_h * 3600) == next_opens


@settings(deadline=None)
@given(st.sampled_from(sorted(INTERVALS)), st.integers(0, 4 * 10**9), st.integers(-12 * 4, 14 * 4))
def test_each_moment_is_in_one_interval(interval: str, time_s: int, quarters: int) -> None:
    """A trade would belong to two klines, or to none."""
    offset_s = quarters * 900
    begin = opening(interval, time_s, offset_s)
    end = following(interval, begin, offset_s)
    assert begin <= time_s < end
    assert opening(interval, end - 1, offset_s) == begin
    assert opening(interval, end, offset_s) == end


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("8", 28_800), ("-1:00", -3600), ("05:45", 20_700), ("+14:00", 50_400), ("-12", -43_200)],
)
def test_time_zones(text: str, seconds: int) -> None:
    """A documented way to write a zone would be refused."""
    assert zone_offset_s(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "-13:00", "5:60", "UTC", "1:2:3", "٣"])
def test_what_is_no_time_zone(text: str) -> None:
    """Klines would be cut at boundaries nobody asked for."""
    assert zone_offset_s(text) is None

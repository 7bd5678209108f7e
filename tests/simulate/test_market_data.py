"""What REST answers from."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_trade
from tests.simulate.builders import NOON_US, an_entry, some_entries
from tradecap.market.records import Trade
from tradecap.simulate.market_data import History, Market

ids = st.sets(st.integers(0, 200), min_size=1, max_size=80)


def history_of(trades: list[Trade], keep: int = 10**6) -> History:
    history = History(trades[0], keep)
    for trade in trades:
        history.add(trade)
    return history


def trades_of(numbers: set[int]) -> list[Trade]:
    """Two ids share a millisecond."""
    return [
        a_trade(id=n, trade_time_us=NOON_US + n // 2 * 1000, event_time_us=NOON_US + n // 2 * 1000)
        for n in sorted(numbers)
    ]


@settings(deadline=None)
@given(ids, st.integers(0, 210), st.integers(1, 90))
def test_by_id(numbers: set[int], from_id: int, limit: int) -> None:
    """A gap repaired with fromId would stay open or be filled twice."""
    trades = trades_of(numbers)
    assert history_of(trades).from_id(from_id, limit) == [trade for trade in trades if trade.id >= from_id][:limit]
    assert history_of(trades).newest(limit) == trades[-limit:]


@settings(deadline=None)
@given(ids, st.one_of(st.none(), st.integers(0, 105)), st.one_of(st.none(), st.integers(0, 105)), st.integers(1, 90))
def test_by_time(numbers: set[int], start: int | None, end: int | None, limit: int) -> None:
    """A window would lose the trades of its first or last millisecond."""
    trades = trades_of(numbers)
    start_us = None if start is None else NOON_US + start * 1000
    end_us = None if end is None else NOON_US + end * 1000 + 999
    inside = [
        t
        for t in trades
        if (start_us is None or t.trade_time_us >= start_us) and (end_us is None or t.trade_time_us <= end_us)
    ]
    expected = inside[-limit:] if start is None else inside[:limit]
    assert history_of(trades).within(start_us, end_us, limit) == expected


def test_what_is_too_old_is_forgotten() -> None:
    """A day of simulating would fill the memory."""
    history = history_of([a_trade(id=n) for n in range(20_000)], keep=1_000)
    assert 1_000 <= len(history) <= 2_001
    assert history.from_id(0, 1)[0].id >= 18_000
    assert [trade.id for trade in history.newest(2)] == [19_998, 19_999]


def test_numbers_beyond_64_bits_stay_exact() -> None:
    """A trade of 10^12 PEPE would end the exchange."""
    whale = a_trade(qty=10**20 + 1)
    assert history_of([whale]).newest(1) == [whale]


def test_nothing_is_known_before_it_was_traded() -> None:
    """A client could see the future."""
    market = Market(["BTCUSDT"])
    entries = some_entries(3)
    assert market.history("BTCUSDT", "trade") is None
    assert not market.minutes("BTCUSDT")
    market.add(entries[0])
    assert market.last_id("btcusdt@trade") == 1
    assert market.trades == 1


def test_minutes_are_of_trades_where_there_are_any() -> None:
    """Klines of a symbol with both channels would count everything twice."""
    market = Market()
    market.add(an_entry(channel="aggTrade", first_id=1, last_id=1))
    market.add(an_entry(id=1))
    market.add(an_entry(id=8, channel="aggTrade", first_id=1, last_id=1))
    assert market.trades == 2
    assert [candle.trades for candle in market.minutes("BTCUSDT").candles().values()] == [1]

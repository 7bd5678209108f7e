"""Candles are exact, the same in any order of arrival, and look whole only when they are."""

from itertools import pairwise
from math import isclose, isnan, log

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON_S, a_trade
from tradecap.market.candles import Candle, candles, check_interval, every_interval, roll_up, shown
from tradecap.market.records import Trade

UNIT = 10**8
INTERVALS = st.sampled_from([60, 300, 3600, 86_400])
PRICES = st.integers(1, 1_000) | st.integers(10**18 - 1_000, 10**18 - 1)


def at(second: float, **overrides: int | str | bool) -> Trade:
    """A trade this many seconds after noon."""
    return a_trade(trade_time_us=NOON_S * 10**6 + round(second * 10**6), **overrides)


@st.composite
def streams(draw: st.DrawFn, least_step_s: int = 0, least_size: int = 0) -> list[Trade]:
    """Trades of one series as a venue would send them: ids +1 from anywhere, a few minutes. With a negative least step,
    T goes back at times."""
    rows = st.tuples(st.integers(least_step_s, 40), PRICES, st.integers(1, 10**15), st.booleans(), st.booleans())
    drawn, first_id = draw(st.lists(rows, min_size=least_size, max_size=30)), draw(st.integers(0, 3))
    second, trades = 0, []
    for trade_id, (step_s, price, qty, is_buyer_maker, order_book) in enumerate(drawn, first_id):
        second += step_s
        trades.append(
            at(second, id=trade_id, price=price, qty=qty, is_buyer_maker=is_buyer_maker, order_book=order_book)
        )
    return trades


def without_volatility(found: list[Candle]) -> list[Candle]:
    """All that must be equal bit for bit."""
    return [msgspec.structs.replace(candle, volatility_sq=0.0) for candle in found]


# ---- what a candle says ----------------------------------------------------------------------------------------------


def test_a_candle_says_what_was_traded() -> None:
    """Any of these numbers would differ from the venue's own kline."""
    trades = [
        at(1, id=5, price=100 * UNIT, qty=2 * UNIT, is_buyer_maker=False),
        at(2, id=6, price=130 * UNIT, qty=1 * UNIT, is_buyer_maker=True),
        at(3, id=7, price=90 * UNIT, qty=3 * UNIT, is_buyer_maker=True),
        at(4, id=8, price=110 * UNIT, qty=4 * UNIT, is_buyer_maker=False),
    ]
    assert without_volatility(candles(trades)) == [
        Candle(
            open_time_s=NOON_S,
            interval_s=60,
            open=100 * UNIT,
            high=130 * UNIT,
            low=90 * UNIT,
            close=110 * UNIT,
            volume=10 * UNIT,
            quote_volume=1_040 * UNIT**2,
            trades=4,
            taker_buy_volume=6 * UNIT,
            taker_buy_quote_volume=640 * UNIT**2,
            volatility_sq=0.0,
            open_id=5,
            close_id=8,
            first_id=5,
            last_id=8,
            ids=4,
            complete=False,
        )
    ]


def test_volatility_and_vwap_are_those_of_the_trades() -> None:
    """A chart would show another mean or another risk than the trades had."""
    (candle,) = candles([at(1, id=1, price=100, qty=10), at(2, id=2, price=110, qty=30), at(3, id=3, price=99, qty=10)])
    assert candle.vwap == (100 * 10 + 110 * 30 + 99 * 10) / 50 / UNIT
    assert isclose(candle.volatility, (log(1.1) ** 2 + log(0.9) ** 2) ** 0.5, rel_tol=1e-12)


def test_a_price_that_moved_by_its_last_digit_has_volatility() -> None:
    """Two close prices taken as floats are equal: all of a calm minute's volatility would vanish."""
    (candle,) = candles([at(1, id=1, price=10**18 - 2), at(2, id=2, price=10**18 - 1)])
    assert isclose(candle.volatility, 1e-18)


def test_the_deepest_fall_has_a_volatility() -> None:
    """Two valid prices far enough apart would end every look at that minute, as log1p(-1) isn't a number."""
    (candle,) = candles([at(1, id=1, price=10**18 - 1), at(2, id=2, price=1)])
    assert isclose(candle.volatility, 18 * log(10))


def test_sums_are_exact_beyond_any_float() -> None:
    """A quote volume would be rounded in its last digits, and differ from the venue's."""
    (candle,) = candles([at(1, id=1, price=10**18 - 1, qty=10**9 - 1), at(2, id=2, price=1, qty=1)])
    assert candle.quote_volume == (10**18 - 1) * (10**9 - 1) + 1


def test_a_trade_belongs_to_the_minute_of_its_time() -> None:
    """The last trade of a minute would be reported as the first of the next."""
    trades = [at(59.999_999, id=1), at(60, id=2)]
    assert [(candle.open_time_s, candle.first_id) for candle in candles(trades)] == [(NOON_S, 1), (NOON_S + 60, 2)]


def test_a_day_begins_at_midnight_utc() -> None:
    """Daily candles would begin at the hour the capture began."""
    assert [candle.open_time_s for candle in candles([at(0)], 86_400)] == [NOON_S - 43_200]


def test_open_and_close_go_by_id_not_by_time() -> None:
    """Trades of one burst share their millisecond, and times may fall: the open would be anyone's."""
    trades = [at(30, id=1, price=10), at(20, id=2, price=20), at(10, id=3, price=30)]
    assert [(candle.open, candle.close) for candle in candles(trades)] == [(10, 30)]


def test_of_records_with_one_id_the_first_given_is_the_trade() -> None:
    """A conflicting record would change a price that was already shown."""
    trades = [at(1, id=1, price=10), at(61, id=1, price=99), at(2, id=2, price=20)]
    assert [(candle.open, candle.high, candle.ids) for candle in candles(trades)] == [(10, 20, 2)]


def test_an_aggregate_counts_its_fills_as_trades_and_itself_as_an_id() -> None:
    """The count of trades would not be the venue's, or no candle of aggregates would ever be complete."""
    trades = [
        at(1, id=5, channel="aggTrade", first_id=100, last_id=103),
        at(2, id=6, channel="aggTrade", first_id=104, last_id=104),
    ]
    assert [(candle.trades, candle.first_id, candle.last_id, candle.ids) for candle in candles(trades)] == [
        (5, 5, 6, 2)
    ]


def test_a_trade_outside_the_book_counts_as_an_id_only() -> None:
    """The price 0 of an insurance-fund trade would be the low of its minute, or its id a gap."""
    trades = [
        at(1, id=1, price=0, qty=0, order_book=False),
        at(2, id=2, price=10, qty=1),
        at(3, id=3, price=99, qty=1, order_book=False),
        at(4, id=4, price=20, qty=2),
        at(5, id=5, price=0, qty=0, order_book=False),
    ]
    (candle,) = candles(trades)
    assert (candle.open, candle.high, candle.low, candle.close, candle.volume, candle.quote_volume, candle.trades) == (
        10,
        20,
        10,
        20,
        3,
        50,
        2,
    )
    assert (candle.open_id, candle.close_id, candle.first_id, candle.last_id, candle.ids) == (2, 4, 1, 5, 5)
    assert isclose(candle.volatility, log(2))


def test_no_trades_are_no_candles() -> None:
    """A series that is only named would show an empty minute."""
    assert candles([]) == []
    assert roll_up([], 300) == []


@pytest.mark.parametrize("other", [{"venue": "binance-us"}, {"symbol": "ETHUSDT"}, {"channel": "aggTrade"}])
def test_several_series_in_one_candle_are_refused(other: dict[str, str]) -> None:
    """Ids of two series mean different things: a candle of both would drop trades as repeats."""
    with pytest.raises(ValueError, match="one series"):
        candles([at(1, id=1), at(1, id=1, **other)])


@pytest.mark.parametrize("seconds", [60, 300, 3_600, 5_400, 86_400])
def test_an_interval_is_a_multiple_of_a_minute_that_divides_a_day(seconds: int) -> None:
    """A usual interval would be refused."""
    check_interval(seconds)


@pytest.mark.parametrize("seconds", [0, -60, 1, 90, 420, 172_800])
def test_an_interval_that_drifts_over_the_day_is_refused(seconds: int) -> None:
    """Candles of two days would begin at different times of day and could not be compared."""
    with pytest.raises(ValueError, match=f"not {seconds} s"):
        check_interval(seconds)
    with pytest.raises(ValueError, match=f"not {seconds} s"):
        candles([at(1)], seconds)
    with pytest.raises(ValueError, match=f"not {seconds} s"):
        roll_up([], seconds)


# ---- complete --------------------------------------------------------------------------------------------------------


def is_complete(*trades: Trade) -> list[bool]:
    """Whether each candle is complete."""
    return [candle.complete for candle in candles(trades)]


def test_a_candle_between_its_neighbours_is_complete() -> None:
    """No candle would ever be shown as final."""
    assert is_complete(at(1, id=5), at(61, id=6), at(62, id=7), at(3_600, id=8)) == [False, True, False]


def test_the_first_trade_a_series_ever_had_needs_none_before_it() -> None:
    """The first minute of a new symbol would never be final."""
    assert is_complete(at(1, id=0), at(61, id=1)) == [True, False]


def test_a_candle_that_lost_its_last_trade_does_not_look_whole() -> None:
    """Losing the last trade of a minute would show a wrong close as final."""
    assert is_complete(at(1, id=5), at(61, id=6), at(121, id=8), at(181, id=9)) == [False, False, False, False]


def test_a_candle_that_lost_a_trade_inside_does_not_look_whole() -> None:
    """Losing a trade inside a minute would show a wrong volume as final."""
    assert is_complete(at(1, id=5), at(61, id=6), at(62, id=8), at(121, id=9)) == [False, False, False]


def test_an_interval_without_book_trades_is_not_shown_but_joins_its_neighbours() -> None:
    """An insurance-fund trade alone in its minute would make both minutes next to it look broken."""
    assert is_complete(at(1, id=0), at(61, id=1, price=0, qty=0, order_book=False), at(121, id=2), at(181, id=3)) == [
        True,
        True,
        False,
    ]


@given(streams(least_size=8), st.data(), INTERVALS)
def test_what_looks_whole_is_whole(trades: list[Trade], data: st.DataObject, interval_s: int) -> None:
    """A stream cut anywhere, with trades lost anywhere, would show a wrong candle as final."""
    lost = data.draw(st.sets(st.sampled_from([trade.id for trade in trades]), min_size=1, max_size=3))
    whole = {candle.open_time_s: candle for candle in candles(trades, interval_s)}
    for candle in candles([trade for trade in trades if trade.id not in lost], interval_s):
        assert not candle.complete or candle == whole[candle.open_time_s]


@given(streams())
def test_nothing_lost_is_complete_but_at_the_ends(trades: list[Trade]) -> None:
    """A healthy capture would look broken."""
    begins_at_0 = trades[:1] == [trade for trade in trades if trade.id == 0]
    found = every_interval(trades)
    assert all(candle.complete for candle in found[0 if begins_at_0 else 1 : -1])


# ---- any order -------------------------------------------------------------------------------------------------------


@given(streams(least_step_s=-40), st.data(), INTERVALS)
def test_shuffled_and_repeated_trades_give_the_same_candles(
    trades: list[Trade], data: st.DataObject, interval_s: int
) -> None:
    """Late, repeated or reordered trades would change a candle."""
    repeats = data.draw(st.lists(st.sampled_from(trades))) if trades else []
    assert candles(data.draw(st.permutations(trades + repeats)), interval_s) == candles(trades, interval_s)


@given(streams(least_step_s=-40), st.data())
def test_a_stream_cut_anywhere_and_taken_up_again_gives_the_same_candles(
    trades: list[Trade], data: st.DataObject
) -> None:
    """A capture that was cut and went on a little before the cut would differ from one that ran through."""
    cut = data.draw(st.integers(0, len(trades)))
    again = data.draw(st.integers(0, cut))
    assert candles(trades[:cut] + trades[again:]) == candles(trades)


# ---- roll-up ---------------------------------------------------------------------------------------------------------


@given(streams(least_step_s=-40), INTERVALS)
def test_a_roll_up_is_exact_even_where_minutes_interleave(trades: list[Trade], interval_s: int) -> None:
    """The hour shown from minutes would be another than the hour made of trades."""
    rolled = roll_up(every_interval(trades), interval_s)
    fresh = every_interval(trades, interval_s)
    assert without_volatility(rolled) == without_volatility(fresh)
    assert without_volatility(shown(rolled)) == without_volatility(candles(trades, interval_s))


@given(streams(), INTERVALS)
def test_the_volatility_of_a_roll_up_is_that_of_the_trades(trades: list[Trade], interval_s: int) -> None:
    """The jumps from one minute to the next would be missing from the volatility of the hour."""
    for rolled, fresh in zip(
        roll_up(every_interval(trades), interval_s), every_interval(trades, interval_s), strict=True
    ):
        assert isclose(rolled.volatility_sq, fresh.volatility_sq, rel_tol=1e-9)


def test_volatility_passes_over_a_minute_without_book_trades() -> None:
    """The price 0 of an interval that only holds ids would make the volatility of the hour infinite."""
    trades = [at(1, id=1, price=100), at(61, id=2, price=0, qty=0, order_book=False), at(121, id=3, price=110)]
    assert [candle.volatility for candle in roll_up(every_interval(trades), 300)] == [pytest.approx(log(1.1))]


def test_a_roll_up_of_a_roll_up_is_the_same() -> None:
    """An hour from five-minute candles would differ from one made of minutes."""
    minutes = every_interval([at(40 * number, id=number, price=100 + number % 7) for number in range(1, 200)])
    twice = roll_up(roll_up(minutes, 300), 3_600)
    assert without_volatility(twice) == without_volatility(roll_up(minutes, 3_600))


def test_intervals_come_in_order_of_time() -> None:
    """Neighbours would be taken for each other, and a chart would run back."""
    minutes = every_interval([at(61 * number, id=number) for number in range(50)])
    assert all(before.open_time_s < after.open_time_s for before, after in pairwise(minutes))
    assert roll_up(minutes[::-1], 300) == roll_up(minutes, 300)


def test_an_interval_with_no_book_trade_at_all_has_no_price() -> None:
    """A division by zero would end a look at a quiet symbol."""
    (interval,) = every_interval([at(1, price=0, qty=0, order_book=False)])
    assert isnan(interval.vwap)
    assert (interval.open, interval.trades, interval.volatility, interval.ids) == (0, 0, 0.0, 1)
    assert shown([interval]) == []


@pytest.mark.parametrize(("parts_s", "whole_s"), [(300, 60), (1_800, 2_700)])
def test_intervals_that_do_not_add_up_are_refused(parts_s: int, whole_s: int) -> None:
    """A candle would hold trades of the hour after it."""
    with pytest.raises(ValueError, match="add up"):
        roll_up(every_interval([at(1)], parts_s), whole_s)

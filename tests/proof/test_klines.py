"""The venue's klines against our candles: what is compared, what can't be, and what differs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_trade
from tradecap.market.candles import Candle, candles, every_interval
from tradecap.market.klines import DECIMALS, Kline
from tradecap.proof.klines import MAX_NAMED, BarDifference, Comparison, HeldBar, Published, compare, klines_equal

BTC = 10**8
VALUES: dict[str, Any] = {
    "open": 100 * BTC,
    "high": 103 * BTC,
    "low": 99 * BTC,
    "close": 101 * BTC,
    "volume": 7 * BTC,
    "quote_volume": 705 * BTC * BTC,
    "trades": 10,
    "taker_buy_volume": 3 * BTC,
    "taker_buy_quote_volume": 302 * BTC * BTC,
}


def a_kline(minute: int, **overrides: Any) -> Kline:
    """A kline of ten trades."""
    return Kline(open_time_s=60 * minute, interval_s=60, **VALUES | overrides)


def an_empty_kline(minute: int) -> Kline:
    """As the venue sends it: no trades, at the price of the close before."""
    return a_kline(minute, **dict.fromkeys(DECIMALS, 0) | dict.fromkeys(("open", "high", "low", "close"), 101 * BTC))


def a_bar(minute: int, first_id: int, last_id: int, **overrides: Any) -> HeldBar:
    """Our bar of the same ten trades."""
    return HeldBar(open_time_s=60 * minute, interval_s=60, first_id=first_id, last_id=last_id, **VALUES | overrides)


def outcome(klines: list[Kline], bars: list[HeldBar]) -> Comparison:
    """What became of them."""
    into = Comparison()
    compare(klines, bars, into)
    return into


def counts(klines: list[Kline], bars: list[HeldBar]) -> tuple[int, int, int, int]:
    """(compared, differing, partial, absent)."""
    found = outcome(klines, bars)
    return found.compared, found.differing, found.partial, found.absent


WHOLE = [a_bar(0, 91, 100), a_bar(1, 101, 110), a_bar(2, 111, 120)]


def test_a_bar_with_the_same_nine_values_is_equal() -> None:
    """Right candles would look wrong."""
    assert outcome([a_kline(1)], WHOLE) == Comparison(compared=1)


@pytest.mark.parametrize("name", DECIMALS)
def test_each_of_the_nine_values_is_compared_to_the_last_digit(name: str) -> None:
    """A wrong value would be taken for the venue's."""
    found = outcome([a_kline(1, **{name: VALUES[name] - 1})], WHOLE)
    assert (found.compared, found.differing, [d.value for d in found.differences]) == (1, 1, [name])


def test_a_difference_says_when_and_what() -> None:
    """Nobody could look the bar up."""
    found = outcome([a_kline(1, close=101 * BTC + 5)], WHOLE)
    assert found.differences == [BarDifference("1970-01-01T00:01:00Z", "close", "101", "101.00000005")]


def test_the_last_bar_of_a_recording_is_compared_when_no_trade_of_it_is_missing() -> None:
    """A recording of five minutes would prove four: the next bar, that would close the edge, isn't there."""
    assert counts([a_kline(1)], WHOLE[:2]) == (1, 0, 0, 0)


def test_a_bar_in_which_the_recording_began_or_ended_is_partial() -> None:
    """An honest recording would fail for the minutes in which it began and ended."""
    short = {"trades": 4, "volume": BTC}
    assert counts([a_kline(1)], [a_bar(1, 107, 110, **short), WHOLE[2]]) == (0, 0, 1, 0)
    assert counts([a_kline(1)], [WHOLE[0], a_bar(1, 101, 104, **short)]) == (0, 0, 1, 0)
    assert counts([a_kline(1)], [WHOLE[0], a_bar(1, 101, 104, **short), WHOLE[2]]) == (0, 0, 1, 0)


def test_a_bar_between_proven_edges_has_no_excuse() -> None:
    """Trades put into the wrong minute, or lost inside of it, would pass as the edge of a recording."""
    assert counts([a_kline(1)], [WHOLE[0], a_bar(1, 101, 110, trades=9), WHOLE[2]]) == (1, 1, 0, 0)


def test_a_bar_with_more_trades_than_the_venue_saw_differs_at_any_edge() -> None:
    """Trades counted twice would pass where the recording begins."""
    assert counts([a_kline(1)], [a_bar(1, 101, 111, trades=11)]) == (1, 1, 0, 0)


def test_the_first_bar_of_a_symbol_has_a_proven_edge() -> None:
    """Nothing is before id 0, so trades that are missing there were lost."""
    assert counts([a_kline(1)], [a_bar(1, 0, 8, trades=9), a_bar(2, 9, 18)]) == (1, 1, 0, 0)


def test_ids_that_interleave_across_an_edge_leave_none_out() -> None:
    """A trade whose time fell behind by a millisecond would open the edge."""
    assert counts([a_kline(1, trades=11)], [a_bar(0, 91, 101), a_bar(1, 100, 110), WHOLE[2]]) == (1, 1, 0, 0)


def test_an_empty_kline_equals_no_candle_where_ids_run_on() -> None:
    """Quiet symbols would fail in every minute without a trade."""
    assert counts(
        [a_kline(0), an_empty_kline(1), an_empty_kline(2), a_kline(3)], [a_bar(0, 91, 100), a_bar(3, 101, 110)]
    ) == (4, 0, 0, 0)


def test_a_minute_of_which_nothing_is_known_is_absent() -> None:
    """A minute that wasn't recorded would be proven to have been empty, or fail."""
    assert counts([an_empty_kline(1), a_kline(2)], [a_bar(0, 91, 100), a_bar(3, 151, 160)]) == (0, 0, 0, 2)
    assert counts([an_empty_kline(4), a_kline(5)], [a_bar(0, 91, 100)]) == (0, 0, 0, 2)
    assert counts([a_kline(5)], []) == (0, 0, 0, 1)


def test_a_minute_that_ids_prove_empty_differs_from_one_with_trades() -> None:
    """Trades that went into another minute would make theirs merely absent."""
    found = outcome([a_kline(1)], [a_bar(0, 91, 100), a_bar(2, 101, 110)])
    assert (found.compared, found.differing) == (1, 1)
    assert [d.value for d in found.differences] == [
        "volume",
        "quote_volume",
        "trades",
        "taker_buy_volume",
        "taker_buy_quote_volume",
    ]


def test_ids_without_an_order_book_trade_make_no_candle_and_still_prove_edges() -> None:
    """A minute of nothing but the insurance fund would differ from the venue's empty one."""
    fund = a_bar(1, 101, 102, **dict.fromkeys(DECIMALS, 0))
    assert counts([a_kline(0), an_empty_kline(1), a_kline(2)], [a_bar(0, 91, 100), fund, a_bar(2, 103, 112)]) == (
        3,
        0,
        0,
        0,
    )


def test_floats_are_compared_within_a_billionth_and_the_counts_exactly() -> None:
    """A file that went through floats could never be equal, or anything would be equal to it."""
    missing: dict[str, Any] = {"is_exact": False, "taker_buy_volume": None, "taker_buy_quote_volume": None}
    near = VALUES["quote_volume"] + VALUES["quote_volume"] // 2_000_000_000
    assert counts([a_kline(1, quote_volume=near, **missing)], WHOLE) == (1, 0, 0, 0)
    assert counts([a_kline(1, quote_volume=near + near // 500_000_000, **missing)], WHOLE) == (1, 1, 0, 0)
    assert counts([a_kline(1, trades=9, **missing)], WHOLE) == (1, 1, 0, 0)


def test_decimals_that_are_not_published_may_be_rounded_once_a_trade() -> None:
    """p x q with more than 8 decimals would differ in every bar of such a symbol; with fewer nothing may differ."""
    fine = {"open": 1, "volume": 1, "quote_volume": 123456789}
    bars = [a_bar(0, 91, 100), a_bar(1, 101, 110, **fine), a_bar(2, 111, 120)]
    assert counts([a_kline(1, **fine | {"quote_volume": 10**8})], bars) == (1, 0, 0, 0)
    assert counts([a_kline(1, **fine | {"quote_volume": 20 * 10**8})], bars) == (1, 1, 0, 0)
    assert counts([a_kline(1, quote_volume=VALUES["quote_volume"] + 10**8)], WHOLE) == (1, 1, 0, 0)


def test_differences_are_kept_up_to_a_limit_and_counted_beyond() -> None:
    """A file of the wrong symbol would fill the memory."""
    klines = [a_kline(1, open=0, high=0, low=0, close=0, volume=0)] * (MAX_NAMED // 5 + 2)
    found = outcome(klines, WHOLE)
    assert (found.differing, len(found.differences), found.unnamed) == (MAX_NAMED // 5 + 2, MAX_NAMED, 10)


@given(st.lists(st.integers(0, 90), min_size=1, max_size=60), st.data())
def test_whatever_is_cut_from_a_recording_never_differs(pauses: list[int], data: st.DataObject) -> None:
    """A recording that began late, ended early or was interrupted would seem to contradict the venue."""
    times = [sum(pauses[: n + 1]) for n in range(len(pauses))]
    trades = [
        a_trade(id=n, price=(100 + n % 7) * BTC, trade_time_us=(6000 + time) * 10**6)
        for n, time in enumerate(times, 50)
    ]
    ends = sorted(data.draw(st.lists(st.integers(0, len(trades)), min_size=4, max_size=4)))
    kept = trades[ends[0] : ends[1]] + trades[ends[2] : ends[3]]
    klines = [from_candle(Kline, candle) for candle in candles(trades)]
    is_whole = {candle.open_time_s for candle in candles(trades)} if kept == trades else set()
    bars = [
        from_candle(HeldBar, candle, first_id=candle.first_id, last_id=candle.last_id)
        for candle in every_interval(kept)
    ]
    found = outcome(klines, bars)
    is_cut_inside_a_minute = ends[1] < ends[2] and kept and is_inside(trades, ends[1], ends[2])
    assert found.differing <= bool(is_cut_inside_a_minute)
    assert found.compared + found.partial + found.absent == len(klines)
    assert found.compared >= len(is_whole)


def is_inside(trades: list[Any], first: int, last: int) -> bool:
    """Whether the trades [first, last) were cut out of the middle of one minute."""
    around = trades[max(first - 1, 0) : last + 1]
    return len({trade.trade_time_us // 60_000_000 for trade in around}) == 1


def from_candle(kind: Any, candle: Candle, **more: int) -> Any:
    """A kline, or a bar of ours."""
    return kind(
        open_time_s=candle.open_time_s, interval_s=60, **{name: getattr(candle, name) for name in DECIMALS}, **more
    )


# ---- the check -------------------------------------------------------------------------------------------------------


def published(result: Comparison, *, is_exact: bool = True) -> Published:
    """A file with this outcome."""
    return Published(
        file="BTCUSDT-1m.csv",
        sha256="",
        venue="binance",
        symbol="BTCUSDT",
        channel="trade",
        interval_s=60,
        is_exact=is_exact,
        result=result,
    )


def test_the_check_says_compared_partial_and_absent() -> None:
    """Nobody could tell a comparison of a month from one of a minute."""
    check = klines_equal([published(Comparison(compared=3, partial=1)), published(Comparison(compared=2, absent=7))])
    assert (check.ok, check.expected, check.actual, check.detail) == (True, 5, 5, "compared 5, partial 1, absent 7")


def test_nothing_compared_is_a_failure() -> None:
    """A file of another year would prove the candles."""
    check = klines_equal([published(Comparison(absent=7))])
    assert (check.ok, "nothing could be compared" in check.detail) == (False, True)
    assert check.fix


def test_one_difference_is_a_failure_and_is_named() -> None:
    """A wrong candle would drown among the right ones."""
    difference = BarDifference("2024-08-08T23:55:00Z", "close", "1", "2")
    check = klines_equal([published(Comparison(compared=9, differing=1, differences=[difference]))])
    assert (check.ok, check.expected, check.actual) == (False, 9, 8)
    assert check.detail.startswith("compared 9, partial 0, absent 0, differing 1; ")
    assert "BTCUSDT 2024-08-08T23:55:00Z close: ours 1, theirs 2" in check.detail


def test_a_comparison_of_floats_is_named_as_one() -> None:
    """Equal within a billionth would pass for equal."""
    assert "floats" in klines_equal([published(Comparison(compared=1), is_exact=False)]).detail

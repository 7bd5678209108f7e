"""Bars that grow trade by trade, against the candles of all trades at once."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOON_S, a_trade
from tradecap.market.bars import Bars, Rank
from tradecap.market.candles import Candle, every_interval
from tradecap.market.records import Trade

HOURS = 3600


def at(trade_id: int, at_s: float = 0.0, **overrides: Any) -> Trade:
    """A trade this many seconds after noon."""
    return a_trade(**{"id": trade_id, "trade_time_us": NOON_S * 10**6 + round(at_s * 10**6), **overrides})


def same(bars: Sequence[Candle], expected: Sequence[Candle]) -> bool:
    """Equal in all but the order in which floats were added."""
    exact = [msgspec.structs.replace(bar, volatility_sq=0.0) for bar in bars]
    return exact == [msgspec.structs.replace(bar, volatility_sq=0.0) for bar in expected] and all(
        bar.volatility_sq == pytest.approx(other.volatility_sq, rel=1e-9, abs=1e-18)
        for bar, other in zip(bars, expected, strict=True)
    )


@st.composite
def records(draw: st.DrawFn) -> list[tuple[Trade, Rank]]:
    """Records of few ids in a few minutes: repeated, with conflicts, some outside the order book, in any order of (run,
    seq)."""
    made = []
    for seq in range(draw(st.integers(1, 15))):
        trade = at(
            draw(st.integers(0, 12)),
            draw(st.integers(0, 200)),
            price=draw(st.integers(1, 5)) * 10**8,
            qty=draw(st.integers(1, 3)) * 10**7,
            is_buyer_maker=draw(st.booleans()),
            order_book=draw(st.integers(0, 5)) > 0,
        )
        made.append((trade, (draw(st.sampled_from("ab")), seq)))
    return draw(st.permutations(made))


@settings(max_examples=60, deadline=None)
@given(records())
def test_bars_are_the_candles_after_every_record(given_records: list[tuple[Trade, Rank]]) -> None:
    """A client would see a bar that differs from the one that is stored later."""
    bars = Bars()
    for n, (trade, rank) in enumerate(given_records, 1):
        changed = bars.add(trade, rank)
        expected = every_interval(each for each, _ in sorted(given_records[:n], key=lambda record: record[1]))
        assert same(bars.every(), expected)
        if changed:
            assert same([changed], [bar for bar in expected if bar.open_time_s == changed.open_time_s])


@settings(max_examples=60, deadline=None)
@given(records())
def test_without_a_rank_the_first_of_an_id_is_the_trade(given_records: list[tuple[Trade, Rank]]) -> None:
    """`add(trade)` alone must give what `candles` gives of the trades in that order."""
    bars = Bars()
    for n, (trade, _) in enumerate(given_records, 1):
        bars.add(trade)
        assert same(bars.every(), every_interval(each for each, _ in given_records[:n]))


def test_a_repeated_trade_changes_nothing() -> None:
    """Each client would be sent a bar for every copy."""
    bars = Bars()
    assert bars.add(at(1))
    version = bars.version
    assert bars.add(at(1)) is None
    assert bars.version == version


def hours(bars: Bars, count: int) -> list[Trade]:
    """Fill bars with a trade every ten seconds."""
    trades = [at(n, 10 * n, price=(100 + n % 7) * 10**8) for n in range(count * 360)]
    for trade in trades:
        bars.take(trade, ("run", trade.id))
    return trades


def test_old_trades_are_forgotten_and_their_bars_stay() -> None:
    """Memory would grow for as long as the process lives."""
    bars = Bars(kept_s=600)
    trades = hours(bars, 3)
    assert same(bars.every(), every_interval(trades))
    assert bars.kept <= 12 * 6


def test_a_trade_behind_the_end_of_an_old_bar_is_put_in() -> None:
    """A hole of some hours that REST repairs would stay a hole."""
    bars = Bars(kept_s=600)
    trades = [at(0), at(1, 10), *(at(1000 + n, 7200 + n * 10) for n in range(200)), at(2, 20), at(3, 70)]
    for trade in trades:
        bars.take(trade, ("run", trade.id))
    assert same(bars.every(), every_interval(trades))
    assert not bars.unsure()


def test_a_trade_inside_an_old_bar_makes_it_unsure() -> None:
    """The order inside the minute is forgotten: the bar would be shown as complete with a wrong open or volatility."""
    bars = Bars(kept_s=600)
    hours(bars, 2)
    assert bars.every()[3].complete
    assert bars.take(at(19, 191, price=1), ("a", 0))  # of a lower rank than the record that is forgotten
    assert bars.unsure() == {NOON_S + 180}
    assert not bars.every()[3].complete
    changed = bars.bar(NOON_S + 180)
    assert changed
    assert not changed.complete


def test_a_record_of_another_minute_may_win_over_a_forgotten_trade() -> None:
    """Both minutes would be shown as complete, and one of them holds a trade too many."""
    bars = Bars(kept_s=600)
    hours(bars, 2)
    assert bars.take(at(19, 7100), ("a", 0))
    assert bars.unsure() == {NOON_S + 180, NOON_S + 7080}


def test_a_copy_of_a_forgotten_trade_changes_nothing() -> None:
    """A later record never wins, so nothing about the bar is in doubt."""
    bars = Bars(kept_s=600)
    hours(bars, 2)
    assert not bars.take(at(19, 190, price=1), ("run", 10**6))
    assert bars.every()[3].complete


def test_one_wild_time_forgets_nothing() -> None:
    """A single trade of the year 2100 would throw the running hour away."""
    bars = Bars(kept_s=600)
    for n in range(10):
        bars.take(at(n, n))
    bars.take(at(10, 10**9))
    bars.take(at(11, 11))
    assert bars.kept == 12


def test_bars_are_bounded_and_say_from_where_on() -> None:
    """A day-long capture would hold a bar for every minute since its start."""
    bars = Bars(kept_s=600, bars_kept=60)
    hours(bars, 3)
    every = bars.every()
    assert len(every) <= 61
    assert bars.floor_s == every[0].open_time_s
    assert not bars.take(at(0, -60, price=1), ("a", 0))


def test_known_ids_are_no_new_trades() -> None:
    """A record of an id that the store holds from hours ago would count once more."""
    bars = Bars(floor_s=NOON_S)
    bars.know(0, 99)
    assert not bars.take(at(50, 5))
    assert bars.every() == []
    assert bars.take(at(100, 5))


def test_trades_come_by_id() -> None:
    """Pages of trades would skip or repeat some."""
    bars = Bars()
    trades = [at(n, 45 * (n ^ 1)) for n in range(40)]
    for trade in trades:
        bars.take(trade)
    assert [trade for trade, _ in bars.trades(5, 20)] == trades[5:25]
    assert [trade for trade, _ in bars.trades(30, 20)] == trades[30:]


def test_half_of_the_trades_can_be_given_up() -> None:
    """All series together would take more memory than is stated."""
    bars = Bars()
    trades = hours(bars, 1)
    bars.shrink()
    assert bars.kept <= len(trades) // 2 + 6
    assert same(bars.every(), every_interval(trades))

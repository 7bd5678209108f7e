"""Volumes and spikes over bars."""

from fractions import Fraction

from tests.builders import NOON_S, a_trade
from tradecap.flows.candles import shown
from tradecap.flows.stats import Spike, spikes, volume
from tradecap.market.candles import candles, every_interval
from tradecap.market.records import Trade


def closing_at(*prices: int, first_id: int = 0) -> list[Trade]:
    """A trade a minute."""
    return [
        a_trade(id=first_id + n, price=price * 10**8, trade_time_us=(NOON_S + 60 * n) * 10**6)
        for n, price in enumerate(prices)
    ]


def test_a_spike_is_exact_at_its_threshold() -> None:
    """In floats 103 is less than 3 % above 100, or more, as it happens."""
    bars = [shown(bar) for bar in candles(closing_at(100, 100, 103, 100, 97, 97))]
    assert [(spike.previous_close, spike.close) for spike in spikes(bars, 60, Fraction("0.03"))] == [
        ("100", "103"),
        ("100", "97"),
    ]
    assert [(spike.previous_close, spike.close) for spike in spikes(bars, 60, Fraction("0.03000001"))] == []
    assert spikes(bars, 60, Fraction("0.03"))[0] == Spike(bars[2].open_time, "100", "103", 0.03)


def test_a_hole_is_no_spike() -> None:
    """An outage would look like a crash of the market."""
    before, after = closing_at(100, 100, 100), closing_at(0, 0, 0, 0, 0, 200, 200, 200)[5:]
    missing_ids = [
        shown(bar)
        for bar in candles(
            [*before, *(a_trade(id=t.id + 5, price=t.price, trade_time_us=t.trade_time_us) for t in after)]
        )
    ]
    assert spikes(missing_ids, 60, Fraction("0.5")) == []
    quiet = [a_trade(id=t.id - 2, price=t.price, trade_time_us=t.trade_time_us) for t in after]
    # minutes without a trade lie between
    assert spikes([shown(bar) for bar in candles([*before, *quiet])], 60, Fraction("0.5")) == []


def test_a_volume_is_the_sum_of_all_trades() -> None:
    """A window would be short of what its minutes hold."""
    trades = [
        a_trade(id=n, price=10**8 * (n + 1), qty=3, is_buyer_maker=n % 2 == 0, trade_time_us=(NOON_S + 7 * n) * 10**6)
        for n in range(50)
    ]
    found = volume(every_interval(trades))
    assert (found.volume, found.trades, found.first_id, found.last_id, found.complete) == (150, 50, 0, 49, True)
    assert found.quote_volume == sum(trade.price * trade.qty for trade in trades)
    assert found.taker_buy_volume == 75
    assert found.vwap == found.quote_volume / (found.volume * 10**8)
    assert not volume(every_interval(trades[:20] + trades[21:])).complete
    nothing = volume([])
    assert (nothing.volume, nothing.vwap, nothing.first_id, nothing.complete) == (0, None, None, False)

"""Trades out of nothing: repeatable, at the rate that was asked for, with what makes real streams hard."""

from itertools import groupby, islice, pairwise

import pytest

from tradecap.market.records import Trade
from tradecap.simulate.generator import Generated
from tradecap.venues.binance import decode
from tradecap.venues.binance.synthetic import SPOT

BEGIN_MS = 1_723_204_800_000


def fills(source: Generated, count: int) -> list[Trade]:
    return [
        entry.trade
        for entry in islice((e for e in source.entries() if e.stream.endswith("@trade")), count)
        if entry.trade
    ]


def test_the_same_seed_makes_the_same_bytes() -> None:
    """A failure found with a seed couldn't be made again."""
    runs = [
        [entry.text for entry in islice(Generated(["BTCUSDT"], begin_ms=BEGIN_MS, rate=500, seed=s).entries(), 2_000)]
        for s in (7, 7, 8)
    ]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("rate", [5, 500, 20_000])
def test_the_rate_is_kept(rate: int) -> None:
    """--rate would be a decoration."""
    count = max(4_000, rate * 2)
    trades = fills(Generated(["ETHUSDT"], begin_ms=BEGIN_MS, rate=rate, seed=3), count)
    seconds = (trades[-1].trade_time_us - trades[0].trade_time_us) / 1e6
    assert count / seconds == pytest.approx(rate, rel=0.25)


def test_what_is_hard_stays_at_any_rate() -> None:
    """A client that passes here would fail on the first burst of a real venue."""
    trades = fills(Generated(["BTCUSDT"], begin_ms=BEGIN_MS, rate=500, seed=7), 160_000)
    together = [[*group] for _, group in groupby(trades, key=lambda trade: trade.trade_time_us)]
    assert max(map(len, together)) >= 90
    assert any(len({trade.is_buyer_maker for trade in group}) == 2 for group in together)
    assert max(after.trade_time_us - before.trade_time_us for before, after in pairwise(trades)) >= 3_800_000
    assert max(trade.event_time_us - trade.trade_time_us for trade in trades) >= 100_000
    assert all(
        after.id == before.id + 1 and after.trade_time_us >= before.trade_time_us for before, after in pairwise(trades)
    )
    assert all(after.event_time_us >= before.event_time_us for before, after in pairwise(trades))


def test_messages_say_what_the_trades_say() -> None:
    """REST and stream would tell two stories."""
    for entry in islice(Generated(["BTCUSDT", "WHATEVERUSDC"], begin_ms=BEGIN_MS, rate=100).entries(), 500):
        assert decode(entry.text) == entry.trade


def test_several_symbols_come_in_the_order_of_their_times() -> None:
    """The clock of the exchange would jump back and forth."""
    entries = [*islice(Generated(["BTCUSDT", "ETHUSDT", "NEWUSDT"], begin_ms=BEGIN_MS, rate=50).entries(), 3_000)]
    assert all(before.time_ns <= after.time_ns for before, after in pairwise(entries))
    assert {entry.stream for entry in entries} >= {"newusdt@trade", "btcusdt@aggTrade"}


def test_ids_never_meet_those_of_the_sample_or_of_another_generator() -> None:
    """A log with captures of both would hold conflicts, and the tour without a network would not end proven."""
    runs = [
        fills(Generated(["ETHUSDT"], begin_ms=BEGIN_MS + later, rate=1_000_000, seed=later), 5_000)
        for later in (0, 1_000, 2_000)
    ]
    extents = [(trades[0].id, trades[-1].id) for trades in runs]
    assert extents == sorted(extents)
    assert all(last < first for (_, last), (first, _) in pairwise(extents))
    assert extents[0][0] > max(instrument.first_id for instrument in SPOT.values()) + 10**6

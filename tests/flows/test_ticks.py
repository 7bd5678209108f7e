"""Ticks of bars, against the candles of all trades at once."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOON_S, a_trade
from tests.market.test_bars import at, records, same
from tradecap.flows.ticks import UPDATES_KEPT, Lost, Subscriber, Tick, Ticker
from tradecap.market.bars import Bars, Rank
from tradecap.market.candles import Candle, candles
from tradecap.market.records import Trade

SERIES = ("binance", "BTCUSDT", "trade")


def put(bars: Bars, ticker: Ticker, given_records: Iterable[tuple[Trade, Rank]]) -> None:
    """A batch, as the running part takes it."""
    for trade, rank in given_records:
        if bars.take(trade, rank):
            ticker.grow(bars, trade)
    ticker.settle(bars)


def taken(subscriber: Subscriber) -> list[Tick]:
    """All that is kept for a subscriber."""
    return list(iter(subscriber.take, None))


def shaped(bars: Iterable[Candle]) -> list[Candle]:
    """All but the volatility: of minutes whose ids interleave a longer bar can't know it (`market.candles.roll_up`)."""
    return [msgspec.structs.replace(bar, volatility_sq=0.0) for bar in bars]


def expected(given_records: Iterable[tuple[Trade, Rank]], seconds: int) -> list[Candle]:
    """The bars, from the definition."""
    return candles((trade for trade, _ in sorted(given_records, key=lambda record: record[1])), seconds)


@settings(max_examples=80, deadline=None)
@given(records(), st.lists(st.integers(1, 6), min_size=15, max_size=15), st.sampled_from([60, 120, 180, 86_400]))
def test_bars_made_of_ticks_are_the_candles(
    given_records: list[tuple[Trade, Rank]], sizes: list[int], seconds: int
) -> None:
    """A chart that is drawn tick by tick would differ from the one that is loaded."""
    bars, ticker, subscriber = Bars(), Ticker(SERIES, seconds), Subscriber()
    ticker.subscribe(subscriber, bars)
    drawn: dict[int, Candle] = {}
    polled: dict[int, Candle] = {}
    seen = done = 0
    for size in sizes:
        put(bars, ticker, given_records[done : done + size])
        done += size
        wanted = expected(given_records[:done], seconds)
        if subscriber.lost:
            assert subscriber.lost is Lost.FORGOTTEN
            return  # a conflict moved the only trade of a minute: clients start again
        for tick in taken(subscriber):
            drawn[tick.bar.open_time_s] = tick.bar
        assert shaped(drawn[at_s] for at_s in sorted(drawn)) == shaped(wanted)
        if size % 2:
            ticks = ticker.changed(bars, seen)
            assert ticks is not None
            seen = bars.version
            opens = [tick.bar.open_time_s for tick in ticks]
            assert opens == sorted(set(opens))
            assert [tick.is_closed for tick in ticks] == [
                at_s != bars.every()[-1].open_time_s // seconds * seconds for at_s in opens
            ]
            polled |= {tick.bar.open_time_s: tick.bar for tick in ticks}
            assert shaped(polled[at_s] for at_s in sorted(polled)) == shaped(wanted)
        current = ticker.current(bars)
        assert not current or shaped([current.bar]) == shaped(wanted[-1:])


def test_each_trade_in_order_is_a_tick_of_its_own() -> None:
    """A subscriber that wants every tick would miss some, or get some twice."""
    bars, ticker, subscriber = Bars(), Ticker(SERIES, 60), Subscriber()
    put(bars, ticker, [(at(0), ("a", 0))])
    ticker.subscribe(subscriber, bars)
    put(bars, ticker, [(at(n, n * 20), ("a", n)) for n in (1, 2, 3, 3, 4)])
    ticks = [
        (tick.bar.open_time_s - NOON_S, tick.bar.last_id, tick.is_closed, tick.bar.complete, tick.at)
        for tick in taken(subscriber)
    ]
    assert ticks == [
        (0, 1, False, False, 2),
        (0, 2, False, False, 3),
        (0, 2, True, True, 4),
        (60, 3, False, False, 4),
        (60, 4, False, False, 5),
    ]


def test_trades_out_of_order_are_one_tick_of_each_bar() -> None:
    """A gap that is repaired with a thousand trades would make the minute a thousand times."""
    bars, ticker, subscriber = Bars(), Ticker(SERIES, 60), Subscriber()
    put(bars, ticker, [(at(n, n), ("a", n)) for n in (0, 59, 60, 100)])
    ticker.subscribe(subscriber, bars)
    put(bars, ticker, [(at(n, n), ("a", 1000 + n)) for n in range(99, 0, -1)])
    assert [(tick.bar.ids, tick.is_closed, tick.bar.complete) for tick in taken(subscriber)] == [
        (60, True, True),
        (41, False, False),
    ]


def test_a_subscriber_that_takes_nothing_is_given_up() -> None:
    """It would hold all ticks of a day."""
    bars, ticker, slow, quick = Bars(), Ticker(SERIES, 60), Subscriber(), Subscriber()
    for subscriber in (slow, quick):
        ticker.subscribe(subscriber, bars)
    for n in range(UPDATES_KEPT):
        put(bars, ticker, [(at(n, n / 1000), ("a", n))])
    assert slow.lost is None
    assert len(taken(quick)) == len(slow.queue) == UPDATES_KEPT
    put(bars, ticker, [(at(UPDATES_KEPT, 20), ("a", UPDATES_KEPT))])
    assert slow.lost is Lost.OVERRUN
    assert not slow.queue
    assert [tick.bar.ids for tick in taken(quick)] == [UPDATES_KEPT + 1]


def test_minutes_of_the_store_go_before_those_of_the_log() -> None:
    """A day's bar would begin when the server was started."""
    every = [(at(n, n), ("a", n)) for n in range(0, 400)]
    bars, ticker = Bars(), Ticker(SERIES, 300)
    put(bars, ticker, every[200:])
    stored = candles((trade for trade, _ in every[:250]), 60)
    ticker.hold(stored, 1)
    changed = ticker.changed(bars, 0)
    assert changed
    assert same([tick.bar for tick in changed], expected(every, 300))
    put(bars, ticker, [(at(400, 400), ("a", 400))])
    current = ticker.current(bars)
    assert current
    assert same([current.bar], expected([*every, (at(400, 400), ("a", 400))], 300)[-1:])


def test_what_isnt_kept_any_more_cant_be_listed() -> None:
    """A client that comes back after days would keep the bars that it missed as they were."""
    bars, ticker = Bars(kept_s=60, bars_kept=3), Ticker(SERIES, 60)
    put(bars, ticker, [(at(n, n * 60), ("a", n)) for n in range(3)])
    since = bars.version
    put(bars, ticker, [(at(n, n * 60), ("a", n)) for n in range(3, 10)])
    assert ticker.changed(bars, since) is None
    assert ticker.changed(bars, bars.version + 1) is None
    assert ticker.changed(bars, bars.version) == []


@pytest.mark.parametrize("seconds", [60, 300])
def test_bars_without_a_trade_of_the_order_book_arent_shown(seconds: int) -> None:
    """A chart would fall to 0."""
    bars, ticker, subscriber = Bars(), Ticker(SERIES, seconds), Subscriber()
    ticker.subscribe(subscriber, bars)
    put(bars, ticker, [(msgspec.structs.replace(a_trade(id=7), order_book=False), ("a", 0))])
    assert taken(subscriber) == []
    assert ticker.current(bars) is None

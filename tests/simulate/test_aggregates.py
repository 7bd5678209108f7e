"""Aggregates made from trades."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_trade
from tests.simulate.builders import NOON_US, an_entry
from tradecap.market.records import Trade
from tradecap.simulate.aggregates import with_aggregates
from tradecap.simulate.tape import Entry
from tradecap.venues.binance import decode
from tradecap.venues.binance.synthetic import aggregate

fills = st.lists(
    st.tuples(st.sampled_from(["BTCUSDT", "ETHUSDT"]), st.integers(0, 2), st.integers(1, 2), st.booleans()), max_size=40
)


def entries_of(drawn: list[tuple[str, int, int, bool]]) -> list[Entry]:
    """Trades of two symbols whose times rise by 0, 1 or 2 ms."""
    entries, at_us, ids = [], NOON_US, {"BTCUSDT": 10, "ETHUSDT": 500}
    for symbol, later, price, maker in drawn:
        at_us += later * 1000
        ids[symbol] += 1
        trade = a_trade(
            symbol=symbol,
            id=ids[symbol],
            price=price * 10**8,
            is_buyer_maker=maker,
            trade_time_us=at_us,
            event_time_us=at_us,
            qty=ids[symbol],
        )
        entries.append(an_entry(trade))
    return entries


@settings(deadline=None)
@given(fills)
def test_each_fill_is_in_exactly_one_aggregate(drawn: list[tuple[str, int, int, bool]]) -> None:
    """Candles and repairs made from aggTrades would miss or double quantities."""
    entries = entries_of(drawn)
    answer = [entry.trade for entry in with_aggregates(entries, lambda _: True) if entry.trade]
    for symbol in ("BTCUSDT", "ETHUSDT"):
        of_symbol = [entry.trade for entry in entries if entry.trade and entry.trade.symbol == symbol]
        made = [trade for trade in answer if trade.channel == "aggTrade" and trade.symbol == symbol]
        assert made == [*aggregate(of_symbol, of_symbol[0].id // 2)] if of_symbol else not made


@settings(deadline=None)
@given(fills)
def test_an_aggregate_comes_right_behind_its_last_fill(drawn: list[tuple[str, int, int, bool]]) -> None:
    """A client that compares the two streams would see an order before it was filled, or long after."""
    entries = entries_of(drawn)
    answer = [*with_aggregates(entries, lambda _: True)]
    assert [entry for entry in answer if entry.stream.endswith("@trade")] == entries
    for place, entry in enumerate(answer):
        if entry.trade and entry.trade.channel == "aggTrade":
            before = answer[place - 1].trade
            assert before is not None
            assert (before.symbol, before.id) == (entry.trade.symbol, entry.trade.last_id)
            assert decode(entry.text) == entry.trade


def test_a_quiet_symbol_holds_nobody_up() -> None:
    """One symbol without a second trade would keep the whole exchange waiting, and fill the memory."""
    lonely = an_entry(a_trade(symbol="ETHUSDT", id=1))
    others = [
        an_entry(a_trade(id=n, trade_time_us=NOON_US + n * 10_000, event_time_us=NOON_US + n * 10_000))
        for n in range(1, 200)
    ]
    tape = iter([lonely, *others])
    assert next(with_aggregates(tape, lambda _: True)) is lonely
    assert len([*tape]) > 140


def test_only_what_is_wanted_is_made() -> None:
    """A recording that has its own aggTrades would get a second set."""
    assert [*with_aggregates([an_entry()], lambda _: False)] == [an_entry()]


def test_the_same_order_counts_the_same_however_trades_are_typed() -> None:
    """The quantity of an aggregate would differ from the sum of its fills."""
    both: list[Trade] = [a_trade(id=1, qty=3), a_trade(id=2, qty=4)]
    last = [*with_aggregates(map(an_entry, both), lambda _: True)][-1].trade
    assert last is not None
    assert (last.qty, last.first_id, last.last_id) == (7, 1, 2)

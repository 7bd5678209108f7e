"""The order of what the exchange says: once, rising, and moved on in each round."""

from collections import Counter
from itertools import islice, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_trade
from tests.simulate.builders import NOON_US, an_entry, some_entries
from tradecap.market.records import Trade
from tradecap.simulate.aggregates import with_aggregates
from tradecap.simulate.player import shifted
from tradecap.simulate.tape import Entry, TapeShift, endless, in_order, moved, rising
from tradecap.venues.binance import decode


def trades(entries: list[Entry]) -> list[Trade]:
    return [entry.trade for entry in entries if entry.trade]


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), max_size=60))
def test_ids_only_rise(ids: list[int]) -> None:
    """Two captures of one hour would make the exchange say trades twice."""
    dropped: Counter[str] = Counter()
    kept = trades([*rising([an_entry(id=number) for number in ids], dropped)])
    assert all(before.id < after.id for before, after in pairwise(kept))
    assert len(kept) + dropped["repeated"] == len(ids)
    assert max((trade.id for trade in kept), default=-1) == max(ids, default=-1)


@settings(deadline=None)
@given(st.permutations(range(12)), st.integers(0, 30))
def test_what_a_log_holds_too_late_takes_its_place(ids: list[int], window: int) -> None:
    """A trade that a capture missed and repaired later would be missing from the exchange."""
    answer = [*in_order([an_entry(id=number) for number in ids], window)]
    assert sorted(trade.id for trade in trades(answer)) == list(range(12))
    if window >= 12:
        assert [trade.id for trade in trades(answer)] == list(range(12))


def test_nothing_but_the_late_one_moves() -> None:
    """Quotes would be sent before or after the trades they came between."""
    quote = Entry("btcusdt@bookTicker", b"{}", None, 0)
    one, two, three = some_entries(3)
    late = Entry(two.stream, two.payload, two.trade, 99)
    assert [*in_order([one, quote, three, late, quote], 10)] == [
        one,
        quote,
        Entry(two.stream, two.payload, two.trade, three.time_ns),
        three,
        quote,
    ]


def test_each_series_rises_by_itself() -> None:
    """The ids of one symbol would hide the trades of another."""
    entries = [
        an_entry(id=9),
        an_entry(id=3, symbol="ETHUSDT"),
        an_entry(id=4, channel="aggTrade", first_id=1, last_id=1),
    ]
    assert len([*rising(entries, Counter())]) == 3


def test_a_loop_goes_on_where_it_ended() -> None:
    """A client of a looping exchange would see ids and times a second time, and take them for repeats."""
    entries = [*with_aggregates(some_entries(5), lambda _: True)]
    played = list(islice(endless(lambda: iter(entries)), 40))
    fills = [trade for trade in trades(played) if trade.channel == "trade"]
    aggregates = [trade for trade in trades(played) if trade.channel == "aggTrade"]
    assert [trade.id for trade in fills] == list(range(1, 21))
    assert [trade.first_id for trade in aggregates] == list(range(1, 21))
    assert [trade.id for trade in aggregates] == list(range(aggregates[0].id, aggregates[0].id + 20))
    assert all(before.trade_time_us < after.trade_time_us for before, after in pairwise(fills))
    assert all(before.time_ns <= after.time_ns for before, after in pairwise(played))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**15), st.booleans(), st.sampled_from(["trade", "aggTrade"]))
def test_a_moved_message_says_what_its_trade_says(ids: int, time_ms: int, maker: bool, channel: str) -> None:
    """REST would tell other ids or times than the stream did."""
    trade = a_trade(id=5, channel=channel, first_id=4 if channel == "aggTrade" else 5, last_id=5, is_buyer_maker=maker)
    stream = f"btcusdt@{channel}"
    shift = TapeShift(time_ms % 10**9 * 1000, {stream: ids, "btcusdt@trade": ids})
    entry = moved(an_entry(trade), shift)
    assert decode(entry.payload) == entry.trade
    assert entry.trade is not None
    assert entry.trade.id == 5 + ids


def test_a_quote_moves_on_too() -> None:
    """Book update ids of the second round would be behind those of the first."""
    quote = Entry("btcusdt@bookTicker", b'{"u":400,"s":"BTCUSDT","b":"1.0","B":"2.0","a":"1.1","A":"2.0"}', None, 0)
    played = list(islice(endless(lambda: iter([*some_entries(2), quote])), 9))
    assert [entry.payload[:9] for entry in played[2::3]] == [b'{"u":400,', b'{"u":401,', b'{"u":402,']


def test_a_round_without_a_trade_ends_the_loop() -> None:
    """A loop over nothing would spin forever."""
    assert [*endless(lambda: iter(()))] == []


def test_a_moved_time_keeps_its_unit() -> None:
    """A recording in microseconds would be moved a thousand times too little."""
    plain = an_entry()
    micro = Entry(plain.stream, plain.payload.replace(b"000,", b"000123,"), plain.trade, plain.time_ns)
    assert b'"T":%d,' % (NOON_US + 1_000_123) in moved(micro, TapeShift(1_000_000)).payload


def test_trades_at_another_time_are_other_trades() -> None:
    """A capture of a recording that is played now would contradict the recording itself, id by id."""
    entries = [an_entry(id=7), an_entry(id=3, channel="aggTrade", first_id=7, last_id=7)]
    fill, agg = [entry.trade for entry in shifted(iter(entries), 5_000_000)]
    assert fill is not None
    assert agg is not None
    assert (fill.id, agg.id, agg.first_id, agg.last_id) == (5_000_007, 5_000_003, 5_000_007, 5_000_007)
    (earlier,) = shifted(iter(entries[:1]), -5_000_000)
    assert b'"t":5000007' in earlier.text

"""The state of `process`, written down and read again."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOON_S, a_trade
from tradecap.market.candles import Candle
from tradecap.market.processing_state import (
    BLOCK,
    INTERVALS,
    Key,
    chunk_value,
    ids_value,
    key_of,
    read_chunk,
    read_ids,
    read_key,
    read_times,
    times_value,
)
from tradecap.market.trade_ids import TradeIds

SERIES = ("binance", "BTCUSDT", "trade")
LARGEST = 256_000
RANGES = st.lists(st.tuples(st.integers(-BLOCK, 2 * BLOCK), st.integers(0, BLOCK)), max_size=6)


@given(
    st.tuples(st.text(), st.text(), st.text()),
    st.sampled_from(["times", "ids", "trades"]),
    st.integers(0, 2**63),
    st.integers(0, 99),
)
def test_a_key_is_read_as_it_was_written(series: tuple[str, str, str], kind: str, number: int, chunk: int) -> None:
    """The state of a series would come back as that of another one."""
    assert read_key(key_of(series, kind, number, chunk)) == Key(series, kind, number, chunk)


@given(RANGES, st.integers(0, 2**40))
def test_the_ids_of_a_block_come_back_and_no_others(ranges: list[tuple[int, int]], block: int) -> None:
    """An id that is lost makes a repeat count as new; one too many loses a trade."""
    ids, begin = TradeIds(), block * BLOCK
    for first, size in ranges:
        ids.add_range(max(begin + first, 0), max(begin + first, 0) + size)
    assert list(read_ids(ids_value(ids, block), block)) == ids.within(begin, begin + BLOCK - 1)


@pytest.mark.parametrize("count", [INTERVALS, INTERVALS + 1])
def test_many_intervals_are_a_bitmap(count: int) -> None:
    """A block with some more intervals than fit would be written as a message that no broker takes."""
    ids = TradeIds((BLOCK + 2 * n, BLOCK + 2 * n) for n in range(count))
    value = ids_value(ids, 1)
    assert value.startswith(b"[[") == (count <= INTERVALS)
    assert len(value) < LARGEST
    assert list(read_ids(value, 1)) == ids.intervals()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, BLOCK - 1), st.integers(0, 3000)), max_size=20), st.booleans())
def test_a_block_of_ids_is_what_it_was(ranges: list[tuple[int, int]], is_scattered: bool) -> None:
    """An id that is lost from the state comes twice; one too many is a trade that never comes."""
    begin = 5 * BLOCK
    ids = TradeIds((begin + first, min(begin + first + length, begin + BLOCK - 1)) for first, length in ranges)
    if is_scattered:
        ids = ids.union(TradeIds((begin + n, begin + n) for n in range(0, BLOCK, 64)))
    value = ids_value(ids, 5)
    assert len(value) < LARGEST
    assert TradeIds(read_ids(value, 5)) == ids


def test_the_worst_block_is_bounded() -> None:
    """Every second id is half a million intervals: megabytes, which no broker takes."""
    ids = TradeIds()
    ids._firsts = ids._lasts = list(range(0, BLOCK, 2))
    value = ids_value(ids, 0)
    assert len(value) < LARGEST
    assert TradeIds(read_ids(value, 0)) == ids


def test_keys_are_kept_apart() -> None:
    """A symbol with a separator in it would share its ids with another series."""
    keys = {key_of(series, "ids", 1) for series in (("a", "b|c", "d"), ("a|b", "c", "d"), ("a", 'b","c', "d"))}
    assert len(keys) == 3
    assert read_key(key_of(("a", 'b","c', "d"), "trades", 60, 2)) == (("a", 'b","c', "d"), "trades", 60, 2)


def a_candle(open_time_s: int) -> Candle:
    names: dict[str, Any] = {name: n for n, name in enumerate(Candle.__struct_fields__)}
    return Candle(**(names | {"open_time_s": open_time_s, "volatility_sq": 0.1 + 0.2, "complete": True}))


def test_times_and_edges_come_back_to_the_last_bit() -> None:
    """A candle that is corrected after a restart would differ from the one that wasn't."""
    edges = [a_candle(NOON_S), a_candle(NOON_S + 60)]
    assert read_times(times_value(7, 5, edges)) == (7, 5, edges)
    assert read_times(times_value(0, 0, [])) == (0, 0, [])


@pytest.mark.parametrize("is_buyer_maker", [True, False])
@pytest.mark.parametrize("order_book", [True, False])
def test_trades_of_a_minute_come_back_in_their_order(is_buyer_maker: bool, order_book: bool) -> None:
    """A side or a place outside the book that changes in a restart makes another candle."""
    trades = [
        a_trade(id=9, first_id=3, last_id=12, event_time_us=0, is_buyer_maker=is_buyer_maker, order_book=order_book),
        a_trade(id=8, trade_time_us=NOON_S * 10**6 + 59_999_999, event_time_us=0, price=1, qty=10**23),
    ]
    assert read_chunk(chunk_value(trades, NOON_S), SERIES, NOON_S) == trades

"""Numbers in any order: the same set, and room for what is missing alone."""

import pickle
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tradecap.market.seqs import FEW, SIZE, Seqs
from tradecap.market.trade_ids import TradeIds

NUMBERS = st.integers(0, 200) | st.integers(SIZE - 100, SIZE + 100) | st.integers(0, 5 * SIZE) | st.just(2**32)
SPANS = st.lists(st.tuples(NUMBERS, st.integers(0, 300) | st.integers(0, 2 * SIZE)), max_size=8)


def both(numbers: list[int], spans: list[tuple[int, int]]) -> tuple[Seqs, TradeIds]:
    """The same numbers in either set."""
    seqs, ids = Seqs(), TradeIds()
    for number in numbers:
        assert seqs.add(number) == ids.add(number)
    for first, size in spans:
        seqs.add_range(first, first + size)
        ids.add_range(first, first + size)
    return seqs, ids


def answer(of: Seqs | TradeIds, number: int) -> list[object]:
    """All that can be asked."""
    asked = [of.within(number, number + 3 * SIZE), of.gaps_within(number, number + SIZE), number in of]
    return [of.intervals(), len(of), of.first, of.last, *asked]


@given(st.lists(NUMBERS, max_size=300), SPANS, NUMBERS)
def test_they_answer_as_intervals_do(numbers: list[int], spans: list[tuple[int, int]], number: int) -> None:
    """A record that is counted twice, or not at all, would make a sound log look wrong."""
    seqs, ids = both(numbers, spans)
    assert answer(seqs, number) == answer(ids, number)
    assert answer(pickle.loads(pickle.dumps(seqs)), number) == answer(ids, number)
    assert seqs.count_in(number // SIZE) == sum(
        b - a + 1 for a, b in ids.within(number // SIZE * SIZE, number // SIZE * SIZE + SIZE - 1)
    )


@given(st.lists(NUMBERS, max_size=200), st.lists(NUMBERS, max_size=200), SPANS)
def test_what_two_counted_is_what_one_counts(some: list[int], others: list[int], spans: list[tuple[int, int]]) -> None:
    """A log that is counted on two cores would be proven, or not, by chance."""
    (first, ids), (second, more) = both(some, spans), both(others, [])
    assert first.meets(second) == any(ids.within(a, b) for a, b in more)
    first.update(second)
    assert answer(first, 0) == answer(ids.union(more), 0)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.randoms(use_true_random=False))
def test_the_order_of_partitions_changes_neither_set_nor_room(partitions: int, rng: random.Random) -> None:
    """Partitions are read as they come: each record of a topic would be an interval of its own until the last partition
    is read."""
    total, seqs = 2 * SIZE + 1000, Seqs()
    parts = [range(part, total, partitions) for part in range(partitions)]
    rng.shuffle(parts)
    most = 0
    for part in parts:
        for number in part:
            seqs.add(number)
            most = max(most, seqs.objects)
    assert seqs.intervals() == [(0, total - 1)]
    assert most <= 3 + 2 * FEW + 1
    assert seqs.objects <= 2, "an interval, and a bitmap of the block that isn't finished"


def test_numbers_far_from_each_other_take_no_bitmaps() -> None:
    """Lines without an envelope are numbered by hashes: 8 KiB for each of them would fill the memory."""
    rng = random.Random(7)
    seqs = Seqs((number, number) for number in rng.sample(range(2**32), 5000))
    assert seqs.objects == 5000
    assert not seqs._bitmaps

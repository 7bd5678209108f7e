"""A set of ids knows what it has seen and what is missing, and stays small."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradecap.market.trade_ids import TradeIds

NUMBERS = st.integers(0, 40)
RANGES = st.tuples(NUMBERS, st.integers(0, 9)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def the_numbers(ranges: list[tuple[int, int]]) -> set[int]:
    """What some closed ranges hold."""
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(st.lists(NUMBERS))
def test_each_id_is_new_once(numbers: list[int]) -> None:
    """A repeat taken as new would count a trade twice; a new one taken as known would lose it."""
    ids, seen = TradeIds(), set[int]()
    for number in numbers:
        assert ids.add(number) == (number not in seen)
        seen.add(number)
    assert the_numbers(ids.intervals()) == seen


@given(st.lists(RANGES))
def test_a_range_counts_only_what_is_new(ranges: list[tuple[int, int]]) -> None:
    """Ranges that overlap would make a repaired gap look larger than it was."""
    ids, seen = TradeIds(), set[int]()
    for first, last in ranges:
        new = set(range(first, last + 1)) - seen
        assert ids.add_range(first, last) == len(new)
        seen |= new
    assert the_numbers(ids.intervals()) == seen
    assert len(ids) == len(seen)


@given(st.lists(RANGES))
def test_intervals_are_sorted_and_never_touch(ranges: list[tuple[int, int]]) -> None:
    """Two intervals left side by side would show a gap of no ids and make equal sets unequal."""
    intervals = TradeIds.from_list(ranges).intervals()
    assert all(before[1] + 1 < after[0] for before, after in pairwise(intervals))


@given(st.lists(RANGES), st.data())
def test_order_and_repeats_change_nothing(ranges: list[tuple[int, int]], data: st.DataObject) -> None:
    """A log read in another order, or partly twice, would hold other ids."""
    assert TradeIds.from_list(data.draw(st.permutations(ranges + ranges[::2]))) == TradeIds.from_list(ranges)


@given(st.lists(RANGES), NUMBERS)
def test_it_contains_what_was_added_and_nothing_else(ranges: list[tuple[int, int]], number: int) -> None:
    """A wrong answer would call a lost trade known, or a known one lost."""
    assert (number in TradeIds.from_list(ranges)) == (number in the_numbers(ranges))


@given(st.lists(RANGES, min_size=1))
def test_gaps_are_what_is_missing_between_first_and_last(ranges: list[tuple[int, int]]) -> None:
    """A gap not named is a loss that nobody repairs."""
    ids, held = TradeIds.from_list(ranges), the_numbers(ranges)
    assert (ids.first, ids.last) == (min(held), max(held))
    assert the_numbers(ids.gaps()) == set(range(min(held), max(held) + 1)) - held
    assert all(first <= last for first, last in ids.gaps())


@given(st.lists(RANGES), NUMBERS, NUMBERS)
def test_gaps_within_are_what_is_missing_of_that_range(ranges: list[tuple[int, int]], first: int, last: int) -> None:
    """What is missing at the ends of a run would go unseen, or ids outside it would be asked of it."""
    missing = TradeIds.from_list(ranges).gaps_within(first, last)
    assert the_numbers(missing) == set(range(first, last + 1)) - the_numbers(ranges)
    assert all(begin <= end for begin, end in missing)


@given(st.lists(RANGES), st.lists(RANGES))
def test_a_union_holds_both_and_leaves_both_alone(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    """Coverage is a union over runs: one that lost ids, or changed a run's own, would move gaps about."""
    ours, theirs = TradeIds.from_list(left), TradeIds.from_list(right)
    assert ours.union(theirs) == TradeIds.from_list(left + right) == theirs.union(ours)
    assert (ours, theirs) == (TradeIds.from_list(left), TradeIds.from_list(right))


@given(st.lists(RANGES))
def test_what_was_written_down_reads_back(ranges: list[tuple[int, int]]) -> None:
    """A manifest would say other ids than the segment holds."""
    ids = TradeIds.from_list(ranges)
    assert TradeIds.from_list(json.loads(json.dumps(ids.to_list()))) == ids


def test_a_union_can_be_added_to() -> None:
    """The next id after a union or a reading back would be taken for known, or replace what is there."""
    ids = TradeIds.from_list([[1, 3]]).union(TradeIds.from_list([[7, 9]]))
    assert ids.add(10)
    assert ids.intervals() == [(1, 3), (7, 10)]


def test_one_interval_may_hold_more_ids_than_memory() -> None:
    """Two ids far apart, as a broken feed sends them, would end the process that lists what is missing between."""
    assert TradeIds([(0, 2**62)]).intervals() == [(0, 2**62)]
    assert TradeIds([(0, 0), (2**62, 2**62)]).gaps() == [(1, 2**62 - 1)]


def test_a_hundred_million_ids_cost_one_interval() -> None:
    """A year of capture would fill the memory."""
    ids = TradeIds.from_list([[5_000_000_000, 5_099_999_999]])
    assert ids.add(5_100_000_000)
    assert len(ids) == 100_000_001
    assert ids.intervals() == [(5_000_000_000, 5_100_000_000)]


def test_nothing_seen_is_no_id_and_no_gap() -> None:
    """A series that is only named would look as if it began at id 0."""
    ids = TradeIds()
    assert (ids.first, ids.last, len(ids), ids.gaps(), 0 in ids) == (None, None, 0, [], False)
    assert ids.gaps_within(3, 5) == [(3, 5)]
    assert ids.gaps_within(0, -1) == []


def test_other_ids_are_another_set() -> None:
    """Everything compared by equality here would pass."""
    assert TradeIds.from_list([[1, 2]]) != TradeIds.from_list([[1, 3]])
    assert TradeIds.from_list([[1, 2]]) != [[1, 2]]


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    """Ids would vanish silently where the caller swapped two numbers."""
    with pytest.raises(ValueError, match="4"):
        TradeIds().add_range(5, 4)


def test_a_set_shows_its_ids() -> None:
    """A failing assertion about ids wouldn't show them."""
    assert "41" in repr(TradeIds.from_list([[41, 42]]))

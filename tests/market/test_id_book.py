"""The book of ids: what is new, what is a copy, what is missing."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_trade
from tradecap.market.id_book import CONFLICT, COPY, FORGOTTEN, NEW, WAIT_S, IdBook, holes, without
from tradecap.market.trade_ids import TradeIds


def took(book: IdBook, ids: Sequence[int], connection: int = 1, now_s: float = 0.0) -> list[str]:
    return [book.take(a_trade(id=number), connection, now_s) for number in ids]


def test_ids_that_follow_each_other_are_new() -> None:
    """A healthy capture that dropped or suspected something would be no capture."""
    book = IdBook()
    assert took(book, [5, 6, 7]) == [NEW] * 3
    assert book.declare([1], 10.0) == []
    assert book.proven == 7


def test_an_equal_copy_is_only_counted() -> None:
    """Two connections would fill the log with everything twice."""
    book = IdBook()
    took(book, [5, 6], connection=1)
    assert took(book, [5, 6, 7], connection=2) == [COPY, COPY, NEW]
    assert book.copies == 2


def test_a_copy_with_another_content_is_a_conflict() -> None:
    """Dropping it would hide that the venue said two things about one trade."""
    book = IdBook()
    took(book, [5])
    assert book.take(a_trade(id=5, price=1), 2, 0.0) == CONFLICT
    assert book.conflicts == 1


def test_a_copy_whose_original_is_forgotten_is_kept() -> None:
    """What can't be compared any more might be a conflict, so it mustn't vanish."""
    book = IdBook(remembered=4)
    took(book, range(1, 11))
    assert took(book, [1]) == [FORGOTTEN]


def test_what_is_repaired_does_not_make_forget_what_has_just_come() -> None:
    """While an old hole is filled, each copy by the second connection would be logged as well."""
    book = IdBook(remembered=4)
    book.expect_after(96)
    assert book.take(a_trade(id=101), 1, 0.0) == NEW
    assert book.take(a_trade(id=97), 0, 0.0) == NEW  # by REST, and in the same slot
    assert book.take(a_trade(id=101), 2, 0.0) == COPY


def test_the_only_connection_has_passed_what_it_skipped() -> None:
    """Waiting for a connection that isn't there would delay each repair by 2 s."""
    book = IdBook()
    took(book, [1, 2, 6])
    assert book.declare([1], 0.0) == [(3, 5)]
    assert book.open.intervals() == [(3, 5)]
    assert book.proven == 2


def test_a_gap_waits_for_the_other_connection() -> None:
    """A trade that the second connection is about to bring would be fetched for nothing."""
    book = IdBook()
    took(book, [1], connection=2)
    took(book, [1, 4], connection=1)
    assert book.declare([1, 2], 0.1) == []
    took(book, [2, 3], connection=2)
    assert book.declare([1, 2], WAIT_S + 1) == []
    assert not book.is_waiting


def test_a_gap_waits_two_seconds_at_most() -> None:
    """A connection that hangs would keep all gaps from being repaired."""
    book = IdBook()
    took(book, [1], connection=2)
    took(book, [1, 4], connection=1, now_s=10.0)
    assert book.declare([1, 2], 10.0 + WAIT_S / 2) == []
    assert book.declare([1, 2], 10.0 + WAIT_S) == [(2, 3)]


def test_every_connection_has_passed_it() -> None:
    """A trade both connections lost would wait 2 s for nothing."""
    book = IdBook()
    took(book, [1, 4], connection=1)
    took(book, [1, 4], connection=2)
    assert book.declare([1, 2], 0.0) == [(2, 3)]


def test_what_comes_late_closes_its_part_of_the_gap() -> None:
    """A gap that has closed would be told as open for ever."""
    book = IdBook()
    took(book, [1, 6])
    book.declare([1], 0.0)
    assert took(book, [4, 3]) == [NEW, NEW]
    assert book.open.intervals() == [(2, 2), (5, 5)]


def test_a_capture_goes_on_after_the_last_id_of_the_log() -> None:
    """The hole between two captures would never be looked at."""
    book = IdBook()
    book.expect_after(100)
    took(book, [105])
    assert book.declare([1], 0.0) == [(101, 104)]


def test_a_hole_of_an_earlier_run_closes_id_by_id() -> None:
    """What is fetched for it would look like a beginning before the beginning, with a bigger hole behind it."""
    book = IdBook()
    book.expect_after(100)
    book.reopen([(50, 52)])
    took(book, [101])
    assert took(book, [50, 51, 52], connection=0) == [NEW] * 3
    assert book.declare([1], 10.0) == []
    assert book.open.intervals() == []


def test_an_old_hole_may_close_before_the_first_trade_comes() -> None:
    """REST is faster than a quiet market: its old ids aren't those of a venue that numbers anew."""
    book = IdBook()
    book.expect_after(100)
    book.reopen([(50, 51)])
    took(book, [50, 51], connection=0)
    took(book, [101, 103])
    assert book.declare([1], 0.0) == [(102, 102)]
    assert book.proven == 101


def test_a_venue_that_numbers_anew_is_followed() -> None:
    """After a venue began at 1 again no gap would ever be found until it came past the old ids."""
    book = IdBook()
    book.expect_after(100)
    took(book, [1, 2, 5])
    assert book.declare([1], 0.0) == [(3, 4)]


def test_a_connection_that_is_behind_the_first_id_leaves_no_hole() -> None:
    """What the slower connection brings from before the beginning is covered as well, and so are the holes in it."""
    book = IdBook()
    took(book, [10], connection=1)
    took(book, [7, 8, 10], connection=2)
    assert book.declare([1, 2], WAIT_S) == [(9, 9)]


def test_what_the_venue_knows_and_nobody_saw_is_missing() -> None:
    """A silent connection would lose all trades until it speaks again."""
    book = IdBook()
    took(book, [1, 2])
    book.missing_until(4, 50.0)
    assert book.declare([1], 50.0) == [(3, 4)]
    assert took(book, [5]) == [NEW]
    assert book.declare([1], 50.0) == []


def test_old_holes_are_found_among_the_newest_ids_only() -> None:
    """A recording of years ago in the same log would be fetched trade by trade."""
    known = TradeIds([(1, 10), (1000, 1010), (1015, 1020)])
    assert holes(known, 100) == [(1011, 1014)]
    assert holes(TradeIds(), 100) == []


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 3)), min_size=1))
def test_whatever_arrives_in_whatever_order_the_gaps_are_what_is_missing(arrivals: list[tuple[int, int]]) -> None:
    """An interleaving nobody thought of would leave a hole that is in no list."""
    book = IdBook()
    for number, connection in arrivals:
        book.take(a_trade(id=number), connection, 0.0)
        book.declare([1, 2, 3], 0.0)
    book.declare((), 0.0, at_once=True)
    seen = {number for number, _ in arrivals}
    missing = set(range(min(seen), max(seen) + 1)) - seen
    assert {number for low, high in book.open for number in range(low, high + 1)} == missing


@given(st.sets(st.integers(0, 30)), st.integers(0, 30), st.integers(0, 30))
def test_without_takes_away_a_range_and_nothing_else(numbers: set[int], a: int, b: int) -> None:
    """A repaired gap would take its neighbour with it."""
    low, high = sorted((a, b))
    left = without(TradeIds((n, n) for n in numbers), low, high)
    assert {n for n in range(31) if n in left} == {n for n in numbers if not low <= n <= high}

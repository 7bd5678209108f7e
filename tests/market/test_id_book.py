"""The book of ids: what is new, what is a copy, what is missing."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_trade
from tradecap.market.id_book import (
    CONFLICT,
    COPY,
    FORGOTTEN,
    MOVED,
    NEAR,
    NEW,
    OUTLIER,
    WAIT_S,
    IdBook,
    Mark,
    holes,
    stretches,
    without,
)
from tradecap.market.strays import CONFIRMED, KEPT, Strays
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
    """Dropping it would hide that the venue sent two things about one trade."""
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
    """A gap that has closed would be reported as open forever."""
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
    """REST is faster than a quiet market: its old ids aren't those of a venue that numbers from the beginning."""
    book = IdBook()
    book.expect_after(100)
    book.reopen([(50, 51)])
    took(book, [50, 51], connection=0)
    took(book, [101, 103])
    assert book.declare([1], 0.0) == [(102, 102)]
    assert book.proven == 101


def test_a_venue_that_numbers_from_the_beginning_is_followed() -> None:
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


ABSURD = 10**15


def test_an_odd_id_moves_nothing() -> None:
    """After one absurd id no gap would be found any more, and all that follows would look like the filling of a hole of
    10^15 ids."""
    book = IdBook()
    assert took(book, [1, 2, ABSURD, 3, 4, 7]) == [NEW] * 6
    assert book.declare([1], 0.0) == [(5, 6)]
    assert book.marks == [Mark(OUTLIER, ABSURD, 3)]
    assert (book.seen.last, book.proven, book.passed[1]) == (7, 4, 7)


def test_an_odd_id_of_two_connections_is_one_outlier() -> None:
    """Each connection would log and count it again."""
    book = IdBook()
    took(book, [1, 2], connection=1)
    assert took(book, [ABSURD, 3], connection=1) == [NEW, NEW]
    assert took(book, [1, 2, ABSURD, 3], connection=2) == [COPY] * 4
    assert book.take(a_trade(id=ABSURD, price=1), 2, 0.0) == CONFLICT
    assert book.marks == [Mark(OUTLIER, ABSURD, 3)]


def test_an_odd_id_that_comes_first_is_no_position() -> None:
    """Everything that follows would be from before the beginning of the run."""
    book = IdBook()
    took(book, [ABSURD, 1, 2, 4])
    assert book.marks == [Mark(OUTLIER, ABSURD, ABSURD + 1)]
    assert book.declare([1], 0.0) == [(3, 3)]
    assert (book.seen.first, book.seen.last, book.proven) == (1, 4, 2)


def test_a_restart_at_low_ids_is_a_move_and_no_gap() -> None:
    """A venue that numbers from the beginning would leave a gap of five million ids."""
    book = IdBook()
    took(book, range(5_000_000, 5_000_010))
    took(book, [1, 2, 4, 5])
    assert book.marks == [Mark(MOVED, 1, 5_000_010)]
    assert book.declare([1], 0.0) == [(3, 3)]
    assert book.expected == 6


def test_a_restart_is_followed_over_a_reconnect() -> None:
    """The first ids after it would be outliers where the connection breaks off at once."""
    book = IdBook()
    took(book, range(5_000_000, 5_000_010))
    took(book, [1])
    book.leave(1)
    took(book, [2, 3], connection=2)
    assert book.marks == [Mark(MOVED, 1, 5_000_010)]


def test_a_connection_that_is_behind_a_restart_turns_nothing_back() -> None:
    """Two connections would move the series to and fro."""
    book = IdBook()
    took(book, range(5_000_000, 5_000_010), connection=1)
    took(book, [1, 2, 3], connection=1)
    assert set(took(book, [*range(5_000_000, 5_000_010), 1, 2, 3, 4], connection=2)) == {COPY, NEW}
    took(book, [5, 7], connection=1)
    assert [mark.kind for mark in book.marks] == [MOVED]
    assert book.declare((), 0.0, at_once=True) == [(6, 6)]


def test_a_jump_forward_is_a_gap_once_the_ids_go_on_there() -> None:
    """Two weeks of absence would look like an odd id forever, and the gap be named nowhere."""
    book = IdBook()
    took(book, [1, 2, 3])
    took(book, [ABSURD, ABSURD + 1])
    assert book.declare([1], 0.0) == []
    took(book, [ABSURD + 2])
    assert book.marks == [Mark(MOVED, ABSURD, 4)]
    assert book.declare([1], 0.0) == [(4, ABSURD - 1)]
    assert book.proven == 3


def test_a_series_that_comes_back_goes_on_where_it_was() -> None:
    """Three odd messages would end what one does not end."""
    book = IdBook()
    took(book, [1, 2, 3, ABSURD, ABSURD + 1, ABSURD + 2])
    book.declare([1], 0.0)
    took(book, [4, 7])
    assert (5, 6) in book.declare([1], 0.0)
    assert book.expected == 8
    assert book.open.first == 5
    assert took(book, [5, 6], connection=0) == [NEW, NEW]
    assert book.open.first == 8


def test_what_is_undecided_at_the_end_is_an_outlier() -> None:
    """An odd last message would go by without a word."""
    book = IdBook()
    took(book, [1, 2, 3, ABSURD])
    book.settle(0.0)
    assert book.marks == [Mark(OUTLIER, ABSURD, 4)]
    assert book.declare((), 0.0, at_once=True) == []


def test_a_run_that_saw_one_far_id_only_has_a_gap_before_it() -> None:
    """A short capture after two weeks would say that all it saw is odd."""
    book = IdBook()
    book.expect_after(100)
    took(book, [5_000_000])
    book.settle(0.0)
    assert book.marks == [Mark(MOVED, 5_000_000, 101)]
    assert book.declare((), 0.0, at_once=True) == [(101, 4_999_999)]


def test_a_log_with_several_positions_is_gone_on_from_at_each() -> None:
    """After a restart at low ids the next run would expect the old ones, and leave its hole."""
    book = IdBook()
    book.expect_after(5_000_000, 10)
    took(book, [15])
    assert book.declare([1], 0.0) == [(11, 14)]
    assert book.marks == []


def test_rest_moves_nothing() -> None:
    """An odd row as the newest of a quiet series would be a gap of 10^15 ids."""
    book = IdBook()
    took(book, [1, 2])
    assert book.is_unseen(ABSURD)
    book.missing_until(ABSURD, 0.0)
    book.missing_until(ABSURD, 0.0)
    assert book.marks == [Mark(OUTLIER, ABSURD, 3)]
    assert book.declare((), 0.0, at_once=True) == []
    took(book, [ABSURD + 1])
    assert not book.is_unseen(ABSURD + 1)


def test_an_odd_id_of_rest_before_the_first_trade_is_forgotten() -> None:
    """The first trade would be far from what REST named, and with it all others."""
    book = IdBook()
    book.expect_after(ABSURD, is_guess=True)
    took(book, [1, 3])
    assert book.marks == []
    assert book.declare([1], 0.0) == [(2, 2)]


def test_a_flood_of_odd_ids_leaves_the_series_where_it_is() -> None:
    """A broken feed would carry the book away from the ids that follow, or hide that there was a flood."""
    book = IdBook()
    took(book, [1, 2, 3])
    took(book, [ABSURD + (number * 7919 % 1009) * 2 * NEAR for number in range(3 * KEPT)])
    took(book, [4])
    assert len(book.marks) == 3 * KEPT
    assert book.expected == 5


def test_only_the_newest_strays_are_remembered() -> None:
    """Each message of a broken feed would be remembered forever."""
    strays = Strays(NEAR)
    flood = [number * 2 * NEAR for number in range(1, 3 * KEPT + 1)]
    for number in flood:
        strays.add(a_trade(id=number), 1)
    assert [number for number in flood if strays.known(number)] == flood[-KEPT:]


def test_a_log_is_cut_where_its_ids_are_far_apart() -> None:
    """An outlier in the log would be taken for its end, and the hole to the next run be fetched from there."""
    known = TradeIds([(1, 10), (15, 20), (5_000_000, 5_000_009), (ABSURD, ABSURD)])
    assert [part.intervals() for part in stretches(known, NEAR)] == [[(1, 10), (15, 20)], [(5_000_000, 5_000_009)]]
    assert [part.intervals() for part in stretches(TradeIds([(7, 7)]), NEAR)] == [[(7, 7)]]


@given(
    st.sets(st.integers(1, 60), min_size=CONFIRMED), st.lists(st.tuples(st.integers(0, 60), st.integers(10**9, 2**62)))
)
def test_whatever_odd_ids_come_between_the_gaps_are_those_without_them(
    numbers: set[int], odd: list[tuple[int, int]]
) -> None:
    """A certain interleaving of odd ids would hide a gap, or make one. (Never three that rise and are near each other:
    that is a move.)"""
    ids = sorted(numbers)
    mixed = [[number] for number in ids]
    for at, number in odd:
        mixed[at % len(mixed)][1:] = [number]  # one after this trade
    book = IdBook()
    took(book, [number for part in mixed for number in part])
    book.settle(0.0)
    assert book.declare((), 0.0, at_once=True) == TradeIds((n, n) for n in ids).gaps()
    assert len(book.marks) == len({number for part in mixed for number in part[1:]})


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

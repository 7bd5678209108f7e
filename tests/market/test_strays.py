"""Ids far from their series: outliers, or a series that has moved."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_trade
from tradecap.market.strays import CONFIRMED, KEPT, Strays

NEAR = 100


def added(strays: Strays, ids: Sequence[int], connection: int = 1) -> tuple[list[int], list[int]]:
    """The ids of a confirmed position, and all outliers, after these ids came."""
    outliers: list[int] = []
    for number in ids:
        moved, found = strays.add(a_trade(id=number), connection)
        outliers += found
        if moved:
            return [trade.id for trade in moved], outliers
    return [], outliers


def test_ids_in_sequence_are_a_new_position_once_there_are_enough() -> None:
    """A venue that begins again at 1 would be captured as outliers forever; a single odd id would move the series."""
    strays = Strays(NEAR)
    ids = [5000 + n for n in range(CONFIRMED)]
    assert added(strays, ids[:-1]) == ([], [])
    assert strays.is_waiting
    assert added(strays, ids[-1:]) == (ids, [])
    assert not strays.is_waiting


def test_the_distance_between_two_ids_decides_whether_they_belong_together() -> None:
    """Three wild numbers would be taken for a series."""
    assert added(Strays(NEAR), [1000, 1000 + NEAR, 1000 + 2 * NEAR])[0] == [1000, 1000 + NEAR, 1000 + 2 * NEAR]
    assert added(Strays(NEAR), [1000, 1000 + NEAR + 1, 1000 + 2 * NEAR]) == ([], [1000])
    assert added(Strays(NEAR), [1000, 999, 998]) == ([], [1000, 999])


def test_a_copy_by_another_connection_confirms_nothing() -> None:
    """Three connections that bring one odd message each would move the series by it."""
    strays = Strays(NEAR)
    for connection in (1, 2, 3, 4):
        assert added(strays, [9000], connection) == ([], [])
    assert added(strays, [9000, 9000, 9000]) == ([], [])
    assert strays.known(9000) == a_trade(id=9000)


def test_a_connection_that_goes_on_where_the_series_was_makes_outliers() -> None:
    """An odd id would stay undecided, and never be reported."""
    strays = Strays(NEAR)
    added(strays, [9000, 9001], 1)
    added(strays, [7000], 2)
    assert strays.contradict(1) == [9000, 9001]
    assert strays.contradict(1) == []
    assert strays.end() == [7000]


def test_the_next_connection_continues_what_the_last_one_began() -> None:
    """A reconnect in the middle of a move would lose count of it."""
    strays = Strays(NEAR)
    added(strays, [9000, 9001], 1)
    strays.leave(1)
    assert [trade.id for trade in strays.longest()] == [9000, 9001]
    assert added(strays, [9002], 2) == ([9000, 9001, 9002], [])


def test_what_has_become_part_of_the_series_is_not_a_stray_any_more() -> None:
    """A copy of a trade that was taken in would be reported as an outlier."""
    strays = Strays(NEAR)
    added(strays, [9000, 9001], 1)
    added(strays, [9001], 2)
    strays.forget([a_trade(id=9000), a_trade(id=9001)])
    assert strays.known(9000) is None
    assert not strays.is_waiting
    assert strays.end() == []


def test_a_rejected_trade_is_remembered_but_not_reported_twice() -> None:
    """Its copy with other content would go unnoticed, or its id be counted as two outliers."""
    strays = Strays(NEAR)
    strays.reject(a_trade(id=9000))
    assert strays.known(9000) == a_trade(id=9000)
    assert strays.end() == []
    added(strays, [8000])
    strays.forget([a_trade(id=8000)])
    strays.reject(a_trade(id=8000))
    added(strays, [8000], 2)
    assert strays.end() == []


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), max_size=60))
def test_each_stray_is_decided_once(came: list[tuple[int, int]]) -> None:
    """An id that is an outlier twice, or part of the series as well, would be counted twice."""
    strays, outliers, taken = Strays(2), list[int](), set[int]()
    for number, connection in came:
        moved, found = strays.add(a_trade(id=number * 2), connection)
        outliers += found
        if moved:
            strays.forget(moved)
            taken |= {trade.id for trade in moved}
    outliers += strays.end()
    assert {number * 2 for number, _ in came} == {*outliers, *taken}
    assert all(outliers.count(number) == 1 for number in {*outliers} - taken)


def test_the_oldest_stray_is_forgotten_when_there_are_too_many() -> None:
    """A venue that sends nothing but odd ids would fill the memory."""
    strays = Strays(NEAR)
    added(strays, [n * 1000 for n in range(KEPT)])
    assert strays.known(0) is not None
    added(strays, [KEPT * 1000])
    assert strays.known(0) is None
    assert strays.known(1000) is not None
    assert strays.end() == [KEPT * 1000]

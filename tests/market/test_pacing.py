"""A paced replay keeps the recorded distances, whatever the clocks did."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradecap.market.pacing import Lateness, Pacer

SECOND = 1_000_000_000
START = 1_723_161_300 * SECOND
HOUR = 3_600 * SECOND
MS = 1_000_000


def the_due_times(speed: float, recorded: list[int | None]) -> list[int]:
    """The due times of one replay."""
    pacer = Pacer(speed)
    return [pacer.due_ns(recorded_ns) for recorded_ns in recorded]


@pytest.mark.parametrize(("speed", "due"), [(1, 3 * SECOND), (10, 300 * MS), (0.5, 6 * SECOND)])
def test_speed_divides_the_recorded_distance(speed: float, due: int) -> None:
    """A replay at speed 10 would not take a tenth of the time."""
    assert the_due_times(speed, [START, START + 3 * SECOND]) == [0, due]


def test_a_long_silence_is_kept() -> None:
    """A night without trades would be skipped, and what watches for stale streams would never be tried."""
    assert the_due_times(1, [START, START + 10 * HOUR]) == [0, 10 * HOUR]


def test_a_record_without_a_time_goes_with_the_one_before_it() -> None:
    """One REST row in a recording would stop its replay, or let it run ahead."""
    assert the_due_times(1, [None, START, None, START + SECOND, None]) == [0, 0, 0, SECOND, SECOND]


def test_a_late_record_is_due_at_once_and_delays_nothing() -> None:
    """Streams in no common order would make the replay slower with each late record."""
    recorded: list[int | None] = [START, START + SECOND, START + SECOND - 220 * MS, START + SECOND + MS]
    assert the_due_times(1, recorded) == [0, SECOND, SECOND, SECOND + MS]


def test_a_clock_that_was_set_back_begins_a_new_time_line() -> None:
    """An hour of records would rush out at once after the recorder's clock, or the next recording, stepped back an
    hour."""
    recorded: list[int | None] = [START, START + SECOND, START - HOUR, START - HOUR + 2 * SECOND]
    assert the_due_times(1, recorded) == [0, SECOND, SECOND, 3 * SECOND]


@given(st.floats(0.01, 1000), st.lists(st.none() | st.integers(START - HOUR, START + HOUR)))
def test_due_times_never_go_back(speed: float, recorded: list[int | None]) -> None:
    """A replay would be asked to wait for less than nothing."""
    due = the_due_times(speed, recorded)
    assert all(before <= after for before, after in pairwise([0, *due]))


@given(st.floats(0.01, 1000), st.lists(st.integers(START, START + 10 * HOUR), min_size=1).map(sorted))
def test_roundings_do_not_add_up(speed: float, recorded: list[int]) -> None:
    """After a million records the replay would be ahead of or behind its own clock."""
    due = the_due_times(speed, list(recorded))
    assert due[-1] == pytest.approx((recorded[-1] - recorded[0]) / speed, abs=1)


@given(st.lists(st.integers(-10 * SECOND, 0), max_size=60))
def test_disorder_costs_no_time(late: list[int]) -> None:
    """A replay of several streams would take longer than its recording."""
    between = [START + at * SECOND + late_ns for at, late_ns in enumerate(late)]
    assert the_due_times(1, [START, *between, START + HOUR])[-1] == HOUR


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    """A replay would wait forever, or divide by zero after the first record was written."""
    with pytest.raises(ValueError, match="speed"):
        Pacer(speed)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=50), st.sampled_from([50, 99]))
def test_quantiles_are_within_two_percent(late: list[int], percent: int) -> None:
    """The promise of 1 ms at the 99th percent would be proven by an estimate."""
    lateness = Lateness()
    for late_ns in late:
        lateness.add(late_ns)
    exact_ms = sorted(late)[-(-len(late) * percent // 100) - 1] / 1e6
    assert lateness.quantile_ms(percent / 100) == pytest.approx(exact_ms, rel=0.02)


def test_one_slow_record_in_a_hundred_is_the_maximum_and_no_percentile() -> None:
    """The usual case would be reported as bad as the worst, or the worst would be hidden."""
    lateness = Lateness()
    for late_ns in [*([100_000] * 99), 50 * MS]:
        lateness.add(late_ns)
    assert lateness.summary() == {
        "p50_ms": pytest.approx(0.1, rel=0.02),
        "p99_ms": pytest.approx(0.1, rel=0.02),
        "max_ms": 50.0,
    }


def test_lateness_is_kept_in_constant_memory() -> None:
    """A replay of a day would collect every one of its errors."""
    lateness = Lateness()
    tracemalloc.start()
    for power in range(64):
        for part in range(500):
            lateness.add(2**power + 2**power * part // 500)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1_000_000


def test_nothing_paced_is_nothing_late() -> None:
    """The summary of an empty replay would fail instead of saying so."""
    assert Lateness().summary() == {"p50_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0}

"""The limits of a valid trade, and the two units of its times."""

import pytest

from tradecap.market.trade_limits import MAX_TIME_US, MICROSECONDS_FROM, MIN_TIME_US, in_us, later


@pytest.mark.parametrize("time", [0, MIN_TIME_US // 1000, MAX_TIME_US // 1000 - 1, MICROSECONDS_FROM - 1])
def test_a_smaller_time_is_in_milliseconds(time: int) -> None:
    """A trade of today would be taken for one of 1970."""
    assert in_us(time) == time * 1000
    assert later(time, 7_000) == time + 7


@pytest.mark.parametrize("time", [MICROSECONDS_FROM, MIN_TIME_US, MAX_TIME_US - 1])
def test_a_larger_time_is_in_microseconds(time: int) -> None:
    """A recording in microseconds would be a thousand times too late, or moved a thousand times too little."""
    assert in_us(time) == time
    assert later(time, 7_000) == time + 7_000

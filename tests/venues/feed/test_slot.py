"""When the venue may be asked for a connection again."""

import asyncio
import time

import pytest

from tradecap.venues.feed.inbox import Terms
from tradecap.venues.feed.slot import ConnectThrottle

TERMS = Terms()


def test_nothing_is_waited_for_before_the_first_attempt_and_the_first_retry() -> None:
    """Each short break would cost trades that only REST can bring back."""
    throttle = ConnectThrottle(TERMS)
    assert [throttle._delay_s(failed, 0.0) for failed in (0, 1)] == [0.0, 0.0]


@pytest.mark.parametrize("failed", [2, 3, 5, 20, 5000])
def test_the_wait_grows_up_to_its_limit(failed: int) -> None:
    """A thousand clients that lost the venue would come back in the same second, or one of them never."""
    longest = min(TERMS.longest_delay_s, TERMS.first_delay_s * 2 ** min(failed - 2, 16))
    waits = [ConnectThrottle(TERMS)._delay_s(failed, 0.0) for _ in range(200)]
    assert all(0 <= wait <= longest for wait in waits)
    assert max(waits) > longest / 2 > min(waits)


def test_the_attempts_of_five_minutes_are_counted_for_all_connections() -> None:
    """The venue bans an address that connects too often."""
    throttle = ConnectThrottle(TERMS)
    waits = [throttle._delay_s(0, 100.0) for _ in range(TERMS.attempts_in_5_minutes + 1)]
    assert waits == [0.0] * TERMS.attempts_in_5_minutes + [TERMS.longest_delay_s]
    assert throttle._delay_s(0, 399.0) == TERMS.longest_delay_s
    assert throttle._delay_s(0, 400.1) == 0.0


def test_a_pause_lasts_as_long_as_the_longest_that_was_asked_for() -> None:
    """A Retry-After of one connection would be cut short by that of another."""
    throttle = ConnectThrottle(TERMS)
    began_s = time.monotonic()
    throttle.pause(0.2)
    throttle.pause(0.0)
    asyncio.run(throttle.wait(0))
    assert time.monotonic() - began_s >= 0.2

"""Times and durations as people write and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradecap.times import LAST_NS, parse_duration, parse_time, time_text

NOW = 1_723_161_300_000_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("10m", 600),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("2d", 172_800),
        ("0s", 0),
        ("0.1s", 0.1),
        (" 5s ", 5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration read wrongly stops a capture too early."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-5s", "5 s", "1h30", "30S", "1e3s", "5s5", "٣s", "inf", "9" * 400 + "s"]
)
def test_what_is_no_duration(text: str) -> None:
    """A number without its unit may mean seconds or minutes; guessing is wrong half of the time."""
    with pytest.raises(ValueError, match="isn't a duration; write it like 30s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("2024-08-09", "2024-08-09T00:00:00Z"),
        ("2024-08-09T12:30Z", "2024-08-09T12:30:00Z"),
        ("2024-08-09T12:30:15", "2024-08-09T12:30:15Z"),
        ("2024-08-09 12:30:15.25z", "2024-08-09T12:30:15.25Z"),
        ("2024-08-09T12:30:00.123456789Z", "2024-08-09T12:30:00.123456789Z"),
        ("2024-08-09T01:00:00+02:00", "2024-08-08T23:00:00Z"),
        ("2024-08-08T20:00:00-03:30", "2024-08-08T23:30:00Z"),
        ("-10m", "2024-08-08T23:45:00Z"),
        ("1970-01-01", "1970-01-01T00:00:00Z"),
    ],
)
def test_times(text: str, meaning: str) -> None:
    """A time read in another zone or year shows other trades than were asked for."""
    assert time_text(parse_time(text, NOW)) == meaning


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-02-30",
        "2024-8-9",
        "2024-08-09T25:00Z",
        "2024-08-09T12Z",
        "12:30",
        "1723161300",
        "1969-12-31",
        "2300-01-01",
        "-10",
        "2024-08-09T12:30:00+25:00",
        "0001-01-01T00:00+02:00",
        "-99999d",
        "2024-08-09T12:30:00.1234567890Z",
        "-",
        "2024-08-09Z",
    ],
)
def test_what_is_no_time(text: str) -> None:
    """A time that doesn't exist would be taken for another one, or end in a traceback."""
    with pytest.raises(ValueError, match=r"a time|1970 to 2262|a duration"):
        parse_time(text, NOW)


@given(st.integers(0, LAST_NS))
def test_a_time_that_is_shown_can_be_typed_again(ns: int) -> None:
    """A time copied from the output into --from would lose or gain trades at the edge."""
    assert parse_time(time_text(ns), NOW) == ns


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (NOW, "2024-08-08T23:55:00Z"),
        (NOW + 250_000_000, "2024-08-08T23:55:00.25Z"),
        (LAST_NS, "2262-04-11T23:47:16.854775807Z"),
    ],
)
def test_a_time_is_shown_with_the_digits_it_has(ns: int, text: str) -> None:
    """A nanosecond cut off would name another record."""
    assert time_text(ns) == text


def test_a_time_before_1970_counted_from_now_is_refused() -> None:
    """`--from -60000d` would wrap around to some other year."""
    assert parse_time("-1d", 86_400 * 10**9) == 0
    with pytest.raises(ValueError, match="outside of 1970 to 2262"):
        parse_time("-1d", 86_400 * 10**9 - 1)

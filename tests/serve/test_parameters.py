"""Parameters of a query, read strictly."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON_S
from tradecap.serve.parameters import LAST_MS, WINDOW_S, interval, read, threshold, when, window
from tradecap.serve.problems import ProblemError

NOON_US = NOON_S * 10**6


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("2024-08-09T12:00:00Z", NOON_S),
        ("2024-08-09T12:00:00.000000001Z", NOON_S + 1),
        ("2024-08-09T14:00:00+02:00", NOON_S),
        ("2024-08-09T14:00:00 02:00", NOON_S),
        ("-10m", NOON_S - 600),
        ("0", 0),
        ("1723204800", NOON_S),
        ("1723204800000", NOON_S),
        ("1723204800001", NOON_S + 1),
        ("99999999999", None),
        (str(LAST_MS), LAST_MS // 1000),
    ],
)
def test_each_form_of_a_time_is_the_same_second(text: str | None, seconds: int | None) -> None:
    """A page that begins a second early repeats a bar; milliseconds read as seconds ask for the year 56000."""
    if text == "99999999999":
        with pytest.raises(ProblemError, match="after the year 2099"):
            when("from", text, NOON_US)
    else:
        assert when("from", text, NOON_US) == seconds


@given(st.integers(0, 99_999_999_999), st.booleans())
def test_seconds_and_milliseconds_are_distinguished_by_their_length(number: int, is_ms: bool) -> None:
    """The same instant would be two, by the client that asks."""
    text = f"{number}000" if is_ms and number > 10**8 else f"{number}"
    if number * 1000 <= LAST_MS:
        assert when("from", text, NOON_US) == number


@pytest.mark.parametrize(("text", "seconds"), [("1m", 60), ("90m", 5400), ("7d", WINDOW_S), ("1h1m", 3660)])
def test_a_window_is_whole_minutes(text: str, seconds: int) -> None:
    """A volume of half a minute can't be answered from minutes."""
    assert window(text) == seconds


@pytest.mark.parametrize(
    ("parse", "name", "texts"),
    [
        (window, "window", ["0m", "30s", "61s", "90.5m", "8d", "10081m", "", "x", "-1m"]),
        (interval, "interval", ["7m", "30s", "2d", "", "1w", "0m"]),
        (threshold, "threshold", ["0", "0.0", "-1", "1e3", "1/3", "1234567", ".5", "٣", "", "nan"]),
    ],
)
def test_what_cannot_be_read_is_a_422_that_names_the_parameter(parse: object, name: str, texts: list[str]) -> None:
    """A client would get the answer to another question, or a 500 that explains nothing."""
    assert callable(parse)
    for text in texts:
        with pytest.raises(ProblemError, match=f"^{name}: ") as problem:
            parse(text)
        assert problem.value.status == 422
        assert problem.value.hint


def test_a_threshold_is_exact() -> None:
    """A change of exactly 3 % would be a spike or not by the rounding of a float."""
    assert threshold("0.03") == Fraction(3, 100)
    assert threshold("0.000000000001") == Fraction(1, 10**12)


def test_an_exception_that_is_not_about_the_value_passes() -> None:
    """A mistake of ours would be reported as the client's."""
    with pytest.raises(ZeroDivisionError):
        read("from", "1", lambda _: 1 // 0)

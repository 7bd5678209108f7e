"""Whole numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradecap.digits import GROUP_SIGN, counted, number


@given(st.integers(-(10**30), 10**30))
def test_a_grouped_number_keeps_its_digits(value: int) -> None:
    """A digit lost or moved by the grouping would show another count than the one that was proven."""
    groups = number(value).lstrip("-").split(GROUP_SIGN)
    assert int(number(value).replace(GROUP_SIGN, "")) == value
    assert all(len(group) == 3 for group in groups[1:])
    assert 1 <= len(groups[0]) <= 3


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (1000, f"1{GROUP_SIGN}000 runs"), (999, "999 runs")]
)
def test_one_thing_is_singular(count: int, text: str) -> None:
    """ "1 runs" makes a reader doubt the number as well."""
    assert counted(count, "run") == text


def test_an_irregular_plural_is_taken_as_given() -> None:
    """ "2 entrys" would appear in a report."""
    assert [counted(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]

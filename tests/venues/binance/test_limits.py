"""Decimal texts as integers, and the limits of a valid message."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradecap.venues.binance.limits import PLAIN_PRICE, PLAIN_QTY, scaled

SCALE = 10**8
MAX_QTY = 10**15 * SCALE
MAX_QUOTE = 10**17 * SCALE * SCALE
"""What docs/data-quality.md says of a valid trade."""
DIGITS = st.text("0123456789", min_size=1, max_size=25)


@given(DIGITS, st.text("0123456789", max_size=8))
def test_a_decimal_text_is_its_decimal(whole: str, fraction: str) -> None:
    """A price that differs from its text in one digit is a false trade with a proof."""
    text = f"{whole}.{fraction}" if fraction else whole
    assert scaled(text) == Fraction(text) * SCALE


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.", ".5", "+1", "-1", "1e3", "1,5", " 1", "1 ", "1.123456789", "0x1", "1.2.3", "٣", "1.٣", "²", "NaN"],
)
def test_other_texts_are_not_numbers(text: str) -> None:
    """Python's `int` takes several of these and ClickHouse takes none, so the two readings would differ."""
    assert scaled(text) == -1


def test_a_number_without_end_is_too_large_and_costs_nothing() -> None:
    """A message of 100 000 digits would be multiplied out, or be taken for a small price."""
    assert scaled("9" * 100_000) > MAX_QTY
    assert scaled("0" * 100_000 + "7") == 7 * SCALE


def test_plain_prices_and_quantities_need_no_look_at_their_product() -> None:
    """The fast reading doesn't check price x quantity: a greater limit would store what the strict one refuses."""
    assert (PLAIN_PRICE - 1) * (PLAIN_QTY - 1) < MAX_QUOTE

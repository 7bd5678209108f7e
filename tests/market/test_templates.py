"""Templates: numbers read from the digits of many lines at a time."""

import random

import numpy as np
import pytest

from tradecap.market.numbers import Span
from tradecap.market.templates import EXACT, FEW, NumberColumns


@pytest.mark.parametrize("lines", [1, FEW, FEW + 1])
def test_numbers_of_few_and_of_many_lines_are_exact(lines: int) -> None:
    """A receive time in nanoseconds has more digits than a float holds: its last ones would be made up."""
    rng = random.Random(7)
    widths = {f"of {width}": width for width in (1, 2, EXACT - 1, EXACT, EXACT + 1, 18)} | {"recv": 19}
    spans: dict[str, Span] = {}
    at = 3
    for name, width in widths.items():
        spans[name] = (at, at + width)
        at += width + 2
    texts = {
        name: [f"{rng.randrange(10**width - 1 if width < 19 else 9 * 10**18):0{width}d}" for _ in range(lines)] for name, width in widths.items()
    }
    for column in texts.values():
        column[0] = "9" * len(column[0]) if len(column[0]) < 19 else "8" + "9" * 18
    digits = np.zeros((lines, at), np.uint8)
    for name, (first, end) in spans.items():
        digits[:, first:end] = [[int(digit) for digit in text] for text in texts[name]]
    found = NumberColumns(spans).read(digits)
    assert {name: column.tolist() for name, column in found.items()} == {name: [int(text) for text in column] for name, column in texts.items()}

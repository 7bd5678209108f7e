"""Lines that differ in digits alone, read many at a time."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOON_S, a_trade
from tradecap.market.numbers import Span
from tradecap.market.records import Envelope, RunWriter, Trade, content_hash, frame, read_envelope, series_head
from tradecap.market.templates import EXACT, FEW, NumberColumns, Template, shapes, template_of
from tradecap.venues.binance import decode
from tradecap.venues.binance.fields import numbers_of
from tradecap.venues.binance.synthetic import message

RUN = "01930000-0000-7000-8000-000000000000"
NOON_MS = NOON_S * 1000


def a_line(seq: int = 7, recv: int | None = 10**18 + 5, **overrides: Any) -> bytes:
    """A record of a trade, without its newline."""
    payload = message(a_trade(**overrides))
    head = series_head("binance", "BTCUSDT", "trade", "ws")
    return RunWriter(RUN, seq).record(recv, head, frame(payload)).removesuffix(b"\n")


def read(line: bytes) -> tuple[Envelope, Trade]:
    """A line as the strict reading has it."""
    envelope = read_envelope(line)
    assert envelope is not None
    trade = decode(envelope.payload)
    assert isinstance(trade, Trade)
    return envelope, trade


def a_template(line: bytes) -> Template:
    envelope, trade = read(line)
    found = template_of(line, envelope, trade, numbers_of(envelope.payload, "trade"))
    assert found is not None
    return found


def rows(*lines: bytes) -> Any:
    return np.frombuffer(b"".join(lines), np.uint8).reshape(len(lines), -1)


DIGITS = {
    "seq": st.integers(1, 9),
    "id": st.integers(10**9, 10**10 - 1),
    "price": st.integers(1, 10**11 - 1),
    "qty": st.integers(1, 10**9 - 1),
    "trade_time_us": st.integers(NOON_MS - 10**9, NOON_MS + 10**9).map(lambda ms: ms * 1000),
    "event_time_us": st.integers(NOON_MS - 10**9, NOON_MS + 10**9).map(lambda ms: ms * 1000),
}


@settings(max_examples=25)
@given(st.fixed_dictionaries(DIGITS), st.lists(st.fixed_dictionaries(DIGITS), min_size=1, max_size=8))
def test_lines_that_fit_are_read_as_the_strict_reading_does(
    first: dict[str, int], others: list[dict[str, int]]
) -> None:
    """The quick way of `verify` would prove other numbers than the log holds."""
    line = a_line(**first)
    lines = [each for each in (a_line(**other) for other in others) if len(each) == len(line)]
    if not lines:
        return
    fitting, others_rows, columns = a_template(line).fitting(rows(*lines), np.arange(len(lines)))
    for n, row in enumerate(fitting):
        envelope, trade = read(lines[row])
        assert (columns.seq[n], columns.recv_ns[n], columns.trade_id[n]) == (envelope.seq, envelope.recv, trade.id)
        assert (columns.time_ms[n] * 1000, columns.event_ms[n] * 1000) == (trade.trade_time_us, trade.event_time_us)
        assert columns.content[n] == content_hash(trade)
    assert (len(fitting), len(others_rows)) == (len(lines), 0)


LINE = a_line(id=1234567890)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"t":1234567890', b'"t":0234567890'),
        (b'"t":1234567890', b'"t":12345678x0'),
        (b'"T":1723204800000', b'"T":4133980800000'),
        (b'"T":1723204800000', b'"T":1262303999999'),
        (b'"p":"100.00000000"', b'"p":"000.00000000"'),
        (b'"q":"1.00000000"', b'"q":"0.00000000"'),
        (b'"m":false', b'"m":fals3'),
        (b"BTCUSDT", b"BTCUSD1"),
    ],
)
def test_a_line_that_differs_in_more_than_digits_does_not_fit(old: bytes, new: bytes) -> None:
    """A record that the strict reading puts into quarantine would be proven as a trade."""
    assert old in LINE
    fitting, others, columns = a_template(LINE).fitting(rows(LINE, LINE.replace(old, new), LINE), np.arange(3))
    assert (list(fitting), list(others)) == ([0, 2], [1])
    assert len(columns.seq) == 2


def test_a_template_is_not_made_where_the_digits_are_other_numbers() -> None:
    """A venue that names the wrong places would have every further line read by them."""
    envelope, trade = read(LINE)
    numbers = numbers_of(envelope.payload, "trade")
    assert numbers is not None
    assert template_of(LINE, envelope, a_trade(id=8), numbers) is None
    assert template_of(LINE, envelope, trade, None) is None
    assert template_of(LINE.replace(b'"seq":7', b'"seq":8'), envelope, trade, numbers) is None


def test_lines_that_differ_in_digits_alone_have_one_shape() -> None:
    """Each line would be a shape of its own, and the quick way slower than the plain one."""
    same, other = a_line(id=9876543210, seq=3), a_line(id=1234567890, is_buyer_maker=True)
    found = shapes(rows(LINE, same, other.ljust(len(LINE), b" ")[: len(LINE)]))
    assert found[0] == found[1] != found[2]


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
        name: [f"{rng.randrange(10**width - 1 if width < 19 else 9 * 10**18):0{width}d}" for _ in range(lines)]
        for name, width in widths.items()
    }
    for column in texts.values():
        column[0] = "9" * len(column[0]) if len(column[0]) < 19 else "8" + "9" * 18
    digits = np.zeros((lines, at), np.uint8)
    for name, (first, end) in spans.items():
        digits[:, first:end] = [[int(digit) for digit in text] for text in texts[name]]
    found = NumberColumns(spans).read(digits)
    assert {name: column.tolist() for name, column in found.items()} == {
        name: [int(text) for text in column] for name, column in texts.items()
    }

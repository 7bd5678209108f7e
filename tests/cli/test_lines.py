"""Tables and lines that fit the terminal they are drawn on."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from tradecap.cli.lines import line
from tradecap.cli.output import number, stacked, table

pytestmark = pytest.mark.core


def drawn(picture: object, width: int, *, is_terminal: bool = True) -> list[str]:
    seen = io.StringIO()
    Console(file=seen, width=width, force_terminal=is_terminal, color_system=None, markup=False, highlight=False).print(
        picture, crop=False
    )
    return [each.rstrip() for each in seen.getvalue().splitlines()]


ROWS = [("2024-08-09 12:00", "61000.51", 597, "BTCUSDT of a venue"), ("2024-08-09 12:01", "0.00000742", 1_234_567, "x")]
NAMES = ("open time", "price", "trades", "story")


def test_columns_are_left_out_in_the_stated_order_and_named() -> None:
    """What is cut out silently is looked for in the store."""
    shown = drawn(table(NAMES, ROWS, drop=("story", "price")), 50)
    assert [each.split("  ")[0] for each in shown[:3]] == ["open time", "2024-08-09 12:00", "2024-08-09 12:01"]
    assert "0.00000742" in shown[2]
    assert shown[3:] == ["left out at 50 columns: story; --json has all"]
    assert drawn(table(NAMES, ROWS, drop=("story", "price")), 30)[-2:] == [
        "left out at 30 columns: story,",
        "price; --json has all",
    ]


def test_texts_that_may_be_broken_are_before_a_column_is_left_out() -> None:
    """A column would go for want of two signs."""
    shown = drawn(table(NAMES, ROWS, wrap=("story",), drop=("story", "price")), 53)
    assert [each[41:] for each in shown] == ["story", "BTCUSDT of a", "venue", "x"]


def test_where_no_terminal_is_nothing_is_broken_or_left_out() -> None:
    """A program that reads a pipe would get half of a table."""
    text = "a long story " * 100
    shown = drawn(stacked(text, table(("a", "b"), [(text, text)], wrap=("a",), drop=("b",))), 80, is_terminal=False)
    assert shown == [text.rstrip(), f"a{'':{len(text) - 1}}  b", f"{text}  {text}".rstrip()]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(10, 120))
def test_no_number_and_no_word_is_broken_at_any_width(data: st.DataObject, width: int) -> None:
    """A price without its last digits is another price."""
    cells = st.one_of(
        st.integers(0, 10**12),
        st.sampled_from(["BTCUSDT", "no gaps", "3722410118 … 3722413462", "0.00000742", "quarantine.accounted", ""]),
    )
    columns = data.draw(st.integers(1, 7))
    rows = data.draw(st.lists(st.tuples(*[cells] * columns), max_size=4))
    names = [f"name{index}" for index in range(columns)]
    wrap = data.draw(st.lists(st.sampled_from(names), unique=True))
    shown = drawn(stacked(number(10**9), table(names, rows, wrap=wrap, drop=names[:0:-1])), width)
    words = {
        word for row in rows for cell in row for word in (number(cell) if isinstance(cell, int) else cell).split(" ")
    }
    known = words | {*names} | {f"{name}{sign}" for name in names for sign in ",;"} | {number(10**9)}
    report = {"left", "out", "at", f"{width}", "columns:", "--json", "has", "all"}
    assert {word for each in shown for word in each.split(" ") if word} <= known | report


def test_what_is_in_a_cell_or_a_line_cannot_move_the_cursor() -> None:
    """A symbol of a recording hid the verdict below it."""
    evil = "BTC\x1b[2J\nPROVEN\u202e"
    shown = drawn(stacked(evil, table(("symbol",), [(evil,)]), line(evil)), 80)
    assert shown == [r"BTC\x1b[2J\nPROVEN\u202e", "symbol", r"BTC\x1b[2J\nPROVEN\u202e", r"BTC\x1b[2J\nPROVEN\u202e"]

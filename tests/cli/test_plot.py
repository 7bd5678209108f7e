"""A candle chart in characters."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON_S
from tradecap.cli.plot import FALLING, RISING, ROWS, WICK, plot
from tradecap.flows.candles import ShownCandle


def a_candle(
    opened: int, closed: int, *, low: int | None = None, high: int | None = None, minute: int = 0
) -> ShownCandle:
    """A candle of prices in units of a cent."""
    ends = min(opened, closed) if low is None else low, max(opened, closed) if high is None else high
    prices = {"open": opened, "close": closed, "low": ends[0], "high": ends[1]}
    return ShownCandle(
        open_time=datetime.fromtimestamp(NOON_S + 60 * minute, UTC),
        volume="1",
        quote_volume="1",
        trades=1,
        taker_buy_volume="0",
        taker_buy_quote_volume="0",
        vwap=1.0,
        volatility=0.0,
        first_id=minute,
        last_id=minute,
        complete=True,
        **{name: f"{cents // 100}.{cents % 100:02d}" for name, cents in prices.items()},
    )


def rows(candles: list[ShownCandle], width: int = 80) -> list[str]:
    return plot(candles, width).plain.split("\n")


PRICES = st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)), min_size=1, max_size=120)


@given(PRICES, st.integers(60, 200))
def test_it_fits_its_width_and_shows_the_newest(prices: list[tuple[int, int]], width: int) -> None:
    """A chart wider than the terminal is a heap of signs; one of the oldest candles doesn't answer the question."""
    candles = [a_candle(*each, minute=n) for n, each in enumerate(prices)]
    drawn = rows(candles, width)
    assert all(len(row) <= width for row in drawn[: ROWS + 1])
    assert len([row for row in drawn if "┤" in row or "│" in row[:20]]) >= ROWS
    assert f"{candles[-1].open_time:%H:%M}" in drawn[ROWS + 1]


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_rising_and_falling_differ_without_colour(opened: int, closed: int) -> None:
    """In a pipe, or to a reader who doesn't see red, all candles would be the same."""
    body = "".join(row.partition(" ┤")[2] + row.partition(" │")[2] for row in rows([a_candle(opened, closed)])[:ROWS])
    assert (RISING in body, FALLING in body) == (closed >= opened, closed < opened)


def test_a_flat_body_is_seen_on_its_wick() -> None:
    """A candle that closed where it opened would vanish."""
    body = "".join(rows([a_candle(500, 500, low=100, high=900)])[:ROWS])
    assert RISING in body
    assert WICK in body.replace(" │", "")


def test_the_scale_has_the_decimals_of_the_prices() -> None:
    """A coin of 0.00002 would have a scale of zeros."""
    drawn = rows([a_candle(100, 250)])
    assert drawn[0].startswith("2.50 ┤")
    assert drawn[ROWS - 1].startswith("1.00 ┤")


def test_no_candles_are_one_sentence() -> None:
    """An empty frame looks like a market without movement."""
    assert plot([]).plain == "no candles in this range"

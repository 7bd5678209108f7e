"""A kline: one bar as a venue published it.

Rules: pure; numbers are exact integers, a row that isn't a kline is a value.
"""

from typing import Final, NamedTuple

import msgspec

DECIMALS: Final = {
    "open": 8,
    "high": 8,
    "low": 8,
    "close": 8,
    "volume": 8,
    "quote_volume": 16,
    "trades": 0,
    "taker_buy_volume": 8,
    "taker_buy_quote_volume": 16,
}
"""The nine values, each an integer in units of 10^-decimals."""


class Kline(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A bar as the venue published it. is_exact is False where its numbers went through floats; the taker's values are
    None where it has none."""

    open_time_s: int
    interval_s: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trades: int
    taker_buy_volume: int | None
    taker_buy_quote_volume: int | None
    is_exact: bool = True


class WrongRow(NamedTuple):
    """A row that isn't a kline, or doesn't belong: where it is and what is wrong with it."""

    line: int
    problem: str

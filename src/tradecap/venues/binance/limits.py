"""What a value of a Binance message may be, and a decimal text as an integer.

Rules: pure. Times of 10^14 and more are microseconds (the venue sends milliseconds unless asked otherwise; 10^14 ms is the year 5138). The SQL in
store/clickhouse/schema/0003_binance.sql keeps the same limits.
"""

from functools import lru_cache
from typing import Final

SCALE: Final = 10**8
MIN_TIME_US: Final = 1_262_304_000_000_000
"""2010-01-01 UTC."""
MAX_TIME_US: Final = 4_133_980_800_000_000
"""2101-01-01 UTC, exclusive."""
MICROSECONDS_FROM: Final = 10**14
MAX_PRICE: Final = 10**10 * SCALE
MAX_QTY: Final = 10**15 * SCALE
MAX_QUOTE: Final = 10**17 * SCALE * SCALE
MAX_ID: Final = 2**63
MIN_MS: Final = MIN_TIME_US // 1000
MAX_MS: Final = MAX_TIME_US // 1000
PLAIN_PRICE: Final = 10**7 * SCALE
PLAIN_QTY: Final = 10**10 * SCALE
"""Below both, price x quantity is below MAX_QUOTE without a look."""
MAX_SYMBOL: Final = 64
"""Bytes of UTF-8; the venue's longest are 20 or so, and not all are ASCII."""


@lru_cache(maxsize=1 << 16)
def scaled(text: str) -> int:
    """A decimal text (digits, or digits.1-8 digits) in units of 10^-8; -1 where it isn't one. Beyond 10^30 it is only known to be too large."""
    whole, dot, fraction = text.partition(".")
    if not (text.isascii() and whole.isdigit()) or (dot and not (fraction.isdigit() and len(fraction) <= 8)):
        return -1
    whole = whole.lstrip("0")
    return int(whole[:30] + fraction.ljust(8, "0"))

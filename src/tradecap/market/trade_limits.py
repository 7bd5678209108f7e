"""What a valid trade may be: price, quantity, id and time. For every reader, and for the faults that break the rules.

Rules: pure. Amounts are integers of 10^-8. The SQL in store/clickhouse/schema/0003_binance.sql keeps the same limits.
"""

from typing import Final

SCALE: Final = 10**8
MAX_PRICE: Final = 10**10 * SCALE
MAX_QTY: Final = 10**15 * SCALE
MAX_QUOTE: Final = 10**17 * SCALE * SCALE
"""price x quantity. A valid trade is below all three."""
MAX_ID: Final = 2**63
"""Ids are below it."""
MIN_TIME_US: Final = 1_262_304_000_000_000
"""2010-01-01 UTC."""
MAX_TIME_US: Final = 4_133_980_800_000_000
"""2101-01-01 UTC, exclusive."""
MIN_MS: Final = MIN_TIME_US // 1000
MAX_MS: Final = MAX_TIME_US // 1000
MICROSECONDS_FROM: Final = 10**14
"""A time this large is in microseconds, a smaller one in milliseconds (10^14 ms is the year 5138)."""


def in_us(time: int) -> int:
    """A time in either unit, in microseconds."""
    return time if time >= MICROSECONDS_FROM else time * 1000


def later(time: int, by_us: int) -> int:
    """A time in either unit, by_us microseconds later, in the same unit."""
    return time + (by_us if time >= MICROSECONDS_FROM else by_us // 1000)

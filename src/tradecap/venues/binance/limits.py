"""What Binance's messages hold beyond the limits of a valid trade, and a decimal text as an integer. Pure."""

from functools import lru_cache
from typing import Final

from tradecap.market.trade_limits import SCALE

PLAIN_PRICE: Final = 10**7 * SCALE
PLAIN_QTY: Final = 10**10 * SCALE
"""Below both, price x quantity is certainly below MAX_QUOTE."""
MAX_SYMBOL: Final = 64
"""Bytes of UTF-8; the venue's longest are 20 or so, and not all are ASCII."""


@lru_cache(maxsize=1 << 16)
def scaled(text: str) -> int:
    """A decimal text (digits, or digits.1-8 digits) in units of 10^-8; -1 if it isn't one.

    Only the first 30 digits of a number beyond 10^30 are read: it is too large anyway.
    """
    whole, dot, fraction = text.partition(".")
    if not (text.isascii() and whole.isdigit()) or (dot and not (fraction.isdigit() and len(fraction) <= 8)):
        return -1
    whole = whole.lstrip("0")
    return int(whole[:30] + fraction.ljust(8, "0"))

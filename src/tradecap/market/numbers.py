"""Where the numbers of a message are in its bytes. A venue gives this to market/templates.py, which reads many messages
at a time."""

from collections.abc import Mapping
from dataclasses import dataclass

Span = tuple[int, int]
"""First byte, and the one behind the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """spans: by name, the digits of id, first, last, event_ms, time_ms, price, price_fraction, qty, qty_fraction;
    others are only to be numbers.

    since_ms, until_ms (exclusive): what a time may be.
    """

    spans: Mapping[str, Span]
    since_ms: int
    until_ms: int

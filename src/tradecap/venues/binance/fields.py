"""Where the numbers of a trade message are, for reading many messages that differ in nothing else.

Rules: only of the shapes that the venue sends, each member once; None for every other message.
"""

import re
from typing import Final

from tradecap.market.numbers import Numbers
from tradecap.market.trade_limits import MAX_MS, MIN_MS

_INTEGER: Final = re.compile(rb'"([A-Za-z])":(\d{1,18})[,}]')
_AMOUNT: Final = re.compile(rb'"([pq])":"(\d{1,7})\.(\d{1,8})"')
"""Below PLAIN_PRICE and PLAIN_QTY."""
_NAMES: Final = {
    "trade": {"E": "event_ms", "t": "id", "T": "time_ms", "a": "seller", "b": "buyer"},
    "aggTrade": {"E": "event_ms", "a": "id", "f": "first", "l": "last", "T": "time_ms"},
}


def numbers_of(payload: bytes, channel: str) -> Numbers | None:
    """Where the numbers of a message of this channel are; None where it isn't one of the usual shapes."""
    names = _NAMES.get(channel)
    if names is None:
        return None
    integers = [(names.get(found[1].decode(), ""), found.span(2)) for found in _INTEGER.finditer(payload)]
    amounts = [("price" if found[1] == b"p" else "qty", found) for found in _AMOUNT.finditer(payload)]
    spans = (
        dict(integers)
        | {name: found.span(2) for name, found in amounts}
        | {f"{name}_fraction": found.span(3) for name, found in amounts}
    )
    is_usual = (
        len(spans) == len(integers) + 2 * len(amounts)
        and "" not in spans
        and {"price", "qty", "id", "time_ms", "event_ms"} <= spans.keys()
    )
    if not is_usual or (channel == "aggTrade" and not {"first", "last"} <= spans.keys()):
        return None
    return Numbers(spans=spans, since_ms=MIN_MS, until_ms=MAX_MS)

"""Moving the times of a Binance message: for `replay --now`, and for the tape of the local exchange.

Rules: pure. The message is a valid trade. A time keeps its unit (milliseconds or microseconds), so it is moved by whole
milliseconds.
"""

import re
from typing import Final

from tradecap.market.trade_limits import later

_TIMES: Final = re.compile(rb'"(E|T|time)":(\d{13,16})(?=[,}])')


def moved(payload: bytes, channel: str, by_us: int) -> bytes:
    """The message of a trade with its times `by_us` microseconds later. by_us is whole milliseconds."""
    if payload[:1] == b"{" or payload.lstrip()[:1] == b"{":
        return _TIMES.sub(lambda m: b'"%b":%d' % (m[1], later(int(m[2]), by_us)), payload)
    return _row_moved(payload, 4 if channel == "trade" else 5, by_us)


def _row_moved(row: bytes, column: int, by_us: int) -> bytes:
    """A row of the archive, its time moved."""
    columns = row.split(b",")
    columns[column] = b"%d" % later(int(columns[column]), by_us)
    return b",".join(columns)

"""Messages as they go over the wire: units of time, the wrapper of combined streams, WebSocket frames, rows of REST.

Rules: pure. A message in the unit that it was recorded in stays byte for byte. A frame is made once for all clients: a
server's frames aren't masked (RFC 6455 §5.1), and no extension is negotiated. Prices and quantities have eight decimals
(docs/binance.md §4, observed).
"""

import re
from typing import Final

from tradecap.market.records import Trade
from tradecap.market.trade_limits import MICROSECONDS_FROM
from tradecap.venues.binance.synthetic import written

_TIMES: Final = re.compile(rb'"(E|T)":(\d{13,16})(?=[,}])')


def in_unit(payload: bytes, trade: Trade | None, micro: bool) -> bytes:
    """A stream's message with its times in microseconds or milliseconds.

    Digits that milliseconds lack come from the trade.
    """

    def time(match: re.Match[bytes]) -> bytes:
        value = int(match[2])
        if (value >= MICROSECONDS_FROM) == micro:
            return match[0]
        if not micro:
            return b'"%b":%d' % (match[1], value // 1000)
        exact = (trade.trade_time_us if match[1] == b"T" else trade.event_time_us) if trade else 0
        return b'"%b":%d' % (match[1], exact if exact // 1000 == value else value * 1000)

    return _TIMES.sub(time, payload)


def is_in_micro(payload: bytes) -> bool:
    """Whether a trade's message has its time in microseconds: sixteen digits."""
    at = payload.find(b'"T":')
    return at >= 0 and payload[at + 17 : at + 18].isdigit()


def wrapped(stream: bytes, payload: bytes) -> bytes:
    """A message in the wrapper of a combined stream."""
    return b'{"stream":"%b","data":%b}' % (stream, payload)


def text_frame(payload: bytes) -> bytes:
    """A whole, final text frame of a server (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 1 << 16:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


def trade_row(trade: Trade, micro: bool) -> dict[str, object]:
    """A row of /trades and /historicalTrades."""
    return {
        "id": trade.id,
        "price": decimal(trade.price),
        "qty": decimal(trade.qty),
        "quoteQty": decimal(trade.price * trade.qty // 10**8),
        "time": unit_time(trade.trade_time_us, micro),
        "isBuyerMaker": trade.is_buyer_maker,
        "isBestMatch": True,
    }


def agg_trade_row(trade: Trade, micro: bool) -> dict[str, object]:
    """A row of /aggTrades."""
    return {
        "a": trade.id,
        "p": decimal(trade.price),
        "q": decimal(trade.qty),
        "f": trade.first_id,
        "l": trade.last_id,
        "T": unit_time(trade.trade_time_us, micro),
        "m": trade.is_buyer_maker,
        "M": True,
    }


def decimal(units: int) -> str:
    """Units of 10^-8 with eight decimals."""
    return written(units, 8).decode()


def unit_time(time_us: int, micro: bool) -> int:
    """A time in the wanted unit."""
    return time_us if micro else time_us // 1000


def server_shutdown(event_us: int, micro: bool) -> bytes:
    """The announcement that the server will shut down (docs/binance.md §2, since 2026-05-08), on `!serverShutdown`."""
    return b'{"e":"serverShutdown","E":%d}' % unit_time(event_us, micro)

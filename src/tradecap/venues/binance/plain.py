"""Binance's messages as the venue really sends them: one typed decode, then the values. Everything else is read
strictly.

Rules: pure; `decode` never raises, on any bytes; what isn't a valid trade comes back as Ignored or Rejected. A plain
message that is accepted here is read as `strict` would read it. The SQL in store/clickhouse/schema/0003_binance.sql
reads the same way; tests/cases.py holds the two against each other.

Sources: payloads, times and ids as in the venue's "WebSocket Streams" and "Public Rest API" documents
(binance-spot-api-docs) and the USD-M "Websocket Market Streams".
"""

import re
from typing import Final

import msgspec

from tradecap.market.records import MAX_PAYLOAD, Ignored, Reading, Trade
from tradecap.market.trade_limits import MAX_ID, MAX_MS, MAX_TIME_US, MIN_MS, MIN_TIME_US
from tradecap.venues.binance.limits import PLAIN_PRICE, PLAIN_QTY, scaled
from tradecap.venues.binance.strict import read_strictly
from tradecap.venues.binance.symbols import is_plain_symbol


class _PlainTrade(msgspec.Struct, tag_field="e", tag="trade", forbid_unknown_fields=True, gc=False):
    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool
    M: bool | msgspec.UnsetType = msgspec.UNSET
    X: str | msgspec.UnsetType = msgspec.UNSET
    b: int | msgspec.UnsetType = msgspec.UNSET
    a: int | msgspec.UnsetType = msgspec.UNSET


class _AggTrade(msgspec.Struct, tag_field="e", tag="aggTrade", forbid_unknown_fields=True, gc=False):
    E: int
    s: str
    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741 -- the venue's name for the last trade id
    T: int
    m: bool
    M: bool | msgspec.UnsetType = msgspec.UNSET


class _Depth(msgspec.Struct, tag_field="e", tag="depthUpdate", forbid_unknown_fields=True, gc=False):
    E: int
    s: str
    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    T: int | msgspec.UnsetType = msgspec.UNSET
    pu: int | msgspec.UnsetType = msgspec.UNSET


_Message = _PlainTrade | _AggTrade | _Depth


class _Combined(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    stream: str
    data: _Message


class _BookTicker(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    u: int
    s: str
    b: str
    B: str
    a: str
    A: str


class _CombinedBookTicker(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    stream: str
    data: _BookTicker


_decode_bare = msgspec.json.Decoder(_Message).decode
_decode_combined = msgspec.json.Decoder(_Combined).decode
_decode_combined_book_ticker = msgspec.json.Decoder(_CombinedBookTicker).decode
_UNSET = msgspec.UNSET


def decode(payload: bytes, venue: str = "", symbol: str = "", channel: str = "") -> Reading:
    """What a message is.

    venue '' means by shape: a trade with `M` is spot, one without is USD-M. symbol and channel are for rows that don't
    name theirs (of REST, or of the archive's CSV files); a message's own symbol goes before.
    """
    if len(payload) <= MAX_PAYLOAD:
        fast = _fast(payload, venue) if payload[:1] == b"{" else _fast_row(payload, venue, symbol, channel)
        if fast is not None:
            return fast
    return read_strictly(payload, venue, symbol, channel)


_NUMBER: Final = r"(0|[1-9]\d{0,17})"
_AMOUNTS: Final = r"(\d{1,7})(?:\.(\d{1,8}))?,(\d{1,10})(?:\.(\d{1,8}))?"
"""Price and quantity: below PLAIN_PRICE and PLAIN_QTY."""
_MOMENT: Final = r"(\d{13}|\d{16}),(True|False|true|false)(,(?:True|False|true|false))?"
_ROWS: Final = {
    "trade": re.compile(rf"{_NUMBER},{_AMOUNTS}()(),\d+(?:\.\d+)?,{_MOMENT}".encode()),
    "aggTrade": re.compile(rf"{_NUMBER},{_AMOUNTS},{_NUMBER},{_NUMBER},{_MOMENT}".encode()),
}


def _fast_row(payload: bytes, venue: str, symbol: str, channel: str) -> Trade | None:
    """A row of the venue's archive as it is really written; None for everything that has to be looked at closely."""
    if channel not in _ROWS or not is_plain_symbol(symbol) or (row := _ROWS[channel].fullmatch(payload)) is None:
        return None
    number, p, p_rest, q, q_rest, first, last, moment, maker, best = row.groups(b"")
    price, qty, time_us = (
        int(p + p_rest.ljust(8, b"0")),
        int(q + q_rest.ljust(8, b"0")),
        int(moment) * (1000 if len(moment) == 13 else 1),
    )
    first_id, last_id = int(first or number), int(last or number)
    if price and qty and MIN_TIME_US <= time_us < MAX_TIME_US and first_id <= last_id:
        venue = venue or ("binance" if best else "binance-usdm")
        return Trade(
            venue,
            symbol,
            channel,
            int(number),
            first_id,
            last_id,
            price,
            qty,
            time_us,
            0,
            maker in (b"True", b"true"),
            True,
        )
    return None


_SYMBOL_TEXT: Final = re.compile(rb'"s":"([A-Z0-9_-]{1,32})"')
_CHANNEL_TEXT: Final = re.compile(rb'"e":"(trade|aggTrade)"')


def described(payload: bytes) -> tuple[str, str]:
    """(symbol, channel) of a message that can't be read, as far as its text tells; '' for what it doesn't. Only to file
    it under."""
    symbol, channel = _SYMBOL_TEXT.search(payload, 0, 1024), _CHANNEL_TEXT.search(payload, 0, 1024)
    return symbol[1].decode() if symbol else "", channel[1].decode() if channel else ""


def _fast(payload: bytes, venue: str) -> Reading | None:
    """The shapes the venue really sends, without a repeated key; None for everything that has to be looked at closely.

    A typed decode takes the last of repeated keys. There is at least one colon for each key, so where there are no more
    colons than different keys, none is repeated.
    """
    keys = payload.count(b":")
    try:
        if not payload.startswith(b'{"stream":'):
            message: _Message | _BookTicker = _decode_bare(payload)
        elif payload.find(b"@b", 10, 60) < 0:
            message = _decode_combined(payload).data
            keys -= 2
        else:
            message = _decode_combined_book_ticker(payload).data
            keys -= 2
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if b"\n" in payload or not payload.endswith(b"}"):
        return None
    if type(message) is _PlainTrade:
        return _fast_trade(message, venue, keys)
    if type(message) is _AggTrade:
        return _fast_agg_trade(message, venue, keys)
    if type(message) is _BookTicker:
        return Ignored("bookTicker") if keys == 6 else None
    assert type(message) is _Depth
    return Ignored("depthUpdate") if keys == 7 + (message.T is not _UNSET) + (message.pu is not _UNSET) else None


def _fast_trade(d: _PlainTrade, venue: str, keys: int) -> Trade | None:
    # The eight required members are there, so nine keys and one of the optional members mean that none is repeated.
    if keys == 9 and d.M is not _UNSET:
        venue = venue or "binance"
    elif keys == 9 and d.X == "MARKET":
        venue = venue or "binance-usdm"
    elif d.X is not _UNSET or keys != 8 + (d.M is not _UNSET) + (d.b is not _UNSET) + (d.a is not _UNSET):
        return None
    else:
        venue = venue or ("binance" if d.M is not _UNSET else "binance-usdm")
    price, qty, time, event_time, trade_id, symbol = scaled(d.p), scaled(d.q), d.T, d.E, d.t, d.s
    if (
        0 < price < PLAIN_PRICE
        and 0 < qty < PLAIN_QTY
        and MIN_MS <= time < MAX_MS
        and MIN_MS <= event_time < MAX_MS
        and 0 <= trade_id < MAX_ID
        and is_plain_symbol(symbol)
    ):
        return Trade(
            venue, symbol, "trade", trade_id, trade_id, trade_id, price, qty, time * 1000, event_time * 1000, d.m, True
        )
    return None


def _fast_agg_trade(d: _AggTrade, venue: str, keys: int) -> Trade | None:
    if keys != 10 + (d.M is not _UNSET):
        return None
    venue = venue or ("binance" if d.M is not _UNSET else "binance-usdm")
    price, qty, time, event_time, symbol = scaled(d.p), scaled(d.q), d.T, d.E, d.s
    if (
        0 < price < PLAIN_PRICE
        and 0 < qty < PLAIN_QTY
        and MIN_MS <= time < MAX_MS
        and MIN_MS <= event_time < MAX_MS
        and 0 <= d.a < MAX_ID
        and 0 <= d.f <= d.l < MAX_ID
        and is_plain_symbol(symbol)
    ):
        return Trade(venue, symbol, "aggTrade", d.a, d.f, d.l, price, qty, time * 1000, event_time * 1000, d.m, True)
    return None

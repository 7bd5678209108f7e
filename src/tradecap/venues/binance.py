"""Binance's messages, read strictly: spot, USD-M futures and Binance.US.

Rules: pure; `decode` never raises, on any bytes; what is no valid trade comes back as Ignored or Rejected. A typed decode accepts the shapes
the venue really sends; everything else goes through `_strict`, which finds the reason. The SQL in store/schema/0003_binance.sql reads the same
way; tests/cases.py holds the two against each other.

Sources: payloads, times and ids as in the venue's "WebSocket Streams" and "Public Rest API" documents (binance-spot-api-docs) and the USD-M
"Websocket Market Streams"; zero prices of trades with X = NA are reported by users. Times of 10^14 and more are microseconds (the venue sends
milliseconds unless asked otherwise; 10^14 ms is the year 5138).
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec

from tradecap.market.records import (
    CHANNELS,
    MAX_PAYLOAD,
    Ignored,
    Reading,
    Rejected,
    Trade,
    is_plain_object,
)

VENUES: Final = ("binance", "binance-usdm", "binance-us")

IGNORED: Final = (
    "depthUpdate",
    "kline",
    "continuous_kline",
    "24hrTicker",
    "24hrMiniTicker",
    "1hTicker",
    "4hTicker",
    "1dTicker",
    "avgPrice",
    "bookTicker",
    "blockTrade",
    "referencePrice",
    "markPriceUpdate",
    "indexPriceUpdate",
    "forceOrder",
    "compositeIndex",
    "assetIndexUpdate",
    "contractInfo",
    "serverShutdown",
    "snapshot",
    "reply",
    "event",
)
"""Kinds of messages that are no trades: the venue's event names; bookTicker, snapshot and reply also by shape; event is one of our own logs."""

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
_MIN_MS: Final = MIN_TIME_US // 1000
_MAX_MS: Final = MAX_TIME_US // 1000
_PLAIN_PRICE: Final = 10**7 * SCALE
_PLAIN_QTY: Final = 10**10 * SCALE
"""Below both, price x quantity is below MAX_QUOTE without a look."""
MAX_SYMBOL: Final = 64
"""Bytes of UTF-8; the venue's longest are 20 or so, and not all are ASCII."""


class _Trade(msgspec.Struct, tag_field="e", tag="trade", forbid_unknown_fields=True, gc=False):
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


_Message = _Trade | _AggTrade | _Depth


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

    venue '' means by shape: a trade with `M` is spot, one without is USD-M. symbol and channel are for rows that don't name theirs (of REST, or of
    the archive's CSV files); a message's own symbol goes before.
    """
    if len(payload) <= MAX_PAYLOAD:
        fast = _fast(payload, venue) if payload[:1] == b"{" else _fast_row(payload, venue, symbol, channel)
        if fast is not None:
            return fast
    return _strict(payload, venue, symbol, channel)


_NUMBER: Final = r"(0|[1-9]\d{0,17})"
_AMOUNTS: Final = r"(\d{1,7})(?:\.(\d{1,8}))?,(\d{1,10})(?:\.(\d{1,8}))?"
"""Price and quantity: below _PLAIN_PRICE and _PLAIN_QTY."""
_MOMENT: Final = r"(\d{13}|\d{16}),(True|False|true|false)(,(?:True|False|true|false))?"
_ROWS: Final = {
    "trade": re.compile(rf"{_NUMBER},{_AMOUNTS}()(),\d+(?:\.\d+)?,{_MOMENT}".encode()),
    "aggTrade": re.compile(rf"{_NUMBER},{_AMOUNTS},{_NUMBER},{_NUMBER},{_MOMENT}".encode()),
}


def _fast_row(payload: bytes, venue: str, symbol: str, channel: str) -> Trade | None:
    """A row of the venue's archive as it is really written; None for everything that has to be looked at closely."""
    if not symbol or len(symbol) > 16 or channel not in _ROWS or (row := _ROWS[channel].fullmatch(payload)) is None:
        return None
    number, p, p_rest, q, q_rest, first, last, moment, maker, best = row.groups(b"")
    price, qty, time_us = int(p + p_rest.ljust(8, b"0")), int(q + q_rest.ljust(8, b"0")), int(moment) * (1000 if len(moment) == 13 else 1)
    first_id, last_id = int(first or number), int(last or number)
    if price and qty and MIN_TIME_US <= time_us < MAX_TIME_US and first_id <= last_id:
        venue = venue or ("binance" if best else "binance-usdm")
        return Trade(venue, symbol, channel, int(number), first_id, last_id, price, qty, time_us, 0, maker in (b"True", b"true"), True)
    return None


_HOSTS: Final = {
    "binance": re.compile(r"(?:stream|api[1-4]?|api-gcp)\.binance\.com|(?:data-stream|data-api)\.binance\.vision"),
    "binance-usdm": re.compile(r"(?:fstream|fapi)\.binance\.com"),
    "binance-us": re.compile(r"(?:stream|api)\.binance\.us"),
}


@lru_cache(maxsize=256)
def venue_of(host: str) -> str:
    """The venue that a host (lower case, without its port) belongs to; '' for one that isn't known."""
    return next((venue for venue, hosts in _HOSTS.items() if hosts.fullmatch(host)), "")


_SYMBOL_TEXT: Final = re.compile(rb'"s":"([A-Z0-9_]{1,32})"')
_CHANNEL_TEXT: Final = re.compile(rb'"e":"(trade|aggTrade)"')


def described(payload: bytes) -> tuple[str, str]:
    """(symbol, channel) of a message that can't be read, as far as its text tells; '' for what it doesn't. Only to file it under."""
    symbol, channel = _SYMBOL_TEXT.search(payload, 0, 1024), _CHANNEL_TEXT.search(payload, 0, 1024)
    return symbol[1].decode() if symbol else "", channel[1].decode() if channel else ""


def _fast(payload: bytes, venue: str) -> Reading | None:
    """The shapes the venue really sends, without a repeated key; None for everything that has to be looked at closely.

    A typed decode takes the last of repeated keys. A colon stands at least once a key, so where there are no more of them than different keys, none
    is repeated.
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
    if type(message) is _Trade:
        return _fast_trade(message, venue, keys)
    if type(message) is _AggTrade:
        return _fast_agg_trade(message, venue, keys)
    if type(message) is _BookTicker:
        return Ignored("bookTicker") if keys == 6 else None
    assert type(message) is _Depth
    return Ignored("depthUpdate") if keys == 7 + (message.T is not _UNSET) + (message.pu is not _UNSET) else None


def _fast_trade(d: _Trade, venue: str, keys: int) -> Trade | None:
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
        0 < price < _PLAIN_PRICE
        and 0 < qty < _PLAIN_QTY
        and _MIN_MS <= time < _MAX_MS
        and _MIN_MS <= event_time < _MAX_MS
        and 0 <= trade_id < MAX_ID
        and 0 < len(symbol) <= 16
    ):
        return Trade(venue, symbol, "trade", trade_id, trade_id, trade_id, price, qty, time * 1000, event_time * 1000, d.m, True)
    return None


def _fast_agg_trade(d: _AggTrade, venue: str, keys: int) -> Trade | None:
    if keys != 10 + (d.M is not _UNSET):
        return None
    venue = venue or ("binance" if d.M is not _UNSET else "binance-usdm")
    price, qty, time, event_time, symbol = scaled(d.p), scaled(d.q), d.T, d.E, d.s
    if (
        0 < price < _PLAIN_PRICE
        and 0 < qty < _PLAIN_QTY
        and _MIN_MS <= time < _MAX_MS
        and _MIN_MS <= event_time < _MAX_MS
        and 0 <= d.a < MAX_ID
        and 0 <= d.f <= d.l < MAX_ID
        and 0 < len(symbol) <= 16
    ):
        return Trade(venue, symbol, "aggTrade", d.a, d.f, d.l, price, qty, time * 1000, event_time * 1000, d.m, True)
    return None


@lru_cache(maxsize=1 << 16)
def scaled(text: str) -> int:
    """A decimal text (digits, or digits.1-8 digits) in units of 10^-8; -1 where it isn't one. Beyond 10^30 it is only known to be too large."""
    whole, dot, fraction = text.partition(".")
    if not (text.isascii() and whole.isdigit()) or (dot and not (fraction.isdigit() and len(fraction) <= 8)):
        return -1
    whole = whole.lstrip("0")
    return int(whole[:30] + fraction.ljust(8, "0"))


# ---- the strict reading: every way to be wrong has its reason ----------------------------------------------------------------------------


class _Number(str):
    """A JSON number with a fraction or an exponent, as it was written."""


class _Integer(_Number):
    """A JSON integer as it was written: of any length, which `int` refuses beyond 4 300 digits."""


class _Members(list[tuple[str, object]]):
    """A JSON object as it was written: repeated keys stand twice."""


_parse = json.JSONDecoder(object_pairs_hook=_Members, parse_int=_Integer, parse_float=_Number).decode

_Check = Callable[[object], object]
"""Gives the value, or a Rejected without its field."""


def _strict(payload: bytes, venue: str, symbol: str, channel: str) -> Reading:
    if len(payload) > MAX_PAYLOAD:
        return Rejected("oversize")
    if symbol and channel in CHANNELS and _is_archive_row(payload):
        return _trade(_archive_message(payload.decode(), channel), channel, venue, symbol)
    members = _members(payload)
    if isinstance(members, Rejected):
        return members
    names = [name for name, _ in members]
    if len(set(names)) < len(names):
        return Rejected("duplicate_key", _a_repeated(names))
    if "e" not in names and "stream" in names and "data" in names:
        inner = dict(members)["data"]
        if not isinstance(inner, _Members):
            return Rejected("not_an_object", "data")
        members, names = inner, [name for name, _ in inner]
        if len(set(names)) < len(names):
            return Rejected("duplicate_key", _a_repeated(names))
    return _message(dict(members), venue, symbol, channel)


def _members(payload: bytes) -> _Members | Rejected:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return Rejected("not_utf8")
    if is_plain_object(payload):
        members = _parse(text)
        assert isinstance(members, _Members)
        return members
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Rejected("malformed_json")
    return Rejected("malformed_json" if isinstance(value, dict) else "not_an_object")


def _a_repeated(names: list[str]) -> str:
    """The smallest name that stands twice (the SQL gives the same one)."""
    return min((name for name, times in Counter(names).items() if times > 1), key=str.encode)[:64]


def _message(message: dict[str, object], venue: str, symbol: str, channel: str) -> Reading:
    if "e" not in message:
        return _without_name(message, venue, symbol, channel)
    name = message["e"]
    if name is None:
        return Rejected("null_field", "e")
    if not isinstance(name, str) or isinstance(name, _Number) or _is_long_integer(name):
        return Rejected("wrong_type", "e")
    if name in ("trade", "aggTrade"):
        return _trade(message, name, venue, "")
    return Ignored(name) if name in IGNORED[:-3] else Rejected("unknown_message", "e")


def _without_name(message: dict[str, object], venue: str, symbol: str, channel: str) -> Reading:
    """Messages without `e` are told by their shape."""
    if all(key in message for key in ("u", "s", "b", "B", "a", "A")):
        return Ignored("bookTicker")
    if all(key in message for key in ("lastUpdateId", "bids", "asks")):
        return Ignored("snapshot")
    if "result" in message or "error" in message:
        return Ignored("reply")
    if symbol and channel == "trade" and "price" in message and "s" not in message:
        return _trade(message, channel, venue, symbol)
    if symbol and channel == "aggTrade" and "f" in message and "s" not in message:
        return _trade(message, channel, venue, symbol)
    return Rejected("unknown_message")


_is_archive_row: Final = re.compile(rb"[0-9]+,[0-9A-Za-z.+-]*(?:,[0-9A-Za-z.+-]*){4,6}").fullmatch
"""Six to eight columns of a row of the archive's CSV files; what is in them is looked at later."""


def _archive_message(row: str, channel: str) -> dict[str, object]:
    """A row of the archive under the names of REST (trades) or of the stream (aggregates). A column that isn't there is a missing member."""
    of_trades = ("id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch")
    columns = of_trades if channel == "trade" else ("a", "p", "q", "f", "l", "T", "m", "M")
    return {name: _column(name, text) for name, text in zip(columns, row.split(","), strict=False)}


def _column(name: str, text: str) -> object:
    """What a JSON message would hold in its place: null for nothing, and a text for what is no number or flag where one should be."""
    if not text:
        return None
    if name in ("id", "time", "a", "f", "l", "T") and _is_integer(text):
        return _Integer(text)
    return text.lower() == "true" if name in ("isBuyerMaker", "m") and text.lower() in ("true", "false") else text


_is_integer: Final = re.compile(r"-?(?:0|[1-9][0-9]*)").fullmatch


_ROW_NAMES: Final = {"t": "id", "p": "price", "q": "qty", "T": "time", "m": "isBuyerMaker", "M": "isBestMatch"}
"""What REST calls the members of a trade. Aggregates have the stream's names there."""


def _trade(message: dict[str, object], channel: str, venue: str, row_symbol: str) -> Reading:
    """A trade or the first thing wrong with it, in the order of the checks. row_symbol: of a REST row, which has neither symbol nor event time."""
    names = _ROW_NAMES if row_symbol and channel == "trade" else {}
    checks = _AGG_TRADE_CHECKS if channel == "aggTrade" else _TRADE_CHECKS
    values: dict[str, object] = {"s": row_symbol, "E": 0} if row_symbol else {}
    for field, check in checks:
        if field in values:
            continue
        name = names.get(field, field)
        if name not in message:
            return Rejected("missing_field", field)
        if message[name] is None:
            return Rejected("null_field", field)
        value = check(message[name])
        if isinstance(value, Rejected):
            return Rejected(value.reason, field)
        values[field] = value
    venue = venue or ("binance" if "M" in message or names.get("M") in message else "binance-usdm")
    in_book = _in_book(message.get("X", "MARKET"), venue, channel)
    return in_book if isinstance(in_book, Rejected) else _in_range(values, venue, channel, in_book)


def _in_book(execution: object, venue: str, channel: str) -> bool | Rejected:
    """Whether a trade was made in the order book. Only USD-M trades say so, in `X`."""
    if venue != "binance-usdm" or channel != "trade":
        return True
    if execution is None:
        return Rejected("null_field", "X")
    if not isinstance(execution, str) or isinstance(execution, _Number) or _is_long_integer(execution):
        return Rejected("wrong_type", "X")
    return execution == "MARKET"


def _in_range(values: dict[str, object], venue: str, channel: str, in_book: bool) -> Trade | Rejected:
    price, qty = values["p"], values["q"]
    assert isinstance(price, int)
    assert isinstance(qty, int)
    least = 1 if in_book else 0
    if not least <= price < MAX_PRICE:
        return Rejected("out_of_range", "p")
    if not least <= qty < MAX_QTY or price * qty >= MAX_QUOTE:
        return Rejected("out_of_range", "q")
    ids = [values[name] for name in (("t", "t", "t") if channel == "trade" else ("a", "f", "l"))]
    if ids[2] < ids[1]:  # type: ignore[operator]  # both are ints: _identifier gave them
        return Rejected("out_of_range", "l")
    rest = {"venue": venue, "channel": channel, "symbol": values["s"], "price": price, "qty": qty, "order_book": in_book}
    times = {"trade_time_us": values["T"], "event_time_us": values["E"], "is_buyer_maker": values["m"]}
    return msgspec.convert({"id": ids[0], "first_id": ids[1], "last_id": ids[2], **rest, **times}, Trade)


def _symbol(value: object) -> object:
    if not isinstance(value, str) or isinstance(value, _Number):
        return Rejected("wrong_type")
    return value if 0 < len(value.encode()) <= MAX_SYMBOL and not _is_long_integer(value) else Rejected("out_of_range")


def _is_long_integer(text: str) -> bool:
    """ClickHouse can't tell such a text from an integer beyond 64 bits, so neither reading takes it for a name."""
    digits = text.removeprefix("-")
    return len(digits) >= 19 and digits.isascii() and digits.isdigit()


def _identifier(value: object) -> object:
    if not isinstance(value, _Integer):
        return Rejected("wrong_type")
    return int(value) if len(value) <= 20 and 0 <= int(value) < MAX_ID else Rejected("out_of_range")


def _decimal(value: object) -> object:
    if not isinstance(value, str) or isinstance(value, _Number):
        return Rejected("wrong_type")
    number = scaled(value)
    return number if number >= 0 else Rejected("bad_number")


def _time(value: object) -> object:
    if not isinstance(value, _Integer):
        return Rejected("wrong_type")
    time = int(value) if len(value) <= 20 else 0
    time_us = time if time >= MICROSECONDS_FROM else time * 1000
    return time_us if MIN_TIME_US <= time_us < MAX_TIME_US else Rejected("bad_time")


def _flag(value: object) -> object:
    return value if isinstance(value, bool) else Rejected("wrong_type")


_COMMON: Final[tuple[tuple[str, _Check], ...]] = (("p", _decimal), ("q", _decimal), ("T", _time), ("m", _flag), ("E", _time))
_TRADE_CHECKS: Final[tuple[tuple[str, _Check], ...]] = (("s", _symbol), ("t", _identifier), *_COMMON)
_AGG_TRADE_CHECKS: Final[tuple[tuple[str, _Check], ...]] = (
    ("s", _symbol),
    ("a", _identifier),
    *_COMMON,
    ("f", _identifier),
    ("l", _identifier),
)

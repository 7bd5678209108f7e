"""Binance's messages, looked at closely: any key order, wrappers, rows without a symbol, and every way to be wrong with
its reason.

Rules: pure; never raises, on any bytes. The order of the checks decides which of several faults is named; the SQL in
store/clickhouse/schema/0003_binance.sql keeps the same order for every documented fault.

Sources: as in plain.py; zero prices of trades with X = NA are reported by users.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from tradecap.market.records import CHANNELS, MAX_PAYLOAD, Ignored, Reading, Rejected, Trade, is_plain_object
from tradecap.market.trade_limits import MAX_ID, MAX_PRICE, MAX_QTY, MAX_QUOTE, MAX_TIME_US, MIN_TIME_US, in_us
from tradecap.venues.binance.limits import scaled
from tradecap.venues.binance.symbols import symbol_fault

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
"""Kinds of messages that aren't trades: the venue's event names; bookTicker, snapshot and reply also by shape; event is
one of our own logs."""

EVENT_NAMES: Final = frozenset(IGNORED) - {"snapshot", "reply", "event"}
"""Those that are the value of `e`."""


class _Number(str):
    """A JSON number with a fraction or an exponent, as it was written."""


class _Integer(_Number):
    """A JSON integer as it was written: of any length, which `int` refuses beyond 4 300 digits."""


class _Members(list[tuple[str, object]]):
    """A JSON object as it was written: repeated keys appear twice."""


_parse = json.JSONDecoder(object_pairs_hook=_Members, parse_int=_Integer, parse_float=_Number).decode

_Check = Callable[[object], object]
"""Gives the value, or a Rejected without its field."""


def read_strictly(payload: bytes, venue: str, symbol: str, channel: str) -> Reading:
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
    """The smallest name that appears twice (the SQL gives the same one)."""
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
    return Ignored(name) if name in EVENT_NAMES else Rejected("unknown_message", "e")


def _without_name(message: dict[str, object], venue: str, symbol: str, channel: str) -> Reading:
    """Messages without `e` are recognised by their shape."""
    if all(key in message for key in ("u", "s", "b", "B", "a", "A")):
        return Ignored("bookTicker")
    if all(key in message for key in ("lastUpdateId", "bids", "asks")):
        return Ignored("snapshot")
    if "result" in message or "error" in message:
        return Ignored("reply")
    # COIN-M has baseQty
    if symbol and channel == "trade" and "price" in message and "s" not in message and "baseQty" not in message:
        return _trade(message, channel, venue, symbol)
    if symbol and channel == "aggTrade" and "f" in message and "s" not in message:
        return _trade(message, channel, venue, symbol)
    return Rejected("unknown_message")


_is_archive_row: Final = re.compile(rb"[0-9]+,[0-9A-Za-z.+-]*(?:,[0-9A-Za-z.+-]*){4,6}").fullmatch
"""Six to eight columns of a row of the archive's CSV files; what is in them is looked at later."""


def _archive_message(row: str, channel: str) -> dict[str, object]:
    """A row of the archive under the names of REST (trades) or of the stream (aggregates). A column that isn't there is
    a missing member."""
    of_trades = ("id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch")
    columns = of_trades if channel == "trade" else ("a", "p", "q", "f", "l", "T", "m", "M")
    return {name: _column(name, text) for name, text in zip(columns, row.split(","), strict=False)}


def _column(name: str, text: str) -> object:
    """What a JSON message would hold in its place: null for nothing, and a text for what isn't a number or flag where
    one should be."""
    if not text:
        return None
    if name in ("id", "time", "a", "f", "l", "T") and _is_integer(text):
        return _Integer(text)
    return text.lower() == "true" if name in ("isBuyerMaker", "m") and text.lower() in ("true", "false") else text


_is_integer: Final = re.compile(r"-?(?:0|[1-9][0-9]*)").fullmatch


_ROW_NAMES: Final = {"t": "id", "p": "price", "q": "qty", "T": "time", "m": "isBuyerMaker", "M": "isBestMatch"}
"""What REST calls the members of a trade. Aggregates have the stream's names there."""


def _trade(message: dict[str, object], channel: str, venue: str, row_symbol: str) -> Reading:
    """A trade or the first thing wrong with it, in the order of the checks. row_symbol: of a REST row, which has
    neither symbol nor event time."""
    names = _ROW_NAMES if row_symbol and channel == "trade" else {}
    checks = _AGG_TRADE_CHECKS if channel == "aggTrade" else _TRADE_CHECKS
    if row_symbol and (fault := symbol_fault(row_symbol)):
        return Rejected(fault, "s")
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
    """Whether a trade was made in the order book. Only USD-M trades carry that, in `X`."""
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
    rest = {
        "venue": venue,
        "channel": channel,
        "symbol": values["s"],
        "price": price,
        "qty": qty,
        "order_book": in_book,
    }
    times = {"trade_time_us": values["T"], "event_time_us": values["E"], "is_buyer_maker": values["m"]}
    return msgspec.convert({"id": ids[0], "first_id": ids[1], "last_id": ids[2], **rest, **times}, Trade)


def _symbol(value: object) -> object:
    if not isinstance(value, str) or isinstance(value, _Number):
        return Rejected("wrong_type")
    fault = symbol_fault(value)
    return Rejected(fault) if fault else value


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
    time_us = in_us(time)
    return time_us if MIN_TIME_US <= time_us < MAX_TIME_US else Rejected("bad_time")


def _flag(value: object) -> object:
    return value if isinstance(value, bool) else Rejected("wrong_type")


_COMMON: Final[tuple[tuple[str, _Check], ...]] = (
    ("p", _decimal),
    ("q", _decimal),
    ("T", _time),
    ("m", _flag),
    ("E", _time),
)
_TRADE_CHECKS: Final[tuple[tuple[str, _Check], ...]] = (("s", _symbol), ("t", _identifier), *_COMMON)
_AGG_TRADE_CHECKS: Final[tuple[tuple[str, _Check], ...]] = (
    ("s", _symbol),
    ("a", _identifier),
    *_COMMON,
    ("f", _identifier),
    ("l", _identifier),
)

REQUIRED: Final = {
    "trade": ("E", "s", "t", "p", "q", "T", "m"),
    "aggTrade": ("E", "s", "a", "p", "q", "f", "l", "T", "m"),
}
"""The members of a message, by channel, that must be there and not null (`e` decides what the message is at all)."""

"""Binance's REST interface: what is asked for, and how rows and refusals are read.

Rules: pure. Rows are handed on as the bytes they came as; only their ids are read here.

Sources: "Public Rest API for Binance" (docs/binance.md §5).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from tradecap.venues.sites import Request, RestApi

PAGE: Final = 1000
SYMBOLS_IN_A_URL: Final = 100
"""For more symbols the whole list is requested: it weighs the same, and a URL of 8 KB is refused."""


def newest(symbol: str, channel: str, limit: int) -> Request:
    """The newest rows."""
    return Request("aggTrades" if channel == "aggTrade" else "trades", {"symbol": symbol, "limit": limit})


def since(symbol: str, channel: str, from_id: int) -> Request:
    """Rows from an id on."""
    endpoint = "aggTrades" if channel == "aggTrade" else "historicalTrades"
    return Request(endpoint, {"symbol": symbol, "fromId": from_id, "limit": PAGE})


class _RestRow(msgspec.Struct):
    id: int = -1
    a: int = -1


_row = msgspec.json.Decoder(_RestRow).decode


def row_id(row: bytes, channel: str) -> int:
    """The id of a row; -1 where it has none."""
    try:
        read = _row(row)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return -1
    return read.a if channel == "aggTrade" else read.id


def message(body: bytes) -> str:
    """The venue's own words: {"code": ..., "msg": ...}."""
    try:
        answer = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return f"{answer['code']} {answer['msg']}"[:300] if "code" in answer and "msg" in answer else ""


class _SymbolStatus(msgspec.Struct):
    symbol: str
    status: str | None = ""


class _Info(msgspec.Struct):
    symbols: list[_SymbolStatus]


_info = msgspec.json.Decoder(_Info).decode


def listing(symbols: Sequence[str]) -> Request:
    """Spot's list, of some symbols or of all."""
    is_short = 0 < len(symbols) <= SYMBOLS_IN_A_URL
    return Request("exchangeInfo", {"symbols": msgspec.json.encode(symbols).decode()} if is_short else {})


def whole_listing(_: Sequence[str]) -> Request:
    """The list where no symbol can be asked for alone: USD-M."""
    return Request("exchangeInfo", {})


def statuses(body: bytes) -> dict[str, str]:
    """The listed symbols with their statuses. Raises ValueError where the answer isn't a list."""
    return {each.symbol: each.status or "" for each in _info(body).symbols}


REST: Final = RestApi(
    page=PAGE,
    newest=newest,
    since=since,
    open_history=frozenset({"aggTrade"}),
    row_id=row_id,
    message=message,
    key_wanted=("-2014 ", "-2015 "),
    used_weight="X-Mbx-Used-Weight-1M",
    listing=listing,
    statuses=statuses,
    trading="TRADING",
)
USDM_REST: Final = replace(REST, listing=whole_listing)

"""Binance's REST interface: what is asked for, and how rows and refusals are read.

Rules: pure. Rows are handed on as the bytes they came as; only their ids are read here.

Sources: "Public Rest API for Binance" (docs/binance.md §5).
"""

from typing import Final

import msgspec

from tradecap.venues.sites import Request, RestApi

PAGE: Final = 1000


def newest(symbol: str, channel: str, limit: int) -> Request:
    """The newest rows."""
    return Request("aggTrades" if channel == "aggTrade" else "trades", {"symbol": symbol, "limit": limit})


def since(symbol: str, channel: str, from_id: int) -> Request:
    """Rows from an id on."""
    endpoint = "aggTrades" if channel == "aggTrade" else "historicalTrades"
    return Request(endpoint, {"symbol": symbol, "fromId": from_id, "limit": PAGE})


class _Row(msgspec.Struct):
    id: int = -1
    a: int = -1


_row = msgspec.json.Decoder(_Row).decode


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
        said = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return f"{said['code']} {said['msg']}"[:300] if "code" in said and "msg" in said else ""


REST: Final = RestApi(
    page=PAGE,
    newest=newest,
    since=since,
    open_history=frozenset({"aggTrade"}),
    row_id=row_id,
    message=message,
    key_wanted=("-2014 ", "-2015 "),
    used_weight="X-Mbx-Used-Weight-1M",
)

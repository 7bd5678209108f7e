"""The REST side: a request in, status, headers and body out.

Rules (docs/binance.md §5): paths under /api/v3; parameters are checked in the venue's order (duplicate, unknown,
missing, malformed), each with its code; lists ascend; a limit above MAX_LIMIT counts as MAX_LIMIT. REST never shows
future trades. Times in a request may be in milliseconds or microseconds; in an answer they are in the unit of the
header X-MBX-TIME-UNIT. Pure: the time comes from outside.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec

from tradecap.market.records import Trade
from tradecap.market.trade_limits import MICROSECONDS_FROM, in_us
from tradecap.simulate.exchange_info import ListedSymbol, exchange_info
from tradecap.simulate.klines import INTERVALS, klines, opening, zone_offset_s
from tradecap.simulate.limits import AddressLimits, Rules
from tradecap.simulate.market_data import Market
from tradecap.simulate.messages import agg_trade_row, trade_row, unit_time

DEFAULT_LIMIT: Final = 500
MAX_LIMIT: Final = 1_000
MAX_LONG: Final = 2**63 - 1
PREFIX: Final = "/api/v3/"
UNITS: Final = {"MICROSECOND": True, "microsecond": True, "MILLISECOND": False, "millisecond": False}


class HttpAnswer(NamedTuple):
    """An HTTP answer: status, body and headers of its own."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class RestRefusal(Exception):  # noqa: N818 -- an answer, not an error of ours
    """The request is answered with this error."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Ask(NamedTuple):
    """The checked parameters of a request, and its unit of time."""

    given: dict[str, str]
    micro: bool

    def number(self, name: str, default: int | None = None) -> int | None:
        text = self.given.get(name)
        if text is None:
            return default
        if not re.fullmatch(r"-?\d+", text, re.ASCII):
            raise RestRefusal(
                -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
            )
        number = int(text) if len(text) < 40 else MAX_LONG + 1
        if not 0 <= number <= MAX_LONG:
            raise RestRefusal(-1130, f"Data sent for parameter '{name}' is not valid.")
        return number

    def time_us(self, name: str) -> int | None:
        number = self.number(name)
        return None if number is None else in_us(number)

    def end_us(self, name: str) -> int | None:
        """As `time_us`, but the last microsecond of a millisecond: the end is inclusive."""
        number = self.number(name)
        if number is None:
            return None
        return number if number >= MICROSECONDS_FROM else in_us(number) + 999

    def limit(self) -> int:
        limit = self.number("limit", DEFAULT_LIMIT)
        if not limit:
            raise RestRefusal(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(limit, MAX_LIMIT)


class RestEndpoints:
    """The endpoints over a market. now_us: the exchange's clock. listings: its symbols."""

    def __init__(
        self,
        market: Market,
        now_us: Callable[[], int],
        listings: Callable[[], Mapping[str, ListedSymbol]],
        rules: Rules,
        limits: AddressLimits,
    ) -> None:
        self._market, self._now_us, self._listings = market, now_us, listings
        self._rules, self._limits = rules, limits

    def answer(self, method: str, target: str, headers: Mapping[str, str], address: str, now_s: float) -> HttpAnswer:
        """The answer to a request. Its weight counts for the address."""
        path, _, query = target.partition("?")
        name = unquote(path).rstrip("/").removeprefix(PREFIX)
        endpoint = ENDPOINTS.get(name) if path.startswith(PREFIX) else None
        if endpoint is None:
            return _error(404, -1000, f"There is no {path} on this exchange; it has {PREFIX}{{{','.join(ENDPOINTS)}}}.")
        admission = self._limits.request(address, endpoint.weight, now_s)
        used = (("X-MBX-USED-WEIGHT", str(admission.used)), ("X-MBX-USED-WEIGHT-1M", str(admission.used)))
        if admission.status != 200:
            until_ms = unit_time(self._now_us(), False) + admission.retry_s * 1000
            return limited(admission.status, admission.retry_s, until_ms, admission.limited, used)
        try:
            if method not in ("GET", "HEAD"):
                raise RestRefusal(-1000, f"Request method '{method}' is not supported.", 405)
            result = endpoint.find(self, _ask(endpoint, query, headers))
        except RestRefusal as error:
            return _error(error.status, error.code, error.message, used)
        return HttpAnswer(200, msgspec.json.encode(result), used)

    # ---- endpoints ----

    def ping(self, _: Ask) -> object:
        return {}

    def time(self, ask: Ask) -> object:
        return {"serverTime": unit_time(self._now_us(), ask.micro)}

    def exchange_info(self, ask: Ask) -> object:
        listings = self._listings()
        if "symbol" in ask.given and "symbols" in ask.given:
            raise RestRefusal(-1128, "Combination of optional parameters invalid.")
        asked = [ask.given["symbol"]] if "symbol" in ask.given else _list(ask, "symbols")
        if asked is None:
            kinds = _list(ask, "permissions") or (
                [ask.given["permissions"]] if "permissions" in ask.given else ["SPOT"]
            )
            asked = (
                sorted(listings) if "SPOT" in kinds and ask.given.get("symbolStatus", "TRADING") == "TRADING" else []
            )
        for name in asked:
            _legal_symbol(name, "symbols" if "symbols" in ask.given else "symbol")
            if name not in listings:
                raise RestRefusal(-1121, "Invalid symbol.")
        return exchange_info([listings[name] for name in asked], unit_time(self._now_us(), ask.micro), self._rules)

    def trades(self, ask: Ask) -> object:
        history = self._market.history(self._symbol(ask), "trade")
        return _rows(history.newest(ask.limit()) if history else [], trade_row, ask)

    def historical_trades(self, ask: Ask) -> object:
        history = self._market.history(self._symbol(ask), "trade")
        from_id, limit = ask.number("fromId"), ask.limit()
        if history is None:
            return []
        return _rows(history.newest(limit) if from_id is None else history.from_id(from_id, limit), trade_row, ask)

    def agg_trades(self, ask: Ask) -> object:
        history = self._market.history(self._symbol(ask), "aggTrade")
        from_id, start_us, end_us, limit = (
            ask.number("fromId"),
            ask.time_us("startTime"),
            ask.end_us("endTime"),
            ask.limit(),
        )
        if from_id is not None and (start_us is not None or end_us is not None):
            raise RestRefusal(-1128, "Combination of optional parameters invalid.")
        if history is None:
            return []
        found = history.within(start_us, end_us, limit) if from_id is None else history.from_id(from_id, limit)
        return _rows(found, agg_trade_row, ask)

    def klines(self, ask: Ask) -> object:
        symbol = self._symbol(ask)
        interval = ask.given.get("interval")
        if not interval:
            raise RestRefusal(-1102, "Mandatory parameter 'interval' was not sent, was empty/null, or malformed.")
        if interval not in INTERVALS:
            raise RestRefusal(-1120, "Invalid interval.")
        offset_s = zone_offset_s(ask.given.get("timeZone", "0"))
        if offset_s is None:
            raise RestRefusal(-1130, "Data sent for parameter 'timeZone' is not valid.")
        start_us, end_us, limit = ask.time_us("startTime"), ask.end_us("endTime"), ask.limit()
        now_s = self._now_us() // 1_000_000
        until_s = now_s if end_us is None else min(now_s, end_us // 1_000_000)
        if start_us is not None:
            since_s = -(-start_us // 1_000_000)
        else:  # a few more than the newest `limit`, to start with
            since_s = opening(interval, until_s - (limit + 1) * (INTERVALS[interval] or 31 * 86_400), offset_s)
        parts = self._market.parts(symbol, interval, since_s, until_s, limit + 1)
        every = klines(parts, interval, until_s, since_s=since_s, offset_s=offset_s)
        found = (each for each in every if each.open_s <= until_s)
        return [each.row(ask.micro) for each in (deque(found, limit) if start_us is None else islice(found, limit))]

    def _symbol(self, ask: Ask) -> str:
        symbol = ask.given.get("symbol")
        if not symbol:
            raise RestRefusal(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        _legal_symbol(symbol, "symbol")
        if symbol not in self._listings():
            raise RestRefusal(-1121, "Invalid symbol.")
        return symbol


class Endpoint(NamedTuple):
    """A path of the venue: its weight, its parameters, and the method that answers."""

    weight: int
    params: frozenset[str]
    find: Callable[[RestEndpoints, Ask], object]


def _endpoint(weight: int, params: str, find: Callable[[RestEndpoints, Ask], object]) -> Endpoint:
    return Endpoint(weight, frozenset(params.split()), find)


_KLINES: Final = _endpoint(2, "symbol interval startTime endTime timeZone limit", RestEndpoints.klines)
ENDPOINTS: Final = {
    "ping": _endpoint(1, "", RestEndpoints.ping),
    "time": _endpoint(1, "", RestEndpoints.time),
    "exchangeInfo": _endpoint(
        20, "symbol symbols permissions showPermissionSets symbolStatus", RestEndpoints.exchange_info
    ),
    "trades": _endpoint(25, "symbol limit", RestEndpoints.trades),
    "historicalTrades": _endpoint(25, "symbol limit fromId", RestEndpoints.historical_trades),
    "aggTrades": _endpoint(4, "symbol fromId startTime endTime limit", RestEndpoints.agg_trades),
    "klines": _KLINES,
    "uiKlines": _KLINES,
}


def _ask(endpoint: Endpoint, query: str, headers: Mapping[str, str]) -> Ask:
    pairs = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise RestRefusal(-1101, "Duplicate values for a parameter detected.")
    unit = headers.get("x-mbx-time-unit", "MILLISECOND")
    if unit not in UNITS:
        raise RestRefusal(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    for name, value in pairs:
        if name in endpoint.params and not value:
            raise RestRefusal(-1105, f"Parameter '{name}' was empty.")
    read = [name for name in names if name in endpoint.params]
    if len(read) < len(names):
        if not endpoint.params:
            raise RestRefusal(-1101, f"Too many parameters; expected '0' and received '{len(names)}'.")
        raise RestRefusal(
            -1104, f"Not all sent parameters were read; read '{len(read)}' parameter(s) but was sent '{len(names)}'."
        )
    return Ask(dict(pairs), UNITS[unit])


_SYMBOL: Final = re.compile(r"[^\Wa-z]+(?:[-._][^\Wa-z]*)*")


def _legal_symbol(symbol: str, parameter: str) -> None:
    if len(symbol) > 50 or not _SYMBOL.fullmatch(symbol):
        raise RestRefusal(
            -1100,
            f"Illegal characters found in parameter '{parameter}'; legal range is '^[\\w\\-._&&[^a-z]]{{1,50}}$'.",
        )


def _list(ask: Ask, name: str) -> list[str] | None:
    """A parameter that is a JSON list of texts. None if it wasn't sent, or (permissions) if it is a bare word."""
    text = ask.given.get(name)
    if text is None or (name == "permissions" and not text.startswith("[")):
        return None
    try:
        return msgspec.json.decode(text.encode(), type=list[str])
    except msgspec.MsgspecError:
        raise RestRefusal(
            -1100,
            f"Illegal characters found in parameter '{name}'; legal range is "
            f'\'^\\[("[A-Z0-9-_.]{{1,20}}"(,"...")*)?\\]$\'.',
        ) from None


def _rows(found: list[Trade], row: Callable[[Trade, bool], dict[str, object]], ask: Ask) -> list[dict[str, object]]:
    return [row(trade, ask.micro) for trade in found]


def limited(
    status: int, retry_s: int, until_ms: int, limit: str = "", headers: tuple[tuple[str, str], ...] = ()
) -> HttpAnswer:
    """429 or 418, in the venue's words."""
    if status == 418:
        text = (
            f"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams for "
            "live updates to avoid bans."
        )
    else:
        limit = limit or "6000 request weight per 1 MINUTE"
        text = (
            f"Too much request weight used; current limit is {limit}. Please use WebSocket Streams for live "
            "updates to avoid polling the API."
        )
    return _error(status, -1003, text, (*headers, ("Retry-After", str(retry_s))))


def _error(status: int, code: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> HttpAnswer:
    return HttpAnswer(status, msgspec.json.encode({"code": code, "msg": message}), headers)

"""The one HTTP client: what a venue's REST interface says about trades and symbols.

Rules: one connection, kept open; one request at a time. Never more than half of the request weight the venue allows a minute, by the count in its
own headers (everybody behind this address uses the other half). Where it says Retry-After, with whatever status, nothing is asked before that. A
request is tried once: who asks decides whether to ask again. Rows are handed on as the bytes they came as.

Sources: weights, headers, 429 and 418: "Public Rest API for Binance" (docs/binance.md §5).
"""

import http.client
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlencode, urlsplit

import msgspec

from tradecap import __version__
from tradecap.errors import Exit, TradecapError
from tradecap.proxies import proxy_for
from tradecap.venues.failures import Failure, network_failure, status_failure
from tradecap.venues.rest_connection import Connection
from tradecap.venues.sites import Site

PAGE: Final = 1000
"""Rows in one answer, at most."""
SHARE: Final = 0.5
TIMEOUT_S: Final = 10.0
BANNED_S: Final = 60.0
"""How long to wait after 418 and 429 that don't say it."""
MAX_ANSWER: Final = 256 * 1024 * 1024
SYMBOLS_IN_A_URL: Final = 100
"""Of more the whole list is asked for: it weighs the same, and a URL of 8 KB is refused."""
_WEIGHT: Final = "X-Mbx-Used-Weight-1M"
_KEY_WANTED: Final = ("-2014 ", "-2015 ")


class RestError(TradecapError):
    """A request that wasn't answered as hoped. Not for people before somebody gave up on it."""

    def __init__(self, url: str, failure: Failure, said: str = "") -> None:
        super().__init__(f"{url}: {failure.text}.", failure.hint, Exit.UNREACHABLE)
        self.failure = failure
        self.is_closed_to_us = failure.kind in ("http_401", "http_404") or said.startswith(_KEY_WANTED)
        """The endpoint isn't there, or not without a key."""


class Rest:
    """A client for one site. Several threads may use it; they wait for each other. wait(seconds) is False where the wait was cut short.

    budget: that of an earlier client of the site, whose requests and refusals count.
    """

    def __init__(
        self,
        site: Site,
        *,
        wait: Callable[[float], bool] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        budget: "Budget | None" = None,
    ) -> None:
        self.site = site
        self.has_history = site.has_history
        """Whether old trades can be asked for by id; what the site is known for, until the venue says otherwise."""
        self.budget = budget or Budget(int(site.weight_per_minute * SHARE), time.time() - time.monotonic())
        self.requests = 0
        self._base = urlsplit(site.rest_url)
        self._ssl = (ssl_context or ssl.create_default_context()) if self._base.scheme == "https" else None
        host, port = self._base.hostname or "", self._base.port or (443 if self._ssl else 80)
        self._proxy = proxy_for(self._base.scheme, host, port, os.environ)
        self._failed = 0
        """Connections that failed: the next one begins with another address of the host."""
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._wait = wait or _sleep

    def old_trades(self, symbol: str, channel: str, from_id: int) -> list[bytes]:
        """Rows from from_id on, ascending, at most PAGE; of trades where there is no history the newest PAGE at or after from_id."""
        if channel == "aggTrade":
            return self._trades("aggTrades", channel, symbol=symbol, fromId=from_id, limit=PAGE)
        if self.has_history:
            try:
                return self._trades("historicalTrades", channel, symbol=symbol, fromId=from_id, limit=PAGE)
            except RestError as error:
                if not error.is_closed_to_us:
                    raise
                self.has_history = False
        return [row for row in self.newest(symbol, channel, PAGE) if not 0 <= row_id(row, channel) < from_id]

    def newest(self, symbol: str, channel: str, limit: int = 1) -> list[bytes]:
        """The newest rows, ascending."""
        return self._trades("aggTrades" if channel == "aggTrade" else "trades", channel, symbol=symbol, limit=limit)

    def unknown_symbols(self, symbols: Iterable[str]) -> dict[str, list[str]]:
        """Of the symbols those the venue doesn't trade, each with the names it may have been meant for (all there are)."""
        wanted = list(symbols)
        is_short = self.site.rest_path == "/api/v3" and len(wanted) <= SYMBOLS_IN_A_URL
        given = {"symbols": msgspec.json.encode(wanted).decode()} if is_short else {}
        try:
            known = _listed(self._get("exchangeInfo", given))
        except RestError as error:
            if error.failure.kind != "http_400" or not given:
                raise
            known = _listed(self._get("exchangeInfo", {}))
        return {symbol: sorted(known) for symbol in wanted if symbol not in known}

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _trades(self, endpoint: str, channel: str, **given: object) -> list[bytes]:
        body = self._get(endpoint, given)
        try:
            rows = [bytes(row) for row in msgspec.json.decode(body, type=list[msgspec.Raw])]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RestError(self._url(endpoint), Failure("unreadable", "the answer is no list of rows")) from error
        if rows and all(row_id(row, channel) < 0 for row in rows):
            raise RestError(self._url(endpoint), Failure("unreadable", "no row of the answer has an id"))
        return rows

    def _url(self, endpoint: str) -> str:
        return f"{self.site.rest_url}{self.site.rest_path}/{endpoint}"

    def _get(self, endpoint: str, given: Mapping[str, object]) -> bytes:
        with self._lock:
            if not self._wait(self.budget.wait_s(self.site.weight(endpoint), time.monotonic())):
                raise RestError(self._url(endpoint), Failure("stopped", "stopped while waiting for the venue's limit"))
            status, headers, body = self._exchange(endpoint, given)
            self.budget.learn(headers, time.monotonic())
            if status == 200:
                return body
            said = _said(body)
            failure = status_failure(status, headers, said)
            pause_s = BANNED_S if failure.retry_after_s is None and status in (418, 429) else failure.retry_after_s or 0.0
            self.budget.refuse(pause_s, time.monotonic())
            raise RestError(self._url(endpoint), failure, said)

    def _exchange(self, endpoint: str, given: Mapping[str, object]) -> tuple[int, dict[str, str], bytes]:
        path = f"{self._base.path}{self.site.rest_path}/{endpoint}" + (f"?{urlencode(given)}" if given else "")
        headers = {"User-Agent": f"tradecap/{__version__}", "Accept": "application/json"}
        is_kept = self._connection is not None
        try:
            connection = self._connection = self._connection or Connection(self._base, TIMEOUT_S, self._ssl, self._proxy, self._failed)
            self.requests += 1
            connection.request("GET", f"{connection.prefix}{path}", headers=headers | connection.headers)
            answer = connection.getresponse()
            connection.check(answer)
            body = answer.read(MAX_ANSWER)
            if answer.length:
                raise http.client.IncompleteRead(body[:0], answer.length)
            if answer.will_close:
                self.close()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if is_kept and isinstance(error, (ConnectionError, http.client.RemoteDisconnected)):
                return self._exchange(endpoint, given)  # the venue closed a connection that lay idle; a new one is no second attempt
            self._failed += 1
            raise RestError(self._url(endpoint), network_failure(error, self._proxy)) from error
        return answer.status, {name.title(): value for name, value in answer.headers.items()}, body


class Budget:
    """What may still be asked for in this minute of the venue's clock.

    Times are those of a clock that is never set (who obeys Retry-After by one that is, waits an hour or is banned); the venue's is ahead_s ahead of
    it, which is learnt.
    """

    def __init__(self, weight: int, ahead_s: float = 0.0) -> None:
        self._weight = weight
        self._used = 0
        self._minute = -1
        self._ahead_s = ahead_s
        self._not_before_s = 0.0

    def wait_s(self, weight: int, now_s: float) -> float:
        """How long to wait before a request of this weight. It is counted."""
        delay_s = max(0.0, self._not_before_s - now_s)
        venue_s = self._venue_s(now_s + delay_s)
        if int(venue_s // 60) != self._minute:
            self._minute, self._used = int(venue_s // 60), 0
        if self._used and self._used + weight > self._weight:
            delay_s += (self._minute + 1) * 60.0 - venue_s
            self._minute, self._used = self._minute + 1, 0
        self._used += weight
        return delay_s

    def _venue_s(self, now_s: float) -> float:
        """Rounded, so that a full minute of the venue's isn't a hair less."""
        return round(now_s + self._ahead_s, 3)

    def learn(self, headers: Mapping[str, str], now_s: float) -> None:
        """Take over what an answer says: the venue's clock, and how much was used by all behind this address."""
        if date := headers.get("Date"):
            with suppress(ValueError):
                self._ahead_s = parsedate_to_datetime(date).timestamp() - now_s
        used = headers.get(_WEIGHT) or ""
        if used.isascii() and used.isdigit():
            self._minute, self._used = int(self._venue_s(now_s) // 60), int(used[:9])

    def refuse(self, seconds: float, now_s: float) -> None:
        """The venue wants to be left alone that long."""
        self._not_before_s = max(self._not_before_s, now_s + seconds)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return True


def _said(body: bytes) -> str:
    """The venue's own words: {"code": ..., "msg": ...}."""
    try:
        message = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return f"{message['code']} {message['msg']}"[:300] if "code" in message and "msg" in message else ""


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


class _Listing(msgspec.Struct):
    symbol: str


class _Info(msgspec.Struct):
    symbols: list[_Listing]


def _listed(body: bytes) -> set[str]:
    try:
        return {each.symbol for each in msgspec.json.decode(body, type=_Info).symbols}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise TradecapError("The venue's exchangeInfo can't be read.", "is --rest-url the base of a Binance REST interface?") from error

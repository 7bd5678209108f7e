"""The one HTTP client: what a venue's REST interface says about trades and symbols.

Rules: one connection, kept open; one request at a time. Never more than half of the request weight the venue allows a
minute, by the count in its own headers (everybody behind this address uses the other half). Where it says Retry-After,
with whatever status, nothing is asked before that. A request is tried once: the caller decides whether to ask again.
Rows are handed on as the bytes they came as.

What is asked for, and what an answer says, is the venue's (`RestApi`).
"""

import http.client
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

import msgspec

from tradecap import __version__
from tradecap.errors import Exit, TradecapError
from tradecap.proxies import proxy_for
from tradecap.venues.encodings import plain_body
from tradecap.venues.failures import Failure, http_date_s, network_failure, status_failure
from tradecap.venues.rest_connection import RestConnection
from tradecap.venues.sites import Request, Site

SHARE: Final = 0.5
TIMEOUT_S: Final = 10.0
BANNED_S: Final = 60.0
"""How long to wait after 418 and 429 without Retry-After."""
MAX_ANSWER: Final = 256 * 1024 * 1024
REST_URL: Final = "is --rest-url the base of this venue's REST interface?"


class Listed(NamedTuple):
    """unknown: symbols the venue doesn't list, each with all that it does. closed: listed ones that aren't traded, each
    with its status."""

    unknown: dict[str, list[str]]
    closed: dict[str, str]


class RestError(TradecapError):
    """A request that wasn't answered as hoped. Not for people before somebody gave up on it."""

    def __init__(self, url: str, failure: Failure, *, is_key_wanted: bool = False) -> None:
        super().__init__(f"{url}: {failure.text}.", failure.hint, Exit.UNREACHABLE)
        self.failure = failure
        self.is_closed_to_us = failure.kind in ("http_401", "http_404") or is_key_wanted
        """The endpoint isn't there, or not without a key."""


class Rest:
    """A client for one site. Several threads may use it; they wait for each other. wait(seconds) is False where the
    wait was cut short.

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
        self.api = site.rest
        self.has_history = site.has_history
        """Whether old trades can be asked for by id; what the site is known for, until the venue answers otherwise."""
        self.budget = budget or Budget(int(site.weight_per_minute * SHARE), time.time() - time.monotonic())
        self.requests = 0
        self._base = urlsplit(site.rest_url)
        self._ssl = (ssl_context or ssl.create_default_context()) if self._base.scheme == "https" else None
        host, port = self._base.hostname or "", self._base.port or (443 if self._ssl else 80)
        self._proxy = proxy_for(self._base.scheme, host, port, os.environ)
        self._failed = 0
        """Connections that failed: the next one begins with another address of the host."""
        self._connection: RestConnection | None = None
        self._lock = threading.Lock()
        self._wait = wait or _sleep

    def old_trades(self, symbol: str, channel: str, from_id: int) -> list[bytes]:
        """Rows from from_id on, ascending, at most a page; where there is no history the newest page, as far as it is
        at or after from_id."""
        if self.reaches_back(channel):
            try:
                return self._trades(self.api.since(symbol, channel, from_id), channel)
            except RestError as error:
                if not error.is_closed_to_us or channel in self.api.open_history:
                    raise
                self.has_history = False
        return [
            row
            for row in self.newest(symbol, channel, self.api.page)
            if not 0 <= self.api.row_id(row, channel) < from_id
        ]

    def reaches_back(self, channel: str) -> bool:
        """Whether rows of a channel can be asked for however old they are."""
        return self.has_history or channel in self.api.open_history

    def newest(self, symbol: str, channel: str, limit: int = 1) -> list[bytes]:
        """The newest rows, ascending."""
        return self._trades(self.api.newest(symbol, channel, limit), channel)

    def look_up(self, symbols: Iterable[str]) -> "Listed":
        """What the venue's list says about the symbols."""
        wanted = list(symbols)
        request = self.api.listing(wanted)
        try:
            known = self._listed(request)
        except RestError as error:  # one unknown symbol, and the venue refuses them all
            if error.failure.kind != "http_400" or not request.given:
                raise
            known = self._listed(self.api.listing([]))
        unknown = {symbol: sorted(known) for symbol in wanted if symbol not in known}
        closed = {symbol: known[symbol] for symbol in wanted if known.get(symbol, "") not in ("", self.api.trading)}
        return Listed(unknown, closed)

    def _listed(self, request: Request) -> dict[str, str]:
        """The status of each symbol in the venue's list."""
        body = self._get(request.endpoint, request.given)
        try:
            listed = self.api.statuses(body)
        except (ValueError, RecursionError) as error:
            raise RestError(
                self._url(request.endpoint), Failure("unreadable", "the answer is not a list of symbols", REST_URL)
            ) from error
        if not listed:
            raise RestError(self._url(request.endpoint), Failure("unreadable", "the answer lists no symbol", REST_URL))
        return listed

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _trades(self, request: Request, channel: str) -> list[bytes]:
        body = self._get(request.endpoint, request.given)
        try:
            rows = [bytes(row) for row in msgspec.json.decode(body, type=list[msgspec.Raw])]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RestError(
                self._url(request.endpoint), Failure("unreadable", "the answer is not a list of rows")
            ) from error
        if rows and all(self.api.row_id(row, channel) < 0 for row in rows):
            raise RestError(self._url(request.endpoint), Failure("unreadable", "no row of the answer has an id"))
        return rows

    def _url(self, endpoint: str) -> str:
        return f"{self.site.rest_url}{self.site.rest_path}/{endpoint}"

    def _get(self, endpoint: str, given: Mapping[str, object]) -> bytes:
        with self._lock:
            if not self._wait(self.budget.wait_s(self.site.weight(endpoint), time.monotonic())):
                raise RestError(self._url(endpoint), Failure("stopped", "stopped while waiting for the venue's limit"))
            status, headers, body = self._exchange(endpoint, given)
            self.budget.learn(headers, time.monotonic(), self.api.used_weight)
            try:
                body = plain_body(body, headers.get("Content-Encoding", ""), MAX_ANSWER)
            except ValueError as error:
                if status == 200:
                    raise RestError(self._url(endpoint), Failure("unreadable", str(error), REST_URL)) from error
                body = b""
            if status == 200:
                return body
            venue_text = self.api.message(body)
            failure = status_failure(status, headers, venue_text, self.site.hints)
            pause_s = (
                BANNED_S if failure.retry_after_s is None and status in (418, 429) else failure.retry_after_s or 0.0
            )
            self.budget.refuse(pause_s, time.monotonic())
            raise RestError(self._url(endpoint), failure, is_key_wanted=venue_text.startswith(self.api.key_wanted))

    def _exchange(self, endpoint: str, given: Mapping[str, object]) -> tuple[int, dict[str, str], bytes]:
        path = f"{self._base.path}{self.site.rest_path}/{endpoint}" + (f"?{urlencode(given)}" if given else "")
        headers = {"User-Agent": f"tradecap/{__version__}", "Accept": "application/json"}
        is_kept = self._connection is not None
        try:
            connection = self._connection = self._connection or RestConnection(
                self._base, TIMEOUT_S, self._ssl, self._proxy, self._failed
            )
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
                # the venue closed a connection that lay idle; a new one isn't a second attempt
                return self._exchange(endpoint, given)
            self._failed += 1
            raise RestError(self._url(endpoint), network_failure(error, self._proxy)) from error
        return answer.status, {name.title(): value for name, value in answer.headers.items()}, body


class Budget:
    """What may still be asked for in this minute of the venue's clock.

    Times are those of a clock that is never set (obeying Retry-After by one that is set means waiting an hour or being
    banned); the venue's is ahead_s ahead of it, which is learnt.
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

    def learn(self, headers: Mapping[str, str], now_s: float, used_weight: str) -> None:
        """Take over what an answer says: the venue's clock, and in a header how much was used by all behind this
        address."""
        if date := headers.get("Date"):
            with suppress(ValueError):
                self._ahead_s = http_date_s(date) - now_s
        used = headers.get(used_weight) or ""
        if used.isascii() and used.isdigit():
            self._minute, self._used = int(self._venue_s(now_s) // 60), int(used[:9])

    def refuse(self, seconds: float, now_s: float) -> None:
        """The venue wants to be left alone that long."""
        self._not_before_s = max(self._not_before_s, now_s + seconds)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return True

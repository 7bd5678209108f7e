"""Where a venue is reached, and how it is talked to: hosts, paths, limits, subscriptions and requests.

Rules: pure; nothing here opens anything. A site is what `--venue` names; a venue is what records say: one venue may
have several sites (its data-only hosts). What a venue calls things is in its package; the values here are what `feed`
and the HTTP client need of it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from tradecap.errors import TradecapError
from tradecap.urls import mask_url, split


class Reply(NamedTuple):
    """An answer to a control message. error is '' where it was granted; id None where the venue couldn't tell."""

    id: int | None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Control:
    """Messages on a connection that aren't about the market.

    stream_name: (symbol, channel) as a stream that can be subscribed to. subscriptions: (id, request) of each message
    that together ask for all streams. read_reply: a message as an answer to one of them, None when it isn't an answer.
    is_shutdown: whether the server announces its end; a new connection is opened at once. is_market: matches the
    beginning of messages that are surely none of this, which are by far the most. hints: what to do about an HTTP
    status, where the venue has a better answer than `failures`.
    """

    stream_name: Callable[[str, str], str]
    subscriptions: Callable[[Sequence[str]], list[tuple[int, bytes]]]
    read_reply: Callable[[bytes], Reply | None]
    is_shutdown: Callable[[bytes], bool]
    is_market: Callable[[bytes], re.Match[bytes] | None]
    hints: Mapping[int, str]


class Request(NamedTuple):
    """A GET request: the endpoint behind the site's rest_path, and its parameters in order."""

    endpoint: str
    given: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RestApi:
    """How a venue's REST interface is asked for trades and symbols.

    page: rows in one answer, at most. newest: (symbol, channel, limit). since: (symbol, channel, id): rows from that id
    on. open_history: channels whose old rows take no key at any site. row_id: the id of a row of a channel, -1 where it
    has none. message: the venue's own words in a refusal, '' where there are none. key_wanted: how they begin where a
    key is missing. used_weight: the header that says how much of the budget is used. listing: the request for what the
    venue lists, of these symbols alone where that can be asked; without symbols, of all. statuses: the answer's
    symbols, each with its status ('' where it has none); raises ValueError. trading: the status of a symbol that is
    traded.
    """

    page: int
    newest: Callable[[str, str, int], Request]
    since: Callable[[str, str, int], Request]
    open_history: frozenset[str]
    row_id: Callable[[bytes, str], int]
    message: Callable[[bytes], str]
    key_wanted: tuple[str, ...]
    used_weight: str
    listing: Callable[[Sequence[str]], Request]
    statuses: Callable[[bytes], dict[str, str]]
    trading: str


class Site(NamedTuple):
    """A venue as it is reached. Weights are per request; has_history says whether old trades can be asked for by id
    without a key."""

    name: str
    venue: str
    ws_url: str
    rest_url: str
    control: Control
    rest: RestApi
    rest_path: str
    max_streams: int
    weight_per_minute: int
    has_history: bool
    weights: tuple[tuple[str, int], ...]
    stream_path: str = "/stream"

    @property
    def hints(self) -> Mapping[int, str]:
        """What to do about an HTTP status, where the venue has a better answer than `failures`."""
        return self.control.hints

    def at(self, ws_url: str = "", rest_url: str = "") -> "Site":
        """The same venue elsewhere: bases without a path. Without rest_url, REST is at the host of ws_url."""
        if not (ws_url or rest_url):
            return self
        ws = _base(ws_url, ("ws", "wss"), "--ws-url", "ws://localhost:8080") if ws_url else self.ws_url
        if rest_url:
            rest = _base(rest_url, ("http", "https"), "--rest-url", "http://localhost:8080")
        else:
            parts = urlsplit(ws)
            rest = urlunsplit(("https" if parts.scheme == "wss" else "http", parts.netloc, "", "", ""))
        return self._replace(ws_url=ws, rest_url=rest)

    @property
    def stream_url(self) -> str:
        """Where streams are subscribed to."""
        return f"{self.ws_url}{self.stream_path}"

    def weight(self, endpoint: str) -> int:
        """What a request costs of the budget."""
        return dict(self.weights)[endpoint]


def _base(url: str, schemes: tuple[str, str], option: str, example: str) -> str:
    shown, hint = f"{option} {mask_url(url)!r}", f"write it like {option} {example}"
    try:
        parts = split(url)
    except ValueError as error:
        raise TradecapError(f"{shown} can't be read: {error}.", hint) from None
    if parts.user is not None:
        raise TradecapError(
            f"{option} holds a user or a password, which would end up in the log.",
            f"leave them out, as in {option} {example}",
        )
    if parts.scheme not in schemes or not parts.host or {"?", "#"} & set(parts.rest) or not url.isprintable():
        raise TradecapError(f"{shown} is not a base of {schemes[0]}:// or {schemes[1]}://.", hint)
    if {"ws", "stream"} & set(parts.rest.split("/")):
        raise TradecapError(f"{shown} is more than a base.", f"leave out /ws and /stream, as in {option} {example}")
    return url.rstrip("/")

"""Where a venue is reached, and what it takes: hosts, paths, limits, subscriptions and their acknowledgements.

Rules: pure; nothing here opens anything. A site is what `--venue` names; a venue is what records say: `binance-data` is venue binance by its
data-only hosts. Streams are asked for by SUBSCRIBE on the combined path, never in the URL (about 8000 characters are too many for it).

Sources: hosts, limits and control messages: "WebSocket Streams for Binance", "Public Rest API", "Market Data Only URLs", Binance.US "Web Socket
Streams"; the path /market of USD-M (2026) and the envelope of errors are known from client libraries (docs/binance.md §1-3, §7).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec

from tradecap.errors import TradecapError
from tradecap.market.records import CHANNELS
from tradecap.urls import mask_url, split

STREAMS_A_REQUEST: Final = 100
"""Names in one SUBSCRIBE: about 2 KB."""


class Site(NamedTuple):
    """A venue as it is reached. Weights are per request; has_history says whether old trades can be asked for by id without a key."""

    name: str
    venue: str
    ws_url: str
    rest_url: str
    rest_path: str = "/api/v3"
    max_streams: int = 1024
    weight_per_minute: int = 6000
    has_history: bool = True
    weights: tuple[tuple[str, int], ...] = (("exchangeInfo", 20), ("trades", 25), ("historicalTrades", 25), ("aggTrades", 4))

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
        """Where combined streams are."""
        return f"{self.ws_url}/stream"

    def weight(self, endpoint: str) -> int:
        """What a request costs of the budget."""
        return dict(self.weights)[endpoint]


SITES: Final = {
    "binance": Site("binance", "binance", "wss://stream.binance.com:9443", "https://api.binance.com"),
    "binance-usdm": Site(
        "binance-usdm",
        "binance-usdm",
        "wss://fstream.binance.com/market",
        "https://fapi.binance.com",
        rest_path="/fapi/v1",
        max_streams=200,
        weight_per_minute=2400,
        has_history=False,
        weights=(("exchangeInfo", 1), ("trades", 5), ("historicalTrades", 20), ("aggTrades", 20)),
    ),
    "binance-us": Site("binance-us", "binance-us", "wss://stream.binance.us:9443", "https://api.binance.us", weight_per_minute=1200),
    "binance-data": Site("binance-data", "binance", "wss://data-stream.binance.vision", "https://data-api.binance.vision", has_history=False),
}
"""By the name that --venue takes. `historicalTrades` isn't served by the data-only hosts, and on USD-M it takes a key."""


def _base(url: str, schemes: tuple[str, str], option: str, example: str) -> str:
    shown, hint = f"{option} {mask_url(url)!r}", f"write it like {option} {example}"
    try:
        parts = split(url)
    except ValueError as error:
        raise TradecapError(f"{shown} can't be read: {error}.", hint) from None
    if parts.user is not None:
        raise TradecapError(f"{option} holds a user or a password, which would stand in the log.", f"leave them out, as in {option} {example}")
    if parts.scheme not in schemes or not parts.host or {"?", "#"} & set(parts.rest) or not url.isprintable():
        raise TradecapError(f"{shown} is no base of {schemes[0]}:// or {schemes[1]}://.", hint)
    if {"ws", "stream"} & set(parts.rest.split("/")):
        raise TradecapError(f"{shown} is no base: it goes on after it.", f"leave out /ws and /stream, as in {option} {example}")
    return url.rstrip("/")


def stream_name(symbol: str, channel: str) -> str:
    """A stream as it is subscribed to: the symbol in small letters, the rest as written."""
    if channel not in CHANNELS:
        raise ValueError(f"{channel!r} is no channel")
    return f"{symbol.lower()}@{channel}"


def subscriptions(streams: Sequence[str]) -> list[tuple[int, bytes]]:
    """(id, request) of each SUBSCRIBE that together ask for all streams."""
    chunks = [streams[at : at + STREAMS_A_REQUEST] for at in range(0, len(streams), STREAMS_A_REQUEST)]
    return [(number, msgspec.json.encode({"method": "SUBSCRIBE", "params": chunk, "id": number})) for number, chunk in enumerate(chunks, 1)]


class Reply(NamedTuple):
    """An answer to a control message. error is '' where it was granted; id None where the venue couldn't tell."""

    id: int | None
    error: str = ""


def read_reply(payload: bytes) -> Reply | None:
    """What a message says as an answer; None when it is none."""
    if not payload.startswith((b'{"result"', b'{"error"', b'{"id"', b'{"code"')):
        return None
    try:
        message = msgspec.json.decode(payload, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if "e" in message or not ("result" in message or "error" in message or {"code", "msg"} <= message.keys()):
        return None
    number = message.get("id")
    error = message.get("error", message if "code" in message else None)  # documented bare, seen inside `error`
    said = f"{error.get('code')}: {error.get('msg')}" if isinstance(error, dict) else str(error) if error is not None else ""
    return Reply(number if isinstance(number, int) and not isinstance(number, bool) else None, said)


def is_shutdown(payload: bytes) -> bool:
    """Whether the server says that it is about to go: a new connection shall be opened at once (since 2026-05-08)."""
    return payload.startswith((b'{"stream":"!serverShutdown"', b'{"e":"serverShutdown"'))

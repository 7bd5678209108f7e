"""Messages on a Binance connection that aren't about the market: subscriptions, their answers, and the announcement of
an end.

Rules: pure. Streams are asked for by SUBSCRIBE on the combined path, never in the URL (about 8000 characters are too
many for it).

Sources: "WebSocket Streams for Binance"; the envelope of errors is known from client libraries (docs/binance.md §2 and
§3).
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from tradecap.market.records import CHANNELS
from tradecap.venues.sites import Control, Reply

STREAMS_A_REQUEST: Final = 100
"""Names in one SUBSCRIBE: about 2 KB."""


def stream_name(symbol: str, channel: str) -> str:
    """A stream as it is subscribed to: the symbol in small letters, the rest as written."""
    if channel not in CHANNELS:
        raise ValueError(f"{channel!r} is not a channel")
    return f"{symbol.lower()}@{channel}"


def subscriptions(streams: Sequence[str]) -> list[tuple[int, bytes]]:
    """(id, request) of each SUBSCRIBE that together ask for all streams."""
    chunks = [streams[at : at + STREAMS_A_REQUEST] for at in range(0, len(streams), STREAMS_A_REQUEST)]
    return [
        (number, msgspec.json.encode({"method": "SUBSCRIBE", "params": chunk, "id": number}))
        for number, chunk in enumerate(chunks, 1)
    ]


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
    text = (
        (f"{error.get('code')}: {error.get('msg')}")
        if isinstance(error, dict)
        else str(error)
        if error is not None
        else ""
    )
    return Reply(number if isinstance(number, int) and not isinstance(number, bool) else None, text)


def is_shutdown(payload: bytes) -> bool:
    """Whether the server says that it is about to go: a new connection shall be opened at once (since 2026-05-08)."""
    return payload.startswith((b'{"stream":"!serverShutdown"', b'{"e":"serverShutdown"'))


_HINTS: Final = {
    403: "the venue's firewall refuses this address; it may ask less, or reach the venue another way (--venue "
    "binance-data).",
    451: "the venue refuses this place (geo-blocking): --venue binance-data takes the same spot trades from hosts "
    "that are open everywhere, "
    "--venue binance-us is the venue of the United States.",
}
CONTROL: Final = Control(
    stream_name=stream_name,
    subscriptions=subscriptions,
    read_reply=read_reply,
    is_shutdown=is_shutdown,
    is_market=re.compile(rb'\{"stream":"[^!]').match,
    hints=_HINTS,
)
"""Messages of combined streams; the stream of the announcement is `!serverShutdown`."""

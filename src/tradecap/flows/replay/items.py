"""A line of a recording, read: what it is, and what its record will hold.

Rules: a message of somebody's recording is read by its venue; of a record of a log of ours payload, receive time,
series and way stay as they are.
"""

import msgspec

from tradecap.flows.replay.choice import Choice
from tradecap.market.records import (
    Ignored,
    Reading,
    Rejected,
    Trade,
    cut_frame,
    frame,
    json_text,
    read_envelope,
    series_head,
    source_head,
)
from tradecap.recordings.reading import Frame
from tradecap.venues.api import UNNAMED, VENUES, by_shape, from_name, venue_of


class Item(msgspec.Struct, frozen=True, gc=False):
    """A line, read. `framed` is empty where the payload still has to be framed.

    symbol is that of the message, or what it claims where it can't be read.
    """

    reading: Reading
    payload: bytes
    recv_ns: int | None
    head: bytes
    framed: bytes = b""
    symbol: str = ""

    @property
    def tail(self) -> bytes:
        """The payload as the last member of a record."""
        return self.framed or frame(self.payload)


def read_item(each: Frame, name: bytes, choice: Choice) -> Item:
    """What a frame is. name: of its file, as of `json_text`."""
    if each.truncated_size is not None:
        venue, symbol, _ = _series(each, choice)
        head = series_head(venue, symbol, each.channel, "" if each.own else each.via) + source_head(name, each.line)
        return Item(
            Rejected("oversize"),
            each.payload,
            each.recv_ns,
            head,
            cut_frame(each.payload, each.truncated_size, each.sha256),
        )
    return _own(each, name) if each.own else foreign(each, name, choice)


def _series(each: Frame, choice: Choice) -> tuple[str, str, str]:
    """Venue, symbol and channel as far as they are known without the message: from the row, else from --as, else from
    the file's name."""
    symbol = each.symbol if each.is_named else choice.symbol or from_name(each.symbol)
    return choice.venue or venue_of(each.host), symbol, each.channel or ("trade" if symbol else "")


def foreign(each: Frame, name: bytes, choice: Choice) -> Item:
    """A message of somebody's recording."""
    payload = each.payload
    venue, symbol, channel = _series(each, choice)
    reading = (VENUES[venue].decode if venue else by_shape)(payload, venue, symbol, channel)
    if type(reading) is Trade:
        head = series_head(reading.venue, reading.symbol, reading.channel, each.via)
        # rows of the archive hold nothing that needs escaping, or they wouldn't be trades
        framed = (b'"data":%b}\n' if payload[:1] == b"{" else b'"text":"%b"}\n') % payload
        return Item(reading, payload, each.recv_ns, head + source_head(name, each.line), framed, reading.symbol)
    its_symbol, its_channel = VENUES.get(venue, UNNAMED).described(payload)
    head = series_head(venue, its_symbol or symbol, its_channel or channel, each.via)
    return Item(reading, payload, each.recv_ns, head + source_head(name, each.line), symbol=its_symbol or symbol)


def _own(each: Frame, name: bytes) -> Item:
    """A record of a log of ours: payload, receive time, series and way as they are; its events are not repeated."""
    envelope = read_envelope(each.payload)
    if envelope is None:
        return Item(Rejected("malformed_json"), each.payload, None, source_head(name, each.line))
    if envelope.event:
        return Item(Ignored("event"), b"", envelope.recv, b"")
    head = series_head(envelope.venue, envelope.symbol, envelope.channel, envelope.via)
    head += b'"src":"%b",' % json_text(envelope.src) if envelope.src else source_head(name, each.line)
    if envelope.size is not None:
        framed = cut_frame(envelope.payload, envelope.size, envelope.sha256)
        return Item(Rejected("oversize"), b"", envelope.recv, head, framed, envelope.symbol)
    reading = VENUES.get(envelope.venue, UNNAMED).decode(
        envelope.payload, envelope.venue, envelope.symbol, envelope.channel
    )
    symbol = reading.symbol if type(reading) is Trade else envelope.symbol
    return Item(reading, envelope.payload, envelope.recv, head, symbol=symbol)

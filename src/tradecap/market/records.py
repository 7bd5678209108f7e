"""The record: one line of the log, an envelope around what the venue sent, untouched.

Rules: one JSON object on one line, keys in the order of `Envelope`, no spaces, payload last and byte for byte as it
came. The payload is `data` (a JSON object on one line that a full parse accepts and that nests at most 100 deep),
`text` (other UTF-8) or `b64` (other bytes). Whatever the payload is, the envelope stays valid. The closed lists of
kinds and reasons are shared with the SQL (tests/cases.py holds the two readings against each other). Nothing here knows
a clock, a file or a venue.
"""

import base64
import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

import msgspec

MAX_PAYLOAD: Final = 256 * 1024
"""Bytes; a longer payload is `oversize`."""
MAX_LINE: Final = 900_000
"""Bytes of a record's line; if it would be longer, only the first `KEPT_OF_OVERSIZE` of its payload are kept. Brokers
take 1 MiB by default."""
MAX_HEAD: Final = 30_000
"""Bytes of a line that are left for what comes before the payload."""
KEPT_OF_OVERSIZE: Final = 64 * 1024
MAX_DEPTH: Final = 100
_TEXT: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")

REASONS: Final = (
    "null_field",
    "missing_field",
    "malformed_json",
    "not_an_object",
    "wrong_type",
    "bad_number",
    "out_of_range",
    "bad_time",
    "duplicate_key",
    "oversize",
    "unknown_message",
    "not_utf8",
)

CHANNELS: Final = ("trade", "aggTrade")


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One valid trade (or aggregate of trades) of a series.

    price and qty are integers in units of 10^-8; times are microseconds since 1970 UTC, `event_time_us` 0 when the
    message has none. For channel `trade` first_id and last_id equal id. order_book is False for USD-M trades outside
    the book (insurance fund, ADL, NA).
    """

    venue: str
    symbol: str
    channel: str
    id: int
    first_id: int
    last_id: int
    price: int
    qty: int
    trade_time_us: int
    event_time_us: int
    is_buyer_maker: bool
    order_book: bool


class Event(msgspec.Struct, frozen=True, gc=False):
    """A record that tells what happened to the capture itself (started, ended, recovered, gap_found ...)."""

    name: str


class Ignored(msgspec.Struct, frozen=True, gc=False):
    """A message of a stream that tradecap doesn't load; `kind` is from the venue's closed list."""

    kind: str


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A message that isn't a valid trade: kept whole in quarantine. `reason` is one of REASONS, `field` the key it was
    found at or ''."""

    reason: str
    field: str = ""


Reading = Trade | Event | Ignored | Rejected


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A line of the log, taken apart. Exactly one of data, text, b64 and event is set; `size` and `sha256` only where
    `b64` was cut."""

    run: str
    seq: int
    recv: int | None = None
    venue: str = ""
    symbol: str = ""
    channel: str = ""
    via: str = ""
    src: str = ""
    size: int | None = None
    sha256: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    text: str | None = None
    b64: str | None = None
    event: str = ""
    detail: msgspec.Raw = msgspec.Raw(b"")

    @property
    def payload(self) -> bytes:
        """What the venue sent, byte for byte (the first 64 KiB of it where `size` is set). Empty for an event."""
        if self.data:
            return bytes(self.data)
        if self.text is not None:
            return self.text.encode()
        return base64.b64decode(self.b64 or "")

    @property
    def fault(self) -> str:
        """The fault this record was injected with, '' for one that came from a venue."""
        return self.via[7:] if self.via.startswith("inject:") else ""


_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_anything = msgspec.json.Decoder().decode


def read_envelope(line: bytes) -> Envelope | None:
    """Take a line of the log apart; None when it isn't a record (damage, or somebody else's line)."""
    whole = _ENVELOPE.match(line)
    if whole is None or b"\n" in line:
        return None
    try:
        envelope = _decode_envelope(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    framed = envelope.data or envelope.detail
    if framed:
        return envelope if whole.end() - 1 + len(framed) + 1 == len(line) else None
    return envelope if not envelope.b64 or _is_base64(envelope.b64) else None


def attested_run(envelope: Envelope) -> str:
    """The run a `recovered` event attests; '' for any other record."""
    if envelope.event != "recovered" or not envelope.detail:
        return ""
    detail = msgspec.json.decode(envelope.detail)
    return str(detail.get("run", "")) if isinstance(detail, dict) else ""


_RECORD = (
    rb'\{"run":"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})","seq":(0|[1-9][0-9]{0,17}),"recv":'
)
_STRING = rb'"[^"\\\x00-\x1f]*+(?:\\[^\x00-\x1f][^"\\\x00-\x1f]*+)*+"'
IDENTITY: Final = re.compile(_RECORD)
"""What a record begins with: its run and its seq are the groups."""
_ENVELOPE: Final = re.compile(
    _RECORD
    + rb"(?:null|0|-?[1-9][0-9]{0,17}|[1-8][0-9]{18}),"
    + b"".join(rb'(?:"%b":%b,)?' % (name, _STRING) for name in (b"venue", b"symbol", b"channel", b"via", b"src"))
    + rb'"(?:data":\{|text":%b\}\Z|(?:size":(?:0|[1-9][0-9]{0,17}),"sha256":"[0-9a-f]{64}",")?' % _STRING
    + rb'b64":"[A-Za-z0-9+/=]*"\}\Z|event":%b,"detail":\{)' % _STRING
)
"""A record up to its payload: these members, in this order, without blanks. What a JSON parser lets pass beyond that,
parsers read differently; the SQL holds the same expression (store/clickhouse/schema/0002_envelope.sql)."""


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_UUID: Final = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@lru_cache(maxsize=256)
def _is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def is_plain_object(payload: bytes) -> bool:
    """Whether the payload may be written as `data`: one line, a JSON object by a full parse, at most MAX_DEPTH deep."""
    if payload[:1] != b"{" or payload[-1:] != b"}" or b"\n" in payload:
        return False
    return parse_object(payload) is not None


def parse_object(payload: bytes) -> dict[str, object] | None:
    """The JSON object in payload (of repeated keys the last), or None where a full parse or the depth limit says no."""
    try:
        value = _decode_anything(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) and not _is_deep(payload) else None


def _is_deep(payload: bytes) -> bool:
    """Whether valid JSON nests deeper than MAX_DEPTH. By its brackets: a key that is repeated hides its first value."""
    if payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _BRACKET.findall(_TEXT.sub(b"", payload))
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets)) > MAX_DEPTH


def frame(payload: bytes) -> bytes:
    """The payload as the last member of an envelope, brace and newline included."""
    if len(payload) <= MAX_LINE - MAX_HEAD and len(framed := _framed_whole(payload)) <= MAX_LINE - MAX_HEAD:
        return framed
    return cut_frame(payload[:KEPT_OF_OVERSIZE], len(payload), hashlib.sha256(payload).hexdigest())


def _framed_whole(payload: bytes) -> bytes:
    if is_plain_object(payload):
        return b'"data":%b}\n' % payload
    try:
        return b'"text":%b}\n' % msgspec.json.encode(payload.decode())
    except UnicodeDecodeError:
        return b'"b64":"%b"}\n' % base64.b64encode(payload)


def cut_frame(beginning: bytes, size: int, sha256: str) -> bytes:
    """As `frame`, for a payload of which only the beginning is kept."""
    return b'"size":%d,"sha256":"%b","b64":"%b"}\n' % (size, sha256.encode(), base64.b64encode(beginning))


def shortened(envelope: Envelope, longest: int) -> bytes:
    """The line of a record, cut so that it has at most `longest` bytes: see `cut_frame`. b"" where that can't be: an
    event, or too few bytes."""
    payload = envelope.payload
    size = len(payload) if envelope.size is None else envelope.size
    sha256 = hashlib.sha256(payload).hexdigest() if envelope.size is None else envelope.sha256
    source = b'"src":%b,' % json_bytes(envelope.src) if envelope.src else b""
    head = series_head(envelope.venue, envelope.symbol, envelope.channel, envelope.via) + source
    without = RunWriter(envelope.run, envelope.seq).record(envelope.recv, head, cut_frame(b"", size, sha256))
    room = (longest - len(without)) // 4 * 3
    if envelope.event or room <= 0:
        return b""
    framed = cut_frame(payload[: min(room, KEPT_OF_OVERSIZE)], size, sha256)
    return RunWriter(envelope.run, envelope.seq).record(envelope.recv, head, framed)


@lru_cache(maxsize=4096)
def series_head(venue: str, symbol: str, channel: str, via: str) -> bytes:
    """The middle of an envelope: what is known of the series and the way; unknown (empty) members are left out."""
    members = (("venue", venue), ("symbol", symbol), ("channel", channel), ("via", via))
    return b"".join(b'"%b":%b,' % (key.encode(), msgspec.json.encode(value)) for key, value in members if value)


DataRecord = tuple[int, bytes, bytes, Trade | None]
"""(recv_ns, head, framed, trade) of a record to be written; head and framed as of `RunWriter.record`. A plain tuple,
because it is made for every message of a capture."""


class RunWriter:
    """Numbers the records of one run. `seq` is the number of the next record."""

    def __init__(self, run: str, first_seq: int = 0) -> None:
        self.run = run
        self.seq = first_seq
        self._start = b'{"run":"%b","seq":' % run.encode()

    def record(self, recv_ns: int | None, head: bytes, framed: bytes) -> bytes:
        """A data record. head comes from `series_head` (and `source_head`), framed from `frame`."""
        line = b'%b%d,"recv":%b,%b%b' % (
            self._start,
            self.seq,
            b"null" if recv_ns is None else b"%d" % recv_ns,
            head,
            framed,
        )
        self.seq += 1
        return line

    def records(self, found: Sequence[DataRecord]) -> list[bytes]:
        """Data records, as of `record`."""
        start, first = self._start, self.seq
        self.seq += len(found)
        return [
            b'%b%d,"recv":%d,%b%b' % (start, seq, recv_ns, head, framed)
            for seq, (recv_ns, head, framed, _) in enumerate(found, first)
        ]

    def message(self, recv_ns: int | None, head: bytes, line: int, payload: bytes) -> bytes:
        """A data record of a JSON object. head: `series_head` and `source_beginning`."""
        record = b'%b%d,"recv":%b,%b%d","data":%b}\n' % (
            self._start,
            self.seq,
            b"null" if recv_ns is None else b"%d" % recv_ns,
            head,
            line,
            payload,
        )
        self.seq += 1
        return record

    def event(self, recv_ns: int, name: str, detail: object, head: bytes = b"") -> bytes:
        """An event record; detail is a mapping of JSON values."""
        framed = b'"event":"%b","detail":%b}\n' % (name.encode(), json_bytes(detail))
        return self.record(recv_ns, head, framed)


def source_head(name: bytes, line: int) -> bytes:
    """Where a record was read: name is the file's name as a JSON string without its quotes."""
    return b'"src":"%b:%d",' % (name, line)


def source_beginning(name: bytes) -> bytes:
    """`source_head` up to the line's number."""
    return b'"src":"%b:' % name


def json_text(text: str) -> bytes:
    """text as the inside of a JSON string."""
    return json_bytes(text)[1:-1]


def json_bytes(value: object) -> bytes:
    """A value as JSON; what JSON doesn't know becomes text. The name of a file may hold bytes that aren't text: only
    then each text is looked at."""
    try:
        return msgspec.json.encode(value, enc_hook=str)
    except UnicodeEncodeError:
        return msgspec.json.encode(_valid(value), enc_hook=str)


def _valid(value: object) -> object:
    match value:
        case str():
            return valid_text(value)
        case Mapping():
            return {name: _valid(each) for name, each in value.items()}
        case list() | tuple():
            return [_valid(each) for each in value]
    return value


def valid_text(text: str) -> str:
    """The text with U+FFFD for what isn't Unicode in it: the name of a file may hold any bytes, JSON may not."""
    return _SURROGATE.sub("\ufffd", text)


def content(trade: Trade) -> bytes:
    """The one canonical text of what makes two records of an id equal: price, quantity, T in ms, maker flag, first and
    last id, as numbers.

    The SQL writes the same text (store/schema, `content`), so that crc32 agrees on both sides.
    """
    return b"%d|%d|%d|%d|%d|%d" % (
        trade.price,
        trade.qty,
        trade.trade_time_us // 1000,
        trade.is_buyer_maker,
        trade.first_id,
        trade.last_id,
    )


def content_hash(trade: Trade) -> int:
    """crc32 of `content`, as an unsigned 32-bit integer."""
    return zlib.crc32(content(trade))


def line_hash(line: bytes) -> int:
    """crc32 of a record's line without its newline: the evidence kept of what isn't a trade."""
    return zlib.crc32(line)


def new_run(now_ms: int, last_run: str, randomness: bytes) -> str:
    """A UUIDv7 (RFC 9562) greater than last_run ('' for none): where the clock is behind, one millisecond after it.

    randomness: 10 bytes. Raises ValueError after the last millisecond that a UUIDv7 can hold (the year 10889).
    """
    if last_run:
        last_ms = int(last_run.replace("-", "")[:12], 16)
        if last_ms >= (1 << 48) - 1:
            raise ValueError(f"no UUIDv7 is greater than {last_run}")
        now_ms = max(now_ms, last_ms + 1)
    bits = (now_ms & (1 << 48) - 1) << 80 | 0x7 << 76 | 0b10 << 62
    bits |= (int.from_bytes(randomness[:2], "big") & 0xFFF) << 64 | int.from_bytes(randomness[2:10], "big") & (
        1 << 62
    ) - 1
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

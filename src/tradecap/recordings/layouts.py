"""How the lines of other people's recordings are laid out: what of a line is payload, and what the rest of it tells.

Rules: a line is recognised by its content, never by its place or the file's name, and layouts exclude each other, so
their order doesn't matter. What a file states once (a host, a header) is kept in `Known` for the lines that follow. A
line that states something but holds no message is framed with an empty payload. A payload is the venue's text byte for
byte. Receive times are taken from their decimals, never by way of a float. A file that isn't a recording of messages
(klines, another venue, another program's trades) is refused with a sentence.

To add a line format, add a function to LAYOUTS under the bytes its lines begin with.

Sources: F2 and F3 are what cryptofeed writes (raw_data_collection, capture format 2); archive columns as in
binance-public-data's README.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from tradecap.digits import number as grouped
from tradecap.errors import TradecapError
from tradecap.recordings.refusals import refuse_header
from tradecap.recordings.wrappings import symbol_of, without_envelope, without_front

NO_EXCHANGES: Final[Mapping[str, str]] = MappingProxyType({})
BLANKS: Final = b" \t\r"
BOM: Final = b"\xef\xbb\xbf"


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One message of a recording.

    recv_ns is the recorder's clock (ns since 1970), None where the recording doesn't say; line counts from 1, blank
    lines included; own: the payload is an envelope of ours. For a line longer than MAX_LINE the payload is its first 64
    KiB, with size (bytes) and sha256 (hex) of the whole. The other fields are what the recording gives in addition to
    the message, '' where it doesn't. host: the venue's host that it came from; symbol and channel (trade, aggTrade):
    those of a row; is_named: the symbol comes with the row, not only from the file's name; via: how it came from the
    venue (ws unless something shows otherwise, rest, archive: a CSV row).
    """

    payload: bytes
    recv_ns: int | None
    line: int
    own: bool = False
    truncated_size: int | None = None
    sha256: str = ""
    host: str = ""
    symbol: str = ""
    channel: str = ""
    via: str = "ws"
    is_named: bool = False


class Known:
    """What a recording has stated so far.

    exchanges: what captures call the exchanges that can be read (upper case), and the host to assume where a capture
    lost the line that names it. line is the number of lines behind us; symbol is that of the file's name; host (and
    hosts, by connection), channel and via are of the last line that named them; first is the line this file or member
    begins with; is_linear: a row of the archive has shown that quantities aren't contracts. All of it begins again with
    each member of a zip or tar.
    """

    def __init__(self, name: str, exchanges: Mapping[str, str] = NO_EXCHANGES) -> None:
        self.name = name
        self.exchanges = exchanges
        self.member = ""
        self.line = 0
        self._begin(name)

    @property
    def where(self) -> str:
        """The file, and in a zip the member, that is read."""
        return f"{self.name}/{self.member}" if self.member else self.name

    def enter(self, member: str) -> None:
        """Another member of a zip begins."""
        self.member = member
        self._begin(member)

    def _begin(self, name: str) -> None:
        symbol = _SYMBOL_IN_NAME.match(name.replace("\\", "/").rpartition("/")[2])
        self.symbol = symbol[1] if symbol else ""
        self.first = self.line + 1
        self.host = ""
        self.hosts: dict[str, str] = {}
        self.channel = ""
        self.via = ""
        self.is_linear = False


Layout = Callable[[bytes, int, Known], Frame | None]

_SYMBOL_IN_NAME: Final = re.compile(r"(?!\d+-)([^\Wa-z]{2,64})-(?=[a-z\d])")
"""XRPETH-aggTrades-..., BTCUSDT-1m-...; not 2024-08-09..., trades-..., BTC-USDT..."""
_NOTHING: Final = Frame(b"", None, 0)


def framed(line: bytes, number: int, known: Known) -> Frame:
    """A line without surrounding blanks, framed. Its payload is empty where the line holds no message. Raises
    TradecapError for what is refused."""
    start = line[:5]
    if start in BARE:
        return Frame(line, None, number)
    for layout in LAYOUTS.get(start if line[:1] == b"{" else line[:1], ()):
        if frame := layout(line, number, known):
            return frame
    if found := _wrapped(line, number, known):
        return found
    if known.via and line[:1] != b"{":
        return Frame(line, None, number, symbol=known.symbol, channel=known.channel, via=known.via)
    return Frame(line, None, number)


BARE: Final = frozenset((b'{"e":', b'{"str', b'{"u":', b'{"las', b'{"res'))
"""Messages of the venue as they nearly always begin: nothing is around them."""


def _wrapped(line: bytes, number: int, known: Known) -> Frame | None:
    """A message with a time in front of it or an envelope around it; there may be another envelope inside, and its time
    takes precedence."""
    if line[:1] == b"{" and (found := _row_on_a_line(line, number, known)):
        return found
    wrapped = without_envelope(line) if line[:1] == b"{" else without_front(line)
    if wrapped is None:
        return None
    inner = framed(wrapped.message, number, known)
    if inner.own:
        return inner
    if wrapped.symbol and inner.via == "rest" and not inner.is_named:
        inner = msgspec.structs.replace(inner, symbol=wrapped.symbol, is_named=True)
    if wrapped.exchange and not inner.host:
        inner = msgspec.structs.replace(inner, host=known.exchanges.get(wrapped.exchange, wrapped.exchange.lower()))
    return inner if inner.recv_ns is not None else msgspec.structs.replace(inner, recv_ns=wrapped.recv_ns)


def _own_envelope(line: bytes, number: int, _: Known) -> Frame | None:
    return Frame(line, None, number, own=True) if line.startswith(b'{"run":"') else None


def _without_mark(line: bytes, number: int, known: Known) -> Frame | None:
    """A line after a byte-order mark, which also appears inside a file where files were joined."""
    rest = line.removeprefix(BOM).lstrip(BLANKS)
    if rest.startswith(BOM[:1]):
        return Frame(rest, None, number)
    return framed(rest, number, known) if rest else _NOTHING


# --- receive times in front


def _receive_ns_in_front(line: bytes, number: int, known: Known) -> Frame | None:
    """F1. Nineteen digits of nanoseconds are the years 2001 to 2262."""
    if line[19:20] != b" " or not line[:19].isdigit():
        return None
    recv_ns = int(line[:19])
    if line[20:25] in BARE and recv_ns < 2**63:
        return Frame(line[20:], recv_ns, number)
    if recv_ns >= 2**63 or (line[20:21] != b"{" and without_front(line)):
        return None
    return _behind(line[20:].lstrip(BLANKS), recv_ns, number, known, "")


_SECONDS: Final = re.compile(rb"([0-9]{10})(?:\.([0-9]+))?")
_SECONDS_IN_FRONT: Final = re.compile(_SECONDS.pattern + rb":[ \t]+(?=.)", re.DOTALL)


def _receive_seconds_in_front(line: bytes, number: int, known: Known) -> Frame | None:
    """F2."""
    time = _SECONDS_IN_FRONT.match(line)
    if time is None or (recv_ns := _ns(time[1], time[2])) is None:
        return None
    return _behind(line[time.end() :], recv_ns, number, known, known.host)


def _behind(text: bytes, recv_ns: int, number: int, known: Known, host: str) -> Frame:
    """The text after a receive time: a message, or something that has a layout of its own."""
    if text[:1] != b"{" or text[:5] in BARE:
        return Frame(text, recv_ns, number, host=host)
    inner = framed(text, number, known)
    return inner if inner.own else msgspec.structs.replace(inner, recv_ns=recv_ns, host=inner.host or host)


def _ns(seconds: bytes, fraction: bytes | None) -> int | None:
    """Nanoseconds, exactly as the digits say (what is finer is cut off); None beyond the years of a signed 64-bit
    clock."""
    recv_ns = int(seconds) * 10**9 + int((fraction or b"")[:9].ljust(9, b"0"))
    return recv_ns if recv_ns < 2**63 else None


_URL_LINE: Final = re.compile(
    rb"(?:ws|http)s?://([A-Za-z0-9.-]+)(?:[:/?]\S*)? <?-> " + _SECONDS.pattern + rb"(?::[ \t]+(.+))?", re.DOTALL
)


def _url_in_front(line: bytes, number: int, known: Known) -> Frame | None:
    """F2: `wss://... <-> seconds`, which tells the host of the lines that follow, and
    `https://... -> seconds: answer`."""
    url = _URL_LINE.fullmatch(line)
    if url is None:
        return None
    host = url[1].decode().lower()
    if url[4]:
        return Frame(url[4], _ns(url[2], url[3]), number, host=host, via="rest" if line.startswith(b"http") else "ws")
    known.host = host
    return _NOTHING


def _configuration(line: bytes, _: int, __: Known) -> Frame | None:
    """F2's last line."""
    return _NOTHING if line.startswith(b"configuration: ") else None


# --- cryptofeed's captures


class _CaptureLine(msgspec.Struct, gc=False):
    t: str
    conn: str = ""
    ts: msgspec.Raw = msgspec.Raw(b"")
    data: str = ""
    addr: str = ""
    exchange: str = ""


_captured = msgspec.json.Decoder(_CaptureLine)
_HOST: Final = re.compile(r"\w+://([A-Za-z0-9.-]+)")


def _capture(line: bytes, number: int, known: Known) -> Frame | None:
    """F3. Only what was received is a message; the rest tells where it came from."""
    try:
        captured = _captured.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    conn = captured.conn
    if captured.t not in ("header", "http", "connect", "send", "recv") or not (conn or captured.exchange):
        return None
    exchange = captured.exchange or conn.partition(".")[0]
    if not exchange.upper().startswith(tuple(known.exchanges)):
        raise TradecapError(
            f"{known.where} is a capture of {exchange[:40]} (line {grouped(number)}), which isn't supported yet.",
            f"tradecap reads captures of {', '.join(known.exchanges)}.",
        )
    if captured.t == "connect" and (address := _HOST.match(captured.addr)):
        known.hosts[conn] = address[1].lower()
    if captured.t != "recv":
        return _NOTHING
    host = known.hosts.get(conn) or known.exchanges.get(exchange.upper(), exchange.lower())
    time = _SECONDS.fullmatch(captured.ts)
    return Frame(captured.data.encode(), _ns(time[1], time[2]) if time else None, number, host=host)


# --- REST rows


class _Row(msgspec.Struct, gc=False):
    info: msgspec.Raw = msgspec.Raw(b"")
    e: msgspec.Raw = msgspec.Raw(b"")
    stream: msgspec.Raw = msgspec.Raw(b"")
    f: msgspec.Raw = msgspec.Raw(b"")
    l: msgspec.Raw = msgspec.Raw(b"")  # noqa: E741 -- the venue's name for the last trade id
    price: msgspec.Raw = msgspec.Raw(b"")
    symbol: msgspec.Raw = msgspec.Raw(b"")
    item: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name="Item")
    reconnecting: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name="Reconnecting")


_row = msgspec.json.Decoder(_Row)


def row(text: bytes, number: int, known: Known) -> Frame:
    """A row of a REST answer: the venue's own, also where another library keeps it in `info`. A message of the stream
    stays one."""
    shape = _shape(text)
    named = bytes(shape.symbol) if shape else b""
    if shape and (info := bytes(shape.info)).startswith(b"{"):
        text = info
        shape = _shape(text)
        named = named or (bytes(shape.symbol) if shape else b"")
    if shape is None:
        return Frame(text, None, number, symbol=known.symbol, channel=known.channel, via="rest")
    if shape.item or shape.reconnecting:
        raise TradecapError(
            f"{known.where}:{number} holds trades as another program (barter) wrote them, with prices as floats: "
            "not what the venue sent.",
            "replay a recording of the venue's own messages, or the same trades from its archive.",
        )
    if shape.e or shape.stream:
        return Frame(text, None, number, symbol=known.symbol)
    if not (shape.price or shape.f) and (found := _wrapped(text, number, known)):
        return found
    known.channel, known.via = "aggTrade" if shape.f and shape.l else "trade", "rest"
    symbol = symbol_of(named) if named else known.symbol
    return Frame(text, None, number, symbol=symbol, channel=known.channel, via="rest", is_named=bool(named))


def _shape(text: bytes) -> _Row | None:
    try:
        return _row.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _row_on_a_line(line: bytes, number: int, known: Known) -> Frame | None:
    """A REST row that stands alone. Anything else that begins like one is a message."""
    shape = _shape(line)
    inner = _shape(bytes(shape.info)) if shape and bytes(shape.info).startswith(b"{") else shape
    is_row = inner and not inner.e and ((inner.f and inner.l) or inner.price)
    return row(line, number, known) if is_row else None


# --- the venue's archive

_NUMBER = rb"[0-9][0-9.eE+-]*+"
_MAKER = rb"(?:[Tt]rue|[Ff]alse)(?:,(?:[Tt]rue|[Ff]alse))?+"
_ARCHIVE_ROW: Final = re.compile(
    rb"[0-9]++,%b,%b,(?:(%b,[0-9]++,%b)|[0-9]++,[0-9]++,[0-9]++,%b)" % (_NUMBER, _NUMBER, _NUMBER, _MAKER, _MAKER)
)
"""The first group is what a trade has after price and quantity, and an aggregate has not."""
_KLINE_ROW: Final = re.compile(rb"[0-9]{12,17},(?:%b,){5}[0-9]{12,17},(?:[^,]*,){4}[^,]*" % _NUMBER)
_KLINE_HEADER: Final = re.compile(rb"(?:[a-z]+,)?open,high,low,close,.*")
_END_OF_HEADER = rb"(?:is|wasthe)buyer(?:the)?maker(?:,(?:isbestmatch|wasthetradethebestpricematch))?"
_TRADES_HEADER: Final = re.compile(
    rb"(?:trade)?id,price,(?:qty|quantity),(?:quoteqty|quotequantity),(?:time|timestamp)," + _END_OF_HEADER
)
_AGG_TRADES_HEADER: Final = re.compile(
    rb"(?:agg|aggregate)?(?:trade)?id,price,(?:qty|quantity),first(?:trade)?id,last(?:trade)?id,(?:transacttime|timestamp|time),"
    + _END_OF_HEADER
)


def _archive_row(line: bytes, number: int, known: Known) -> Frame | None:
    """A row as the venue wrote it; its columns tell a trade from an aggregate."""
    columns = _ARCHIVE_ROW.fullmatch(line)
    if columns is None:
        if _KLINE_ROW.fullmatch(line):
            raise _klines(known, number)
        return None
    if columns[1] and not known.is_linear:
        _refuse_contracts(line, number, known)
    known.channel, known.via = "trade" if columns[1] else "aggTrade", "archive"
    return Frame(line, None, number, False, None, "", "", known.symbol, known.channel, "archive")


def _refuse_contracts(line: bytes, number: int, known: Known) -> None:
    """Raises TradecapError where a trade has the worth of contracts of 10 or 100 USD in its fourth column, not price
    times quantity."""
    try:
        price, quantity, fourth = (float(column) for column in line.split(b",")[1:4])
    except ValueError:
        return
    known.is_linear = abs(price * quantity - fourth) <= 0.01 * fourth
    if (
        not known.is_linear
        and quantity
        and any(abs(fourth * price / quantity - size) < 0.01 * size for size in (10, 100))
    ):
        raise _contracts(known, number)


def _contracts(known: Known, number: int) -> TradecapError:
    return TradecapError(
        f"{known.where} holds trades of coin-margined futures (line {grouped(number)}), which are not supported: "
        "quantities are contracts.",
        "replay files of spot, or of futures that are margined in dollars.",
    )


def _archive_header(line: bytes, number: int, known: Known) -> Frame | None:
    names = line[:400].lower().translate(None, b'_" ')
    if _KLINE_HEADER.fullmatch(names):
        raise _klines(known, number)
    if b"baseqty" in names.split(b","):
        raise _contracts(known, number)
    for channel, header in (("trade", _TRADES_HEADER), ("aggTrade", _AGG_TRADES_HEADER)):
        if header.fullmatch(names):
            known.channel, known.via = channel, "archive"
            return _NOTHING
    refuse_header(line, number, known.where, is_first=number == known.first)
    return None


def _klines(known: Known, number: int) -> TradecapError:
    return TradecapError(
        f"{known.where} holds klines (line {grouped(number)}), and klines aren't trades.",
        "compare candles with them: tradecap verify --klines FILE; trades are in the archive's trades and "
        "aggTrades files.",
    )


def refuse_kline_answer(start: bytes, known: Known) -> None:
    """Raises TradecapError where a JSON array begins like an answer with klines."""
    if _KLINE_ANSWER.match(start):
        raise _klines(known, known.line + 1)


_KLINE_ANSWER: Final = re.compile(rb'\[\s*\[\s*[0-9]{12,17}\s*,\s*"?[0-9.]+"?\s*,\s*"?[0-9]')

_NUMBERED: Final = (_receive_ns_in_front, _archive_row, _receive_seconds_in_front)
_WORDS: Final = (_url_in_front, _configuration, _archive_header)

LAYOUTS: Final[dict[bytes, tuple[Layout, ...]]] = {
    b'{"run': (_own_envelope,),
    b'{"t":': (_capture,),
    b'{"id"': (_row_on_a_line,),
    b'{"a":': (_row_on_a_line,),
    b'{"inf': (_row_on_a_line,),
    **{b"%d" % digit: _NUMBERED for digit in range(10)},
    **{bytes([letter]): _WORDS for letter in b'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",;#'},
    BOM[:1]: (_without_mark,),
}
"""By the first five bytes of an object, by the first byte of anything else. What is in none is its own payload."""

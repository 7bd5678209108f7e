"""What recorders put around a message: a time or a log level in front of it, or an object that holds the message and a
time.

Rules: pure. The message is taken byte for byte (of a text, what the text says). A time is taken from its digits, never
by way of a float, and to its own precision; one without a zone is UTC. A wrapping is taken off only where all of it is
understood and a message of a venue is inside; anything else stays whole.

Sources: what Tardis' raw feeds and tardis-machine, wscat, kcat -J, kafka-console-consumer and Python's logging write.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec


class Wrapped(NamedTuple):
    """A message without its wrapping, and the time, the symbol and the exchange's name that came with it."""

    message: bytes
    recv_ns: int | None
    symbol: str = ""
    exchange: str = ""


_DATE_TIME: Final = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2})[T "
    rb"]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]{1,9}))? ?(Z|UTC|[+-][0-9]{2}:?[0-9]{2})?"
)
_EPOCH: Final = re.compile(rb"([0-9]{10}|[0-9]{13}|[0-9]{16}|[0-9]{19})(?:[.]([0-9]{1,9}))?")
_TIME: Final = rb"(?:%b|%b)" % (
    re.sub(rb"\((?!\?)", b"(?:", _DATE_TIME.pattern),
    re.sub(rb"\((?!\?)", b"(?:", _EPOCH.pattern),
)
_LEVEL: Final = rb"(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)"
_NAME: Final = rb"[\[(]?[A-Za-z_][\w.]{0,40}[\])]?:?"
_LOGGED: Final = rb"(?:%b[ :|-]++)?[\[(]?%b[\])]?:?(?:[ :|-]*+%b)?" % (_NAME, _LEVEL, _NAME)
_BETWEEN: Final = rb"[ \t,;:|>-]"
_FRONTS: Final = (
    rb"[\[(]?(?P<time>%b)[\])]?%b++(?:%b%b*+)?" % (_TIME, _BETWEEN, _LOGGED, _BETWEEN),
    rb"%b(?:%b++[\[(]?(?P<logged>%b)[\])]?)?%b*+" % (_LOGGED, _BETWEEN, _TIME, _BETWEEN),
    rb"(?:(?:(?:Create|LogAppend)Time:(?P<created>[0-9]{13})|NoTimestamp)\t)?(?:(?:Partition|Offset):[0-9]+\t)*(?:[^\t{]{0,200}\t)?",
    rb"< ?",
)
_IN_FRONT: Final = re.compile(rb"(?i:%b)" % b"|".join(_FRONTS))


def without_front(line: bytes) -> Wrapped | None:
    """A message behind a time, a log level, a key and a TAB, or wscat's `< `; None where the line isn't laid out so."""
    at = line.find(b"{", 0, 400)
    front = _IN_FRONT.fullmatch(line, 0, at) if at > 0 else None
    if front is None or not _holds_a_message(message := line[at:]):
        return None
    found = front["time"] or front["logged"] or front["created"]
    recv_ns = time_ns(found) if found else None
    return None if found and recv_ns is None else Wrapped(message, recv_ns)


def time_ns(text: bytes) -> int | None:
    """A time as nanoseconds since 1970, exactly as its digits say; None for what is none."""
    if epoch := _EPOCH.fullmatch(text):
        unit = 10 ** (19 - len(epoch[1]))
        fraction = int((epoch[2] or b"0").ljust(9, b"0")) * unit // 10**9
        ns = int(epoch[1]) * unit + fraction
        return ns if ns < 2**63 else None
    moment = _DATE_TIME.fullmatch(text)
    if moment is None:
        return None
    try:
        at = datetime.fromisoformat(f"{moment[1].decode()}T{moment[2].decode()}").replace(tzinfo=UTC) - _offset(
            moment[4] or b"Z"
        )
    except (ValueError, OverflowError):
        return None
    ns = int(at.timestamp()) * 10**9 + int((moment[3] or b"0").ljust(9, b"0"))
    return ns if 0 <= ns < 2**63 else None


def _offset(zone: bytes) -> timedelta:
    if zone in (b"Z", b"UTC"):
        return timedelta()
    east = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return -east if zone[:1] == b"-" else east


_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text: Final = msgspec.json.Decoder(str).decode
_CLOCK: Final = re.compile(r"(?i)t|ts|.*(?:time|date|stamp|recv|received|local|arriv).*|.*_ts|ts_.*|.*_at")
_RECEIVED: Final = re.compile(r"(?i).*(?:local|rec|arriv).*")
_MESSAGES: Final = (
    ("e",),
    ("stream", "data"),
    ("u", "s", "b", "B", "a", "A"),
    ("lastUpdateId", "bids"),
    ("id", "price", "qty"),
    ("a", "p", "f", "l"),
)
"""Members that a message or row of a venue has."""


def without_envelope(line: bytes, levels: int = 3) -> Wrapped | None:
    """The message that one member of an object holds, as an object or a text, next to a time; None for any other
    object.

    levels: how many envelopes may be in each other.
    """
    outer = _object(line)
    if outer is None or _is_message(outer) or "error" in outer or "result" in outer:
        return None
    messages = [message for value in outer.values() if (message := _message_in(value, levels - 1))]
    if len(messages) != 1:
        return None
    times = {
        name: at
        for name, value in outer.items()
        if _CLOCK.fullmatch(name) and (at := time_ns(bytes(value).strip(b'"')))
    }
    received = [at for name, at in times.items() if _RECEIVED.fullmatch(name)] or [*times.values()]
    symbol, exchange = _symbol_in(outer, "symbol"), _symbol_in(outer, "exchange") or _symbol_in(outer, "venue")
    return Wrapped(messages[0], received[0] if len(received) == 1 else None, symbol, exchange.upper().replace("-", "_"))


def _symbol_in(outer: dict[str, msgspec.Raw], name: str) -> str:
    return symbol_of(bytes(outer[name])) if name in outer else ""


@lru_cache(maxsize=4096)
def symbol_of(value: bytes) -> str:
    """The symbol that a JSON text names, ccxt's spelling as the venue's: XRP/ETH is XRPETH, BTC/USDT:USDT-210625
    BTCUSDT_210625; '' for no text."""
    try:
        symbol = _text(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    unified = _UNIFIED.fullmatch(symbol)
    if unified is None:
        return symbol
    base, quote, settle, expiry, strike = (part or "" for part in unified.groups())
    if strike:
        return f"{base}-{expiry}{strike}"
    return (
        f"{base}{quote}_{expiry or 'PERP'}" if settle == base else f"{base}{quote}" + (f"_{expiry}" if expiry else "")
    )


_UNIFIED: Final = re.compile(r"([^/:-]+)/([^/:-]+)(?::([^/:-]+)(?:-([0-9]{6})(-[0-9.]+-[CP])?)?)?")


def _object(text: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return _members(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _is_message(members: dict[str, msgspec.Raw]) -> bool:
    return any(all(name in members for name in names) for names in _MESSAGES)


def _message_in(value: msgspec.Raw, levels: int) -> bytes:
    """A message of a venue, or a record of ours, that a member holds; empty for anything else."""
    text = bytes(value)
    if text[:1] == b'"' and b"{" in text:
        try:
            text = _text(text).strip().encode()
        except (msgspec.MsgspecError, UnicodeError):
            return b""
    if text[:1] != b"{":
        return b""
    return text if _holds_a_message(text, levels) and b"\n" not in text else b""


def _holds_a_message(text: bytes, levels: int = 3) -> bool:
    """Whether this is a message, a row, a control answer, a record of ours, or an envelope around one."""
    if text.startswith(b'{"run":"'):
        return True
    members = _object(text)
    if members is None:
        return False
    return _is_message(members) or "result" in members or (levels > 0 and without_envelope(text, levels) is not None)

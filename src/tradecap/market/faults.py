"""Spoiling a trade on purpose: the table of faults, each with the outcome it must have.

Rules: an edit is textual and changes only the members it names, so everything else in the message stays verbatim,
whatever its key order, wrapper or venue. Each fault spoils in one way only, so exactly one outcome is right. The same
(fault, payload, channel, state of rng) gives the same bytes on every Python: of `random.Random` only getrandbits is
used. Faulty ids stay below 2^64: beyond it, some parsers reject the whole document (simdjson: BIGINT_ERROR).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

import msgspec

from tradecap.market.records import MAX_PAYLOAD
from tradecap.market.trade_limits import (
    MAX_ID,
    MAX_MS,
    MAX_PRICE,
    MAX_QTY,
    MAX_QUOTE,
    MAX_TIME_US,
    MICROSECONDS_FROM,
    MIN_MS,
    MIN_TIME_US,
    SCALE,
    in_us,
    later,
)

IDS: Final = {"trade": ("t",), "aggTrade": ("a", "f", "l")}

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)

_Choice = TypeVar("_Choice")


@dataclass(frozen=True, slots=True)
class _MemberSpan:
    """Where one member of a JSON object is: start of its key, start and end of its value."""

    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class _TradeMessage:
    """A valid message and where its members are, in their order.

    In a combined-stream wrapper these are the members of `data`.
    """

    payload: bytes
    channel: str
    fields: Sequence[str]
    members: dict[str, _MemberSpan]

    def __getitem__(self, field: str) -> bytes:
        """The value of a member as it is written."""
        member = self.members[field]
        return self.payload[member.value : member.end]

    def replaced(self, field: str, value: bytes) -> "_TradeMessage":
        """The message with another value in one member."""
        member = self.members[field]
        return _read(self.payload[: member.value] + value + self.payload[member.end :], self.channel, self.fields)

    @property
    def required(self) -> list[str]:
        return [field for field in self.fields if field in self.members]

    @property
    def is_off_book(self) -> bool:
        """Whether price and quantity may be 0: USD-M trades outside the order book (docs/binance.md §7)."""
        return "X" in self.members and self["X"] != b'"MARKET"'


Edit = Callable[[_TradeMessage, Random], bytes]


@dataclass(frozen=True, slots=True)
class TradeFault:
    """One way to spoil a trade. outcome: 'duplicate', 'conflict' or the reason it must be quarantined with."""

    help: str
    outcome: str
    edit: Edit


def spoil(fault: str, payload: bytes, channel: str, required: Sequence[str], rng: Random) -> bytes:
    """A valid trade or aggTrade message (bare or combined, verbatim) with one fault of FAULTS in it.

    required: the members that must be present and not null. Edits that aren't about any of them use p, q, T, m, X and
    the ids.
    """
    return FAULTS[fault].edit(_read(payload, channel, required), rng)


# ---- reading: where the members are ----


def _read(payload: bytes, channel: str, required: Sequence[str]) -> _TradeMessage:
    members = _members(payload, 0)
    data = members.get("data")
    if data is not None and payload[data.value : data.value + 1] == b"{":
        members = _members(payload, data.value)
    return _TradeMessage(payload, channel, required, members)


def _members(payload: bytes, at: int) -> dict[str, _MemberSpan]:
    """The members of the JSON object that begins at `at`. A nested value is kept as its span only."""
    members: dict[str, _MemberSpan] = {}
    key: re.Match[bytes] | None = None
    depth, value, end = 0, 0, 0
    for token in _TOKEN.finditer(payload, at):
        text = token[0]
        if depth == 1 and key is not None and text in (b",", b"}"):
            members[msgspec.json.decode(key[0], type=str)] = _MemberSpan(key.start(), value, end)
            key, value = None, 0
        elif depth == 1 and key is None and text.startswith(b'"'):
            key = token
        elif key is not None and value == 0 and text != b":":
            value = token.start()
        depth += (text in (b"{", b"[")) - (text in (b"}", b"]"))
        end = token.end()
        if depth == 0:
            break
    return members


# ---- the edits, in the order of the table ----


def _dupe(message: _TradeMessage, _rng: Random) -> bytes:
    return message.payload


def _conflict(message: _TradeMessage, rng: Random) -> bytes:
    field = _pick(rng, ("p", "q", "T", "m"))
    if field == "m":
        return message.replaced("m", b"false" if message["m"] == b"true" else b"true").payload
    change = _other_minute if field == "T" else _other_amount
    return change(message, field, rng)


def _other_amount(message: _TradeMessage, field: str, rng: Random) -> bytes:
    """A price or quantity up to one percent away, with as many decimals; higher only if the trade stays valid."""
    units = int(message[field].strip(b'"').replace(b".", b""))
    step = 1 + _below(rng, max(1, units // 100))
    higher = message.replaced(field, _amount(message[field], units + step))
    must_rise = units <= 1
    if must_rise or (_below(rng, 2) and _is_within_limits(higher)):
        return higher.payload
    return message.replaced(field, _amount(message[field], units - step)).payload


def _is_within_limits(message: _TradeMessage) -> bool:
    price, qty = _scaled(message["p"]), _scaled(message["q"])
    return price < MAX_PRICE and qty < MAX_QTY and price * qty < MAX_QUOTE


def _other_minute(message: _TradeMessage, field: str, rng: Random) -> bytes:
    """One to five minutes earlier or later, within the years that a trade can have."""
    time = int(message[field])
    distance_us = (1 + _below(rng, 5)) * 60_000_000
    may_be_earlier = in_us(time) - distance_us >= MIN_TIME_US
    may_be_later = in_us(time) + distance_us < MAX_TIME_US
    is_earlier = may_be_earlier and (_below(rng, 2) or not may_be_later)
    return message.replaced(field, b"%d" % later(time, -distance_us if is_earlier else distance_us)).payload


def _null(message: _TradeMessage, rng: Random) -> bytes:
    return message.replaced(_pick(rng, message.required), b"null").payload


def _missing(message: _TradeMessage, rng: Random) -> bytes:
    field = _pick(rng, message.required)
    members = list(message.members.values())
    at = members.index(message.members[field])
    if at + 1 < len(members):
        start, end = members[at].start, members[at + 1].start
    else:
        start, end = members[at - 1].end, members[at].end
    return message.payload[:start] + message.payload[end:]


def _malformed(message: _TradeMessage, rng: Random) -> bytes:
    """Not JSON by RFC 8259, though Python's own json accepts NaN. ASCII only, or the fault would be not_utf8."""
    payload, field = message.payload, _pick(rng, message.required)
    *others, last = message.members.values()
    member, before_comma = message.members[field], _pick(rng, others)
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: (
            message.replaced(field, _pick(rng, (b"abc", b"None", b"True", b"undefined", b"NaN", b"-Infinity"))).payload
        ),
        lambda: payload[: before_comma.end] + payload[before_comma.end :].replace(b",", b" ", 1),
        lambda: payload[: member.start] + payload[member.start :].replace(b":", b" ", 1),
        lambda: (
            payload[: member.start]
            + _pick(rng, (b"@", b"#", b"\x00", b"\x1b[0m", b"<", b"==", b"\\"))
            + payload[member.start :]
        ),
        lambda: payload[: last.end] + b"," + payload[last.end :],
        lambda: payload.replace(b'"', b"'"),
    )
    return _pick(rng, ways)()


def _truncated(message: _TradeMessage, rng: Random) -> bytes:
    """Keep the opening brace and lose the last one. A character of several bytes isn't cut: that would be not_utf8."""
    payload = message.payload
    shortest = payload.index(b"{") + 1
    cut = shortest + _below(rng, payload.rindex(b"}") - shortest + 1)
    while payload[cut] & 0xC0 == 0x80:
        cut -= 1
    return payload[:cut]


def _wrong_type(message: _TradeMessage, rng: Random) -> bytes:
    field = _pick(rng, message.required)
    value = message[field]
    boolean = _pick(rng, (b"true", b"false"))
    if field == "m":
        others = [b"1" if value == b"true" else b"0", b'"%b"' % value]
    elif field == "s":
        others = [b"%d" % _below(rng, 1000), boolean]
    elif field in ("p", "q"):
        others = [_number(value), boolean]
    else:
        others = [b'"%b"' % value, b"%b.0" % value, boolean]
    return message.replaced(field, _pick(rng, [*others, b"[%b]" % value])).payload


def _out_of_range(message: _TradeMessage, rng: Random) -> bytes:
    ways: list[Edit] = [_huge_amount, _huge_notional, _huge_id, _negative_id]
    if not message.is_off_book:
        ways.append(_zero)
    if message.channel == "aggTrade":
        ways.append(_first_after_last)
    return _pick(rng, ways)(message, rng)


def _zero(message: _TradeMessage, rng: Random) -> bytes:
    field = _pick(rng, ("p", "q"))
    return message.replaced(field, _amount(message[field], 0)).payload


def _huge_amount(message: _TradeMessage, rng: Random) -> bytes:
    """From exactly the limit to ten digits above it, more than 64 bits hold."""
    field, limit = _pick(rng, (("p", MAX_PRICE // SCALE), ("q", MAX_QTY // SCALE)))
    amount = limit * 10 ** _pick(rng, (0, _below(rng, 11))) + _pick(rng, (0, _below(rng, limit)))
    return message.replaced(field, b'"%d.00000000"' % amount).payload


def _huge_notional(message: _TradeMessage, rng: Random) -> bytes:
    """Price and quantity are valid, their product isn't."""
    price = _pick(rng, (10**9, 10**9 + _below(rng, 9 * 10**9)))
    qty = -(-MAX_QUOTE // SCALE**2 // price) + _pick(rng, (0, _below(rng, 10**14)))
    return message.replaced("p", b'"%d.00000000"' % price).replaced("q", b'"%d.00000000"' % qty).payload


def _huge_id(message: _TradeMessage, rng: Random) -> bytes:
    beyond = _pick(rng, (0, _below(rng, 1000), _below(rng, MAX_ID)))
    return message.replaced(_pick(rng, IDS[message.channel]), b"%d" % (MAX_ID + beyond)).payload


def _negative_id(message: _TradeMessage, rng: Random) -> bytes:
    field = _pick(rng, IDS[message.channel])
    return message.replaced(field, b"%d" % min(-1, -int(message[field]))).payload


def _first_after_last(message: _TradeMessage, rng: Random) -> bytes:
    return message.replaced("f", b"%d" % (int(message["l"]) + 1 + _below(rng, 1000))).payload


def _bad_time(message: _TradeMessage, rng: Random) -> bytes:
    """Just outside or far outside the years that a trade can have, in both units."""
    time = _pick(
        rng,
        (
            0,
            -1 - _below(rng, MAX_MS),
            -int(message["T"]),
            MIN_MS - 1,
            _below(rng, MIN_MS),
            MAX_MS,
            MAX_MS + _below(rng, MICROSECONDS_FROM - MAX_MS),
            MIN_TIME_US - 1,
            MICROSECONDS_FROM + _below(rng, MIN_TIME_US - MICROSECONDS_FROM),
            MAX_TIME_US,
            MAX_TIME_US + _below(rng, MAX_ID - MAX_TIME_US),
        ),
    )
    return message.replaced("T", b"%d" % time).payload


def _oversize(message: _TradeMessage, rng: Random) -> bytes:
    """A little over the limit, so that the record is still kept whole and a thousand of them don't fill a disk."""
    end = list(message.members.values())[-1].end
    size = MAX_PAYLOAD + 1024 + _below(rng, 43 * 1024)
    head, tail = message.payload[:end] + b',"padding":"', b'"' + message.payload[end:]
    return head + b"x" * (size - len(head) - len(tail)) + tail


FAULTS: Final[dict[str, TradeFault]] = {
    "dupes": TradeFault("The same message once more.", "duplicate", _dupe),
    "conflicts": TradeFault(
        "The id of a known trade with another price, quantity, minute or taker side.", "conflict", _conflict
    ),
    "nulls": TradeFault("null in a required field.", "null_field", _null),
    "missing": TradeFault("A required field left out.", "missing_field", _missing),
    "malformed": TradeFault(
        "JSON broken in the middle: a stray byte, a lost comma or colon, a bare word, wrong quotes.",
        "malformed_json",
        _malformed,
    ),
    "truncated": TradeFault("JSON cut off at any byte.", "malformed_json", _truncated),
    "wrong_type": TradeFault(
        "A required field of another JSON type: a number for a string, a string for a number, an array.",
        "wrong_type",
        _wrong_type,
    ),
    "out_of_range": TradeFault(
        "A price, quantity or id that no trade can have: zero, negative or too large.", "out_of_range", _out_of_range
    ),
    "bad_time": TradeFault("A trade time before 2010 or after 2100.", "bad_time", _bad_time),
    "oversize": TradeFault("A message of more than 256 KiB.", "oversize", _oversize),
}
"""The faults of `inject-bad`, in the order of its options. Several may have the same outcome."""


# ---- numbers as they are written ----


def _scaled(written: bytes) -> int:
    """A price or quantity in units of 10^-8, from its JSON string."""
    whole, _, fraction = written.strip(b'"').partition(b".")
    return int(whole + fraction.ljust(8, b"0"))


def _amount(like: bytes, units: int) -> bytes:
    """units as a JSON string with as many digits and decimals as `like`."""
    old = like.strip(b'"')
    decimals = len(old.partition(b".")[2])
    digits = b"%0*d" % (len(old.replace(b".", b"")), units)
    return b'"%b.%b"' % (digits[:-decimals], digits[-decimals:]) if decimals else b'"%b"' % digits


def _number(written: bytes) -> bytes:
    """The JSON number in a JSON string, without the leading zeros that only the string may have."""
    text = written.strip(b'"').lstrip(b"0")
    return text if text[:1].isdigit() else b"0" + text


# ---- chance ----


def _below(rng: Random, limit: int) -> int:
    """0 <= n < limit <= 2^63, drawn so that every Python draws the same."""
    return rng.getrandbits(96) % limit


def _pick(rng: Random, among: Sequence[_Choice]) -> _Choice:
    return among[_below(rng, len(among))]

"""Lines of a recording that differ in nothing but the digits of their numbers: read and written many at a time.

Rules: a template is made from a line that was read in the plain way, and knows nothing of its layout or its venue. The
caller passes which digits are numbers; the record shows what becomes of them. It must then read made-up lines (other
digits, the smallest and the largest) as the plain way reads them, to the last byte, or it isn't used. A number with a
leading zero, a price or quantity of nothing, ids in the wrong order: such a line doesn't fit, and is read by itself.

Source of the method: X = line XOR template has values of at most 9 in the places of digits and 0 elsewhere; there X is
the digits.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tradecap.flows.replay.items import Item
from tradecap.market.records import Ignored, Trade
from tradecap.recordings.layouts import Frame
from tradecap.recordings.numbers import Span, numbers_of_message, numbers_of_row, receive_time
from tradecap.venues.api import UNNAMED, VENUES, venue_of

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

ZERO: Final = ord("0")
PROBES: Final = 6
"""Made-up lines that a template has to read as the plain way does."""
FIXED: Final = 2
"""Leading digits of a time that don't vary: the others leave a stretch of three years."""
_OWN: Final = re.compile(rb'\{"run":"[^"]{36}","seq":(\d{1,18}),"recv":(?:null|(\d{1,19})),')
_OWN_SOURCE: Final = re.compile(rb'"src":"[^"\\]*?(\d{1,18})",(?="(?:data|text)":)')
SEQ: Final = "seq"
LINE: Final = "line"
Part = bytes | Span | str
"""A part of a record: bytes that all share, columns of the line, its SEQ, or the number of its LINE."""


@dataclass(frozen=True, slots=True)
class DigitColumns:
    """Where digits vary in a line, as columns. leading: columns that aren't 0. amounts: columns that aren't all 0.

    order: pairs of numbers, of which the first isn't greater.
    """

    spans: list[Span] = field(default_factory=list)
    leading: list[int] = field(default_factory=list)
    amounts: list[list[int]] = field(default_factory=list)
    order: list[tuple[Span, Span]] = field(default_factory=list)

    def add(self, span: Span, *, is_free: bool = False) -> None:
        """These digits vary. is_free: they may begin with a zero."""
        self.spans.append(span)
        if not is_free and span[1] - span[0] > 1:
            self.leading.append(span[0])


class RecordTemplate:
    """What lines like one have in common. each and reading: that one as it was framed and read; an Ignored is only
    counted."""

    def __init__(self, line: bytes, each: Frame, item: Item, numbers: DigitColumns) -> None:
        assert isinstance(item.reading, Trade | Ignored)
        self.each, self.reading, self.symbol = each, item.reading, item.symbol
        self.trade_id: Span = (0, 0)
        self.time: Span = (0, 0)
        self.time_base_us = self.time_unit_us = 0
        self.parts: list[Part] = []
        self._numbers = numbers
        self._zeroed = np.frombuffer(line, np.uint8).copy()
        self._limit = np.zeros(len(line), np.uint8)
        for first, end in numbers.spans:
            self._zeroed[first:end] = ZERO
            self._limit[first:end] = 9

    def fitting(self, table: Bytes) -> tuple[Mask, Bytes]:
        """Which lines of a table (of this length) fit, and the digits of all of them."""
        digits = table ^ self._zeroed
        fits: Any = (digits <= self._limit).all(axis=1)
        for column in self._numbers.leading:
            fits &= digits[:, column] != 0
        for columns in self._numbers.amounts:
            fits &= digits[:, columns].any(axis=1)
        for first, last in self._numbers.order:
            fits &= number_in(digits, first) <= number_in(digits, last)
        return fits, digits

    def times_us(self, digits: Bytes) -> Ints:
        """When lines that fit were traded."""
        return self.time_base_us + number_in(digits, self.time) * self.time_unit_us

    def size(self, seq_digits: int, line_digits: int) -> int:
        """The length of a record."""
        widths = {SEQ: seq_digits, LINE: line_digits}
        return sum(
            widths[part] if isinstance(part, str) else len(part) if isinstance(part, bytes) else part[1] - part[0]
            for part in self.parts
        )

    def records(self, table: Bytes, seqs: Bytes, lines: Bytes) -> Bytes:
        """The records of lines that fit, one in each row. seqs, lines: the digits of their numbers and of those of
        their lines."""
        made = np.empty((len(table), self.size(seqs.shape[1], lines.shape[1])), np.uint8)
        at = 0
        for part in self.parts:
            if isinstance(part, bytes):
                end = at + len(part)
                made[:, at:end] = np.frombuffer(part, np.uint8)
            elif isinstance(part, str):
                digits = seqs if part == SEQ else lines
                end = at + digits.shape[1]
                made[:, at:end] = digits
            else:
                end = at + part[1] - part[0]
                made[:, at:end] = table[:, part[0] : part[1]]
            at = end
        return made


def number_in(digits: Bytes, span: Span) -> Ints:
    """The numbers (of at most eighteen digits) that these columns are: two digits become one, again and again."""
    first, end = span
    if end - first > 16:
        return number_in(digits, (first, end - 16)) * 10**16 + number_in(digits, (end - 16, end))
    filled = np.zeros((len(digits), 16), np.uint8)
    filled[:, 16 - (end - first) :] = digits[:, first:end]
    twos = filled[:, ::2] * np.uint8(10) + filled[:, 1::2]
    fours = twos[:, ::2].astype(np.uint16) * np.uint16(100) + twos[:, 1::2]
    eights = fours[:, ::2].astype(np.int64) * 10_000 + fours[:, 1::2]
    found: Ints = eights[:, 0] * 10**8 + eights[:, 1]
    return found


_FOUR: Final = np.frombuffer(b"".join(b"%04d" % number for number in range(10_000)), np.uint32)


def digits_of(numbers: Ints, width: int) -> Bytes:
    """Numbers as decimal digits, filled up with zeros."""
    count = -(-width // 4)
    fours = np.empty((len(numbers), count), np.uint32)
    rest = numbers
    for column in range(count - 1, -1, -1):
        rest, low = np.divmod(rest, 10_000) if column else (rest, rest)
        fours[:, column] = _FOUR[low]
    return fours.view(np.uint8)[:, 4 * count - width :]


_AS_DIGITS: Final = bytes(ZERO + value % 10 for value in range(256))
Reads = Callable[[bytes], tuple[Frame, Item] | None]
"""What a line is by the plain way; None where that changes what is known, or ends the input."""


def template_of(line: bytes, number: int, run: str, reads: Reads) -> RecordTemplate | None:
    """Make a template of a line (with this number in its file); None where that can't be done."""
    read = reads(line)
    if read is None:
        return None
    each, item = read
    at = line.find(item.payload) if item.payload else -1
    if at < 0 or (each.host and not venue_of(each.host)):
        return None
    payload = (at, at + len(item.payload))
    if type(item.reading) is Ignored and not each.own:
        made = _counted(line, each, item, payload)
    elif type(item.reading) is Trade:
        made = _logged(line, number, run, each, item, payload)
    else:
        return None
    return made if made is not None and _is_proven(made, line, number, run, reads) else None


def _counted(line: bytes, each: Frame, item: Item, payload: Span) -> RecordTemplate | None:
    numbers = DigitColumns()
    integers, decimals = numbers_of_message(item.payload)
    for first, end in integers:
        numbers.add((payload[0] + first, payload[0] + end))
    for first, end in decimals:
        numbers.add((payload[0] + first, payload[0] + end), is_free=True)
    if each.recv_ns is not None and _recv(line, each.recv_ns, payload, numbers) is None:
        return None
    return RecordTemplate(line, each, item, numbers)


def _logged(line: bytes, number: int, run: str, each: Frame, item: Item, payload: Span) -> RecordTemplate | None:
    trade = item.reading
    assert type(trade) is Trade
    spans = _spans(item.payload, trade, payload[0])
    numbers = DigitColumns()
    recv = _own_recv(line, numbers) if each.own else _recv(line, each.recv_ns, payload, numbers)
    head = _head(line, number, item.head, each.own, numbers)
    framed = item.tail
    start = framed.find(item.payload)
    if spans is None or recv is None or head is None or start < 0:
        return None
    _add(numbers, spans)
    made = RecordTemplate(line, each, item, numbers)
    made.trade_id, made.time = spans["id"], (spans["time"][0] + FIXED, spans["time"][1])
    width = made.time[1] - made.time[0]
    made.time_unit_us = 1000 if spans["time"][1] - spans["time"][0] == 13 else 1
    made.time_base_us = int(line[spans["time"][0] : made.time[0]] + b"0" * width) * made.time_unit_us
    begin = b'{"run":"%b","seq":' % run.encode()
    made.parts = [
        begin,
        SEQ,
        b',"recv":',
        *recv,
        b",",
        *head,
        framed[:start],
        payload,
        framed[start + len(item.payload) :],
    ]
    return made


def _spans(payload: bytes, trade: Trade, at: int) -> dict[str, Span] | None:
    """By name, where the numbers of a trade are in its line; `time` is that of the trade."""
    spans: dict[str, Span] | None = None
    if payload[:1] == b"{" and (found := VENUES.get(trade.venue, UNNAMED).numbers_of(payload, trade.channel)):
        spans = {"time" if name == "time_ms" else name: span for name, span in found.spans.items()}
    spans = spans or numbers_of_row(payload)
    if spans is None or not {"id", "price", "qty", "time"} <= spans.keys():
        return None
    return {name: (at + first, at + end) for name, (first, end) in spans.items()}


def _add(numbers: DigitColumns, spans: dict[str, Span]) -> None:
    """Let the numbers of a trade vary. Whether times stay in the years that are taken is seen by the lines that are
    tried."""
    for name, (first, end) in spans.items():
        if name in ("time", "event_ms"):
            numbers.add((first + FIXED, end), is_free=True)
        else:
            numbers.add((first, end), is_free=name.endswith("_fraction"))
    for name in ("price", "qty"):
        numbers.amounts.append(
            [column for part in (name, name + "_fraction") for column in range(*spans.get(part, (0, 0)))]
        )
    if "first" in spans:
        numbers.order.append((spans["first"], spans["last"]))


def _recv(line: bytes, recv_ns: int | None, payload: Span, numbers: DigitColumns) -> list[Part] | None:
    """The receive time as parts of the record; its digits vary. None where it isn't made of digits of the line."""
    if recv_ns is None:
        return [b"null"]
    found = receive_time(line, payload, recv_ns)
    if found is None or line[found[0][0]] not in b"12345678":
        return None
    (first, end), (fraction, fraction_end) = found
    kept = min(fraction_end, fraction + 19 - (end - first))
    numbers.add((first + 1, end), is_free=True)
    numbers.add((fraction, fraction_end), is_free=True)
    return [(first, end), (fraction, kept), b"0" * (19 - (end - first) - (kept - fraction))]


def _own_recv(line: bytes, numbers: DigitColumns) -> list[Part] | None:
    """As `_recv`, of a record of a log of ours, whose seq varies too."""
    found = _OWN.match(line.lstrip())
    if found is None or line[:1] != b"{":
        return None
    numbers.add(found.span(1))
    if found[2] is None:
        return [b"null"]
    first, end = found.span(2)
    if end - first == 19:
        numbers.add((first + 1, end), is_free=True)
    else:
        numbers.add((first, end))
    return [(first, end)]


def _head(line: bytes, number: int, head: bytes, is_own: bool, numbers: DigitColumns) -> list[Part] | None:
    """Everything between receive time and payload, as parts of the record."""
    if is_own and (found := _OWN_SOURCE.search(line)):
        source = found[0]
        if not head.endswith(source):
            return None
        first, end = found.span(1)
        numbers.add((first, end), is_free=True)
        return [head[: len(head) - len(source) + first - found.start()], (first, end), b'",']
    number_text = b'%d",' % number
    if head.endswith(b":" + number_text):
        return [head[: -len(number_text)], LINE, b'",']
    return [head] if is_own else None


def _is_proven(made: RecordTemplate, line: bytes, number: int, run: str, reads: Reads) -> bool:
    """Whether made-up lines, and the line itself, are read as by the plain way."""
    rng = random.Random(line)
    for probe in range(PROBES):
        tried = bytearray(line)
        for first, end in made._numbers.spans if probe else ():
            width = end - first
            tried[first:end] = (
                b"0" * width
                if probe == 1
                else b"9" * width
                if probe == 2
                else rng.randbytes(width).translate(_AS_DIGITS)
            )
        for column in made._numbers.leading:
            tried[column] = max(tried[column], ZERO + 1)
        for columns in made._numbers.amounts:
            tried[columns[-1]] = max(tried[columns[-1]], ZERO + 1)
        for lesser, greater in made._numbers.order:
            if int(tried[slice(*lesser)]) > int(tried[slice(*greater)]):
                tried[slice(*lesser)] = b"1".ljust(lesser[1] - lesser[0], b"0")
        if not _reads_alike(made, bytes(tried), number, run, reads):
            return False
    return True


def _reads_alike(made: RecordTemplate, tried: bytes, number: int, run: str, reads: Reads) -> bool:
    table = np.frombuffer(tried, np.uint8).reshape(1, -1)
    fits, digits = made.fitting(table)
    read = reads(tried)
    if not fits.all() or read is None:
        return False
    item = read[1]
    reading = item.reading
    if type(reading) is not type(made.reading):
        return False
    if type(reading) is Ignored or type(reading) is not Trade:
        return reading == made.reading
    ours = made.records(table, digits_of(np.array([77]), 2), digits_of(np.array([number]), len(str(number)))).tobytes()
    recv = b"null" if item.recv_ns is None else b"%d" % item.recv_ns
    plain = b'{"run":"%b","seq":77,"recv":%b,%b%b' % (run.encode(), recv, item.head, item.tail)
    assert type(made.reading) is Trade
    same = (reading.venue, reading.symbol, reading.channel) == (
        made.reading.venue,
        made.reading.symbol,
        made.reading.channel,
    )
    numbers = int(number_in(digits, made.trade_id)[0]), int(made.times_us(digits)[0])
    return ours == plain and same and item.symbol == made.symbol and numbers == (reading.id, reading.trade_time_us)

"""Lines that differ in nothing but the digits of their numbers, read many at a time.

Rules: a line whose bytes are those of one that was read as a trade, but for digits in the places of its numbers, is
read as that one was, with other numbers. So a template is made of a line that was read strictly, and knows nothing of
JSON or of a venue: whatever hands it over knows where its numbers are. A number with a leading zero, a time out of
range, a price or quantity of nothing: such a line doesn't fit, and is read as if there was no template. The content
hash is CRC32 of the same text as `records.content`; as CRC32 is affine over bits, each digit adds its part by itself.

Source of the method: X = line XOR template has values of at most 9 in the places of digits and 0 elsewhere; there X is
the digits.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tradecap.market.numbers import Numbers, Span
from tradecap.market.records import Envelope, Trade

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

NUMBERS: Final = re.compile(rb'(\d{1,18}),"recv":(?:null|(\d{1,19})),')
NUMBERS_AT: Final = 52
"""Where a record's seq begins."""
SOURCE: Final = re.compile(rb'"src":"[^"\\]*?(\d{1,18})","data":\{')
FREE: Final = ("price_fraction", "qty_fraction", "source")
"""Digits that may begin with a zero though there are several."""
AMOUNTS: Final = (("price", "price_fraction"), ("qty", "qty_fraction"))
PLACES: Final = 8
"""Decimal places of a price and a quantity."""
SAMPLED: Final = 4
MOST_NS: Final = 9 * 10**18


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What lines that fit hold, an element a line. content: as `records.content_hash`. recv_ns: 0 where it isn't
    known."""

    seq: Ints
    recv_ns: Ints
    trade_id: Ints
    time_ms: Ints
    event_ms: Ints
    content: Words


class Template:
    """A line, and where its numbers are. envelope and trade: what it was read as, which the lines that fit share but
    for their numbers."""

    def __init__(
        self, line: bytes, envelope: Envelope, trade: Trade, spans: Mapping[str, Span], numbers: Numbers
    ) -> None:
        self.envelope, self.trade = envelope, trade
        self._spans = spans
        self._times = numbers.since_ms, numbers.until_ms
        self._zeroed = np.frombuffer(line, np.uint8).copy()
        self._limit = np.zeros(len(line), np.uint8)
        for first, end in spans.values():
            self._zeroed[first:end] = ord("0")
            self._limit[first:end] = 9
        self._firsts = np.array(
            [first for name, (first, end) in spans.items() if name not in FREE and end - first > 1], np.int64
        )
        self._hashes: dict[tuple[int, int], _ContentHash] = {}
        self._columns = NumberColumns({name: span for name, span in spans.items() if name in _READ})

    def fitting(self, lines: Bytes, rows: Ints) -> tuple[Ints, Ints, Columns]:
        """The rows of `lines` that fit, the others, and what those that fit hold.

        lines: an array with a line of this length in each row.
        """
        digits = lines[rows] ^ self._zeroed
        fits = (digits <= self._limit).all(axis=1)
        fits &= (digits[:, self._firsts] != 0).all(axis=1)
        if not fits.any():
            return rows[:0], rows, _NONE
        digits = digits[fits]
        values = self._columns.read(digits)
        valid = self._is_valid(digits, values)
        if not valid.all():
            fits[fits] = valid
            digits, values = digits[valid], {name: column[valid] for name, column in values.items()}
        zero = np.zeros(len(digits), np.int64)
        return (
            rows[fits],
            rows[~fits],
            Columns(
                seq=values["seq"],
                recv_ns=values.get("recv", zero),
                trade_id=values["id"],
                time_ms=values["time_ms"],
                event_ms=values["event_ms"],
                content=self._content(digits),
            ),
        )

    def _is_valid(self, digits: Bytes, values: Mapping[str, Ints]) -> Mask:
        since_ms, until_ms = self._times
        fits = np.ones(len(digits), np.bool_)
        for name in ("event_ms", "time_ms"):
            fits &= (values[name] >= since_ms) & (values[name] < until_ms)
        for whole, fraction in AMOUNTS:
            fits &= digits[:, self._spans[whole][0] : self._spans[whole][1]].any(axis=1) | digits[
                :, slice(*self._spans[fraction])
            ].any(axis=1)
        if "first" in values:
            fits &= values["first"] <= values["last"]
        if "recv" in self._spans and self._spans["recv"][1] - self._spans["recv"][0] == 19:
            fits &= digits[:, self._spans["recv"][0]] < MOST_NS // 10**18
        return fits

    def _content(self, digits: Bytes) -> Words:
        """The hash of each line's content; lines whose price and quantity have as many digits are hashed at once."""
        leading = [
            np.argmax(digits[:, [*range(*self._spans[whole]), *range(*self._spans[part])]] != 0, axis=1)
            for whole, part in AMOUNTS
        ]
        found = np.zeros(len(digits), np.uint64)
        for kind in np.unique(leading[0] * 64 + leading[1]):
            skipped = int(kind) // 64, int(kind) % 64
            rows = (leading[0] == skipped[0]) & (leading[1] == skipped[1])
            if skipped not in self._hashes:
                self._hashes[skipped] = _ContentHash(self._spans, skipped, self.trade.is_buyer_maker)
            found[rows] = self._hashes[skipped].of(digits[rows])
        return found


_READ: Final = ("seq", "recv", "id", "first", "last", "time_ms", "event_ms")
_EMPTY: Final = np.zeros(0, np.int64)
_NONE: Final = Columns(
    seq=_EMPTY, recv_ns=_EMPTY, trade_id=_EMPTY, time_ms=_EMPTY, event_ms=_EMPTY, content=np.zeros(0, np.uint64)
)
FEW: Final = 512
"""Lines of which all numbers are read in one product: of more, one number after the other is as quick."""
EXACT: Final = 15
"""Digits of a number that a float holds exactly."""


class NumberColumns:
    """Reads the numbers of lines from their digits."""

    def __init__(self, spans: Mapping[str, Span]) -> None:
        self._spans = spans
        self._columns = np.array([column for span in spans.values() for column in range(*span)], np.int64)
        self._weights = np.zeros((len(self._columns), 2 * len(spans)))
        at = 0
        for n, (first, end) in enumerate(spans.values()):
            for power in reversed(range(end - first)):
                self._weights[at, 2 * n + (power >= EXACT)] = 10.0 ** (power % EXACT)
                at += 1

    def read(self, digits: Bytes) -> dict[str, Ints]:
        """Each number of each line, by its name."""
        if len(digits) > FEW:
            return {name: _number(digits, span) for name, span in self._spans.items()}
        halves = (digits[:, self._columns] @ self._weights).astype(np.int64)
        return {name: halves[:, 2 * n] + halves[:, 2 * n + 1] * 10**EXACT for n, name in enumerate(self._spans)}


_DIGIT_PARTS: Final = np.array(
    [
        [zlib.crc32(bytes([digit]) + bytes(behind)) ^ zlib.crc32(bytes(behind + 1)) for digit in range(10)]
        for behind in range(128)
    ],
    np.uint32,
)
"""What a digit instead of 0 adds to the CRC32 of a text, by how many bytes are behind it."""


class _ContentHash:
    """The text of `records.content` with zeros for its digits, and what each digit in each place adds to its CRC32."""

    def __init__(self, spans: Mapping[str, Span], skipped: tuple[int, int], is_buyer_maker: bool) -> None:
        places: list[int | bytes] = []
        for (whole, fraction), skip in zip(AMOUNTS, skipped, strict=True):
            columns = [*range(*spans[whole]), *range(*spans[fraction])]
            places += [*columns[skip:], b"0" * (PLACES - (spans[fraction][1] - spans[fraction][0])), b"|"]
        places += [*range(*spans["time_ms"]), b"|1|" if is_buyer_maker else b"|0|"]
        places += [*range(*spans.get("first", spans["id"])), b"|", *range(*spans.get("last", spans["id"]))]
        text = b"".join(b"0" if isinstance(each, int) else each for each in places)
        at, self._columns, behind = 0, [], []
        for each in places:
            if isinstance(each, int):
                self._columns.append(each)
                behind.append(len(text) - 1 - at)
            at += 1 if isinstance(each, int) else len(each)
        self._base = np.uint64(zlib.crc32(text))
        self._parts = _DIGIT_PARTS[behind].ravel()
        self._offsets = (np.arange(len(behind)) * 10).astype(np.uint16)

    def of(self, digits: Bytes) -> Words:
        """The hash of each line's content."""
        each = self._parts[digits[:, self._columns] + self._offsets]
        hashes: Words = np.bitwise_xor.reduce(each, axis=1).astype(np.uint64) ^ self._base
        return hashes


def shapes(lines: Bytes) -> Words:
    """A number for each line, the same for lines that differ in digits alone; others have another one, as a rule.

    lines: an array with one in each row, all of one length. Only every SAMPLED-th byte is looked at.
    """
    sample = lines[:, NUMBERS_AT::SAMPLED]
    words = np.zeros((len(lines), -(-sample.shape[1] // 8) * 8), np.uint8)
    words[:, : sample.shape[1]] = np.where(sample - ord("0") < 10, ord("0"), sample)
    weights = np.random.default_rng(1).integers(0, 2**63, words.shape[1] // 8, np.uint64) * 2 + 1
    mixed: Words = (words.view(np.uint64) * weights).sum(axis=1)
    return mixed


def _number(digits: Bytes, span: Span) -> Ints:
    value = np.zeros(len(digits), np.int64)
    for column in range(*span):
        value *= 10
        value += digits[:, column]
    return value


def template_of(line: bytes, envelope: Envelope, trade: Trade, numbers: Numbers | None) -> Template | None:
    """Make a template of a line that was read as a trade; None where its numbers aren't all at these places."""
    data_at = len(line) - 1 - len(envelope.data)
    found = NUMBERS.match(line, NUMBERS_AT)
    if numbers is None or found is None or not envelope.data or line[data_at:-1] != bytes(envelope.data):
        return None
    spans: dict[str, Span] = {"seq": found.span(1)}
    if found[2] is not None:
        spans["recv"] = found.span(2)
    if (source := SOURCE.search(line, found.end(), data_at + 1)) and source.end() == data_at + 1:
        spans["source"] = source.span(1)
    spans |= {name: (data_at + first, data_at + end) for name, (first, end) in numbers.spans.items()}
    return Template(line, envelope, trade, spans, numbers) if _holds_the_numbers(line, spans, envelope, trade) else None


def _holds_the_numbers(line: bytes, spans: Mapping[str, Span], envelope: Envelope, trade: Trade) -> bool:
    """Whether the digits at these places are the numbers that were read."""
    texts: dict[str, Any] = {name: line[first:end] for name, (first, end) in spans.items()}
    if not all(text.isdigit() for text in texts.values()):
        return False
    amounts = [int(texts[whole] + texts[part].ljust(PLACES, b"0")) for whole, part in AMOUNTS]
    return (
        int(texts["seq"]) == envelope.seq
        and (int(texts["recv"]) if "recv" in texts else None) == envelope.recv
        and int(texts["id"]) == trade.id
        and int(texts.get("first", texts["id"])) == trade.first_id
        and int(texts.get("last", texts["id"])) == trade.last_id
        and int(texts["time_ms"]) * 1000 == trade.trade_time_us
        and int(texts["event_ms"]) * 1000 == trade.event_time_us
        and amounts == [trade.price, trade.qty]
    )

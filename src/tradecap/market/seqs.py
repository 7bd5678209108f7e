"""Numbers of the records of a run that have been seen, in whatever order they came.

Rules: a run numbers its records 0, 1, 2 ... and the partitions of a topic are read as they come; so hundreds of blocks
may have thousands of holes at a time. Numbers are kept as intervals; a block of 2^16 that has more than a few is a
bitmap of 8 KiB until it is finished. So memory depends on what is missing, block by block, and not on the order of
adding. Nothing here knows a log.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from tradecap.market.trade_ids import TradeIds

BITS: Final = 16
SIZE: Final = 1 << BITS
LOW: Final = SIZE - 1
FEW: Final = 32
"""Intervals in an unfinished block that take less room than a bitmap."""
Range = tuple[int, int]


class Bitmap:
    """Which numbers of one block are there, and how many."""

    __slots__ = ("bits", "count")

    def __init__(self, bits: int = 0) -> None:
        self.bits = bytearray(bits.to_bytes(SIZE // 8, "little"))
        self.count = bits.bit_count()

    @property
    def number(self) -> int:
        """Its bits as one number, the lowest first."""
        return int.from_bytes(self.bits, "little")

    def intervals(self, base: int) -> Iterator[Range]:
        """Its intervals, counted from base."""
        text, at = f"{self.number:0{SIZE}b}"[::-1], 0
        while at < SIZE and (first := text.find("1", at)) >= 0:
            after = text.find("0", first)
            at = SIZE if after < 0 else after
            yield base + first, base + at - 1


class Seqs:
    """A set of whole numbers that reads like `TradeIds`."""

    __slots__ = ("_bitmaps", "_ids", "_last", "_limit")

    def __init__(self, intervals: Iterable[Range] = ()) -> None:
        self._ids = TradeIds()  # of every block that has no bitmap
        self._bitmaps: dict[int, Bitmap] = {}
        self._last = -1
        self._limit = 2 * FEW
        for first, last in intervals:
            self.add_range(first, last)

    # ---- taking in ---------------------------------------------------------------------------------------------------

    def add(self, number: int) -> bool:
        """Take a number in; whether it is new."""
        if number == self._last + 1 and number and not self._bitmaps:
            # the last interval ends at _last: the usual case, in which every call counts
            self._ids._lasts[-1] = self._last = number
            return True
        if number > self._last:
            self._last = number
        bitmap = self._bitmaps.get(number >> BITS) if self._bitmaps else None
        if bitmap is None:
            is_new = self._ids.add(number)
            if is_new and self._ids.pieces > self._limit:
                self._fold()
            return is_new
        at, bit = (number & LOW) >> 3, 1 << (number & 7)
        if bitmap.bits[at] & bit:
            return False
        bitmap.bits[at] |= bit
        bitmap.count += 1
        if bitmap.count == SIZE:
            self._finish(number >> BITS)
        return True

    def add_range(self, first: int, last: int) -> None:
        """Take all of [first, last] in."""
        self._last = max(self._last, last)
        touched = [block for block in self._bitmaps if first >> BITS <= block <= last >> BITS]
        at = first
        for block in sorted(touched):
            begin, end = max(first, block << BITS), min(last, block << BITS | LOW)
            if at < begin:
                self._ids.add_range(at, begin - 1)
            self._bitmaps[block] = Bitmap(self._bitmaps[block].number | _bits([(begin, end)]))
            at = end + 1
            if self._bitmaps[block].count == SIZE:
                self._finish(block)
        if at <= last:
            self._ids.add_range(at, last)
        if self._ids.pieces > self._limit:
            self._fold()

    def add_bits(self, block: int, bits: int) -> None:
        """Take in numbers of a block of 2^16: bit n of bits stands for number n of it."""
        if bits:
            taken = Seqs()
            taken._bitmaps[block] = Bitmap(bits)
            self.update(taken)

    def update(self, other: "Seqs") -> None:
        """Take in all of another."""
        for block, bitmap in other._bitmaps.items():
            self._last = max(self._last, (block << BITS) + bitmap.number.bit_length() - 1)
            both = Bitmap(self._of(block) | bitmap.number)
            if block not in self._bitmaps:
                self._ids = _without(self._ids, {block})
            self._bitmaps[block] = both
            if both.count == SIZE:
                self._finish(block)
        for first, last in other._ids:
            self.add_range(first, last)

    def _finish(self, block: int) -> None:
        del self._bitmaps[block]
        self._ids.add_range(block << BITS, block << BITS | LOW)

    def _fold(self) -> None:
        """Make bitmaps of the blocks that have too many intervals. Numbers that are far from each other have few in a
        block, and stay."""
        pieces: dict[int, int] = {}
        for first, last in self._ids:
            for block in {first >> BITS, last >> BITS}:
                pieces[block] = pieces.get(block, 0) + 1
        folded = {block for block, count in pieces.items() if count > FEW}
        for block in folded:
            self._bitmaps[block] = Bitmap(self._of(block))
        self._ids = _without(self._ids, folded)
        self._limit = max(2 * FEW, 2 * self._ids.pieces)

    # ---- asking ------------------------------------------------------------------------------------------------------

    def meets(self, other: "Seqs") -> bool:
        """Whether any number is in both."""
        if other.first is None or other.first > self._last:
            return False
        if any(self._of(block) & bitmap.number for block, bitmap in other._bitmaps.items()):
            return True
        return any(self.within(first, last) for first, last in other._ids)

    def _of(self, block: int) -> int:
        """What is there of a block, as bits."""
        bitmap = self._bitmaps.get(block)
        return bitmap.number if bitmap else _bits(self._ids.within(block << BITS, block << BITS | LOW))

    def count_in(self, block: int) -> int:
        """How many numbers of a block of 2^16 are there."""
        bitmap = self._bitmaps.get(block)
        return (
            bitmap.count
            if bitmap
            else sum(last - first + 1 for first, last in self._ids.within(block << BITS, block << BITS | LOW))
        )

    def __contains__(self, number: int) -> bool:
        bitmap = self._bitmaps.get(number >> BITS)
        if bitmap is None:
            return number in self._ids
        return bool(bitmap.bits[(number & LOW) >> 3] & 1 << (number & 7))

    def __len__(self) -> int:
        return len(self._ids) + sum(bitmap.count for bitmap in self._bitmaps.values())

    def __iter__(self) -> Iterator[Range]:
        """Its intervals, ascending."""
        return iter(self.within(0, self._last) if self._bitmaps else self._ids.intervals())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seqs) and self.intervals() == other.intervals()

    __hash__ = None  # type: ignore[assignment]  # it changes: no key of a dict

    def __repr__(self) -> str:
        return f"Seqs({self.intervals()})"

    @property
    def objects(self) -> int:
        """What it takes memory for: intervals and bitmaps."""
        return self._ids.pieces + len(self._bitmaps)

    @property
    def first(self) -> int | None:
        """The smallest number, None when empty."""
        return next((first for first, _ in self), None)

    @property
    def last(self) -> int | None:
        """The greatest number, None when empty."""
        return None if self._last < 0 else self._last

    def intervals(self) -> list[Range]:
        """All intervals [first, last], ascending."""
        return list(iter(self))

    def within(self, first: int, last: int) -> list[Range]:
        """The parts of the intervals that lie in [first, last]."""
        if not self._bitmaps:
            return self._ids.within(first, last)
        blocks = [block for block in self._bitmaps if first >> BITS <= block <= last >> BITS]
        pieces = [piece for block in blocks for piece in self._bitmaps[block].intervals(block << BITS)]
        pieces = [(max(a, first), min(b, last)) for a, b in pieces if a <= last and b >= first]
        return _joined(sorted([*pieces, *self._ids.within(first, last)]))

    def gaps_within(self, first: int, last: int) -> list[Range]:
        """The closed ranges of [first, last] that are missing here."""
        missing, at = [], first
        for a, b in self.within(first, last):
            if a > at:
                missing.append((at, a - 1))
            at = b + 1
        return [*missing, (at, last)] if at <= last else missing


def _bits(intervals: Iterable[Range]) -> int:
    """Intervals of one block as bits."""
    bits = 0
    for first, last in intervals:
        bits |= (1 << (last - first + 1)) - 1 << (first & LOW)
    return bits


def _joined(pieces: Iterable[Range]) -> list[Range]:
    """Sorted pieces that don't overlap, those that touch made one."""
    joined: list[Range] = []
    for first, last in pieces:
        if joined and joined[-1][1] + 1 == first:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def _without(ids: TradeIds, blocks: set[int]) -> TradeIds:
    """Ids that are not in some blocks."""
    kept = TradeIds()
    for first, last in ids:
        at = first
        for block in sorted(block for block in blocks if first >> BITS <= block <= last >> BITS):
            if at < block << BITS:
                kept.add_range(at, (block << BITS) - 1)
            at = (block << BITS | LOW) + 1
        if at <= last:
            kept.add_range(at, last)
    return kept

"""Trade ids seen for one series, as closed intervals.

Rules: ids are dense on Binance spot (observed: 14 515 trades, every step +1), so a healthy capture is one interval and
10^8 ids cost two integers. `add` is O(log n) in intervals, not in ids; appending the next id touches nothing else.
Nothing here knows a clock, a file or a venue.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class TradeIds:
    """A set of whole numbers kept as intervals [first, last], sorted, never touching each other."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in intervals:
            self.add_range(first, last)

    def add(self, number: int) -> bool:
        """Take a number in; whether it is new."""
        lasts = self._lasts
        if lasts and number == lasts[-1] + 1:
            lasts[-1] = number
            return True
        if number in self:
            return False
        self.add_range(number, number)
        return True

    def add_range(self, first: int, last: int) -> int:
        """Take all of [first, last] in; how many of them are new. Raises ValueError where last is before first."""
        if last < first:
            raise ValueError(f"{last} is before {first}")
        # the intervals that overlap [first, last] or touch it
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        known = sum(self._lasts[i] - self._firsts[i] + 1 for i in range(low, high))
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]
        return last - first + 1 - known

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __len__(self) -> int:
        """How many numbers, not intervals."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TradeIds) and self._firsts == other._firsts and self._lasts == other._lasts

    __hash__ = None  # type: ignore[assignment]  # it changes: no key of a dict

    def __repr__(self) -> str:
        return f"TradeIds({self.intervals()})"

    @property
    def pieces(self) -> int:
        """How many intervals."""
        return len(self._firsts)

    @property
    def first(self) -> int | None:
        """The smallest number, None when empty."""
        return self._firsts[0] if self._firsts else None

    @property
    def last(self) -> int | None:
        """The greatest number, None when empty."""
        return self._lasts[-1] if self._lasts else None

    def intervals(self) -> list[tuple[int, int]]:
        """All intervals [first, last], ascending."""
        return list(iter(self))  # not list(self): that would make room for as many elements as there are ids

    def gaps(self) -> list[tuple[int, int]]:
        """The closed ranges missing between first and last."""
        return [(last + 1, first - 1) for last, first in zip(self._lasts, self._firsts[1:], strict=False)]

    def gaps_within(self, first: int, last: int) -> list[tuple[int, int]]:
        """The closed ranges of [first, last] that are missing here."""
        missing, at = [], first
        for i in range(bisect_left(self._lasts, first), bisect_right(self._firsts, last)):
            if self._firsts[i] > at:
                missing.append((at, self._firsts[i] - 1))
            at = self._lasts[i] + 1
        if at <= last:
            missing.append((at, last))
        return missing

    def within(self, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of the intervals that lie in [first, last]."""
        low, high = bisect_left(self._lasts, first), bisect_right(self._firsts, last)
        if last < first:
            return []
        return [(max(first, self._firsts[i]), min(last, self._lasts[i])) for i in range(low, high)]

    def union(self, other: "TradeIds") -> "TradeIds":
        """A new set of what either holds."""
        both = TradeIds(self)
        for first, last in other:
            both.add_range(first, last)
        return both

    def to_list(self) -> list[list[int]]:
        """As [[first, last], ...], to write down."""
        return [[first, last] for first, last in self]

    @classmethod
    def from_list(cls, intervals: Iterable[Iterable[int]]) -> "TradeIds":
        """What `to_list` gave. Raises ValueError for anything else."""
        return cls((first, last) for first, last in intervals)

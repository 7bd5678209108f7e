"""The book of ids of one captured series: what of all that arrives is new, and which ids passed by unseen.

Rules: an id is logged once a run, whichever connection or REST answer brings it again; a copy is compared by content, and one that differs is
logged too. A copy of an id so old that its content isn't remembered can't be compared: it is logged. An id is missing when every live connection
has passed it, or after WAIT_S; then it is a gap, and stays open until the id arrives by whatever way. Ids before the first one of a run are none
of its business, unless it is told (`expect_after`). Times come from outside, in seconds. Nothing here knows a clock, a log or a venue.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from tradecap.market.records import Trade, content
from tradecap.market.trade_ids import TradeIds

WAIT_S: Final = 2.0
"""How long an id that some connection skipped may still come by another."""
NEW: Final = "new"
COPY: Final = "copy"
CONFLICT: Final = "conflict"
FORGOTTEN: Final = "forgotten"
Range = tuple[int, int]


@dataclass
class _Skipped:
    """Ids that were jumped over: nobody knows yet whether they are lost."""

    first: int
    last: int
    since_s: float


class IdBook:
    """What a run knows about the ids of one series. remembered: of how many newest ids the content is kept, to compare copies."""

    def __init__(self, remembered: int = 4096, now_s: float = 0.0) -> None:
        self.heard_s = now_s
        """When a connection brought something last."""
        self.seen = TradeIds()
        self.open = TradeIds()
        """Ids of declared gaps that haven't come yet."""
        self.passed: dict[int, int] = {}
        """The greatest id that each connection has brought."""
        self.newest: Trade | None = None
        self.expected = -1
        """The id after the greatest one; -1 before the first."""
        self.copies = self.conflicts = 0
        self._floor = 0
        self._remembered = remembered
        self._slots: list[Trade | None] = []
        self._skipped: list[_Skipped] = []

    def expect_after(self, last_id: int) -> None:
        """An earlier run ended with this id: what follows it is missing until it comes."""
        self.expected = self._floor = last_id + 1

    def take(self, trade: Trade, connection: int, now_s: float) -> str:
        """COPY is all that isn't to be logged; else NEW, CONFLICT, or FORGOTTEN (a copy of what can't be compared). connection 0: REST."""
        number = trade.id
        if connection:
            self.heard_s = now_s
        if number == self.expected:
            self.expected = number + 1
            self.seen.add(number)
            self.newest = trade
        elif connection and self.newest is None and not 0 <= self.expected < number:
            # the first id of all, or one below what an earlier run ended with: the venue numbers anew
            self._floor = number
            self.expected = number + 1
            self.seen.add(number)
            self.newest = trade
        elif number > self.expected:
            self._skipped.append(_Skipped(self.expected, number - 1, now_s))
            self.expected = number + 1
            self.seen.add(number)
            self.newest = trade
        elif not self.seen.add(number):
            return self._again(trade, connection)
        else:
            self._came_late(number, now_s)
        if connection and number > self.passed.get(connection, -1):
            self.passed[connection] = number
        self._remember(trade, connection)
        return NEW

    def _came_late(self, number: int, now_s: float) -> None:
        if number in self.open:
            self.open = without(self.open, number, number)
        elif number < self._floor:
            # from before the first one: another connection is behind
            if number + 1 < self._floor:
                self._skipped.append(_Skipped(number + 1, self._floor - 1, now_s))
            self._floor = number

    def _again(self, trade: Trade, connection: int) -> str:
        if connection and trade.id > self.passed.get(connection, -1):
            self.passed[connection] = trade.id
        known = self._slots[trade.id % self._remembered] if self._slots else None
        if known is None or known.id != trade.id:
            return FORGOTTEN
        if content(known) == content(trade):
            self.copies += 1
            return COPY
        self.conflicts += 1
        return CONFLICT

    def _remember(self, trade: Trade, connection: int) -> None:
        if not self._slots:
            self._slots = [None] * self._remembered
        at = trade.id % self._remembered
        known = self._slots[at]
        if connection or known is None or known.id <= trade.id:  # a repaired one doesn't displace one whose copies are on their way
            self._slots[at] = trade

    def leave(self, connection: int) -> None:
        """A connection is gone."""
        self.passed.pop(connection, None)

    @property
    def is_waiting(self) -> bool:
        """Whether ids were skipped that are no gap yet."""
        return bool(self._skipped)

    def declare(self, live: Collection[int], now_s: float, *, at_once: bool = False) -> list[Range]:
        """The gaps that are certain by now, ascending; they are open from here on."""
        declared: list[Range] = []
        waiting: list[_Skipped] = []
        for skipped in self._skipped:
            if at_once or now_s - skipped.since_s >= WAIT_S or self._is_passed(skipped.last, live):
                declared += self.seen.gaps_within(skipped.first, skipped.last)
            else:
                waiting.append(skipped)
        self._skipped = waiting
        for first, last in declared:
            self.open.add_range(first, last)
        return sorted(declared)

    def _is_passed(self, number: int, live: Collection[int]) -> bool:
        return all(self.passed.get(connection, -1) > number for connection in live)

    def reopen(self, gaps: Collection[Range]) -> None:
        """Gaps that an earlier run left open."""
        for first, last in gaps:
            self.open.add_range(first, last)

    def missing_until(self, last_id: int, now_s: float) -> None:
        """The venue says that it is at this id: what wasn't seen up to it was missed."""
        if 0 <= self.expected <= last_id:
            self._skipped.append(_Skipped(self.expected, last_id, now_s - WAIT_S))
            self.expected = last_id + 1

    @property
    def proven(self) -> int | None:
        """The id up to which none is missing, from the beginning of the run (or the end of the one before it) on."""
        if self.newest is None:
            return None
        missing = self.seen.gaps_within(self._floor, self.expected - 1)
        return missing[0][0] - 1 if missing else self.expected - 1


def without(ids: TradeIds, first: int, last: int) -> TradeIds:
    """ids without [first, last]."""
    left = TradeIds()
    for low, high in ids:
        if low < first:
            left.add_range(low, min(high, first - 1))
        if high > last:
            left.add_range(max(low, last + 1), high)
    return left


def holes(known: TradeIds, within: int) -> list[Range]:
    """What is missing among the newest `within` ids of a series in a log; a hole that begins before them is older than that, and left."""
    if known.first is None or known.last is None:
        return []
    floor = max(known.first, known.last - within)
    return [gap for gap in known.gaps_within(floor, known.last) if gap[0] > floor]

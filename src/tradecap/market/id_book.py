"""The book of ids of one captured series: what of all that arrives is new, and which ids passed by unseen.

Rules: an id is logged once a run, whichever connection or REST answer brings it again; a copy is compared by content,
and one that differs is logged too. A copy of an id so old that its content isn't remembered can't be compared: it is
logged. An id is missing when every live connection has passed it, or after WAIT_S; then it is a gap, and stays open
until the id arrives by whatever way. Ids before the first one of a run are not its business, unless `expect_after` sets
where to begin. Times come from outside, in seconds. Nothing here knows a clock, a log or a venue.

One odd id moves nothing. An id is far when it is more than `near` (NEAR, or --repair-max if that is greater) above the
expected id or below the first one. A far trade is logged like any other, and then its connection decides
(`market.strays`):
* it goes on near the old position: the far id is an outlier. It is marked, and counts neither as seen nor as the end of
  a gap;
* it brings CONFIRMED rising ids there: the series has moved, which is marked. What lies between is a gap after a jump
  forward (too long to be repaired), and nothing after a restart at lower ids. Gaps of the new position are found from
  its first id on;
* neither, until the run ends: an outlier, unless the run saw nothing else.
A position that was left is remembered, so a series that comes back to it goes on there, and what it missed meanwhile is
a gap. Only connections move a series; what REST brings fills gaps.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from tradecap.market.records import Trade, content
from tradecap.market.strays import CONFIRMED, Strays
from tradecap.market.trade_ids import TradeIds

WAIT_S: Final = 2.0
"""How long an id that some connection skipped may still come by another."""
NEAR: Final = 100_000
"""Ids this far apart still belong together, whatever --repair-max is."""
POSITIONS: Final = 16
"""Positions that are remembered for a series that comes back."""
NEW: Final = "new"
COPY: Final = "copy"
CONFLICT: Final = "conflict"
FORGOTTEN: Final = "forgotten"
OUTLIER: Final = "outlier"
MOVED: Final = "moved"
Range = tuple[int, int]


@dataclass
class _Skipped:
    """Ids that were jumped over: nobody knows yet whether they are lost."""

    first: int
    last: int
    since_s: float


@dataclass
class _FormerPosition:
    """A position the series isn't at now. is_live: this run has seen ids of it; is_sure: by more than one or two."""

    floor: int
    expected: int
    is_live: bool
    is_sure: bool


class Mark(NamedTuple):
    """Something odd about the ids: an OUTLIER, or MOVED to a first id; expected is the id that was due."""

    kind: str
    id: int
    expected: int


class IdBook:
    """What a run knows about the ids of one series.

    remembered: of how many newest ids the content is kept, to compare copies. near: see the module.
    """

    def __init__(self, remembered: int = 4096, now_s: float = 0.0, near: int = NEAR) -> None:
        self.heard_s = now_s
        """When a connection brought something last."""
        self.seen = TradeIds()
        self.open = TradeIds()
        """Ids of declared gaps that haven't come yet."""
        self.passed: dict[int, int] = {}
        """The greatest id that each connection has brought."""
        self.newest: Trade | None = None
        self.expected = -1
        """The id after the greatest one of the position; -1 before the first."""
        self.copies = self.conflicts = 0
        self.marks: list[Mark] = []
        """What is odd, for the log: whoever reads it empties it."""
        self.near = max(NEAR, near)
        self._floor = 0
        self._remembered = remembered
        self._slots: list[Trade | None] = []
        self._skipped: list[_Skipped] = []
        self._strays = Strays(self.near)
        self._others: list[_FormerPosition] = []
        self._is_sure = self._is_guess = self._has_moved = self._is_odd = False
        self._refused = -1

    def expect_after(self, last_id: int, *others: int, is_guess: bool = False) -> None:
        """An earlier run ended with this id: what follows it is missing until it comes. others: where else the log has
        a position.

        is_guess: it comes from the venue's REST alone, so the first id of a connection knows better.
        """
        self.expected = self._floor = last_id + 1
        self._is_sure, self._is_guess = not is_guess, is_guess
        self._others = [
            _FormerPosition(each + 1, each + 1, is_live=False, is_sure=True) for each in others[-POSITIONS:]
        ]

    def take(self, trade: Trade, connection: int, now_s: float) -> str:
        """COPY is all that isn't to be logged; else NEW, CONFLICT, or FORGOTTEN (a copy of what can't be compared).
        connection 0: REST."""
        number = trade.id
        if connection:
            self.heard_s = now_s
        if number == self.expected and not self._is_odd:
            self.expected = number + 1
            self.seen.add(number)
            self.newest = trade
        elif number in self.seen:
            if connection:
                self._contradict(connection)
            return self._again(trade, connection)
        elif not connection:
            self.seen.add(number)
            self._close(number)
        elif not self._is_here(number, connection):
            return self._stray(trade, connection, now_s)
        else:
            self._place(trade, now_s)
        if connection and number > self.passed.get(connection, -1):
            self.passed[connection] = number
        self._remember(trade, connection)
        return NEW

    def _place(self, trade: Trade, now_s: float) -> None:
        """Take in a new id that belongs to the position."""
        number = trade.id
        self.seen.add(number)
        if number in self.open:
            self._close(number)
        if 0 <= self.expected <= number:
            if self.expected < number:
                self._skipped.append(_Skipped(self.expected, number - 1, now_s))
        elif self.newest is None:
            # the first id of all, or one below what an earlier run ended with: the venue restarted its numbers
            self._floor = number
        else:
            if number < self._floor:
                # from before the first one: another connection is behind
                if number + 1 < self._floor:
                    self._skipped.append(_Skipped(number + 1, self._floor - 1, now_s))
                self._floor = number
            return
        self.expected = number + 1
        self.newest = trade

    def _close(self, number: int) -> None:
        if number in self.open:
            self.open = without(self.open, number, number)

    # ---- ids that are far ----

    def is_unseen(self, newest: int) -> bool:
        """Whether the newest id of the venue, by REST, went by unseen."""
        is_beyond = newest >= self.expected >= 0 or self.is_far(newest)
        return is_beyond and newest not in self.seen and self._strays.known(newest) is None

    def is_far(self, number: int) -> bool:
        """Whether an id doesn't belong to the position."""
        return self.expected >= 0 and not self._floor - self.near <= number <= self.expected + self.near

    def _is_here(self, number: int, connection: int) -> bool:
        """Whether an id belongs to the position, or to one that the series comes back to."""
        if self.is_far(number):
            back = next(
                (each for each in self._others if each.floor - self.near <= number <= each.expected + self.near), None
            )
            if back:
                self._leave_for(back)
                self.passed.pop(connection, None)
            elif self._is_guess and self.newest is None:
                self.expected, self._is_guess = -1, False
            else:
                return False
        self._contradict(connection)
        return True

    def _leave_for(self, there: _FormerPosition) -> None:
        """Another position becomes the one."""
        here = _FormerPosition(self._floor, self.expected, self.newest is not None, self._is_sure)
        self._others = [*(each for each in self._others if each is not there), here][-POSITIONS:]
        self._floor, self.expected, self._is_sure = there.floor, there.expected, there.is_sure
        self._has_moved = self._is_odd = True

    def _contradict(self, connection: int) -> None:
        if self._strays.is_waiting:
            self._mark(self._strays.contradict(connection))
            self._is_odd = self._has_moved or self._strays.is_waiting

    def _mark(self, outliers: Collection[int]) -> None:
        self.marks += [Mark(OUTLIER, number, self.expected) for number in outliers]

    def _stray(self, trade: Trade, connection: int, now_s: float) -> str:
        known = self._strays.known(trade.id)
        row, outliers = self._strays.add(trade, connection)
        self._mark(outliers)
        self._is_odd = True
        if row:
            self._move(row, connection, now_s)
        return self._compared(known, trade) if known else NEW

    def _move(self, row: list[Trade], connection: int, now_s: float) -> None:
        """The series is where these trades are."""
        first, expected = row[0].id, self.expected
        self._strays.forget(row)
        ids = self.seen.within(self._floor, expected - 1)
        if not self._is_sure and sum(last - low + 1 for low, last in ids) < CONFIRMED:
            self._give_up(ids)
        else:
            self.marks.append(Mark(MOVED, first, expected))
            self._leave_for(_FormerPosition(first, first, is_live=True, is_sure=True))
            if first > expected:
                self._skipped.append(_Skipped(expected, first - 1, now_s))
        self._floor = self.expected = first
        self._is_sure = self._has_moved = self._is_odd = True
        self.passed = {connection: row[-1].id}
        for trade in row:
            if self.seen.add(trade.id):
                self._place(trade, now_s)
                self._remember(trade, connection)

    def _give_up(self, ids: Collection[Range]) -> None:
        """One or two ids were taken for a position because they came first."""
        self._skipped = [each for each in self._skipped if not self._floor <= each.first < self.expected]
        for first, last in ids:
            self.seen = without(self.seen, first, last)
            self._mark(range(first, last + 1))
        if self.newest:
            self._strays.reject(self.newest)

    def settle(self, now_s: float) -> None:
        """The run ends: what is undecided is an outlier, unless there is nothing else."""
        row = self._strays.longest()
        if row and self.newest is None:
            self._move(row, 0, now_s)
        self._mark(self._strays.end())

    def _again(self, trade: Trade, connection: int) -> str:
        if connection and trade.id > self.passed.get(connection, -1):
            self.passed[connection] = trade.id
        known = self._slots[trade.id % self._remembered] if self._slots else None
        return FORGOTTEN if known is None or known.id != trade.id else self._compared(known, trade)

    def _compared(self, known: Trade, trade: Trade) -> str:
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
        # a repaired one doesn't displace one whose copies are on their way
        if connection or known is None or known.id <= trade.id:
            self._slots[at] = trade

    def leave(self, connection: int) -> None:
        """A connection is gone."""
        self.passed.pop(connection, None)
        self._strays.leave(connection)

    @property
    def is_waiting(self) -> bool:
        """Whether ids were skipped that aren't a gap yet."""
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
        """The venue's REST says that it is at this id: what wasn't seen up to it was missed. A far one is only marked:
        REST moves nothing."""
        if self.is_far(last_id):
            if last_id != self._refused:
                self._refused = last_id
                self._mark([last_id])
        elif 0 <= self.expected <= last_id:
            self._skipped.append(_Skipped(self.expected, last_id, now_s - WAIT_S))
            self.expected = last_id + 1

    @property
    def proven(self) -> int | None:
        """The id up to which none is missing, from the beginning of the run (or the end of the one before it) on."""
        if self.newest is None:
            return None
        floor = min([self._floor, *(each.floor for each in self._others if each.is_live)])
        missing = self.seen.gaps_within(floor, self.expected - 1)
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
    """What is missing among the newest `within` ids of a series in a log; a hole that begins before them is older than
    that, and left."""
    if known.first is None or known.last is None:
        return []
    floor = max(known.first, known.last - within)
    return [gap for gap in known.gaps_within(floor, known.last) if gap[0] > floor]


def stretches(known: TradeIds, near: int) -> list[TradeIds]:
    """The ids of a log in parts that are far from each other, ascending. Parts of one or two ids are outliers, unless
    there are no others."""
    parts: list[TradeIds] = []
    for first, last in known:
        if parts and first - (parts[-1].last or 0) <= near:
            parts[-1].add_range(first, last)
        else:
            parts.append(TradeIds([(first, last)]))
    return [part for part in parts if len(part) >= CONFIRMED] or parts

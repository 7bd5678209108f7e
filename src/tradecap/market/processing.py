"""What becomes of the trades of a partition, one by one: new, too late, repeated or in conflict, and which minutes they
change.

Rules: the first record of an id that comes is the trade, forever. Each series has a clock of its own, the second
greatest trade time that was seen: one wild time moves nothing. A minute is closed once that clock has left it, and
correctable until the clock is 60 minutes beyond it; a trade of an older minute is `too late` and changes no candle.
What is decided of a trade depends on the trades before it alone, never on how they were split into batches. A closed
minute is computed from all its trades, as `candles.every_interval` does it.

Memory: the trades of correctable minutes (about 61 of a series), and the ids as intervals. Nothing here knows a clock,
a file or a broker.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, NamedTuple, Self

from tradecap.market.bars import ANY, GrowingMinute
from tradecap.market.candles import MINUTE_S, Candle, with_neighbours
from tradecap.market.processing_state import (
    BLOCK_BITS,
    CHUNK,
    Delta,
    Key,
    SeriesKey,
    chunk_value,
    ids_value,
    key_of,
    read_chunk,
    read_ids,
    read_key,
    read_times,
    times_value,
)
from tradecap.market.records import Trade, content
from tradecap.market.trade_ids import TradeIds

CORRECTABLE_S: Final = 3600
EXTENDED: Final = 128
"""A chunk with fewer trades is written again with more in it; so small batches don't make a key each."""
_MINUTE_US: Final = MINUTE_S * 1_000_000


class Outcome(Enum):
    """What became of a trade."""

    NEW = "new"
    TOO_LATE = "too_late"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class Changed(NamedTuple):
    """A minute that isn't as it was at the last settlement."""

    series: SeriesKey
    bar: Candle
    closed: bool


class _KeptMinute:
    """A correctable minute: its bar, and how its trades are written down."""

    __slots__ = ("bar", "chunks", "fresh", "is_new", "tail")

    def __init__(self, bar: GrowingMinute) -> None:
        self.bar = bar
        self.chunks = 0
        """How many are written."""
        self.tail: list[Trade] = []
        """The trades in the last one."""
        self.fresh: list[Trade] = []
        """Those in none yet."""
        self.is_new = True
        """Whether the bar is of the first trade alone."""

    def grow(self, *, is_final: bool) -> None:
        """Bring the fresh trades into the bar. What is final doesn't depend on the order in which floats were added."""
        if is_final:
            self.bar.is_dirty = True
        else:
            for trade in self.fresh[self.is_new :]:
                self.bar.add(trade, ANY)
        self.is_new = False


class SeriesBook:
    """The ids and minutes of one series."""

    def __init__(self, series: SeriesKey) -> None:
        self.series = series
        self.ids = TradeIds()
        self._newest_us = self._second_us = 0
        self._floor_s = -CORRECTABLE_S
        self._minutes: dict[int, _KeptMinute] = {}
        self._where: dict[int, int] = {}
        self._edges: list[Candle] = []
        """The two newest minutes whose trades are forgotten: the later one may still become complete."""
        self._shown: dict[int, tuple[int, bool, bool]] = {}
        self._blocks: set[int] = set()

    def take(self, trade: Trade) -> Outcome:
        """Take in the next trade of the series."""
        held_s = self._where.get(trade.id)
        if held_s is not None and held_s >= self._floor_s:
            held = (self._minutes[held_s].bar.trades or {})[trade.id][0]
            return Outcome.DUPLICATE if content(held) == content(trade) else Outcome.CONFLICT
        if not self.ids.add(trade.id):
            return Outcome.DUPLICATE
        self._blocks.add(trade.id >> BLOCK_BITS)
        time_us = trade.trade_time_us
        if time_us > self._second_us:
            self._second_us, self._newest_us = min(time_us, self._newest_us), max(time_us, self._newest_us)
            self._floor_s = self._second_us // _MINUTE_US * MINUTE_S - CORRECTABLE_S
        at_s = time_us // _MINUTE_US * MINUTE_S
        if at_s < self._floor_s:
            return Outcome.TOO_LATE
        kept = self._minutes.get(at_s)
        if kept is None:
            kept = self._minutes[at_s] = _KeptMinute(GrowingMinute(trade, ANY))
        elif kept.bar.trades is not None:
            kept.bar.trades[trade.id] = trade, ANY
        kept.fresh.append(trade)
        self._where[trade.id] = at_s
        return Outcome.NEW

    def settle(self) -> tuple[list[Changed], list[Delta]]:
        """The minutes and the state that have changed since the last time."""
        if not self._blocks:
            return [], []  # each change begins with a new id
        changed = self._changed()
        deltas: list[Delta] = [
            (key_of(self.series, "ids", block), ids_value(self.ids, block)) for block in sorted(self._blocks)
        ]
        self._blocks.clear()
        deltas += self._forget()
        for at_s, kept in self._minutes.items():
            deltas += self._written(at_s, kept)
        deltas.append((key_of(self.series, "times"), times_value(self._newest_us, self._second_us, self._edges)))
        return changed, deltas

    def _changed(self) -> list[Changed]:
        closing_s = self._second_us // _MINUTE_US * MINUTE_S
        order = sorted(self._minutes)
        for at_s in order:
            kept = self._minutes[at_s]
            if kept.fresh or (at_s < closing_s and not self._shown.get(at_s, (0, False, False))[1]):
                kept.grow(is_final=at_s < closing_s)
        line = with_neighbours([*self._edges, *(self._minutes[at_s].bar.made() for at_s in order)])
        changed = []
        for bar in line[max(len(self._edges) - 1, 0) :]:
            closed = bar.open_time_s < closing_s
            state = bar.ids, closed, bar.complete
            if self._shown.get(bar.open_time_s) != state:
                self._shown[bar.open_time_s] = state
                changed.append(Changed(self.series, bar, closed))
        return changed

    def _forget(self) -> list[Delta]:
        """Drop the trades of minutes that can't be corrected any more."""
        gone: list[Delta] = []
        for at_s in sorted(at_s for at_s in self._minutes if at_s < self._floor_s):
            kept = self._minutes.pop(at_s)
            self._edges = [*self._edges[-1:], kept.bar.made()]
            for trade_id in kept.bar.settle():
                del self._where[trade_id]
            gone += [(key_of(self.series, "trades", at_s, chunk), None) for chunk in range(kept.chunks)]
        edge_s = {edge.open_time_s for edge in self._edges[-1:]}
        self._shown = {at_s: state for at_s, state in self._shown.items() if at_s in self._minutes or at_s in edge_s}
        return gone

    def _written(self, at_s: int, kept: _KeptMinute) -> list[Delta]:
        """The chunks that hold the fresh trades of a minute."""
        deltas: list[Delta] = []
        while kept.fresh:
            if not kept.chunks or len(kept.tail) >= EXTENDED:
                kept.chunks, kept.tail = kept.chunks + 1, []
            room = CHUNK - len(kept.tail)
            kept.tail, kept.fresh = [*kept.tail, *kept.fresh[:room]], kept.fresh[room:]
            deltas.append((key_of(self.series, "trades", at_s, kept.chunks - 1), chunk_value(kept.tail, at_s)))
        return deltas

    def restore(self, key: Key, value: bytes) -> None:
        """Take in a part of the state. Chunks of a minute come in their order; `restored` follows."""
        if key.kind == "ids":
            for first, last in read_ids(value, key.number):
                self.ids.add_range(first, last)
        elif key.kind == "times":
            self._newest_us, self._second_us, self._edges = read_times(value)
            self._floor_s = self._second_us // _MINUTE_US * MINUTE_S - CORRECTABLE_S
        else:
            self._restore_trades(key.number, read_chunk(value, self.series, key.number))

    def _restore_trades(self, at_s: int, trades: list[Trade]) -> None:
        kept = self._minutes.get(at_s)
        if kept is None:
            kept = self._minutes[at_s] = _KeptMinute(GrowingMinute(trades[0], ANY))
        assert kept.bar.trades is not None
        kept.bar.trades |= {trade.id: (trade, ANY) for trade in trades}
        kept.bar.is_dirty = True
        self._where |= dict.fromkeys((trade.id for trade in trades), at_s)
        kept.chunks, kept.tail, kept.is_new = kept.chunks + 1, trades, False

    def restored(self) -> None:
        """All parts are in: what they give was shown before."""
        self._changed()


class Partition:
    """The series of one partition. misplaced: trades in it that belong into another one."""

    def __init__(self) -> None:
        self.misplaced = 0
        self._books: dict[SeriesKey, SeriesBook] = {}
        self._touched: dict[SeriesKey, SeriesBook] = {}
        self._misplaced_before = 0

    def take(self, trade: Trade) -> Outcome:
        """Take in the next trade."""
        series = trade.venue, trade.symbol, trade.channel
        book = self._touched.get(series)
        if book is None:
            book = self._touched[series] = self._books.setdefault(series, SeriesBook(series))
        return book.take(trade)

    def settle(self) -> tuple[list[Changed], list[Delta]]:
        """The minutes and the state that have changed since the last time."""
        changed: list[Changed] = []
        deltas: list[Delta] = []
        for book in self._touched.values():
            of_series, parts = book.settle()
            changed += of_series
            deltas += parts
        self._touched.clear()
        if self.misplaced != self._misplaced_before:
            self._misplaced_before = self.misplaced
            deltas.append((_MISPLACED, b"%d" % self.misplaced))
        return changed, deltas

    @classmethod
    def restored(cls, state: Mapping[bytes, bytes]) -> Self:
        """The partition that settled this state."""
        made = cls()
        made.misplaced = made._misplaced_before = int(state.get(_MISPLACED, b"0"))
        for key, value in sorted(_parts(state), key=lambda part: part[0]):
            made._books.setdefault(key.series, SeriesBook(key.series)).restore(key, value)
        for book in made._books.values():
            book.restored()
        return made


_MISPLACED: Final = b'["misplaced"]'


def _parts(state: Mapping[bytes, bytes]) -> Iterable[tuple[Key, bytes]]:
    return ((read_key(key), value) for key, value in state.items() if key != _MISPLACED)

"""Trades whose id is far from where their series is: either the message is odd, or the series has moved.

Rules: a connection keeps the order of the venue, so its own next ids decide. CONFIRMED ids that rise, each near the one
before, are a new position. An id near the old position, or far from the stray before it, shows that the strays before
it were outliers. A copy by another connection is the same stray. The newest KEPT strays are remembered to compare
copies. Nothing here knows a clock, a log or a venue.
"""

from typing import Final

from tradecap.market.records import Trade

CONFIRMED: Final = 3
"""This many ids in sequence are a position; fewer may be chance."""
KEPT: Final = 256


class Strays:
    """The strays of one series. near: the greatest distance between ids that belong together."""

    def __init__(self, near: int) -> None:
        self._near = near
        self._rows: dict[int, list[Trade]] = {}
        self._kept: dict[int, Trade] = {}
        self._undecided: set[int] = set()

    @property
    def is_waiting(self) -> bool:
        """Whether there are strays that nothing has decided about."""
        return bool(self._rows)

    def known(self, number: int) -> Trade | None:
        """The stray with this id, if it came before and is remembered."""
        return self._kept.get(number)

    def add(self, trade: Trade, connection: int) -> tuple[list[Trade], list[int]]:
        """Take in a stray. Returns the trades of a new position, if this one confirms it, and the ids that are outliers
        now."""
        row = self._rows.pop(connection, None) or self._rows.pop(0, [])
        outliers: list[int] = []
        if row and not 0 <= trade.id - row[-1].id <= self._near:
            outliers = self._decide(row)
            row = []
        if not row or trade.id > row[-1].id:
            row.append(trade)
        if trade.id not in self._kept:
            outliers += self._keep(trade)
        if len(row) >= CONFIRMED:
            return row, outliers
        self._rows[connection] = row
        return [], outliers

    def _keep(self, trade: Trade) -> list[int]:
        self._kept[trade.id] = trade
        self._undecided.add(trade.id)
        if len(self._kept) <= KEPT:
            return []
        oldest = next(iter(self._kept))
        return self._decide([self._kept.pop(oldest)])

    def _decide(self, row: list[Trade]) -> list[int]:
        """Ids of the row that weren't known as outliers."""
        found = [trade.id for trade in row if trade.id in self._undecided]
        self._undecided.difference_update(found)
        return found

    def contradict(self, connection: int) -> list[int]:
        """The connection went on where the series was: the ids that are outliers now."""
        return self._decide([*self._rows.pop(connection, []), *self._rows.pop(0, [])])

    def forget(self, trades: list[Trade]) -> None:
        """These have become part of the series; what other connections bring of them is a copy."""
        ids = {trade.id for trade in trades}
        self._undecided -= ids
        for number in ids:
            self._kept.pop(number, None)
        rows = {connection: [trade for trade in row if trade.id not in ids] for connection, row in self._rows.items()}
        self._rows = {connection: row for connection, row in rows.items() if row}

    def reject(self, trade: Trade) -> None:
        """This trade, which was taken for part of the series, is an outlier; it is remembered to compare copies."""
        self._kept[trade.id] = trade

    def leave(self, connection: int) -> None:
        """A connection is gone: its strays are continued by the one that takes its place."""
        if row := self._rows.pop(connection, []):
            self._rows[0] = row

    def longest(self) -> list[Trade]:
        """The longest sequence that isn't decided."""
        return max(self._rows.values(), key=len, default=[])

    def end(self) -> list[int]:
        """Nothing more will come: the ids that are outliers now."""
        rows, self._rows = self._rows, {}
        return [number for row in rows.values() for number in self._decide(row)]

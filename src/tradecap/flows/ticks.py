"""Bars of one series and interval as they change, and the subscribers that get each change.

Rules: everything here is used under the lock that guards the series' bars, except a subscriber's queue, which one
thread fills and another empties. A trade that comes in the order of its id gives one tick. Trades out of order are
merged: at the end of the batch each bar that they changed is given once. A bar is closed when a later bar of the series
has begun. Bars without a trade of the order book aren't shown.

Cost: nothing without subscribers. With them a tick of the newest bar is O(1): the part of a longer bar before its
newest minute is kept. A subscriber holds at most UPDATES_KEPT ticks, which all subscribers share; when it is full, the
ticks are dropped and the subscriber is marked as lost.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final

from tradecap.market.bars import Bars
from tradecap.market.candles import MINUTE_S, Candle, roll_up, with_neighbours
from tradecap.market.records import Trade
from tradecap.store.api import Series

UPDATES_KEPT: Final = 10_000


class Tick:
    """A bar as it is at a version of its series. message, text: what servers have made of it, so that it is made
    once."""

    __slots__ = ("at", "bar", "is_closed", "message", "series", "text")

    def __init__(self, series: Series, bar: Candle, is_closed: bool, at: int) -> None:
        self.series, self.bar, self.is_closed, self.at = series, bar, is_closed, at
        self.message = self.text = b""


class Lost(Enum):
    """Why a subscriber can't be given every change any more."""

    OVERRUN = "overrun"
    """It took its updates too slowly."""
    FORGOTTEN = "forgotten"
    """A bar has gone, and with it what changed in it."""
    ENDED = "ended"
    """Nobody wants it any more."""


class Subscriber:
    """Gets every tick of some series, until it is lost."""

    def __init__(self, most: int = UPDATES_KEPT) -> None:
        self.queue: deque[Tick] = deque()
        self.lost: Lost | None = None
        self._most = most

    def put(self, ticks: Iterable[Tick]) -> None:
        """Add ticks, which are kept until they are taken."""
        if self.lost:
            return
        self.queue.extend(ticks)
        if len(self.queue) > self._most:
            self.lose(Lost.OVERRUN)

    def lose(self, reason: Lost) -> None:
        """Give up, and hold nothing any more."""
        self.lost = reason
        self.queue.clear()

    def take(self) -> Tick | None:
        """The oldest tick."""
        try:
            return self.queue.popleft()
        except IndexError:
            return None


class Ticker:
    """The bars of a series in one interval. held: minutes of the store that go before those of the log, or beat them by
    having more ids."""

    def __init__(self, series: Series, seconds: int) -> None:
        self.series, self.seconds = series, seconds
        self.users = 0
        self.sweep: int | None = None
        """The sweep of the store that `held` is from; None where it isn't needed."""
        self._held: dict[int, Candle] = {}
        self._subscribers: list[Subscriber] = []
        self._made: dict[int, Tick] = {}
        """Ticks of version _made_at, by opening time."""
        self._made_at = -1
        self._base: Candle | None = None
        """The newest bar without its newest minute, as of version _base_at."""
        self._base_for_s = self._base_at = -1
        self._newest_s: int | None = None
        self._sent: Candle | None = None
        self._late_since: int | None = None

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody wants every tick."""
        return bool(self._subscribers)

    def hold(self, minutes: Sequence[Candle], sweep: int | None) -> None:
        """Take minutes of the store."""
        self._held, self.sweep = {minute.open_time_s: minute for minute in minutes}, sweep
        self._made_at = self._base_for_s = -1

    def subscribe(self, subscriber: Subscriber, bars: Bars | None) -> None:
        """Give a subscriber every tick from now on."""
        if subscriber.lost:
            return
        if not self._subscribers:
            self._newest_s = bars.newest_s if bars else None
            self._sent = self._late_since = None
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """The opposite."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)

    def grow(self, bars: Bars, trade: Trade) -> None:
        """A trade has been taken, and has changed something."""
        if bars.grown(trade) is None or bars.forgotten == bars.version:
            if self._late_since is None:
                self._late_since = bars.version - 1
        elif bars.newest_s == self._newest_s and len(bars.changed(bars.version - 1)) == 1:
            self._send(self._current(bars))
        else:
            self._newest_s = bars.newest_s
            self._send(self.changed(bars, bars.version - 1))

    def settle(self, bars: Bars) -> None:
        """A batch of trades has been taken: give what came out of order."""
        if self._late_since is None:
            return
        since, self._late_since, self._newest_s = self._late_since, None, bars.newest_s
        ticks = self.changed(bars, since)
        self._send(None if ticks is None else [tick for tick in ticks if tick.is_closed or tick.bar != self._sent])

    def changed(self, bars: Bars, since: int) -> list[Tick] | None:
        """Each bar that changed after a version of the series, as it is now, oldest first. None: bars have gone, so
        that can't be listed."""
        if bars.forgotten > since or since > bars.version:
            return None
        opens = sorted({at_s // self.seconds * self.seconds for at_s in bars.changed(since)})
        newest_s = self._opens(bars)
        older = [at_s for at_s in opens if at_s != newest_s]
        found = self._older(bars, older) if older else []
        return [*found, *self._current(bars)] if newest_s in opens else found

    def current(self, bars: Bars) -> Tick | None:
        """The newest bar; None where there is none to show."""
        return next(iter(self._current(bars)), None)

    # ---- what is made ------------------------------------------------------------------------------------------------

    def _send(self, ticks: list[Tick] | None) -> None:
        if ticks is None:
            for subscriber in self._subscribers:
                subscriber.lose(Lost.FORGOTTEN)
        elif ticks:
            self._sent = ticks[-1].bar
            for subscriber in self._subscribers:
                subscriber.put(ticks)

    def _opens(self, bars: Bars) -> int | None:
        return None if bars.newest_s is None else bars.newest_s // self.seconds * self.seconds

    def _remembered(self, bars: Bars) -> dict[int, Tick]:
        if self._made_at != bars.version:
            self._made, self._made_at = {}, bars.version
        return self._made

    def _current(self, bars: Bars) -> list[Tick]:
        newest_s, open_s, made = bars.newest_s, self._opens(bars), self._remembered(bars)
        if newest_s is None or open_s is None:
            return []
        if open_s not in made:
            (minute,) = self._minutes(bars, newest_s, newest_s + MINUTE_S)
            bar = minute if self.seconds == MINUTE_S else self._rolled(bars, newest_s, open_s, minute)
            made[open_s] = Tick(self.series, bar, False, bars.version)
        return [made[open_s]] if made[open_s].bar.trades else []

    def _rolled(self, bars: Bars, newest_s: int, open_s: int, minute: Candle) -> Candle:
        is_old = self._base_for_s != newest_s or self._base_at < bars.forgotten
        if is_old or bars.changed(self._base_at) not in ([], [newest_s]):
            parts = self._minutes(bars, open_s, newest_s)
            self._base = roll_up(parts, self.seconds)[0] if parts else None
            self._base_for_s, self._base_at = newest_s, bars.version
        return roll_up([self._base, minute] if self._base else [minute], self.seconds)[0]

    def _older(self, bars: Bars, opens: list[int]) -> list[Tick]:
        """Bars that are closed."""
        made = self._remembered(bars)
        if not all(at_s in made for at_s in opens):
            before_s, after_s = bars.around(opens[0], opens[-1] + self.seconds)
            since_s, until_s = (at_s // self.seconds * self.seconds for at_s in (before_s, after_s + self.seconds))
            minutes = self._minutes(bars, since_s, until_s)
            rolled = with_neighbours(minutes) if self.seconds == MINUTE_S else roll_up(minutes, self.seconds)
            wanted = {*opens}
            made |= {
                bar.open_time_s: Tick(self.series, bar, True, bars.version)
                for bar in rolled
                if bar.open_time_s in wanted
            }
        return [made[at_s] for at_s in opens if at_s in made and made[at_s].bar.trades]

    def _minutes(self, bars: Bars, since_s: int, until_s: int) -> list[Candle]:
        """The minutes of a range of time, each as the store or the log has more of it."""
        lived = bars.between(since_s, until_s)
        held = {at_s: minute for at_s, minute in self._held.items() if since_s <= at_s < until_s} if self._held else {}
        if not held:
            return lived
        merged = held | {
            bar.open_time_s: bar for bar in lived if bar.open_time_s not in held or bar.ids >= held[bar.open_time_s].ids
        }
        return [merged[at_s] for at_s in sorted(merged)]

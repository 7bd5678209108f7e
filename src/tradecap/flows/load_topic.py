"""Load a topic by the store's own reader (ClickHouse's Kafka engine): wait for it, build candles, and name what stops it.

Rules: a group's committed offset follows the rows, so what lies before it is in the tables. Caught up means that no record is left before the ends
seen at the start; aborted transactions may be the last of a partition, and no group ever commits past them. Which feed reads a log is recorded in the
store, and the other one is refused; the position is handed over when they change.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from tradecap.errors import Exit, TradecapError
from tradecap.flows.load import Loaded, Sweeps, count
from tradecap.log.api import Damage, Group, Log
from tradecap.market.batch import Position, position_text
from tradecap.store.api import Store, TopicFeed, TopicReader

LOOK_S: Final = 0.1
"""From one look at the group's offsets to the next."""
STILL_S: Final = 0.5
"""Offsets that haven't moved for this long may be at the end of what can be read: worth a look into the topic."""
STUCK_S: Final = 12.0
"""A reader that fails tries again about every 4 s: without progress for this long, its newest error is the reason."""
SILENT_S: Final = 120.0
"""Longer than any usual session time-out: without progress for this long something is wrong that gives no error."""


def reader_of(store: Store) -> TopicReader:
    """The store's own reader. Raises TradecapError for a store without one."""
    if store.topics is None:
        raise TradecapError(f"Store {store.url} can't read a topic by itself.", "only ClickHouse can: leave out --feed kafka")
    return store.topics


def use_topic(log: Log, group: Group, store: Store, feed: TopicFeed, properties: Mapping[str, str], on_damage: Callable[[Damage], None]) -> None:
    """Let the store read the topic by itself from now on, from where its loader stopped. Safe to run again."""
    reader = reader_of(store)
    before = reader.feed(log.id)
    positions = {} if before else store.positions(log.id)
    if before and not store.is_embedded:
        reader.stop(log.id)
    reader.record(feed, is_read=True)
    if not store.is_embedded:
        group.begin(positions, on_damage)
        reader.start(feed, properties)
    elif positions:
        group.begin(positions, on_damage)


def use_loader(log: Log, group: Group, store: Store) -> None:
    """Let `tradecap load` load the log from now on, from where the store's own reader stopped. Safe to run again."""
    reader = reader_of(store)
    if feed := reader.feed(log.id):
        reader.stop(log.id)
        reached = group.committed()
        reader.record(feed, is_read=False)
        for partition, at in reached.items():
            store.commit(log.id, Position(partition, at, int(at)))


def load_topic(
    log: Log,
    group: Group,
    store: Store,
    properties: Mapping[str, str],
    *,
    follow: Callable[[], bool] | None = None,
    stop: Callable[[], bool],
    progress: Callable[[int], None],
) -> Loaded:
    """Wait until the store has read what the log holds now, and build the candles; with follow, go on until it says False."""
    started = time.monotonic()
    before = store.outcomes()
    loaded = Loaded()
    waiting = _Waiting(log, group, store, loaded)
    waiting.begin(properties)
    sweeps = Sweeps(store, loaded)
    while not stop() and not waiting.is_caught_up(progress):
        time.sleep(LOOK_S)
    while follow is not None and follow() and not stop():
        sweeps.is_wanted = sweeps.is_wanted or waiting.has_moved(progress)
        sweeps.if_due()
        time.sleep(LOOK_S)
    loaded.position = position_text(group.committed())
    loaded.candles += store.sweep_candles()
    after = store.outcomes()
    loaded.records = sum(after.values()) - sum(before.values())
    count(loaded, before, after)
    loaded.seconds = time.monotonic() - started
    return loaded


class _Waiting:
    """Watches the group's offsets. Raises TradecapError (exit 3) where they stand still though records are left."""

    def __init__(self, log: Log, group: Group, store: Store, loaded: Loaded) -> None:
        self._log, self._group, self._loaded = log, group, loaded
        self._reader = reader_of(store)
        self._store = store
        self._ends: dict[int, int] = {}
        self._at: dict[int, str] = {}
        self._moved_s = self._probed_s = time.monotonic()

    def begin(self, properties: Mapping[str, str]) -> None:
        """Start an embedded reader; look whether a server's is as it should be."""
        feed = self._reader.feed(self._log.id)
        if feed is None:
            raise TradecapError(f"Store {self._store.url} doesn't read {self._log.url} by itself.", "let it: tradecap init-db --feed kafka")
        if self._store.is_embedded:
            self._group.begin({}, self._loaded.damage.append)
        self._ends = self._group.ends()
        self._at = self._group.committed()
        if self._store.is_embedded:
            self._reader.start(feed, properties)
        else:
            self._reader.refuse_other(feed)
            self._refuse_unplaced()

    def is_caught_up(self, progress: Callable[[int], None]) -> bool:
        """Whether everything before the ends that were seen at the start is in the store."""
        now_s = time.monotonic()
        if self.has_moved(progress):
            return False
        if all(int(self._at.get(partition, "0")) >= end for partition, end in self._ends.items()):
            return True
        if now_s - max(self._moved_s, self._probed_s) < STILL_S:
            return False
        self._probed_s = now_s
        if self._group.is_read(self._at, self._ends):
            return True
        self._refuse_stuck(now_s - self._moved_s)
        return False

    def has_moved(self, progress: Callable[[int], None]) -> bool:
        """Whether the offsets have moved since the last look."""
        at = self._group.committed()
        steps = sum(int(each) - int(self._at.get(partition, "0")) for partition, each in at.items())
        if at == self._at:
            return False
        self._at, self._moved_s = at, time.monotonic()
        progress(max(0, steps))
        return True

    def _refuse_unplaced(self) -> None:
        """A partition that came later has no offset, and is not read before it has one."""
        if new := sorted(self._ends.keys() - self._at.keys()):
            where = f"partition {new[0]} of {self._log.url}"
            message = f"Store {self._store.url} doesn't read {where}: it is new, or the broker has forgotten the group's offsets."
            raise TradecapError(message, "begin to read it: tradecap init-db --feed kafka", Exit.UNREACHABLE)

    def _refuse_stuck(self, still_s: float) -> None:
        at_s, problem = self._reader.problem(self._log.id)
        if problem and still_s > STUCK_S and time.time() - at_s < STUCK_S:
            raise TradecapError(
                f"The Kafka engine of {self._store.url} stands still: {problem}",
                "docs/clickhouse.md says what stops it, and the way on.",
                Exit.UNREACHABLE,
            )
        if still_s > SILENT_S:
            message = f"The Kafka engine of {self._store.url} has read nothing for {round(still_s)} s, though records are left."
            raise TradecapError(
                message, "see system.kafka_consumers, and which members its group has: kafka-consumer-groups --describe.", Exit.UNREACHABLE
            )

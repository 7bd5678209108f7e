"""Load a topic by the store's own reader (ClickHouse's Kafka engine): wait for it, build candles, and name what stops
it.

Rules: a group's committed offset follows the rows, so what lies before it is in the tables. Caught up means that no
record is left before the ends seen at the start; aborted transactions may be the last of a partition, and no group ever
commits past them. Which feed reads a log is recorded in the store, and the other one is refused; the position is handed
over when they change.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from tradecap.errors import Exit, TradecapError
from tradecap.flows.load import Loaded, LoadStatus, Sweeps, fill, refuse_altered
from tradecap.flows.patience import Patience
from tradecap.flows.records import unwatched
from tradecap.log.api import Damage, Group, Log
from tradecap.market.batch import Position, position_text
from tradecap.store.api import Store, TopicFeed, TopicReader

LOOK_S: Final = 0.1
"""From one look at the group's offsets to the next."""
WATCH_S: Final = 1.0
"""From one look for what could stop the reader to the next."""
STILL_S: Final = 0.5
"""Offsets that haven't moved for this long may be at the end of what can be read: worth a look into the topic."""
STUCK_S: Final = 12.0
"""A reader that fails tries again about every 4 s: without progress for this long, its newest error is the reason."""
SILENT_S: Final = 120.0
"""Longer than any usual session time-out: without progress for this long something is wrong that gives no error."""


def reader_of(store: Store) -> TopicReader:
    """The store's own reader. Raises TradecapError for a store without one."""
    if store.topics is None:
        raise TradecapError(
            f"Store {store.url} can't read a topic by itself.", "only ClickHouse can: leave out --feed kafka"
        )
    return store.topics


def use_topic(
    log: Log,
    group: Group,
    store: Store,
    feed: TopicFeed,
    properties: Mapping[str, str],
    on_damage: Callable[[Damage], None],
) -> None:
    """Let the store read the topic by itself from now on, from where its loader stopped. Safe to run again."""
    reader = reader_of(store)
    _retire(
        reader,
        [
            each
            for each in reader.feeds()
            if each.topic == feed.topic and each.brokers == feed.brokers and each.log_id != log.id
        ],
    )
    before = reader.feed(log.id)
    positions = {} if before else store.positions(log.id)
    if before and store.is_shared:
        reader.stop(log.id)
    reader.record(feed, is_read=True)
    if store.is_shared:
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


def _retire(reader: TopicReader, feeds: list[TopicFeed]) -> None:
    """A topic made again isn't read under the id of the one before."""
    for feed in feeds:
        reader.stop(feed.log_id)
        reader.record(feed, is_read=False)


def load_topic(
    log: Log,
    group: Group,
    store: Store,
    properties: Mapping[str, str],
    *,
    follow: Callable[[], bool] | None = None,
    stop: Callable[[], bool],
    progress: Callable[[int], None],
    say: Callable[[str], None] = unwatched,
    status: LoadStatus | None = None,
) -> Loaded:
    """Wait until the store has read what the log holds now, and build the candles; with follow, go on until it says
    False."""
    started_s = time.monotonic()
    status = status or LoadStatus()
    ask = status.patience = Patience(lambda: follow is not None and follow(), stop, say)
    ask(lambda: refuse_altered(store))
    before, loaded = ask(store.outcomes), Loaded()

    def sweep() -> None:
        loaded.candles += ask(store.sweep_candles)

    waiting = _Waiting(log, group, store, loaded, status)
    try:
        waiting.begin(properties, progress)
        while not stop() and not waiting.is_caught_up(progress):
            time.sleep(LOOK_S)
        sweeps = Sweeps(sweep)
        sweeps.is_wanted = True
        while follow is not None and follow() and not stop():
            waiting.refuse_standstill()
            sweeps.is_wanted = waiting.has_moved(progress) or sweeps.is_wanted
            sweeps.if_due()
            time.sleep(LOOK_S)
    finally:
        if not store.is_shared:
            reader_of(store).stop(log.id)
    loaded.position = position_text(group.committed())
    sweep()
    new = Counter(ask(store.outcomes)) - Counter(before)
    loaded.records = sum(new.values())
    fill(loaded, new)
    loaded.seconds = time.monotonic() - started_s
    return loaded


class _Waiting:
    """Watches the group's offsets, and names what keeps them from moving (exit 3)."""

    def __init__(self, log: Log, group: Group, store: Store, loaded: Loaded, status: LoadStatus) -> None:
        self._log, self._group, self._loaded, self._status = log, group, loaded, status
        self._reader = reader_of(store)
        self._store = store
        self._ends: dict[int, int] = {}
        self._at: dict[int, str] = {}
        self._moved_s = self._looked_s = self._probed_s = time.monotonic()

    def begin(self, properties: Mapping[str, str], progress: Callable[[int], None]) -> None:
        """Start an embedded reader; look whether a server's is as it should be."""
        feed = self._reader.feed(self._log.id)
        if feed is None:
            former = [each for each in self._reader.feeds() if each.topic == self._group.topic]
            why = (
                (" It reads a topic of this name under another id: if the topic was made again, this is another log.")
                if former
                else ""
            )
            raise TradecapError(
                f"Store {self._store.url} doesn't read {self._log.url} by itself.{why}",
                "let it: tradecap init-db --feed kafka",
            )
        self._refuse_another_topic()
        if not self._store.is_shared:
            self._group.begin({}, self._loaded.damage.append)
        self._ends, self._at = self._group.ends(), self._group.committed()
        self._refuse_unplaced(self._ends)
        self._status.positions = self._at
        progress(0)  # where it begins is known
        if not self._store.is_shared:
            self._reader.start(feed, properties)

    def is_caught_up(self, progress: Callable[[int], None]) -> bool:
        """Whether everything before the ends that were seen at the start is in the store."""
        self.refuse_standstill()
        if self.has_moved(progress):
            return False
        if all(int(self._at.get(partition, "0")) >= end for partition, end in self._ends.items()):
            return True
        now_s = time.monotonic()
        if now_s - max(self._moved_s, self._probed_s) < STILL_S:
            return False
        self._probed_s = now_s
        return self._group.is_read(self._at, self._ends)

    def has_moved(self, progress: Callable[[int], None]) -> bool:
        """Whether the offsets have moved since the last look."""
        at = self._group.committed()
        if at == self._at:
            return False
        steps = max(0, sum(int(each) - int(self._at.get(partition, "0")) for partition, each in at.items()))
        self._at = self._status.positions = at
        self._moved_s = time.monotonic()
        self._status.records += steps
        progress(steps)
        return True

    def refuse_standstill(self) -> None:
        """Raises TradecapError where the topic is another one, has a partition that isn't read, or the reader fails;
        looks once a second."""
        now_s = time.monotonic()
        if now_s - self._looked_s < WATCH_S:
            return
        self._looked_s = now_s
        self._refuse_another_topic()
        ends = self._group.ends()
        self._refuse_unplaced(ends)
        if all(int(self._at.get(partition, "0")) >= end for partition, end in ends.items()):
            self._moved_s = now_s  # nothing to read
        elif now_s - self._moved_s > STUCK_S:
            self._refuse_stuck(now_s - self._moved_s, ends)

    def _refuse_another_topic(self) -> None:
        if not self._group.is_same():
            self._reader.stop(self._log.id)
            raise TradecapError(
                f"Topic {self._group.topic} was made again: it is another log now, and isn't read any more.",
                "read the new one: tradecap init-db --feed kafka",
            )

    def _refuse_unplaced(self, ends: Mapping[int, int]) -> None:
        """A partition that came later has no offset, and is not read before it has one."""
        if new := sorted(ends.keys() - self._at.keys()):
            where = f"partition {new[0]} of {self._log.url}"
            message = (
                f"Store {self._store.url} doesn't read {where}: it is new, or the broker has forgotten the "
                "group's offsets."
            )
            raise TradecapError(
                message, "begin to read it: tradecap init-db --feed kafka, then load again", Exit.UNREACHABLE
            )

    def _refuse_stuck(self, still_s: float, ends: Mapping[int, int]) -> None:
        at_s, problem = self._reader.problem(self._log.id)
        if problem and time.time() - at_s < STUCK_S:
            message = f"ClickHouse stopped reading {self._log.url}: {problem}"
            raise TradecapError(
                message, "docs/clickhouse.md, 'When the engine stands still', says what to do.", Exit.UNREACHABLE
            )
        if still_s > SILENT_S and not self._group.is_read(self._at, ends):
            message = f"ClickHouse has read nothing of {self._log.url} for {round(still_s)} s, though records are left."
            raise TradecapError(
                message,
                "see system.kafka_consumers, and the group's members: kafka-consumer-groups --describe.",
                Exit.UNREACHABLE,
            )

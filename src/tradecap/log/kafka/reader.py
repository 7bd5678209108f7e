"""Passes over a topic: as a group that loads, or alone.

Rules: partitions are read as they come, each batch is of one partition. Only committed records are read; transaction
markers and holes between offsets mean nothing. A position is the offset to read next. What retention removed before it
was read is damage, named by its offsets; a position beyond the end of its partition means that the topic was made
again. Nothing is handed out before the topic was seen to be the one that was opened.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tradecap.errors import TradecapError
from tradecap.log.api import Damage, DamageKind
from tradecap.log.kafka.client import PASSING, Address, TopicGoneError, translated
from tradecap.log.kafka.cluster import Cluster, Extent, says_unknown
from tradecap.log.kafka.presence import REPORTED, Presence, is_passing
from tradecap.log.kafka.refusals import RUNNING_S, Heard
from tradecap.market.batch import BATCH_BYTES, Batch, Position, Positions, Values

BATCH_S: Final = 5.0
"""How long a value of a backlog waits at most for others to make up a batch."""
LIVE_S: Final = 0.4
"""The same in a partition that was read to its end once: what follows is live, and wanted in the store within a
second."""
HELD_BYTES: Final = 32 * 1024 * 1024
"""Bytes of values that wait for their batch at most, in all partitions together."""
CONSUMED: Final = 5_000
"""Messages taken from librdkafka at a time."""
POLL_S: Final = 0.05
AGAIN_S: Final = 0.5
"""How long a loader that has left its group waits before it joins again."""
LOOK_S: Final = 0.2
"""How often a reader that has nothing to do asks how far the others are."""
PLACED_S: Final = 5.0
"""How long a loader that is asked for the end waits for its group to give it partitions: less than a stop may take
(`LAST_S` of flows/loading.py)."""
SILENCE_S: Final = 30.0
"""How long a reader that knows of more records waits for a broker before it gives up."""


def consumer_of(address: Address, group: str, heard: Heard) -> Consumer:
    """A consumer that reads committed records, never moves its position by itself, and holds at most 32 MB. heard:
    hears of its errors."""
    return Consumer(
        address.client(
            **{
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "queued.max.messages.kbytes": 32 * 1024,
                "queued.min.messages": 20_000,
                "fetch.wait.max.ms": 50,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": address.properties.get("session.timeout.ms", 10_000),
                "error_cb": heard,
            }
        )
    )


def refuse_lasting(heard: Heard, address: Address) -> None:
    """Raise TradecapError once brokers have refused this client for a while: it would wait for them forever."""
    if refusal := heard.refusal(RUNNING_S):
        raise translated(refusal, f"Log {address.url} can't be read any further", address, "Read")


class Collected:
    """Values of each partition that make up its next batch."""

    def __init__(self, venue: str, see: Callable[[Message], None] | None = None) -> None:
        """see: called with each message."""
        self._venue, self._see = venue, see
        self._values: dict[int, list[bytes]] = {}
        self._offsets: dict[int, list[int]] = {}
        self._bytes: dict[int, int] = {}
        self._since_s: dict[int, float] = {}
        self._is_live: set[int] = set()

    def reached_end(self, partition: int) -> None:
        """Note that a partition was read to its end."""
        self._is_live.add(partition)

    def add(self, message: Message) -> None:
        """Take in a message."""
        partition = message.partition()
        offset = message.offset()
        assert partition is not None
        assert offset is not None
        value = message.value() or b""
        if self._see:
            self._see(message)
        if partition not in self._values:
            self._values[partition], self._offsets[partition], self._bytes[partition] = [], [], 0
            self._since_s[partition] = time.monotonic()
        self._values[partition].append(value)
        self._offsets[partition].append(offset)
        self._bytes[partition] += len(value)

    def due(self, finished: Collection[int]) -> list[int]:
        """The partitions whose batch is big or old enough, or that have nothing more to come for now; the biggest where
        too much is held."""
        due = [
            partition
            for partition, size in self._bytes.items()
            if size >= BATCH_BYTES or partition in finished or self._is_old(partition)
        ]
        return due or (
            [max(self._bytes, key=self._bytes.__getitem__)] if sum(self._bytes.values()) >= HELD_BYTES else []
        )

    def _is_old(self, partition: int) -> bool:
        return time.monotonic() - self._since_s[partition] >= (LIVE_S if partition in self._is_live else BATCH_S)

    def partitions(self) -> list[int]:
        """The partitions that have anything."""
        return list(self._values)

    def drop(self, partitions: list[int]) -> None:
        """Forget what came of partitions that are another process's now."""
        for partition in partitions:
            for kept in (self._values, self._offsets, self._bytes, self._since_s):
                kept.pop(partition, None)

    def take(self, partition: int, *, is_newest: bool) -> Batch:
        """The next batch of a partition."""
        values, offsets = self._values[partition], self._offsets[partition]
        self.drop([partition])
        end = offsets[-1] + 1
        return Batch(
            Values(values, offsets, self._venue), sum(map(bool, values)), Position(partition, str(end), end), is_newest
        )


def starts(
    address: Address, after: Positions, extents: Mapping[int, Extent], on_damage: Callable[[Damage], None]
) -> dict[int, int]:
    """By partition, the offset to begin at. Raises TradecapError for a position that the topic doesn't reach."""
    found = {}
    for partition, extent in extents.items():
        wanted = after.get(partition)
        if wanted is not None and not wanted.isdecimal():
            raise TradecapError(
                f"{wanted!r} isn't a position in {address.url}.",
                "only a position that this log gave can be continued from.",
            )
        at = int(wanted) if wanted is not None else extent.first
        if at > extent.end:
            raise TradecapError(
                f"{address.topic}/{partition} ends at {extent.end}, before the position {at}: the topic was made "
                "again, or lost its end.",
                "load it into another store, or start this one over: tradecap init-db --drop",
            )
        if at < extent.first:
            detail = (
                f"Offsets {at} to {extent.first - 1} of {address.topic}/{partition} were removed by retention "
                "before they were read"
            )
            on_damage(Damage(DamageKind.EXPIRED, address.place(partition, at), detail))
        found[partition] = max(at, extent.first)
    gone = sorted(set(after) - set(extents))
    if gone:
        raise TradecapError(
            f"{address.url} has no partition {gone[0]}: the topic was made again.", "load it into another store."
        )
    return found


def read_alone(
    cluster: Cluster,
    after: Positions,
    follow: Callable[[], bool] | None,
    on_damage: Callable[[Damage], None],
    until: Mapping[int, Extent] | None = None,
    see: Callable[[Message], None] | None = None,
) -> Iterator[Batch]:
    """All partitions from a position to the end they have now, or to `until`; with follow, on and on. see: called with
    each message."""
    address = cluster.address
    extents = until if until is not None else cluster.extents()
    at = starts(address, _within(after, extents, cluster) if until else after, extents, on_damage)
    heard = Heard()
    consumer = consumer_of(address, "tradecap-reader", heard)
    try:
        consumer.assign([TopicPartition(address.topic, partition, offset) for partition, offset in at.items()])
        ends = {partition: extent.end for partition, extent in extents.items()}
        yield from _Pass(cluster, consumer, heard, at, ends, follow, Collected(address.venue, see)).batches()
    finally:
        consumer.close()


def _within(after: Positions, until: Mapping[int, Extent], cluster: Cluster) -> Positions:
    """Positions that a loader has moved beyond `until` meanwhile, as its ends. One that the topic doesn't reach at all
    stays, to be refused."""
    if all(
        not at.isdecimal() or partition not in until or int(at) <= until[partition].end
        for partition, at in after.items()
    ):
        return after
    now = cluster.extents()
    return {
        partition: str(until[partition].end)
        if partition in now and until[partition].end < int(at) <= now[partition].end
        else at
        for partition, at in after.items()
    }


class _Pass:
    """Reads assigned partitions to their ends; while followed, to the ends they have when that stops."""

    def __init__(
        self,
        cluster: Cluster,
        consumer: Consumer,
        heard: Heard,
        at: dict[int, int],
        ends: dict[int, int],
        follow: Callable[[], bool] | None,
        collected: Collected,
    ) -> None:
        self._cluster, self._consumer, self._heard, self._follow = cluster, consumer, heard, follow
        self._at, self._ends = at, ends
        self._collected = collected
        self._presence = Presence(cluster)
        self._is_at_end: set[int] = set()
        self._heard_s = time.monotonic()

    def batches(self) -> Iterator[Batch]:
        while True:
            if self._follow is not None and not self._follow():
                self._follow = None
                self._ends = {
                    partition: extent.end
                    for partition, extent in self._cluster.extents().items()
                    if partition in self._at
                }
            finished = {partition for partition, end in self._ends.items() if self._at[partition] >= end}
            is_over = self._follow is None and len(finished) == len(self._ends)
            due = (
                self._collected.partitions()
                if is_over
                else self._collected.due(self._is_at_end if self._follow else self._is_at_end | finished)
            )
            if not (self._presence.confirm(self._follow) if due else self._presence.confirm_if_due(self._follow)):
                continue
            for partition in due:
                yield self._collected.take(partition, is_newest=is_over or partition in self._is_at_end)
            if is_over:
                return
            self._consume(is_followed=self._follow is not None)

    def _consume(self, *, is_followed: bool) -> None:
        messages = self._consumer.consume(CONSUMED, POLL_S)
        address = self._cluster.address
        if messages:
            self._heard_s = time.monotonic()
        elif not is_followed and time.monotonic() - self._heard_s > SILENCE_S:
            silence = self._heard.newest or KafkaError(KafkaError._TIMED_OUT)
            raise self._unread(silence) from KafkaException(silence)
        else:
            refuse_lasting(self._heard, address)
        for message in messages:
            error, partition, offset = message.error(), message.partition(), message.offset()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                if (
                    error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
                    and partition is not None
                ):
                    raise address.receded(partition)
                # a pass alone needs no right to its group
                if error.code() not in (*PASSING, KafkaError.GROUP_AUTHORIZATION_FAILED):
                    # a topic that was made again is often noticed by an offset that it doesn't have
                    self._presence.confirm()
                    raise self._unread(error) from KafkaException(error)
                continue
            assert partition is not None
            assert offset is not None
            if error is not None:
                self._at[partition] = max(self._at[partition], offset)
                self._is_at_end.add(partition)
                self._collected.reached_end(partition)
            elif not is_followed and offset >= self._ends[partition]:
                self._at[partition] = max(self._at[partition], offset)
            else:
                self._collected.add(message)
                self._at[partition] = offset + 1
                self._is_at_end.discard(partition)

    def _unread(self, error: KafkaError) -> TradecapError:
        address = self._cluster.address
        return translated(error, f"Log {address.url} can't be read any further", address, "Read")


def read_as_group(
    cluster: Cluster,
    reader: str,
    positions: Callable[[], Positions],
    follow: Callable[[], bool] | None,
    on_damage: Callable[[Damage], None],
) -> Iterator[Batch]:
    """The partitions that the group gives this process, each from the position that the store has; see `Log.feed`."""
    extents = cluster.extents()
    starts(cluster.address, positions(), extents, on_damage)
    ends, presence = {partition: extent.end for partition, extent in extents.items()}, Presence(cluster)
    failures = 0
    while True:
        group = _LoadingMember(cluster, reader, positions, on_damage)
        try:
            for batch in group.batches(follow, ends):
                failures = 0
                yield batch
            return
        except TradecapError as problem:
            if follow is None or not (is_passing(problem) or says_unknown(problem)):
                raise
            failures += 1
            if failures == REPORTED:
                cluster.say(f"{problem.message} It is tried again.")
        finally:
            group.close()
        if not follow() or not presence.confirm(follow):
            return  # what was read and not handed out comes again
        time.sleep(AGAIN_S)


class _LoadingMember:
    """One process of a group of loaders.

    Each batch has been dealt with when the next one is asked for, so a partition is never taken away in the middle of
    one: what was collected of it is dropped, and its next owner begins at the store's position.
    """

    def __init__(
        self, cluster: Cluster, reader: str, positions: Callable[[], Positions], on_damage: Callable[[Damage], None]
    ) -> None:
        self._cluster, self._positions, self._on_damage = cluster, positions, on_damage
        self._collected = Collected(cluster.address.venue)
        self._presence = Presence(cluster)
        self._at: dict[int, int] = {}
        self._is_placed = False
        """Whether the group has given this process its partitions."""
        self._kept: dict[int, int] = {}
        """By partition, the position that the store has."""
        self._is_at_end: set[int] = set()
        self._problem: TradecapError | None = None
        self._heard = Heard()
        self._consumer = consumer_of(cluster.address, f"tradecap-{reader}", self._heard)
        self._consumer.subscribe(
            [cluster.address.topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke
        )

    def close(self) -> None:
        self._consumer.close()

    def batches(self, follow: Callable[[], bool] | None, ends: Mapping[int, int]) -> Iterator[Batch]:
        looked_s = until_s = 0.0
        while True:
            if follow is not None and not follow():
                until_s = until_s or time.monotonic() + PLACED_S
                if self._is_placed or time.monotonic() >= until_s:
                    follow = None
                    ends = self._ends_of_own()
            if follow is None and not self._collected.partitions() and time.monotonic() - looked_s > LOOK_S:
                # another process may have loaded what this one waits for
                positions = self._positions()
                if all(int(positions.get(partition, "0")) >= end for partition, end in ends.items()):
                    return
                looked_s = time.monotonic()
            self._consume()
            due = self._collected.due(self._is_at_end)
            passed = [] if due else self._passed()
            if not (self._presence.confirm(follow) if due or passed else self._presence.confirm_if_due(follow)):
                continue
            for partition in due:
                yield from self._handed(self._collected.take(partition, is_newest=partition in self._is_at_end))
            for partition in passed:
                yield from self._handed(
                    Batch(Values([], []), 0, Position(partition, str(self._at[partition]), self._at[partition]))
                )

    def _handed(self, batch: Batch) -> Iterator[Batch]:
        self._kept[batch.end.partition] = batch.end.order
        yield batch
        self._acknowledge(batch.end)

    def _passed(self) -> list[int]:
        """The partitions whose last offsets hold no record (markers of transactions): other loaders wait for a position
        beyond them."""
        waiting = self._collected.partitions()
        return [
            partition
            for partition in self._is_at_end
            if partition not in waiting and self._at[partition] > self._kept.get(partition, 0)
        ]

    def _ends_of_own(self) -> dict[int, int]:
        """Where this process's partitions end: whoever asks a follower for the end doesn't wait for the others."""
        try:
            return {
                partition: extent.end for partition, extent in self._cluster.extents().items() if partition in self._at
            }
        except TopicGoneError:
            raise
        except TradecapError:  # nothing more will come of a broker that is away
            return {}

    def _consume(self) -> None:
        messages = self._consumer.consume(CONSUMED, POLL_S)
        if self._problem:
            raise self._problem
        if not messages:
            refuse_lasting(self._heard, self._cluster.address)
        for message in messages:
            error, partition = message.error(), message.partition()
            if error is None:
                assert partition is not None
                self._collected.add(message)
                self._at[partition] = (message.offset() or 0) + 1
                self._is_at_end.discard(partition)
            elif error.code() == KafkaError._PARTITION_EOF:
                assert partition is not None
                self._at[partition] = max(self._at.get(partition, 0), message.offset() or 0)
                self._is_at_end.add(partition)
                self._collected.reached_end(partition)
            elif error.code() not in PASSING:
                self._presence.confirm()  # as in _Pass
                raise translated(
                    error, f"Log {self._cluster.address.url} can't be read any further", self._cluster.address, "Read"
                ) from KafkaException(error)

    def _acknowledge(self, end: Position) -> None:
        """Let lag tools see the position. It decides nothing, so a failure is none."""
        try:
            self._consumer.commit(
                offsets=[TopicPartition(self._cluster.address.topic, end.partition, end.order)], asynchronous=True
            )
        except KafkaException:
            return

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            extents = {
                partition: extent
                for partition, extent in self._cluster.extents().items()
                if partition in {p.partition for p in partitions}
            }
            positions = {partition: at for partition, at in self._positions().items() if partition in extents}
            begin = starts(self._cluster.address, positions, extents, self._on_damage)
        except TradecapError as problem:
            self._problem = problem
            return
        self._is_placed = True
        self._at |= begin
        self._kept |= {partition: int(positions.get(partition, "0")) for partition in begin}
        consumer.incremental_assign(
            [TopicPartition(self._cluster.address.topic, partition, offset) for partition, offset in begin.items()]
        )

    def _revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [each.partition for each in partitions]
        self._collected.drop(numbers)
        for number in numbers:
            self._at.pop(number, None)
            self._kept.pop(number, None)
            self._is_at_end.discard(number)
        consumer.incremental_unassign(partitions)

"""The log in a topic of Redpanda or Kafka.

Rules: many may write and many may read, so a run without an end is never known to be dead. Kafka's protocol is the
contract; nothing here depends on one broker. A record is a value; its identity (run, seq) is inside it, and offsets
only say where it is.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from confluent_kafka import Message

from tradecap.errors import TradecapError
from tradecap.log.api import Damage, Part
from tradecap.log.kafka.carrier import KafkaCarrier
from tradecap.log.kafka.client import Address
from tradecap.log.kafka.cluster import Cluster, Extent
from tradecap.log.kafka.exactly_once import ExactlyOnce
from tradecap.log.kafka.group import KafkaGroup
from tradecap.log.kafka.outputs import Outputs, output_topics
from tradecap.log.kafka.reader import read_alone, read_as_group
from tradecap.log.kafka.topics import PARTITIONS, create_topic, longest_message, refuse_unsafe
from tradecap.log.kafka.writer import KafkaWriter
from tradecap.market.batch import BEGINNING, Batch, Positions, SeriesNote, Values
from tradecap.market.processing_state import VERSION
from tradecap.market.records import read_envelope

SKIMMED: Final = 100_000
"""The newest offsets of each partition from which a capture learns how far its series have come."""


def raise_damage(damage: Damage) -> None:
    """Raise the error for damage that the caller didn't ask to be handed."""
    raise TradecapError(f"{damage.detail}.", "keep records longer (retention.ms of the topic), or load more often.")


class KafkaLog:
    """See `Log`. Raises TradecapError where the broker can't be reached (exit 3) or has no such topic."""

    has_one_writer = False
    lag_unit = "offsets"

    def __init__(
        self, url: str, properties: Mapping[str, str], *, create: bool, say: Callable[[str], None], venue: str = ""
    ) -> None:
        self.url = url
        self._address = Address(url, properties, venue)
        self._cluster = Cluster(self._address, say)
        if create and create_topic(self._cluster):
            say(f"topic {self._address.topic} made with {PARTITIONS} partitions")
        self.id = self._cluster.log_id()

    def read(
        self,
        after: Positions = BEGINNING,
        *,
        follow: Callable[[], bool] | None = None,
        on_damage: Callable[[Damage], None] | None = None,
    ) -> Iterator[Batch]:
        """See `Log.read`."""
        return read_alone(self._cluster, after, follow, on_damage or raise_damage)

    def feed(
        self,
        reader: str,
        positions: Callable[[], Positions],
        *,
        follow: Callable[[], bool] | None = None,
        on_damage: Callable[[Damage], None],
        segment_files: int = 0,  # noqa: ARG002 -- a topic has no files
    ) -> Iterator[Batch]:
        """See `Log.feed`."""
        return read_as_group(self._cluster, reader, positions, follow, on_damage)

    def skim(self, on_damage: Callable[[Damage], None]) -> Iterator[Batch | Sequence[SeriesNote]]:
        """See `Log.skim`. A topic holds no notes: its newest records are read."""
        return self._newest(SKIMMED).read(on_damage=on_damage)

    def snapshot(self, newest: int | None = None) -> "KafkaSnapshot":
        """See `Log.snapshot`."""
        return (
            KafkaSnapshot(self._cluster, self.id)
            if newest is None
            else self._newest(-(-newest // max(1, len(self._cluster.partitions()))))
        )

    def _newest(self, offsets: int) -> "KafkaSnapshot":
        """The newest `offsets` offsets of each partition."""
        extents = {
            partition: Extent(max(extent.first, extent.end - offsets), extent.end)
            for partition, extent in self._cluster.extents().items()
        }
        return KafkaSnapshot(self._cluster, self.id, extents)

    def again(self, part: Part) -> Part | None:
        """See `Log.again`."""
        partition, extent = _extent_of(part)
        now = self._cluster.extents().get(partition)
        if now is None or now.end < extent.end:
            return None
        if now.first > extent.first:
            return part._replace(sha256="", is_expired=True)
        snapshot = KafkaSnapshot(self._cluster, self.id, {partition: extent})
        for _ in snapshot.read():
            pass
        return snapshot.evidence(())[0]

    def glance(self, part: Part) -> Part | None:
        """See `Log.glance`. Brokers change no record of a topic: there is only to see whether it reaches as far."""
        partition, extent = _extent_of(part)
        now = self._cluster.extents().get(partition)
        if now is None or now.end < extent.end:
            return None
        return part._replace(is_expired=now.first > extent.first)

    def writer(self) -> KafkaWriter:
        """See `Log.writer`. Raises TradecapError (exit 2) for a topic that may lose what it has acknowledged, or that
        may not be written (3)."""
        self._cluster.refuse_reader_only()
        refuse_unsafe(self._cluster)
        # a leader that can't be reached is reported now, not when the first record has waited for it
        self._cluster.extents()
        return KafkaWriter(self._cluster)

    def carrier(self) -> KafkaCarrier:
        """See `Log.carrier`."""
        self._cluster.refuse_reader_only()
        refuse_unsafe(self._cluster)
        return KafkaCarrier(self._address, longest_message(self._cluster))

    def open_runs(self, within_s: float = 60.0) -> frozenset[str]:
        """See `Log.open_runs`. A run with an end isn't open. Partitions come in any order, so its end may come before
        the rest."""
        since = self._cluster.since(time.time_ns() // 1_000_000 - round(within_s * 1000))
        seen: set[str] = set()
        ended: set[str] = set()
        for batch in self.read(
            {partition: str(offset) for partition, offset in since.items()}, on_damage=lambda _: None
        ):
            assert isinstance(batch.content, Values)
            for value in batch.content.values:
                run, is_end = _run_of(value)
                seen.add(run)
                if is_end:
                    ended.add(run)
        return frozenset(seen - ended - {""})

    def behind(self, after: Positions) -> dict[int, int]:
        """See `Log.behind`."""
        extents = self._cluster.extents()
        return {
            partition: extent.end - max(extent.first, int(after.get(partition, "0")))
            for partition, extent in extents.items()
        }

    def recent(self, within_s: float, after: Positions) -> Positions:
        """See `Log.recent`, by the times of publishing."""
        since = self._cluster.since(self._cluster.newest_ms() - round(within_s * 1000))
        return {partition: str(max(offset, int(after.get(partition, "0")))) for partition, offset in since.items()}

    def group(self, name: str) -> KafkaGroup:
        """The group by which a database reads this topic by itself."""
        return KafkaGroup(self._cluster, name)

    def exactly_once(self, chosen: Mapping[str, str], instance: str) -> ExactlyOnce:
        """Transactions from this topic into those of `process`. chosen: the names that differ from the defaults;
        instance: see `ExactlyOnce`.

        Raises TradecapError where the topics can't be used.
        """
        outputs = self.outputs(chosen)
        outputs.refuse_unusable()
        return ExactlyOnce(self._cluster, self.id, outputs, instance=instance, version=VERSION)

    def outputs(self, chosen: Mapping[str, str]) -> Outputs:
        """The topics of `process`."""
        return Outputs(self._cluster, output_topics(self.topic, chosen))

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._address.topic

    @property
    def venue(self) -> str:
        """The venue of messages that no tradecap wrote, '' where their shape decides."""
        return self._address.venue

    @property
    def servers(self) -> str:
        """The brokers, as this process sees them: host:port, separated by commas."""
        return self._address.servers

    def free_bytes(self) -> None:
        """See `Log.free_bytes`."""


def _run_of(value: bytes) -> tuple[str, bool]:
    """The run of a record, and whether it is its end."""
    if not value.startswith(b'{"run":"'):
        return "", False
    if b'"event":"ended"' not in value:
        return value[8:44].decode(errors="replace"), False
    envelope = read_envelope(value)
    return (envelope.run, envelope.event == "ended") if envelope else ("", False)


class KafkaSnapshot:
    """See `Snapshot`."""

    def __init__(self, cluster: Cluster, log_id: str, extents: Mapping[int, Extent] | None = None) -> None:
        self.id = log_id
        self._cluster = cluster
        self._extents = extents if extents is not None else cluster.extents()
        self._parts: dict[int, Part] = {}
        self._is_read_on = False
        self._started_ms: dict[str, int] = {}

    @property
    def newest_run(self) -> str:
        """See `Snapshot.newest_run`."""
        return max(self._started_ms, key=lambda run: (self._started_ms[run], run), default="")

    def _see(self, message: Message) -> None:
        """Note when the beginning of a run was published: a run that was shipped later is older by its id."""
        value = message.value() or b""
        if b'"event":"started"' in value[:200] and (envelope := read_envelope(value)) and envelope.event == "started":
            self._started_ms[envelope.run] = message.timestamp()[1]

    @property
    def shortened(self) -> frozenset[int]:
        """See `Snapshot`."""
        return frozenset(partition for partition, extent in self._extents.items() if extent.first > 0)

    def read(
        self, after: Positions = BEGINNING, *, on_damage: Callable[[Damage], None] | None = None
    ) -> Iterator[Batch]:
        """See `Snapshot.read`. A pass from the beginning also makes the evidence; what retention removed before the
        first one isn't in it."""
        receded = self._receded()
        if after or self._is_read_on:
            return read_alone(self._cluster, after, None, on_damage or raise_damage, {**self._extents, **receded})
        if receded and self._parts:
            raise self._cluster.address.receded(min(receded))  # a second pass would give something else than the first
        self._extents = {**self._extents, **receded}
        return self._witnessed(
            read_alone(self._cluster, after, None, on_damage or raise_damage, self._extents, self._see), self._extents
        )

    def read_on(self, after: Positions, *, on_damage: Callable[[Damage], None]) -> Iterator[Batch]:
        """See `Snapshot.read_on`."""
        self._is_read_on = True
        self._extents = {**self._extents, **self._receded()}
        rest = {n: Extent(max(int(after.get(n, "0")), extent.first), extent.end) for n, extent in self._extents.items()}
        return self._witnessed(read_alone(self._cluster, after, None, on_damage, self._extents, self._see), rest)

    def _receded(self) -> dict[int, Extent]:
        """The partitions of which retention has removed something since."""
        now = self._cluster.extents()
        gone = {
            number: now[number].first
            for number in self._extents
            if number in now and now[number].first > self._extents[number].first
        }
        return {
            number: Extent(min(first, self._extents[number].end), self._extents[number].end)
            for number, first in gone.items()
        }

    def _witnessed(self, batches: Iterator[Batch], extents: Mapping[int, Extent]) -> Iterator[Batch]:
        sums = {partition: hashlib.sha256() for partition in extents}
        sizes, records = dict.fromkeys(sums, 0), dict.fromkeys(sums, 0)
        for batch in batches:
            assert isinstance(batch.content, Values)
            values, partition = batch.content.values, batch.end.partition
            # each value with its length and offset, so that no two sequences of values have one sum
            sums[partition].update(
                b"".join(
                    b"%d:%d:%b" % (offset, len(v), v) for v, offset in zip(values, batch.content.offsets, strict=True)
                )
            )
            sizes[partition] += sum(map(len, values))
            records[partition] += batch.records
            yield batch
        self._parts = {
            partition: Part(
                f"{partition}@{extent.first}-{extent.end}",
                records[partition],
                sizes[partition],
                sums[partition].hexdigest(),
                False,
            )
            for partition, extent in extents.items()
        }

    def evidence(self, damage: Collection[Damage]) -> list[Part]:  # noqa: ARG002 -- the sums are of what was read
        """See `Snapshot.evidence`."""
        return [part for _, part in sorted(self._parts.items())]


def _extent_of(part: Part) -> tuple[int, Extent]:
    """The partition and offsets that a part names."""
    partition, _, offsets = part.part.partition("@")
    first, _, end = offsets.partition("-")
    return int(partition), Extent(int(first), int(end))

"""A consumer group by which a database reads the topic by itself: how far it is, and where it begins.

Rules: each partition has an offset before the database begins, so that the database never chooses one: Kafka forgets a
group's offsets with the topic, and a topic made again is then not read under the old log's id. An offset can only be
set while the group has no member.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from tradecap.errors import Exit, TradecapError
from tradecap.log.api import Damage
from tradecap.log.kafka.client import REACH_S, TopicGoneError, translated
from tradecap.log.kafka.cluster import Cluster
from tradecap.log.kafka.reader import read_alone, starts
from tradecap.market.batch import Positions

LEAVE_S: Final = 60.0
"""How long a group may keep members that are gone: longer than any usual session time-out."""
OCCUPIED: Final = (
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.NON_EMPTY_GROUP,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
)

STARTING: Final = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
"""A broker that has just started, or makes its topic of offsets for the first group, has them in a moment."""
AGAIN_S: Final = 0.2


class KafkaGroup:
    """See `Group`."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self.topic = cluster.address.topic
        self._cluster = cluster

    def committed(self) -> dict[int, str]:
        """See `Group.committed`."""
        topic = self._cluster.address.topic
        asked = ConsumerGroupTopicPartitions(
            self.name, [TopicPartition(topic, partition) for partition in self._cluster.partitions()]
        )
        until_s = time.monotonic() + REACH_S
        while True:
            try:
                answer: Any = self._cluster.answer(
                    self._cluster.admin.list_consumer_group_offsets([asked], request_timeout=REACH_S)[self.name]
                )
                break
            except KafkaException as error:
                if error.args[0].code() not in STARTING or time.monotonic() >= until_s:
                    raise self._cluster.failure(error, f"The offsets of group {self.name} can't be read") from error
            time.sleep(AGAIN_S)
        return {each.partition: str(each.offset) for each in answer.topic_partitions if each.offset >= 0}

    def ends(self) -> dict[int, int]:
        """See `Group.ends`."""
        return {partition: extent.end for partition, extent in self._cluster.extents().items()}

    def begin(self, positions: Positions, on_damage: Callable[[Damage], None]) -> None:
        """See `Group.begin`."""
        committed = self.committed()
        furthest = dict(positions) | {
            each: at for each, at in committed.items() if int(at) >= int(positions.get(each, "0"))
        }
        begin = starts(self._cluster.address, furthest, self._cluster.extents(), on_damage)
        if wanted := {
            partition: offset for partition, offset in begin.items() if committed.get(partition) != str(offset)
        }:
            self._place(wanted)

    def is_same(self) -> bool:
        """See `Group.is_same`."""
        try:
            self._cluster.refuse_another_topic()
        except TopicGoneError:
            return False
        return True

    def is_read(self, positions: Positions, ends: Mapping[int, int]) -> bool:
        """See `Group.is_read`."""
        left = {partition: int(at) for partition, at in positions.items() if int(at) < ends.get(partition, 0)}
        if any(partition not in positions and end for partition, end in ends.items()):
            return False
        if not left:
            return True
        extents = {
            partition: extent._replace(end=ends[partition])
            for partition, extent in self._cluster.extents().items()
            if partition in left
        }
        after = {partition: str(at) for partition, at in left.items()}
        return not any(batch.records for batch in read_alone(self._cluster, after, None, lambda _: None, extents))

    def _place(self, offsets: Mapping[int, int]) -> None:
        """Set the group's offsets, as soon as it has no member."""
        topic = self._cluster.address.topic
        wanted = ConsumerGroupTopicPartitions(
            self.name, [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        )
        until_s = time.monotonic() + LEAVE_S
        while True:
            try:
                answer: Any = self._cluster.answer(
                    self._cluster.admin.alter_consumer_group_offsets([wanted], request_timeout=REACH_S)[self.name]
                )
                if not (refused := [each.error for each in answer.topic_partitions if each.error]):
                    return
                error = refused[0]
            except KafkaException as raised:
                error = raised.args[0]
            is_over = time.monotonic() >= until_s
            if error.code() not in OCCUPIED + STARTING or (is_over and error.code() in STARTING):
                raise translated(error, f"The offsets of group {self.name} can't be set", self._cluster.address, "Read")
            if is_over:
                raise TradecapError(
                    f"Group {self.name} has members: another process reads the topic for this store.",
                    "end it, or wait until the broker has given it up, and run this again.",
                    Exit.UNREACHABLE,
                )
            time.sleep(AGAIN_S)

"""One process as a member of the group that processes a topic: its partitions, what it reads of them, and its
transactions.

Rules: as in exactly_once.py, which begins again with another member when this one fails. A batch is committed before
the next one is asked for.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from tradecap.errors import TradecapError
from tradecap.log.kafka.client import PASSING, TopicGoneError, translated
from tradecap.log.kafka.cluster import Cluster
from tradecap.log.kafka.kept_state import SETTLED_S, KeptState, State
from tradecap.log.kafka.outputs import Outputs
from tradecap.log.kafka.presence import PATIENCE_S
from tradecap.log.kafka.reader import consumer_of, refuse_lasting
from tradecap.log.kafka.refusals import RIGHTS, Heard
from tradecap.market.batch import BATCH_BYTES, Batch, Position, Values

BATCH_RECORDS: Final = 10_000
CONSUMED: Final = 1_000
"""Messages taken from librdkafka at a time."""
BATCH_S: Final = 0.2
"""How long a batch is filled."""
STEP_S: Final = 5.0
"""How long one request of a transaction may take before it is asked again."""


class Produced(NamedTuple):
    """What was made of a batch: (key, value) of each message, and the keys of the state that changed (None: the key is
    gone)."""

    end: Position
    enriched: list[tuple[bytes, bytes]]
    candles: list[tuple[bytes, bytes]]
    quarantine: list[tuple[bytes, bytes]]
    state: Iterable[tuple[bytes, bytes | None]]


def ask_again(step: Callable[[], object], patience_s: float) -> None:
    """One step of a transaction, again while the broker may still do it."""
    until_s = time.monotonic() + patience_s
    while True:
        try:
            step()
            return
        except KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() >= until_s:
                raise
            time.sleep(0.05)


class ProcessingMember:
    """A member of the group, with its partitions and its producer, until something fails."""

    def __init__(
        self,
        log: Cluster,
        outputs: Outputs,
        kept: KeptState,
        group: str,
        producer: Producer,
        take_over: Callable[[int, State], None],
        give_up: Callable[[int], object],
    ) -> None:
        self._log, self._outputs, self._kept, self._producer = log, outputs, kept, producer
        self._take_over, self._give_up = take_over, give_up
        self.at: dict[int, int] = {}
        """By partition, the offset to read next."""
        self._committed: dict[int, int] = {}
        self._is_at_end: set[int] = set()
        self._waiting: dict[int, list[tuple[int, bytes]]] = {}
        self._problem: BaseException | None = None
        self.has_joined = False
        self._heard = Heard()
        self._consumer: Consumer = consumer_of(log.address, group, self._heard)
        self._consumer.subscribe(
            [log.address.topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke
        )

    def close(self) -> None:
        """Give the partitions back. A transaction that is open is aborted, by the broker at the latest."""
        self._producer.purge()
        with suppress(KafkaException):
            self._producer.abort_transaction(STEP_S)
        with suppress(KafkaException):
            self._consumer.close()
        for partition in list(self.at):
            self._drop(partition)

    def batches(self) -> list[Batch]:
        """What came within BATCH_S, one batch for each partition; [] where nothing did."""
        self._fill()
        waiting, self._waiting = self._waiting, {}
        found = [self._batch(partition, messages) for partition, messages in waiting.items()]
        # the last offsets of a partition may hold no record (markers of transactions): the others wait for a position
        # beyond them
        passed = [each for each in self._is_at_end if each not in waiting and self.at[each] > self._committed[each]]
        return found + [self._batch(each, []) for each in passed]

    def _batch(self, partition: int, messages: list[tuple[int, bytes]]) -> Batch:
        values = [value for _, value in messages]
        end = self.at[partition]
        content = Values(values, [offset for offset, _ in messages], self._log.address.venue)
        return Batch(content, sum(map(bool, values)), Position(partition, str(end), end), partition in self._is_at_end)

    def _fill(self) -> None:
        until_s = time.monotonic() + BATCH_S
        records = size = 0
        while records < BATCH_RECORDS and size < BATCH_BYTES and (left_s := until_s - time.monotonic()) > 0:
            messages = self._consumer.consume(CONSUMED, min(left_s, 0.05))
            if self._problem:
                raise self._problem
            if not messages:
                refuse_lasting(self._heard, self._log.address)
                if len(self._is_at_end) == len(self.at) and records:
                    return
            for message in messages:
                size += self._take(message)
            records += len(messages)

    def _take(self, message: Message) -> int:
        error, partition, offset = message.error(), message.partition(), message.offset()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF and partition in self.at:
                self.at[partition] = max(self.at[partition], offset or 0)
                self._is_at_end.add(partition)
            elif error.code() not in (*PASSING, KafkaError._PARTITION_EOF):
                raise self._unread(error, partition) from KafkaException(error)
            return 0
        assert partition is not None
        assert offset is not None
        if partition not in self.at:
            return 0  # it was taken away while this message waited
        value = message.value() or b""
        self._waiting.setdefault(partition, []).append((offset, value))
        self.at[partition] = offset + 1
        self._is_at_end.discard(partition)
        return len(value)

    def _unread(self, error: KafkaError, partition: int | None) -> TradecapError:
        address = self._log.address
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE) and partition is not None:
            return address.receded(partition)
        return translated(error, f"Log {address.url} can't be read any further", address, "Read")

    def commit(self, produced: Iterable[Produced]) -> None:
        """All of it, or nothing. Raises KafkaException where it is nothing, or unknown."""
        self._producer.begin_transaction()
        ends, unsent = {}, None
        for each in produced:
            ends[each.end.partition] = each.end.order
            try:
                self._send(each)
            except KafkaException as error:
                unsent = error
                break
        topic = self._log.address.topic
        offsets = [TopicPartition(topic, partition, offset) for partition, offset in ends.items()]
        generation = self._consumer.consumer_group_metadata()
        # if the transaction has failed, this raises why: produce() says "fatal error" or "erroneous state" then
        ask_again(lambda: self._producer.send_offsets_to_transaction(offsets, generation, STEP_S), PATIENCE_S)
        if unsent:
            raise unsent
        ask_again(lambda: self._producer.commit_transaction(STEP_S), PATIENCE_S)
        self._committed |= ends

    def _send(self, each: Produced) -> None:
        names, partition = self._outputs.names, each.end.partition
        for topic, messages in (
            (names.enriched, each.enriched),
            (names.candles, each.candles),
            (names.quarantine, each.quarantine),
            (names.state, [*each.state, self._kept.position(each.end.order)]),
        ):
            for key, value in messages:
                while True:
                    try:
                        self._producer.produce(topic, value, key, partition=partition)
                        break
                    except BufferError:
                        self._producer.poll(0.05)

    def is_over(self, ends: Mapping[int, int]) -> bool:
        """Whether all partitions are committed up to these ends, by this process or by another."""
        if any(self._committed[partition] < end for partition, end in ends.items() if partition in self.at):
            return False
        others = [
            TopicPartition(self._log.address.topic, partition)
            for partition, end in ends.items()
            if partition not in self.at and end
        ]
        return not others or all(each.offset >= ends[each.partition] for each in self._ask_committed(others))

    def _ask_committed(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """The group's offsets, once no transaction that holds one of them is undecided."""
        until_s = time.monotonic() + SETTLED_S
        while True:
            try:
                found = self._consumer.committed(partitions, STEP_S)
                if not (errors := [each.error for each in found if each.error]):
                    return found
                error = errors[0]
            except KafkaException as raised:
                error = raised.args[0]
            if error.code() in RIGHTS or time.monotonic() >= until_s:
                address = self._log.address
                raise translated(
                    error, f"The offsets of log {address.url} can't be read", address, "Read"
                ) from KafkaException(error)
            time.sleep(0.1)

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            begin = {each.partition: self._restored(each.partition) for each in partitions}
        except BaseException as problem:  # noqa: BLE001 -- librdkafka calls this: it is raised where the messages are asked for
            self._problem = problem
            return
        self.at |= begin
        self._committed |= begin
        self.has_joined = True
        consumer.incremental_assign(
            [TopicPartition(self._log.address.topic, partition, offset) for partition, offset in begin.items()]
        )

    def _revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            self._drop(each.partition)
        consumer.incremental_unassign(partitions)

    def _drop(self, partition: int) -> None:
        self._waiting.pop(partition, None)
        self._is_at_end.discard(partition)
        if self.at.pop(partition, None) is not None:
            del self._committed[partition]
            self._give_up(partition)

    def _restored(self, partition: int) -> int:
        """Hand over the state of a partition; the offset to begin at."""
        (committed,) = self._ask_committed([TopicPartition(self._log.address.topic, partition)])
        extent, place = self._log.extents()[partition], f"{self._log.address.topic}/{partition}"
        at, state = self._kept.restored(partition, committed.offset)
        if at > extent.end:
            what = f"{place} ends at {extent.end}, before the position {at}: it lost its end, or was made again."
            raise TopicGoneError(what, "see docs/processing.md, 'Starting over'.")
        if 0 <= at < extent.first:
            self._log.say(
                f"Offsets {at} to {extent.first - 1} of {place} were removed by retention before they were processed."
            )
        self._take_over(partition, state)
        return max(at, extent.first)

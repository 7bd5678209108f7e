"""What a cluster says of a topic: its id, its partitions, where each begins and ends.

Rules: a log's id is a UUID made of the cluster's id and the topic's id, so that a topic made again is another log. A
broker that reports no topic id (older Redpanda) gives one made of the topic's name. The end of a partition is the last
stable offset: what a reader of committed records can reach.
"""

import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._listoffsets import OffsetSpec

from tradecap.errors import Exit, TradecapError
from tradecap.log.kafka.client import ELECTING, REACH_S, Address, TopicGoneError, translated
from tradecap.log.kafka.refusals import OPENING_S, RUNNING_S, Heard, lacking

NAMESPACE: Final = uuid.UUID("6f6b2f5e-4d0c-5f5b-9c6e-7472616465a0")
NO_TOPIC_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"
GONE_S: Final = 3.0
"""How long a topic must be unknown before it counts as deleted: a broker that has just started may not know all topics
yet."""

Answer = TypeVar("Answer")


class Extent(NamedTuple):
    """The offsets of a partition: the first one kept, and the one after the last that can be read."""

    first: int
    end: int


class Cluster:
    """Asks the cluster about one topic. Raises TradecapError where it doesn't answer (exit 3) or has no such topic
    (exit 2)."""

    def __init__(self, address: Address, say: Callable[[str], None] = lambda _: None) -> None:
        """say is called with what a person may want to know meanwhile: a broker that is waited for."""
        self.address = address
        self.say = say
        self._heard = Heard()
        self._topic_id = ""
        self._has_answered = False
        self._made_s = float("-inf")
        _refuse_missing_files(address)
        try:
            self.admin = AdminClient(address.client(error_cb=self._heard))
        except KafkaException as error:
            reason = error.args[0].str().removeprefix("Failed to create admin client: ").rstrip(".")
            raise TradecapError(
                f"Log {address.url} can't be opened: {reason}.",
                "look at the profile's kafka table and TRADECAP_KAFKA_*.",
            ) from error

    def log_id(self) -> str:
        """The log's id. Asks for the topic, so it must exist."""
        cluster, self._topic_id = self._ask(f"Log {self.address.url} can't be opened", self._described)
        return str(uuid.uuid5(NAMESPACE, f"{cluster}/{self._topic_id}"))

    def refuse_another_topic(self) -> None:
        """Raise TopicGoneError (exit 3) where the topic isn't the one that `log_id` saw. Raises TradecapError (exit 3)
        where nobody answers.

        No client library notices: producers and consumers go on in a topic that was made again under the same name
        (measured, librdkafka 2.16). So what was read or acknowledged before this returns was of the topic that was
        opened.
        """
        unknown_s: float | None = None  # since the first such answer: the question may have waited for a broker
        while True:
            try:
                now = _topic_id(self._topic())
                break
            except TradecapError as error:
                if not says_unknown(error):
                    raise
                unknown_s = unknown_s or time.monotonic()
                if time.monotonic() - unknown_s >= GONE_S:
                    raise self._gone("was deleted") from error
            time.sleep(0.1)
        if now and self._topic_id and now != self._topic_id:
            raise self._gone("was deleted and made again")

    def _gone(self, what: str) -> TopicGoneError:
        return TopicGoneError(
            f"Topic {self.address.topic} {what} while {self.address.url} was in use.",
            "what the old topic held is gone with it; run the command again to use the topic that is there now.",
            Exit.UNREACHABLE,
        )

    def describe(self) -> Any:
        """The topic's description. Raises TradecapError where there is none."""
        return self._topic()

    def wait_until_known(self) -> None:
        """Return once every broker that is asked knows a topic that was just made."""
        self._made_s = time.monotonic()
        until_s = self._made_s + REACH_S
        while True:
            try:
                if self._topic().partitions and self.extents():
                    return
            except TradecapError:
                if time.monotonic() >= until_s:
                    raise
            time.sleep(0.05)

    def partitions(self) -> list[int]:
        """The numbers of the topic's partitions."""
        topic = self._topic()
        return sorted(partition.id for partition in topic.partitions)

    def extents(self) -> dict[int, Extent]:
        """By partition, what can be read now."""
        partitions = self.partitions()
        first = self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # confluent_kafka's own gap
        end = self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the same
        return {partition: Extent(first[partition], end[partition]) for partition in partitions}

    def undecided(self, partition: int) -> bool:
        """Whether a transaction of this partition is neither committed nor aborted yet."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # confluent_kafka's own gap
        stable = self._offsets([partition], latest)
        return self._offsets([partition], latest, IsolationLevel.READ_UNCOMMITTED) != stable

    def since(self, time_ms: int) -> dict[int, int]:
        """By partition, the offset of the first record that was published at time_ms (Unix, broker's or producer's
        clock) or later."""
        extents = self.extents()
        found = self._offsets(list(extents), OffsetSpec.for_timestamp(time_ms))
        return {partition: extents[partition].end if offset < 0 else offset for partition, offset in found.items()}

    def newest_ms(self) -> int:
        """When the newest record was published (Unix); now where the topic is empty or the broker can't tell."""
        newest = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]  # confluent_kafka's own gap
        asked = {TopicPartition(self.address.topic, partition): newest for partition in self.partitions()}
        try:
            answers = self.admin.list_offsets(asked, request_timeout=REACH_S)
            newest = max((int(self.answer(each).timestamp) for each in answers.values()), default=-1)
        except KafkaException:
            newest = -1
        return newest if newest >= 0 else time.time_ns() // 1_000_000

    def refuse_reader_only(self) -> None:
        """Raise TradecapError (exit 3) where the cluster says that this client may not write the topic: before a record
        is taken."""
        name, what = self.address.topic, f"Log {self.address.url} can't be written"
        collection = TopicCollection([name])
        described = self._ask(
            what,
            lambda: self.answer(
                self.admin.describe_topics(collection, include_authorized_operations=True, request_timeout=REACH_S)[
                    name
                ],
            ),
        )
        rights = described.authorized_operations or []  # none: a broker that doesn't tell
        if rights and AclOperation.WRITE not in rights and AclOperation.ALL not in rights:
            raise lacking(
                KafkaError.TOPIC_AUTHORIZATION_FAILED,
                what,
                "Write",
                name,
                self.address.servers,
                self.address.properties,
            )

    def answer(self, future: "Future[Answer]") -> Answer:
        """What a question gives. A broker that refuses this client ends it before its time is up: the question itself
        would only time out."""
        while not wait([future], 0.05).done:
            self.admin.poll(0)
            if refusal := self._heard.refusal(RUNNING_S if self._has_answered else OPENING_S):
                raise KafkaException(refusal)
        result = future.result()
        self._has_answered = True
        self._heard.forget()
        return result

    def _described(self) -> tuple[str, str]:
        topic = self._topic()
        cluster = self.answer(self.admin.describe_cluster(request_timeout=REACH_S)).cluster_id or ""
        return cluster, _topic_id(topic) or self.address.topic

    def _topic(self) -> Any:
        """The description of the topic: confluent_kafka names no type for it. A topic that was just made is asked for
        again: the next broker may hear of it later."""
        name = self.address.topic
        while True:
            try:
                return self._ask(
                    f"Log {self.address.url} can't be opened",
                    lambda: self.answer(
                        self.admin.describe_topics(TopicCollection([name]), request_timeout=REACH_S)[name]
                    ),
                )
            except TradecapError as error:
                if not says_unknown(error) or time.monotonic() - self._made_s >= GONE_S:
                    raise
            time.sleep(0.05)

    def _offsets(
        self, partitions: Iterable[int], spec: OffsetSpec, isolation: IsolationLevel = IsolationLevel.READ_COMMITTED
    ) -> dict[int, int]:
        asked = {TopicPartition(self.address.topic, partition): spec for partition in partitions}
        if not asked:
            return {}
        what = f"Log {self.address.url} can't be read"

        def offsets() -> dict[int, int]:
            answers = self.admin.list_offsets(asked, isolation_level=isolation, request_timeout=REACH_S)
            found: dict[int, Any] = {where.partition: self.answer(answer) for where, answer in answers.items()}
            return {partition: int(result.offset) for partition, result in found.items()}

        return self._ask(what, offsets)

    def _ask(self, what: str, question: Callable[[], Answer]) -> Answer:
        """The answer; asked again while the cluster is only busy choosing leaders."""
        until_s = time.monotonic() + REACH_S
        while True:
            try:
                return question()
            except KafkaException as error:
                if error.args[0].code() not in ELECTING or time.monotonic() >= until_s:
                    raise self.failure(error, what) from error
                time.sleep(0.1)
            except (TimeoutError, OSError) as error:
                raise TradecapError(
                    f"{what}: no broker answers.", "is the broker up, and the URL right?", Exit.UNREACHABLE
                ) from error

    def failure(self, error: KafkaException, what: str, operation: str = "Describe") -> TradecapError:
        """The error of a failed request. A time-out explains nothing, so what the client heard meanwhile comes first:
        refused, not resolved ..."""
        self.admin.poll(0)
        is_late = error.args[0].code() == KafkaError._TIMED_OUT
        return translated(
            self._heard.newest if is_late and self._heard.newest else error, what, self.address, operation
        )


def _topic_id(described: Any) -> str:
    """The id of a topic, '' from a broker that reports none."""
    known = str(described.topic_id) if described.topic_id is not None else NO_TOPIC_ID
    return "" if known == NO_TOPIC_ID else known


def says_unknown(error: TradecapError) -> bool:
    """Whether a broker knows no such topic, which may be over by itself: one that has just started."""
    cause = error.__cause__
    return isinstance(cause, KafkaException) and cause.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def _refuse_missing_files(address: Address) -> None:
    """librdkafka names the property and an error of OpenSSL; a file that isn't there is named here."""
    for name, value in address.properties.items():
        if name.startswith("ssl.") and name.endswith(".location") and value != "probe":
            try:
                Path(value).stat()
            except OSError as error:
                what = f"Log {address.url} can't be opened: {value} ({name}): {error.strerror}."
                raise TradecapError(what, "look at the profile's kafka table and TRADECAP_KAFKA_SSL_*.") from error

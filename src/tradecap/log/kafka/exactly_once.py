"""Reads a topic as one of a group, and commits what was made of each batch, the state behind it, and the position in
one transaction.

Rules: a batch is read, processed and committed before the next one is asked for, so no transaction is open while
partitions move. The offsets of a transaction are sent with the consumer's generation (KIP-447): a process that has left
the group can't commit. A process that takes over a partition first asks for its committed offset, which the broker
gives only once no transaction that holds one is undecided. Then it reads the state until that is the state of this
offset. If there is no such state, nothing is processed. After a failed transaction everything in memory is dropped, and
read again from what is committed.

Sources: KIP-98, KIP-447, KIP-588; librdkafka INTRODUCTION.md, transactional producer.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer

from tradecap.errors import Exit, TradecapError
from tradecap.log.kafka.client import PASSING, translated
from tradecap.log.kafka.cluster import Cluster, says_unknown
from tradecap.log.kafka.kept_state import KeptState, State
from tradecap.log.kafka.murmur2 import partition_of
from tradecap.log.kafka.outputs import Outputs
from tradecap.log.kafka.presence import PATIENCE_S, REPORTED, Presence, is_passing
from tradecap.log.kafka.processing_member import STEP_S, ProcessingMember, Produced, ask_again
from tradecap.log.kafka.refusals import RIGHTS, lacking_transactions
from tradecap.market.batch import Batch

TRANSACTION_MS: Final = 15_000
"""After this time a broker ends a transaction whose producer is gone; later records of its partitions are hidden from
read_committed until then."""
LOOK_S: Final = 0.5
"""How often a process that waits for the others asks how far they are."""
FAILURES: Final = 8
"""After this many failed transactions in a row the last failure is reported."""
AGAIN_S: Final = 0.5
PRODUCER_FENCED: Final = 90
"""A code of Kafka's protocol that older versions of confluent-kafka have no name for."""


class ExactlyOnce:
    """The transactions of one process. A context: leaving it gives the partitions back.

    instance: a name that this process has again after a restart, so that what it left undecided is ended at once; '' is
    a new one each time. No two may run with the same name. version: of the state's form.
    """

    def __init__(self, log: Cluster, log_id: str, outputs: Outputs, *, instance: str, version: int) -> None:
        self._log, self._outputs = log, outputs
        self._kept = KeptState(outputs.state, log_id, version)
        self._is_named = bool(instance)
        self.group = f"tradecap-process-{log_id}"
        self.transactional_id = f"tradecap-process-{log.address.topic}-{instance or uuid.uuid4()}"
        self._presence = Presence(log)
        self._partitions = len(log.partitions())
        self._place: dict[str, int] = {}
        self._member: ProcessingMember | None = None
        self._failures = 0
        self._again = 0
        """How often it has begun again since the newest commit."""
        self.transactions = 0
        self.aborted = 0
        self.newest_s = 0.0
        """How long the newest transaction took."""

    def __enter__(self) -> "ExactlyOnce":
        return self

    def __exit__(self, *exc: object) -> None:
        self._leave()

    def batches(
        self,
        take_over: Callable[[int, State], None],
        give_up: Callable[[int], object],
        follow: Callable[[], bool] | None,
        stop: Callable[[], bool],
    ) -> Iterator[list[Batch]]:
        """Batches of this process's partitions, one of each at most at a time; each list must be committed before the
        next one is asked for.

        take_over is called with a partition and its state before its first batch, give_up when it is another's (or is
        begun again). Without follow it ends where the topic ends now, when this process and the others have come there.
        Ends as soon as stop() is true.
        """
        ends = {partition: extent.end for partition, extent in self._log.extents().items()}
        looked_s = 0.0
        while not stop():
            try:
                if self._member is None:
                    self._member = self._join(take_over, give_up, follow)
                batches = self._member.batches()
                is_due = not batches and follow is None and time.monotonic() - looked_s >= LOOK_S
                if is_due and self._member.is_over(ends):
                    return
            except TradecapError as problem:
                self._wait_out(problem, follow)
                continue
            looked_s = time.monotonic() if is_due else looked_s
            if not (self._presence.confirm(follow) if batches else self._presence.confirm_if_due(follow)):
                return
            if batches:
                yield batches

    def commit(self, produced: Iterable[Produced]) -> bool:
        """Commit a batch of batches; False where that failed: nothing of it counts, and it will come again."""
        assert self._member is not None
        began_s = time.monotonic()
        try:
            self._member.commit(produced)
        except KafkaException as error:
            self.aborted += 1
            self._failures += 1
            self._refuse_final(error.args[0], time.monotonic() - began_s)
            self._leave()
            time.sleep(AGAIN_S)
            return False
        self._failures = self._again = 0
        self.transactions += 1
        self.newest_s = time.monotonic() - began_s
        return True

    @property
    def has_joined(self) -> bool:
        """Whether the group has given this process its partitions, which may be none."""
        return self._member is not None and self._member.has_joined

    def partition_of(self, symbol: str) -> int:
        """The partition that a symbol's records belong into."""
        place = self._place.get(symbol)
        if place is None:
            place = self._place[symbol] = partition_of(symbol.encode(), self._partitions)
        return place

    def lag(self) -> dict[int, int]:
        """By partition of this process, the offsets that it hasn't come to."""
        member = self._member
        at = dict(member.at) if member else {}
        return {
            partition: max(extent.end - at[partition], 0)
            for partition, extent in self._log.extents().items()
            if partition in at
        }

    def _wait_out(self, problem: TradecapError, follow: Callable[[], bool] | None) -> None:
        """Begin again once the broker answers. Raises what doesn't pass by itself."""
        passes = is_passing(problem) or says_unknown(problem)
        self._count(problem, follow, passes=passes)
        if not passes or (follow is None and self._failures >= FAILURES):
            raise problem
        self._leave()
        self._presence.confirm(follow)
        if says_unknown(problem):  # the state's topic, where the log's is there
            Presence(self._outputs.state).confirm(follow)
        time.sleep(AGAIN_S)

    def _count(self, problem: TradecapError, follow: Callable[[], bool] | None, *, passes: bool) -> None:
        """Count a failure. A follower waits for what passes again and again, so its outages don't add up. One that
        lasts is reported."""
        self._failures += follow is None or not passes
        self._again += 1
        if follow is not None and self._again == REPORTED:
            self._log.say(f"{problem.message} It is tried again.")

    def _join(
        self,
        take_over: Callable[[int, State], None],
        give_up: Callable[[int], object],
        follow: Callable[[], bool] | None,
    ) -> ProcessingMember:
        while True:
            try:
                producer = self._producer()
                return ProcessingMember(self._log, self._outputs, self._kept, self.group, producer, take_over, give_up)
            except KafkaException as error:
                self._count(self._unwritten(error.args[0]), follow, passes=error.args[0].code() in PASSING)
                self._refuse_final(error.args[0], 0.0)
                self._presence.confirm()
                time.sleep(AGAIN_S)

    def _producer(self) -> Producer:
        address = self._log.address
        producer = Producer(
            address.client(
                **{
                    "transactional.id": self.transactional_id,
                    "transaction.timeout.ms": self._timeout_ms,
                    "compression.type": "zstd",
                    "linger.ms": 5,
                    "batch.size": 512 * 1024,
                    "queue.buffering.max.kbytes": 64 * 1024,
                    "queue.buffering.max.messages": 500_000,
                    "error_cb": lambda _: None,
                }
            )
        )
        ask_again(lambda: producer.init_transactions(STEP_S), PATIENCE_S)
        return producer

    @property
    def _timeout_ms(self) -> int:
        return int(self._log.address.properties.get("transaction.timeout.ms", TRANSACTION_MS))

    def _refuse_final(self, error: KafkaError, lasted_s: float) -> None:
        """Raise what a person must act on; return where it may go better the next time."""
        address, code = self._log.address, error.code()
        is_fenced = code in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, PRODUCER_FENCED)
        # after that it may be the broker that has lost patience
        if is_fenced and self._is_named and lasted_s < self._timeout_ms / 2000:
            raise TradecapError(
                f"The transactional id {self.transactional_id} is taken: another process began to use it.",
                "give each process a name of its own with --instance, or leave it out.",
                Exit.UNREACHABLE,
            )
        if code == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            raise lacking_transactions(
                f"Log {address.url} can't be processed", "tradecap-process-", address.servers, address.properties
            )
        if code in RIGHTS or self._failures >= FAILURES:
            raise self._unwritten(error)

    def _unwritten(self, error: KafkaError) -> TradecapError:
        address = self._log.address
        return translated(error, f"Log {address.url} can't be processed", address, "Write")

    def _leave(self) -> None:
        member, self._member = self._member, None
        if member is not None:
            member.close()

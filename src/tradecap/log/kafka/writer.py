"""The writer of one run into a topic.

Rules: idempotent, acks=all: a record is acknowledged once it is on every replica that counts, once. The key is the
symbol (events and records without a symbol: the run), so the records of a symbol stay in order in one partition;
murmur2_random agrees with the Java and Go clients. `flush` returns when everything is acknowledged, by the topic that
was opened, or raises and names what isn't. After a failure nothing more is written: a later record would follow a hole.
"""

import os
import time
from typing import Final, NoReturn, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tradecap.digits import number
from tradecap.errors import Exit, TradecapError
from tradecap.log.api import Block, TornRun
from tradecap.log.kafka.client import TopicGoneError, polled, translated
from tradecap.log.kafka.cluster import Cluster
from tradecap.log.kafka.presence import Presence
from tradecap.log.kafka.refusals import RIGHTS, RUNNING_S, Heard
from tradecap.market.records import Trade, new_run, read_envelope

HEADERS: Final[list[tuple[str, str | bytes | None]]] = [("content-type", "application/json")]
"""As a list of texts: a dict, or bytes, take longer for each message. produce_batch of confluent-kafka 2.16 takes no
headers."""
DELIVERY_S: Final = 120
"""How long a record may wait for its acknowledgement before it counts as undelivered."""
WAITING_KB: Final = 64 * 1024
"""Bytes that wait for acknowledgement at most, in KiB; a writer that is further ahead waits."""
FLUSH_S: Final = 0.2
UNTOLD: Final = (
    KafkaError._FATAL,
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
)
"""Reports of a record that don't say why."""
LOOK_RECORDS: Final = 10_000
"""How often a writer that is never asked to flush checks whether the topic is still there."""


class KafkaWriter:
    """See `LogWriter`. Raises TradecapError (exit 4) naming how many records are acknowledged, where one can't be
    delivered."""

    def __init__(self, cluster: Cluster) -> None:
        self.run = new_run(time.time_ns() // 1_000_000, "", os.urandom(10))
        self.torn: list[TornRun] = []
        self.torn_bytes = 0
        self._address = cluster.address
        self._presence = Presence(cluster, DELIVERY_S)
        self._taken = 0
        self._confirmed = 0
        self._look_at = LOOK_RECORDS
        self._failed: list[KafkaError] = []
        self._fatal: KafkaError | None = None
        self._heard = Heard()
        self._is_closed = self._is_gone = False
        self._keys: dict[str, bytes] = {}
        self._producer = Producer(
            cluster.address.client(
                **{
                    "enable.idempotence": True,
                    "acks": "all",
                    "compression.type": "zstd",
                    "partitioner": "murmur2_random",
                    "linger.ms": 5,
                    "batch.size": 512 * 1024,
                    "queue.buffering.max.kbytes": WAITING_KB,
                    "queue.buffering.max.messages": 500_000,
                    "delivery.timeout.ms": DELIVERY_S * 1000,
                    "delivery.report.only.error": True,
                    "on_delivery": self._report,
                    "error_cb": self._hear,
                }
            )
        )
        self._produce = self._producer.produce

    def append(self, line: bytes, trade: Trade | None = None) -> None:
        """See `LogWriter.append`. Waits where too much is unacknowledged."""
        if self._failed or self._fatal:
            raise self._undelivered()
        key = (
            (self._keys.get(trade.symbol) or self._key_of(trade.symbol)) if trade is not None else _key(line, self.run)
        )
        try:
            self._produce(self._address.topic, line[:-1], key, headers=HEADERS)
        except BufferError:
            self._produce_when_there_is_room(line[:-1], key)
        except KafkaException as error:
            self._refused(error)
        self._taken += 1
        if self._taken >= self._look_at:
            self._look_at += LOOK_RECORDS
            self._look()

    def append_many(self, block: Block) -> None:
        """See `LogWriter.append_many`. Waits where too much is unacknowledged."""
        text, start, produce, topic, failed = block.text, 0, self._produce, self._address.topic, self._failed
        for end, key in zip(block.ends, self._keys_of(block), strict=True):
            if failed or self._fatal:
                raise self._undelivered()
            key = key or _key(text[start:end], self.run)
            try:
                produce(topic, text[start : end - 1], key, headers=HEADERS)
            except BufferError:
                self._produce_when_there_is_room(text[start : end - 1], key)
            except KafkaException as error:
                self._refused(error)
            start = end
            self._taken += 1
            if self._taken >= self._look_at:
                self._look_at += LOOK_RECORDS
                self._look()

    def _keys_of(self, block: Block) -> list[bytes]:
        """The key of each line's trade; b"" where there is none."""
        keys = [b""] * len(block.ends)
        for line, (_, symbol, _), _, count in block.stretches:
            keys[line : line + count] = [self._keys.get(symbol) or self._key_of(symbol)] * count
        return keys

    def _produce_when_there_is_room(self, value: bytes, key: bytes) -> None:
        while True:
            polled(lambda: self._producer.poll(0.05), self._hear)
            self._look()
            try:
                return self._produce(self._address.topic, value, key, headers=HEADERS)
            except BufferError:
                continue
            except KafkaException as error:
                self._refused(error)

    def _refused(self, error: KafkaException) -> NoReturn:
        self._failed.append(error.args[0])
        raise self._undelivered() from error

    def flush(self) -> None:
        """See `LogWriter.flush`. Raises TopicGoneError (exit 3) where the topic was deleted or made again meanwhile."""
        while polled(lambda: self._producer.flush(FLUSH_S), self._hear):
            self._look()
        self._look(is_due=True)
        self._confirmed = self._taken

    def _look(self, *, is_due: bool = False) -> None:
        """Raise for what can't be delivered any more. A producer doesn't notice a topic that was made again."""
        if self._has_failed():
            raise self._undelivered()
        try:
            if is_due:
                self._presence.confirm()
            else:
                self._presence.confirm_if_due(_nobody_waits)
        except TopicGoneError as gone:
            self._is_gone = True
            raise TopicGoneError(
                f"{gone.message.removesuffix('.')}: {number(self._confirmed)} records of run {self.run} were "
                "acknowledged by the one that is gone.",
                gone.hint,
                gone.exit_code,
            ) from gone

    def close(self) -> None:
        """Flush, once."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._has_failed() or self._is_gone:
            self._producer.purge()
            polled(lambda: self._producer.flush(0), self._hear)
            return
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _key_of(self, symbol: str) -> bytes:
        return self._keys.setdefault(symbol, symbol.encode())

    def _report(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append(error)

    def _hear(self, error: KafkaError) -> None:
        """Errors of the client as a whole: what can't pass ends the run instead of being retried until the time-out."""
        self._heard(error)
        if error.fatal() or error.code() in RIGHTS:
            self._fatal = self._fatal or error

    def _has_failed(self) -> bool:
        if not self._fatal:
            self._fatal = self._heard.refusal(RUNNING_S)
        return bool(self._failed or self._fatal)

    def _cause(self) -> KafkaError:
        """A record's own report may only say that it was purged or timed out; what the client heard says why."""
        polled(lambda: self._producer.poll(0), self._hear)
        own = self._failed[0] if self._failed else None
        if own is None or own.code() in UNTOLD:
            return self._fatal or self._heard.newest or own or KafkaError(KafkaError._FAIL)
        return own

    def _undelivered(self) -> TradecapError:
        waiting = len(self._producer)
        lost = waiting + len(self._failed)
        why = translated(self._cause(), f"{self._address.topic} can't be written", self._address, "Write")
        return TradecapError(
            f"{why.message.removesuffix('.')}. About {number(max(self._taken - lost, 0))} of {number(self._taken)} "
            "records "
            f"of run {self.run} are acknowledged.",
            why.hint,
            Exit.UNDELIVERED,
        )


def _key(line: bytes, run: str) -> bytes:
    envelope = read_envelope(line[:-1])
    if envelope is None or envelope.event or not envelope.symbol:
        return run.encode()
    return envelope.symbol.encode()


def _nobody_waits() -> bool:
    """A look on the way doesn't wait for a broker that is away: librdkafka does that, and ends it in time."""
    return False

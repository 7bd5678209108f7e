"""Takes records of another log into a topic, unchanged.

Rules: the same producer as a run's writer (idempotent, acks=all, key = symbol), but nothing times out: librdkafka sends
a batch again until the broker takes it or nobody wants it any more. All that was sent is acknowledged before `settle`
returns True.
"""

from collections.abc import Callable, Sequence
from typing import Final, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tradecap.errors import Exit, TradecapError
from tradecap.log.api import Record
from tradecap.log.kafka.client import Address, polled, translated
from tradecap.log.kafka.refusals import RIGHTS, RUNNING_S, Heard
from tradecap.log.kafka.writer import HEADERS, WAITING_KB

OVERHEAD: Final = 2_000
"""Bytes that a message needs besides its value: key, header, the batch around it."""
LONGEST: Final = 1_000_000
"""Bytes of a message that librdkafka takes by default."""
FLUSH_S: Final = 0.1
KEYS_KEPT: Final = 10_000


class KafkaCarrier:
    """See `Carrier`. longest_message: bytes that the topic takes."""

    needs_trades = False

    def __init__(self, address: Address, longest_message: int) -> None:
        most = min(LONGEST, longest_message)
        self.longest = most - OVERHEAD
        self.retries = 0
        self._address = address
        self._keys: dict[str, bytes] = {}
        self._failed: list[KafkaError] = []
        self._fatal: KafkaError | None = None
        self._heard = Heard()
        self._producer = Producer(
            address.client(
                **{
                    "enable.idempotence": True,
                    "acks": "all",
                    "compression.type": "zstd",
                    "partitioner": "murmur2_random",
                    "linger.ms": 5,
                    "batch.size": min(512 * 1024, most),
                    "message.max.bytes": most,
                    "queue.buffering.max.kbytes": WAITING_KB,
                    "queue.buffering.max.messages": 500_000,
                    "delivery.timeout.ms": 0,
                    "reconnect.backoff.max.ms": 1000,
                    "delivery.report.only.error": True,
                    "on_delivery": self._report,
                    "error_cb": self._hear,
                }
            )
        )

    def send(self, records: Sequence[Record], is_wanted: Callable[[], bool]) -> bool:
        """See `Carrier.send`."""
        topic, produce, keys = self._address.topic, self._producer.produce, self._keys
        for line, envelope, _ in records:
            name = envelope.run if envelope.event or not envelope.symbol else envelope.symbol
            key = keys.get(name) or self._key_of(name)
            try:
                produce(topic, line[:-1], key, headers=HEADERS)
            except BufferError:
                if not self._produce_when_there_is_room(line[:-1], key, is_wanted):
                    return False
            except KafkaException as error:
                raise self._refused(error) from error
        return True

    def settle(self, is_wanted: Callable[[], bool]) -> bool:
        """See `Carrier.settle`."""
        while polled(lambda: self._producer.flush(FLUSH_S), self._hear):
            self._raise_if_failed()
            if not is_wanted():
                return False
        self._raise_if_failed()
        return True

    def _produce_when_there_is_room(self, value: bytes, key: bytes, is_wanted: Callable[[], bool]) -> bool:
        while True:
            polled(lambda: self._producer.poll(FLUSH_S), self._hear)
            self._raise_if_failed()
            if not is_wanted():
                return False
            try:
                self._producer.produce(self._address.topic, value, key, headers=HEADERS)
                return True
            except BufferError:
                continue
            except KafkaException as error:
                raise self._refused(error) from error

    def _key_of(self, name: str) -> bytes:
        if len(self._keys) >= KEYS_KEPT:
            self._keys.clear()
        return self._keys.setdefault(name, name.encode())

    def _refused(self, error: KafkaException) -> TradecapError:
        polled(lambda: self._producer.poll(0), self._hear)  # `produce` only knows that it is fatal
        return translated(self._fatal or error, f"{self._address.topic} can't be written", self._address, "Write")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._producer.purge()
        polled(lambda: self._producer.flush(0), self._hear)

    def _raise_if_failed(self) -> None:
        refusal = self._heard.refusal(RUNNING_S)
        if self._failed or refusal:
            cause = self._fatal or refusal or self._failed[0]  # a record's own report may only say that it was purged
            why = translated(cause, f"{self._address.topic} can't be written", self._address, "Write")
            raise TradecapError(why.message, why.hint, Exit.UNDELIVERED)

    def _report(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append(error)

    def _hear(self, error: KafkaError) -> None:
        """Errors of the client as a whole: what librdkafka doesn't get over by itself ends this carrier; the others
        count as retries."""
        self.retries += 1
        self._heard(error)
        if error.fatal() or error.code() in RIGHTS:
            self._fatal = self._fatal or error
            self._failed.append(error)

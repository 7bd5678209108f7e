"""The writer of one run into a topic.

Rules: idempotent, acks=all: a record is acknowledged once it is on every replica that counts, once. The key is the symbol (events and records without
a symbol: the run), so the records of a symbol stay in order in one partition; murmur2_random agrees with the Java and Go clients. `flush` returns
when everything is acknowledged, or raises and names what isn't. After a failure nothing more is written: a later record would follow a hole.
"""

import os
import time
from typing import Final, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tradecap.errors import Exit, TradecapError
from tradecap.log.api import TornRun
from tradecap.log.kafka.client import Address, translated
from tradecap.log.kafka.refusals import RIGHTS, RUNNING_S, Heard
from tradecap.market.records import Trade, new_run, read_envelope

HEADERS: Final[list[tuple[str, str | bytes | None]]] = [("content-type", b"application/json")]
DELIVERY_S: Final = 120
"""How long a record may wait for its acknowledgement before it counts as undelivered."""
WAITING_KB: Final = 64 * 1024
"""Bytes that wait for acknowledgement at most, in KiB; a writer that is further ahead waits."""
FLUSH_S: Final = 0.2
UNTOLD: Final = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError._TRANSPORT)
"""Reports of a record that don't say why."""


class KafkaWriter:
    """See `LogWriter`. Raises TradecapError (exit 4) naming how many records are acknowledged, where one can't be delivered."""

    def __init__(self, address: Address) -> None:
        self.run = new_run(time.time_ns() // 1_000_000, "", os.urandom(10))
        self.torn: list[TornRun] = []
        self.torn_bytes = 0
        self._address = address
        self._taken = 0
        self._failed: list[KafkaError] = []
        self._fatal: KafkaError | None = None
        self._heard = Heard()
        self._is_closed = False
        self._keys: dict[str, bytes] = {}
        self._producer = Producer(
            address.client(
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

    def append(self, line: bytes, trade: Trade | None = None) -> None:
        """See `LogWriter.append`. Waits where too much is unacknowledged."""
        if self._failed or self._fatal:
            raise self._undelivered()
        key = self._key_of(trade) if trade is not None else _key(line, self.run)
        while True:
            try:
                self._producer.produce(self._address.topic, line[:-1], key, headers=HEADERS)
                break
            except BufferError:
                self._producer.poll(0.05)
                if self._has_failed():
                    raise self._undelivered() from None
            except KafkaException as error:
                self._failed.append(error.args[0])
                raise self._undelivered() from error
        self._taken += 1

    def flush(self) -> None:
        """See `LogWriter.flush`."""
        while self._producer.flush(FLUSH_S) and not self._has_failed():
            pass
        if self._has_failed():
            raise self._undelivered()

    def close(self) -> None:
        """Flush, once."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._has_failed():
            self._producer.purge()
            self._producer.flush(0)
            return
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _key_of(self, trade: Trade) -> bytes:
        key = self._keys.get(trade.symbol)
        if key is None:
            key = self._keys[trade.symbol] = trade.symbol.encode()
        return key

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
        self._producer.poll(0)
        own = self._failed[0] if self._failed else None
        if own is None or own.code() in UNTOLD:
            return self._fatal or self._heard.newest or own or KafkaError(KafkaError._FAIL)
        return own

    def _undelivered(self) -> TradecapError:
        waiting = len(self._producer)
        lost = waiting + len(self._failed)
        why = translated(self._cause(), f"{self._address.topic} can't be written", self._address, "Write")
        return TradecapError(
            f"{why.message.removesuffix('.')}. About {max(self._taken - lost, 0):,} of {self._taken:,} records of run {self.run} are acknowledged.",
            why.hint,
            Exit.UNDELIVERED,
        )


def _key(line: bytes, run: str) -> bytes:
    envelope = read_envelope(line[:-1])
    if envelope is None or envelope.event or not envelope.symbol:
        return run.encode()
    return envelope.symbol.encode()

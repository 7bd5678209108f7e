"""How a client of the cluster is set up, and what its errors mean for a person.

Rules: librdkafka's properties may be set by the user, except those that the guarantees depend on. Secrets come from the
environment or a file and are never part of a message. A broker's final refusal is an error at once; what may pass is
retried by librdkafka until its time-outs.

Source: librdkafka CONFIGURATION.md; error codes as in rdkafka.h.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from confluent_kafka import KafkaError, KafkaException

from tradecap.errors import Exit, TradecapError
from tradecap.log.kafka.refusals import RIGHTS, is_refusal, lacking, plain, refused

OURS: Final = (
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "partitioner",
    "isolation.level",
    "transactional.id",
    "auto.offset.reset",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "bootstrap.servers",
    "metadata.broker.list",
    "compression.type",
    "compression.codec",
    "allow.auto.create.topics",
)
"""Properties that a user can't set: the guarantees, or the URL, decide them."""
SECRETS: Final = ("sasl.password", "ssl.key.password", "ssl.keystore.password")
"""Properties whose every sign counts."""
EXAMPLE: Final = "write kafka://host:port/topic, for example kafka://localhost:19092/trades.raw"
_SILENT: Final = logging.getLogger(f"{__name__}.librdkafka")
"""librdkafka writes fatal errors to stderr whatever its log_level is; they come to error_cb as well."""
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
REACH_S: Final = 10.0
"""How long the first answer of a broker may take before it counts as unreachable."""


class TopicGoneError(TradecapError):
    """The topic that a process reads or writes was deleted, or deleted and made again: what it knows of positions and
    records isn't true any more."""


class Address:
    """A `kafka://host:port[,host:port]/topic`, taken apart. Raises TradecapError (exit 2) for a URL that isn't one."""

    def __init__(self, url: str, properties: Mapping[str, str], venue: str = "") -> None:
        """venue: that of messages without an envelope."""
        rest = url.partition("://")[2]
        hosts, _, topic = rest.partition("/")
        if not hosts or not topic or "/" in topic or "@" in hosts:
            raise TradecapError(
                f"{'kafka://…@…' if '@' in hosts else url!r} isn't the URL of a topic.",
                f"{EXAMPLE}; a user is named by TRADECAP_KAFKA_SASL_USERNAME and TRADECAP_KAFKA_SASL_PASSWORD.",
            )
        _refuse_topic_name(topic)
        self.url = url
        self.topic = topic
        self.venue = venue
        self.servers = ",".join(_with_port(host, url) for host in hosts.split(","))
        refused = sorted(set(properties) & set(OURS))
        if refused:
            raise TradecapError(
                f"The Kafka property {refused[0]} can't be set: the guarantees of the log depend on it.",
                "leave it out of the profile and of TRADECAP_KAFKA_*.",
            )
        if trimmed := sorted(name for name in SECRETS if properties.get(name, "")[:1].isspace()):
            raise TradecapError(
                f"The Kafka property {trimmed[0]} begins with white space, which librdkafka drops.",
                "choose another password.",
            )
        self.properties = dict(properties)

    def client(self, **ours: Any) -> dict[str, Any]:
        """The configuration of a client: the user's properties and ours."""
        quiet = {"log_level": 0, "logger": _SILENT, "client.id": "tradecap", "socket.connection.setup.timeout.ms": 5000}
        return {**quiet, **self.properties, "bootstrap.servers": self.servers, **ours}

    def place(self, partition: int, offset: int) -> str:
        """Where a record is: topic/partition@offset."""
        return f"{self.topic}/{partition}@{offset}"

    def receded(self, partition: int) -> TradecapError:
        """The error for records that retention removed while they were read."""
        message = (
            f"Log {self.url} can't be read on: retention removed records of partition {partition} while they were read."
        )
        return TradecapError(message, "run the command again; it begins at what is left.", Exit.UNREACHABLE)


def _with_port(host: str, url: str) -> str:
    parts = urlsplit(f"//{host}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if not parts.hostname or port == -1:
        raise TradecapError(f"{host!r} in {url} isn't a host and port.", EXAMPLE)
    return host if port is not None else f"{host}:9092"


def _refuse_topic_name(topic: str) -> None:
    """Kafka's own rule (org.apache.kafka.common.internals.Topic)."""
    if (
        len(topic) > 249
        or topic in (".", "..")
        or not all(sign.isascii() and (sign.isalnum() or sign in "._-") for sign in topic)
    ):
        raise TradecapError(
            f"{topic[:60]!r} isn't a topic name.",
            "a topic's name has at most 249 letters, digits, dots, underscores and hyphens.",
        )


def translated(
    error: KafkaException | KafkaError, what: str, address: Address, operation: str = "Describe"
) -> TradecapError:
    """The error as a sentence: what was tried, why it failed, what to do. operation: what was to be done with the
    topic, as Kafka names it."""
    kafka = error.args[0] if isinstance(error, KafkaException) else error
    code = kafka.code() if isinstance(kafka, KafkaError) else 0
    reason = plain(kafka) if isinstance(kafka, KafkaError) else str(kafka)
    if code == KafkaError.UNKNOWN_TOPIC_OR_PART or code == KafkaError._UNKNOWN_TOPIC:
        return TradecapError(
            f"{what}: there is no such topic.",
            "'tradecap topics --create' makes it, and so do 'tradecap stream' and 'tradecap replay'.",
        )
    if code in RIGHTS:
        return lacking(code, what, operation, address.topic, address.servers, address.properties)
    if isinstance(kafka, KafkaError) and is_refusal(kafka):
        return refused(kafka, what, address.servers, address.properties)
    if code in UNREACHED:
        return TradecapError(
            f"{what}: no broker answers ({reason}).",
            "is the broker up, does it advertise an address that this machine reaches, and does it want TLS or a "
            "login (security.protocol)?",
            Exit.UNREACHABLE,
        )
    return TradecapError(f"{what}: {reason}.", "run again with -vv for the whole story.", Exit.UNREACHABLE)


def polled(step: Callable[[], int], hear: Callable[[KafkaError], object]) -> int:
    """What a producer's poll or flush returns; 0 where it raises a fatal error, which confluent_kafka gives nobody else
    to hear (measured, 2.16)."""
    try:
        return step()
    except KafkaException as error:
        hear(error.args[0])
        return 0


FORGOTTEN: Final = -137
"""A question whose broker was forgotten while it waited: RD_KAFKA_RESP_ERR__DESTROY_BROKER of librdkafka's rdkafka.h.
Older versions of confluent-kafka have no name for it."""
UNREACHED: Final = (
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    FORGOTTEN,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._SSL,
    KafkaError.REQUEST_TIMED_OUT,
)
ELECTING: Final = (
    KafkaError._NOENT,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
)
"""A leader or coordinator is being chosen. _NOENT is the answer of list_offsets where none of the partitions that were
asked about has a leader."""
PASSING: Final = (
    *ELECTING,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    FORGOTTEN,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.NOT_COORDINATOR,
    KafkaError._MAX_POLL_EXCEEDED,
)
"""Errors that librdkafka retries by itself: a reader waits."""

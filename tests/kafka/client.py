"""A running Kafka as its clients see it: an address, and topics."""

import time
from collections.abc import Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

TIMEOUT_S = 30.0


class Kafka:
    """The address of a running Kafka, with what tests need of its administration."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        # Tests kill brokers: log_level 0 keeps librdkafka from reporting each refused connection on stderr.
        quick = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200, "log_level": 0}
        self.admin = AdminClient({"bootstrap.servers": bootstrap, **quick})

    def url(self, topic: str) -> str:
        """The topic as the URL of a log."""
        return f"kafka://{self.bootstrap}/{topic}"

    def is_ready(self, timeout_s: float = 1.0) -> bool:
        """Whether a broker takes requests: a broker that is still fenced is not listed."""
        try:
            return bool(self.admin.list_topics(timeout=timeout_s).brokers)
        except KafkaException:
            return False

    def new_topic(self, name: str, partitions: int = 4, config: Mapping[str, str] | None = None) -> str:
        """Make a topic and wait until clients can use it."""
        wanted = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        self.admin.create_topics([wanted], request_timeout=TIMEOUT_S)[name].result()
        self.wait_for_leaders(name, partitions)
        return name

    def delete_topic(self, name: str) -> None:
        """Delete a topic and wait until it is gone."""
        self.admin.delete_topics([name], request_timeout=TIMEOUT_S)[name].result()
        self.wait_for_leaders(name, 0)

    def wait_for_leaders(self, name: str, partitions: int) -> None:
        """Wait until the topic has exactly this many partitions with a leader: the broker learns of a change after the
        controller made it."""
        deadline = time.monotonic() + TIMEOUT_S
        while (
            sum(
                each.leader >= 0
                for each in self.admin.list_topics(name, timeout=TIMEOUT_S).topics[name].partitions.values()
            )
            != partitions
        ):
            if time.monotonic() > deadline:
                raise TimeoutError(f"topic {name} doesn't have {partitions} partitions after {TIMEOUT_S:.0f} s")
            time.sleep(0.02)

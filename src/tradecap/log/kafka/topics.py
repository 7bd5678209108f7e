"""Topics: made as they are wanted, and how one that exists differs from that.

Rules: a setting that the broker doesn't have isn't a difference (Redpanda has no min.insync.replicas). Settings that
could lose an acknowledged record are refused where a writer begins: a single copy counting as safe, an election of a
replica that lags, an acknowledgement before the disk.

Sources: Kafka documentation, topic configs; Redpanda documentation, write caching.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from tradecap.errors import TradecapError
from tradecap.log.kafka.client import REACH_S, Address
from tradecap.log.kafka.cluster import Cluster

PARTITIONS: Final = 4
SHOWN: Final = (
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "max.message.bytes",
    "min.insync.replicas",
    "message.timestamp.type",
    "write.caching",
)

COMPACTED: Final = {"segment.bytes": "16777216", "min.cleanable.dirty.ratio": "0.1", "delete.retention.ms": "3600000"}
"""A segment that is being written isn't compacted: with Kafka's 1 GiB, state that is read within seconds would take
minutes."""


class Drift(NamedTuple):
    """A setting that isn't as wanted."""

    setting: str
    wanted: str
    present: str


class Topic(NamedTuple):
    """A topic as it is. replication: copies of each partition; config: the settings that matter here, as far as the
    broker has them."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]
    drift: list[Drift]


def wanted_config(replication: int, policy: str = "delete") -> dict[str, str]:
    """The settings a topic is made with. The records of a log are deleted by age only, never compacted; when, is the
    cluster's default."""
    return {
        "cleanup.policy": policy,
        "message.timestamp.type": "CreateTime",
        "unclean.leader.election.enable": "false",
        "min.insync.replicas": "2" if replication >= 3 else "1",
        **(COMPACTED if policy == "compact" else {}),
    }


def create_topic(
    cluster: Cluster, partitions: int = PARTITIONS, replication: int | None = None, policy: str = "delete"
) -> bool:
    """Make the topic; False where it exists. replication: copies, the cluster's default where None. policy:
    cleanup.policy. Raises TradecapError."""
    if _exists(cluster):
        return False  # asked first: a client that may write it, but not make topics, would be refused
    copies = replication if replication is not None else min(3, len(_brokers(cluster)))
    name = cluster.address.topic
    for config in (wanted_config(copies, policy), {"cleanup.policy": policy}):
        try:
            cluster.answer(
                cluster.admin.create_topics(
                    [NewTopic(name, partitions, copies, config=config)], request_timeout=REACH_S
                )[name]
            )
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            if code == KafkaError.INVALID_CONFIG and len(config) > 1:
                continue  # a broker that doesn't know one of them: what it has of them is seen as drift
            raise cluster.failure(error, f"Topic {name} can't be made", "Create") from error
        cluster.wait_until_known()
        return True
    return False


def _exists(cluster: Cluster) -> bool:
    """Whether the topic is there. A broker hides one that the client has no right to, so False also means: it isn't to
    be seen."""
    try:
        cluster.describe()
    except TradecapError as error:
        if _code(error) in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED):
            return False
        raise
    return True


def _code(error: TradecapError) -> int | None:
    return error.__cause__.args[0].code() if isinstance(error.__cause__, KafkaException) else None


def describe_topic(cluster: Cluster, policy: str = "delete", *, may_be_hidden: bool = False) -> Topic | None:
    """The topic as it is; None where there is none, or, if it may be, one that this client may not see. policy: the
    cleanup.policy that is wanted."""
    try:
        described = cluster.describe()
    except TradecapError as error:
        if _code(error) == KafkaError.UNKNOWN_TOPIC_OR_PART or (
            may_be_hidden and _code(error) == KafkaError.TOPIC_AUTHORIZATION_FAILED
        ):
            return None
        raise
    replication = min((len(partition.replicas) for partition in described.partitions), default=0)
    present = _config(cluster)
    wanted = wanted_config(replication, policy)
    drift = [
        Drift(name, value, present[name])
        for name, value in wanted.items()
        if not _is_same(present.get(name, value), value)
    ]
    shown = {name: present[name] for name in SHOWN if name in present}
    return Topic(
        name=cluster.address.topic,
        partitions=len(described.partitions),
        replication=replication,
        config=shown,
        drift=drift,
    )


def _is_same(present: str, wanted: str) -> bool:
    """Lists come in any order: compact,delete is delete,compact."""
    return set(present.split(",")) == set(wanted.split(","))


def refuse_unsafe(cluster: Cluster, policy: str = "delete") -> None:
    """Raise TradecapError (exit 2) for a topic that may lose what it has acknowledged. policy: the cleanup.policy that
    is wanted."""
    topic = describe_topic(cluster)
    if topic is None:
        return
    present = _config(cluster)
    if topic.replication >= 3 and present.get("min.insync.replicas") == "1":
        raise _unsafe(topic.name, "min.insync.replicas", "1", "2", "one copy of three counts as safe")
    if present.get("unclean.leader.election.enable") == "true":
        raise _unsafe(
            topic.name, "unclean.leader.election.enable", "true", "false", "a replica that lags may become the leader"
        )
    cleanup = present.get("cleanup.policy", policy)
    if "compact" not in policy and "compact" in cleanup:
        raise _unsafe(topic.name, "cleanup.policy", cleanup, "delete", "only the newest record of each symbol is kept")
    if policy == "compact" and cleanup != "compact":
        raise _unsafe(topic.name, "cleanup.policy", cleanup, "compact", "state is deleted by its age")
    if present.get("write.caching") == "true":
        raise _unsafe(
            topic.name, "write.caching", "true", "false", "records are acknowledged before they are on a disk"
        )


def longest_message(cluster: Cluster) -> int:
    """The bytes of the longest message that the topic takes; Kafka's default where the broker doesn't say."""
    return int(_config(cluster).get("max.message.bytes", "1048588"))


def _unsafe(topic: str, setting: str, present: str, wanted: str, why: str) -> TradecapError:
    return TradecapError(
        f"Topic {topic} may lose records that it acknowledged: {setting} is {present}, so {why}.",
        f"set it: rpk topic alter-config {topic} --set {setting}={wanted} (Kafka: kafka-configs --alter "
        f"--add-config {setting}={wanted})",
    )


def _config(cluster: Cluster) -> Mapping[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, cluster.address.topic)
    try:
        entries: Any = cluster.answer(cluster.admin.describe_configs([resource], request_timeout=REACH_S)[resource])
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return {}  # the right to write a topic doesn't include the right to see its settings
        raise cluster.failure(
            error, f"The settings of {cluster.address.topic} can't be read", "DescribeConfigs"
        ) from error
    return {name: entry.value for name, entry in entries.items() if entry.value is not None}


def _brokers(cluster: Cluster) -> list[Any]:
    try:
        return list(cluster.answer(cluster.admin.describe_cluster(request_timeout=REACH_S)).nodes)
    except KafkaException as error:
        raise cluster.failure(error, f"Log {cluster.address.url} can't be opened") from error


def topic_behind(
    url: str, properties: Mapping[str, str], *, create: bool, partitions: int, replication: int | None
) -> tuple[str, Topic | None, bool]:
    """The name of the topic behind a URL, what it is (None where it is missing), and whether it was made now."""
    cluster = Cluster(Address(url, properties))
    is_new = create and create_topic(cluster, partitions, replication)
    return cluster.address.topic, describe_topic(cluster), is_new

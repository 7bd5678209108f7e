"""The topics of `process`: their names, how they are made, and what is refused.

Rules: each has as many partitions as the log, since what follows from a partition stays in the partition of that
number. The state is compacted and never deleted by age; what others read is deleted by age; of a minute the last
message is kept until then.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from tradecap.errors import TradecapError
from tradecap.log.api import Damage
from tradecap.log.kafka.client import Address
from tradecap.log.kafka.cluster import Cluster
from tradecap.log.kafka.reader import read_alone
from tradecap.log.kafka.topics import PARTITIONS, Drift, Topic, create_topic, describe_topic, refuse_unsafe
from tradecap.market.batch import BEGINNING, Values

OWN: Final = ("enriched", "candles", "quarantine", "state")
"""What a profile calls them."""


class OutputTopics(NamedTuple):
    """Their names."""

    enriched: str
    candles: str
    quarantine: str
    state: str


POLICIES: Final = OutputTopics("delete", "compact,delete", "delete", "compact")


def output_topics(topic: str, chosen: Mapping[str, str]) -> OutputTopics:
    """The names for a log's topic. chosen: those that the profile sets. Raises TradecapError (exit 2) where two of them
    are one topic."""
    if topic == "trades.raw":
        names = OutputTopics("trades.enriched", "candles.1m", "trades.quarantine", "process.state")
    else:
        names = OutputTopics(
            f"{topic}.enriched", f"{topic}.candles.1m", f"{topic}.quarantine", f"{topic}.process.state"
        )
    names = names._replace(**chosen)
    if len({topic, *names}) <= len(names):
        twice = next(name for name in names if [topic, *names].count(name) > 1)
        raise TradecapError(
            f"Topic {twice} can't be used for two things.",
            "give each its own name in [profile.NAME.topics] of tradecap.toml.",
        )
    return names


class Outputs:
    """The topics of one log."""

    def __init__(self, log: Cluster, names: OutputTopics) -> None:
        self.names = names
        self._log = log
        self._by_name = list(zip((_cluster(log, name) for name in names), POLICIES, strict=True))

    @property
    def state(self) -> Cluster:
        """Asks about the topic that holds the state."""
        return self._of("state")

    def values(self, output: str) -> Iterator[tuple[int, bytes]]:
        """Partition and value of the committed messages of one of them, those of a partition in their order. Raises
        TradecapError."""
        for batch in read_alone(self._of(output), BEGINNING, None, _pass_by):
            assert isinstance(batch.content, Values)
            yield from ((batch.end.partition, value) for value in batch.content.values if value)

    def is_shortened(self, output: str) -> bool:
        """Whether retention has removed something from it."""
        return any(extent.first for extent in self._of(output).extents().values())

    def _of(self, output: str) -> Cluster:
        return self._by_name[OWN.index(output)][0]

    def create(self, replication: int | None = None, partitions: int = PARTITIONS) -> list[str]:
        """Make what is missing, with as many partitions as the log has; the names of those made."""
        return [
            cluster.address.topic
            for cluster, policy in self._by_name
            if create_topic(cluster, partitions, replication, policy)
        ]

    def describe(self, partitions: int, *, may_be_hidden: bool = False) -> list[Topic]:
        """Those that exist, as they are. partitions: those of the log. may_be_hidden: leave out what this client has no
        right to see."""
        found = [
            topic
            for cluster, policy in self._by_name
            if (topic := describe_topic(cluster, policy, may_be_hidden=may_be_hidden))
        ]
        return [
            topic
            if topic.partitions == partitions
            else topic._replace(drift=[*topic.drift, Drift("partitions", str(partitions), str(topic.partitions))])
            for topic in found
        ]

    def refuse_unusable(self) -> None:
        """Raise TradecapError for topics that are missing, differ from the log in their partitions, may lose something,
        or can't be written."""
        partitions = len(self._log.partitions())
        present = {topic.name: topic for topic in self.describe(partitions)}
        if missing := [name for name in self.names if name not in present]:
            raise TradecapError(f"There is no topic {missing[0]}.", "make what is missing: tradecap topics --create")
        for cluster, policy in self._by_name:
            topic = present[cluster.address.topic]
            if topic.partitions != partitions:
                log = self._log.address.topic
                raise TradecapError(
                    f"Topic {topic.name} has {topic.partitions} partitions, and {log} has {partitions}: a trade "
                    "belongs into the same one in both.",
                    f"with `process` stopped, delete the topics {', '.join(self.names)}, and make them again: "
                    "tradecap topics --create",
                )
            refuse_unsafe(cluster, policy)
            cluster.refuse_reader_only()


def _pass_by(_: Damage) -> None:
    """What retention removed is asked for by `is_shortened`."""


def _cluster(log: Cluster, topic: str) -> Cluster:
    address = log.address
    return Cluster(Address(f"kafka://{address.servers}/{topic}", address.properties), log.say)


def outputs_behind(
    url: str,
    properties: Mapping[str, str],
    chosen: Mapping[str, str],
    *,
    create: bool,
    partitions: int,
    replication: int | None,
) -> tuple[list[Topic], list[str], list[str]]:
    """The topics of `process` behind a log's URL that exist, the names of those made now, and of those missing.
    partitions: the log's."""
    log = Cluster(Address(url, properties))
    outputs = Outputs(log, output_topics(log.address.topic, chosen))
    made = outputs.create(replication, partitions) if create else []
    found = outputs.describe(partitions, may_be_hidden=True)
    return found, made, [name for name in outputs.names if name not in {topic.name for topic in found}]

"""Three brokers that are one cluster, each a controller as well: any one of them may die."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.kafka.broker import HOST, Broker, free_port, new_cluster_id
from tests.kafka.installation import Installation

NODES: Final = range(1, 4)


class Cluster:
    """The brokers of one cluster, by node. Topics get three copies, two of which must have a record before it is
    acknowledged."""

    def __init__(self, folder: Path, installation: Installation) -> None:
        ports = {node: (free_port(), free_port()) for node in NODES}
        shared = {
            "controller.quorum.voters": ",".join(
                f"{node}@{HOST}:{controller}" for node, (_, controller) in ports.items()
            ),
            "offsets.topic.replication.factor": "3",
            "transaction.state.log.replication.factor": "3",
            "transaction.state.log.min.isr": "2",
            "replica.lag.time.max.ms": "3000",
        }
        cluster_id = new_cluster_id()
        self.brokers = [
            Broker(
                folder / f"node{node}",
                installation,
                port=port,
                settings={
                    **shared,
                    "node.id": str(node),
                    "listeners": f"CLIENTS://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
                },
                cluster_id=cluster_id,
            )
            for node, (port, controller) in ports.items()
        ]

    def start(self, brokers: list[Broker] | None = None) -> None:
        """Start brokers at once: none is ready before two of three controllers are."""
        with ThreadPoolExecutor() as starting:
            for started in [starting.submit(broker.start) for broker in brokers or self.brokers]:
                started.result()

    def url(self, topic: str) -> str:
        """The topic as the URL of a log; any of the brokers answers."""
        return f"kafka://{','.join(broker.bootstrap for broker in self.brokers)}/{topic}"


@contextmanager
def running(folder: Path, installation: Installation) -> Iterator[Cluster]:
    """A cluster for as long as a `with` lasts."""
    cluster = Cluster(folder, installation)
    try:
        cluster.start()
        yield cluster
    finally:
        for broker in cluster.brokers:
            broker.kill()

"""A capture into a cluster of three brokers that die. Part of `make chaos` only: it takes minutes, and memory for three
brokers."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exchange import until
from tests.flows.test_spool import capturing, ended, in_topic, spooled, trading
from tests.kafka.cluster import Cluster, running
from tests.kafka.installation import Installation
from tradecap.log.kafka.topics import topic_behind

pytestmark = [pytest.mark.kafka, pytest.mark.cluster]
SMALL = 1_000_000
"""Bytes: what may wait in the spool of a capture that keeps up."""


@pytest.fixture(scope="module")
def cluster(kafka_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster"), kafka_installation) as cluster:
        yield cluster


@pytest.fixture
def url(cluster: Cluster, topic_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A topic with three copies of each partition."""
    monkeypatch.chdir(tmp_path)
    url = cluster.url(topic_name)
    _, topic, _ = topic_behind(url, {}, create=True, partitions=4, replication=None)
    assert topic is not None
    assert (topic.replication, topic.config["min.insync.replicas"]) == (3, "2")
    return url


def test_each_broker_is_killed_in_turn_and_the_capture_goes_on(cluster: Cluster, url: str) -> None:
    """One machine of three would take the capture with it, or an acknowledged record."""
    with trading(300) as exchange, capturing(exchange, url) as process:
        until(lambda: spooled() > 0, 30)
        for broker in cluster.brokers:
            broker.kill()
            time.sleep(8)
            until(lambda: spooled() < SMALL, 60)
            assert process.poll() is None
            broker.start()
            time.sleep(5)  # its copies catch up
        code, result, err = ended(process)
    assert (code, result["undelivered"]) == (0, 0), err
    assert in_topic(url) == {result["run"]: list(range(result["records"]))}


def test_two_of_three_dead_brokers_make_the_spool_grow(cluster: Cluster, url: str) -> None:
    """A record that only one broker has counts as acknowledged nowhere; here it waits in the spool."""
    with trading(300) as exchange, capturing(exchange, url) as process:
        until(lambda: spooled() > 0, 30)
        for broker in cluster.brokers[:2]:
            broker.kill()
        time.sleep(15)
        assert process.poll() is None
        assert spooled() > 2_000_000
        cluster.start(cluster.brokers[:2])
        until(lambda: spooled() < SMALL, 90)
        code, result, err = ended(process)
    assert (code, result["undelivered"]) == (0, 0), err
    assert in_topic(url) == {result["run"]: list(range(result["records"]))}

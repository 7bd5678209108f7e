"""The broker that tests with the marker `kafka` rely on."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.kafka import watch
from tests.kafka.broker import Broker, is_open
from tests.kafka.client import Kafka
from tests.kafka.locks import hold_shared

pytestmark = pytest.mark.kafka

TIMEOUT_S = 20
JOIN = """
import pathlib, sys
from tests.kafka.broker import install, shared_broker
with shared_broker(pathlib.Path(sys.argv[1]), install()) as kafka: print(kafka.bootstrap)
"""
USER = (
    "import pathlib, sys; from tests.kafka.locks import hold_shared; lock = "
    "hold_shared(pathlib.Path(sys.argv[1])); print(flush=True); input()"
)


def produce(bootstrap: str, topic: str, *values: bytes) -> Producer:
    """Hand the values to partition 0; they are sent in the background."""
    quick = {"reconnect.backoff.max.ms": 200, "topic.metadata.propagation.max.ms": 500, "log_level": 0}
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, **quick})
    for value in values:
        producer.produce(topic, value, partition=0)
    return producer


def consume(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    """The first `count` values of partition 0."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, "log_level": 0}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = consumer.consume(count, timeout=TIMEOUT_S)
    consumer.close()
    return [message.value() for message in messages if not message.error()]


def test_a_record_that_was_acknowledged_is_read_back(kafka: Kafka, topic: str) -> None:
    """Nothing else here would mean anything."""
    assert produce(kafka.bootstrap, topic, b"one", b"two").flush(TIMEOUT_S) == 0
    assert consume(kafka.bootstrap, topic, 2) == [b"one", b"two"]


def test_another_process_of_the_session_uses_the_same_broker(kafka: Kafka, session_folder: Path) -> None:
    """Two workers would run two shared brokers, or the first to end would stop the broker of the others."""
    other = subprocess.run(
        [sys.executable, "-c", JOIN, session_folder], check=True, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert other.stdout.strip() == kafka.bootstrap
    assert kafka.is_ready()


def test_a_topic_comes_and_goes_only_by_name(kafka: Kafka, topic_name: str) -> None:
    """A typo would make a topic, and a deleted topic would come back by itself."""
    assert produce(kafka.bootstrap, topic_name, b"one").flush(TIMEOUT_S) == 0
    assert topic_name not in kafka.admin.list_topics(timeout=TIMEOUT_S).topics
    kafka.new_topic(topic_name, partitions=3)
    assert len(kafka.admin.list_topics(timeout=TIMEOUT_S).topics[topic_name].partitions) == 3
    kafka.delete_topic(topic_name)
    assert topic_name not in kafka.admin.list_topics(timeout=TIMEOUT_S).topics


def test_kill_9_keeps_what_was_acknowledged(killable_broker: Broker, topic_name: str) -> None:
    """Crash tests need a broker that comes back at the same address with its data."""
    killable_broker.kafka.new_topic(topic_name)
    assert (
        produce(killable_broker.bootstrap, topic_name, *(b"%d" % number for number in range(1_000))).flush(TIMEOUT_S)
        == 0
    )
    killable_broker.kill()
    assert not is_open(killable_broker.port)
    killable_broker.restart()
    assert consume(killable_broker.bootstrap, topic_name, 1_000) == [b"%d" % number for number in range(1_000)]


def test_a_paused_broker_acknowledges_nothing_until_it_goes_on(killable_broker: Broker, topic_name: str) -> None:
    """Tests of a broker that hangs need one whose connections stay open."""
    killable_broker.kafka.new_topic(topic_name)
    producer = produce(killable_broker.bootstrap, topic_name, b"one")
    assert producer.flush(TIMEOUT_S) == 0
    killable_broker.pause()
    producer.produce(topic_name, b"two")
    assert producer.flush(0.5) == 1
    killable_broker.resume()
    assert producer.flush(TIMEOUT_S) == 0


def test_a_broker_ends_with_its_last_user_even_if_that_is_killed(tmp_path: Path) -> None:
    """A test run that was killed would leave brokers behind, each with 200 MB of memory."""
    users, data = tmp_path / "users", tmp_path / "data"
    data.mkdir()
    stand_in = subprocess.Popen(["sleep", "60"], start_new_session=True)
    user = subprocess.Popen([sys.executable, "-c", USER, users], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert user.stdout is not None
    user.stdout.readline()
    first = hold_shared(users)
    watcher = subprocess.Popen([sys.executable, watch.__file__, users, str(stand_in.pid), data])
    first.close()
    with pytest.raises(subprocess.TimeoutExpired):
        stand_in.wait(0.5)
    user.kill()
    assert stand_in.wait(TIMEOUT_S) == -signal.SIGKILL
    assert watcher.wait(TIMEOUT_S) == 0
    assert not data.exists()
    user.communicate()


def test_a_broker_that_cannot_start_says_why(killable_broker: Broker, tmp_path: Path) -> None:
    """Whoever changed a setting would look at a test that waits for a minute and names no reason."""
    broker = Broker(tmp_path / "wrong", killable_broker.installation, settings={"num.io.threads": "none"})
    with pytest.raises(RuntimeError, match=r"num\.io\.threads"):
        broker.start()
    assert not broker.is_running

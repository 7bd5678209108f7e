"""What a cluster that is only choosing leaders, or has only just started, is not taken for. The rest is tested against
a real broker in tests/flows/test_kafka.py."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from tradecap.errors import TradecapError
from tradecap.log.kafka import cluster as module
from tradecap.log.kafka.client import Address, TopicGoneError
from tradecap.log.kafka.cluster import Cluster

UNKNOWN = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "unknown topic"))


@pytest.fixture
def cluster() -> Cluster:
    """A cluster that isn't there: each test gives its answers."""
    return Cluster(Address("kafka://127.0.0.1:1/trades.raw", {}))


def answering(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, *answers: Callable[[], Any]) -> None:
    """Each question for the topic gets the next of these answers, the last one again and again."""
    left = list(answers)

    def ask(_: str, __: Callable[[], Any]) -> Any:
        try:
            return (left.pop(0) if len(left) > 1 else left[0])()
        except KafkaException as error:
            raise TradecapError("It failed.", "look.") from error

    monkeypatch.setattr(cluster, "_ask", ask)


def unknown() -> Any:
    raise UNKNOWN


def known() -> Any:
    return SimpleNamespace(topic_id="a-topic", partitions=[])


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._NOENT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
    ],
)
def test_a_question_during_an_election_is_asked_again(cluster: Cluster, code: int) -> None:
    """A loader that follows would end at each failover."""
    errors = [KafkaException(KafkaError(code, "an election"))] * 2

    def question() -> int:
        if errors:
            raise errors.pop()
        return 7

    assert cluster._ask("It can't be read", question) == 7


def test_a_question_that_has_waited_long_is_no_deleted_topic(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that comes back and doesn't know its topics in its first answer would end a capture for good."""
    monkeypatch.setattr(module, "GONE_S", 0.3)

    def unknown_at_last() -> Any:
        time.sleep(0.5)  # the broker was away
        raise UNKNOWN

    answering(monkeypatch, cluster, unknown_at_last, known)
    cluster.refuse_another_topic()


def test_a_topic_that_stays_unknown_is_gone(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture would write into nothing forever."""
    monkeypatch.setattr(module, "GONE_S", 0.3)
    answering(monkeypatch, cluster, unknown)
    with pytest.raises(TopicGoneError, match="was deleted"):
        cluster.refuse_another_topic()


def test_a_topic_just_made_is_there_for_the_next_broker_too(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cluster, a capture would make its topic and end with 'no such topic'."""
    cluster._made_s = time.monotonic()
    answering(monkeypatch, cluster, unknown, unknown, known)
    assert cluster.describe().topic_id == "a-topic"


def test_a_topic_that_nobody_made_is_missed_at_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong name would be answered late."""
    answering(monkeypatch, cluster, unknown, known)
    with pytest.raises(TradecapError):
        cluster.describe()

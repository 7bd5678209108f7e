"""How values of a topic come together in batches, and when a loader joins its group again."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from tradecap.errors import TradecapError
from tradecap.flows.live import QUIET_S
from tradecap.log.kafka import reader as module
from tradecap.log.kafka.cluster import Cluster
from tradecap.log.kafka.reader import BATCH_S, LIVE_S, Collected, read_as_group


class _Read:
    """What a batch takes from a message of librdkafka, which only librdkafka can make."""

    def __init__(self, partition: int) -> None:
        self._partition = partition

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return 0

    def value(self) -> bytes:
        return b"{}"


def test_a_live_record_does_not_wait_for_a_full_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a busy topic's end, where the end itself is hardly ever seen, a trade would reach the store five seconds
    late."""
    now_s = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    collected = Collected("binance")
    collected.reached_end(0)
    for partition in (0, 1):
        collected.add(cast(Message, _Read(partition)))
    assert collected.due([]) == []
    now_s += LIVE_S * 1.01
    assert collected.due([]) == [0], "partition 1 still has a backlog"
    now_s += BATCH_S
    assert collected.due([]) == [0, 1]


def test_serving_waits_for_the_first_batch() -> None:
    """A server would be ready, and without a trade."""
    assert QUIET_S > BATCH_S * 2


class _Broker:
    """A cluster that answers, and members of its group whose first ones fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int, failing: int) -> None:
        self.joined = self.left = 0
        self.reported: list[str] = []
        broker = self

        class Member:
            def __init__(self, *_: object) -> None:
                broker.joined += 1
                self.fails = broker.joined <= failing

            def batches(self, *_: object) -> Iterator[str]:
                if self.fails:
                    raise TradecapError("It failed.", "look.") from KafkaException(KafkaError(code, "it failed"))
                yield "a batch"

            def close(self) -> None:
                broker.left += 1

        monkeypatch.setattr(module, "_LoadingMember", Member)
        monkeypatch.setattr(module, "AGAIN_S", 0.0)

    def batches(self, *, follows: bool, is_wanted: bool = True) -> list[Any]:
        """What a loader of the group gets."""
        address = SimpleNamespace(url="")
        cluster = SimpleNamespace(
            address=address, extents=dict, refuse_another_topic=lambda: None, say=self.reported.append
        )
        follow = (lambda: is_wanted) if follows else None
        return list(read_as_group(cast(Cluster, cluster), "it", dict, follow, lambda _: None))


@pytest.mark.parametrize("code", [KafkaError._TIMED_OUT, KafkaError._NOENT, KafkaError.UNKNOWN_TOPIC_OR_PART])
def test_a_follower_joins_again_after_what_passes(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A follower would end when the broker is back, because the first question after that was late."""
    broker = _Broker(monkeypatch, code, failing=3)
    assert broker.batches(follows=True) == ["a batch"]
    assert broker.joined == broker.left == 4
    assert broker.reported == ["It failed. It is tried again."]


def test_a_follower_that_nobody_wants_does_not_join_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C would wait for a partition without a leader."""
    broker = _Broker(monkeypatch, KafkaError._TIMED_OUT, failing=3)
    assert broker.batches(follows=True, is_wanted=False) == []
    assert broker.joined == broker.left == 1


@pytest.mark.parametrize(
    ("follows", "code"), [(True, KafkaError.TOPIC_AUTHORIZATION_FAILED), (False, KafkaError._TIMED_OUT)]
)
def test_what_does_not_pass_is_raised(monkeypatch: pytest.MonkeyPatch, follows: bool, code: int) -> None:
    """A loader would wait for a right that nobody grants, or a job in CI forever."""
    broker = _Broker(monkeypatch, code, failing=3)
    with pytest.raises(TradecapError):
        broker.batches(follows=follows)
    assert broker.joined == broker.left == 1

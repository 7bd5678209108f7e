"""How values of a topic come together in batches."""

import time
from typing import cast

import pytest
from confluent_kafka import Message

from tradecap.log.kafka.reader import BATCH_S, LIVE_S, Collected


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

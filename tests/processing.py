"""What tests of `process` are made of: its topics as a reader of committed records sees them, and what must be in them.

`expected` computes over the whole log at once, and remembers everything: it knows no batches, transactions or state.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition

from tradecap.flows.records import raw_records, read_record
from tradecap.log.api import Log
from tradecap.log.kafka.murmur2 import partition_of
from tradecap.log.kafka.outputs import OutputTopics, outputs_behind
from tradecap.market.candles import Candle, every_interval
from tradecap.market.enrichment import minute_key, minute_message
from tradecap.market.processing import Outcome
from tradecap.market.records import Envelope, Reading, Rejected, Trade, content

HOUR = 3600
Series = tuple[str, str, str]


def whole(trades: Iterable[Trade]) -> tuple[list[Outcome], list[Candle], int]:
    """The trades of one series processed: outcomes, all minutes and the second greatest time."""
    first: dict[int, Trade] = {}
    applied: dict[int, Trade] = {}
    newest_us = second_us = 0
    outcomes = []
    for trade in trades:
        known = first.get(trade.id)
        floor_s = second_us // 60_000_000 * 60 - HOUR
        if known is not None:
            is_held = trade.id in applied and known.trade_time_us // 60_000_000 * 60 >= floor_s
            outcomes.append(Outcome.CONFLICT if is_held and content(known) != content(trade) else Outcome.DUPLICATE)
            continue
        first[trade.id] = trade
        second_us, newest_us = sorted([second_us, newest_us, trade.trade_time_us])[1:]
        is_late = trade.trade_time_us // 60_000_000 * 60 < second_us // 60_000_000 * 60 - HOUR
        outcomes.append(Outcome.TOO_LATE if is_late else Outcome.NEW)
        if not is_late:
            applied[trade.id] = trade
    return outcomes, every_interval(applied.values()), second_us


class Expected(NamedTuple):
    """What must be in the topics: enriched trades as (series, id, run, seq, too_late), the last message of each minute,
    rejected (run, seq)."""

    enriched: set[tuple[Any, ...]]
    candles: dict[str, dict[str, Any]]
    quarantined: set[tuple[str, int]]
    counts: dict[str, int]


def expected(log: Log, partitions: int = 4) -> Expected:
    """The pure computation over the whole log, partition by partition."""
    enriched, candles, quarantined = set(), {}, set()
    series: dict[Series, list[tuple[Trade, Envelope]]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    for partition, envelope, reading in _records(log):
        counts["records"] += 1
        if isinstance(reading, Rejected):
            quarantined.add((envelope.run, envelope.seq))
        elif isinstance(reading, Trade):
            if partition_of(reading.symbol.encode(), partitions) == partition:
                series[reading.venue, reading.symbol, reading.channel].append((reading, envelope))
            else:
                counts["misplaced"] += 1
    for name, records in series.items():
        outcomes, minutes, second_us = whole(trade for trade, _ in records)
        for (trade, envelope), outcome in zip(records, outcomes, strict=True):
            counts[outcome.value] += 1
            if outcome in (Outcome.NEW, Outcome.TOO_LATE):
                enriched.add((*name, trade.id, envelope.run, envelope.seq, outcome is Outcome.TOO_LATE))
        for bar in minutes:
            if bar.trades:
                closed = bar.open_time_s < second_us // 60_000_000 * 60
                message = minute_message(name, bar, closed=closed)
                candles[minute_key(name, bar.open_time_s).decode()] = msgspec.to_builtins(message)
    return Expected(enriched, candles, quarantined, dict(counts))


def _records(log: Log) -> Iterable[tuple[int, Envelope, Reading]]:
    for batch in log.read():
        for raw, offset in raw_records(batch, log.id):
            yield batch.end.partition, *read_record(raw, log.id, batch.end.partition, offset)


class Message(NamedTuple):
    """A committed message."""

    key: str
    value: Any
    partition: int


def committed(bootstrap: str, topic: str) -> list[Message]:
    """All committed messages of a topic, each partition in its order. Waits for transactions that are undecided."""
    common = {"bootstrap.servers": bootstrap, "group.id": "reader", "enable.partition.eof": True, "log_level": 0}
    consumer = Consumer({**common, "isolation.level": "read_committed"})
    asking = Consumer({**common, "isolation.level": "read_uncommitted"})
    partitions = list(asking.list_topics(topic, timeout=60).topics[topic].partitions)
    ends = {each: asking.get_watermark_offsets(TopicPartition(topic, each), timeout=60)[1] for each in partitions}
    asking.close()
    consumer.assign([TopicPartition(topic, each, 0) for each in partitions])
    found: list[Message] = []
    at = dict.fromkeys(partitions, 0)
    while any(at[each] < ends[each] for each in partitions):
        for message in consumer.consume(10_000, 0.1):
            partition, offset, key, value = message.partition(), message.offset(), message.key(), message.value()
            assert partition is not None
            assert offset is not None
            at[partition] = max(at[partition], offset if message.error() else offset + 1)
            if not message.error():
                assert isinstance(key, bytes)
                found.append(Message(key.decode(), json.loads(value) if value is not None else None, partition))
    consumer.close()
    return found


def topics_of(url: str) -> OutputTopics:
    """The topics for a log, made where they are missing."""
    found, _, _ = outputs_behind(url, {}, {}, create=True, partitions=4, replication=1)
    return OutputTopics(*(topic.name for topic in found))


def hold_exactly(bootstrap: str, log: Log, names: OutputTopics) -> Expected:
    """Assert that the topics hold what the pure computation gives for the log: each trade once, the last message of
    each minute, each reject once."""
    wanted = expected(log)
    trades = [
        (v["venue"], v["symbol"], v["channel"], v["trade_id"], v["run"], v["seq"], v["too_late"])
        for v in (message.value for message in committed(bootstrap, names.enriched))
    ]
    assert len(trades) == len(set(trades)), "a trade is there twice"
    assert set(trades) == wanted.enriched
    candles = committed(bootstrap, names.candles)
    last = {message.key: message.value for message in candles}
    assert last.keys() == wanted.candles.keys()
    for key, value in last.items():
        assert value == {
            **wanted.candles[key],
            "volatility": pytest.approx(wanted.candles[key]["volatility"], rel=1e-9, abs=1e-12),
        }, key
    rejected = [
        (v["source"]["run"], v["source"]["seq"])
        for v in (message.value for message in committed(bootstrap, names.quarantine))
    ]
    assert sorted(rejected) == sorted(wanted.quarantined)
    return wanted

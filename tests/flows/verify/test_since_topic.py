"""Verify a topic from a certificate on: offsets stand for what was counted, also after retention has removed it."""

from typing import Any

import pytest
from confluent_kafka import TopicPartition

from tests.flows.builders import load, quietly, replayed, some_messages, spoilt
from tests.flows.verify.test_since import failed, kept, of_whole_log, proven
from tests.kafka.client import Kafka
from tradecap.errors import Exit, TradecapError
from tradecap.flows.verify.audit import Extras, audit
from tradecap.flows.verify.since import foundation
from tradecap.flows.verify.verify import Wanted
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.store.clickhouse.store import ClickHouseStore

pytestmark = pytest.mark.kafka
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "BNBUSDT")


@pytest.fixture
def topic(kafka: Kafka, topic_name: str) -> str:
    """A topic of three partitions."""
    return kafka.new_topic(topic_name, partitions=3)


@pytest.fixture
def log(kafka: Kafka, topic: str) -> Log:
    """The log in it."""
    return open_log(kafka.url(topic))


def filled(log: Log, ids: range) -> None:
    """One run of six symbols, and faults."""
    messages = [some_messages(range(200), symbol=symbol)[ids.start : ids.stop] for symbol in SYMBOLS]
    replayed(log, [message for row in zip(*messages, strict=True) for message in row])
    spoilt(log, {"dupes": 3, "nulls": 5})


def shorten(kafka: Kafka, topic: str, partition: int, before: int) -> None:
    """Remove the records of a partition before an offset, as retention does."""
    kafka.admin.delete_records([TopicPartition(topic, partition, before)])[TopicPartition(topic, partition)].result()


def without_order(found: dict[str, Any]) -> dict[str, Any]:
    """All but what depends on where reading began.

    That is: the sums of offsets, and of each block which records came second and where its first one is.
    """
    counted = found["counted"] | {"blocks": [block[:6] for block in found["counted"]["blocks"]]}
    return {name: value for name, value in found.items() if name != "segments"} | {"counted": counted}


def test_a_topic_is_proven_from_a_certificate_on(kafka: Kafka, topic: str, log: Log, store: ClickHouseStore) -> None:
    """A topic would be read from its beginning for each proof, and what was proven be lost with what retention
    removes."""
    filled(log, range(100))
    load(log, store)
    first = kept(proven(log, store).certificate)
    filled(log, range(90, 130))
    load(log, store)
    counted: list[int] = []
    done = audit(log, store, Wanted(), Extras(since=foundation(log, first, "c.json")), progress=counted.append)
    whole = proven(log, store)
    assert failed(done) == {}
    assert sum(counted) == whole.certificate.counts["records"] - first.counts["records"]
    assert without_order(of_whole_log(done)) == without_order(of_whole_log(whole))

    second = kept(done.certificate)
    assert sum(row.records for row in second.segments) == second.counts["records"]
    against = audit(log, store, Wanted(), Extras(against=second), progress=quietly)
    assert failed(against) == {}, "each range of offsets is held against the topic by itself"

    ends = {part: int(at) for part, at in second.counted.read_to.items()} if second.counted else {}
    partition = max(ends, key=lambda each: ends[each])
    shorten(kafka, topic, partition, 60)
    done = proven(log, store, second)
    assert failed(done) == {}
    assert (done.verdict.counts.records, done.verdict.counts.expired) == (second.counts["records"], 0), (
        "what was proven stays proven"
    )
    assert "retention has removed some of" in next(
        c.detail for c in done.verdict.checks if c.name == "certificate.extended"
    )

    store.run(
        "INSERT INTO ledger SELECT * REPLACE (content + 1 AS content) FROM ledger"
        " WHERE part = {part:UInt32} AND run = {run:UUID} ORDER BY seq LIMIT 1",
        part=partition,
        run=second.runs[0].run,
    )
    assert "changed: " in failed(proven(log, store, second))["ledger.complete"]
    assert "ledger.complete" not in failed(proven(log, store)), "a whole proof can't know what an expired record was"

    filled(log, range(130, 150))
    shorten(kafka, topic, partition, ends[partition] + 5)
    with pytest.raises(TradecapError, match="were removed by retention before they were read") as caught:
        proven(log, store, second)
    assert (caught.value.exit_code, "--certificate FILE" in caught.value.hint) == (Exit.USAGE, True)


def test_a_topic_that_was_made_again_is_another_log(kafka: Kafka, topic: str, log: Log, store: ClickHouseStore) -> None:
    """Offsets of one topic would stand for the records of another."""
    filled(log, range(10))
    load(log, store)
    then = kept(proven(log, store).certificate)
    other = open_log(kafka.url(kafka.new_topic(f"{topic}-other", partitions=3)))
    with pytest.raises(TradecapError, match="it is of log"):
        foundation(other, then, "c.json")

"""A topic that retention shortens: what was loaded before is expired, what never was is a loss, and the rest is proven
as ever."""

import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition

from tests.flows.builders import failures, load, quietly, replayed, some_messages, spoilt, verdict_of
from tests.kafka.client import Kafka
from tradecap.flows.verify.audit import Extras, audit
from tradecap.flows.verify.verify import Wanted
from tradecap.log import open_log
from tradecap.log.api import DamageKind, Log
from tradecap.proof.certificate import Certificate
from tradecap.proof.checks import Check
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


def shorten(kafka: Kafka, topic: str, partition: int, before: int) -> None:
    """Remove the records of a partition before an offset, as retention does."""
    kafka.admin.delete_records([TopicPartition(topic, partition, before)])[TopicPartition(topic, partition)].result()


def filled(log: Log) -> dict[int, int]:
    """One run of six symbols, and faults; the end of each partition."""
    messages = [some_messages(range(100), symbol=symbol) for symbol in SYMBOLS]
    replayed(log, [message for row in zip(*messages, strict=True) for message in row])
    spoilt(log, {"dupes": 3, "conflicts": 3, "nulls": 5})
    return {batch.end.partition: batch.end.order for batch in log.read()}


def fullest(ends: dict[int, int]) -> int:
    """The partition with the most records."""
    return max(ends, key=lambda partition: ends[partition])


def test_records_that_were_loaded_and_then_removed_are_expired(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore
) -> None:
    """A topic that keeps a week would be unproven from its second week on."""
    ends = filled(log)
    load(log, store)
    whole = verdict_of(log, store).counts
    partition = fullest(ends)
    shorten(kafka, topic, partition, 60)
    verdict = verdict_of(log, store)
    assert [check for check in verdict.checks if not check.ok] == []
    assert (verdict.counts.expired, verdict.counts.records) == (60, whole.records - 60)
    assert verdict.runs["ended"] == 2

    replayed(log, some_messages(range(100, 120)))
    load(log, store)
    assert failures(log, store) == {}


def test_a_partition_that_lost_everything_is_wholly_expired(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore
) -> None:
    """Runs that are gone altogether would be rows that no record made."""
    ends = filled(log)
    load(log, store)
    for partition, end in ends.items():
        shorten(kafka, topic, partition, end)
    replayed(log, some_messages(range(100, 120)))
    load(log, store)
    verdict = verdict_of(log, store)
    assert [check for check in verdict.checks if not check.ok] == []
    assert (verdict.counts.expired, verdict.counts.records) == (sum(ends.values()), 22)


def test_a_ledger_row_above_the_bound_that_is_deleted_is_lost(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore
) -> None:
    """Retention must not excuse what the topic still holds."""
    partition = fullest(filled(log))
    load(log, store)
    shorten(kafka, topic, partition, 60)
    store.run(
        "ALTER TABLE ledger DELETE WHERE part = {part:UInt32} AND seq = (SELECT max(seq) FROM ledger WHERE part = "
        "{part:UInt32})"
        " SETTINGS mutations_sync = 2",
        part=partition,
    )
    assert failures(log, store)["ledger.complete"].detail.startswith("lost: run ")


def test_a_row_of_a_run_that_nobody_wrote_is_not_expired(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore
) -> None:
    """Only what came from this log can have expired in it."""
    partition = fullest(filled(log))
    load(log, store)
    shorten(kafka, topic, partition, 60)
    store.run(
        "INSERT INTO ledger SELECT * REPLACE (toUUID('01930000-0000-7000-8000-000000000009') AS run) FROM ledger "
        "WHERE part = {part:UInt32}",
        part=partition,
    )
    assert "made by no record" in failures(log, store)["ledger.complete"].detail


def test_a_store_that_is_filled_from_a_shortened_topic_is_proven(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore
) -> None:
    """A new store begins with what the topic has: what was gone before is nobody's loss."""
    partition = fullest(filled(log))
    shorten(kafka, topic, partition, 60)
    load(log, store)
    verdict = verdict_of(log, store)
    assert [check for check in verdict.checks if not check.ok] == []
    assert verdict.counts.expired == 0


def test_retention_that_overtakes_a_loader_is_a_loss_forever(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore
) -> None:
    """Records that never reached the store, and are gone, would be missing without a word as soon as the loader goes
    on."""
    replayed(log, some_messages(range(40)))
    load(log, store)
    ends = {batch.end.partition: batch.end.order for batch in log.read()}
    replayed(log, some_messages(range(40, 80)))
    shorten(kafka, topic, fullest(ends), ends[fullest(ends)] + 20)
    before = failures(log, store)
    assert "were removed by retention before they were read" in before["log.complete"].detail
    assert before["ledger.complete"].fix == "tradecap load"

    assert [each.kind for each in load(log, store).damage] == [DamageKind.EXPIRED]
    after = failures(log, store)
    assert set(after) == {"log.complete"}
    assert "1 stretch never loaded" in after["log.complete"].detail
    assert "--allow-gaps" in after["log.complete"].fix
    assert failures(log, store, allow_gaps=True) == {}


def test_what_retention_removes_between_cut_and_reading_is_expired(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore
) -> None:
    """Brokers shorten topics at any moment: the proof would end in an error of the client."""
    partition = fullest(filled(log))
    load(log, store)
    snapshot = log.snapshot()
    shorten(kafka, topic, partition, 60)
    read = sum(batch.records for batch in snapshot.read())
    assert snapshot.shortened == {partition}
    assert read == sum(batch.records for batch in log.read())


def test_empty_values_and_aborted_transactions_are_counted_and_harm_nothing(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore
) -> None:
    """A tombstone isn't a record, and markers aren't holes."""
    replayed(log, some_messages(range(20)))
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic, "linger.ms": 0})
    producer.init_transactions()
    for is_committed in (False, True):
        producer.begin_transaction()
        for partition in range(3):
            producer.produce(topic, b"", key=b"gone", partition=partition)
            producer.produce(topic, some_messages([77])[0] if is_committed else b"aborted", partition=partition)
        producer.flush()
        (producer.commit_transaction if is_committed else producer.abort_transaction)()
    load(log, store)
    verdict = verdict_of(log, store)
    assert [check for check in verdict.checks if not check.ok] == []
    assert (verdict.counts.empty, verdict.counts.records, verdict.counts.trades, verdict.counts.duplicates) == (
        3,
        25,
        21,
        2,
    )


def certified(log: Log, store: ClickHouseStore, against: Certificate | None = None) -> tuple[Certificate, Check | None]:
    """A certificate of the log, and what was found against an earlier one."""
    done = audit(log, store, Wanted(), Extras(against=against), progress=quietly)
    return done.certificate, next(
        (check for check in done.verdict.checks if check.name == "certificate.unchanged"), None
    )


def test_a_certificate_holds_while_the_topic_grows_and_where_it_still_exists(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore
) -> None:
    """A certificate of a topic that is held against the whole of it later would never hold again."""
    partition = fullest(filled(log))
    load(log, store)
    then, _ = certified(log, store)
    assert {row.segment.partition("@")[0] for row in then.segments} == {"0", "1", "2"}
    assert sum(row.records for row in then.segments) == then.counts["records"]

    replayed(log, some_messages(range(100, 120)))
    load(log, store)
    _, grown = certified(log, store, then)
    assert grown
    assert grown.ok, grown
    assert "written on" in grown.detail

    shorten(kafka, topic, partition, 60)
    _, shortened = certified(log, store, then)
    assert shortened
    assert shortened.ok, shortened
    assert f"retention has shortened {partition}@0-" in shortened.detail

    for other in {0, 1, 2} - {partition}:
        row = next(row for row in then.segments if row.segment.startswith(f"{other}@"))
        forged = msgspec.structs.replace(then, segments=[msgspec.structs.replace(row, sha256="0" * 64)])
        _, changed = certified(log, store, forged)
        assert changed
        assert not changed.ok

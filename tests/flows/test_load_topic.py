"""A topic that ClickHouse reads by itself: the same tables as by `tradecap load`, whatever is in the topic and whatever is killed."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.flows.builders import a_message, failures, load, never, quietly, replayed, some_messages, spoilt
from tests.kafka.client import Kafka
from tests.mutations import mutated
from tradecap.flows.load import Loaded
from tradecap.flows.load_topic import load_topic, use_topic
from tradecap.flows.records import read_record
from tradecap.log import open_log, topic_of
from tradecap.log.kafka.log import KafkaLog
from tradecap.market.faults import FAULTS
from tradecap.store import create_store, open_store
from tradecap.store.api import TopicAccess, TopicFeed
from tradecap.store.clickhouse.store import ClickHouseStore

pytestmark = pytest.mark.kafka
PROGRAM = str(Path(sys.executable).with_name("tradecap"))
TABLES = {
    "trades": "SELECT * FROM trades FINAL",
    "ledger": "SELECT * FROM ledger FINAL",
    "quarantine": "SELECT * FROM quarantine FINAL",
    "fed": "SELECT * FROM fed FINAL",
    "candles_1m": "SELECT * EXCEPT (sweep) FROM candles_1m FINAL",
}
MONTH_S = 30 * 86400
Tables = dict[str, tuple[int, int]]


@pytest.fixture
def log(kafka: Kafka, topic: str) -> KafkaLog:
    """A log in an empty topic of four partitions."""
    return topic_of(open_log(kafka.url(topic)))


@contextmanager
def opened(url: str, log: KafkaLog) -> Iterator[ClickHouseStore]:
    """A store that may read the log by itself; made where it is missing."""
    create_store(url)
    access = TopicAccess(lambda group: log.group(group).committed(), {})
    with open_store(url, read=read_record, topic=access) as store:
        assert isinstance(store, ClickHouseStore)
        yield store


def read_by_itself(log: KafkaLog, store: ClickHouseStore, **feed: str) -> None:
    """What init-db --feed kafka does."""
    wanted = TopicFeed(log.id, log.topic, feed.get("brokers", log.servers))
    use_topic(log, log.group(store.topics.group(log.id)), store, wanted, {}, lambda _: None)


def loaded_by_itself(log: KafkaLog, store: ClickHouseStore) -> Loaded:
    """What load --feed kafka does."""
    return load_topic(log, log.group(store.topics.group(log.id)), store, {}, stop=never, progress=quietly)


def tables_of(store: ClickHouseStore) -> Tables:
    """(rows, sum of their hashes) of each table, without repeats."""
    asked = "SELECT count() AS n, sum(cityHash64(*)) AS hash FROM ({})"
    return {name: (row["n"], row["hash"]) for name, select in TABLES.items() for row in store.rows(asked.format(select))}


def by_loader(log: KafkaLog, folder: Path) -> Tables:
    """The tables of a store that `tradecap load` has filled."""
    with opened(f"chdb:{folder}/by-loader", log) as store:
        load(log, store)
        return tables_of(store)


def produced(kafka: Kafka, topic: str, values: Sequence[bytes], *, commit: bool = True) -> None:
    """Values in one transaction that is committed or aborted."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": f"{topic}-{time.time_ns()}"})
    producer.init_transactions()
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value)
    producer.flush()
    (producer.commit_transaction if commit else producer.abort_transaction)()


def fuzzed(kafka: Kafka, topic: str, count: int) -> None:
    """Values of any kind."""
    producer, rng = Producer({"bootstrap.servers": kafka.bootstrap, "queue.buffering.max.messages": 1_000_000}), random.Random(7)
    for n in range(count):
        producer.produce(topic, mutated(rng) if n % 4 else rng.randbytes(n % 300))
    producer.flush()


def spoil(kafka: Kafka, topic: str, log: KafkaLog) -> None:
    """All that may be in a topic: bad records, values of other programs, bytes, empty values, odd months, transactions, an aborted end."""
    replayed(log, some_messages(range(300)))
    replayed(log, some_messages(range(200), symbol="ETHUSDT"))
    spoilt(log, dict.fromkeys(FAULTS, 3))
    months = [a_message(10_000 + n, at_s=(n - 60) * MONTH_S) for n in range(110)]
    produced(kafka, topic, [a_message(900), b"\x00\xff", b"", b"two\nlines", b"{" + b" " * 900_000 + b"}", *months])
    produced(kafka, topic, [a_message(n) for n in range(2000, 2400)], commit=False)


def test_both_feeds_give_the_same_tables(kafka: Kafka, topic: str, log: KafkaLog, tmp_path: Path) -> None:
    """A store would depend on how its records came in; a value that throws in a view would stop the engine for ever."""
    spoil(kafka, topic, log)
    expected = by_loader(log, tmp_path)
    with opened(f"chdb:{tmp_path}/db", log) as store:
        read_by_itself(log, store)
        done = loaded_by_itself(log, store)
        assert tables_of(store) == expected
        assert failures(log, store, expect={"trades": 611}, allow_gaps=True) == {}
    assert (done.records, done.valid) == (expected["ledger"][0], 500 + 6 + 111)


def test_fuzzed_values_and_a_killed_engine(kafka: Kafka, topic: str, log: KafkaLog, tmp_path: Path) -> None:
    """Values that one feed reads otherwise, or that a kill loses or counts twice, end the trust in either."""
    fuzzed(kafka, topic, 100_000)
    expected = by_loader(log, tmp_path)
    url = f"chdb:{tmp_path}/db"
    with opened(url, log) as store:
        read_by_itself(log, store)
        group = log.group(store.topics.group(log.id))
    command = [PROGRAM, "load", "--feed", "kafka", "--follow", "--log", log.url, "--store", url]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as engine:
        while sum(map(int, group.committed().values())) == 0:
            assert engine.poll() is None
            time.sleep(0.02)
        engine.send_signal(signal.SIGKILL)
    with opened(url, log) as store:
        loaded_by_itself(log, store)
        assert tables_of(store) == expected

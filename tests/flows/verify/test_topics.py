"""`verify --topics`: what process produced against the store."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.builders import NOON_S
from tests.flows.builders import a_message, load, never, replayed, some_messages, spoilt
from tests.kafka.client import Kafka
from tests.processing import committed, topics_of
from tests.store.conftest import server as server
from tradecap.flows.process import process
from tradecap.flows.verify.klines import Window
from tradecap.flows.verify.topics import compare_topics
from tradecap.log import open_log, topic_of
from tradecap.log.api import Log
from tradecap.market.records import RunWriter, frame, series_head
from tradecap.proof.checks import Check
from tradecap.store.clickhouse.store import ClickHouseStore

pytestmark = pytest.mark.kafka
PROGRAM = str(Path(sys.executable).with_name("tradecap"))
AN_EARLIER_RUN = "01000000-0000-7000-8000-000000000000"


@pytest.fixture
def log(kafka: Kafka, topic: str) -> Log:
    """A log in a topic, with the topics of process."""
    topics_of(kafka.url(topic))
    return open_log(kafka.url(topic))


def processed(log: Log) -> None:
    with topic_of(log).exactly_once({}, "") as topic:
        process(topic, log.id, topic.partition_of, stop=never)


def check(log: Log, store: ClickHouseStore, window: Window | None = None) -> Check:
    return compare_topics(log, store, {}, window or Window(), 0.0)


def produced(kafka: Kafka, topic: str, key: str, value: bytes, partition: int = -1) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    producer.produce(topic, value, key, partition=partition)
    producer.flush()


def test_topics_of_the_same_log_are_equal(log: Log, store: ClickHouseStore) -> None:
    """The proof would end at the store, and leave out what others read."""
    replayed(log, some_messages(range(100)))
    replayed(log, some_messages(range(50), symbol="ETHUSDT"))
    spoilt(log, {"dupes": 5, "conflicts": 5, "nulls": 5})
    processed(log)
    load(log, store)
    found = check(log, store)
    assert (found.ok, found.actual, found.detail) == (True, 0, "150 trades and 14 minutes compared")
    assert "50 trades and 5 minutes" in check(log, store, Window("ETHUSDT")).detail
    assert "1 minute compared" in check(log, store, Window("ETHUSDT", NOON_S * 10**6, (NOON_S + 60) * 10**6)).detail


def test_what_is_not_processed_yet_fails(log: Log, store: ClickHouseStore) -> None:
    """Empty topics would pass."""
    replayed(log, some_messages(range(100)))
    load(log, store)
    found = check(log, store)
    assert (found.ok, found.fix) == (False, "tradecap process")
    assert "not in the topic: binance BTCUSDT trade ids 0-99" in found.detail
    processed(log)
    assert check(log, store).ok
    replayed(log, some_messages(range(100, 110)))
    processed(log)
    assert "not in the store: binance BTCUSDT trade ids 100-109" in check(log, store).detail


def test_a_difference_that_comes_from_a_conflict_is_listed(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore
) -> None:
    """The first in the partition isn't always the first by run: that isn't a fault of either side, and must not hide
    one."""
    replayed(log, some_messages(range(30)))
    record = RunWriter(AN_EARLIER_RUN).record(
        1, series_head("binance", "BTCUSDT", "trade", "ws"), frame(a_message(14, at_s=70, price=5))
    )
    produced(kafka, topic, "BTCUSDT", record[:-1])
    processed(log)
    load(log, store)
    found = check(log, store)
    assert found.ok, found.detail
    assert "because of a conflict: binance BTCUSDT trade 2024-08-09T12:01:00Z" in found.detail


def test_a_trade_that_came_too_late_is_listed(log: Log, store: ClickHouseStore) -> None:
    """The store corrects its candles without limit; the topic doesn't."""
    replayed(log, some_messages(range(10)))
    replayed(log, [a_message(5000 + n, at_s=8000 + n) for n in range(3)])
    replayed(log, [a_message(500, at_s=3)])
    processed(log)
    load(log, store)
    found = check(log, store)
    assert found.ok, found.detail
    assert "without a trade that came too late: binance BTCUSDT trade 2024-08-09T12:00:00Z" in found.detail


@pytest.mark.parametrize("what", ["twice", "alone", "candle", "elsewhere"])
def test_what_does_not_belong_into_the_topics_is_found(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore, what: str
) -> None:
    """A trade that is there twice is what the command promises not to do."""
    replayed(log, some_messages(range(30)))
    processed(log)
    load(log, store)
    kind = f"{topic}.candles.1m" if what in ("candle", "elsewhere") else f"{topic}.enriched"
    message = committed(kafka.bootstrap, kind)[0]
    changed = {"alone": {"trade_id": 77}, "candle": {"volume": "1"}}.get(what, {})
    partition = (message.partition + (what == "elsewhere")) % 4
    produced(kafka, kind, message.key, json.dumps(message.value | changed).encode(), partition)
    found = check(log, store)
    says = {
        "twice": "there twice: binance BTCUSDT trade id 0",
        "alone": "not in the store: binance BTCUSDT trade id 77",
        "candle": "candles that differ: binance BTCUSDT trade 2024-08-09T12:00:00Z",
        "elsewhere": "there twice: binance BTCUSDT trade 2024-08-09T12:00:00Z in two partitions",
    }
    assert not found.ok
    assert says[what] in found.detail


def test_verify_asks_the_topics_where_that_is_wanted(log: Log, tmp_path: Path) -> None:
    """The option would be taken, and do nothing."""
    replayed(log, some_messages(range(30)))
    processed(log)
    for command in (["init-db"], ["load"]):
        subprocess.run([PROGRAM, *command, "-q", "--log", log.url], check=True, cwd=tmp_path)
    done = subprocess.run(
        [PROGRAM, "verify", "--topics", "--json", "-q", "--log", log.url], capture_output=True, text=True, cwd=tmp_path
    )
    assert json.loads(done.stdout)["checks"][-1]["name"] == "topics.equal"
    assert done.returncode == 0, done.stdout
    refused = subprocess.run(
        [PROGRAM, "verify", "--topics", "--log", "file:x"], capture_output=True, text=True, cwd=tmp_path
    )
    assert (refused.returncode, "file:x is not a topic" in refused.stderr) == (2, True)

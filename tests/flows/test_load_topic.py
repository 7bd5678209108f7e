"""A topic that ClickHouse reads by itself: the same tables as by `tradecap load`, whatever is in the topic and whatever
is killed."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer
from confluent_kafka.cimpl import NewPartitions

from tests.cases import CASES
from tests.flows.builders import a_message, failures, load, never, quietly, replayed, some_messages, spoilt
from tests.kafka.client import Kafka
from tests.mutations import mutated, mutated_line
from tests.store.builders import RUNS
from tests.store.conftest import server as server
from tradecap.cli import cli
from tradecap.errors import Exit, TradecapError
from tradecap.flows import load_topic as load_topic_module
from tradecap.flows.load import Loaded
from tradecap.flows.load_topic import load_topic, use_loader, use_topic
from tradecap.flows.records import read_record
from tradecap.log import open_log, topic_of
from tradecap.log.kafka.log import KafkaLog
from tradecap.market.faults import FAULTS
from tradecap.market.records import RunWriter, frame, series_head
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
    "candles_1m": "SELECT * EXCEPT (sweep) FROM candles_1m FINAL WHERE ids > 0",  # ids 0: lost its trades
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
    wanted = TopicFeed(log.id, log.topic, feed.get("brokers", log.servers), venue=log.venue)
    use_topic(log, log.group(store.topics.group(log.id)), store, wanted, {}, lambda _: None)


def loaded_by_itself(log: KafkaLog, store: ClickHouseStore) -> Loaded:
    """What load --feed kafka does."""
    return load_topic(log, log.group(store.topics.group(log.id)), store, {}, stop=never, progress=quietly)


def tables_of(store: ClickHouseStore) -> Tables:
    """(rows, sum of their hashes) of each table, without repeats."""
    asked = "SELECT count() AS n, sum(cityHash64(*)) AS hash FROM ({})"
    return {
        name: (row["n"], row["hash"]) for name, select in TABLES.items() for row in store.rows(asked.format(select))
    }


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
    """Values of any kind: messages, bytes, and records of ours that are spoilt behind their identity (of one with two
    contents either may stay)."""
    producer, rng = (
        Producer({"bootstrap.servers": kafka.bootstrap, "queue.buffering.max.messages": 1_000_000}),
        random.Random(7),
    )
    producer.produce(
        topic, b'{"run":"01930000-0000-7000-8000-00000000000f","seq":0,"recv":null,"venue":"binance","b64":"!!!"}'
    )
    run = RunWriter(RUNS[0])
    for n in range(count):
        case = rng.choice(CASES)
        line = run.record(
            None, series_head(case.venue, "BTCUSDT", "trade", "ws"), frame(case.payload[:3000])
        ).removesuffix(b"\n")
        behind = line.index(b'"recv":') + 7
        values = (mutated(rng), rng.randbytes(n % 300), line[:behind] + mutated_line(rng, line[behind:], 2))
        producer.produce(topic, values[n % 3])
    producer.flush()


def spoil(kafka: Kafka, topic: str, log: KafkaLog) -> None:
    """All that may be in a topic: bad records, values of other programs, bytes, empty values, odd months, transactions,
    an aborted end."""
    replayed(log, some_messages(range(300)))
    replayed(log, some_messages(range(200), symbol="ETHUSDT"))
    spoilt(log, dict.fromkeys(FAULTS, 3))
    months = [a_message(10_000 + n, at_s=(n - 60) * MONTH_S) for n in range(110)]
    produced(kafka, topic, [a_message(900), b"\x00\xff", b"", b"two\nlines", b"{" + b" " * 900_000 + b"}", *months])
    produced(kafka, topic, [a_message(n) for n in range(2000, 2400)], commit=False)


def test_both_feeds_give_the_same_tables(kafka: Kafka, topic: str, log: KafkaLog, tmp_path: Path) -> None:
    """A store would depend on how its records came in; a value that throws in a view would stop the engine forever."""
    log = topic_of(open_log(log.url, venue="binance-us"))  # of values without an envelope
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


def test_the_feed_is_changed_in_both_directions(log: KafkaLog, tmp_path: Path) -> None:
    """A feed that begins where the other one didn't stop loses records, or reads a whole topic again."""
    replayed(log, some_messages(range(100)))
    with opened(f"chdb:{tmp_path}/db", log) as store:
        load(log, store)
        read_by_itself(log, store)
        with pytest.raises(TradecapError, match=r"reads topic .* by itself"):
            load(log, store)
        group = log.group(store.topics.group(log.id))
        assert group.committed() == store.positions(log.id), "it begins where the loader stopped"
        replayed(log, some_messages(range(100, 150)))
        assert set(failures(log, store)) == {"ledger.complete"}
        assert loaded_by_itself(log, store).records == 52
        assert store.redelivered() == 0
        use_loader(log, group, store)
        with pytest.raises(TradecapError, match="doesn't read"):
            loaded_by_itself(log, store)
        replayed(log, some_messages(range(150, 200)))
        assert load(log, store).records == 52, "it goes on where the engine stopped"
        read_by_itself(log, store)
        replayed(log, some_messages(range(200, 230)))
        assert loaded_by_itself(log, store).records == 32
        assert (failures(log, store), store.redelivered()) == ({}, 0)
        tables = tables_of(store)
    assert tables == by_loader(log, tmp_path)


def test_what_the_engine_has_not_read_is_pending_and_what_it_lost_is_lost(log: KafkaLog, tmp_path: Path) -> None:
    """A real loss that is called pending would be waited for without end."""
    replayed(log, some_messages(range(100)))
    with opened(f"chdb:{tmp_path}/db", log) as store:
        read_by_itself(log, store)
        loaded_by_itself(log, store)
        replayed(log, some_messages(range(100, 120)))
        pending = failures(log, store)["ledger.complete"]
        assert "tradecap load" in pending.fix
        loaded_by_itself(log, store)
        store.run("ALTER TABLE ledger DELETE WHERE trade_id = 50 SETTINGS mutations_sync = 2")
        lost = failures(log, store)["ledger.complete"]
        assert lost.fix != pending.fix


@pytest.mark.parametrize("is_server", [False, True])
def test_a_topic_made_again_is_not_read_under_the_old_id(
    kafka: Kafka, topic: str, log: KafkaLog, tmp_path: Path, server: str, is_server: bool
) -> None:
    """Values without an envelope would get the identity of other values, and be called their repeats."""
    url = f"{server}/{topic.replace('-', '_')[-60:]}" if is_server else f"chdb:{tmp_path}/db"
    replayed(log, some_messages(range(50)))
    with opened(url, log) as store:
        read_by_itself(log, store)
        loaded_by_itself(log, store)
        assert store.outcomes() == {"trade": 50, "event": 2}
        kafka.delete_topic(topic)
        kafka.new_topic(topic)
        again = topic_of(open_log(kafka.url(topic)))
        produced(kafka, topic, [b"none of ours"])
        with pytest.raises(TradecapError, match="topic was made again, this is another log"):
            loaded_by_itself(again, store)
        with pytest.raises(TradecapError, match=r"was made again: it is another log now|the broker has forgotten"):
            loaded_by_itself(log, store)
        # a running server may take a few values of the new topic before anybody looks (docs/clickhouse.md)
        assert is_server or store.outcomes() == {"trade": 50, "event": 2}
        read_by_itself(again, store)
        loaded_by_itself(again, store)
        assert store.fed_runs(again.id)
        assert [feed.log_id for feed in store.topics.feeds()] == [again.id]
        store.topics.stop(again.id)


def test_a_server_goes_on_reading_while_its_schema_is_made_again(log: KafkaLog, server: str, topic: str) -> None:
    """A reading that is made again under a running engine could take records that no table gets; one left off would
    stop the feed."""
    with opened(f"{server}/{topic.replace('-', '_')[-60:]}", log) as store:
        read_by_itself(log, store)
        replayed(log, some_messages(range(50)))
        loaded_by_itself(log, store)
        made = (
            "SELECT toString(uuid) AS id FROM system.tables WHERE database = currentDatabase() AND name LIKE "
            "'mv_kafka_%'"
        )
        store.run("DROP TABLE mv_trades")
        store.run(
            "CREATE MATERIALIZED VIEW mv_trades TO trades AS SELECT venue, trade_id FROM parsed WHERE outcome = 'trade'"
        )
        before = store.rows(made)
        assert "mv_trades" in store.create().replaced
        assert store.rows(made) != before, "it was taken off meanwhile"
        replayed(log, some_messages(range(50, 90)))
        loaded_by_itself(log, store)
        assert store.outcomes() == {"trade": 90, "event": 4}
        assert failures(log, store) == {}
        store.run(f"DROP TABLE mv_kafka_{log.id.replace('-', '')}")
        with pytest.raises(
            TradecapError,
            match=r"isn't as this tradecap makes it: mv_kafka_[0-9a-f]+ "
            r"is missing",
        ) as error:
            loaded_by_itself(log, store)
        assert (error.value.exit_code, error.value.hint) == (Exit.UNREACHABLE, "tradecap init-db --feed kafka")
        store.topics.stop(log.id)


def test_a_view_that_throws_is_named(log: KafkaLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine tries again forever and reports nothing: a load would hang."""
    monkeypatch.setattr(load_topic_module, "STUCK_S", 2.0)
    replayed(log, some_messages(range(5)))
    with opened(f"chdb:{tmp_path}/db", log) as store:
        read_by_itself(log, store)
        store.run("CREATE TABLE theirs (run UUID) ENGINE = MergeTree ORDER BY run")
        store.run(
            "CREATE MATERIALIZED VIEW theirs_too TO theirs AS SELECT if(throwIf(seq > 2, 'too many') = 0, "
            "run, run) AS run FROM ledger"
        )
        with pytest.raises(TradecapError, match=r"ClickHouse stopped reading .* too many"):
            loaded_by_itself(log, store)


def test_a_partition_that_came_later_is_named_on_a_server_and_read_by_an_embedded_store(
    kafka: Kafka, topic: str, log: KafkaLog, tmp_path: Path, server: str
) -> None:
    """Its records would be missing without a word."""
    name = topic.replace("-", "_")[-60:]
    with opened(f"{server}/{name}", log) as store:
        read_by_itself(log, store)
        kafka.admin.create_partitions([NewPartitions(topic, 5)])[topic].result()
        kafka.wait_for_leaders(topic, 5)
        producer = Producer({"bootstrap.servers": kafka.bootstrap})
        producer.produce(topic, b"of the fifth", partition=4)
        producer.flush()
        with pytest.raises(TradecapError, match="doesn't read partition 4 of"):
            loaded_by_itself(log, store)
        read_by_itself(log, store)
        loaded_by_itself(log, store)
        assert store.outcomes() == {"quarantined": 1}
        store.topics.stop(log.id)
    with opened(f"chdb:{tmp_path}/db", log) as store:
        read_by_itself(log, store)
        assert loaded_by_itself(log, store).quarantined == 1


def test_the_commands(kafka: Kafka, topic: str, log: KafkaLog, tmp_path: Path) -> None:
    """What a person types: the feed is set once, and load keeps to it."""
    replayed(log, some_messages(range(20)))
    where = ["--log", log.url, "--store", f"chdb:{tmp_path}/db", "--json"]

    def ran(*args: str, code: int = 0) -> dict[str, Any]:
        result = CliRunner().invoke(cli, [*args, *where])
        assert result.exit_code == code, result.output
        return dict(json.loads(result.stdout or "{}")) | {"stderr": result.stderr}

    assert "doesn't read" in ran("init-db")["stderr"] + ran("load", "--feed", "kafka", code=2)["stderr"]
    assert (
        ran("init-db", "--feed", "kafka", "--feed-brokers", kafka.bootstrap.replace("localhost", "127.0.0.1"))["feed"]
        == "kafka"
    )
    assert ran("load")["records"] == 22
    assert "by itself" in ran("load", "--feed", "loader", code=2)["stderr"]
    assert ran("verify")["ok"]
    assert ran("init-db", "--feed", "loader")["feed"] == "loader"
    assert ran("load")["records"] == 0
    result = CliRunner().invoke(
        cli, ["init-db", "--feed", "kafka", "--print", "--log", log.url, "--store", "clickhouse://h/market"]
    )
    assert "CREATE NAMED COLLECTION" in result.stdout
    assert f"kafka_topic_list = '{topic}'" in result.stdout

"""A topic of a real broker as the log: replayed, loaded and proven, whatever is killed on the way."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.builders import NOON_S
from tests.cases import TRADE
from tests.flows.builders import (
    a_message,
    begun,
    failures,
    load,
    never,
    quietly,
    replayed,
    some_messages,
    spoilt,
    verdict_of,
)
from tests.kafka.broker import Broker
from tests.kafka.client import Kafka
from tests.store.conftest import server as server
from tradecap.errors import Exit, TradecapError
from tradecap.flows import load as loading
from tradecap.flows.attest import attest
from tradecap.flows.capture.resume import known_ids
from tradecap.log import open_log
from tradecap.log.api import Damage, Log
from tradecap.log.kafka import log as kafka_log
from tradecap.market.faults import FAULTS
from tradecap.market.records import RunWriter, frame, series_head
from tradecap.store.clickhouse.store import ClickHouseStore

pytestmark = pytest.mark.kafka
PROGRAM = str(Path(sys.executable).with_name("tradecap"))


@pytest.fixture
def log(kafka: Kafka, topic: str) -> Log:
    """A log in an empty topic of four partitions."""
    return open_log(kafka.url(topic))


def consumed(kafka: Kafka, topic: str, count: int) -> list[tuple[bytes, bytes, int, list[tuple[str, bytes]]]]:
    """(key, value, partition, headers) of messages, as a client that knows nothing of tradecap sees them."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found: list[tuple[bytes, bytes, int, list[tuple[str, bytes]]]] = []
    until_s = time.monotonic() + 60
    while len(found) < count and time.monotonic() < until_s:
        for message in consumer.consume(1000, 0.2):
            assert message.error() is None
            headers = [
                (str(name), value if isinstance(value, bytes) else b"") for name, value in list(message.headers() or [])
            ]
            found.append((message.key() or b"", message.value() or b"", message.partition() or 0, headers))
    consumer.close()
    return found


def test_a_spoilt_topic_is_loaded_and_proven(log: Log, store: ClickHouseStore) -> None:
    """Only a folder could be proven."""
    replayed(log, some_messages(range(300)))
    replayed(log, some_messages(range(200), symbol="ETHUSDT"))
    spoilt(log, dict.fromkeys(FAULTS, 3))
    load(log, store)
    assert failures(log, store, expect={"trades": 500, "duplicates": 3, "conflicts": 3}) == {}
    assert load(log, store).records == 0


def test_another_client_finds_each_symbol_in_one_partition(kafka: Kafka, topic: str, log: Log) -> None:
    """A consumer that keeps order by key would see the trades of a symbol out of order."""
    run = replayed(log, some_messages(range(50)))
    found = consumed(kafka, topic, 52)
    assert len(found) == 52
    assert all(headers == [("content-type", b"application/json")] for *_, headers in found)
    trades = [(key, partition) for key, value, partition, _ in found if "data" in json.loads(value)]
    assert len(trades) == 50
    assert {key for key, _ in trades} == {b"BTCUSDT"}
    assert len({partition for _, partition in trades}) == 1
    assert {key for key, value, *_ in found if "event" in json.loads(value)} == {run.encode()}


def test_kcat_reads_what_we_wrote(
    kafka: Kafka, topic: str, log: Log, outside_part: Callable[[bool, str], None]
) -> None:
    """A topic that only our own client can read is useless."""
    outside_part(shutil.which("kcat") is not None, "kcat")
    replayed(log, some_messages(range(10)))
    command = ["kcat", "-C", "-b", kafka.bootstrap, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%k %s\n"]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    assert sum(line.startswith('BTCUSDT {"run":"') for line in lines) == 10


def test_what_others_wrote_is_loaded_and_proven(kafka: Kafka, topic: str, log: Log, store: ClickHouseStore) -> None:
    """A topic that is fed by somebody else's capture would be unreadable, or stop the feed."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for value in (TRADE, b"\x00\xff", b"", b"two\nlines", b"{" + b" " * 900_000 + b"}"):
        producer.produce(topic, value)
    producer.flush()
    replayed(log, some_messages(range(5)))
    load(log, store)
    verdict = verdict_of(log, store)
    assert [check.name for check in verdict.checks if not check.ok] == []
    assert (verdict.counts.trades, verdict.counts.quarantined, verdict.counts.records) == (6, 3, 11)


def test_a_profile_names_the_venue_of_what_others_wrote(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """Nobody could load a topic of Binance.US: its trades would be Binance's."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic, TRADE)
    producer.flush()
    (tmp_path / "tradecap.toml").write_text(f'[profile.us]\nlog = "{kafka.url(topic)}"\nas = "binance-us"\n')
    subprocess.run([PROGRAM, "init-db", "-q"], check=True, cwd=tmp_path)
    subprocess.run([PROGRAM, "load", "-q", "--profile", "us"], check=True, cwd=tmp_path)
    done = subprocess.run(
        [PROGRAM, "verify", "-q", "--json", "--profile", "us"], capture_output=True, text=True, cwd=tmp_path
    )
    verdict = json.loads(done.stdout)
    assert verdict["ok"], verdict
    assert [each["venue"] for each in verdict["series"]] == ["binance-us"]
    (tmp_path / "tradecap.toml").write_text(f'[profile.us]\nlog = "{kafka.url(topic)}"\nas = "binance-moon"\n')
    refused = subprocess.run([PROGRAM, "load", "--profile", "us"], capture_output=True, text=True, cwd=tmp_path)
    assert (refused.returncode, "'binance-moon' (profile us in" in refused.stderr) == (2, True)


def test_a_topic_made_again_is_another_log(kafka: Kafka, topic: str, log: Log, store: ClickHouseStore) -> None:
    """A store would go on at a position of records that are gone, and miss the new ones before it."""
    replayed(log, some_messages(range(20)))
    load(log, store)
    kafka.delete_topic(topic)
    kafka.new_topic(topic)
    again = open_log(kafka.url(topic))
    assert again.id != log.id
    replayed(again, some_messages(range(100, 130)))
    assert load(again, store).valid == 30


def test_a_position_beyond_the_end_is_refused(log: Log) -> None:
    """A broker that reports no id of a topic can't tell a new one from the old; its end can."""
    replayed(log, some_messages(range(3)))
    with pytest.raises(TradecapError, match="made again"):
        list(log.read({0: "1000000"}))


def test_retention_that_overtakes_a_loader_is_damage(kafka: Kafka, topic: str, log: Log) -> None:
    """Records that were never loaded would be missing without a word."""
    replayed(log, some_messages(range(40)))
    (partition,) = {batch.end.partition for batch in log.read() if batch.records > 10}
    kafka.admin.delete_records([TopicPartition(topic, partition, 25)])[TopicPartition(topic, partition)].result()
    damage: list[Damage] = []
    found = sum(batch.records for batch in log.read({partition: "10"}, on_damage=damage.append))
    assert found < 42 - 10
    assert [each.place for each in damage] == [f"{topic}/{partition}@10"]
    assert "10 to 24" in damage[0].detail


def test_a_silent_run_is_proven_once_it_is_attested(log: Log, store: ClickHouseStore) -> None:
    """Nobody can see on a topic that a writer is dead; until somebody declares it, its run isn't proven."""
    writer = log.writer()
    begun(writer, some_messages(range(5)))
    load(log, store)
    assert failures(log, store) == {}  # it is open: its newest record is young
    with pytest.raises(TradecapError, match="younger than 60 s") as error:
        attest(log, [writer.run], None, progress=quietly)
    assert error.value.exit_code is Exit.CHECK_FAILED
    time.sleep(1.1)
    done = attest(log, [], 1.0, progress=quietly)
    assert [each.run for each in done.runs] == [writer.run]
    load(log, store)
    verdict = verdict_of(log, store)
    assert verdict.ok
    assert (verdict.runs["recovered"], verdict.runs["silent"]) == (1, 0)
    with pytest.raises(TradecapError, match="has an end"):
        attest(log, [writer.run], None, progress=quietly)


def test_a_run_that_has_ended_is_not_open(log: Log) -> None:
    """Its end is in the partition of its run, its trades in those of their symbols: read in another order it would look
    alive for a minute."""
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"):
        for _ in range(3):
            replayed(log, some_messages(range(300), symbol=symbol))
    assert log.open_runs() == frozenset()


def test_messages_of_others_are_nobodys_run(kafka: Kafka, topic: str, log: Log, store: ClickHouseStore) -> None:
    """attest would declare the records of another program finished, and `--run last` would be about them."""
    replayed(log, some_messages(range(5)))
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic, TRADE)
    producer.flush()
    time.sleep(1.1)
    assert attest(log, [], 1.0, progress=quietly).runs == []
    load(log, store)
    assert failures(log, store, run="last", expect={"trades": 5}) == {}


def test_a_capture_goes_on_after_the_newest_records_alone(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start of a capture would take as long as reading all that a month has left in the topic."""
    monkeypatch.setattr(kafka_log, "SKIMMED", 50)
    replayed(log, some_messages(range(400)))
    known = known_ids(log, "binance", "trade", ["BTCUSDT", "ETHUSDT"])
    assert 399 in known["BTCUSDT"]
    assert 40 <= len(known["BTCUSDT"]) <= 50
    assert not known["ETHUSDT"]


def test_a_record_after_the_attested_end_fails(log: Log, store: ClickHouseStore) -> None:
    """The writer was alive after all: what it writes on would be counted as if nobody had declared it dead."""
    writer = log.writer()
    run = begun(writer, some_messages(range(5)))
    time.sleep(1.1)
    attest(log, [], 1.0, progress=quietly)
    run.event("alive")
    run.end()
    writer.close()
    load(log, store)
    assert "was attested up to seq" in failures(log, store)["log.complete"].detail


def test_the_last_run_is_the_one_that_was_published_last(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore
) -> None:
    """A run from a spool that was shipped late has an old id; expectations of the last run would be of another one."""
    replayed(log, some_messages(range(5)))
    shipped = RunWriter("01930000-0000-7000-8000-000000000000")
    head = series_head("binance", "ETHUSDT", "trade", "ws")
    lines = [
        shipped.event(1, "started", {}),
        shipped.record(1, head, frame(a_message(7, symbol="ETHUSDT"))),
        shipped.event(1, "ended", {}),
    ]
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for line in lines:
        producer.produce(topic, line[:-1], key=shipped.run)
    producer.flush()
    load(log, store)
    assert not failures(log, store, run="last", expect={"records": 3, "trades": 1})
    assert not failures(log, store, run=shipped.run, expect={"records": 3, "trades": 1})


def test_two_loaders_share_a_topic(log: Log, tmp_path: Path, server: str) -> None:
    """Each would load everything, or each would wait for the other's partitions forever."""
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"):
        replayed(log, some_messages(range(200), symbol=symbol))
    url = f"{server}/shared{abs(hash(tmp_path))}"
    command = [PROGRAM, "load", "--log", log.url, "--store", url, "--json", "-q"]
    subprocess.run([PROGRAM, "init-db", "--store", url, "-q"], check=True, cwd=tmp_path)
    loaders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) for _ in range(2)]
    counts = [json.loads(loader.communicate(timeout=90)[0])["records"] for loader in loaders]
    assert sum(counts) >= 808
    done = subprocess.run(
        [PROGRAM, "verify", "--log", log.url, "--store", url, "--json", "-q"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert json.loads(done.stdout)["ok"], done.stdout


def test_a_loader_that_is_killed_loses_nothing(
    log: Log, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between rows and position is the one moment that can't be avoided."""
    replayed(log, some_messages(range(100)))

    class Killed(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(store, "commit", dies)
        with pytest.raises(Killed):
            loading.load(log, store, stop=never, progress=quietly)
    assert load(log, store).redelivered > 0
    assert failures(log, store, expect={"trades": 100}) == {}


def test_a_producer_that_is_killed_loses_nothing_acknowledged(log: Log, store: ClickHouseStore, tmp_path: Path) -> None:
    """What was acknowledged must be in the topic, once, whatever became of its writer."""
    recording = tmp_path / "recording"
    recording.write_bytes(b"".join(message + b"\n" for message in some_messages(range(200_000))))
    command = [PROGRAM, "replay", str(recording), "--log", log.url, "-q"]
    with subprocess.Popen(command, cwd=tmp_path) as producer:
        until_s = time.monotonic() + 60
        while sum(batch.records for batch in log.read()) < 1000 and time.monotonic() < until_s:
            time.sleep(0.05)
        producer.send_signal(signal.SIGKILL)
    load(log, store)
    assert set(failures(log, store)) <= {"log.complete"}
    time.sleep(1.1)
    attest(log, [], 1.0, progress=quietly)
    load(log, store)
    assert set(failures(log, store)) == set()


def test_a_broker_that_is_killed_while_we_write_loses_nothing(
    killable_broker: Broker, store: ClickHouseStore, topic_name: str, tmp_path: Path
) -> None:
    """A broker restarts every week: a capture would end, or records would be twice or out of order."""
    kafka = killable_broker.kafka
    log = open_log(kafka.url(kafka.new_topic(topic_name)))
    recording = tmp_path / "recording"
    recording.write_bytes(b"".join(message + b"\n" for message in some_messages(range(100_000))))
    command = [PROGRAM, "replay", str(recording), "--log", log.url, "--json", "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as producer:
        until_s = time.monotonic() + 60
        while not any(True for _ in log.read()) and time.monotonic() < until_s:
            time.sleep(0.05)
        killable_broker.kill()
        killable_broker.start()
        answer, _ = producer.communicate(timeout=120)
    assert producer.returncode == 0
    assert json.loads(answer)["records"] == 100_002
    load(log, store)
    assert failures(log, store, expect={"trades": 100_000}) == {}


def test_a_broker_that_is_not_there_is_reported(tmp_path: Path) -> None:
    """A traceback of librdkafka helps nobody; nor does waiting forever."""
    done = subprocess.run(
        [PROGRAM, "load", "--log", "kafka://127.0.0.1:1/trades.raw"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 3
    assert "no broker answers" in done.stderr
    assert "Connection refused" in done.stderr
    assert "hint: " in done.stderr


def test_a_missing_topic_is_reported_and_made_by_a_writer(kafka: Kafka, topic_name: str, tmp_path: Path) -> None:
    """The first command of every new user would fail without a way on."""
    url = kafka.url(topic_name)
    missing = subprocess.run([PROGRAM, "load", "--log", url], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (missing.returncode, "there is no such topic" in missing.stderr) == (2, True)
    made = subprocess.run(
        [PROGRAM, "replay", "sample:", "--limit", "5", "--log", url],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert (made.returncode, f"topic {topic_name} made with 4 partitions" in made.stderr) == (0, True)
    shown = subprocess.run(
        [PROGRAM, "topics", "--log", url, "--json"], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    (row,) = json.loads(shown.stdout)["topics"]
    assert (row["name"], row["partitions"], row["drift"]) == (topic_name, 4, [])


def test_old_trades_survive_a_topic_that_keeps_records_for_an_hour(
    kafka: Kafka, topic_name: str, store: ClickHouseStore
) -> None:
    """A recording of 2019 would be deleted by the broker as soon as it is written."""
    log = open_log(kafka.url(kafka.new_topic(topic_name, config={"retention.ms": "3600000", "segment.ms": "1000"})))
    seconds_since_2019 = NOON_S - 1_546_300_800
    replayed(log, [a_message(number, at_s=number - seconds_since_2019) for number in range(50)])
    time.sleep(3)  # the broker of the tests looks for old records every second
    load(log, store)
    assert failures(log, store, expect={"trades": 50}) == {}


@pytest.mark.parametrize(
    ("setting", "value"), [("unclean.leader.election.enable", "true"), ("cleanup.policy", "compact")]
)
def test_a_topic_that_is_not_as_wanted_shows_it(
    kafka: Kafka, topic_name: str, tmp_path: Path, setting: str, value: str
) -> None:
    """A compacted topic keeps one trade a symbol; an unclean election loses what was acknowledged."""
    url = kafka.url(kafka.new_topic(topic_name, config={setting: value}))
    shown = subprocess.run(
        [PROGRAM, "topics", "--log", url, "--json"], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert shown.returncode == 1
    assert [(each["setting"], each["present"]) for each in json.loads(shown.stdout)["topics"][0]["drift"]] == [
        (setting, value)
    ]
    written = subprocess.run(
        [PROGRAM, "replay", "sample:", "--limit", "5", "--log", url],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert written.returncode == 2, written.stderr
    assert f"{setting} is {value}" in written.stderr


def test_injecting_a_file_makes_a_missing_topic(kafka: Kafka, topic_name: str, tmp_path: Path) -> None:
    """The first thing that somebody tries on a new cluster would fail."""
    (tmp_path / "odd").write_text("hello\n")
    command = [PROGRAM, "inject-bad", "--from-file", "odd", "--yes", "--json", "--log", kafka.url(topic_name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["injected"]) == (0, {"file": 1}), done.stderr
    assert f"topic {topic_name} made" in done.stderr

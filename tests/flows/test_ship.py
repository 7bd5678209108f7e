"""Copying a log in a folder into another log: identities, damage, and going on where it stopped."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.flows.builders import failures, load, quietly, replayed, some_messages, verdict_of
from tests.kafka.broker import Broker
from tests.kafka.client import Kafka
from tests.log.builders import lines_of, repack, unpack, write_run
from tradecap.errors import TradecapError
from tradecap.flows.capture.resume import known_ids
from tradecap.flows.records import read_lines
from tradecap.flows.ship import Shipped, ship
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.spool import Spool, Target
from tradecap.market.records import RunWriter, frame, series_head
from tradecap.store.clickhouse.store import ClickHouseStore

PROGRAM = str(Path(sys.executable).with_name("tradecap"))


@pytest.fixture
def source(tmp_path: Path) -> FileLog:
    return FileLog(tmp_path / "source", create=True)


@pytest.fixture
def other(tmp_path: Path) -> FileLog:
    return FileLog(tmp_path / "other", create=True)


def copied(source: FileLog, target: Log) -> Shipped:
    """Copy all there is."""
    done = Shipped(target=Target(target.id, target.url))
    assert ship(
        Spool(source), lambda: open_log(target.url), done, follow=None, is_wanted=lambda: True, progress=quietly
    )
    return done


def run(*args: str, code: int = 0) -> dict[str, Any]:
    """The JSON result of ship."""
    done = subprocess.run([PROGRAM, "ship", *args, "--json"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return {"stderr": done.stderr, **json.loads(done.stdout or "{}")}


def test_a_copy_has_the_same_records_and_is_proven(source: FileLog, other: FileLog, store: ClickHouseStore) -> None:
    """A copy with other identities would be other records, each a duplicate in the store."""
    replayed(source, some_messages(range(100)), segment_bytes=5000)
    replayed(source, some_messages(range(100, 150)))
    assert copied(source, other).records == 154
    assert lines_of(other.read()) == lines_of(source.read())
    load(other, store)
    verdict = verdict_of(other, store)
    assert verdict.ok
    assert verdict.runs["ended"] == 2
    assert known_ids(other, "binance", "trade", ["BTCUSDT"])["BTCUSDT"].intervals() == [(0, 149)]


def test_it_continues_where_it_stopped_per_target(source: FileLog, other: FileLog, tmp_path: Path) -> None:
    """Everything would be copied again each time, or nothing into a second target."""
    replayed(source, some_messages(range(30)))
    assert copied(source, other).records == 32
    replayed(source, some_messages(range(30, 40)))
    assert copied(source, other).records == 12
    assert copied(source, other).records == 0
    assert copied(source, FileLog(tmp_path / "third", create=True)).records == 44


def test_the_command_reports_and_continues(source: FileLog, other: FileLog) -> None:
    """The contract of the command."""
    replayed(source, some_messages(range(30)))
    done = run(str(source.path), "--log", other.url)
    assert (done["records"], done["undelivered"], done["position"].partition(":")[0]) == (32, 0, "000001")
    assert run(f"file:{source.path}", "--log", other.url)["records"] == 0


def test_a_topic_as_source_is_refused(other: FileLog) -> None:
    """Only a folder knows how far it was copied."""
    assert "is a topic" in run("kafka://localhost:1/trades", "--log", other.url, code=2)["stderr"]
    assert "same log" in run(str(other.path), "--log", other.url, code=2)["stderr"]


def test_a_line_that_is_no_record_is_named_and_not_copied(source: FileLog, other: FileLog) -> None:
    """Other logs would take damage for records; or the rest of the log would never be copied."""
    lines = write_run(source, 20)
    packed = source.path / "000001.ndjson.zst"
    plain = unpack(packed)
    repack(packed, plain.replace(lines[7], b"x" * (len(lines[7]) - 1) + b"\n"))
    done = run(str(source.path), "--log", other.url, code=1)
    assert (done["records"], done["undelivered"]) == (20, 0)
    byte = sum(map(len, lines[:7]))
    assert next(each["place"] for each in done["damage"]) == f"000001.ndjson:byte {byte}"
    assert lines_of(other.read()) == lines[:7] + lines[8:]


def test_a_segment_with_damage_stays_in_the_spool(source: FileLog, other: FileLog) -> None:
    """What couldn't be copied could never be brought back."""
    spool = Spool(source)
    spool.belong_to(Target(other.id, other.url))
    lines = write_run(source, 20)
    write_run(source, 20)
    write_run(source, 20)
    packed = source.path / "000001.ndjson.zst"
    repack(packed, unpack(packed).replace(lines[7], b"x" * (len(lines[7]) - 1) + b"\n"))
    done = Shipped(target=Target(other.id, other.url))
    with source.writer():
        ship(
            spool,
            lambda: open_log(other.url),
            done,
            follow=None,
            is_wanted=lambda: True,
            progress=quietly,
            is_trimmed=True,
        )
    assert [file.name for file in sorted(source.path.glob("*.zst"))] == ["000001.ndjson.zst", "000003.ndjson.zst"]


def test_one_process_ships_a_log_at_a_time(source: FileLog, other: FileLog) -> None:
    """Two would overwrite each other's positions."""
    write_run(source, 3)
    with Spool(source).shipping():
        assert "by another process" in run(str(source.path), "--log", other.url, code=3)["stderr"]


def test_waiting_counts_what_lies_after_a_position(source: FileLog) -> None:
    """`undelivered` would be wrong, and with it the exit code."""
    write_run(source, 200, segment_bytes=3000)
    spool, passed = Spool(source), 0
    assert spool.waiting({}) == 201
    size = spool.waiting_bytes({})
    assert size == sum(map(len, lines_of(source.read())))
    for batch in source.read():
        passed += batch.records
        size -= len(batch.content[0])
        assert spool.waiting({0: batch.end.at}) == 201 - passed
        assert spool.waiting_bytes({0: batch.end.at}) == size
    with source.writer() as writer:
        writer.append(RunWriter(writer.run).event(1, "started", {}))
        writer.flush()
        assert spool.waiting({0: batch.end.at}) == 1


@pytest.mark.kafka
def test_a_folder_is_copied_into_a_topic_and_proven(
    source: FileLog, kafka: Kafka, topic: str, store: ClickHouseStore
) -> None:
    """What a dead capture left behind could not be brought to where all others are."""
    replayed(source, some_messages(range(100)))
    replayed(source, some_messages(range(50), symbol="ETHUSDT"))
    log = open_log(kafka.url(topic))
    assert run(str(source.path), "--log", log.url)["records"] == 154
    load(log, store)
    assert failures(log, store, expect={"trades": 150}) == {}
    assert run(str(source.path), "--log", log.url)["records"] == 0


@pytest.mark.kafka
def test_a_record_that_the_topic_does_not_take_is_shortened_and_reported(
    source: FileLog, kafka: Kafka, topic_name: str
) -> None:
    """One long record would stop the copy forever, or be dropped."""
    log = open_log(kafka.url(kafka.new_topic(topic_name, config={"max.message.bytes": "50000"})))
    payload = b"x" * 100_000
    with source.writer() as writer:
        lines = RunWriter(writer.run)
        for data in (b"{}", payload, b"{}"):
            writer.append(
                lines.record(1, series_head("binance", "BTCUSDT", "trade", "ws") + b'"src":"a:7",', frame(data))
            )
    done = run(str(source.path), "--log", log.url)
    assert (done["records"], done["shortened"], done["undelivered"]) == (3, 1, 0)
    assert "takes 48\u202f000" in done["stderr"]
    (_, cut, _) = [envelope for envelope, _, _ in read_lines(log)]
    assert (cut.seq, cut.size, cut.src) == (1, 100_000, "a:7")
    assert 30_000 < len(cut.payload) < 48_000
    assert payload.startswith(cut.payload)


@pytest.mark.kafka
def test_a_topic_made_again_is_not_continued(source: FileLog, kafka: Kafka, topic: str) -> None:
    """The new topic would have the end of the log without its beginning."""
    log = open_log(kafka.url(topic))
    replayed(source, some_messages(range(10)))
    done = Shipped(target=Target(log.id, log.url))
    kafka.delete_topic(topic)
    kafka.new_topic(topic)
    with pytest.raises(TradecapError, match="another log now"):
        ship(Spool(source), lambda: open_log(log.url), done, follow=None, is_wanted=lambda: True, progress=quietly)
    assert done.records == 0


@pytest.mark.kafka
def test_follow_copies_what_comes_in_and_waits_for_a_broker(
    source: FileLog, killable_broker: Broker, topic_name: str
) -> None:
    """A copy that ends with the first outage isn't one to leave alone."""
    kafka = killable_broker.kafka
    log = open_log(kafka.url(kafka.new_topic(topic_name)))
    replayed(source, some_messages(range(10)))
    with subprocess.Popen(
        [PROGRAM, "ship", str(source.path), "--log", log.url, "--follow", "--json"], stdout=subprocess.PIPE, text=True
    ) as process:
        spool = Spool(source)
        until_s = time.monotonic() + 60
        while Spool(source).waiting(Spool(source).position(log.id)) and time.monotonic() < until_s:
            time.sleep(0.1)
        killable_broker.kill()
        replayed(source, some_messages(range(10, 20)))
        time.sleep(1)
        assert process.poll() is None
        killable_broker.start()
        while (spool := Spool(source)).waiting(spool.position(log.id)) and time.monotonic() < until_s + 30:
            time.sleep(0.1)
        process.terminate()
        answer, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(answer)["records"] == 24

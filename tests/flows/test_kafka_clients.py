"""Clients that know nothing of tradecap: they read what we wrote, and what they write is loaded and proven."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.builders import failures, load, replayed, some_messages
from tests.kafka.client import Kafka
from tests.kafka.installation import Installation
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.store.clickhouse.store import ClickHouseStore

pytestmark = pytest.mark.kafka
JAVA_CLIENT = Path(__file__).parents[1] / "kafka/ForeignClient.java"


@pytest.fixture
def log(kafka: Kafka, topic: str) -> Log:
    """A log in an empty topic of four partitions."""
    return open_log(kafka.url(topic))


def java(installation: Installation, *arguments: str, lines: bytes = b"") -> list[str]:
    """What the Java client prints."""
    command = installation.command(str(JAVA_CLIENT), *arguments, heap_mb=128)
    done = subprocess.run(command, input=lines, capture_output=True, timeout=90)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


def test_a_java_client_reads_what_we_wrote_and_we_load_what_it_wrote(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore, kafka_installation: Installation
) -> None:
    """Most consumers of a topic are Java: another partitioner or encoding would break the order of a symbol, or the
    proof."""
    replayed(log, some_messages(range(50)))
    found = [line.split("\t") for line in java(kafka_installation, "consume", kafka.bootstrap, topic, "52")]
    assert len(found) == 52
    assert {kind for _, _, kind, _ in found} == {"application/json"}
    ours = {partition for partition, key, _, value in found if key == "BTCUSDT" and "data" in json.loads(value)}
    assert len(ours) == 1
    messages = b"\n".join(some_messages(range(50, 80))) + b"\n"
    assert set(java(kafka_installation, "produce", kafka.bootstrap, topic, "BTCUSDT", lines=messages)) == ours
    load(log, store)
    assert failures(log, store, expect={"trades": 80}) == {}


def test_the_consumer_of_the_document_works_as_pasted(kafka: Kafka, topic: str, log: Log) -> None:
    """The first thing that a reader of docs/kafka.md tries would fail."""
    replayed(log, some_messages(range(5)))
    text = (Path(__file__).parents[2] / "docs/kafka.md").read_text()
    program = text.partition("```python\n")[2].partition("```")[0]
    program = (
        program.replace("localhost:19092", kafka.bootstrap).replace("trades.raw", topic).replace("poll(10)", "poll(5)")
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert [line.split(" ", 1)[0] for line in done.stdout.splitlines()] == ["BTCUSDT"] * 5, done.stderr


def test_what_kcat_wrote_is_loaded(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore, outside_part: Callable[[bool, str], None]
) -> None:
    """Somebody else's capture, piped into a topic by the usual tool, would be unreadable."""
    outside_part(shutil.which("kcat") is not None, "kcat")
    messages = [*some_messages(range(20)), b'{"stream":"btcusdt@trade","data":' + some_messages([20])[0] + b"}"]
    command = ["kcat", "-P", "-b", kafka.bootstrap, "-t", topic, "-z", "zstd"]
    subprocess.run(command, input=b"\n".join(messages), timeout=60, check=True)
    load(log, store)
    assert failures(log, store, expect={"trades": 21}) == {}

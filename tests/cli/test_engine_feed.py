"""ClickHouse's Kafka engine as the feed of an embedded store, as people run it: each command is a process."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import PROGRAM
from tests.cli.test_kafka_security import way_in
from tests.cli.test_secrets import contents
from tests.cli.test_secrets_at_work import process_list
from tests.exchange import running
from tests.kafka.client import Kafka
from tests.kafka.secured import PLAIN_USERS, Secured

pytestmark = pytest.mark.kafka


def ran(*args: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """A command with a topic as its log."""
    return subprocess.run([PROGRAM, *args], env={**os.environ, **environ}, capture_output=True, text=True, check=False)


def result(*args: str, **environ: str) -> dict[str, Any]:
    """What a command that succeeds prints."""
    done = ran(*args, "--json", **environ)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_replay_waits_for_the_engine_and_a_capture_names_the_way(kafka: Kafka, topic: str) -> None:
    """A refusal after everything was written, or hours later, leaves somebody with a store that he believes is
    filled."""
    log = {"TRADECAP_LOG": kafka.url(topic)}
    assert result("init-db", "--feed", "kafka", **log)["feed"] == "kafka"
    replayed = result("replay", "sample:", "--limit", "50", "--load", **log)
    assert (replayed["valid"], replayed["load"]["valid"]) == (50, 50)
    with running() as exchange:
        streamed = ran("stream", "BTCUSDT", "--ws-url", exchange.url, "--load", "--spool", "spool", **log)
    assert streamed.returncode == 2
    assert f"reads topic {topic} by itself." in streamed.stderr
    assert "leave out --load, and run in another terminal: tradecap load --follow" in streamed.stderr
    assert result("verify", **log)["counts"]["records"] == 52


@pytest.mark.parametrize("way", ["PLAIN", "mutual TLS"])
def test_the_engine_reads_from_a_broker_that_asks_for_a_name(
    secured: Secured, topic_name: str, way: str, tmp_path: Path
) -> None:
    """The store keeps what it is made of: a password in a statement would be in its folder and in its messages."""
    url, environ = way_in(secured, way, secured.kafka.new_topic(topic_name, partitions=2))
    environ |= {"TRADECAP_LOG": url, "TMPDIR": str(tmp_path)}
    answer = ""
    with process_list() as processes:
        for command in (
            "replay sample: --limit 200 -vv",
            "init-db --feed kafka -vv",
            "load --feed kafka -vv",
            "verify -vv",
        ):
            done = ran(*command.split(), **environ)
            assert done.returncode == 0, done.stderr
            answer += done.stdout + done.stderr
    assert "202 records" in answer
    files = {str(path): contents(path) for path in tmp_path.rglob("*") if path.is_file() and path.name != "secret"}
    assert [name for name, text in files.items() if PLAIN_USERS["odd"] in text] == []
    assert [each for each in (answer, *processes) if PLAIN_USERS["odd"] in each] == []

"""Proofs of a topic while trades are written and loaded, as a user runs them: processes, a broker, a server.

Short here; `make chaos` takes a minute at 5 000 trades a second, with ten proofs (TRADECAP_LIVE=60).
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from tests.flows.builders import a_message
from tests.kafka.client import Kafka
from tests.store.conftest import server as server
from tradecap.flows.run import Run
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.market.records import Trade, frame, series_head
from tradecap.store import open_store
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance import decode

pytestmark = pytest.mark.kafka
PROGRAM: Final = str(Path(sys.executable).with_name("tradecap"))
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
LONG: Final = float(os.environ.get("TRADECAP_LIVE", "0"))
SECONDS, PROOFS, RATE = LONG, 10, 5_000 if LONG else 2_000
ENGINE: Final = "a topic that ClickHouse reads by itself"
SHORT: Final = {"a topic": (8.0, 3), "a folder": (6.0, 2), ENGINE: (6.0, 2)}
"""For how many seconds, and how many proofs."""


def a_trade_of(number: int, began_s: float) -> bytes:
    """The n-th message of the market: four symbols in turn, at the time it is written."""
    time_us = round((began_s + number / RATE) * 1e6)
    return a_message(
        number // 4,
        symbol=SYMBOLS[number % 4],
        trade_time_us=time_us,
        event_time_us=time_us,
        price=(100 + number % 7) * 10**8,
    )


class Market(threading.Thread):
    """Writes RATE trades a second to a log until it is stopped."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log, self.written, self.is_over = log, 0, threading.Event()

    def run(self) -> None:
        """One run, from its start to its end."""
        began_s, began = time.time(), time.monotonic()
        with self.log.writer() as writer:
            run = Run(writer, "test")
            while not self.is_over.is_set():
                for number in range(self.written, min(int((time.monotonic() - began) * RATE), self.written + RATE)):
                    message = a_trade_of(number, began_s)
                    reading = decode(message)
                    assert isinstance(reading, Trade)
                    run.record(
                        None, series_head(reading.venue, reading.symbol, reading.channel, "ws"), frame(message), reading
                    )
                    self.written = number + 1
                run.flush()
                time.sleep(0.02)
            run.end()


@pytest.fixture
def store(server: str) -> str:
    """The URL of an empty store on a server."""
    url = f"{server}/live{uuid4().hex}"
    subprocess.run([PROGRAM, "init-db", "--store", url, "-q"], check=True)
    return url


@pytest.fixture(params=SHORT)
def feed(request: pytest.FixtureRequest) -> str:
    """Where the market is written to, and what loads it."""
    return str(request.param)


@pytest.fixture
def log(feed: str, request: pytest.FixtureRequest, tmp_path: Path, store: str) -> Log:
    """Where the market is written to."""
    if feed == "a folder":
        return open_log(f"file:{tmp_path}/log", create=True)
    kafka: Kafka = request.getfixturevalue("kafka")
    log = open_log(kafka.url(request.getfixturevalue("topic")))
    if feed == ENGINE:
        subprocess.run([PROGRAM, "init-db", "--feed", "kafka", "--log", log.url, "--store", store, "-q"], check=True)
    return log


@pytest.fixture
def market(log: Log, store: str) -> Iterator[Market]:
    """A market that is written and loaded."""
    market = Market(log)
    market.start()
    with subprocess.Popen(
        [PROGRAM, "load", "--follow", "--log", log.url, "--store", store, "-q"], stderr=subprocess.DEVNULL
    ) as loader:
        yield market
        market.is_over.set()
        market.join()
        loader.kill()


def proof(log: Log, store: str) -> dict[str, Any]:
    """What verify prints."""
    # a loader rests nine times as long as a sweep takes: on a busy machine longer than the 30 s of --wait
    command = [PROGRAM, "verify", "--log", log.url, "--store", store, "--wait", "2m", "--json", "-q"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def failed(found: dict[str, Any]) -> list[str]:
    """What is wrong, by check."""
    return [f"{check['name']}: {check['actual']} ({check['detail']})" for check in found["checks"] if not check["ok"]]


def test_ten_proofs_hold_during_a_live_market_and_a_lost_row_fails(
    feed: str, log: Log, store: str, market: Market
) -> None:
    """The one place where everything runs at once: a proof that fails there is switched off, and one that always passes
    is worth nothing."""
    seconds, proofs = (SECONDS, PROOFS) if LONG and not log.has_one_writer else SHORT[feed]
    began_s, records = time.monotonic(), 0
    for number in range(proofs):
        time.sleep(max(0.0, began_s + (number + 1) * seconds / (proofs + 1) - time.monotonic()))
        found = proof(log, store)
        assert failed(found) == []
        assert found["counts"]["records"] > records
        records = found["counts"]["records"]
    market.is_over.set()
    market.join()
    assert failed(proof(log, store)) == []

    with open_store(store) as opened:
        assert isinstance(opened, ClickHouseStore)
        opened.run("ALTER TABLE ledger DELETE WHERE seq = 7777 SETTINGS mutations_sync = 2")
    lost = proof(log, store)
    assert any(each.startswith("ledger.complete: ") and "(lost: run " in each for each in failed(lost))
    print(f"{market.written} trades, {found['counts']}")

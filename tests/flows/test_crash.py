"""The installed program, killed with kill -9 at random moments: afterwards nothing is lost and nothing counted twice.

What was cut off is attested by the next run and repeated by the next load; trades and candles come out as if nobody had
been killed.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.builders import failures, load, replayed, some_messages, verdict_of
from tradecap.flows.candles import BarsQuery, candles
from tradecap.log import open_log
from tradecap.log.folder.log import FileLog
from tradecap.store.clickhouse.store import ClickHouseStore

PROGRAM = str(Path(sys.executable).with_name("tradecap"))
TRADES = 20_000
KILLS = int(os.environ.get("CRASH_ROUNDS", "4"))
"""`make crash` makes 100 in each test."""
SEED = int(os.environ.get("CRASH_SEED", "20240808"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with a recording, to be in."""
    (tmp_path / "capture.ndjson").write_bytes(b"".join(message + b"\n" for message in some_messages(range(TRADES))))
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def command(*args: str) -> list[str]:
    return [PROGRAM, *args, "--log", "file:log", "--store", "chdb:db", "-q"]


def whole(*args: str) -> None:
    done = subprocess.run(command(*args), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def killed(*args: str, holding: str, after_s: float) -> bool:
    """Whether the command was killed this long after it took its lock, and before it had ended."""
    with subprocess.Popen(command(*args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and str(process.pid) not in (
            Path(holding).read_text() if Path(holding).exists() else ""
        ):
            time.sleep(0.001)
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    return process.returncode == -signal.SIGKILL


def rows_of(store: ClickHouseStore) -> list[object]:
    """The trades and the candles."""
    trades = "SELECT trade_id, price, qty, trade_time, is_buyer_maker, order_book FROM v_trades ORDER BY trade_id"
    return [store.rows(trades), candles(store, BarsQuery(symbol="BTCUSDT")).candles]


def rows_of_a_clean_run(place: Path) -> list[object]:
    clean = FileLog(place / "clean", create=True)
    replayed(clean, (place / "capture.ndjson").read_bytes().splitlines())
    with ClickHouseStore.embedded(place / "clean-db", "chdb:clean-db", create=True) as store:
        store.create()
        load(clean, store)
        return rows_of(store)


def test_runs_that_were_killed_are_attested_and_proven(place: Path) -> None:
    """A killed replay, or a killed inject-bad, that leaves half a record, a hole or an end nobody vouches for breaks
    every later proof."""
    replays = ("replay", "capture.ndjson", "--segment-size", "1MB")
    whole(*replays)
    rng = random.Random(SEED)
    kills = 0
    for number in range(KILLS):
        spoils = ("inject-bad", "--dupes", "5000", "--nulls", "5000", "--seed", str(number))
        kills += killed(*(spoils if number % 2 else replays), holding="log/lock", after_s=rng.random() * 0.12)
    assert kills >= 2
    whole("inject-bad", "--all", "5", "--seed", "1")
    whole("init-db")
    whole("load")
    with ClickHouseStore.embedded(Path("db"), "chdb:db", create=False) as store:
        verdict = verdict_of(open_log("file:log"), store)
        assert not [check for check in verdict.checks if not check.ok]
        assert verdict.runs["torn"] == 0
        assert verdict.counts.trades == TRADES
        rows = rows_of(store)
    assert rows == rows_of_a_clean_run(place)


def test_loads_that_were_killed_lose_nothing_and_count_nothing_twice(place: Path) -> None:
    """Between the rows and the position a crash repeats; anywhere else it must not even do that, and nowhere lose."""
    whole("replay", "capture.ndjson", "--segment-size", "500KB")
    whole("inject-bad", "--all", "20", "--seed", "1")
    whole("init-db")
    rng = random.Random(SEED + 1)
    kills = 0
    for _ in range(KILLS):
        if killed("load", holding="db/tradecap.lock", after_s=rng.random() * 0.4):
            kills += 1
        else:
            whole("init-db", "--drop", "--yes")
    assert kills >= 2
    whole("load")
    with ClickHouseStore.embedded(Path("db"), "chdb:db", create=False) as store:
        expected = {"trades": TRADES, "duplicates": 20, "conflicts": 20, "quarantined": 160}
        assert not failures(open_log("file:log"), store, expect=expected)
        rows = rows_of(store)
    assert rows == rows_of_a_clean_run(place)

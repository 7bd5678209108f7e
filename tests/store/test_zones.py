"""Times are instants: a server in any zone, or whose sessions are in any zone, answers as one in UTC does.

The trades lie around midnight of UTC and of the zones, and around the hour that New York has twice on 2024-11-03.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from tests.builders import a_trade
from tests.flows.builders import failures, load, replayed
from tests.store.endpoint import PASSWORD, USER
from tradecap.flows.candles import BarsQuery, candles
from tradecap.log.folder.log import FileLog
from tradecap.market.candles import candles as by_rule
from tradecap.market.records import Trade
from tradecap.store import create_store, open_store
from tradecap.store.clickhouse import feeding
from tradecap.store.clickhouse.connection import Row, query
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance.synthetic import message

EVENING_S: Final = 1_730_584_200
"""2024-11-02 21:50:00 UTC."""
MIDNIGHT_S: Final = 1_730_592_000
"""2024-11-03 00:00:00 UTC."""
ZONES: Final = {
    "New York": ("America/New_York", ""),
    "Kolkata": ("Asia/Kolkata", ""),
    "sessions in Kiritimati": ("UTC", "Pacific/Kiritimati"),
}
QUERIES: Final = sorted(path.stem for path in Path(feeding.__file__).with_name("queries").glob("*.sql"))
SERIES: Final = {
    "venue": "binance",
    "symbol": "BTCUSDT",
    "channel": "trade",
    "seconds": 86_400,
    "at_most": 1000,
    "block": 0,
    "blocks": [0],
}


@pytest.fixture(scope="module", params=ZONES)
def abroad(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a ClickHouse in another zone."""
    zone, session = ZONES[request.param]
    command = [sys.executable, "-m", "tests.store.endpoint", str(tmp_path_factory.mktemp("abroad")), session]
    there = {**os.environ, "TZ": zone}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2], env=there
    ) as process:
        assert process.stdout
        yield f"clickhouse://{USER}:{quote(PASSWORD)}@127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


def a_night() -> list[Trade]:
    """A trade every ten minutes from 21:50 to 08:30 UTC, at any second of its minute."""
    return [
        a_trade(id=n, trade_time_us=(EVENING_S + 600 * n + 37 * n % 60) * 10**6, price=(100 + n % 7) * 10**8)
        for n in range(65)
    ]


def parameters(name: str, log: FileLog, runs: list[str]) -> dict[str, object]:
    """Values for what a query asks for: the series and all of the night, in the unit its times are in."""
    text = query(name)
    unit = 1 if "toDateTime({since" in text else 10**6
    values: dict[str, object] = {**SERIES, "log": log.id, "run": runs[0], "runs": runs}
    values |= {"since": (EVENING_S + 60) * unit, "until": (MIDNIGHT_S + 21_600) * unit}
    values |= {"first": "2024-11-02", "last": "2024-11-03"} if "{first:Date}" in text else {"first": 0, "last": 100}
    values |= {
        "part": 0,
        "parts": [0],
        "from_id": 0,
        "lows": [0],
        "highs": [10**9],
        "ids": [1],
        "every": runs,
        "reading": ["market.inbox"],
    }
    values |= {f"{each}s": [value] for each, value in SERIES.items()} | {"first_ids": [0], "last_ids": [10]}
    values |= {"first_s": EVENING_S, "last_s": MIDNIGHT_S + 21_600, "sweep": 0}
    values |= dict.fromkeys(("brokers", "collection", "database", "detail", "feed", "place", "table", "topic"), "")
    return {each: values[each] for each in re.findall(r"\{(\w+):", text)}


def stored_queries() -> list[str]:
    """The queries that ask for what is stored. The answers to `tradecap query` are written by ClickHouse itself, as
    RFC 3339 with Z; other queries insert, or read a file."""
    others = ("INSERT", "{insert:", "FROM file(", "FROM input(")
    return [
        name for name in QUERIES if not name.startswith("asked_") and not any(each in query(name) for each in others)
    ]


def answers(store: ClickHouseStore, log: FileLog) -> dict[str, list[Row]]:
    """What every query of the package says of the night."""
    runs = sorted(store.fed_runs(log.id))
    asked = [name for name in stored_queries() if name not in ("store_id", "materialized_views")]
    return {name: store.rows(query(name), **parameters(name, log, runs)) for name in asked}


def test_every_query_answers_the_same_in_every_zone(
    abroad: str, log: FileLog, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day cut at the server's midnight, or a bound in its clock, would move trades into other bars and out of the
    range asked for."""
    monkeypatch.setattr(feeding, "TRADES_A_SWEEP", 1)  # each day is swept by itself
    replayed(log, [message(trade) for trade in a_night()])
    url = f"{abroad}/queries"
    create_store(url)
    with open_store(url) as there:
        assert isinstance(there, ClickHouseStore)
        load(log, there)
        load(log, store)
        assert answers(there, log) == answers(store, log)


@pytest.mark.parametrize("seconds", [60, 3600, 86_400])
def test_bars_open_in_utc_on_a_server_in_any_zone(abroad: str, log: FileLog, seconds: int) -> None:
    """A bar of a day that opened at the server's midnight would be another bar, with another close."""
    replayed(log, [message(trade) for trade in a_night()])
    url = f"{abroad}/bars{seconds}"
    create_store(url)
    with open_store(url) as there:
        load(log, there)
        found = candles(there, BarsQuery(symbol="BTCUSDT", seconds=seconds)).candles
        assert failures(log, there) == {}
        of_two_hours = candles(
            there, BarsQuery(symbol="BTCUSDT", from_s=MIDNIGHT_S + 14_400, to_s=MIDNIGHT_S + 21_600)
        ).candles
    expected = by_rule(a_night(), seconds)
    assert [(bar.open_time.timestamp(), bar.first_id, bar.last_id) for bar in found] == [
        (c.open_time_s, c.first_id, c.last_id) for c in expected
    ]
    assert {bar.open_time.tzinfo for bar in found} == {UTC}
    assert len(of_two_hours) == 12


def test_no_query_hands_out_a_time_that_has_a_zone(log: FileLog, store: ClickHouseStore) -> None:
    """The client turns a DateTime into the clock of the server or of this machine: seconds since 1970 have no clock."""
    replayed(log, [message(trade) for trade in a_night()])
    load(log, store)
    runs = sorted(store.fed_runs(log.id))
    for name in stored_queries():
        columns = store.rows(f"DESCRIBE TABLE ({query(name)})", **parameters(name, log, runs))
        assert not [row for row in columns if "DateTime" in str(row["type"])], name


@pytest.mark.parametrize("view", ["v_candles(seconds = 86400)", "v_minutes(first = '2024-11-02', last = '2024-11-03')"])
def test_times_that_people_query_say_that_they_are_utc(store: ClickHouseStore, view: str) -> None:
    """A DateTime without a zone is shown in that of the server: the same bar at two times."""
    columns = store.rows("SELECT table, type FROM system.columns WHERE database = currentDatabase()")
    columns += store.rows(f"DESCRIBE TABLE (SELECT * FROM {view})")
    types = {str(row["type"]) for row in columns if "DateTime" in str(row["type"])}
    assert types == {"DateTime('UTC')", "DateTime64(6, 'UTC')"}


@pytest.mark.parametrize("zone", ["UTC+3", "<+0330>-3:30", "Nowhere/City"])
def test_an_embedded_store_opens_whatever_the_zone_of_the_machine_is_called(tmp_path: Path, zone: str) -> None:
    """POSIX zones are right for libc and unknown to the engine: it would be reported as not installed."""
    opened = (
        "from tradecap.store import create_store; import os, sys; create_store(sys.argv[1]); print(os.environ['TZ'])"
    )
    command = [sys.executable, "-c", opened, f"chdb:{tmp_path}/db"]
    done = subprocess.run(command, env={**os.environ, "TZ": zone}, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"{zone}\n", "")

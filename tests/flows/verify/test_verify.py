"""The proof, shown failing: whatever is lost, changed or made up is found by the check it is the business of, and by
none that has no part in it."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.builders import NOON_S
from tests.flows.builders import a_message, begun, failures, load, replayed, some_messages, spoilt, verdict_of
from tests.log.builders import repack, unpack
from tradecap.errors import TradecapError
from tradecap.flows.records import read_lines
from tradecap.flows.run import Run
from tradecap.flows.verify.verify import Wanted, verify
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.segment import Head, read_head, write_head
from tradecap.market.faults import FAULTS
from tradecap.market.records import RunWriter, frame, series_head
from tradecap.proof.checks import AGAIN, LEDGER_FIRST, LOAD, NEXT_TO_IT, ONE_IS_WRONG, RESTORE
from tradecap.store.clickhouse.store import ClickHouseStore

TABLES = ("trades", "quarantine", "ledger", "fed", "candles_1m", "positions", "losses")
NOBODY = "01930000-0000-7000-8000-00000000dead"
"""A run of no log."""
BY_HAND = "; what stays different after that was changed by hand: make the store again"


class Pipeline:
    """A log of two runs, loaded: 30 trades of BTCUSDT over three minutes, six of ETHUSDT, two lines that are none; then
    each fault once."""

    def __init__(self, log: FileLog, store: ClickHouseStore) -> None:
        self.log, self.store = log, store
        self._spoilt: set[str] = set()
        recording = some_messages(range(100, 130)) + some_messages(range(500, 506), symbol="ETHUSDT")
        spoilt_lines = [a_message(900).replace(b'"1.00000000"', b"null"), b"garbage"]
        self.run = replayed(log, recording + spoilt_lines, segment_bytes=2000)
        self.injected = spoilt(log, dict.fromkeys(FAULTS, 1))
        load(log, store)
        for table in TABLES:
            store.run(f"CREATE TABLE kept_{table} AS {table}")
            store.run(f"INSERT INTO kept_{table} SELECT * FROM {table}")

    def seq_of(self, where: str) -> int:
        """The seq of the first record of the recording of which an expression over the ledger is true."""
        return int(
            str(
                self.store.rows(f"SELECT min(seq) AS seq FROM kept_ledger WHERE run = '{self.run}' AND {where}")[0][
                    "seq"
                ]
            )
        )

    def delete(self, table: str, where: str) -> None:
        """By rewriting the parts: a lightweight DELETE only hides rows."""
        self._spoil(table, f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2")

    def change(self, table: str, assignment: str, where: str) -> None:
        """Not for key columns: ClickHouse refuses those."""
        self._spoil(table, f"ALTER TABLE {table} UPDATE {assignment} WHERE {where} SETTINGS mutations_sync = 2")

    def add(self, table: str, replacement: str, where: str) -> None:
        """One more row, like one of the loaded ones but for what is replaced."""
        self._spoil(
            table,
            f"INSERT INTO {table} SELECT * REPLACE ({replacement}) FROM (SELECT * FROM kept_{table} "
            f"FINAL WHERE {where} LIMIT 1)",
        )

    def repeat(self, table: str) -> None:
        """Every row once more."""
        self._spoil(table, f"INSERT INTO {table} SELECT * FROM kept_{table}")

    def empty(self, *tables: str) -> None:
        """Tables without rows."""
        for table in tables:
            self._spoil(table, f"TRUNCATE TABLE {table}")

    def load(self) -> None:
        """Load the log once more."""
        self._spoilt.update(TABLES)
        load(self.log, self.store)

    def _spoil(self, table: str, statement: str) -> None:
        self._spoilt.add(table)
        self.store.run(statement)

    def restore(self) -> None:
        """The store as it was loaded."""
        for table in self._spoilt:
            self.store.run(f"TRUNCATE TABLE {table}")
            self.store.run(f"INSERT INTO {table} SELECT * FROM kept_{table}")
        self._spoilt.clear()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """The pipeline, for reading only."""
    path = tmp_path_factory.mktemp("pipeline")
    with ClickHouseStore.embedded(path / "db", f"chdb:{path / 'db'}", create=True) as store:
        store.create()
        yield Pipeline(FileLog(path / "log", create=True), store)


@pytest.fixture
def pipeline(whole: Pipeline) -> Iterator[Pipeline]:
    """The pipeline, whose store a test may spoil."""
    yield whole
    whole.restore()


@pytest.fixture
def emptied(pipeline: Pipeline) -> ClickHouseStore:
    """An empty store: the pipeline's own, as a process holds one embedded store at a time."""
    pipeline.empty(*TABLES)
    return pipeline.store


@pytest.fixture
def copied(whole: Pipeline, tmp_path: Path) -> FileLog:
    """The pipeline's log, in a copy that a test may spoil."""
    shutil.copytree(whole.log.path, tmp_path / "copied")
    return FileLog(tmp_path / "copied", create=False)


def test_a_whole_pipeline_is_proven(whole: Pipeline) -> None:
    """A proof that fails where nothing is wrong would soon be looked at by nobody."""
    verdict = verdict_of(whole.log, whole.store)
    assert [check for check in verdict.checks if not check.ok] == []
    assert [check.fix for check in verdict.checks if check.fix] == []
    counts = verdict.counts
    assert (counts.records, counts.trades, counts.duplicates, counts.conflicts, counts.quarantined, counts.events) == (
        52,
        36,
        1,
        1,
        10,
        4,
    )
    assert (counts.ignored, counts.redelivered, counts.candles) == (0, 0, 4)
    assert verdict.runs == {"ended": 2, "open": 0, "recovered": 0, "torn": 0, "silent": 0}
    assert sum(verdict.quarantined.values()) == 10
    assert [(row["symbol"], row["trades"], row["coverage"], row["gaps"]) for row in verdict.series] == [
        ("BTCUSDT", 30, [[100, 129]], []),
        ("ETHUSDT", 6, [[500, 505]], []),
    ]


# ---- the store is wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "follows"),
    [
        ("kind = 'started'", {}),
        ("trade_id = 107", {"trades.accounted": "binance BTCUSDT trade id 107: made by no record"}),
        ("outcome = 'quarantined'", {"quarantine.accounted": "made by no record"}),
    ],
)
def test_a_deleted_ledger_row_is_a_lost_record(pipeline: Pipeline, record: str, follows: dict[str, str]) -> None:
    """A record without a row in the ledger is one of which nobody can say what became of it."""
    seq = pipeline.seq_of(record)
    pipeline.delete("ledger", f"run = '{pipeline.run}' AND seq = {seq}")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"ledger.complete", *follows}
    assert failed["ledger.complete"].detail == f"lost: run {pipeline.run} seq {seq}"
    assert all(place in failed[name].detail for name, place in follows.items())
    assert {check.fix for check in failed.values()} == {AGAIN}


def test_deleted_ledger_rows_are_named_as_a_range(pipeline: Pipeline) -> None:
    """A thousand lost records listed one by one would hide that a block is gone."""
    pipeline.delete("ledger", f"run = '{pipeline.run}' AND (seq BETWEEN 4 AND 20 OR seq = 23)")
    assert failures(pipeline.log, pipeline.store)["ledger.complete"].detail == f"lost: run {pipeline.run} seq 4-20, 23"


def test_a_whole_run_missing_in_the_ledger_is_lost_not_pending(pipeline: Pipeline) -> None:
    """Rows that the position says are there would be waited for, forever."""
    pipeline.delete("ledger", f"run = '{pipeline.injected}'")
    failed = failures(pipeline.log, pipeline.store)
    assert failed["ledger.complete"].detail == f"lost: run {pipeline.injected} seq 0-11"
    # ten of the faults were quarantined, duplicate and conflict can't be known any more
    assert failed.keys() == {"ledger.complete", "accounting", "quarantine.accounted", "injected.found"}


def test_the_lost_ledger_row_of_a_duplicate_leaves_a_record_unexplained(pipeline: Pipeline) -> None:
    """The split into duplicates and conflicts comes from the ledger: without the row the sum doesn't come out."""
    pipeline.delete("ledger", "fault = 'dupes'")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"ledger.complete", "accounting", "injected.found"}
    assert f"run {pipeline.injected}: " in failed["injected.found"].detail


@pytest.mark.parametrize(
    ("assignment", "record", "follows"),
    [
        ("kind = 'stopped'", "kind = 'ended'", set()),
        ("reason = 'bad_time'", "reason = 'null_field'", {"quarantine.accounted"}),
        ("field = 'p'", "reason = 'null_field'", {"quarantine.accounted"}),
        ("content = content + 1", "trade_id = 107", {"trades.accounted"}),
        ("content = content + 1", "kind = 'started'", set()),
        ("trade_id = 777", "trade_id = 107", {"trades.accounted"}),
        ("symbol = 'XRPUSDT'", "trade_id = 107", {"trades.accounted"}),
        ("venue = 'binance-us'", "trade_id = 107", {"trades.accounted"}),
        ("fault = 'dupes'", "trade_id = 107", set()),
        ("outcome = 'ignored'", "outcome = 'quarantined'", {"quarantine.accounted"}),
        ("at = at + 1", "trade_id = 107", set()),
        ("at = at + 1", "kind = 'ended'", set()),
    ],
)
def test_a_changed_ledger_row_is_named(pipeline: Pipeline, assignment: str, record: str, follows: set[str]) -> None:
    """A ledger that says something else of a record would explain what never happened."""
    seq = pipeline.seq_of(record)
    pipeline.change("ledger", assignment, f"run = '{pipeline.run}' AND seq = {seq}")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"ledger.complete", *follows}
    assert failed["ledger.complete"].detail == f"changed: run {pipeline.run} seq {seq}; {ONE_IS_WRONG}"
    assert failed["ledger.complete"].fix == NEXT_TO_IT


def test_two_ledger_rows_that_changed_places_are_named(pipeline: Pipeline) -> None:
    """The sum over a block would be the same if it didn't depend on the place."""
    for seq, other in ((4, 5), (5, 4)):
        pipeline.add("ledger", f"{other} AS seq", f"run = '{pipeline.run}' AND seq = {seq}")
    assert failures(pipeline.log, pipeline.store)["ledger.complete"].detail == (
        f"changed: run {pipeline.run} seq 4-5; {ONE_IS_WRONG}"
    )


@pytest.mark.parametrize(
    ("replacement", "place", "follows"),
    [
        (f"toUUID('{NOBODY}') AS run", f"run {NOBODY} seq 0", set()),
        ("70000 AS seq", "seq 70000", set()),
        ("41 AS seq", "seq 41", set()),
        (
            "41 AS seq, 'trade' AS outcome, 107 AS trade_id, 'BTCUSDT' AS symbol, 'binance' AS venue, 'trade' "
            "AS channel",
            "seq 41",
            set(),
        ),
        (
            "41 AS seq, 'trade' AS outcome, 777 AS trade_id, 'BTCUSDT' AS symbol, 'binance' AS venue, 'trade' "
            "AS channel",
            "seq 41",
            {"trades.accounted"},
        ),
    ],
)
def test_an_added_ledger_row_was_made_by_no_record(
    pipeline: Pipeline, replacement: str, place: str, follows: set[str]
) -> None:
    """A row for a record that never was would let something made up look accounted for."""
    pipeline.add("ledger", replacement, f"run = '{pipeline.run}' AND kind = 'started'")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() - {"conflicts.none", "accounting"} == {"ledger.complete", *follows}
    assert failed["ledger.complete"].detail.startswith("made by no record: ")
    assert failed["ledger.complete"].detail.endswith(f"{place}; {ONE_IS_WRONG}")
    assert (failed["ledger.complete"].expected, failed["ledger.complete"].actual) == (52, 53)
    assert failed["ledger.complete"].fix == NEXT_TO_IT


def test_rows_of_an_unknown_run_are_counted_one_by_one(pipeline: Pipeline) -> None:
    """Two rows far apart reported as all between them would turn a small flaw into a disaster."""
    for seq in (3, 9_000_000):
        pipeline.add("ledger", f"toUUID('{NOBODY}') AS run, {seq} AS seq", "kind = 'started'")
    found = failures(pipeline.log, pipeline.store)["ledger.complete"]
    assert (found.expected, found.actual) == (52, 54)
    assert found.detail == f"made by no record: run {NOBODY} seq 3, 9000000; {ONE_IS_WRONG}"


def test_a_store_that_forgot_which_runs_it_was_fed_has_not_made_them_up(pipeline: Pipeline) -> None:
    """Sound rows called made up would send a person after an intruder."""
    pipeline.delete("fed", f"run = '{pipeline.injected}'")
    assert failures(pipeline.log, pipeline.store) == {}


def test_a_deleted_trade_is_missed_by_its_id(pipeline: Pipeline) -> None:
    """A trade that isn't there is what all of this is for."""
    pipeline.delete("trades", "trade_id = 107")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"trades.accounted", "candles.exact"}
    assert failed["trades.accounted"].detail == "binance BTCUSDT trade id 107: missing"
    assert (failed["trades.accounted"].expected, failed["trades.accounted"].actual) == (36, 35)
    assert failed["trades.accounted"].fix == AGAIN
    assert "BTCUSDT trade 2024-08-09T12:00:00Z" in failed["candles.exact"].detail


def test_a_deleted_trade_of_which_a_copy_remains_is_not_the_trade(pipeline: Pipeline) -> None:
    """Both rows of a duplicate are in the table until they merge: the second may not take the winner's place."""
    twice = pipeline.store.rows("SELECT trade_id FROM kept_ledger WHERE fault = 'dupes'")[0]["trade_id"]
    loser = f"bitNot(bitShiftLeft(toUInt256(toUInt128(toUUID('{pipeline.injected}'))), 64) + toUInt256(1)) AS ver"
    pipeline.add("trades", loser, f"trade_id = {twice}")
    assert failures(pipeline.log, pipeline.store) == {}
    pipeline.delete("trades", f"trade_id = {twice}")
    pipeline.add("trades", loser, f"trade_id = {twice}")
    failed = failures(pipeline.log, pipeline.store)
    assert f"id {twice}: changed" in failed["trades.accounted"].detail


@pytest.mark.parametrize(
    ("replacement", "follows"),
    [
        ("price + toDecimal64('0.00000001', 8) AS price", {"candles.exact"}),
        ("qty + toDecimal128('0.00000001', 8) AS qty", {"candles.exact"}),
        ("NOT is_buyer_maker AS is_buyer_maker", {"candles.exact"}),
        ("trade_time + toIntervalMillisecond(1) AS trade_time", set()),
        ("trade_time + toIntervalDay(100) AS trade_time", {"candles.exact"}),
        ("last_id + 1 AS last_id", {"candles.exact"}),
        ("first_id - 1 AS first_id", {"candles.exact"}),
        # the row seems to be another record's: its version decides which of two wins, now and later
        ("ver + 1 AS ver", {"candles.exact"}),
        ("ver - 1 AS ver", {"candles.exact"}),
    ],
)
def test_a_changed_trade_is_named(pipeline: Pipeline, replacement: str, follows: set[str]) -> None:
    """A price that differs in its last digit is another trade."""
    pipeline.delete("trades", "trade_id = 107")
    pipeline.add("trades", replacement, "trade_id = 107")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"trades.accounted", *follows}
    assert failed["trades.accounted"].detail == "binance BTCUSDT trade id 107: changed"
    assert failed["trades.accounted"].fix == AGAIN


@pytest.mark.parametrize(
    ("replacement", "follows"),
    [
        ("NOT order_book AS order_book", {"candles.exact"}),
        ("event_time + toIntervalMicrosecond(1) AS event_time", set()),
        ("recv_ns + 1 AS recv_ns", set()),
        ("toInt64(-9223372036854775808) AS recv_ns", set()),
        ("trade_time + toIntervalMicrosecond(1) AS trade_time", set()),
    ],
)
def test_what_is_no_content_of_a_trade_is_held_against_the_log(
    pipeline: Pipeline, replacement: str, follows: set[str]
) -> None:
    """The ledger doesn't show it, and v_quality and every query show it."""
    pipeline.delete("trades", "trade_id = 107")
    pipeline.add("trades", replacement, "trade_id = 107")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"trades.accounted", *follows}
    assert failed["trades.accounted"].detail == (
        "binance BTCUSDT trade id 107: event_time, recv_ns, microseconds or order_book changed"
    )
    assert (failed["trades.accounted"].expected, failed["trades.accounted"].actual) == (36, 35)


def test_two_trades_that_changed_their_times_are_named(pipeline: Pipeline) -> None:
    """A sum would be the same: each is weighed by the number of its record."""
    first, second = "2024-08-09 12:00:35.001", "2024-08-09 12:00:45.001"
    times = pipeline.store.rows(
        "SELECT toString(event_time) AS at FROM trades WHERE trade_id IN (107, 109) ORDER BY trade_id"
    )
    assert [row["at"] for row in times] == [f"{first}000", f"{second}000"]
    swapped = f"event_time = toDateTime64(if(trade_id = 107, '{second}', '{first}'), 6, 'UTC')"
    pipeline.change("trades", swapped, "trade_id IN (107, 109)")
    detail = failures(pipeline.log, pipeline.store)["trades.accounted"].detail
    assert "id 107: event_time" in detail
    assert "id 109: event_time" in detail


@pytest.mark.parametrize(
    "replacement", ["777 AS trade_id", "'XRPUSDT' AS symbol", "'aggTrade' AS channel", "'binance-us' AS venue"]
)
def test_an_added_trade_was_made_by_no_record(pipeline: Pipeline, replacement: str) -> None:
    """A trade that nobody ever sent would be traded upon."""
    pipeline.add("trades", replacement, "trade_id = 107")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"trades.accounted", "candles.exact"}
    assert failed["trades.accounted"].detail.endswith(": made by no record")
    assert failed["trades.accounted"].fix == AGAIN


def test_a_deleted_candle_is_named_and_load_makes_it_again(pipeline: Pipeline) -> None:
    """A hole in a chart that nobody reports looks like a market at rest."""
    pipeline.delete("candles_1m", "symbol = 'BTCUSDT' AND minute = '2024-08-09 12:01:00'")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"candles.exact"}
    assert failed["candles.exact"].detail == f"binance BTCUSDT trade 2024-08-09T12:01:00Z: missing{BY_HAND}"
    assert failed["candles.exact"].fix.startswith(LOAD)
    pipeline.load()
    assert failures(pipeline.log, pipeline.store) == {}


@pytest.mark.parametrize(
    "changes",
    [
        ("open = open + 1", "high = high + 1", "low = low - 1"),
        ("close = close + 1", "volume = volume + 1", "quote_volume = quote_volume + 1"),
        (
            "trades = trades + 1",
            "taker_buy_volume = taker_buy_volume + 1",
            "taker_buy_quote_volume = taker_buy_quote_volume + 1",
        ),
        ("variance = variance * (1 + 1e-8)", "open_id = open_id + 1", "close_id = close_id + 1"),
        ("first_id = first_id - 1", "last_id = last_id + 1", "ids = ids + 1"),
        ("fingerprint = fingerprint + 1", "ids = 0", "fingerprint = 0"),
    ],
)
def test_a_changed_value_of_a_candle_is_named(pipeline: Pipeline, changes: tuple[str, ...]) -> None:
    """Each value of a candle is one that somebody computes with."""
    for minute, assignment in enumerate(changes):
        pipeline.change("candles_1m", assignment, f"symbol = 'BTCUSDT' AND minute = '2024-08-09 12:0{minute}:00'")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"candles.exact"}
    called = {"variance": "volatility", "fingerprint": "stale", "ids = 0": "missing"} | dict.fromkeys(
        ("open_id", "close_id", "first_id", "last_id"), "ids"
    )
    named = [called.get(change) or called.get(change.split()[0]) or change.split()[0] for change in changes]
    assert failed["candles.exact"].detail.removesuffix(BY_HAND) == "; ".join(
        f"binance BTCUSDT trade 2024-08-09T12:0{n}:00Z: {name}" for n, name in enumerate(named)
    )
    assert failed["candles.exact"].fix == (LOAD if all(name in ("stale", "missing") for name in named) else AGAIN)


@pytest.mark.parametrize(
    "replacement",
    ["minute + 86400 AS minute", "minute + 600 AS minute", "'XRPUSDT' AS symbol", "minute + 30 AS minute"],
)
def test_an_added_candle_was_made_of_no_trade(pipeline: Pipeline, replacement: str) -> None:
    """A candle of a minute in which nothing was traded is a made-up price."""
    pipeline.add("candles_1m", replacement, "symbol = 'BTCUSDT' AND minute = '2024-08-09 12:00:00'")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"candles.exact"}
    assert failed["candles.exact"].detail.removesuffix(BY_HAND).endswith(": made of no trade")


def test_a_deleted_quarantine_row_is_named(pipeline: Pipeline) -> None:
    """What is in quarantine is the only trace of what a venue sent."""
    seq = pipeline.seq_of("reason = 'null_field'")
    pipeline.delete("quarantine", f"run = '{pipeline.run}' AND seq = {seq}")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"quarantine.accounted"}
    assert failed["quarantine.accounted"].detail == f"run {pipeline.run} seq {seq}: missing"
    assert failed["quarantine.accounted"].fix == AGAIN


@pytest.mark.parametrize(
    "assignment",
    [
        "raw = replaceOne(raw, 'null', 'NULL')",
        "reason = 'bad_time'",
        "field = 'p'",
        "fault = 'nulls'",
        "symbol = 'XRPUSDT'",
        "venue = 'x'",
        "recv_ns = recv_ns + 1",
    ],
)
def test_a_changed_quarantine_row_is_named(pipeline: Pipeline, assignment: str) -> None:
    """Evidence that was touched up is none."""
    seq = pipeline.seq_of("reason = 'null_field'")
    pipeline.change("quarantine", assignment, f"run = '{pipeline.run}' AND seq = {seq}")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"quarantine.accounted"}
    assert failed["quarantine.accounted"].detail == f"run {pipeline.run} seq {seq}: changed"


def test_the_time_of_a_quarantined_record_is_that_of_its_line(pipeline: Pipeline) -> None:
    """v_quality would show the fault in another hour."""
    seq = pipeline.seq_of("reason = 'null_field'")
    pipeline.change("ledger", "at = at + 3600", f"run = '{pipeline.run}' AND seq = {seq}")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"quarantine.accounted"}
    assert failed["quarantine.accounted"].detail == f"run {pipeline.run} seq {seq}: changed"


@pytest.mark.parametrize("replacement", [f"toUUID('{NOBODY}') AS run", "4 AS seq", "70000 AS seq"])
def test_an_added_quarantine_row_was_made_by_no_record(pipeline: Pipeline, replacement: str) -> None:
    """A fault that no venue ever sent would be held against it."""
    pipeline.add("quarantine", replacement, f"run = '{pipeline.run}' AND reason = 'null_field'")
    failed = failures(pipeline.log, pipeline.store)
    assert failed.keys() == {"quarantine.accounted"}
    assert failed["quarantine.accounted"].detail.endswith(": made by no record")


def test_the_same_row_twice_is_redelivery(pipeline: Pipeline) -> None:
    """Every feed repeats rows after a crash: a proof that fails then would fail for no reason."""
    pipeline.store.run("SYSTEM STOP MERGES")  # a merge makes one row of two at any moment
    try:
        for table in TABLES:
            pipeline.repeat(table)
        verdict = verdict_of(pipeline.log, pipeline.store)
    finally:
        pipeline.store.run("SYSTEM START MERGES")
    assert verdict.ok
    assert verdict.counts.redelivered == 52


def test_a_log_loaded_twice_is_redelivery(pipeline: Pipeline) -> None:
    """Loading again after a lost position has to give the same store."""
    pipeline.empty("positions")
    assert pipeline.store.positions(pipeline.log.id) == {}
    pipeline.load()
    assert failures(pipeline.log, pipeline.store) == {}


# ---- the log is wrong ------------------------------------------------------------------------------------------------


def segments(log: FileLog) -> list[Path]:
    """Its closed segments."""
    return sorted(log.path.glob("*.ndjson.zst"))


def manifest(segment: Path) -> Path:
    return segment.with_name(segment.name.replace(".ndjson.zst", ".json"))


def edit(segment: Path, edited: Callable[[list[bytes]], list[bytes]]) -> None:
    """Put other lines into a segment."""
    repack(segment, b"".join(edited(unpack(segment).splitlines(keepends=True))))


def test_a_record_cut_out_of_a_segment_is_named(whole: Pipeline, copied: FileLog) -> None:
    """The log is the root of all proof: who can take a record out of it unseen can take it out of everything."""
    segment = segments(copied)[1]
    first = len(unpack(segments(copied)[0]).splitlines())
    edit(segment, lambda lines: lines[:1] + lines[2:])
    failed = failures(copied, whole.store)
    assert failed.keys() == {"log.complete", "log.intact", "ledger.complete", "ids.contiguous"}
    assert failed["log.complete"].detail == f"missing: run {whole.run} seq {first + 1}; 1 record missing, 0 runs torn"
    assert failed["log.intact"].detail.startswith(f"Segment {segment.name} is damaged after line ")
    assert failed["ledger.complete"].detail == f"made by no record: run {whole.run} seq {first + 1}"
    assert failed["ledger.complete"].fix == RESTORE


def test_a_record_changed_in_a_segment_is_named(whole: Pipeline, copied: FileLog) -> None:
    """A price that was touched up in the log would prove a store that was touched up alike."""
    segment = segments(copied)[1]
    edit(segment, lambda lines: [lines[0], lines[1].replace(b'"q":"1.', b'"q":"2.'), *lines[2:]])
    failed = failures(copied, whole.store)
    assert failed.keys() == {"log.intact", "ledger.complete"}
    assert segment.name in failed["log.intact"].detail
    assert failed["ledger.complete"].detail.startswith(f"changed: run {whole.run} seq ")
    assert failed["ledger.complete"].fix == RESTORE


def test_a_record_made_unreadable_in_a_segment_is_named(whole: Pipeline, copied: FileLog) -> None:
    """A line that isn't a record any more must not count as one that never was."""
    first = len(unpack(segments(copied)[0]).splitlines())
    edit(segments(copied)[1], lambda lines: [lines[0], b"x" * 20 + b"\n", *lines[2:]])
    failed = failures(copied, whole.store)
    assert failed.keys() >= {"log.complete", "log.intact", "ledger.complete"}
    assert failed["log.complete"].detail == f"missing: run {whole.run} seq {first + 1}; 1 record missing, 0 runs torn"
    assert failed["log.complete"].actual == 1


def test_two_records_swapped_within_a_segment_are_noticed(whole: Pipeline, copied: FileLog) -> None:
    """The order of the log is the order of capture: evidence as well."""
    segment = segments(copied)[1]
    edit(segment, lambda lines: [lines[1], lines[0], *lines[2:]])
    failed = failures(copied, whole.store)
    assert failed.keys() == {"log.intact"}
    assert segment.name in failed["log.intact"].detail
    assert failed["log.intact"].fix


@pytest.mark.parametrize("with_manifest", [False, True])
@pytest.mark.parametrize("which", [0, 3, -1])
def test_a_missing_segment_is_named(whole: Pipeline, copied: FileLog, which: int, with_manifest: bool) -> None:
    """A deleted file is the simplest way to lose a thousand records, at either end of the log too."""
    segment = segments(copied)[which]
    segment.unlink()
    if with_manifest:
        manifest(segment).unlink()
    failed = failures(copied, whole.store)
    assert failed.keys() >= {"log.complete", "log.intact", "ledger.complete"}
    assert f"whatever was in {segment.name} is missing" in failed["log.complete"].detail
    assert failed["log.intact"].detail == f"Segment {segment.name} is missing"
    assert "made by no record: run " in failed["ledger.complete"].detail
    assert {failed[name].fix for name in ("ledger.complete", *failed.keys() & {"injected.found"})} == {RESTORE}


def test_all_segments_missing_leave_nothing_to_verify(whole: Pipeline, copied: FileLog) -> None:
    """An emptied log must not be proven for want of anything to look at."""
    for segment in segments(copied):
        segment.unlink()
        manifest(segment).unlink()
    assert failures(copied, whole.store).keys() >= {"log.present", "log.complete", "log.intact", "ledger.complete"}


def test_a_log_cut_behind_the_back_of_its_head_is_a_finding_not_an_error(whole: Pipeline, copied: FileLog) -> None:
    """Someone who deletes the end of a log, and the file that shows it was there, would not be caught."""
    last = segments(copied)[-1]
    last.unlink()
    manifest(last).unlink()
    head = read_head(copied.path)
    assert head
    write_head(copied.path, Head(head.segment - 1, whole.run))
    failed = failures(copied, whole.store)
    assert failed.keys() >= {"log.intact", "ledger.complete"}
    assert "ends before the position" in failed["log.intact"].detail


def test_a_missing_manifest_is_damage_and_no_more(whole: Pipeline, copied: FileLog) -> None:
    """The records are all there: only the evidence that they are untouched is gone."""
    manifest(segments(copied)[1]).unlink()
    assert failures(copied, whole.store).keys() == {"log.intact"}


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.flows.builders import begun, some_messages
from tradecap.log.folder.log import FileLog

writer = FileLog(Path(sys.argv[1]), create=True).writer()
begun(writer, some_messages(range(100, 110)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_torn_run_is_not_proven_until_the_next_writer_attests_it(tmp_path: Path, emptied: ClickHouseStore) -> None:
    """Nobody knows what a killed capture didn't get to write: that has to be reported and attested, not ignored."""
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "log")], cwd=root, check=False).returncode == -9
    log = FileLog(tmp_path / "log", create=False)
    load(log, emptied)
    verdict = verdict_of(log, emptied)
    failed = [check for check in verdict.checks if not check.ok]
    torn = max(run for (run,) in log_runs(log))
    assert [check.name for check in failed] == ["log.complete"]
    assert failed[0].detail == f"run {torn} has no end: its last record is seq 10; 0 records missing, 1 run torn"
    assert failed[0].fix
    assert verdict.runs == {"ended": 0, "open": 0, "recovered": 0, "torn": 1, "silent": 0}
    assert failures(log, emptied, allow_torn=True) == {}
    replayed(log, some_messages(range(110, 120)))
    load(log, emptied)
    assert verdict_of(log, emptied).runs == {"ended": 1, "open": 0, "recovered": 1, "torn": 0, "silent": 0}
    assert failures(log, emptied) == {}


def log_runs(log: FileLog) -> set[tuple[str]]:
    return {(envelope.run,) for envelope, _, _ in read_lines(log)}


def test_records_lost_after_a_run_was_recovered_are_missing(log: FileLog, emptied: ClickHouseStore) -> None:
    """What the attested last record stands for can still be lost later."""
    with log.writer() as writer:
        run = begun(writer, some_messages(range(100, 110)))
    with log.writer() as writer:
        assert Run(writer, "test").id > run.id
    load(log, emptied)
    assert verdict_of(log, emptied).runs["recovered"] == 1
    edit(segments(log)[0], lambda lines: lines[:-2])
    assert f"missing: run {run.id} seq 9-10" in failures(log, emptied)["log.complete"].detail


def test_an_open_run_is_neither_torn_nor_complete(log: FileLog, emptied: ClickHouseStore) -> None:
    """Verifying during a running capture is what a person does all day."""
    with log.writer() as writer:
        run = begun(writer, some_messages(range(100, 110)))
        load(log, emptied)
        verdict = verdict_of(log, emptied)
        assert verdict.ok
        assert verdict.runs == {"ended": 0, "open": 1, "recovered": 0, "torn": 0, "silent": 0}
        run.end()


def test_a_run_that_ends_while_it_is_verified_is_not_torn(log: FileLog, emptied: ClickHouseStore) -> None:
    """A capture that stops in the same second would be called torn."""
    writer = log.writer()
    run = begun(writer, some_messages(range(100, 110)))
    load(log, emptied)

    def finish(_: int) -> None:
        if run.records == 11:
            run.end()
            writer.close()

    assert verify(log, emptied, Wanted(), progress=finish).runs["torn"] == 0


@pytest.mark.parametrize("with_a_run", [False, True])
def test_an_empty_log_proves_nothing(log: FileLog, emptied: ClickHouseStore, with_a_run: bool) -> None:
    """Nothing proven is vacuous."""
    if with_a_run:
        with log.writer() as writer:
            Run(writer, "test").end()
        load(log, emptied)
    failed = failures(log, emptied)
    assert failed.keys() == {"log.present"}
    assert failed["log.present"].fix


def test_one_identity_with_two_contents_is_named(log: FileLog, emptied: ClickHouseStore) -> None:
    """Two records under one number: whichever the store keeps, the other is lost without a trace."""
    with log.writer() as writer:
        run = begun(writer, some_messages(range(100, 105)))
        writer.append(
            RunWriter(run.id, 3).record(
                None, series_head("binance", "BTCUSDT", "trade", "ws"), frame(a_message(102, price=7))
            )
        )
        run.end()
    load(log, emptied)
    failed = failures(log, emptied)
    assert failed.keys() - {"ledger.complete", "trades.accounted"} == {"log.identity"}
    assert failed["log.identity"].detail == f"{run.id} seq 3"
    assert failed["log.identity"].fix
    assert {failed[name].fix for name in failed.keys() - {"log.identity"}} <= {RESTORE}


def test_one_record_written_twice_is_redelivery(log: FileLog, emptied: ClickHouseStore) -> None:
    """A producer that tries again writes the same record twice: shown, never failing."""
    with log.writer() as writer:
        run = begun(writer, some_messages(range(100, 105)))
        line = [line for _, _, line in read_lines(log)][3]
        writer.append(line + b"\n")
        run.end()
    load(log, emptied)
    verdict = verdict_of(log, emptied)
    assert [check.name for check in verdict.checks if not check.ok] == []
    assert verdict.counts.records == 7
    assert verdict.counts.redelivered >= 1


# ---- log and store don't belong together -----------------------------------------------------------------------------


def test_a_log_that_was_never_loaded_is_pending_not_lost(log: FileLog, emptied: ClickHouseStore) -> None:
    """A person who forgot to load must be sent to `load`, and not read that the records are gone."""
    run = replayed(log, some_messages(range(100, 110)))
    failed = failures(log, emptied)
    assert failed.keys() == {"ledger.complete"}
    assert failed["ledger.complete"].detail == f"this store has nothing of this log; not loaded yet: run {run} seq 0-11"
    assert failed["ledger.complete"].fix == LOAD
    assert verdict_of(log, emptied).only_pending


def test_a_log_loaded_in_part_shows_its_position(log: FileLog, emptied: ClickHouseStore) -> None:
    """What came after the last load is pending, in an open run as well as in later ones, and a load is all it takes."""
    with log.writer() as writer:
        run = begun(writer, some_messages(range(100, 105)))
        load(log, emptied)
        run.end()
    later = spoilt(log, {"dupes": 2, "nulls": 1})
    failed = failures(log, emptied)
    assert failed["ledger.complete"].detail == f"not loaded yet: run {run.id} seq 6; run {later} seq 0-4"
    assert failed.keys() == {"ledger.complete", "accounting", "injected.found"}
    assert failed["ledger.complete"].fix == failed["injected.found"].fix == LOAD
    assert failed["accounting"].fix == LEDGER_FIRST
    load(log, emptied)
    assert failures(log, emptied) == {}


def test_records_lost_in_front_of_pending_ones_are_reported_apart(log: FileLog, emptied: ClickHouseStore) -> None:
    """Loading repairs what is pending; what is lost would stay lost behind the same word."""
    with log.writer() as writer:
        run = begun(writer, some_messages(range(100, 105)))
        load(log, emptied)
        run.end()
    emptied.run("ALTER TABLE ledger DELETE WHERE seq = 0 SETTINGS mutations_sync = 2")
    failed = failures(log, emptied)
    assert failed["ledger.complete"].detail == f"lost: run {run.id} seq 0; not loaded yet: run {run.id} seq 6"
    assert failed["ledger.complete"].fix == AGAIN


def test_a_pending_line_that_is_no_record_is_pending_too(log: FileLog, emptied: ClickHouseStore) -> None:
    """A broken line has an identity of its own: until it is loaded it isn't lost."""
    with log.writer() as writer:
        run = begun(writer, some_messages(range(100, 105)))
        load(log, emptied)
        writer.append(b"no record at all\n")
        run.end()
    failed = failures(log, emptied)
    assert failed.keys() == {"ledger.complete"}
    assert failed["ledger.complete"].detail.startswith("not loaded yet: ")
    load(log, emptied)
    assert failures(log, emptied) == {}


def test_a_store_of_another_log_fails(whole: Pipeline, tmp_path: Path) -> None:
    """Proving a log against the wrong store would prove nothing of it."""
    other = FileLog(tmp_path / "other", create=True)
    run = replayed(other, some_messages(range(100, 110)))
    failed = failures(other, whole.store)
    assert failed.keys() == {"ledger.complete"}
    report = (
        f"this store has nothing of this log; not loaded yet: run {run} seq 0-11; 2 runs of other logs are in "
        "this store: is it the right one?"
    )
    assert failed["ledger.complete"].detail == report
    assert failed["ledger.complete"].fix == LOAD


def test_two_logs_in_one_store_are_each_proven(log: FileLog, emptied: ClickHouseStore, tmp_path: Path) -> None:
    """Runs of other logs are listed, not failed; ids that both hold are the same trades."""
    other = FileLog(tmp_path / "other", create=True)
    replayed(log, some_messages(range(100, 110)))
    replayed(other, [*some_messages(range(100, 110)), a_message(110)])
    for each in (log, other):
        load(each, emptied)
    for each, trades in ((log, 10), (other, 11)):
        verdict = verdict_of(each, emptied)
        assert verdict.ok
        assert verdict.counts.trades == trades
        assert verdict.counts.duplicates == 0
        assert ("1 run of other logs is in this store too") in next(
            c.detail for c in verdict.checks if c.name == "ledger.complete"
        )


def test_two_logs_that_differ_on_an_id_conflict(log: FileLog, emptied: ClickHouseStore, tmp_path: Path) -> None:
    """Two recordings of one trade that don't agree: one of them is wrong, and only the store sees both."""
    other = FileLog(tmp_path / "other", create=True)
    replayed(log, [a_message(100), a_message(101)])
    replayed(other, [a_message(100), a_message(101, price=7)])
    for each in (log, other):
        load(each, emptied)
    for each in (log, other):
        failed = failures(each, emptied)
        assert failed.keys() == {"conflicts.none"}
        assert failed["conflicts.none"].detail.startswith("binance BTCUSDT trade id 101: against another log; ")


def test_an_injected_conflict_of_another_log_is_no_conflict_of_this_one(
    log: FileLog, emptied: ClickHouseStore, tmp_path: Path
) -> None:
    """What was spoilt on purpose over there must not fail over here."""
    other = FileLog(tmp_path / "other", create=True)
    for each in (log, other):
        replayed(each, some_messages(range(100, 110)))
    spoilt(other, {"conflicts": 3})
    for each in (log, other):
        load(each, emptied)
        assert failures(each, emptied) == {}


# ---- ids and conflicts -----------------------------------------------------------------------------------------------


def test_a_natural_conflict_fails_and_names_the_loser(log: FileLog, emptied: ClickHouseStore) -> None:
    """A venue that says two things of one trade must be noticed."""
    run = replayed(log, [a_message(100), a_message(101), a_message(101, price=7), a_message(101)])
    load(log, emptied)
    failed = failures(log, emptied)
    assert failed.keys() == {"conflicts.none"}
    assert failed["conflicts.none"].detail.startswith(f"binance BTCUSDT trade id 101: run {run} seq 3; ")
    assert "tradecap query conflicts" in failed["conflicts.none"].fix
    counts = verdict_of(log, emptied).counts
    assert (counts.trades, counts.duplicates, counts.conflicts) == (2, 1, 1)


def test_injected_conflicts_are_forgiven_next_to_a_natural_one(log: FileLog, emptied: ClickHouseStore) -> None:
    """Faults put in on purpose must neither fail nor hide a real one."""
    replayed(log, some_messages(range(100, 110)))
    spoilt(log, {"conflicts": 5})
    load(log, emptied)
    assert failures(log, emptied) == {}
    replayed(log, [a_message(103, price=7)])
    load(log, emptied)
    failed = failures(log, emptied)
    assert failed.keys() == {"conflicts.none"}
    assert failed["conflicts.none"].detail.endswith("; 5 conflicts that inject-bad made more")


def test_a_fault_that_came_out_as_something_else_is_named(pipeline: Pipeline) -> None:
    """inject-bad is how one sees that the checks work: a fault that isn't found must show."""
    pipeline.change("ledger", "content = content + 1", "fault = 'dupes'")
    failed = failures(pipeline.log, pipeline.store)
    assert "injected.found" in failed
    assert failed["injected.found"].detail == f"run {pipeline.injected}: 1 dupes came out as something else"


def test_faults_of_which_some_are_gone_are_counted(whole: Pipeline, copied: FileLog) -> None:
    """The run's own end record says how many there were."""
    edit(segments(copied)[-1], lambda lines: [line for line in lines if b"inject:nulls" not in line])
    assert failures(copied, whole.store)["injected.found"].detail == f"run {whole.injected}: 1 nulls written, 0 found"


@pytest.fixture
def gappy(log: FileLog, emptied: ClickHouseStore) -> FileLog:
    """A log in which ids 103 and 104 are missing inside a run, and 110 to 119 between two."""
    replayed(log, some_messages([100, 101, 102, 105, 106, 107, 108, 109]))
    replayed(log, some_messages([120, 121, 122], symbol="BTCUSDT"))
    load(log, emptied)
    return log


def test_ids_missing_inside_a_coverage_fail_unless_allowed(gappy: FileLog, emptied: ClickHouseStore) -> None:
    """A gap in the ids is a lost trade, and the only sign of it."""
    failed = failures(gappy, emptied)
    assert failed.keys() == {"ids.contiguous"}
    assert failed["ids.contiguous"].detail == (
        "binance BTCUSDT trade: ids 103-104 missing; binance BTCUSDT trade: ids 110-119 were not covered"
    )
    assert failed["ids.contiguous"].fix
    assert failures(gappy, emptied, allow_gaps=True) == {}
    series = verdict_of(gappy, emptied).series[0]
    assert (series["coverage"], series["gaps"], series["uncovered"]) == (
        [[100, 109], [120, 122]],
        [[103, 104]],
        [[110, 119]],
    )


def test_uncovered_ids_fail_only_where_strictness_is_asked_for(gappy: FileLog, emptied: ClickHouseStore) -> None:
    """Two captures of different days leave ids between them: that isn't a loss, unless --strict asks for it."""
    failed = failures(gappy, emptied, allow_gaps=True, strict=True)
    assert failed.keys() == {"ids.contiguous"}
    replayed(gappy, some_messages([103, 104, *range(110, 120)]))
    load(gappy, emptied)
    assert failures(gappy, emptied, strict=True) == {}


def test_an_id_in_quarantine_is_a_gap(log: FileLog, emptied: ClickHouseStore) -> None:
    """A trade that came unreadable is one that the store doesn't have."""
    replayed(log, [a_message(100), a_message(101).replace(b'"p":"100.00000000"', b'"p":null'), a_message(102)])
    load(log, emptied)
    assert failures(log, emptied)["ids.contiguous"].detail == "binance BTCUSDT trade: ids 101 missing"


def test_injected_records_widen_no_coverage(log: FileLog, emptied: ClickHouseStore) -> None:
    """A made-up trade far away would turn everything between into a gap."""
    replayed(log, some_messages(range(100, 110)))
    with log.writer() as writer:
        run = Run(writer, "inject-bad")
        run.record(None, series_head("binance", "BTCUSDT", "trade", "inject:file"), frame(a_message(5000)))
        run.end(injected={"file": 1})
    load(log, emptied)
    assert failures(log, emptied, strict=True) == {}


# ---- what was asked for ----------------------------------------------------------------------------------------------

ALL = {
    "records": 52,
    "trades": 36,
    "duplicates": 1,
    "conflicts": 1,
    "quarantined": 10,
    "ignored": 0,
    "events": 4,
    "gaps": 0,
    "candles": 4,
}
OF_THE_RECORDING = ALL | {
    "records": 40,
    "duplicates": 0,
    "conflicts": 0,
    "quarantined": 2,
    "quarantined.null_field": 1,
    "quarantined.malformed_json": 1,
}
OF_THE_FAULTS = ALL | {
    "records": 12,
    "trades": 0,
    "quarantined": 8,
    "events": 2,
    "quarantined.null_field": 1,
    "quarantined.malformed_json": 2,
}


@pytest.mark.parametrize("which", ["", "last", "named"])
def test_expectations_are_of_everything_or_of_one_run(whole: Pipeline, which: str) -> None:
    """A script that expects 100 duplicates of its own run must not be answered with those of another."""
    run = {"": "", "last": "last", "named": whole.run}[which]
    expect = {"": ALL, "last": OF_THE_FAULTS, "named": OF_THE_RECORDING | {"events": 2}}[which]
    assert failures(whole.log, whole.store, expect=expect, run=run) == {}


def test_an_expectation_that_is_not_met_fails_and_says_what_is_there(whole: Pipeline) -> None:
    """The line in a script that holds the whole promise."""
    there = {**ALL, "quarantined.null_field": 2, "quarantined.bad_number": 0}
    failed = failures(whole.log, whole.store, expect=dict.fromkeys(there, 777))
    assert {name: check.actual for name, check in failed.items()} == {f"expect.{name}": n for name, n in there.items()}
    assert {check.expected for check in failed.values()} == {777}
    assert all(check.fix for check in failed.values())


def test_a_run_that_is_not_in_the_log_is_refused(whole: Pipeline) -> None:
    """Expecting no duplicates of a run that was mistyped would always be met."""
    with pytest.raises(TradecapError, match=NOBODY):
        verdict_of(whole.log, whole.store, run=NOBODY, expect={"duplicates": 0})


def test_gaps_of_one_run_are_those_that_it_went_over(gappy: FileLog, emptied: ClickHouseStore) -> None:
    """A run without a gap must not answer for the gap of another."""
    assert "expect.gaps" not in failures(gappy, emptied, expect={"gaps": 0}, run="last")
    assert "expect.gaps" not in failures(gappy, emptied, expect={"gaps": 1})


def test_a_symbol_narrows_ids_and_candles(pipeline: Pipeline) -> None:
    """Looking at one symbol must not fail by the flaws of another one, nor pass by its own."""
    pipeline.delete("candles_1m", "symbol = 'BTCUSDT' AND minute = '2024-08-09 12:01:00'")
    assert failures(pipeline.log, pipeline.store, symbol="ETHUSDT", expect={"candles": 1}) == {}
    assert failures(pipeline.log, pipeline.store, symbol="BTCUSDT", expect={"candles": 2}).keys() == {"candles.exact"}
    assert [row["symbol"] for row in verdict_of(pipeline.log, pipeline.store, symbol="ETHUSDT").series] == ["ETHUSDT"]


def test_a_range_of_time_narrows_ids_and_candles(gappy: FileLog, emptied: ClickHouseStore) -> None:
    """A gap of yesterday must not fail the proof of today's hours."""
    # the trades are five seconds apart, the gap is between the third and the fourth
    noon = NOON_S * 10**6
    assert failures(gappy, emptied, from_us=noon + 15_000_000, to_us=noon + 40_000_000) == {}
    assert failures(gappy, emptied, from_us=noon, to_us=noon + 16_000_000).keys() == {"ids.contiguous"}
    series = verdict_of(gappy, emptied, from_us=noon + 15_000_000, to_us=noon + 40_000_000).series[0]
    assert series["coverage"] == [[105, 109]]
    assert verdict_of(gappy, emptied, from_us=noon + 3_600_000_000).series == []


@pytest.mark.parametrize(
    ("since_s", "until_s", "is_found"),
    [(60, 120, True), (61, 180, False), (0, 60, False), (0, 61, True), (None, None, True)],
)
def test_a_candle_is_in_a_range_of_time_by_its_open_time(
    pipeline: Pipeline, since_s: int | None, until_s: int | None, is_found: bool
) -> None:
    """The flaw of a minute that begins outside would be reported for a range it isn't in."""
    pipeline.delete("candles_1m", "symbol = 'BTCUSDT' AND minute = '2024-08-09 12:01:00'")
    since, until = (None if s is None else (NOON_S + s) * 10**6 for s in (since_s, until_s))
    assert ("candles.exact" in failures(pipeline.log, pipeline.store, from_us=since, to_us=until)) is is_found


def test_accounting_is_of_whole_runs_whatever_is_narrowed(pipeline: Pipeline) -> None:
    """Half a run can't be accounted for: records of another symbol are lost all the same."""
    pipeline.delete("ledger", "symbol = 'BTCUSDT' AND trade_id = 107")
    assert "ledger.complete" in failures(
        pipeline.log, pipeline.store, symbol="ETHUSDT", from_us=(NOON_S + 3600) * 10**6
    )


def test_a_verdict_can_be_written_down(whole: Pipeline) -> None:
    """Scripts read it as JSON."""
    assert msgspec.json.decode(msgspec.json.encode(verdict_of(whole.log, whole.store)))

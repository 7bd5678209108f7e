"""Proofs while others write, load and sweep: the cut is what is proven, and nothing that differs hides behind it.

What others do meanwhile happens in the callback of progress: after the log was cut and while it is counted.
"""

import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.builders import a_message, begun, load, quietly, replayed, some_messages, spoilt
from tests.kafka.client import Kafka
from tests.log.memory import PARTITIONS, Kept, MemoryLog, MemorySnapshot
from tradecap.flows.records import read_lines, records_of, unwatched
from tradecap.flows.run import Run
from tradecap.flows.verify.cut import Cut
from tradecap.flows.verify.tallying import tally_log
from tradecap.flows.verify.verify import Verdict, Wanted, verify
from tradecap.log import open_log
from tradecap.log.api import Log, LogWriter
from tradecap.market.records import Trade, frame, series_head
from tradecap.proof.checks import Check
from tradecap.store.api import BlockKey
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance import decode


def in_a_folder(request: pytest.FixtureRequest) -> Log:
    """A log in a folder."""
    folder: Path = request.getfixturevalue("tmp_path")
    return open_log(f"file:{folder}/log", create=True)


def in_memory(_: pytest.FixtureRequest) -> Log:
    """A log of three partitions."""
    return MemoryLog(Kept())


def in_kafka(request: pytest.FixtureRequest) -> Log:
    """A topic of a real broker."""
    kafka: Kafka = request.getfixturevalue("kafka")
    return open_log(kafka.url(request.getfixturevalue("topic")))


@pytest.fixture(
    params=[in_a_folder, in_memory, pytest.param(in_kafka, marks=pytest.mark.kafka)], ids=lambda kind: kind.__name__
)
def log(request: pytest.FixtureRequest) -> Log:
    """A log of each kind."""
    kind: Callable[[pytest.FixtureRequest], Log] = request.param
    return kind(request)


@pytest.fixture
def writer(log: Log) -> Iterator[LogWriter]:
    """The writer of a run that goes on while the log is proven."""
    with log.writer() as writer:
        yield writer


def proven(log: Log, store: ClickHouseStore, meanwhile: Callable[[], object], wait_s: float = 0.0) -> Verdict:
    """What verify says when something happens after the cut."""
    waiting = [meanwhile]

    def progress(_: int) -> None:
        while waiting:
            waiting.pop()()

    return verify(log, store, Wanted(), progress=progress, wait_s=wait_s)


def failed(verdict: Verdict) -> dict[str, Check]:
    """The checks that failed."""
    return {check.name: check for check in verdict.checks if not check.ok}


def log_on(run: Run, messages: list[bytes]) -> None:
    """Write further messages to a run."""
    for each in messages:
        reading = decode(each)
        assert isinstance(reading, Trade)
        run.record(None, series_head(reading.venue, reading.symbol, reading.channel, "ws"), frame(each), reading)
    run.flush()


def test_what_is_written_and_loaded_meanwhile_is_not_held_against_the_log(
    log: Log, store: ClickHouseStore, writer: LogWriter
) -> None:
    """A capture runs for weeks: a proof that needs silence is never made."""
    run = begun(writer, some_messages(range(100, 150)) + some_messages(range(20), symbol="ETHUSDT"))
    load(log, store)

    def meanwhile() -> None:
        log_on(run, [*some_messages(range(140, 190)), a_message(100, at_s=0, price=7 * 10**8)])
        log_on(run, some_messages(range(900, 910), symbol="SOLUSDT"))
        run.event("connected")
        load(log, store)

    verdict = proven(log, store, meanwhile)
    assert failed(verdict) == {}
    counts = verdict.counts
    assert (counts.records, counts.trades, counts.duplicates, counts.conflicts, counts.events) == (71, 70, 0, 0, 1)
    run.end()


@pytest.mark.parametrize(
    "log", [in_memory, pytest.param(in_kafka, marks=pytest.mark.kafka)], indirect=True, ids=lambda kind: kind.__name__
)
def test_runs_that_begin_meanwhile_are_left_to_the_next_proof(log: Log, store: ClickHouseStore) -> None:
    """Every replay into a topic would make the proof of what was there fail."""
    replayed(log, some_messages(range(30)))
    load(log, store)

    def meanwhile() -> None:
        replayed(log, some_messages(range(20, 60)))
        spoilt(log, {"dupes": 3, "conflicts": 2, "nulls": 2})
        load(log, store)

    verdict = proven(log, store, meanwhile)
    assert failed(verdict) == {}
    assert (verdict.counts.records, verdict.counts.trades, verdict.counts.conflicts, verdict.runs["ended"]) == (
        32,
        30,
        0,
        1,
    )


def test_what_is_not_loaded_yet_is_waited_for(log: Log, store: ClickHouseStore) -> None:
    """A loader is a second behind: the proof would fail every time."""
    replayed(log, some_messages(range(300)))
    loading = threading.Timer(0.6, lambda: load(log, store))
    verdict = proven(log, store, loading.start, wait_s=20)
    loading.join()
    assert failed(verdict) == {}


def test_what_stays_away_is_pending_when_the_time_is_over(log: Log, store: ClickHouseStore) -> None:
    """A loader that has died is not found by waiting for it."""
    replayed(log, some_messages(range(30)))
    began_s = time.monotonic()
    verdict = proven(log, store, lambda: None, wait_s=0.7)
    assert time.monotonic() - began_s >= 0.7
    assert "not loaded yet" in failed(verdict)["ledger.complete"].detail


SPOILT = {
    "a deleted ledger row": (
        "ALTER TABLE ledger DELETE WHERE trade_id = 107 SETTINGS mutations_sync = 2",
        {"ledger.complete", "trades.accounted"},
    ),
    "a deleted trade": (
        "ALTER TABLE trades DELETE WHERE trade_id = 107 SETTINGS mutations_sync = 2",
        {"trades.accounted", "candles.exact"},
    ),
    "a foreign trade": (
        "INSERT INTO trades SELECT * REPLACE (toUInt64(7777) AS trade_id) FROM (SELECT * FROM trades WHERE "
        "trade_id = 107)",
        {"trades.accounted", "candles.exact"},
    ),
    "a changed candle": (
        "ALTER TABLE candles_1m UPDATE high = high + 1 WHERE minute = (SELECT min(minute) FROM candles_1m) "
        "SETTINGS mutations_sync = 2",
        {"candles.exact"},
    ),
    "a row of a run that nobody wrote": (
        "INSERT INTO ledger SELECT * REPLACE (toUUID('01930000-0000-7000-8000-000000000009') AS run) FROM ledger "
        "WHERE trade_id = 107",
        {"ledger.complete"},
    ),
    "a row far above the cut": (
        "INSERT INTO ledger SELECT * REPLACE (toUInt64(99999) AS seq) FROM ledger WHERE kind = 'started'",
        {"ledger.complete"},
    ),
    "a row of another partition": (
        "INSERT INTO ledger SELECT * REPLACE (toUInt64(99999) AS seq, toUInt32(77) AS part) FROM ledger WHERE kind "
        "= 'started'",
        {"ledger.complete"},
    ),
    "a foreign row in quarantine": (
        "INSERT INTO quarantine (run, seq, reason, raw) SELECT run, seq, 'null_field', 'x' FROM ledger WHERE kind "
        "= 'started'",
        {"quarantine.accounted"},
    ),
}


@pytest.mark.parametrize("what", SPOILT)
@pytest.mark.parametrize("log", [in_a_folder, in_memory], indirect=True, ids=lambda kind: kind.__name__)
def test_whoever_spoils_the_store_between_cut_and_look_is_found(
    log: Log, store: ClickHouseStore, writer: LogWriter, what: str
) -> None:
    """What is wrong must not pass for what is on its way, however long it is looked at."""
    run = begun(writer, some_messages(range(100, 150)))
    load(log, store)
    statement, due = SPOILT[what]

    def meanwhile() -> None:
        log_on(run, some_messages(range(150, 170)))
        load(log, store)
        store.run(statement)

    assert set(failed(proven(log, store, meanwhile, wait_s=0.5))) >= due
    run.end()


class Lagging(MemoryLog):
    """A log whose partitions were asked for their ends one after the other: the first lacks what came in between."""

    lag = 5

    def snapshot(self, newest: int | None = None) -> MemorySnapshot:
        whole = super().snapshot(newest)
        if not self.lag:
            return whole
        longest = max(range(len(whole._ends)), key=lambda n: len(self._kept.partitions[n]))
        whole._ends[longest] = self._kept.partitions[longest][-self.lag][0]
        self.lag = 0
        return whole


def test_ends_that_were_not_taken_at_one_moment_leave_no_hole(store: ClickHouseStore) -> None:
    """The end of a run can be in the cut and records before it, of another partition, not: they would count as lost,
    and faults as not found."""
    run = ""
    # events of a run are in a partition of their own
    while zlib.crc32(run.encode()) % PARTITIONS == zlib.crc32(b"BTCUSDT") % PARTITIONS or not run:
        log = Lagging(Kept())
        log.lag = 0
        replayed(log, some_messages(range(40)))
        run = spoilt(log, {"dupes": 3, "nulls": 4})
    load(log, store)
    log.lag = 5
    verdict = verify(log, store, Wanted(), progress=quietly)
    assert failed(verdict) == {}
    assert (verdict.counts.records, verdict.counts.trades, verdict.counts.duplicates, verdict.counts.quarantined) == (
        51,
        40,
        3,
        4,
    )


def test_a_record_that_is_nowhere_in_the_log_is_missing(store: ClickHouseStore) -> None:
    """Looking behind the cut for what is missing must not make it up."""
    log = MemoryLog(Kept())
    replayed(log, some_messages(range(40)))
    longest = max(log._kept.partitions, key=len)
    del longest[10]
    load(log, store)
    check = failed(verify(log, store, Wanted(), progress=quietly))["log.complete"]
    assert check.detail.startswith("missing: run ")
    assert "1 record missing" in check.detail


def change_trade(store: ClickHouseStore, trade_id: int, change: str) -> None:
    store.run(f"ALTER TABLE trades UPDATE {change} WHERE trade_id = {trade_id} SETTINGS mutations_sync = 2")


CHANGES = {
    105: ("event_time = event_time + toIntervalMicrosecond(1)", "event_time = event_time - toIntervalMicrosecond(1)"),
    120: ("recv_ns = recv_ns + 1", "recv_ns = recv_ns - 1"),
    145: ("event_time = event_time + toIntervalMicrosecond(1)", "event_time = event_time - toIntervalMicrosecond(1)"),
    155: ("recv_ns = recv_ns + 1", "recv_ns = recv_ns - 1"),
}
"""By id, a change of what only the sums of a block hold, and what undoes it."""


def test_times_are_proven_where_some_trades_of_a_block_lost(
    log: Log, store: ClickHouseStore, writer: LogWriter
) -> None:
    """Sums agree at once only where all of a block won: two captures of one market, and a run that goes on, would hide
    a changed time."""
    market = [a_message(each, at_s=each) for each in range(200)]
    run = begun(writer, [*market[100:150], *market[110:115]])
    if log.has_one_writer:
        log_on(run, market[90:160])
    else:
        replayed(log, market[90:160])
    load(log, store)
    went_on: list[bool] = []

    def meanwhile() -> None:
        if not went_on:
            log_on(run, market[150:190])
            load(log, store)
            went_on.append(True)

    assert failed(proven(log, store, meanwhile)) == {}
    for trade_id, (change, undoing) in CHANGES.items():
        change_trade(store, trade_id, change)
        checks = failed(proven(log, store, meanwhile))
        assert checks.keys() == {"trades.accounted"}
        assert checks["trades.accounted"].detail == (
            f"binance BTCUSDT trade id {trade_id}: event_time, recv_ns, microseconds or order_book changed"
        )
        change_trade(store, trade_id, undoing)
    assert failed(proven(log, store, meanwhile)) == {}
    run.end()


def test_only_the_batches_of_a_block_are_read_once_more(tmp_path: Path) -> None:
    """A block of which some trades lost isn't a failure: each proof of terabytes would read all of them twice."""
    log = open_log(f"file:{tmp_path}/log", create=True)
    runs = [replayed(log, some_messages(range(100 * n, 100 * n + 60)), segment_bytes=4000) for n in range(6)]
    snapshot = log.snapshot()
    cut = Cut(log, snapshot, tally_log(snapshot, unwatched, quietly), (), [])
    batches = list(snapshot.read())
    first = next(
        n for n, batch in enumerate(batches) if any(line[0].run == runs[3] for line in records_of(batch, log.id))
    )
    assert 6 < first < len(batches) - 6
    assert cut.before([cut.tally.runs[runs[3]].blocks[0]]) == {0: batches[first - 1].end.at}
    assert list(cut.lines_of([BlockKey(runs[3], 0)])) == [line for line in read_lines(log) if line[0].run == runs[3]]

"""Faults made on purpose: each ends as the table of faults says, and the same seed makes the same ones."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.flows.builders import a_message, failures, load, never, quietly, replayed, some_messages, spoilt, verdict_of
from tradecap.errors import TradecapError
from tradecap.flows import inject as flow
from tradecap.flows.inject import Bad, Injected, captured_live, from_file, inject
from tradecap.flows.records import read_lines
from tradecap.flows.run import Run
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.log.folder.log import FileLog
from tradecap.market.faults import FAULTS
from tradecap.market.records import Trade, frame, series_head
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance import decode


def written(log: Log, bad: Iterable[Bad], seed: int = 7) -> Injected:
    """Inject bad records into a log."""
    with open_log(log.url, segment_bytes=10**8, segment_age_s=600).writer() as writer:
        return inject(bad, writer, seed, stop=never, progress=quietly)


def drawn(log: Log, seed: int, **wanted: int) -> list[Bad]:
    """What a seed makes of a log."""
    return list(flow.spoilt(log, wanted, seed))


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_ends_as_the_table_says(log: FileLog, store: ClickHouseStore, fault: str) -> None:
    """A fault that ends as something else teaches users to read the quarantine wrongly."""
    replayed(
        log,
        [
            *some_messages(range(30)),
            *some_messages(range(30), venue="binance-usdm"),
            *some_messages(range(30), channel="aggTrade"),
        ],
    )
    spoilt(log, {fault: 12})
    load(log, store)
    outcome = FAULTS[fault].outcome
    name = {"duplicate": "duplicates", "conflict": "conflicts"}.get(outcome, f"quarantined.{outcome}")
    assert not failures(log, store, run="last", expect={name: 12, "trades": 0, "records": 14})


def test_all_faults_at_once_change_no_trade(log: FileLog, store: ClickHouseStore) -> None:
    """A spoilt record that replaces, hides or adds a trade is what the whole program exists to prevent."""
    replayed(log, some_messages(range(100)))
    spoilt(log, dict.fromkeys(FAULTS, 20))
    load(log, store)
    verdict = verdict_of(log, store, expect={"trades": 100, "duplicates": 20, "conflicts": 20, "quarantined": 160})
    assert not [check for check in verdict.checks if not check.ok]
    stored = store.rows("SELECT count() AS n, sum(price * qty) AS quote FROM v_trades")[0]
    sums = [
        reading.price * reading.qty
        for message in some_messages(range(100))
        if isinstance(reading := decode(message), Trade)
    ]
    assert (stored["n"], stored["quote"]) == (100, sum(sums) // 10**16)


def test_the_same_seed_makes_the_same_records(log: FileLog) -> None:
    """A fault that was found must be reproduced to be fixed."""
    replayed(log, some_messages(range(50)))
    wanted = dict.fromkeys(FAULTS, 5)
    assert drawn(log, 1, **wanted) == drawn(log, 1, **wanted)
    assert drawn(log, 1, **wanted) != drawn(log, 2, **wanted)


def test_what_was_injected_before_changes_no_draw(log: FileLog) -> None:
    """Records drawn from spoilt ones would be spoilt twice, and a seed would no longer make the same ones."""
    replayed(log, some_messages(range(50)))
    before = drawn(log, 1, dupes=9, nulls=9)
    spoilt(log, dict.fromkeys(FAULTS, 5))
    written(log, from_file(some_messages(range(900, 930))))
    assert drawn(log, 1, dupes=9, nulls=9) == before


def test_more_can_be_drawn_than_there_is(log: FileLog, store: ClickHouseStore) -> None:
    """Draws without replacement would stop at the size of a small recording."""
    replayed(log, some_messages([7]))
    spoilt(log, {"dupes": 20, "conflicts": 20})
    load(log, store)
    assert not failures(log, store, expect={"trades": 1, "duplicates": 20, "conflicts": 20})


def test_draws_go_over_the_log_in_portions(log: FileLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million draws are not held at once; the portions must not show."""
    replayed(log, some_messages(range(50)))
    whole = drawn(log, 3, dupes=20, nulls=20)
    monkeypatch.setattr(flow, "DRAWN_A_PASS", 7)
    assert drawn(log, 3, dupes=20, nulls=20) == whole


def test_only_the_first_record_of_an_id_is_drawn(log: FileLog, store: ClickHouseStore) -> None:
    """A copy of a conflict would be counted as a duplicate of nothing."""
    replayed(log, [a_message(1), a_message(1, price=7 * 10**8), *some_messages(range(2, 4))])
    spoilt(log, {"dupes": 30})
    load(log, store)
    assert set(failures(log, store, run="last", expect={"duplicates": 30})) == {"conflicts.none"}


def test_a_log_without_trades_has_nothing_to_draw(log: FileLog) -> None:
    """An empty run of faults would be proven, of nothing."""
    with pytest.raises(TradecapError, match="holds no trades to draw from"):
        drawn(log, 1, dupes=1)
    replayed(log, [a_message(1), a_message(2)[:-5]])
    assert drawn(log, 1, dupes=1)


def test_the_end_record_says_what_was_written(log: FileLog) -> None:
    """Without it verify doesn't know what to look for."""
    replayed(log, some_messages(range(9)))
    done = written(log, flow.spoilt(log, {"dupes": 3, "nulls": 2}, 7))
    assert (done.injected, done.records, done.seed) == ({"dupes": 3, "nulls": 2}, 7, 7)
    (end,) = [
        bytes(envelope.detail)
        for envelope, _, _ in read_lines(log)
        if envelope.run == done.run and envelope.event == "ended"
    ]
    assert end == b'{"records":7,"injected":{"dupes":3,"nulls":2},"seed":7}'


def test_the_lines_of_a_file_are_logged_as_they_are(log: FileLog, store: ClickHouseStore) -> None:
    """A case met in the wild is only tested when not a byte of it changes."""
    lines = [a_message(1), a_message(900), b'{"e":"trade"', b"\xff\xfe", b" x ", b'{"s":"ETHUSDT","e":"trade"}']
    replayed(log, some_messages(range(5)))
    done = written(log, from_file(lines))
    assert done.injected == {"file": 6}
    records = [envelope for envelope, _, _ in read_lines(log) if envelope.run == done.run and not envelope.event]
    assert [record.payload for record in records] == lines
    assert {record.via for record in records} == {"inject:file"}
    load(log, store)
    assert set(failures(log, store, run="last", expect={"quarantined": 4, "duplicates": 0})) <= {"conflicts.none"}


def test_a_file_that_breaks_off_gives_what_came_before(log: FileLog, store: ClickHouseStore) -> None:
    """A run without its end record is torn, and its faults are never looked for."""

    def lines() -> Any:
        yield b'{"e":"trade"'
        raise TradecapError("cut short.", "get it again.")

    replayed(log, some_messages(range(5)))
    done = written(log, from_file(lines()))
    assert done.problem is not None
    assert (done.problem.message, done.injected) == ("cut short.", {"file": 1})
    load(log, store)
    assert not failures(log, store, expect={"quarantined": 1})


def test_a_stop_ends_the_run_properly(log: FileLog, store: ClickHouseStore) -> None:
    """What was written until then has to be found, all of it."""
    replayed(log, some_messages(range(5)))
    with log.writer() as writer:
        done = inject(flow.spoilt(log, {"nulls": 1000}, 7), writer, 7, stop=lambda: True, progress=quietly)
    assert done.injected == {"nulls": 1}
    load(log, store)
    assert not failures(log, store, expect={"quarantined.null_field": 1})


def test_a_live_capture_is_known_for_one(log: FileLog) -> None:
    """What can't be captured again is spoilt only on a second word; a message that merely quotes the words isn't a
    capture."""
    quoting = a_message(2)[:-1] + b',"x":{"event":"started","detail":{"command":"stream"}}}'
    replayed(log, [a_message(1), quoting, b'"command":"stream"'])
    assert not captured_live(log)
    with log.writer() as writer:
        run = Run(writer, "stream")
        run.record(None, series_head("binance", "BTCUSDT", "trade", "ws"), frame(a_message(3)))
        run.end()
    assert captured_live(log)

"""The same records in another order, at other times, in other pieces: the same trades, the same candles, and the right
answer by the right check."""

from itertools import permutations
from pathlib import Path

import pytest

from tests.flows.builders import a_message, failures, load, never, quietly, replayed, some_messages, verdict_of
from tradecap.flows import load as loading
from tradecap.flows.candles import BarsQuery, candles
from tradecap.log.folder.log import FileLog
from tradecap.store.clickhouse.store import ClickHouseStore

FIRST = some_messages(range(100, 130))
OVERLAP = some_messages(range(100, 140))[20:]
"""Ten trades of the first recording again, and ten new ones."""
CONFLICT = [a_message(110, at_s=200, price=55 * 10**8)]
"""Known under id 110 with another price and in another minute."""


def rows_of(store: ClickHouseStore) -> list[object]:
    """Trades and candles, as people read them."""
    trades = (
        "SELECT trade_id, price, qty, trade_time, is_buyer_maker FROM v_trades ORDER BY venue, symbol, "
        "channel, trade_id"
    )
    return [store.rows(trades), candles(store, BarsQuery(symbol="BTCUSDT")).candles]


def emptied(store: ClickHouseStore) -> None:
    """As new."""
    store.drop()
    store.create()


@pytest.fixture
def logs(tmp_path: Path) -> list[FileLog]:
    """Three logs with a run each, begun one after another."""
    made = []
    for name, messages in (("a", FIRST), ("b", OVERLAP), ("c", CONFLICT)):
        log = FileLog(tmp_path / name, create=True)
        replayed(log, messages)
        made.append(log)
    return made


def test_logs_loaded_in_any_order_give_the_same_trades_and_candles(logs: list[FileLog], store: ClickHouseStore) -> None:
    """Which record of an id is the trade must hang on nothing but (run, seq), or two stores of the same logs differ."""
    seen = []
    for order in permutations(logs):
        emptied(store)
        for log in order:
            load(log, store)
        seen.append(rows_of(store))
        assert set(failures(logs[0], store)) == {"conflicts.none"}, "another log differs on id 110"
        assert failures(logs[1], store) == {}
    assert all(rows == seen[0] for rows in seen)


def test_runs_that_overlap_and_a_conflict_are_split_by_the_right_check(log: FileLog, store: ClickHouseStore) -> None:
    """Ten repeats make no gap, no loss and no conflict; one other content is a conflict and nothing else."""
    for messages in (FIRST, OVERLAP, CONFLICT):
        replayed(log, messages)
        load(log, store)
    verdict = verdict_of(log, store)
    assert [check.name for check in verdict.checks if not check.ok] == ["conflicts.none"]
    assert (verdict.counts.trades, verdict.counts.duplicates, verdict.counts.conflicts) == (40, 10, 1)


def test_a_conflict_that_comes_first_is_the_trade(log: FileLog, store: ClickHouseStore) -> None:
    """The first by (run, seq) wins, also when it is the odd one: anything else would be an opinion."""
    replayed(log, CONFLICT)
    replayed(log, FIRST)
    load(log, store)
    assert store.rows("SELECT toString(price) AS price FROM v_trades WHERE trade_id = 110") == [{"price": "55"}]
    assert set(failures(log, store)) == {"conflicts.none"}


def test_one_recording_under_two_names_counts_once(log: FileLog, store: ClickHouseStore) -> None:
    """Folders of captures hold copies; volumes must not double."""
    replayed(log, FIRST)
    load(log, store)
    once = rows_of(store)
    replayed(log, FIRST)
    load(log, store)
    assert rows_of(store) == once
    assert failures(log, store, expect={"trades": 30, "duplicates": 30}) == {}


def test_a_store_dropped_half_way_is_filled_again(log: FileLog, store: ClickHouseStore) -> None:
    """The log is what is true: a store can be thrown away at any moment."""
    for messages in (FIRST, OVERLAP):
        replayed(log, messages)
    load(log, store)
    whole = rows_of(store)
    emptied(store)
    stops = iter([True])
    loading.load(log, store, stop=lambda: next(stops, False), progress=quietly)
    assert "ledger.complete" in failures(log, store), "only a part is there"
    emptied(store)
    loading.load(log, store, stop=never, progress=quietly)
    assert rows_of(store) == whole
    assert failures(log, store) == {}

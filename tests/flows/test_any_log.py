"""Replay, load and verify need nothing of a log but its protocol: three partitions, offsets with holes, no files."""

from tests.flows.builders import failures, load, replayed, some_messages, spoilt, verdict_of
from tests.log.memory import Kept, MemoryLog
from tradecap.market.faults import FAULTS
from tradecap.store.clickhouse.store import ClickHouseStore


def test_a_log_without_files_is_replayed_loaded_and_proven(store: ClickHouseStore) -> None:
    """Only a folder could be proven: a broker would need flows of its own."""
    log = MemoryLog(Kept())
    replayed(log, some_messages(range(300)))
    replayed(log, some_messages(range(200), symbol="ETHUSDT"))
    spoilt(log, dict.fromkeys(FAULTS, 3))
    load(log, store)
    verdict = verdict_of(log, store)
    assert [(check.name, check.detail) for check in verdict.checks if not check.ok] == []
    assert (verdict.counts.trades, verdict.evidence) == (500, None)


def test_each_partition_goes_on_where_it_was_loaded_to(store: ClickHouseStore) -> None:
    """The position of one partition, taken for that of another, skips its records or repeats them."""
    log = MemoryLog(Kept())
    replayed(log, some_messages(range(100)))
    assert load(log, store).records == 102
    assert load(log, store).records == 0
    replayed(log, some_messages(range(50), symbol="ETHUSDT"))
    assert set(failures(log, store)) == {"ledger.complete"}
    assert load(log, store).records == 52
    assert failures(log, store) == {}

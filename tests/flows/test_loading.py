"""The loader alongside a capture: it reports its failures, and doesn't delay a stop."""

import time

import pytest

from tests.exchange import until
from tests.flows.builders import replayed, some_messages
from tests.kafka.client import Kafka
from tradecap.errors import Exit, TradecapError
from tradecap.flows import loading as module
from tradecap.flows.loading import Loading
from tradecap.flows.stop import Stop
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.log.folder.log import FileLog
from tradecap.log.kafka import reader
from tradecap.market.batch import Batch
from tradecap.store.clickhouse.store import ClickHouseStore


def test_a_stop_does_not_wait_for_a_store_that_is_far_behind(
    log: FileLog, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that is stopped with a day's log to load would be killed while it loads."""
    replayed(log, some_messages(range(400)), segment_bytes=20_000)
    add, stop = store.add, Stop()

    def slowly(log_id: str, batch: Batch) -> None:
        stop.ask()
        time.sleep(0.3)
        add(log_id, batch)

    monkeypatch.setattr(store, "add", slowly)
    monkeypatch.setattr(module, "LAST_S", 0.2)
    with Loading(log, store) as loading:
        loading.start(stop)
        loading.finish()
    assert loading.is_left
    assert loading.loaded
    assert 0 < loading.loaded.records < 402


def test_a_big_segment_does_not_end_what_nobody_asked_to_end(
    log: FileLog, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing would be loaded for days, and nobody would notice."""
    replayed(log, some_messages(range(400)), segment_bytes=20_000)
    monkeypatch.setattr(module, "RECORDS_PER_S", 1)
    with Loading(log, store) as loading:
        loading.start(Stop())
        loading.finish()
    assert loading.loaded
    assert (loading.loaded.records, loading.is_left) == (402, False)


def test_without_haste_all_of_it_is_loaded(log: FileLog, store: ClickHouseStore) -> None:
    """A capture that ends by its duration would leave its last trades out of the store."""
    replayed(log, some_messages(range(400)), segment_bytes=20_000)
    with Loading(log, store) as loading:
        loading.start(Stop())
        loading.finish()
    assert loading.loaded
    assert (loading.loaded.records, loading.is_left) == (402, False)


def test_a_loader_that_fails_says_so_while_the_capture_runs(
    log: FileLog, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For weeks nobody would know that the store gets nothing."""
    replayed(log, some_messages(range(10)))

    def full(*_: object) -> None:
        raise TradecapError("Store: no space left.", "free some disk.", Exit.UNDELIVERED)

    monkeypatch.setattr(store, "add", full)
    with Loading(log, store) as loading:
        loading.start(Stop())
        until(lambda: bool(loading.news))
        level, text, _ = loading.news.popleft()
        assert (level, "no space left" in text) == ("warning", True)
        assert "no space left" in loading.ills()[0]
    assert loading.problem
    assert loading.problem.exit_code == Exit.UNDELIVERED


def ended_at_once(log: Log, store: ClickHouseStore) -> Loading:
    """The loader of a capture that is over when it starts."""
    with Loading(log, store) as loading:
        loading.start(Stop())
        loading.finish()
    return loading


@pytest.mark.kafka
def test_a_capture_that_ends_before_its_loader_has_a_partition_is_loaded(
    kafka: Kafka, topic: str, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A capture of some seconds would be over before the group is, and nothing of it loaded, without a word."""
    monkeypatch.setattr(reader, "PLACED_S", 60.0)
    log = open_log(kafka.url(topic))
    replayed(log, some_messages(range(40)))
    loading = ended_at_once(log, store)
    assert loading.loaded
    assert (loading.loaded.records, loading.is_left) == (42, False)


@pytest.mark.kafka
def test_what_was_not_loaded_is_reported(
    kafka: Kafka, topic: str, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would know that a load is needed."""
    monkeypatch.setattr(reader, "PLACED_S", 0.0)
    log = open_log(kafka.url(topic))
    replayed(log, some_messages(range(40)))
    loading = ended_at_once(log, store)
    assert loading.is_left
    assert loading.loaded
    assert loading.loaded.records == 0

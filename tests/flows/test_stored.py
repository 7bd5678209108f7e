"""Answers of the store that are remembered, and questions that find no reader."""

import threading

import pytest

from tests.flows.builders import load, replayed, some_messages
from tests.flows.test_live import wait_for
from tradecap.errors import Exit
from tradecap.flows import stored as module
from tradecap.flows.stored import Stored
from tradecap.log.folder.log import FileLog
from tradecap.store.api import QueryCutError, Store
from tradecap.store.clickhouse.store import ClickHouseStore

SERIES = ("binance", "BTCUSDT", "trade")


def test_an_answer_is_remembered_until_a_candle_changes(log: FileLog, store: ClickHouseStore) -> None:
    """Every request would cost a query, or show bars of yesterday."""
    replayed(log, some_messages(range(100)))
    load(log, store)
    stored = Stored(store)
    try:
        first = stored.remembered("minutes", lambda reader: reader.minutes(SERIES, 0, 2**31))
        assert stored.remembered("minutes", lambda reader: reader.minutes(SERIES, 0, 2**31)) is first
        assert (stored.hits, stored.misses) == (1, 1)
        sweep = stored.sweep
        replayed(log, some_messages(range(200)))
        load(log, store)
        wait_for(lambda: stored.sweep > sweep)
        assert len(stored.remembered("minutes", lambda reader: reader.minutes(SERIES, 0, 2**31))) > len(first)
    finally:
        stored.close()


def test_what_is_remembered_is_bounded(store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new window would stay in memory forever."""
    monkeypatch.setattr(module, "ROWS_KEPT", 100)
    stored = Stored(store)
    try:
        for n in range(50):
            stored.remembered(n, lambda _: list(range(30)))
        misses = stored.misses
        stored.remembered(49, lambda _: list(range(30)))
        stored.remembered(0, lambda _: list(range(30)))
        assert stored.misses == misses + 1
    finally:
        stored.close()


def test_a_question_without_a_free_reader_is_cut(store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads would wait behind one slow question."""
    monkeypatch.setattr(module, "WAIT_S", 0.2)
    stored = Stored(store, readers=1)
    is_asked, is_over = threading.Event(), threading.Event()

    def slow(_: Store) -> None:
        is_asked.set()
        is_over.wait(60)

    thread = threading.Thread(target=stored.ask, args=(slow,))
    thread.start()
    assert is_asked.wait(60)
    with pytest.raises(QueryCutError) as error:
        stored.ask(lambda reader: reader.outcomes())
    assert error.value.exit_code is Exit.UNREACHABLE
    assert stored.cut >= 1
    assert stored.failed >= 1
    is_over.set()
    thread.join()
    monkeypatch.setattr(module, "WAIT_S", 60.0)
    stored.close()


def test_a_slow_statement_of_a_reader_is_cut(store: ClickHouseStore) -> None:
    """One question over years of trades would hold a reader for minutes."""
    with store.reader() as reader, pytest.raises(QueryCutError):
        reader.rows("SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1")

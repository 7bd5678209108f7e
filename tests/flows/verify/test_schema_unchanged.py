"""verify trusts no SQL that lives in the store: each definition is held against the package's first."""

import pytest

from tests.flows.builders import failures, load, replayed, some_messages, verdict_of
from tradecap.log.folder.log import FileLog
from tradecap.store.clickhouse.store import ClickHouseStore


@pytest.fixture
def proven(log: FileLog, store: ClickHouseStore) -> ClickHouseStore:
    """A store that is proven against its log."""
    replayed(log, some_messages(range(20)))
    load(log, store)
    assert not failures(log, store)
    return store


def doubled(store: ClickHouseStore, view: str) -> str:
    """The view's own text with every volume doubled."""
    text = str(
        store.rows(
            "SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = {view:String}", view=view
        )[0]["as_select"]
    )
    return text.replace("sumIf(qty, order_book) AS volume", "sumIf(qty, order_book) * 2 AS volume")


def test_volumes_doubled_in_view_and_table_are_not_proven(log: FileLog, proven: ClickHouseStore) -> None:
    """This passed as PROVEN once: the candles were compared with the very view that was changed."""
    text = doubled(proven, "v_minutes")
    assert "* 2" in text
    proven.run("DROP VIEW v_minutes")
    proven.run(f"CREATE VIEW v_minutes AS {text}")
    proven.run("INSERT INTO candles_1m SELECT * REPLACE (volume * 2 AS volume) FROM candles_1m")
    failed = failures(log, proven)
    assert "schema.unchanged" in failed
    assert failed["schema.unchanged"].fix == "tradecap init-db"
    proven.create()
    assert "candles.exact" in failures(log, proven)


@pytest.mark.parametrize("view", ["v_trades", "v_minutes", "v_candles", "v_gaps", "mv_trades", "inbox"])
def test_a_missing_object_is_a_failed_check_and_no_crash(log: FileLog, proven: ClickHouseStore, view: str) -> None:
    """Whoever asks for a proof gets a verdict, also of a store that can't be asked any more."""
    proven.run(f"DROP TABLE {view}")
    verdict = verdict_of(log, proven)
    assert {check.name: check.detail for check in verdict.checks if not check.ok}[
        "schema.unchanged"
    ] == f"{view} is missing"
    proven.create()
    assert not failures(log, proven)


def test_a_foreign_view_that_writes_into_our_tables_is_named(log: FileLog, proven: ClickHouseStore) -> None:
    """It would add trades that no record made, at the next insert."""
    proven.run("CREATE MATERIALIZED VIEW extra TO trades AS SELECT venue, seq AS trade_id FROM quarantine")
    assert failures(log, proven)["schema.unchanged"].detail == "extra is not tradecap's"
    proven.run("DROP VIEW extra")
    assert not failures(log, proven)

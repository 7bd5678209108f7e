"""The schema: what init-db makes, what it makes again, and what it leaves alone."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.builders import at, fill, one, run_of
from tradecap.errors import Exit, TradecapError
from tradecap.store import create_store, open_store, schema_text
from tradecap.store.api import Difference
from tradecap.store.clickhouse.schema import VERSION, migrations, pieces
from tradecap.store.clickhouse.store import ClickHouseStore


@pytest.fixture
def filled(store: ClickHouseStore) -> Iterator[ClickHouseStore]:
    """A store with five trades."""
    fill(store, *run_of([at(n, n) for n in range(5)]))
    yield store
    fill(store, *run_of([at(n, n) for n in range(8)]))
    assert store.outcomes() == {"trade": 8}, "it goes on"
    assert one(store.rows("SELECT count() AS n FROM v_trades"))["n"] == 8


def identity(store: ClickHouseStore, name: str) -> object:
    """Another one after a table or view was made again."""
    return one(
        store.rows(
            "SELECT toString(uuid) AS id FROM system.tables WHERE database = currentDatabase() AND "
            "name = {name:String}",
            name=name,
        )
    )["id"]


def test_a_view_that_was_replaced_is_made_again_and_no_other(filled: ClickHouseStore) -> None:
    """A view that doubles every quantity would stay after every upgrade."""
    untouched = identity(filled, "v_gaps"), identity(filled, "mv_trades"), identity(filled, "trades")
    filled.run("CREATE OR REPLACE VIEW v_trades AS SELECT * FROM trades WHERE 0")
    done = filled.create()
    assert (done.created, done.replaced) == ([], ["v_trades"])
    assert one(filled.rows("SELECT count() AS n FROM v_trades"))["n"] == 5
    assert (identity(filled, "v_gaps"), identity(filled, "mv_trades"), identity(filled, "trades")) == untouched


def test_a_reading_that_was_changed_is_made_again_and_loses_nothing(filled: ClickHouseStore) -> None:
    """After an upgrade the old reading would go on to fill the tables."""
    table = identity(filled, "trades")
    filled.run("DROP TABLE mv_trades")
    filled.run(
        "CREATE MATERIALIZED VIEW mv_trades TO trades AS SELECT venue, trade_id FROM parsed WHERE outcome = 'trade'"
    )
    filled.run("DROP TABLE lines")
    filled.run("CREATE TABLE lines (raw String) ENGINE = Null")
    done = filled.create()
    assert {"mv_trades", "lines", "inbox", "mv_open"} <= set(done.replaced)
    assert (done.created, identity(filled, "trades")) == ([], table)
    assert filled.outcomes() == {"trade": 5}


def test_a_view_of_an_older_reading_goes(filled: ClickHouseStore) -> None:
    """A reading that an upgrade left behind would give every line a second row."""
    filled.run("CREATE MATERIALIZED VIEW mv_former TO ledger AS SELECT run, seq + 1000 AS seq, outcome FROM parsed")
    filled.create()
    assert filled.rows("SELECT name FROM system.tables WHERE database = currentDatabase() AND name = 'mv_former'") == []


def test_what_is_missing_is_made(filled: ClickHouseStore) -> None:
    """A view that somebody dropped by hand must come back."""
    filled.run("DROP TABLE mv_ledger")
    filled.run("DROP TABLE v_gaps")
    assert filled.create().created == ["mv_ledger", "v_gaps"]


def test_views_and_tables_of_other_people_stay(filled: ClickHouseStore) -> None:
    """A store is where people work: what isn't ours is none of our business."""
    filled.run("CREATE VIEW my_view AS SELECT count() AS n FROM trades")
    filled.run("CREATE TABLE v_notes (text String) ENGINE = MergeTree ORDER BY text")
    filled.run("CREATE OR REPLACE VIEW v_gaps AS SELECT 1 AS one")
    assert filled.create().replaced == ["v_gaps"]
    assert one(filled.rows("SELECT n FROM my_view"))["n"] == 5
    assert filled.rows("SELECT * FROM v_notes") == []


def test_nothing_is_left_of_the_comparison(filled: ClickHouseStore) -> None:
    """A database for each init-db would fill a server's list."""
    filled.create()
    assert filled.rows("SELECT name FROM system.databases WHERE name LIKE 'tradecap%'") == []


def test_a_database_with_a_table_of_that_name_is_left_alone(server: str) -> None:
    """Somebody's own `trades` would be filled, or dropped by the next init-db --drop."""
    url = f"{server}/theirs"
    with open_store(url, create=True) as theirs:
        assert isinstance(theirs, ClickHouseStore)
        theirs.run("CREATE TABLE trades (id UInt64) ENGINE = MergeTree ORDER BY id")
    with pytest.raises(TradecapError, match="table trades that isn't tradecap's"):
        create_store(url)


def test_a_making_that_was_broken_off_goes_on(store: ClickHouseStore) -> None:
    """kill -9 during init-db must not leave a store that can't be had any more."""
    for name in ("schema_version", "v_gaps", "mv_ledger", "positions"):
        store.run(f"DROP TABLE {name}")
    done = store.create()
    assert (done.before, done.created) == (0, ["mv_ledger", "positions", "schema_version", "v_gaps"])


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    """An old program that writes into a newer schema could spoil it."""
    url = f"chdb:{tmp_path}/db"
    create_store(url)
    with open_store(url) as store:
        assert isinstance(store, ClickHouseStore)
        store.run("INSERT INTO schema_version SELECT {version:UInt32}, generateUUIDv4(), now()", version=VERSION + 1)
    for opened in (lambda: open_store(url), lambda: create_store(url)):
        with pytest.raises(TradecapError, match=f"schema version {VERSION + 1}") as error:
            opened()
        assert error.value.exit_code == Exit.USAGE


def test_a_store_without_a_schema_says_what_to_run(server: str) -> None:
    """The first thing that a new user meets."""
    with pytest.raises(TradecapError, match="no schema") as error:
        open_store(f"{server}/default")
    assert "init-db" in error.value.hint


def test_the_printed_schema_is_what_is_run() -> None:
    """What --print shows would be pasted into a server."""
    text = "\n".join(schema_text("clickhouse://localhost/market"))
    assert "CREATE TABLE IF NOT EXISTS trades" in text
    assert "CREATE TABLE IF NOT EXISTS schema_version" in text
    assert ";;" not in text


def test_versions_are_numbered_without_a_hole() -> None:
    """A migration under a wrong number would never run, or twice."""
    assert [version for version, _ in migrations()] == list(range(2, VERSION + 1))


def test_only_tables_that_last_are_kept() -> None:
    """A table with data that counted as part of the reading would be dropped at an upgrade."""
    lasting = {piece.name for piece in pieces() if piece.is_table}
    assert lasting == {
        "trades",
        "quarantine",
        "ledger",
        "fed",
        "candles_1m",
        "positions",
        "losses",
        "feeds",
        "schema_version",
    }


# ---- what differs from the package -----------------------------------------------------------------------------------

TAMPERINGS = {
    "CREATE OR REPLACE VIEW v_trades AS SELECT * FROM trades WHERE 0": ("v_trades", Difference.CHANGED),
    "DROP VIEW v_gaps": ("v_gaps", Difference.MISSING),
    "DROP VIEW mv_trades": ("mv_trades", Difference.MISSING),
    "DROP TABLE inbox": ("inbox", Difference.MISSING),
    "ALTER TABLE mv_ledger MODIFY QUERY SELECT * FROM parsed WHERE seq != 7": ("mv_ledger", Difference.CHANGED),
    "ALTER TABLE trades MODIFY TTL toDateTime(trade_time) + INTERVAL 100 YEAR": ("trades", Difference.CHANGED),
    "ALTER TABLE candles_1m ADD COLUMN note String": ("candles_1m", Difference.CHANGED),
    "CREATE MATERIALIZED VIEW extra TO trades AS SELECT venue, seq AS trade_id FROM quarantine": (
        "extra",
        Difference.EXTRA,
    ),
    "CREATE MATERIALIZED VIEW nearby.extra TO market.ledger AS SELECT run, seq FROM market.quarantine": (
        "nearby.extra",
        Difference.EXTRA,
    ),
    "CREATE MATERIALIZED VIEW nearby.tap TO nearby.lines AS SELECT raw FROM market.inbox": (
        "nearby.tap",
        Difference.EXTRA,
    ),
}


@pytest.mark.parametrize("statement", TAMPERINGS)
def test_every_definition_that_isnt_the_packages_is_named(filled_for_good: ClickHouseStore, statement: str) -> None:
    """verify computes with these: a view that doubles every volume was proven once."""
    filled_for_good.run("CREATE DATABASE nearby")
    filled_for_good.run("CREATE TABLE nearby.lines (raw String) ENGINE = MergeTree ORDER BY raw")
    assert filled_for_good.schema_differences() == []
    filled_for_good.run(statement)
    assert [(each.name, each.difference) for each in filled_for_good.schema_differences()] == [TAMPERINGS[statement]]


@pytest.fixture
def filled_for_good(store: ClickHouseStore) -> ClickHouseStore:
    """A store with five trades, which a test may spoil."""
    fill(store, *run_of([at(n, n) for n in range(5)]))
    return store


def test_what_people_make_of_our_tables_is_theirs(filled: ClickHouseStore) -> None:
    """Views that only read what is stored can't spoil it: they must not stop a load."""
    filled.run("CREATE TABLE mine (symbol String) ENGINE = MergeTree ORDER BY symbol")
    filled.run("CREATE MATERIALIZED VIEW my_symbols TO mine AS SELECT symbol FROM trades")
    filled.run("CREATE VIEW v_mine AS SELECT count() AS n FROM v_trades")
    assert filled.schema_differences() == []


def test_views_that_differ_are_right_after_init_db(filled: ClickHouseStore) -> None:
    """The command in the fix must repair it."""
    filled.run("CREATE OR REPLACE VIEW v_candles AS SELECT 1 AS one")
    filled.run("DROP VIEW mv_quarantine")
    assert {each.fix for each in filled.schema_differences()} == {"tradecap init-db"}
    filled.create()
    assert filled.schema_differences() == []


def test_views_are_renewed_while_others_insert_and_nothing_is_lost(server: str) -> None:
    """An upgrade drops and makes the reading: what is inserted in between must be refused and come again, not count as
    arrived."""
    url = f"{server}/renewed"
    create_store(url)
    is_over = threading.Event()
    renewals: list[list[str]] = []

    def renew() -> None:
        with open_store(url) as alongside:
            assert isinstance(alongside, ClickHouseStore)
            while not is_over.is_set():
                alongside.run(
                    "CREATE MATERIALIZED VIEW IF NOT EXISTS mv_former TO ledger AS SELECT run, seq FROM parsed WHERE 0"
                )
                renewals.append(alongside.create().replaced)

    renewer = threading.Thread(target=renew)
    renewer.start()
    refused, batches = 0, 0
    try:
        with open_store(url) as store:
            assert isinstance(store, ClickHouseStore)
            while refused < 4 or len(renewals) < 2:
                lines = run_of([at(batches * 50 + n) for n in range(50)], first_seq=batches * 50)
                try:
                    fill(store, *lines)
                    batches += 1
                except TradecapError:
                    refused += 1
            assert store.outcomes() == {"trade": batches * 50}
            assert one(store.rows("SELECT count() AS n FROM v_trades"))["n"] == batches * 50
    finally:
        is_over.set()
        renewer.join()

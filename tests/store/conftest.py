"""A store that the tests of one file share: making one costs more than most of them."""

from collections.abc import Iterator

import pytest

from tradecap.store.clickhouse.store import ClickHouseStore

FILLED = ("trades", "quarantine", "ledger", "fed", "candles_1m", "positions")


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseStore]:
    path = tmp_path_factory.mktemp("shared")
    with ClickHouseStore.embedded(path / "db", f"chdb:{path / 'db'}", create=True) as store:
        store.create()
        yield store


@pytest.fixture
def emptied(_shared: ClickHouseStore) -> ClickHouseStore:
    """An embedded store without a row."""
    for table in FILLED:
        _shared.run(f"TRUNCATE TABLE {table}")
    return _shared

"""A store that the tests of one file share, and a server that all share: making one costs more than most of the
tests."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.store.endpoint import PASSWORD, USER
from tradecap.store.clickhouse.store import ClickHouseStore

FILLED = ("trades", "quarantine", "ledger", "fed", "candles_1m", "positions", "losses")


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


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a ClickHouse that speaks HTTP, without a database's name."""
    command = [sys.executable, "-m", "tests.store.endpoint", str(tmp_path_factory.mktemp("server"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout
        yield f"clickhouse://{USER}:{quote(PASSWORD)}@127.0.0.1:{int(process.stdout.readline())}"
        process.kill()

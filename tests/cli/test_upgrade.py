"""Stores, logs and certificates of earlier versions: each is upgraded, goes on, and stays proven. Made by
tests/data/make.py."""

import json
import tarfile
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from tests.flows.builders import some_messages
from tradecap.cli import cli
from tradecap.flows.capture.resume import known_ids
from tradecap.flows.run import Run
from tradecap.flows.ship import Shipped, ship
from tradecap.log import open_log
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.spool import Spool, Target
from tradecap.store import create_store, open_store
from tradecap.store.clickhouse.schema import VERSION
from tradecap.store.clickhouse.store import ClickHouseStore

VERSIONS: Final = ["v1", "v2", "v3", "v4"]
"""Names in tests/data. Whoever changes the schema, the log or the certificate adds the version before the change."""
OLD_SCHEMAS: Final = ["v1", "v2", "v3", "v4"]
"""Those whose schema isn't that of today."""
DATA: Final = Path(__file__).parents[1] / "data"
STORE: Final = "chdb:db"
DEFINITIONS: Final = (
    "SELECT name, create_table_query AS text FROM system.tables WHERE database = currentDatabase() ORDER BY name"
)


@pytest.fixture(params=VERSIONS)
def left(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a version left behind: log, db and certificate.json in the current folder. Gives the certificate."""
    with tarfile.open(DATA / f"{request.param}.tar.gz") as archive:
        archive.extractall()
    certificate: dict[str, Any] = json.loads(Path("certificate.json").read_bytes())
    return certificate


def ran(command: str, *args: str, code: int = 0) -> dict[str, Any]:
    """The JSON result of a command on them."""
    where = ["--store", STORE] if command == "init-db" else ["--store", STORE, "--log", "file:log"]
    result = CliRunner().invoke(cli, [command, *args, *where, "--json"])
    assert result.exit_code == code, result.stderr
    found: dict[str, Any] = json.loads(result.stdout or "{}")
    return found | {"stderr": result.stderr}


def test_a_store_is_upgraded_and_goes_on_proven(left: dict[str, Any]) -> None:
    """An upgrade that loses a row, a position or a certificate loses what the tool is for."""
    done = ran("init-db")
    assert done["version"] == VERSION
    assert ran("load")["records"] == 0, "its position has not moved"
    proof = ran("verify", "--against", "certificate.json")
    assert proof["ok"]
    assert ("the certificate is not sealed" in proof["checks"][-1]["detail"]) == (left["certificate"] == 1)
    assert {name: proof["counts"][name] for name in left["counts"]} == left["counts"]

    Path("more.ndjson").write_bytes(b"\n".join(some_messages(range(1, 31), symbol="SOLUSDT")))
    ran("replay", "more.ndjson")
    assert ran("load")["valid"] == 30
    assert "it doesn't keep what was counted" in ran("verify", "--since", "certificate.json", code=2)["stderr"]
    assert ran(
        "verify", "--against", "certificate.json", "--run", "last", "--expect", "trades=30", "--certificate", "new.json"
    )["ok"]
    assert ran("verify", "--since", "new.json")["since"]["counted"] == 0
    assert ran("init-db") | {"stderr": ""} == {**done, "created": [], "replaced": [], "before": VERSION, "stderr": ""}


@pytest.mark.usefixtures("left")
def test_an_upgraded_store_has_the_definitions_of_a_new_one() -> None:
    """Two kinds of store of one version would differ on the next question or upgrade."""
    ran("init-db")
    with open_store(STORE) as store:
        assert isinstance(store, ClickHouseStore)
        upgraded = store.rows(DEFINITIONS)
        store.drop()
        store.create()
        assert upgraded == store.rows(DEFINITIONS)


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize("left", OLD_SCHEMAS, indirect=True)
@pytest.mark.parametrize("command", ["load", "verify", "candles BTCUSDT"])
def test_an_old_schema_is_refused_until_it_is_upgraded(command: str) -> None:
    """Rows in a schema of another version are read wrongly by both."""
    answer = ran(*command.split(), code=3)["stderr"]
    assert "old schema" in answer
    assert "tradecap init-db" in answer


@pytest.mark.parametrize("left", OLD_SCHEMAS, indirect=True)
def test_an_upgrade_that_was_broken_off_is_gone_on_with(left: dict[str, Any]) -> None:
    """kill -9 after the tables were changed and before the version was noted."""
    create_store(STORE)
    with open_store(STORE) as store:
        assert isinstance(store, ClickHouseStore)
        kept = [store.positions(left["log"]["id"]), store.store_id, store.outcomes()]
        store.run(
            "ALTER TABLE schema_version DELETE WHERE version = {version:UInt32} SETTINGS mutations_sync = 2",
            version=VERSION,
        )
    assert 0 < create_store(STORE).before < VERSION
    with open_store(STORE) as store:
        assert [store.positions(left["log"]["id"]), store.store_id, store.outcomes()] == kept
        assert kept[0]


@pytest.mark.usefixtures("left")
def test_an_old_log_can_be_the_spool_of_another() -> None:
    """Whoever captured into a folder until now couldn't go on from it into a topic."""
    log, other = FileLog(Path("log"), create=False), FileLog(Path("other"), create=True)
    lines, runs = sum(batch.records for batch in log.read()), _ids(log)
    spool, done = Spool(log), Shipped(target=Target(other.id, other.url))
    spool.belong_to(done.target)
    with log.writer() as writer:
        Run(writer, "test").end()
        assert ship(
            spool,
            lambda: open_log(other.url),
            done,
            follow=None,
            is_wanted=lambda: True,
            progress=lambda _: None,
            is_trimmed=True,
        )
    assert done.records == lines + 2
    assert json.loads(Path("log/log.json").read_bytes())["format"] == 2
    assert not Path("log/000001.ndjson.zst").exists()
    assert _ids(log) == runs == _ids(other)


def _ids(log: FileLog) -> dict[str, list[tuple[int, int]]]:
    return {
        symbol: ids.intervals()
        for symbol, ids in known_ids(log, "binance", "trade", ["BTCUSDT", "ETHUSDT", "SOLUSDT"]).items()
    }

"""One log, two stores. In a file of its own: a process holds one embedded store at a time."""

from pathlib import Path

from tests.flows.builders import failures, load, replayed, some_messages
from tradecap.log.folder.log import FileLog
from tradecap.proof.checks import LOAD
from tradecap.store.clickhouse.store import ClickHouseStore


def test_a_log_in_two_stores_is_proven_in_each(log: FileLog, tmp_path: Path) -> None:
    """The position lives in the store: filling a second one must not depend on what the first one has."""
    for begin, name in ((100, "first"), (110, "second")):
        replayed(log, some_messages(range(begin, begin + 10)))
        with ClickHouseStore.embedded(tmp_path / name, f"chdb:{tmp_path / name}", create=True) as store:
            store.create()
            load(log, store)
            assert failures(log, store) == {}
    with ClickHouseStore.embedded(tmp_path / "first", f"chdb:{tmp_path / 'first'}", create=False) as store:
        assert failures(log, store)["ledger.complete"].fix == LOAD

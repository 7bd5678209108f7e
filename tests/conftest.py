"""What all tests share: recordings, and parts from outside.

Recordings aren't an outside part: without TRADECAP_RECORDINGS their tests are deselected, and .ci/run reports it. Only
a missing outside part may skip, by `outside_part`, and with TRADECAP_CI=1 it fails instead.
"""

import faulthandler
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Fixtures of a package of parts reach every test only from here.
from tests.kafka.fixtures import kafka as kafka
from tests.kafka.fixtures import kafka_installation as kafka_installation
from tests.kafka.fixtures import killable_broker as killable_broker
from tests.kafka.fixtures import secured as secured
from tests.kafka.fixtures import session_folder as session_folder
from tests.kafka.fixtures import spare_broker as spare_broker
from tests.kafka.fixtures import topic as topic
from tests.kafka.fixtures import topic_name as topic_name
from tradecap.log.folder.log import FileLog
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.urls import learn_all

settings.register_profile("patient", parent=settings(), deadline=None)
settings.load_profile("patient")  # a busy machine would fail a test for one example that took long
STDERR = pytest.StashKey[int]()
"""Where a crash is reported, past what pytest captures."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STDERR] = os.dup(2)
    config.addinivalue_line("markers", "recordings: reads real recordings from the folder TRADECAP_RECORDINGS")
    config.addinivalue_line(
        "markers", "kafka: needs a real Kafka broker, for which Java, Maven and a Maven repository are needed"
    )
    config.addinivalue_line("markers", "browser: needs Chromium")
    config.addinivalue_line("markers", "cluster: needs three Kafka brokers; part of `make chaos` only")
    config.addinivalue_line(
        "markers", "clients: runs programs in other languages, for which Go 1.26 and npm are needed"
    )
    config.addinivalue_line(
        "markers",
        "core: touches what a dependency does; `make versions` runs it with the lowest and the newest versions",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    # The embedded engine takes the signals of a crash, and then pytest's own traceback of all threads wouldn't be
    # printed.
    faulthandler.disable()
    faulthandler.enable(file=item.config.stash[STDERR])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Last, because these run ClickHouse's Kafka engine in the tests' own process: in one whole run some thread of a
    # worker crashed at some time after them, and every later test with a store failed. The cause isn't known: eight
    # rounds of these and of the store's tests in one process didn't show it. A crash ends the worker at once now
    # (store/clickhouse/fatal.py), so it costs one test and is named.
    items.sort(key=lambda item: "test_load_topic.py" in item.nodeid)
    if os.environ.get("TRADECAP_RECORDINGS"):
        return
    without = [item for item in items if item.get_closest_marker("recordings")]
    config.hook.pytest_deselected(items=without)
    items[:] = [item for item in items if item not in without]


@pytest.fixture(autouse=True)
def no_secrets() -> None:
    """A process knows the secrets of its one command; those of other tests would be masked here."""
    learn_all({})


@pytest.fixture
def recordings() -> Path:
    """The folder with real recordings."""
    return Path(os.environ["TRADECAP_RECORDINGS"])


@pytest.fixture(scope="session")
def outside_part() -> Callable[[bool, str], None]:
    """Skip where an outside part is missing; in CI fail, because there it has to be installed."""

    def needs(is_there: bool, what: str) -> None:
        if not is_there and os.environ.get("TRADECAP_CI"):
            pytest.fail(f"{what} is missing, and CI must have it")
        if not is_there:
            pytest.skip(f"{what} is missing")

    return needs


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is on a machine whose clocks show the time of New York."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def log(tmp_path: Path) -> FileLog:
    """A new log."""
    return FileLog(tmp_path / "log", create=True)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its schema, to be copied: making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("store") / "db"
    with ClickHouseStore.embedded(path, f"chdb:{path}", create=True) as made:
        made.create()
    return path


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Iterator[ClickHouseStore]:
    """An embedded store with its schema, and nothing in it. Its id is that of other tests."""
    path = tmp_path / "db"
    shutil.copytree(empty_store, path, symlinks=True)
    with ClickHouseStore.embedded(path, f"chdb:{path}", create=False) as opened:
        yield opened

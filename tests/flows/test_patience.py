"""A store that is away: a load waits for it, reports that once, and goes on; with a deadline it gives up in time."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.exchange import until as until_within
from tests.flows.builders import failures, never, quietly, replayed, some_messages
from tests.store.endpoint import PASSWORD, USER
from tradecap.errors import Exit
from tradecap.flows import patience
from tradecap.flows.load import Loaded, LoadStatus, load
from tradecap.log.folder.log import FileLog
from tradecap.store.api import StoreAwayError
from tradecap.store.clickhouse import connection
from tradecap.store.clickhouse.store import ClickHouseStore


def until(is_so: Callable[[], bool]) -> None:
    """Wait for something, also on a busy machine."""
    until_within(is_so, 90)


class Server:
    """A ClickHouse over HTTP as a process that can be frozen, killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self.process = self.start()

    def start(self) -> subprocess.Popen[str]:
        """Start it, on the port it had."""
        command = [sys.executable, "-m", "tests.store.endpoint", str(self._folder), "", str(self._port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        assert self.process.stdout
        self._port = int(self.process.stdout.readline())
        return self.process

    @property
    def url(self) -> str:
        return f"clickhouse://{USER}:{quote(PASSWORD)}@127.0.0.1:{self._port}/market"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own."""
    running = Server(tmp_path / "server")
    yield running
    running.kill()


@pytest.fixture
def shared(server: Server) -> Iterator[ClickHouseStore]:
    """A store on it."""
    with ClickHouseStore.server(server.url, create=True) as store:
        store.create()
        yield store


class Follower:
    """A load that follows a log in a thread, and what it reported."""

    def __init__(self, log: FileLog, store: ClickHouseStore) -> None:
        self.status, self.answer = LoadStatus(), list[str]()
        self._is_over = threading.Event()
        self._loaded: list[Loaded] = []
        self._thread = threading.Thread(target=self._run, args=(log, store))
        self._thread.start()

    def _run(self, log: FileLog, store: ClickHouseStore) -> None:
        follow = lambda: not self._is_over.is_set()  # noqa: E731 -- one use
        self._loaded.append(
            load(log, store, follow=follow, stop=never, progress=quietly, say=self.answer.append, status=self.status)
        )

    def end(self) -> Loaded:
        """Ask it for the end."""
        self._is_over.set()
        self._thread.join(timeout=60)
        return self._loaded[0]


def test_a_follower_waits_for_a_server_that_is_killed_and_comes_back(
    log: FileLog, server: Server, shared: ClickHouseStore
) -> None:
    """Each restart of the database would end the load, and somebody would have to notice."""
    replayed(log, some_messages(range(50)))
    follower = Follower(log, shared)
    until(lambda: follower.status.records == 52)
    server.kill()
    replayed(log, some_messages(range(50, 80)))
    until(lambda: bool(follower.answer))
    assert follower.status.away
    server.start()
    until(lambda: follower.status.records == 52 + 32)
    done = follower.end()
    assert (done.valid, done.redelivered) == (80, 0)
    assert [text for text in follower.answer if "is waited for" in text] == follower.answer[:1]
    assert follower.answer[1:] == ["The store answers again."]
    assert not failures(log, shared, expect={"trades": 80})


def test_a_follower_waits_for_a_server_that_does_not_answer(
    log: FileLog, server: Server, shared: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that swaps takes connections and answers nothing: the load would hang forever, without a word."""
    monkeypatch.setattr(connection, "ANSWER_S", 1)
    follower = Follower(log, shared)
    until(lambda: follower.status.positions is not None)
    os.kill(server.process.pid, signal.SIGSTOP)
    replayed(log, some_messages(range(50)))
    until(lambda: bool(follower.answer))
    os.kill(server.process.pid, signal.SIGCONT)
    until(lambda: follower.status.records == 52)
    follower.end()
    assert not failures(log, shared, expect={"trades": 50})


def test_a_load_with_an_end_gives_up_in_time(
    log: FileLog, server: Server, shared: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nightly job would wait for a database that nobody starts."""
    monkeypatch.setattr(patience, "PATIENCE_S", 0.5)
    replayed(log, some_messages(range(5)))
    server.kill()
    with pytest.raises(StoreAwayError, match="can't be reached") as error:
        load(log, shared, stop=never, progress=quietly)
    assert error.value.exit_code is Exit.UNREACHABLE


def test_counts_of_a_shared_store_are_of_this_process(log: FileLog, shared: ClickHouseStore, tmp_path: Path) -> None:
    """Two loaders would each report what the other one loaded, and their sum would be more than there is."""
    other = FileLog(tmp_path / "other", create=True)
    replayed(other, some_messages(range(1000, 1030)))
    replayed(log, some_messages(range(20)))

    def meanwhile(_: int) -> None:
        load(other, shared, stop=never, progress=quietly)

    done = load(log, shared, stop=never, progress=meanwhile)
    assert (done.records, done.valid, done.events, done.redelivered) == (22, 20, 2, 0)
    shared.run("TRUNCATE TABLE positions")
    again = load(log, shared, stop=never, progress=quietly)
    assert (again.records, again.valid, again.redelivered) == (22, 0, 22)

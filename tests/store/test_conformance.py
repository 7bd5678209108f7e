"""What every store keeps to, run over each: embedded, and over HTTP by the same code."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cases import TRADE
from tests.store.endpoint import PASSWORD, USER
from tradecap.errors import Exit, TradecapError
from tradecap.market.records import RunWriter, frame, series_head
from tradecap.store import Store, create_store, open_store, schema_text
from tradecap.store.clickhouse import VERSION, ClickHouseStore

LOG = "01930000-0000-7000-8000-000000000001"
RUN = "01930000-0000-7000-8000-000000000002"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a ClickHouse that speaks HTTP, without a database's name."""
    command = [sys.executable, "-m", "tests.store.endpoint", str(tmp_path_factory.mktemp("server"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout
        yield f"clickhouse://{USER}:{quote(PASSWORD)}@127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


@pytest.fixture(params=["embedded", "server"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that isn't there yet."""
    if request.param == "embedded":
        return f"chdb:{tmp_path}/db"
    base: str = request.getfixturevalue("server")
    return f"{base}/db{abs(hash(tmp_path))}"


@pytest.fixture
def made(url: str) -> Iterator[Store]:
    """A store with its schema."""
    create_store(url)
    with open_store(url) as store:
        yield store


def some_lines(trades: int, run: str = RUN) -> bytes:
    """Records of successive trades, a second apart."""
    writer = RunWriter(run)
    head = series_head("binance", "ETHUSDT", "trade", "ws")
    payloads = (
        TRADE.replace(b"1520538925", b"%d" % (5_000_000_000 + i)).replace(b'"T":1723161255611', b'"T":%d' % (1723161255611 + 1000 * i))
        for i in range(trades)
    )
    return b"".join(writer.record(None, head, frame(payload)) for payload in payloads)


def test_what_is_poured_can_be_asked_for(made: Store) -> None:
    """A store that takes lines and shows nothing."""
    assert made.pour(LOG, some_lines(100)) == 100
    assert {row["outcome"]: row["records"] for row in made.ask("outcomes")} == {"trade": 100}


def test_each_line_counts_whatever_it_holds(made: Store) -> None:
    """The loader compares this number with the lines it read: one that isn't counted would stop it for ever."""
    assert made.pour(LOG, b"\n" + b"no record\n" * 3 + b"\xff\x00\r\n" + some_lines(2) * 2) == 9


def test_pouring_twice_changes_nothing(made: Store) -> None:
    """After a crash records come again: they must not count twice."""
    made.pour(LOG, some_lines(100))
    made.pour(LOG, some_lines(100))
    assert {row["outcome"]: row["records"] for row in made.ask("outcomes")} == {"trade": 100}
    assert made.ask("trade_blocks") == made.ask("trade_blocks")


def test_every_commit_is_newer_than_all_before(made: Store) -> None:
    """Of two positions with one step a replica, or a merge in another order, may keep the older one."""
    assert isinstance(made, ClickHouseStore)
    newest = []
    for log in (LOG, LOG, RUN):
        made.commit(log, "000001:7")
        newest += made.rows("SELECT max(step) AS step FROM positions")
    assert [int(str(row["step"])) for row in newest] == [1, 2, 3]


def test_the_position_is_the_last_one_committed(made: Store) -> None:
    """A position that went back would pour all again; one that went ahead would lose records."""
    assert made.position(LOG) == ""
    for position in ("000001:7", "000002:9", "000002:8"):
        made.commit(LOG, position)
        assert made.position(LOG) == position
    assert made.position(RUN) == "", "each log has a position of its own"


def test_candles_are_made_once_and_anew_when_trades_come(made: Store) -> None:
    """A candle that isn't made anew shows an old close for ever."""
    made.pour(LOG, some_lines(100))
    assert made.sweep_candles() == 2
    assert made.sweep_candles() == 0
    made.pour(LOG, some_lines(170))
    assert made.sweep_candles() == 3, "the minute that went on, and two new ones"


def test_creating_again_changes_nothing(url: str) -> None:
    """init-db runs at every deployment."""
    first = create_store(url)
    assert first.version == VERSION
    assert "trades" in first.created
    with open_store(url) as store:
        store.pour(LOG, some_lines(10))
    assert create_store(url).created == []
    with open_store(url) as store:
        assert {row["outcome"]: row["records"] for row in store.ask("outcomes")} == {"trade": 10}


def test_dropping_starts_anew(url: str) -> None:
    """init-db --drop that left a position would skip the log's records for ever."""
    create_store(url)
    with open_store(url) as store:
        store.pour(LOG, some_lines(10))
        store.commit(LOG, "000001:7")
    create_store(url, anew=True)
    with open_store(url) as store:
        assert store.ask("outcomes") == []
        assert store.position(LOG) == ""


def test_a_store_without_a_schema_says_what_to_run(server: str) -> None:
    """The first thing that a new user meets."""
    with pytest.raises(TradecapError, match="no schema") as error:
        open_store(f"{server}/default")
    assert "init-db" in error.value.hint


def test_a_newer_schema_is_left_alone(url: str) -> None:
    """An old program that writes into a newer schema could spoil it."""
    create_store(url)
    with open_store(url) as store:
        assert isinstance(store, ClickHouseStore)
        store.run("INSERT INTO schema_version SELECT {version:UInt32}, generateUUIDv4(), now()", version=VERSION + 1)
    for opened in (lambda: open_store(url), lambda: create_store(url)):
        with pytest.raises(TradecapError, match=f"schema version {VERSION + 1}") as error:
            opened()
        assert error.value.exit_code == Exit.USAGE


def test_a_wrong_password_is_told_without_the_password(server: str) -> None:
    """Passwords end up in logs of CI."""
    with pytest.raises(TradecapError) as error:
        open_store(server.replace(quote(PASSWORD), "wr0ng"))
    assert error.value.exit_code == Exit.UNREACHABLE
    assert "wr0ng" not in error.value.message


def test_a_server_that_isnt_there_is_told(tmp_path: Path) -> None:  # noqa: ARG001 -- keeps the signature of its neighbours
    """A traceback of urllib3 helps nobody."""
    with pytest.raises(TradecapError, match="can't be reached") as error:
        open_store("clickhouse://user:secret@127.0.0.1:9/market")
    assert error.value.exit_code == Exit.UNREACHABLE
    assert "secret" not in error.value.message


def test_a_second_process_is_told_who_holds_an_embedded_store(tmp_path: Path) -> None:
    """One process owns the folder; without a name nobody knows which."""
    url = f"chdb:{tmp_path}/db"
    create_store(url)
    code = f"import time; from tradecap.store import open_store; open_store({url!r}); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TradecapError, match=f"process {holder.pid}") as error:
            open_store(url)
        assert error.value.exit_code == Exit.UNREACHABLE
        holder.kill()
        holder.wait()
    open_store(url).close()


def test_the_printed_schema_is_what_is_run() -> None:
    """What --print shows would be pasted into a server."""
    text = "\n".join(schema_text("clickhouse://localhost/market"))
    assert "CREATE TABLE IF NOT EXISTS trades" in text
    assert "CREATE TABLE IF NOT EXISTS schema_version" in text

"""Questions of people: every store answers them, and none of them leaves the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.builders import LOG, at, batch_of, run_of
from tests.store.kinds import STORES
from tradecap.errors import Exit, TradecapError
from tradecap.flows.records import read_record
from tradecap.store import create_store, open_store
from tradecap.store.api import QUESTIONS, Store

pytestmark = pytest.mark.core


@pytest.fixture(scope="module", params=STORES, ids=lambda kind: kind.__name__)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store with ten trades."""
    url: str = request.param(request)
    create_store(url)
    with open_store(url, read=read_record) as opened:
        opened.add(LOG, batch_of(run_of([at(n, n) for n in range(10)])))
        yield opened


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_that_has_a_name_is_answered(store: Store, name: str) -> None:
    """A hint that names a question nobody answers leaves a person where he was."""
    answer = store.answer(name, 100)
    assert answer.columns
    assert all(len(row) == len(answer.columns) for row in answer.rows)


def test_the_symbols_are_listed_with_what_is_there_of_them(store: Store) -> None:
    """The first thing anybody asks a store is what is in it."""
    answer = store.answer("symbols", 100)
    assert dict(zip(answer.columns, answer.rows[0], strict=True)) | {"first_time": "", "last_time": ""} == {
        "venue": "binance",
        "symbol": "BTCUSDT",
        "channel": "trade",
        "trades": 10,
        "first_id": 0,
        "last_id": 9,
        "first_time": "",
        "last_time": "",
    }


def test_a_statement_is_answered_in_its_order_and_cut_where_asked(store: Store) -> None:
    """The answer reports that there are rows beyond the limit, or a person takes the first ones for all."""
    answer = store.answer("SELECT trade_id FROM v_trades ORDER BY trade_id DESC", 3)
    assert (answer.rows, answer.has_more) == ([[9], [8], [7]], True)
    assert not store.answer("SELECT trade_id FROM v_trades", 10).has_more


def test_numbers_are_exact_and_times_name_their_zone(store: Store) -> None:
    """A price as a float, a large id as a float or a time without a zone would be read as something else."""
    statement = (
        "SELECT toDecimal64('0.10000001', 8), 18446744073709551615, toDateTime('2024-08-09 12:00:00', 'UTC'), nan, "
        "NULL, [1], 1 = 1, '%s {x:Int8}'"
    )
    assert store.answer(statement, 1).rows == [
        ["0.10000001", 2**64 - 1, "2024-08-09T12:00:00Z", None, None, [1], 1, "%s {x:Int8}"],
    ]  # fmt: skip


FORBIDDEN = (
    "DROP TABLE trades",
    "INSERT INTO positions SELECT * FROM positions",
    "SELECT 1; DROP TABLE trades",
    "SELECT 1 INTO OUTFILE '{folder}/out.csv'",
    "SELECT 1 FORMAT CSV",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 FORMAT CSV SETTINGS readonly = 0",
    "SELECT * FROM v_trades PARALLEL WITH DROP TABLE trades",
    "KILL QUERY WHERE 1",
    "SYSTEM DROP DNS CACHE",
    "SET max_threads = 1",
    "ATTACH TABLE x",
    "BACKUP TABLE trades TO File('{folder}/backup')",
    "CREATE TEMPORARY TABLE x (a Int8)",
    "DESCRIBE TABLE url('http://127.0.0.1:1/x', 'CSV')",
    "EXPLAIN SELECT * FROM url('http://127.0.0.1:1/x', 'CSV', 'a String')",
    "SELECT file('{folder}/secret.csv')",
    "SELECT FILE('{folder}/secret.csv')",
    "SELECT `file`('{folder}/secret.csv')",
    "SELECT arrayMap(file, ['{folder}/secret.csv'])",
    "SELECT arrayMap(x -> file(x), ['{folder}/secret.csv'])",
    "SELECT * APPLY(file) FROM (SELECT '{folder}/secret.csv' AS a)",
    "SELECT * REPLACE(file(a) AS a) FROM (SELECT '{folder}/secret.csv' AS a)",
    "WITH s AS (SELECT file('{folder}/secret.csv') AS a) SELECT a FROM s",
    "SELECT 1 UNION ALL SELECT length(file('{folder}/secret.csv'))",
    "SELECT 1 ORDER BY file('{folder}/secret.csv')",
    "SELECT 1 WHERE 'a' IN (SELECT a FROM file('{folder}/secret.csv', 'CSV', 'a String'))",
    "SELECT 'a' IN file('{folder}/secret.csv', 'CSV', 'a String')",
    "SELECT * FROM view(SELECT * FROM file('{folder}/secret.csv'))",
    "SELECT * FROM loop(file('{folder}/secret.csv')) LIMIT 1",
    "SELECT * FROM file('{folder}/secret.csv') /* SELECT 1 */",
    "SELECT * FROM fileCluster('default', '{folder}/secret.csv')",
    "SELECT * FROM filesystem('{folder}')",
    "SELECT * FROM sqlite('{folder}/new.db', 't')",
    "SELECT * FROM url('http://127.0.0.1:1/x', 'CSV')",
    "SELECT * FROM s3('http://127.0.0.1:1/bucket/x', 'CSV')",
    "SELECT * FROM remote('127.0.0.1:1', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM mongodb('127.0.0.1:1', 'd', 'c', 'u', 'p', 'a String')",
    "SELECT * FROM redis('127.0.0.1:1', 'a', 'a String')",
    "SELECT * FROM hdfs('hdfs://127.0.0.1:1/x', 'CSV', 'a String')",
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "SELECT * FROM python('os')",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM dictionary('x')",
    "SELECT reverseDNSQuery('127.0.0.1')",
    "SELECT aiGenerate('x')",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_no_statement_writes_reads_files_or_reaches_the_network(store: Store, tmp_path: Path, statement: str) -> None:
    """Whoever may ask the store may not therefore read the machine's files; `readonly` alone lets half of these
    through."""
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TradecapError) as refused:
        store.answer(statement.replace("{folder}", str(tmp_path)), 10)
    assert refused.value.exit_code is Exit.USAGE
    assert [each.name for each in tmp_path.iterdir()] == ["secret.csv"]
    assert store.answer("SELECT count() FROM v_trades", 1).rows == [[10]]


@pytest.mark.parametrize(
    "statement",
    ["", " ", "SELECT nothing", "SELECT", "SELECT {x:String}", "--", "SELECT * FROM nowhere", "\x00", "SELECT '"],
)
def test_a_wrong_statement_is_reported_as_one(store: Store, statement: str) -> None:
    """A slip in a statement is the writer's, not a store that can't be reached."""
    with pytest.raises(TradecapError, match="isn't run") as wrong:
        store.answer(statement, 10)
    assert wrong.value.exit_code is Exit.USAGE

"""The schema for a cluster: its text, which ClickHouse parses. Nothing here proves that it runs on one."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from chdb import connect
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tradecap.cli import cli
from tradecap.store.clickhouse.replicated import BY_SYMBOL, EVERYWHERE, cluster_schema
from tradecap.store.clickhouse.schema import pieces

NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


class Parser:
    """ClickHouse's own parser."""

    def __init__(self, folder: Path) -> None:
        self._connection = connect(str(folder))  # type: ignore[no-untyped-call]  # chdb has no types

    def close(self) -> None:
        """A process has one embedded engine: the next test's store needs it."""
        self._connection.close()

    def __call__(self, statement: str) -> str:
        return str(self._connection.query(f"EXPLAIN AST {statement}", "TSVRaw"))


@pytest.fixture(scope="module")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parser]:
    parser = Parser(tmp_path_factory.mktemp("parser"))
    yield parser
    parser.close()


def printed(*args: str) -> list[str]:
    """The statements that the command prints, one by one."""
    result = CliRunner().invoke(cli, ["init-db", "--print", "-q", *args])
    assert result.exit_code == 0, result.stderr
    text = "\n".join(line for line in result.stdout.splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in text.split(";\n") if statement.strip(";\n ")]


def test_clickhouse_parses_every_statement_that_is_printed(parse: Parser) -> None:
    """A statement that isn't SQL would be found by whoever builds a cluster with it."""
    statements = printed("--cluster", "prod", "--store", "clickhouse://host/trades_db")
    assert len(statements) > len(pieces())
    for statement in statements:
        assert parse(statement), statement
    with pytest.raises(Exception, match="Syntax error"):
        parse("CREATE TABLE IF NOT EXISTS trades ON CLUSTER (x Int8)")


@settings(deadline=None, max_examples=40)
@given(cluster=NAMES, database=NAMES)
@example(cluster="it's\\", database="a`b\\")
def test_no_name_breaks_out_of_its_quotes(parse: Parser, cluster: str, database: str) -> None:
    """A quote in the name of a cluster would end the text that it is in."""
    for statement in cluster_schema(database, cluster)[:6]:
        assert parse(statement)


def test_each_table_that_lasts_is_replicated_and_reached_by_its_name() -> None:
    """A table that was forgotten would hold another part of the data on each server, and no query would show it."""
    assert {piece.name for piece in pieces() if piece.is_table} == {*BY_SYMBOL, *EVERYWHERE}
    made = {
        statement.split(" ", 6)[5]: statement
        for statement in cluster_schema("market", "prod")
        if statement.startswith("CREATE TABLE")
    }
    for name in BY_SYMBOL:
        assert re.search(
            r"^ENGINE = "
            r"Replicated\w*MergeTree\('/clickhouse/tables/{shard}/",
            made[f"{name}_local"],
            re.MULTILINE,
        )
        assert (f"AS {name}_local\nENGINE = Distributed('prod', 'market', '{name}_local', cityHash64(symbol))") in made[
            name
        ]
    for name in EVERYWHERE:
        assert re.search(
            r"^ENGINE = Replicated\w*MergeTree\('/clickhouse/tables/all/{database}/{table}', "
            r"'{shard}-{replica}'",
            made[name],
            re.MULTILINE,
        )
    assert (
        "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', ver)"
    ) in made["trades_local"]


def test_everything_is_made_on_the_whole_cluster_with_the_views_on_top() -> None:
    """A view that is missing on one server fails for those who happen to be connected to it."""
    statements = cluster_schema("market", "prod")
    assert all("ON CLUSTER 'prod'" in statement for statement in statements if statement.startswith("CREATE"))
    made = [
        match[1]
        for statement in statements
        if (
            match := re.match(
                r"CREATE (?:TABLE|MATERIALIZED VIEW|VIEW) "
                r"IF NOT EXISTS (\w+)",
                statement,
            )
        )
    ]
    assert [name for name in made if not name.endswith("_local")] == [piece.name for piece in pieces()]
    for view in (piece for piece in pieces() if piece.name.startswith(("v_", "mv_"))):
        assert view.statement in [statement.replace(" ON CLUSTER 'prod'", "") for statement in statements]


def test_the_head_says_that_it_was_parsed_and_not_run() -> None:
    """Somebody would take it for tested."""
    text = CliRunner().invoke(cli, ["init-db", "--cluster", "prod", "--print"]).stdout
    assert text.startswith("-- tradecap ")
    assert "parsed by ClickHouse, not run" in text.partition("CREATE")[0]
    result = json.loads(CliRunner().invoke(cli, ["init-db", "--cluster", "prod", "--print", "--json"]).stdout)
    assert (result["checked"], result["statements"]) == ("parsed, not run", len(result["sql"]))


@pytest.mark.parametrize("more", [[], ["--drop", "--yes"], ["--json"]])
def test_a_cluster_is_only_printed(more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would make the schema of one server on a server of a cluster."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["init-db", "--cluster", "two words", *more])
    assert result.exit_code == 2
    assert "never run by tradecap" in result.stderr
    assert "tradecap init-db --cluster 'two words' --print" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", " ", "a\nb"])
def test_a_cluster_has_a_name(name: str) -> None:
    """A line end would end the comment at the head, and the rest of the name would be run."""
    result = CliRunner().invoke(cli, ["init-db", "--print", "--cluster", name])
    assert (result.exit_code, "needs the name of a cluster" in result.stderr) == (2, True)

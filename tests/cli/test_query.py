"""tradecap query, as a person types it."""

import csv
import json

import pytest

from tests.cli.conftest import Program

pytestmark = pytest.mark.core


@pytest.fixture
def loaded(tradecap: Program) -> Program:
    """The program in a folder whose store holds the sample and some faults."""
    for command in (
        ["init-db"],
        ["replay", "sample:", "--limit", "300"],
        ["inject-bad", "--all", "2", "--seed", "3"],
        ["load"],
    ):
        assert tradecap(*command, "-q").returncode == 0
    return tradecap


def test_a_question_is_answered_as_a_table_as_csv_and_as_json(loaded: Program) -> None:
    """The same rows in each form, ungrouped: an id with blanks in it can't be pasted."""
    rows = json.loads(loaded("query", "conflicts", "--json").stdout)
    assert len(rows["rows"]) == 2
    assert not rows["has_more"]
    lines = list(csv.reader(loaded("query", "conflicts", "--csv").stdout.splitlines()))
    assert lines == [rows["columns"], *([str(cell) for cell in row] for row in rows["rows"])]
    table = loaded("query", "conflicts").stdout
    assert all(str(row[3]) in table for row in rows["rows"])


def test_rows_that_were_left_out_are_mentioned(loaded: Program) -> None:
    """A thousand rows of a million must not look like all of them."""
    done = loaded("query", "SELECT trade_id FROM v_trades", "--limit", "7", "--csv")
    assert len(done.stdout.splitlines()) == 8
    assert "first 7 rows" in done.stderr


def test_signs_that_would_move_the_cursor_are_written_out(loaded: Program) -> None:
    """Text from data could hide rows of a verdict on a terminal."""
    assert "\\x1b[2Jgone" in loaded("query", "SELECT '\\x1b[2Jgone' AS text").stdout


@pytest.mark.parametrize("statement", ["DROP TABLE trades", "SELECT file('/etc/hostname')", "SELECT nothing", ""])
def test_what_isnt_run_ends_with_2_and_a_hint(loaded: Program, statement: str) -> None:
    """A script must be able to tell a wrong statement from a store that is away."""
    done = loaded("query", statement)
    assert (done.returncode, done.stdout) == (2, "")
    assert "isn't run" in done.stderr
    assert "hint: " in done.stderr


def test_without_a_store_a_question_says_how_to_make_one(tradecap: Program) -> None:
    """The first thing that goes wrong is that nothing is there yet."""
    done = tradecap("query", "symbols")
    assert done.returncode == 2
    assert "tradecap init-db" in done.stderr


def test_a_fresh_store_has_no_symbols(tradecap: Program) -> None:
    """An empty answer is an answer."""
    assert tradecap("init-db", "-q").returncode == 0
    assert json.loads(tradecap("query", "symbols", "--json").stdout)["rows"] == []

"""Shared expressions of the SQL."""

from importlib import resources

from tradecap.store.clickhouse.connection import query
from tradecap.store.clickhouse.expressions import CONTENT, FINGERPRINT, expanded
from tradecap.store.clickhouse.reading import schema


def test_no_text_is_sent_with_a_name_in_it() -> None:
    """A name that was misspelt would reach ClickHouse as it is."""
    queries = resources.files("tradecap.store.clickhouse") / "queries"
    names = [entry.name.removesuffix(".sql") for entry in queries.iterdir() if entry.name.endswith(".sql")]
    texts = [*schema(), *map(query, names)]
    assert [text for text in texts if "{{" in text] == []
    assert sum(FINGERPRINT in text for text in texts) >= 3


def test_each_shared_expression_is_written_once() -> None:
    """Two copies would differ one day, and the proof would compare one hash with another."""
    files = [resources.files("tradecap.store.clickhouse") / folder for folder in ("queries", "schema")]
    texts = [entry.read_text() for folder in files for entry in folder.iterdir() if entry.name.endswith(".sql")]
    assert not any(FINGERPRINT in text or CONTENT.partition("%s")[0] in text for text in texts)


def test_an_expression_takes_the_time_it_is_given() -> None:
    """Trade times are in microseconds where lines are read, and a DateTime64 in the table."""
    assert expanded("SELECT {{content ms=intDiv(t, 1000)}} AS c") == f"SELECT {CONTENT % 'intDiv(t, 1000)'} AS c"

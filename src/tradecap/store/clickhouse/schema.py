"""The schema: its statements in the package, what a database has of them, and how an older one is brought up to date.

Rules: tables hold what can't be made again, so they change by numbered migrations alone (schema/migrations/).
Everything else, the reading from `inbox` to the tables and the views for people, is made again where it differs from
the package; what the database itself writes for both is compared. Each step may be repeated, and the version is noted
last, so a crash in between is repaired by running it again.
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Final

from tradecap.errors import Exit, TradecapError
from tradecap.store.api import Difference, NoStoreError, Schema, SchemaDifference
from tradecap.store.clickhouse import topics
from tradecap.store.clickhouse.connection import Connection
from tradecap.store.clickhouse.reading import schema, statements

VERSION: Final = 5
"""The schema's version: what `schema_version` holds in a store that this code has made or upgraded."""
COUNTS: Final = frozenset({"mv_outcomes"})
"""It counts what became of records. It goes first and comes last, so whatever is inserted while other views are missing
isn't counted, and its loader repeats it."""
RENEW: Final = "tradecap init-db"
RENEW_FEED: Final = "tradecap init-db --feed kafka"
ALTERED: Final = "# undo the ALTER TABLE, or load the log into a new store"
FORMER: Final = frozenset({"plain", "binance_plain", "scanned", "scanned_lines", "shaped"})
"""Null tables of the reading of earlier versions."""
_FOLDER = resources.files("tradecap.store.clickhouse") / "schema"
_HEAD: Final = re.compile(r"CREATE (TABLE|MATERIALIZED VIEW|VIEW) IF NOT EXISTS (\w+)")
_VANISHING: Final = re.compile(r"^ENGINE = (Null|Memory)\b", re.MULTILINE)


@dataclass(frozen=True)
class Piece:
    """A table or view of the package. is_reading: it lies on the way from a feed to the tables, and holds nothing that
    lasts."""

    name: str
    statement: str
    is_table: bool
    is_reading: bool


def pieces() -> list[Piece]:
    """The tables and views of the schema, in order."""
    return [_piece(statement) for statement in schema()]


def _piece(statement: str) -> Piece:
    head = _HEAD.match(statement)
    assert head, statement
    kind, name = head.groups()
    is_reading = kind == "MATERIALIZED VIEW" or _VANISHING.search(statement) is not None
    return Piece(name, statement, kind == "TABLE" and not is_reading, is_reading)


def migrations() -> Iterator[tuple[int, list[str]]]:
    """(version, statements that make it from the one before), in order."""
    for file in sorted((_FOLDER / "migrations").iterdir(), key=lambda entry: entry.name):
        yield int(file.name.partition("_")[0]), statements(file.read_text())


# ---- what is there ---------------------------------------------------------------------------------------------------


def _tables(connection: Connection) -> set[str]:
    return {row["name"] for row in connection.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")}


def _version(connection: Connection, tables: set[str]) -> int:
    """0 where there is none, or its making was broken off."""
    return (
        int(connection.rows("SELECT max(version) AS version FROM schema_version")[0]["version"])
        if "schema_version" in tables
        else 0
    )


def _refuse_newer(connection: Connection, version: int) -> None:
    if version > VERSION:
        raise TradecapError(
            f"Store {connection.url} has schema version {version}; this tradecap knows versions up to {VERSION}.",
            "upgrade: pip install -U tradecap",
        )


def refuse_other(connection: Connection) -> None:
    """Raises TradecapError for a store without a schema, with an older one (exit 3) or a newer one."""
    version = _version(connection, _tables(connection))
    _refuse_newer(connection, version)
    if not version:
        raise NoStoreError(f"Store {connection.url} has no schema yet.", "create it: tradecap init-db")
    if version < VERSION:
        message = f"Store {connection.url} has an old schema, version {version}; this tradecap needs version {VERSION}."
        raise TradecapError(message, "upgrade it, nothing is lost: tradecap init-db", Exit.UNREACHABLE)


# ---- create, upgrade, drop -------------------------------------------------------------------------------------------


def create(connection: Connection) -> Schema:
    """Create or upgrade the schema. Raises TradecapError for one of a newer version, and for tables that aren't
    tradecap's."""
    before = _tables(connection)
    version = _version(connection, before)
    _refuse_newer(connection, version)
    if 0 < version < VERSION:
        topics.detach(connection)
        _migrate(connection, version)
    replaced = _remove_differing(connection, is_made=version > 0) if before else set()
    for piece in sorted(pieces(), key=lambda piece: piece.name in COUNTS):
        connection.run(piece.statement)
    if version < VERSION:
        store_id = connection.ask("store_id")[0]["store"] if version else str(uuid.uuid4())
        connection.run(
            "INSERT INTO schema_version SELECT {version:UInt32}, {store:UUID}, now('UTC')",
            version=VERSION,
            store=store_id,
        )
    topics.attach(connection)
    after = _tables(connection)
    return Schema(VERSION, version, sorted(after - before), sorted(replaced & after), len(pieces()))


def drop(connection: Connection) -> None:
    """Remove everything tradecap made: the whole database."""
    topics.detach(connection)
    for table in sorted(_tables(connection), reverse=True):  # views before what they read
        connection.run("DROP TABLE IF EXISTS {table:Identifier}", table=table)


def _migrate(connection: Connection, version: int) -> None:
    for to, steps in migrations():
        if to > version:
            for statement in steps:
                connection.run(statement)


def _remove_differing(connection: Connection, *, is_made: bool) -> set[str]:
    """Drop what isn't as the package makes it; the names. The reading goes as a whole or not at all: a view holds on to
    the table it was made on."""
    wanted = {piece.name: piece for piece in pieces()}
    there, expected = _definitions(connection), _expected(connection)
    differing = {name for name, piece in wanted.items() if name in there and there[name] != expected[name]}
    if not is_made and (strange := sorted(name for name in differing if wanted[name].is_table)):
        raise TradecapError(
            f"Store {connection.url} holds a table {strange[0]} that isn't tradecap's.",
            "name a database of its own: --store clickhouse://…/NAME",
        )
    reading = (
        {name for name in there if name.startswith("mv_") and not topics.is_engine_object(name)}
        | {name for name, piece in wanted.items() if piece.is_reading}
        | FORMER
    )
    is_broken = any(wanted[name].is_reading for name in differing) or any(
        name not in wanted for name in reading & there.keys()
    )
    removed = {name for name in differing if not wanted[name].is_table and not wanted[name].is_reading} | (
        reading & there.keys() if is_broken else set()
    )
    if is_broken:
        topics.detach(connection)
    # views before what they read
    for name in sorted(removed, key=lambda name: (name not in COUNTS, not name.startswith("mv_"), name)):
        connection.run("DROP TABLE IF EXISTS {name:Identifier}", name=name)
    return removed


# ---- what differs ----------------------------------------------------------------------------------------------------


_EXPECTED: Final[dict[tuple[str, str, int], dict[str, str]]] = {}
"""By server ('' = embedded), version of ClickHouse and the package's statements, what it writes for these: asking costs
a third of a second."""


def differences(connection: Connection) -> list[SchemaDifference]:
    """See `Store.schema_differences`."""
    version = str(connection.rows("SELECT version() AS version")[0]["version"])
    engine = "" if connection.folder else connection.url, version, hash(tuple(piece.statement for piece in pieces()))
    expected = _EXPECTED.get(engine) or _EXPECTED.setdefault(engine, _expected(connection))
    there, tables = _definitions(connection), {piece.name for piece in pieces() if piece.is_table}
    changed = [name for name, text in expected.items() if name in there and there[name] != text]
    return sorted(
        [
            *(SchemaDifference(name, Difference.MISSING, RENEW) for name in expected.keys() - there.keys()),
            *(SchemaDifference(name, Difference.CHANGED, ALTERED if name in tables else RENEW) for name in changed),
            *(
                SchemaDifference(name, Difference.EXTRA, f"# drop the view {name} if nobody needs it")
                for name in _strangers(connection)
            ),
            *(
                SchemaDifference(name, Difference.CHANGED if is_there else Difference.MISSING, RENEW_FEED)
                for name, is_there in topics.differing(connection)
            ),
        ]
    )


def _strangers(connection: Connection) -> Iterator[str]:
    """Views that aren't the package's and take from its reading or write to its tables, in any database."""
    ours = {piece.name: piece for piece in pieces()}
    own, engines = connection.database, topics.views(connection)
    reading = [f"{own}.{name}" for name, piece in ours.items() if piece.is_reading]
    into = re.compile(rf"^[^(]*? TO `?{re.escape(own)}`?\.`?({'|'.join(ours)})`?[ (]")
    for row in connection.ask("materialized_views", reading=reading):
        is_ours = (row["database"] == own and row["name"] in ours) or (row["database"], row["name"]) in engines
        if not is_ours and (row["reads"] or into.match(row["definition"])):
            yield row["name"] if row["database"] == own else f"{row['database']}.{row['name']}"


def _definitions(connection: Connection, database: str = "") -> dict[str, str]:
    """What the database writes as the definition of each table and view, without the database's name."""
    own = database or connection.database
    rows = connection.rows(
        "SELECT name, create_table_query AS text FROM system.tables WHERE database = {database:String}", database=own
    )
    return {row["name"]: _unqualified(row["text"], own, connection.database) for row in rows}


def _unqualified(text: str, *databases: str) -> str:
    for database in databases:
        text = text.replace(f"`{database}`.", "").replace(f"{database}.", "")
    return text


def _expected(connection: Connection) -> dict[str, str]:
    """What the database writes for the package's statements: they are run in a database in memory that goes again."""
    scratch = f"tradecap_expected_{uuid.uuid4().hex}"
    connection.run("CREATE DATABASE {database:Identifier} ENGINE = Memory", database=scratch)
    try:
        with connection.elsewhere(scratch):
            for piece in pieces():
                connection.run(piece.statement)
        return _definitions(connection, scratch)
    finally:
        connection.run("DROP DATABASE {database:Identifier}", database=scratch)

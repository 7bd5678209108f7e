"""The store: where trades can be queried. Chosen by URL: `chdb:PATH` (embedded ClickHouse), `clickhouse://user@host:8123/database`.

Rules: rows are never touched by Python on the way in; the position of a feed lives in the store it fills and is written after the rows; every
question has one statement in queries/, named as the method that asks it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from tradecap.errors import TradecapError

Row = dict[str, object]


class Schema(NamedTuple):
    """What `create` did: the store's schema version, the tables and views that were new, and the number of statements run."""

    version: int
    created: list[str]
    statements: int


class Store(Protocol):
    """A database that holds trades, quarantine and ledger, and answers for them."""

    url: str

    def create(self) -> Schema:
        """Create or upgrade the schema; safe to run again."""

    def drop(self) -> None:
        """Remove everything tradecap made."""

    reads_files: bool
    """Whether `pour` is faster when it is handed a closed segment as a file."""

    def pour(self, log_id: str, lines: bytes, file: Path | None = None) -> int:
        """Insert whole lines of a log, or those of a file; the number of records that the store has read from them and written."""

    def position(self, log_id: str) -> str:
        """Where the log's feed stands; '' at its beginning."""

    def commit(self, log_id: str, position: str) -> None:
        """Everything before position is in this store."""

    def sweep_candles(self) -> int:
        """Make anew the minutes whose trades have changed; their number."""

    def ask(self, query_name: str, **parameters: object) -> list[Row]:
        """The rows of queries/<query_name>.sql."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


def open_store(url: str, *, create: bool = False) -> Store:
    """The store behind a URL. Raises TradecapError where it can't be had, or has no (or a newer) schema and create is False."""
    from tradecap.store.clickhouse import ClickHouseStore

    scheme, _, rest = url.partition(":")
    if scheme == "chdb" and (path := rest.removeprefix("//")):
        return ClickHouseStore.embedded(Path(path), url, create=create)
    if scheme in ("clickhouse", "clickhouses") and rest:
        return ClickHouseStore.server(url, create=create)
    if scheme == "postgresql":
        raise TradecapError(f"{url}: stores in PostgreSQL are not supported yet.", "use --store chdb:./tradecap-data/db")
    raise TradecapError(f"{url!r} is no store URL.", "write chdb:PATH or clickhouse://user@host:8123/database")


def create_store(url: str, *, anew: bool = False) -> Schema:
    """Create or upgrade the schema behind a URL; anew: drop everything first."""
    with open_store(url, create=True) as store:
        if anew:
            store.drop()
        return store.create()


def schema_text(url: str) -> Iterator[str]:
    """The SQL that `create_store` would run for a URL."""
    from tradecap.store.clickhouse import schema

    if url.partition(":")[0] not in ("chdb", "clickhouse", "clickhouses"):
        raise TradecapError(f"{url!r} is no store URL whose schema is known.", "write chdb:PATH or clickhouse://user@host:8123/database")
    yield from (f"{statement};\n" for statement in schema())

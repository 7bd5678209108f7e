"""The store behind a URL."""

from collections.abc import Iterator
from pathlib import Path

from tradecap import __version__
from tradecap.errors import TradecapError
from tradecap.store.api import Read, Schema, Store
from tradecap.urls import mask_url


def open_store(url: str, *, create: bool = False, read: Read | None = None) -> Store:  # noqa: ARG001 -- no store needs it yet
    """The store behind a URL. Raises TradecapError where it can't be had, or has no schema, or one of another version, and create is False.

    read: how a record is read, for a store that has no JSON functions of its own. ClickHouse reads records itself and has no use for it. It is handed
    in because stores don't know venues: whoever opens a store takes it from the flows.
    """
    from tradecap.store.clickhouse.store import ClickHouseStore

    scheme, _, rest = url.partition(":")
    if scheme == "chdb" and (path := rest.removeprefix("//")):
        return ClickHouseStore.embedded(Path(path), url, create=create)
    if scheme in ("clickhouse", "clickhouses") and rest:
        return ClickHouseStore.server(url, create=create)
    if scheme == "postgresql":
        raise TradecapError(f"{mask_url(url)}: stores in PostgreSQL are not supported yet.", "use --store chdb:./tradecap-data/db")
    raise TradecapError(f"{mask_url(url)!r} is no store URL.", "write chdb:PATH or clickhouse://user@host:8123/database")


def create_store(url: str, *, anew: bool = False) -> Schema:
    """Create or upgrade the schema behind a URL; anew: drop everything first."""
    with open_store(url, create=True) as store:
        if anew:
            store.drop()
        return store.create()


def schema_text(url: str) -> Iterator[str]:
    """The SQL that `create_store` would run for a URL."""
    from tradecap.store.clickhouse.reading import schema

    if url.partition(":")[0] not in ("chdb", "clickhouse", "clickhouses"):
        raise TradecapError(f"{mask_url(url)!r} is no store URL whose schema is known.", "write chdb:PATH or clickhouse://user@host:8123/database")
    yield from (f"{statement};\n" for statement in schema())


def cluster_text(url: str, cluster: str) -> tuple[str, list[str]]:
    """The SQL that makes the schema on a cluster of servers, with the comment that belongs in front of it. Nothing runs it."""
    from tradecap.store.clickhouse.connection import DATABASE, database_of
    from tradecap.store.clickhouse.replicated import cluster_schema, head

    scheme = url.partition(":")[0]
    if scheme not in ("chdb", "clickhouse", "clickhouses"):
        raise TradecapError(f"{mask_url(url)!r} is not the URL of a ClickHouse store.", "write clickhouse://user@host:8123/database")
    database = DATABASE if scheme == "chdb" else database_of(url)
    return head(__version__, cluster), [f"{statement};\n" for statement in cluster_schema(database, cluster)]

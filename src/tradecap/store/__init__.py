"""The store behind a URL."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tradecap import __version__
from tradecap.errors import TradecapError
from tradecap.store.api import Read, Schema, Store, TopicAccess, TopicFeed
from tradecap.urls import mask_url


def open_store(
    url: str,
    *,
    create: bool = False,
    read: Read | None = None,  # noqa: ARG001 -- no store needs it yet
    topic: TopicAccess | None = None,
) -> Store:
    """The store behind a URL. Raises TradecapError where it can't be had, or has no schema, or one of another version,
    and create is False.

    read: how a record is read, for a store that has no JSON functions of its own. ClickHouse reads records itself and
    has no use for it. It is handed in because stores don't know venues: whoever opens a store takes it from the flows.
    topic: for a store that may read the log's topic by itself.
    """
    from tradecap.store.clickhouse.store import ClickHouseStore

    scheme, _, rest = url.partition(":")
    if scheme == "chdb" and (path := rest.removeprefix("//")):
        return ClickHouseStore.embedded(Path(path), url, topic, create=create)
    if scheme in ("clickhouse", "clickhouses") and rest:
        return ClickHouseStore.server(url, topic, create=create)
    if scheme == "postgresql":
        raise TradecapError(
            f"{mask_url(url)}: stores in PostgreSQL are not supported yet.", "use --store chdb:./tradecap-data/db"
        )
    raise TradecapError(
        f"{mask_url(url)!r} is not a store URL.", "write chdb:PATH or clickhouse://user@host:8123/database"
    )


def create_store(url: str, *, drop_first: bool = False) -> Schema:
    """Create or upgrade the schema behind a URL; drop_first: drop everything before that."""
    with open_store(url, create=True) as store:
        if drop_first:
            store.drop()
        return store.create()


def schema_text(url: str) -> Iterator[str]:
    """The SQL that `create_store` would run for a URL."""
    from tradecap.store.clickhouse.reading import schema

    if url.partition(":")[0] not in ("chdb", "clickhouse", "clickhouses"):
        raise TradecapError(
            f"{mask_url(url)!r} is not a store URL whose schema is known.",
            "write chdb:PATH or clickhouse://user@host:8123/database",
        )
    yield from (f"{statement};\n" for statement in schema())


def cluster_text(url: str, cluster: str) -> tuple[str, list[str]]:
    """The SQL that makes the schema on a cluster of servers, with the comment that belongs in front of it. Nothing runs
    it."""
    from tradecap.store.clickhouse.connection import DATABASE, database_of
    from tradecap.store.clickhouse.replicated import cluster_schema, head

    scheme = url.partition(":")[0]
    if scheme not in ("chdb", "clickhouse", "clickhouses"):
        raise TradecapError(
            f"{mask_url(url)!r} is not the URL of a ClickHouse store.", "write clickhouse://user@host:8123/database"
        )
    database = DATABASE if scheme == "chdb" else database_of(url)
    return head(__version__, cluster), [f"{statement};\n" for statement in cluster_schema(database, cluster)]


def feed_text(url: str, feed: TopicFeed, properties: Mapping[str, str]) -> Iterator[str]:
    """The SQL that makes a server read a topic. Its group is named by the store's id, which a store has from its first
    init-db on."""
    from tradecap.store.clickhouse.topics import STORE_ID, collection_statement, feed_statements

    if url.partition(":")[0] not in ("clickhouse", "clickhouses"):
        return  # an embedded store makes it for as long as a process loads
    database = url.partition("//")[2].partition("/")[2].partition("?")[0] or "market"
    yield (
        f"-- Put the store's id for {STORE_ID} (SELECT store FROM schema_version). 'tradecap init-db --feed "
        "kafka' does all of it.\n"
    )
    if not feed.collection:
        yield f"{collection_statement(feed, properties)};\n"
    yield from (f"{statement};\n" for statement in feed_statements(feed, STORE_ID, database, is_embedded=False))

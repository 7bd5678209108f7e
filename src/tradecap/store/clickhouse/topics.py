"""Topics that ClickHouse reads by itself: its Kafka engine as a feed.

Rules: `feeds` records which logs are read so. On a server the engine's table and view stay in the database. An embedded
store can't keep them (a Kafka table on disk makes its folder unopenable, measured), so they are made in a database in
memory for as long as a process loads. Credentials come from a named collection and are in no statement: on a server
somebody has made it, or it holds no secret; an embedded store gets it from a configuration file that is gone once the
engine has started. What is pasted into these statements is checked first.
"""

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Final

from tradecap.errors import TradecapError
from tradecap.store.api import TopicFeed
from tradecap.store.clickhouse.configuration import EMBEDDED, consumer_keys
from tradecap.store.clickhouse.connection import Connection, query
from tradecap.store.clickhouse.reading import plain, statements

MEMORY: Final = "tradecap_live"
"""The database in memory in which an embedded store reads topics."""
STORE_ID: Final = "STORE_ID"
"""Stands for a store's id where no store is asked."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_VENUE: Final = re.compile(r"[a-z0-9-]*")
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_BROKERS: Final = re.compile(r"[A-Za-z0-9._:,\[\]-]+")
_ENGINE_OBJECT: Final = re.compile(r"(mv_)?kafka_[0-9a-f]{32}")
_SHUTDOWN: Final = "Shutdown was called"


def group_of(store_id: str, log_id: str) -> str:
    """The consumer group by which a store reads a topic. It names the log, whose id is another one when the topic is
    made again."""
    return f"tradecap-{store_id}-{log_id}"


def is_engine_object(name: str) -> bool:
    """Whether a table or view is one of these."""
    return _ENGINE_OBJECT.fullmatch(name) is not None


def feed_statements(feed: TopicFeed, store_id: str, database: str, *, is_embedded: bool) -> list[str]:
    """The statements that make ClickHouse read a topic."""
    for text, pattern, what in (
        (feed.topic, _TOPIC, "topic"),
        (feed.brokers, _BROKERS, "list of brokers"),
        (feed.collection or EMBEDDED, _NAME, "named collection"),
        (feed.venue, _VENUE, "venue"),
    ):
        if not pattern.fullmatch(text):
            raise TradecapError(
                f"{text!r} isn't the name of a {what}.",
                "write host:port[,host:port] for brokers, letters, digits and _ for a collection.",
            )
    values = {
        "place": f"{MEMORY}." if is_embedded else "",
        "key": feed.log_id.replace("-", ""),
        "collection": EMBEDDED if is_embedded else collection_of(feed),
        "brokers": f"kafka_broker_list = '{feed.brokers}', " if is_embedded else "",
        "topic": feed.topic,
        "group": group_of(store_id, feed.log_id),
        "database": f"`{database}`" if not _NAME.fullmatch(database) else database,
        "log": feed.log_id,
        "venue": feed.venue,
    }
    text = (resources.files("tradecap.store.clickhouse") / "schema" / "0005_kafka.sql").read_text()
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    table, view = statements(text)
    head, _, lines = view.partition(" AS\n")
    return [table, f"{head} AS\n{plain(lines, has_offsets=True)}"]


def collection_of(feed: TopicFeed) -> str:
    """The named collection of a server from which a feed takes brokers and credentials."""
    return feed.collection or f"tradecap_{feed.log_id.replace('-', '')}"


def collection_statement(feed: TopicFeed, properties: Mapping[str, str]) -> str:
    """What makes the named collection of a feed without credentials.

    Raises TradecapError where the broker asks for some, or for certificates: a secret doesn't belong into a statement
    of ours, and the path of a file means nothing on another machine.
    """
    asked = {name: value for name, value in properties.items() if name.startswith(("sasl.", "ssl.", "security."))}
    if asked and asked != {"security.protocol": "PLAINTEXT"}:
        raise TradecapError(
            f"The broker asks for credentials ({min(asked)}), which only a named collection of the server may hold.",
            "make one on the server (docs/clickhouse.md, Credentials), and add --feed-collection NAME.",
        )
    keys = {"kafka_broker_list": feed.brokers} | consumer_keys(properties, "kafka.")
    entries = ", ".join(f"`{key}` = '{_quoted(value)}'" for key, value in keys.items())
    return f"CREATE NAMED COLLECTION IF NOT EXISTS {collection_of(feed)} AS {entries}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _refuse_unknown_mechanism(properties: Mapping[str, str]) -> None:
    """The librdkafka inside chdb was built without SCRAM (measured: 26.9)."""
    if (
        (mechanism := properties.get("sasl.mechanism", properties.get("sasl.mechanisms", "")))
        .upper()
        .startswith("SCRAM")
    ):
        raise TradecapError(
            f"The embedded Kafka engine can't do {mechanism}; it has PLAIN over TLS, and mutual TLS.",
            "let this process load instead, which can: tradecap init-db --feed loader, then tradecap load",
        )


class EngineTopicReader:
    """See `store.api.TopicReader`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def feed(self, log_id: str) -> TopicFeed | None:
        """See `TopicReader.feed`."""
        rows = self._connection.ask("feed", log=log_id)
        return (
            TopicFeed(log_id, rows[0]["topic"], rows[0]["brokers"], rows[0]["collection"], rows[0]["venue"])
            if rows and rows[0]["feed"] == "kafka"
            else None
        )

    def feeds(self) -> list[TopicFeed]:
        """See `TopicReader.feeds`."""
        return _feeds(self._connection)

    def group(self, log_id: str) -> str:
        """See `TopicReader.group`."""
        return group_of(str(self._connection.ask("store_id")[0]["store"]), log_id)

    def record(self, feed: TopicFeed, *, is_read: bool) -> None:
        """See `TopicReader.record`."""
        kind = "kafka" if is_read else "loader"
        self._connection.run(
            query("record_feed"),
            log=feed.log_id,
            feed=kind,
            topic=feed.topic,
            brokers=feed.brokers,
            collection=feed.collection,
            venue=feed.venue,
        )

    def start(self, feed: TopicFeed, properties: Mapping[str, str]) -> None:
        """See `TopicReader.start`."""
        if self._is_embedded:
            _refuse_unknown_mechanism(properties)
            self._connection.run(f"CREATE DATABASE IF NOT EXISTS {MEMORY} ENGINE = Memory")
        elif not feed.collection:
            self._connection.run(collection_statement(feed, properties))
        for statement in _statements(self._connection, feed):
            self._make(statement)

    def stop(self, log_id: str) -> None:
        """See `TopicReader.stop`."""
        place, key = (f"{MEMORY}." if self._is_embedded else ""), log_id.replace("-", "")
        if not place or self._connection.rows(
            "SELECT name FROM system.databases WHERE name = {name:String}", name=MEMORY
        ):
            self._connection.run(f"DROP TABLE IF EXISTS {place}mv_kafka_{key}")
            self._connection.run(f"DROP TABLE IF EXISTS {place}kafka_{key}")

    def problem(self, log_id: str) -> tuple[int, str]:
        """See `TopicReader.problem`."""
        database = MEMORY if self._is_embedded else self._connection.database
        rows = self._connection.ask("topic_problem", database=database, table=f"kafka_{log_id.replace('-', '')}")
        return (int(rows[0]["at_s"]), str(rows[0]["problem"])) if rows else (0, "")

    @property
    def _is_embedded(self) -> bool:
        return self._connection.folder is not None

    def _make(self, statement: str) -> None:
        """chdb from 26.3 on says that it was shut down when a Kafka table is made, and makes it all the same."""
        try:
            self._connection.run(statement)
        except TradecapError as error:
            if not self._is_embedded or _SHUTDOWN not in str(error.__cause__):
                raise


def detach(connection: Connection) -> None:
    """Remove the engine's tables and views of a server, views first: nothing is read while the reading is made again.
    Groups keep their offsets."""
    names = [
        row["name"]
        for row in connection.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")
        if is_engine_object(row["name"])
    ]
    for name in sorted(names, key=lambda name: not name.startswith("mv_")):
        connection.run("DROP TABLE IF EXISTS {name:Identifier}", name=name)


def views(connection: Connection) -> set[tuple[str, str]]:
    """(database, name) of the views by which the recorded topics come in."""
    database = connection.database if connection.folder is None else MEMORY
    return {(database, f"mv_kafka_{feed.log_id.replace('-', '')}") for feed in _feeds(connection)}


def differing(connection: Connection) -> list[tuple[str, bool]]:
    """(name, whether it is there) of tables and views of recorded topics that aren't the package's. An embedded store
    makes them for each load."""
    if connection.folder is not None:
        return []
    return [each for feed in _feeds(connection) for each in _differing(connection, feed)]


def _differing(connection: Connection, feed: TopicFeed) -> Iterator[tuple[str, bool]]:
    key, own = feed.log_id.replace("-", ""), f"{connection.database}."
    for name, column, statement in zip(
        (f"kafka_{key}", f"mv_kafka_{key}"), ("engine_full", "as_select"), _statements(connection, feed), strict=True
    ):
        asked = (
            "SELECT engine_full, as_select FROM system.tables WHERE database = currentDatabase() AND name = "
            "{name:String}"
        )
        there = connection.rows(asked, name=name)
        wanted = str(connection.rows("SELECT formatQuerySingleLine({text:String}) AS text", text=statement)[0]["text"])
        if not there or str(there[0][column]).replace(own, "") not in wanted.replace(own, ""):
            yield name, bool(there)


def _statements(connection: Connection, feed: TopicFeed) -> list[str]:
    store_id = str(connection.ask("store_id")[0]["store"])
    return feed_statements(feed, store_id, connection.database, is_embedded=connection.folder is not None)


def attach(connection: Connection) -> None:
    """Make the engine's tables and views of a server that are missing."""
    if connection.folder is not None:
        return
    for feed in _feeds(connection):
        for statement in _statements(connection, feed):
            connection.run(statement)


def _feeds(connection: Connection) -> list[TopicFeed]:
    return [
        TopicFeed(row["log"], row["topic"], row["brokers"], row["collection"], row["venue"])
        for row in connection.ask("topic_feeds")
    ]

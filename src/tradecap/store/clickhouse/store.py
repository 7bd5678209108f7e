"""ClickHouse as a store: embedded (chdb) or a server, with the same schema and statements."""

from collections.abc import Collection
from pathlib import Path
from typing import Self

from tradecap.errors import TradecapError
from tradecap.market.batch import Batch, Position
from tradecap.store.api import READER_S, Answer, Schema, SchemaDifference, SeqRange, TopicAccess
from tradecap.store.clickhouse import asking, connection, feeding, schema
from tradecap.store.clickhouse.connection import Connection, Row
from tradecap.store.clickhouse.questions import Questions
from tradecap.store.clickhouse.topics import EngineTopicReader


class ClickHouseStore(Questions):
    """A `Store` in ClickHouse. Made by `embedded` or `server`."""

    def __init__(self, connection: Connection, access: TopicAccess | None = None, *, create: bool) -> None:
        super().__init__(connection)
        self.url = connection.url
        self.segment_files = feeding.files_at_once(connection)
        self.is_shared = connection.folder is None
        self.topics = EngineTopicReader(connection)
        self._access = access
        self._feed = feeding.BatchFeed(connection)
        try:
            if not create:
                schema.refuse_other(connection)
        except BaseException:
            connection.close()
            raise

    @classmethod
    def embedded(cls, path: Path, url: str, access: TopicAccess | None = None, *, create: bool) -> "ClickHouseStore":
        """The store in a folder. Raises TradecapError when another process holds it or chdb isn't installed."""
        properties = access.properties if access else None
        return cls(connection.embedded(path, url, properties, create=create), access, create=create)

    @classmethod
    def server(cls, url: str, access: TopicAccess | None = None, *, create: bool) -> "ClickHouseStore":
        """The store on a server, over HTTP."""
        return cls(connection.server(url, create=create), access, create=create)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def reader(self) -> "ClickHouseStore":
        """See `Store.reader`."""
        return ClickHouseStore(self._connection.reader(READER_S), self._access, create=True)

    def announce(self, url: str) -> None:
        """See `Store.announce`."""
        if self._connection.folder:
            self._connection.folder.announce(url)

    def close(self) -> None:
        """Give the store free."""
        self._connection.close()

    @property
    def store_id(self) -> str:
        """See `Store.store_id`."""
        with self._connection.answering_soon():
            return str(self._ask("store_id")[0]["store"])

    def create(self) -> Schema:
        """See `Store.create`."""
        return schema.create(self._connection)

    def drop(self) -> None:
        """See `Store.drop`."""
        schema.drop(self._connection)

    def schema_differences(self) -> list[SchemaDifference]:
        """See `Store.schema_differences`."""
        return schema.differences(self._connection)

    def add(self, log_id: str, batch: Batch) -> dict[str, int]:
        """See `Store.add`."""
        with self._connection.answering_soon():
            return self._feed.add(log_id, batch)

    def held(self, partition: int, span: SeqRange) -> dict[str, int]:
        """See `Store.held`."""
        with self._connection.answering_soon():
            return feeding.held(self._connection, partition, span)

    def positions(self, log_id: str) -> dict[int, str]:
        """See `Store.positions`."""
        with self._connection.answering_soon():
            if self.topics.feed(log_id) is None:
                return feeding.positions(self._connection, log_id)
            group = self.topics.group(log_id)
        if self._access is None:
            raise TradecapError(
                f"Store {self.url} reads this log by itself, so its position is in Kafka.",
                "name the topic: --log kafka://host:port/topic",
            )
        return self._access.offsets(group)

    def commit(self, log_id: str, position: Position, touched: Collection[int] = ()) -> None:
        """See `Store.commit`."""
        with self._connection.answering_soon():
            feeding.commit(self._connection, log_id, position, touched)

    def touched(self, log_id: str) -> frozenset[int]:
        """See `Store.touched`."""
        with self._connection.answering_soon():
            return feeding.touched(self._connection, log_id)

    def forget_touched(self, log_id: str, swept: Collection[int]) -> None:
        """See `Store.forget_touched`."""
        with self._connection.answering_soon():
            feeding.forget_touched(self._connection, log_id, swept)

    def record_loss(self, log_id: str, place: str, detail: str) -> None:
        """See `Store.record_loss`."""
        feeding.record_loss(self._connection, log_id, place, detail)

    @property
    def newest_hours(self) -> frozenset[int]:
        """See `Store.newest_hours`."""
        return self._feed.hours

    def sweep_candles(self, hours: Collection[int] | None = None) -> int:
        """See `Store.sweep_candles`."""
        return feeding.sweep_candles(self._connection, hours)

    def answer(self, question: str, at_most: int) -> Answer:
        """See `Store.answer`."""
        return asking.answer(self._connection, question, at_most)

    # ---- for people and tests that know that it is ClickHouse --------------------------------------------------------

    def rows(self, statement: str, **parameters: object) -> list[Row]:
        """The rows of a statement, with its {name:Type} parameters bound."""
        return self._connection.rows(statement, **parameters)

    def run(self, statement: str, **parameters: object) -> None:
        """Execute a statement that gives no rows."""
        self._connection.run(statement, **parameters)

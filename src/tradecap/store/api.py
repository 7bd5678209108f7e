"""The store: where trades can be queried. Chosen by URL: `chdb:PATH` (embedded ClickHouse), `clickhouse://user@host:8123/database`.

Rules: rows are never touched by Python on the way in; the position of a feed lives in the store it fills and is written after the rows; every
question has one statement in queries/, named as the method that asks it.
"""

from typing import NamedTuple, Protocol, Self

from tradecap.market.batch import Batch, Position, Positions

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

    reads_segment_files: bool
    """Whether `add` is faster when it is handed a closed segment as a file."""

    def add(self, log_id: str, batch: Batch) -> None:
        """Insert the records of a batch."""

    @property
    def store_id(self) -> str:
        """Its own id, made by `create`."""

    def positions(self, log_id: str) -> Positions:
        """How far the log has been loaded."""

    def commit(self, log_id: str, position: Position) -> None:
        """Everything of its partition before position is in this store."""

    def sweep_candles(self) -> int:
        """Make anew the minutes whose trades have changed; their number."""

    def ask(self, query_name: str, **parameters: object) -> list[Row]:
        """The rows of queries/<query_name>.sql."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

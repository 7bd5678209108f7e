"""The store: where trades can be queried. Chosen by URL: `chdb:PATH` (embedded ClickHouse), `clickhouse://user@host:8123/database`.

Rules: rows are never touched by Python on the way in; the position of a feed lives in the store it fills and is written after the rows; every
question has one statement in queries/, named as the method that asks it.
"""

from pathlib import Path
from typing import NamedTuple, Protocol, Self

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

    def pour(self, log_id: str, lines: bytes, file: Path | None = None) -> None:
        """Insert whole lines of a log, or those of a file."""

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

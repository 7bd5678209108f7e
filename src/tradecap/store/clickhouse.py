"""ClickHouse as a store: embedded (chdb) or a server, through the one client, with the same schema and queries.

Rules: rows are never touched by Python on the way in; parameters are bound, never pasted; the position is written after the rows. One process
owns an embedded store, reading included (measured: docs/clickhouse.md), so it is locked and the holder is named.
"""

import errno
import fcntl
import os
import shlex
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from tradecap.errors import Exit, TradecapError
from tradecap.store import Row, Schema
from tradecap.store.plain_names import PlainNames

VERSION: Final = 2
"""Of the schema: what `schema_version` says of a store that this code has made or upgraded."""
DATABASE: Final = "market"
POUR: Final = {
    "max_insert_block_size": 131_072,
    "min_insert_block_size_rows": 131_072,
    "max_insert_threads": 2,
    "parallel_view_processing": 1,
    "optimize_on_insert": 0,
    "max_partitions_per_insert_block": 0,
}
"""Large blocks, two threads and views side by side are faster than the defaults (docs/clickhouse.md). Repeats are merged when read (FINAL), so not on
the way in; and a limit on partitions would let records from odd months stop a feed."""
UNWRITABLE: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_OFFSET: Final = 2**64 - 1
TRADES_A_SWEEP: Final = 4_000_000
"""Candles are made of about so many trades at a time, to bound memory."""

_PACKAGE = resources.files("tradecap.store")


def statements(name: str) -> list[str]:
    """The statements of a file in schema/, comments between them left out."""
    text = (_PACKAGE / "schema" / name).read_text()
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in bare.split(";\n") if statement.strip()]


def schema() -> list[str]:
    """All statements of the schema, in order."""
    files = sorted(entry.name for entry in (_PACKAGE / "schema").iterdir() if entry.name.endswith(".sql"))
    return [statement for name in files for statement in statements(name)]


def query(name: str) -> str:
    """The text of queries/<name>.sql."""
    return (_PACKAGE / "queries" / f"{name}.sql").read_text()


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """What the client raises, as a sentence with the way out."""
    try:
        yield
    except OperationalError as error:
        raise TradecapError(
            f"Store {url} can't be reached: {_first_line(error)}", "is the server up, and the URL right?", Exit.UNREACHABLE
        ) from error
    except ClickHouseError as error:
        if "Cannot lock file" in str(error) or "Unable to open the chdb engine" in str(error):
            message = f"Store {url} can't be opened: another program than tradecap holds it, or it is damaged."
            raise TradecapError(message, "end that program (-vv shows what the database says).", Exit.UNREACHABLE) from error
        full = "NOT_ENOUGH_SPACE" in str(error) or "No space left" in str(error)
        hint = "free some disk and run the command again: it goes on where it stopped." if full else "run again with -vv for the whole story."
        raise TradecapError(f"Store {url}: {_first_line(error)}", hint, Exit.UNDELIVERED if full else Exit.UNREACHABLE) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__


class ClickHouseStore:
    """A `Store` in ClickHouse. Made by `embedded` or `server`."""

    def __init__(self, client: Client, url: str, folder: "_Folder | None", *, create: bool) -> None:
        self.url = url
        self.reads_files = folder is not None
        self._client = client
        self._folder = folder
        if not create:
            self._check_version()

    # ---- opening -------------------------------------------------------------------------------------------------------------------------

    @classmethod
    def embedded(cls, path: Path, url: str, *, create: bool) -> "ClickHouseStore":
        """The store in a folder. Raises TradecapError when another process holds it or chdb isn't installed."""
        if not create and not path.exists():
            raise TradecapError(f"There is no store at {path}.", "make one: tradecap init-db")
        try:
            import chdb  # noqa: F401 -- looked for here, since its absence has a remedy worth a sentence
        except ImportError as error:
            raise TradecapError("The embedded store needs chdb, which isn't installed.", "pip install 'tradecap[embedded]'") from error
        folder = _Folder(path)
        try:
            with _translated(url):
                # `file:` keeps the client from resolving the link that a path with odd signs is passed as
                client = clickhouse_connect.get_client(interface="chdb", path=f"file:{folder.names.of(path)}")
                client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
                client.database = DATABASE
            return cls(client, url, folder, create=create)
        except BaseException:
            folder.release()
            raise

    @classmethod
    def server(cls, url: str, *, create: bool) -> "ClickHouseStore":
        """The store on a server, over HTTP."""
        parts = urlsplit(url)
        database = parts.path.strip("/") or DATABASE
        where: dict[str, Any] = {
            "host": parts.hostname or "localhost",
            "port": parts.port or (8443 if parts.scheme == "clickhouses" else 8123),
            "username": unquote(parts.username or "default"),
            "password": unquote(parts.password or ""),
            "secure": parts.scheme == "clickhouses",
        }
        shown = url.replace(f":{parts.password}@", ":***@") if parts.password else url
        with _translated(shown):
            client = clickhouse_connect.get_client(**where, autogenerate_session_id=False)
            if create:
                client.command("CREATE DATABASE IF NOT EXISTS {database:Identifier}", parameters={"database": database})
            client.database = database
        return cls(client, shown, None, create=create)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the store free."""
        self._client.close()
        if self._folder:
            self._folder.release()

    # ---- schema --------------------------------------------------------------------------------------------------------------------------

    def create(self) -> Schema:
        """Create or upgrade the schema; safe to run again."""
        with _translated(self.url):
            before = self._tables()
            self._refuse_newer(before)
            for statement in schema():
                self._client.command(statement)
            if self._version(before) < VERSION:
                store_id = self._store_id(before)
                self._client.command(
                    "INSERT INTO schema_version SELECT {version:UInt32}, {store:UUID}, now('UTC')", parameters={"version": VERSION, "store": store_id}
                )
            return Schema(VERSION, sorted(self._tables() - before), len(schema()))

    def drop(self) -> None:
        """Remove everything tradecap made: the whole database."""
        with _translated(self.url):
            for table in sorted(self._tables(), reverse=True):  # views before what they read
                self._client.command("DROP TABLE IF EXISTS {table:Identifier}", parameters={"table": table})

    def _tables(self) -> set[str]:
        return {str(row[0]) for row in self._client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows}

    def _version(self, tables: set[str]) -> int:
        if "schema_version" not in tables:
            return 0
        return int(self._client.query("SELECT max(version) FROM schema_version").result_rows[0][0])

    def _store_id(self, tables: set[str]) -> str:
        if "schema_version" in tables:
            known = self._client.query("SELECT store FROM schema_version LIMIT 1").result_rows
            if known:
                return str(known[0][0])
        return str(uuid.uuid4())

    def _refuse_newer(self, tables: set[str]) -> None:
        version = self._version(tables)
        if version > VERSION:
            raise TradecapError(
                f"Store {self.url} has schema version {version}; this tradecap knows versions up to {VERSION}.", "upgrade: pip install -U tradecap"
            )

    def _check_version(self) -> None:
        with _translated(self.url):
            tables = self._tables()
            self._refuse_newer(tables)
            if self._version(tables) < VERSION:
                raise TradecapError(f"Store {self.url} has no schema yet, or an old one.", "create or upgrade it: tradecap init-db")

    # ---- the way in ----------------------------------------------------------------------------------------------------------------------

    def pour(self, log_id: str, lines: bytes, file: Path | None = None) -> int:
        """Insert whole lines of a log, or those of a file. ClickHouse reads them; the views sort them out. Their number, as the views counted."""
        insert_id = uuid.uuid4().hex
        with _translated(self.url):
            if self._folder is None:
                self._pour_over_http(log_id, lines or (file.read_bytes() if file else b""), insert_id)
            elif file is not None:
                self._pour_file(log_id, self._folder.names.of(file), insert_id)
            else:
                with tempfile.NamedTemporaryFile(dir=self._folder.path, suffix=".ndjson") as spill:
                    spill.write(lines)
                    spill.flush()
                    self._pour_file(log_id, self._folder.names.of(Path(spill.name)), insert_id)
        return int(str(self.ask("inserted", insert_id=insert_id)[0]["records"]))

    def _pour_file(self, log_id: str, file: str, insert_id: str) -> None:
        parameters = {"log": log_id, "no_offset": NO_OFFSET, "file": file}
        self._client.command(query("pour_file"), parameters=parameters, settings=POUR | {"log_comment": insert_id})

    def _pour_over_http(self, log_id: str, lines: bytes, insert_id: str) -> None:
        statement = query("pour").replace("{log:UUID}", f"'{uuid.UUID(log_id)}'").replace("{no_offset:UInt64}", str(NO_OFFSET))
        block = statement.strip().encode() + b"\n" + lines
        self._client.raw_insert("", insert_block=block, settings=POUR | {"log_comment": insert_id}, fmt="LineAsString")

    def position(self, log_id: str) -> str:
        """Where the log's feed stands; '' at its beginning."""
        rows = self.ask("position", log=log_id)
        return str(rows[0]["position"]) if rows else ""

    def commit(self, log_id: str, position: str) -> None:
        """Everything before position is in this store."""
        self.run(query("commit"), log=log_id, position=position)

    def sweep_candles(self) -> int:
        """Make anew the minutes whose trades differ from what their candle was made of, some days at a time; their number."""
        minutes = 0
        for first, last, stale in _portions(self.ask("stale_days")):
            self.run(query("sweep_candles"), first=first, last=last)
            minutes += stale
        return minutes

    def ask(self, query_name: str, **parameters: object) -> list[Row]:
        """The rows of queries/<query_name>.sql."""
        return self.rows(query(query_name), **parameters)

    def rows(self, statement: str, **parameters: object) -> list[Row]:
        """The rows of a statement, with its {name:Type} parameters bound."""
        with _translated(self.url):
            return list(self._client.query(statement, parameters=parameters).named_results())

    def run(self, statement: str, **parameters: object) -> None:
        """Execute a statement that gives no rows."""
        with _translated(self.url):
            self._client.command(statement, parameters=parameters)


def _portions(days: list[Row]) -> Iterator[tuple[object, object, int]]:
    """(first day, last day, stale minutes) of successive days that together hold about TRADES_A_SWEEP trades."""
    portion: list[Row] = []
    for day in days:
        portion.append(day)
        if sum(int(str(row["trades"])) for row in portion) >= TRADES_A_SWEEP:
            yield _span(portion)
            portion = []
    if portion:
        yield _span(portion)


def _span(days: list[Row]) -> tuple[object, object, int]:
    return days[0]["day"], days[-1]["day"], sum(int(str(day["stale"])) for day in days)


def _read_only(path: Path, why: str | None) -> TradecapError:
    return TradecapError(
        f"Store {path} can't be written ({why}), and the embedded engine must write, also to read.",
        f"copy it while no process uses it: cp -r {shlex.quote(str(path))} copy && chmod -R u+rwX copy; then name the copy: --store chdb:copy",
    )


class _Folder:
    """The folder of an embedded store, held by this process alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = PlainNames()
        try:
            path.mkdir(parents=True, exist_ok=True)
            stranger = next((file.name for file in sorted(path.iterdir()) if not (path / "tradecap.lock").exists()), None)
            if stranger:
                raise TradecapError(f"{path} is no store: it holds {stranger}.", "name a new folder or an empty one with --store chdb:PATH.")
            if not all(os.access(each, os.W_OK) for each in (path, *path.iterdir())):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            self._lock = os.open(path / "tradecap.lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            if error.errno in UNWRITABLE and path.is_dir() and os.access(path, os.R_OK | os.X_OK):
                raise _read_only(path, error.strerror) from error
            raise TradecapError(f"Store {path} can't be opened: {error.strerror}.", "check the path and its permissions.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._lock, 32).decode().strip() or "unknown"
            os.close(self._lock)
            raise TradecapError(
                f"Store {path} is in use by process {holder}.",
                "an embedded store belongs to one process at a time: wait, or end that process.",
                Exit.UNREACHABLE,
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        self.names.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def remove(path: Path) -> None:
    """Delete the folder of an embedded store that no process holds."""
    _Folder(path).release()
    shutil.rmtree(path)

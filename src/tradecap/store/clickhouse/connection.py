"""A connection to ClickHouse: embedded (chdb) or a server, through the one client, with the same SQL.

Rules: parameters are bound, never pasted; what the client raises becomes a sentence with the way out. Times leave a
query as integers since 1970, and every DateTime column and function names UTC: the client converts a DateTime by the
zone of the server or of this machine.
"""

import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError
from urllib3.util import Timeout

from tradecap.errors import Exit, TradecapError
from tradecap.proxies import proxy_for
from tradecap.store.api import NoStoreError, QueryCutError, StoreAwayError
from tradecap.store.clickhouse.configuration import configuration
from tradecap.store.clickhouse.engine import require_engine
from tradecap.store.clickhouse.expressions import expanded
from tradecap.store.clickhouse.fatal import signals_kept
from tradecap.store.clickhouse.folder import Folder
from tradecap.store.clickhouse.pool import no_connection, pool
from tradecap.urls import Url, learn, mask, mask_url, split

DATABASE: Final = "market"
ANSWER_S: Final = 60
"""How long a server may take over one batch, or over a question about positions, before it counts as away."""
TOO_SLOW: Final = 159
CHAINED: Final = "optimize_and_compare_chain"
"""Looks for comparisons that follow from others. It takes half of the time in which the reading of lines is planned
(0.11 of 0.22 s, measured with ClickHouse 26.9 on 2026-11-29), and finds none."""
REFUSALS: Final = frozenset({TOO_SLOW, 202, 203, 209, 210, 236, 241, 242, 252, 279, 319, 394, 999})
"""Codes of a server that can't do it now: time-outs, too many queries or parts, no memory, a table that is read-only, a
shutdown, Keeper. Source: ClickHouse, src/Common/ErrorCodes.cpp."""

Row = dict[str, Any]


INIT: Final = "tradecap init-db makes what is missing."
_PARAMETER: Final = re.compile(r"\{\w+:\w+\}")
_MADE: Final = re.compile(r"CREATE (?:TABLE|MATERIALIZED VIEW|VIEW) IF NOT EXISTS (\w+)")
_MISSING: Final = re.compile(r"Unknown table (?:function |expression identifier ')([\w.]*\w)")
"""What ClickHouse says of a table or view that isn't there; a view with parameters is a function to it."""


@cache
def query(name: str) -> str:
    """The text of queries/<name>.sql."""
    return expanded((resources.files("tradecap.store.clickhouse") / "queries" / f"{name}.sql").read_text())


@cache
def own_names() -> frozenset[str]:
    """The tables and views of the package's schema."""
    folder = resources.files("tradecap.store.clickhouse") / "schema"
    return frozenset(
        name for file in folder.iterdir() if file.name.endswith(".sql") for name in _MADE.findall(file.read_text())
    )


class StatementError(TradecapError):
    """ClickHouse was reached and didn't run a statement. reason: its words."""

    def __init__(self, url: str, reason: str, hint: str, exit_code: Exit) -> None:
        super().__init__(f"Store {url}: {reason}", hint, exit_code)
        self.reason = mask(reason)


class Connection:
    """One database of ClickHouse. folder: that of an embedded one. Made by `embedded` or `server`."""

    def __init__(
        self,
        client: Client,
        url: str,
        database: str,
        folder: Folder | None,
        again: Callable[[Mapping[str, object]], Client],
    ) -> None:
        """again: makes a further client of the same database, with these settings."""
        self.url = url
        self.database = database
        self.folder = folder
        self._client = client
        self._again = again
        self._is_reader = False

    def reader(self, cut_s: int) -> "Connection":
        """A further connection for another thread that can't write, and whose statements are cut after cut_s."""
        with _translated(self.url), signals_kept():
            # 2: the client sends settings with its statements
            client = self._again({"readonly": 2, "max_execution_time": cut_s})
            client.database = self.database
        reader = Connection(client, self.url, self.database, self.folder, self._again)
        reader._is_reader = True
        return reader

    def close(self) -> None:
        """Give the database free; a reader only ends its own connection."""
        self._client.close()
        if self.folder and not self._is_reader:
            self.folder.release()

    def ask(self, query_name: str, **parameters: object) -> list[Row]:
        """The rows of queries/<query_name>.sql."""
        return self.rows(query(query_name), **parameters)

    def rows(self, statement: str, **parameters: object) -> list[Row]:
        """The rows of a statement, with its {name:Type} parameters bound."""
        with _translated(self.url, is_cut=self._is_reader):
            return list(self._client.query(statement, parameters=parameters).named_results())

    def raw(self, statement: str) -> bytes:
        """What a statement gives, in the format that it names itself."""
        with _translated(self.url):
            return bytes(self._client.raw_query(statement))

    def run(self, statement: str, **parameters: object) -> None:
        """Execute a statement that gives no rows."""
        self.insert(statement, parameters, {})

    def insert(
        self,
        statement: str,
        parameters: Mapping[str, object],
        settings: Mapping[str, object],
        data: bytes | None = None,
    ) -> None:
        """Execute an INSERT. data: what it reads from input(), on a server."""
        with _translated(self.url):
            if data is None:
                self._client.command(statement, parameters=dict(parameters), settings=dict(settings))
            else:
                # The statement may be too long for a URL, so it goes into the body. The client only binds parameters
                # that it sees in the URL's part.
                named = f"/* {' '.join(_PARAMETER.findall(statement))} */"
                body = f"{statement}\n".encode() + data
                self._client.command(named, parameters=dict(parameters), data=body, settings=dict(settings))

    @contextmanager
    def answering_soon(self) -> Iterator[None]:
        """A server that takes longer than ANSWER_S counts as away meanwhile: a feed must notice, a question of `verify`
        may take its time."""
        if self.folder is not None:
            yield
            return
        usual = self._client.timeout  # type: ignore[attr-defined]  # that of the client over HTTP
        self._client.timeout = Timeout(connect=usual.connect_timeout, read=ANSWER_S)  # type: ignore[attr-defined]  # the same
        try:
            yield
        finally:
            self._client.timeout = usual  # type: ignore[attr-defined]  # the same

    @contextmanager
    def elsewhere(self, database: str) -> Iterator[None]:
        """Names without a database are those of another one meanwhile."""
        self._client.database = database
        try:
            yield
        finally:
            self._client.database = self.database


def embedded(path: Path, url: str, kafka: Mapping[str, str] | None = None, *, create: bool) -> Connection:
    """The database in a folder. kafka: librdkafka's properties, where it will read a topic.

    Raises TradecapError when another process holds it or chdb can't be used.
    """
    if not create and not path.exists():
        raise NoStoreError(f"There is no store at {path}.", "make one: tradecap init-db")
    with _zone_of_engine():
        require_engine()
    folder = Folder(path)
    try:
        with _translated(url), _options(path, kafka) as options, signals_kept():
            # `file:` keeps the client from resolving the link that a path with odd signs is passed as
            where: dict[str, Any] = {"interface": "chdb", "path": f"file:{folder.names.of(path)}"}
            client = _planned_soon(clickhouse_connect.get_client(**where, chdb_options=options))
            client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
            client.database = DATABASE
        return Connection(
            client,
            url,
            DATABASE,
            folder,
            lambda settings: _planned_soon(clickhouse_connect.get_client(**where, settings=dict(settings))),
        )
    except BaseException:
        folder.release()
        raise


@contextmanager
def _options(path: Path, kafka: Mapping[str, str] | None) -> Iterator[dict[str, str] | None]:
    """What the engine is started with."""
    if kafka is None:
        yield None
    else:
        with configuration(kafka, f"tradecap-{uuid.uuid5(uuid.NAMESPACE_URL, os.path.realpath(path))}") as file:
            yield {"config-file": file}


def database_of(url: str) -> str:
    """The name of the database on a server. Raises TradecapError for a URL that can't be read."""
    return unquote(_parts(url).rest.partition("?")[0].strip("/")) or DATABASE


def _parts(url: str) -> Url:
    try:
        return split(url)
    except ValueError as error:
        raise TradecapError(
            f"Store {mask_url(url)!r}: {error}.", "write clickhouse://user@host:8123/database"
        ) from None


def server(url: str, *, create: bool) -> Connection:
    """The database on a server, over HTTP."""
    shown, parts, database = mask_url(url), _parts(url), database_of(url)
    learn(parts.password, parts.user or "")
    is_secure = parts.scheme == "clickhouses"
    host, port = parts.host or "localhost", parts.port or (8443 if is_secure else 8123)
    where: dict[str, Any] = {
        "host": host,
        "port": port,
        "username": parts.user or "default",
        "password": parts.password or "",
        "secure": is_secure,
        "pool_mgr": pool(proxy_for(parts.scheme, host, port, os.environ), is_secure=is_secure),
    }
    with _translated(shown):
        client = _planned_soon(clickhouse_connect.get_client(**where, autogenerate_session_id=False))
        if create:
            client.command("CREATE DATABASE IF NOT EXISTS {database:Identifier}", parameters={"database": database})
        client.database = database

    def again(settings: Mapping[str, object]) -> Client:
        return _planned_soon(
            clickhouse_connect.get_client(**where, autogenerate_session_id=False, settings=dict(settings))
        )

    return Connection(client, shown, database, None, again)


def _planned_soon(client: Client) -> Client:
    """A client whose statements are planned without CHAINED. Older servers don't know it, and a login that may only
    read can't set it."""
    if (known := client.server_settings.get(CHAINED)) and not known.readonly:
        client.set_client_setting(CHAINED, 0)
    return client


@contextmanager
def _translated(url: str, *, is_cut: bool = False) -> Iterator[None]:
    """What the client raises, as a sentence with the way out. is_cut: the statements of this connection are cut after a
    time."""
    try:
        yield
    except OperationalError as error:
        reason = no_connection(error)
        text, hint = (f"{reason.why}.", reason.hint) if reason else (_first_line(error), "")
        raise StoreAwayError(
            f"Store {url} can't be reached: {text}", hint or "is the server up, and the URL right?", Exit.UNREACHABLE
        ) from error
    except ClickHouseError as error:
        if is_cut and (getattr(error, "code", None) == TOO_SLOW or f"Code: {TOO_SLOW}." in str(error)):
            raise QueryCutError(
                f"Store {url}: the statement took too long and was cut.", "ask for less.", Exit.UNREACHABLE
            ) from error
        if "Cannot lock file" in str(error) or "Unable to open the chdb engine" in str(error):
            message = f"Store {url} can't be opened: another program than tradecap holds it, or it is damaged."
            raise TradecapError(
                message, "end that program (-vv shows what the database says).", Exit.UNREACHABLE
            ) from error
        if not url.startswith("chdb:") and getattr(error, "code", None) in REFUSALS:
            raise StoreAwayError(
                f"Store {url} refuses: {_first_line(error)}", "look at the server's own log.", Exit.UNREACHABLE
            ) from error
        if (missing := _MISSING.search(str(error))) and missing[1].removeprefix(f"{DATABASE}.") in own_names():
            raise StatementError(url, f"its {missing[1]} is missing.", INIT, Exit.UNREACHABLE) from error
        full = "NOT_ENOUGH_SPACE" in str(error) or "No space left" in str(error)
        hint = (
            ("free some disk and run the command again: it goes on where it stopped.")
            if full
            else "run again with -vv for the whole story."
        )
        raise StatementError(url, _first_line(error), hint, Exit.UNDELIVERED if full else Exit.UNREACHABLE) from error


@contextmanager
def _zone_of_engine() -> Iterator[None]:
    """TZ=UTC while the embedded engine is imported: it takes its zone from there, once, and refuses zones that libc
    accepts (`UTC+3`)."""
    zone = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    try:
        yield
    finally:
        del os.environ["TZ"]
        if zone is not None:
            os.environ["TZ"] = zone


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__

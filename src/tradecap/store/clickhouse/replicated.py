"""The schema for a cluster: Replicated tables on every shard, Distributed tables over them under the usual names, and
the same views on top.

Rules: the text is printed and never run by us, but ClickHouse parses every statement in a test. What is merged by a key
must lie on one shard, since FINAL merges inside of a shard only: rows go by symbol. What is small and asked about whole
(runs, positions, the store's id) is on every server. Names and columns are those of one server, so a query is the same
text on both.

Sources: ClickHouse documentation, Distributed table engine, data replication, FINAL modifier.
"""

import re
from typing import Final

from tradecap.store.clickhouse.schema import VERSION, Piece, pieces

BY_SYMBOL: Final = ("trades", "quarantine", "ledger", "candles_1m")
"""Tables that are spread over the shards."""
EVERYWHERE: Final = ("fed", "feeds", "losses", "positions", "schema_version")
"""Tables of which each server holds a copy."""
SHARDING: Final = "cityHash64(symbol)"
_NAME: Final = re.compile(r"^(CREATE (?:TABLE|MATERIALIZED VIEW|VIEW) IF NOT EXISTS )(\w+)")
_ENGINE: Final = re.compile(r"^ENGINE = (\w*MergeTree)(?:\((.*)\))?$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^COMMENT '(?:[^'\\]|\\.|'')*'\Z", re.MULTILINE)
_HEAD: Final = """\
-- tradecap {version}: the schema, version {schema}, for the cluster {cluster}.
-- These statements were parsed by ClickHouse, not run: tradecap was never tested on a cluster.
-- Read docs/clickhouse.md, "A cluster", first.
-- Each server needs the macros shard and replica. Give the profile tradecap_cluster to the user that loads;
-- without it a position may be written before its rows are safe.
"""


def head(version: str, cluster: str) -> str:
    """The comment in front of the statements."""
    return _HEAD.format(version=version, schema=VERSION, cluster=" ".join(_text(cluster).split()))


def cluster_schema(database: str, cluster: str) -> list[str]:
    """The statements, in order."""
    on = f"ON CLUSTER {_text(cluster)}"
    return [
        f"CREATE DATABASE IF NOT EXISTS {_identifier(database)} {on}",
        f"USE {_identifier(database)}",
        f"CREATE SETTINGS PROFILE IF NOT EXISTS tradecap_cluster {on}\nSETTINGS distributed_foreground_insert = 1, "
        "insert_quorum = 'auto'",
        *(statement for piece in pieces() for statement in _statements(piece, database, cluster, on)),
        f"INSERT INTO schema_version\nSELECT {VERSION}, generateUUIDv4(), now('UTC') FROM system.one WHERE (SELECT "
        "count() FROM schema_version) = 0",
    ]


def _statements(piece: Piece, database: str, cluster: str, on: str) -> list[str]:
    if not piece.is_table:
        return [_renamed(piece.statement, piece.name, on)]
    if piece.name in EVERYWHERE:
        return [_replicated(_renamed(piece.statement, piece.name, on), "all", "{shard}-{replica}")]
    assert piece.name in BY_SYMBOL, f"define how {piece.name} is spread over a cluster"
    local = f"{piece.name}_local"
    comment = _COMMENT.search(piece.statement)
    engine = f"Distributed({_text(cluster)}, {_text(database)}, {_text(local)}, {SHARDING})"
    spread = f"CREATE TABLE IF NOT EXISTS {piece.name} {on} AS {local}\nENGINE = {engine}"
    return [
        _replicated(_renamed(piece.statement, local, on), "{shard}", "{replica}"),
        f"{spread}\n{comment[0]}" if comment else spread,
    ]


def _renamed(statement: str, name: str, on: str) -> str:
    """The statement for an object of this name, on all servers."""
    return _NAME.sub(lambda match: f"{match[1]}{name} {on}", statement, count=1)


def _replicated(statement: str, shard: str, replica: str) -> str:
    """The table as replicated one. {shard}, {replica}, {database} and {table} are ClickHouse's macros."""
    place = f"'/clickhouse/tables/{shard}/{{database}}/{{table}}', '{replica}'"
    text, count = _ENGINE.subn(
        lambda match: f"ENGINE = Replicated{match[1]}({place}{f', {match[2]}' if match[2] else ''})", statement
    )
    assert count == 1, statement
    return text


def _text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _identifier(name: str) -> str:
    return (
        name
        if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)
        else "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
    )

"""Tamperings drawn by a seed: any column of any table, any object of the store, any file of the log, anything in a
certificate.

What passes has to be named as not proven in docs/data-quality.md. `make fuzz` draws many: TAMPERINGS=200.
TAMPERING_SEED runs one seed again.
"""

import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.flows.builders import a_message, load, quietly, replayed, some_messages, spoilt
from tradecap.errors import TradecapError
from tradecap.flows.verify.audit import Extras, audit
from tradecap.flows.verify.verify import Wanted, verify
from tradecap.log.folder.log import FileLog
from tradecap.market.faults import FAULTS
from tradecap.proof.against import unchanged
from tradecap.proof.certificate import Certificate, read, written
from tradecap.store.clickhouse.store import ClickHouseStore

COUNT: Final = int(os.environ.get("TAMPERINGS", "25"))
SEED: Final = int(os.environ.get("TAMPERING_SEED", "1"))
DOCUMENT: Final = Path(__file__).parents[3] / "docs" / "data-quality.md"
NOT_FINAL: Final = ("schema_version",)
KINDS: Final = ("a column", "a column", "a column", "a column", "a row", "an object", "a file", "a certificate")
EMPTY: Final = ("arrivals", "feeds", "losses", "odd")
"""Tables without a row in this pipeline."""


def documented() -> dict[str, str]:
    """For each column of each table, as `table.column`: what proves it according to the document."""
    found: dict[str, str] = {}
    for line in DOCUMENT.read_text().splitlines():
        if match := re.fullmatch(r"\| `(\w+)` \| (.+?) \| (.+?) \|", line):
            found |= {f"{match[1]}.{column}": match[3] for column in re.findall(r"`(\w+)`", match[2])}
    return found


@dataclass
class Pipeline:
    """A log, its store with a copy of each table, and its certificate."""

    log: FileLog
    store: ClickHouseStore
    certificate: Certificate
    columns: dict[str, list[tuple[str, str]]]

    def fails(self, log: FileLog | None = None) -> bool:
        """Whether the proof fails or can't be made."""
        try:
            return not verify(log or self.log, self.store, Wanted(), progress=quietly).ok
        except TradecapError:
            return True

    def restore(self) -> None:
        """The store as it was loaded."""
        self.store.run("DROP VIEW IF EXISTS mv_stranger")
        self.store.run("ALTER TABLE fed DROP COLUMN IF EXISTS stranger")
        for table in self.columns:
            self.store.run(f"TRUNCATE TABLE {table}")
            self.store.run(f"INSERT INTO {table} SELECT * FROM kept_{table}")
        self.store.create()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Trades of two symbols and of two channels, each fault once."""
    path = tmp_path_factory.mktemp("tampered")
    with ClickHouseStore.embedded(path / "db", f"chdb:{path / 'db'}", create=True) as store:
        store.create()
        log = FileLog(path / "log", create=True)
        lines = some_messages(range(100, 130)) + some_messages(range(500, 506), symbol="ETHUSDT")
        replayed(log, [*lines, a_message(900).replace(b'"1.00000000"', b"null"), b"garbage"], segment_bytes=2000)
        spoilt(log, dict.fromkeys(FAULTS, 1))
        load(log, store)
        rows = store.rows(
            "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() ORDER BY table, position"
        )
        tables = {row["table"] for row in rows if f"{row['table']}.{row['name']}" in documented()} - set(EMPTY)
        columns = {
            table: [(row["name"], row["type"]) for row in rows if row["table"] == table] for table in sorted(tables)
        }
        for table in columns:
            store.run(f"CREATE TABLE kept_{table} AS {table}")
            store.run(f"INSERT INTO kept_{table} SELECT * FROM {table}")
        yield Pipeline(log, store, audit(log, store, Wanted(), Extras(), progress=quietly).certificate, columns)


# ---- what may be done ------------------------------------------------------------------------------------------------


def other(rng: random.Random, name: str, of: str) -> str:
    """An expression with another value."""
    kind = re.sub(r"LowCardinality\((.*)\)", r"\1", of)
    if kind == "UUID":
        return "toUUID('01930000-0000-7000-8000-00000000dead')"
    if kind == "String":
        return f"concat({name}, 'x')"
    if kind.startswith("Array"):
        return f"arrayPushBack({name}, 1)"
    if kind == "Bool":
        return f"NOT {name}"
    if kind == "Float64":
        return f"{name} * 1.001 + 0.001"
    if kind.startswith("DateTime64"):
        return f"{name} + {rng.choice(('toIntervalMicrosecond(1)', 'toIntervalMillisecond(1)', 'toIntervalDay(1)'))}"
    if kind.startswith("Decimal"):
        return f"{name} + toDecimal128('0.00000001', 8)"
    return f"{name} + {rng.choice((1, 1, 60))}"


def a_column(pipeline: Pipeline, rng: random.Random) -> tuple[str, bool]:
    """Another value in one row."""
    table = rng.choice(sorted(pipeline.columns))
    name, kind = rng.choice(pipeline.columns[table])
    expression = other(rng, name, kind)
    row, quoted = _a_row(pipeline, rng, table), kind.replace("'", "\\'")
    final = "" if table in NOT_FINAL else "FINAL"
    pipeline.store.run(f"TRUNCATE TABLE {table}")
    pipeline.store.run(
        f"INSERT INTO {table} SELECT * EXCEPT (place) REPLACE (if(place = {row}, CAST({expression}, '{quoted}'), "
        f"{name}) AS {name}) "
        f"FROM (SELECT *, rowNumberInAllBlocks() AS place FROM kept_{table} {final})"
    )
    if kind.startswith("DateTime64") and "Microsecond" in expression:
        name = f"{name}_microseconds"
    return f"{table}.{name}", pipeline.fails()


def a_row(pipeline: Pipeline, rng: random.Random) -> tuple[str, bool]:
    """A row that is gone."""
    table = rng.choice(sorted(pipeline.columns))
    row = _a_row(pipeline, rng, table)
    final = "" if table in NOT_FINAL else "FINAL"
    pipeline.store.run(f"TRUNCATE TABLE {table}")
    pipeline.store.run(
        f"INSERT INTO {table} SELECT * EXCEPT (place) FROM (SELECT *, rowNumberInAllBlocks() AS place FROM "
        f"kept_{table} {final}) WHERE place != {row}"
    )
    return f"{table}.row", pipeline.fails()


def _a_row(pipeline: Pipeline, rng: random.Random, table: str) -> int:
    final = "" if table in NOT_FINAL else "FINAL"
    return rng.randrange(int(pipeline.store.rows(f"SELECT count() AS n FROM kept_{table} {final}")[0]["n"]))


def an_object(pipeline: Pipeline, rng: random.Random) -> tuple[str, bool]:
    """A view that is gone, another, or added; a column that is added."""
    views = [
        row["name"]
        for row in pipeline.store.rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%View' ORDER BY name"
        )
    ]
    for_people = [view for view in views if view.startswith("v_")]
    statement = rng.choice(
        (
            f"DROP VIEW {rng.choice(views)}",
            f"CREATE OR REPLACE VIEW {rng.choice(for_people)} AS SELECT 1",
            "ALTER TABLE fed ADD COLUMN stranger UInt8",
            "CREATE MATERIALIZED VIEW mv_stranger TO fed AS SELECT DISTINCT log, run FROM parsed",
        )
    )
    pipeline.store.run(statement)
    return f"object: {statement}", pipeline.fails()


def a_file(pipeline: Pipeline, rng: random.Random, folder: Path) -> tuple[str, bool]:
    """A bit of a file, its end, or all of it."""
    shutil.copytree(pipeline.log.path, folder)
    path = rng.choice(sorted(file for file in folder.iterdir() if file.stat().st_size))
    data = bytearray(path.read_bytes())
    how = rng.choice(("a bit", "a bit", "its end", "all of it"))
    if how == "all of it":
        path.unlink()
    elif how == "its end":
        path.write_bytes(data[: rng.randrange(len(data))])
    else:
        at = rng.randrange(len(data))
        before = bytes(data)
        data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        if (member := _the_member(before, bytes(data))) and path.stem.isdecimal():
            return f"manifest.{member}", pipeline.fails(FileLog(folder, create=False))
        how = f"a bit at {at}: {bytes(data[max(0, at - 20) : at + 20])!r}"
    try:
        return f"file {path.name}: {how}", pipeline.fails(FileLog(folder, create=False))
    except TradecapError:
        return f"file {path.name}: {how}", True


def _the_member(before: bytes, after: bytes) -> str:
    """The one member of a JSON object that differs; '' where more do, or it isn't one."""
    try:
        old, new = json.loads(before), json.loads(after)
        (member,) = (name for name, value in old.items() if name not in new or new[name] != value)
    except (ValueError, AttributeError):
        return ""
    return str(member)


def a_certificate(pipeline: Pipeline, rng: random.Random) -> tuple[str, bool]:
    """Another value anywhere in it."""
    members: dict[str, Any] = json.loads(written(pipeline.certificate))
    at: Any = members
    names = []
    while True:
        key = rng.choice(sorted(at) if isinstance(at, dict) else range(len(at)))
        names.append(str(key))
        if not isinstance(at[key], dict | list) or not at[key]:
            break
        at = at[key]
    values: list[object] = [None, True, False, 0, 7, "", "x", []]
    at[key] = rng.choice([value for value in values if repr(value) != repr(at[key])])
    then = read(json.dumps(members).encode())
    return f"certificate {'.'.join(names)}", isinstance(then, str) or not unchanged(then, pipeline.certificate, {}).ok


def tampered(pipeline: Pipeline, rng: random.Random, folder: Path) -> tuple[str, bool]:
    """(what was done, whether it was found)."""
    match rng.choice(KINDS):
        case "a column":
            return a_column(pipeline, rng)
        case "a row":
            return a_row(pipeline, rng)
        case "an object":
            return an_object(pipeline, rng)
        case "a file":
            return a_file(pipeline, rng, folder)
    return a_certificate(pipeline, rng)


def test_what_passes_is_named_as_not_proven(pipeline: Pipeline, tmp_path: Path) -> None:
    """A reader of the proof would trust a value that nobody looks at."""
    rng = random.Random(SEED)
    not_proven = {name for name, by in documented().items() if by.startswith("not proven")}
    assert not pipeline.fails()
    passed = []
    for n in range(COUNT):
        what, is_found = tampered(pipeline, rng, tmp_path / str(n))
        if what.partition(".")[0] in pipeline.columns or what.startswith("object"):
            pipeline.restore()
        if not is_found and what not in not_proven:
            passed.append(what)
    assert not passed
    assert not pipeline.fails()


def test_the_document_names_every_column_of_every_table(pipeline: Pipeline) -> None:
    """A column that is added later would be taken for proven."""
    rows = pipeline.store.rows(
        "SELECT c.table AS table, c.name AS name FROM system.columns AS c JOIN system.tables AS t ON t.database = "
        "c.database AND t.name = c.table "
        "WHERE c.database = currentDatabase() AND (t.engine LIKE '%MergeTree' OR t.engine = 'Memory') AND c.table "
        "NOT LIKE 'kept_%'"
    )
    assert {f"{row['table']}.{row['name']}" for row in rows} - documented().keys() == set()

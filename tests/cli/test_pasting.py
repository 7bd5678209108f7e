"""Fixes and hints are lines for a shell: they act on the log and store that were given, and none of them loses a
record."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from tests.cli.conftest import PROGRAM, Program
from tests.flows.builders import a_message, some_messages
from tests.flows.verify.test_verify import KILLED
from tests.log.builders import repack, unpack
from tradecap.cli import cli
from tradecap.cli.pasting import given, paste
from tradecap.cli.verify import drawn
from tradecap.flows.records import raw_records
from tradecap.flows.verify.verify import Verdict
from tradecap.log.folder.log import FileLog
from tradecap.proof.checks import Accounts, Check
from tradecap.store.clickhouse.store import ClickHouseStore

LOG_URL, STORE = "file:it's mine/log", "chdb:it's mine/db"
"""A blank and a quote, which the shell must not take for its own."""
FOLDER: Final = Path("it's mine")
ROOT: Final = Path(__file__).parents[2]
GIVEN = ("--log", LOG_URL, "--store", STORE)


def ran(command: str, *args: str) -> Result:
    """A command in this process, on this log and store."""
    return CliRunner().invoke(cli, [command, *args, *GIVEN])


def failing() -> dict[str, dict[str, Any]]:
    """The checks that fail."""
    return {check["name"]: check for check in json.loads(ran("verify", "--json").stdout)["checks"] if not check["ok"]}


def pasted(line: str, answer: str = "y\n") -> str:
    """What a shell on a terminal shows after a line was pasted into it, and a question answered."""
    mine, shells = os.openpty()
    environ = {**os.environ, "PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}"}
    os.write(mine, answer.encode())
    try:
        done = subprocess.run(
            ["bash", "-c", line],
            stdin=shells,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            timeout=120,
        )
    finally:
        os.close(mine)
        os.close(shells)
    return done.stdout.decode()


def records() -> list[bytes]:
    """All that the log holds."""
    return [
        raw
        for batch in FileLog(FOLDER / "log", create=False).read(on_damage=lambda _: None)
        for raw, _ in raw_records(batch, "")
    ]


def in_store(*statements: str) -> None:
    """Somebody's hand in the store."""
    with ClickHouseStore.embedded(FOLDER / "db", STORE, create=False) as store:
        for statement in statements:
            store.run(statement)


def cut_segment() -> None:
    """A record taken out of a closed segment."""
    packed = sorted((FOLDER / "log").glob("*.ndjson.zst"))[0]
    lines = unpack(packed).splitlines(keepends=True)
    repack(packed, b"".join(lines[:3] + lines[4:]))


def more() -> None:
    """Records that aren't loaded yet."""
    assert ran("inject-bad", "--conflicts", "2").exit_code == 0


def replayed(messages: list[bytes], *segment_size: str) -> None:
    """One more run, loaded."""
    Path("more.ndjson").write_bytes(b"\n".join(messages))
    assert ran("replay", "more.ndjson", *segment_size).exit_code == 0
    assert ran("load").exit_code == 0


def torn_run() -> None:
    """A capture that was killed."""
    assert (
        subprocess.run(
            [sys.executable, "-c", KILLED, str((FOLDER / "log").absolute())], cwd=ROOT, check=False
        ).returncode
        == -9
    )
    assert ran("load").exit_code == 0


def segment_gone() -> None:
    """A segment between others is gone, its manifest with it."""
    replayed(some_messages(range(31, 90)), "--segment-size", "4000")
    for path in (FOLDER / "log").glob("000004.*"):
        path.unlink()


def twice_with_two_contents() -> None:
    """The log holds one identity with two contents."""
    log = FileLog(FOLDER / "log", create=False)
    (first, *_) = (
        raw for batch in log.read() for raw, _ in raw_records(batch, "") if b'"id"' not in raw and b'"t":7,' in raw
    )
    with log.writer() as writer:
        writer.append(first.replace(b'"t":7,', b'"t":8,') + b"\n")


def hand(table: str, *changes: str) -> Callable[[], object]:
    """One row is changed, another one gone, and one more there. The first change is the key's, of the row that is
    added."""
    added, changed = changes
    row = (
        f"({ROW[table]}) IN (SELECT {ROW[table]} FROM {table} ORDER BY ALL LIMIT 1 OFFSET %d) SETTINGS "
        "mutations_sync = 2"
    )
    return lambda: in_store(
        f"INSERT INTO {table} SELECT * REPLACE ({added}) FROM {table} FINAL LIMIT 1",
        f"ALTER TABLE {table} UPDATE {changed} WHERE {row % 2}",
        f"ALTER TABLE {table} DELETE WHERE {row % 1}",
    )


ROW: Final = {
    "trades": "symbol, trade_id",
    "ledger": "run, seq",
    "quarantine": "run, seq",
    "candles_1m": "symbol, minute",
}
NOBODY: Final = "toUUID('01930000-0000-7000-8000-00000000dead') AS run"
REPAIRED, AS_IT_WAS, LOG = "repaired", "as it was", "log"
"""What pasting every fix leaves: a store that is proven; a second one that is, and the first as it was; advice, as only
the log can be repaired."""
SPOILT: Final[dict[str, tuple[Callable[[], object], set[str], str]]] = {
    "a trade is gone": (
        lambda: in_store("ALTER TABLE trades DELETE WHERE trade_id = 7 SETTINGS mutations_sync = 2"),
        {"trades.accounted", "candles.exact"},
        REPAIRED,
    ),
    "trades changed": (
        hand("trades", "toUInt64(777) AS trade_id", "recv_ns = recv_ns + 1"),
        {"trades.accounted"},
        REPAIRED,
    ),
    "the ledger changed": (hand("ledger", NOBODY, "kind = 'x'"), {"ledger.complete"}, AS_IT_WAS),
    "quarantine changed": (hand("quarantine", NOBODY, "reason = 'x'"), {"quarantine.accounted"}, REPAIRED),
    "candles changed": (
        hand("candles_1m", "toDateTime('2001-01-01', 'UTC') AS minute", "high = 7"),
        {"candles.exact"},
        REPAIRED,
    ),
    "log and store disagree": (
        lambda: in_store(
            "ALTER TABLE ledger UPDATE content = content + 1 WHERE trade_id = 7 SETTINGS mutations_sync = 2"
        ),
        {"ledger.complete"},
        AS_IT_WAS,
    ),
    "a view is another": (lambda: in_store("DROP VIEW v_minutes"), {"schema.unchanged"}, REPAIRED),
    "views of the feed are gone or strange": (
        lambda: in_store(
            "DROP VIEW mv_trades", "CREATE MATERIALIZED VIEW mv_stranger TO fed AS SELECT DISTINCT log, run FROM parsed"
        ),
        {"schema.unchanged"},
        REPAIRED,
    ),
    "not loaded": (more, {"ledger.complete"}, REPAIRED),
    "the log was cut": (cut_segment, {"log.complete", "log.intact", "ledger.complete"}, LOG),
    "a segment is gone": (segment_gone, {"log.complete", "ledger.complete"}, LOG),
    "one identity, two contents": (twice_with_two_contents, {"log.identity"}, LOG),
    "a run was torn": (torn_run, {"log.complete"}, REPAIRED),
    "ids are missing": (lambda: replayed(some_messages([40, 41, 45])), {"ids.contiguous"}, LOG),
    "trades in conflict": (lambda: replayed([a_message(7, price=9 * 10**8)]), {"conflicts.none"}, LOG),
}


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log and a store, proven."""
    folder = tmp_path_factory.mktemp("proven")
    before = Path.cwd()
    os.chdir(folder)
    try:
        Path("some.ndjson").write_bytes(b"\n".join(some_messages(range(1, 31))))
        for command in (
            ("init-db",),
            ("replay", "some.ndjson"),
            ("inject-bad", "--all", "1", "--seed", "1"),
            ("load",),
        ):
            assert ran(*command).exit_code == 0
    finally:
        os.chdir(before)
    return folder / FOLDER


@pytest.mark.parametrize("name", SPOILT)
def test_no_fix_that_is_pasted_loses_a_record(proven: Path, name: str) -> None:
    """The line that was meant to help removed the only copy, or another store than the one that was verified."""
    shutil.copytree(proven, FOLDER, symlinks=True)
    spoil, expected, leaves = SPOILT[name]
    spoil()
    before, failed = records(), failing()
    assert failed.keys() >= expected
    fixes = dict.fromkeys(check["fix"] for check in failed.values())
    assert all(fixes)
    assert not [fix for fix in fixes if "--yes" in fix]
    shown = ""
    for fix in fixes:
        shown += pasted(fix)
        assert records()[: len(before)] == before, fix
        assert leaves != LOG or fix.startswith(("# ", "tradecap query ")), fix
        assert not Path("tradecap-data").exists(), f"{fix} acted on the default: {shown}"
    if leaves == REPAIRED:
        again = dict.fromkeys(check["fix"] for check in failing().values())
        assert not again or name == "a run was torn", shown  # what attests it is a record, which isn't loaded
        assert not [pasted(fix) for fix in again] or not failing()
    else:
        assert failing().keys() >= expected, "the store that may be right is still there as it was"
        assert leaves == LOG or "PROVEN" in shown


def test_dropping_asks_on_a_terminal_and_is_refused_without_one(proven: Path, tradecap: Program) -> None:
    """A line from a hint, pasted in a hurry, emptied the store."""
    shutil.copytree(proven, FOLDER, symlinks=True)
    shown = pasted(paste("tradecap init-db --drop", given({"store": STORE}, STORE)), "n\n")
    assert "44 records" in shown
    assert "Nothing was removed." in shown
    refused = tradecap("init-db", "--drop", *GIVEN, stdin=subprocess.DEVNULL)
    assert (refused.returncode, "--yes" in refused.stderr) == (2, False)
    assert failing().keys() == set()


def test_a_fix_stays_one_line_on_a_narrow_terminal() -> None:
    """Half of a command, pasted with the line break that a drawing put into it, is another command."""
    fix = paste("tradecap init-db --drop && tradecap load", given({"log": LOG_URL, "store": STORE}, STORE))
    console = Console(file=StringIO(), width=40, force_terminal=True)
    console.print(
        drawn(
            Verdict(
                checks=[Check(name="trades.accounted", ok=False, expected=2, actual=1, detail="x " * 40, fix=fix)],
                counts=Accounts(),
                quarantined={},
                runs={},
                series=[],
            )
        ),
        crop=False,
    )
    assert isinstance(console.file, StringIO)
    assert f"  fix: {fix}\n" in console.file.getvalue()


# ---- lines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tradecap load", "tradecap load --log 'file:a b' --profile p"),
        (
            "wait: tradecap load --feed kafka; or tradecap init-db",
            "wait: tradecap load --log 'file:a b' --profile p --feed kafka; or tradecap init-db --log 'file:a b' "
            "--profile p",
        ),
        ("tradecap ship x --log file:y", "tradecap ship --profile p x --log file:y"),
        ("'tradecap query runs' lists them", "`tradecap query --log 'file:a b' --profile p runs` lists them"),
        (
            "tradecap init-db --drop && tradecap load",
            "tradecap init-db --log 'file:a b' --profile p --drop && tradecap load --log 'file:a b' --profile p",
        ),
        ("# tradecap is here, and see 'tradecap --help'", "# tradecap is here, and see 'tradecap --help'"),
        ("tradecap load --store NEW", "tradecap load --log 'file:a b' --profile p --store chdb:d-rebuilt"),
    ],
)
def test_a_line_repeats_what_was_given(text: str, line: str) -> None:
    """It would act on the default log, or on a store that nobody named."""
    by = given({"log": "file:a b", "store": None, "profile": "p", "config": None}, "chdb:d")
    assert paste(text, by) == line
    assert paste(paste(text, by), by) == line


@pytest.mark.parametrize(
    ("store", "shown", "rebuilt"),
    [
        (
            "clickhouse://me:s%40cret@host:8123/market",
            "clickhouse://me@host:8123/market",
            "clickhouse://me@host:8123/market_rebuilt",
        ),
        ("clickhouse://me:a/b?c#d@host", "clickhouse://me@host", "clickhouse://me@host/market_rebuilt"),
        (
            "clickhouse://:secret@host/x?a=1&password=secret",
            "clickhouse://@host/x?a=1",
            "clickhouse://@host/x_rebuilt?a=1",
        ),
        ("clickhouse://host/x?password=secret", "clickhouse://host/x", "clickhouse://host/x_rebuilt"),
        ("chdb:/a/me:x@y", "chdb:/a/me:x@y", "chdb:/a/me:x@y-rebuilt"),
    ],
)
def test_a_password_is_left_out_of_a_line(store: str, shown: str, rebuilt: str) -> None:
    """A line that is pasted is kept in the shell's history, and in whatever the fix was sent to."""
    by = given({"store": store}, store)
    assert by.store == by.options["store"] == shown
    assert by.has_left_out is (shown != store)
    assert rebuilt in paste("tradecap load --store NEW", by)

"""What goes wrong in the first hour: one sentence that is true, and a hint that works."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.test_wrong_input import ran, report
from tests.exchange import until
from tests.flows.builders import a_message
from tradecap.cli import cli
from tradecap.store import open_store

from .conftest import PROGRAM, Program


@pytest.fixture
def loaded() -> None:
    """A log with a little of the sample, loaded."""
    for line in ("init-db", "replay sample: --limit 300", "load"):
        ran(*line.split(), "-q")


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "load --help",
        "--version",
        "config",
        "config --json",
        "completion bash",
        "init-db --print",
        "replay sample: --dry-run",
    ],
)
def test_a_full_standard_output_is_named(tradecap: Program, line: str) -> None:
    """The result would be lost with exit code 0, as it was for every table."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = tradecap(*line.split(), stdout=full)
    answer = [each for each in done.stderr.splitlines() if " · store " not in each]
    assert done.returncode == 4, answer
    assert answer[0] == "The result couldn't be written to standard output: No space left on device."
    assert answer[1].startswith("hint: ")
    assert len(answer) == 2


@pytest.mark.usefixtures("loaded")
def test_a_store_copied_with_its_links_followed_is_named_and_repaired_by_the_hint() -> None:
    """The engine's own words are of an attachment that failed; the hint was to end a program that there isn't."""
    shutil.copytree("tradecap-data/db", "copy of db", symlinks=False)
    answer = report("candles", "BTCUSDT", "--store", "chdb:copy of db")
    assert "was copied with its links followed" in answer
    subprocess.run(["sh", "-c", answer.partition("make it a link: ")[2].removesuffix(".")], check=True)
    assert ran("verify", "--store", "chdb:copy of db", "--json", "-q").stdout.startswith('{"ok":true')


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("line", ["candles BTCUSDT", "query quality"])
def test_a_view_that_is_gone_is_named_with_the_line_that_makes_it(line: str) -> None:
    """`Unknown table function` and -vv are nobody's way on."""
    with open_store("chdb:tradecap-data/db") as store:
        for view in ("v_candles", "v_quality"):
            store.run(f"DROP VIEW {view}")  # type: ignore[attr-defined]  # of ClickHouse's store
    answer = report(*line.split(), code=3 if line.startswith("candles") else 2)
    assert "is missing" in answer
    assert "hint: tradecap init-db" in answer
    ran("init-db", "-q")
    ran(*line.split(), "-q")


def test_klines_that_are_not_there_are_named_before_their_name_is_a_symbol() -> None:
    """`The store has no candles of BTCUSDT` sends its reader to the store."""
    assert ("BTCUSDT-1m-2024-08.zip can't be read: No such file") in report(
        "verify", "--klines", "BTCUSDT-1m-2024-08.zip"
    )


def test_what_breaks_at_once_breaks_at_its_beginning() -> None:
    """There is no line 0."""
    Path("cut.gz").write_bytes(gzip.compress(a_message(1))[:12])
    answer = report("replay", "cut.gz")
    assert "cut.gz is cut short at its beginning" in answer
    assert "everything before that" not in answer


def test_a_renamed_file_of_the_archive_says_how_to_name_its_symbol() -> None:
    """The name of the file is the only thing that says of what the rows are."""
    Path("renamed.csv").write_text(
        "".join(f"{n},61000.5,0.1,6100.05,{1723204800000 + n},true,true\n" for n in range(20))
    )
    hint = report("replay", "renamed.csv").partition("hint: add ")[2].partition(",")[0]
    assert ran("replay", "renamed.csv", "--dry-run", "--json", *hint.split()).stdout.count('"valid":20')


def test_a_time_in_which_nothing_is_is_warned_of() -> None:
    """`--from 2014-08-09` would look like a recording without trades."""
    done = ran("replay", "sample:", "--from", "2030-01-01", "--dry-run")
    assert "those that were left out are of 2024-08-09T" in done.stderr
    assert "--from and --to" not in ran("replay", "sample:", "--limit", "5", "--from", "2024-08-09", "--dry-run").stderr


def test_a_replay_that_is_stopped_says_so_and_one_that_ends_does_not() -> None:
    """Half of a recording would pass for the whole of it."""
    Path("capture").write_bytes(
        b"".join(b"%d %b\n" % (1_723_204_800_000_000_000 + n * 10**10, a_message(n)) for n in range(100))
    )
    command = [PROGRAM, "replay", "capture", "--speed", "10"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: Path("tradecap-data/log/000001.ndjson").exists())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert "; stopped before the end" in out
    assert "stopped before the end" in err
    whole = ran("replay", "capture")
    assert "stopped" not in whole.stdout + whole.stderr
    assert '"stopped":false' in ran("replay", "capture", "--json").stdout


def test_windows_is_one_sentence() -> None:
    """An AttributeError about SIGHUP says to nobody that there is a container."""
    pretended = (
        "import click, signal, sys; del signal.SIGHUP; sys.modules['fcntl'] = None; sys.platform = 'win32'; from "
        "tradecap.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", pretended],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "TERM": "dumb"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "tradecap doesn't run on Windows itself.",
        "hint: run it in WSL2, or in its container (docs/operations.md).",
    ]


def test_one_of_a_thing_is_written_in_the_singular() -> None:
    """`1 candles` makes its reader doubt the count."""
    for line in ("init-db", "replay sample: --symbol BTCUSDT --limit 1", "load"):
        ran(*line.split(), "-q")
    assert "1 candle of 1m" in ran("candles", "BTCUSDT").stdout
    Path("one").write_text("hello\n")
    result = CliRunner().invoke(cli, ["replay", "one", "--as", "binance:BTCUSDT"])
    assert "1 lines" not in result.output

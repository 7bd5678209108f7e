"""Wrong input, missing rights, full disks, early ends: one sentence, a hint, the right exit code, and nothing lost.

Most of it runs in this process; what needs rights, limits, signals or a pipe of its own is the installed program.
"""

import ctypes
import gzip
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.flows.builders import a_message, begun, some_messages
from tradecap.cli import cli
from tradecap.log import open_log
from tradecap.store.clickhouse.store import ClickHouseStore

from .conftest import PROGRAM, Program

LOG = "file:tradecap-data/log"
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


def ran(*args: str, stdin: bytes | None = None) -> Result:
    """A command that went well."""
    result = CliRunner().invoke(cli, args, input=stdin)
    assert result.exit_code == 0, result.stderr
    return result


def report(*args: str, code: int = 2, stdin: bytes | None = None) -> str:
    """What a command says that ends with this code: its sentence and its hint, on two lines."""
    result = CliRunner().invoke(cli, [*args, "--log-format", "text"], input=stdin)
    assert (result.exit_code, result.stdout) == (code, "")
    return two_lines(result.stderr)


def two_lines(stderr: str) -> str:
    assert "Traceback" not in stderr
    lines = [line for line in stderr.splitlines() if " · store " not in line]
    assert len(lines) == 2, stderr
    assert lines[1].startswith("hint: ")
    return "\n".join(lines)


def records_in_the_log() -> int:
    return sum(batch.records for batch in open_log(LOG).read())


@pytest.fixture
def sample() -> None:
    """A log with the sample in it."""
    ran("replay", "sample:", "-q")


@pytest.fixture
def pipeline(request: pytest.FixtureRequest) -> None:
    """A log with the sample in it, and a store with the log in it."""
    request.getfixturevalue("sample")
    ran("init-db", "-q")
    ran("load", "-q")


def without_rights() -> None:
    """Make the rights of files count for root too, in a process that is about to be started."""
    if sys.platform == "linux":
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


# ---- what is handed in -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["replay", "inject-bad --from-file"])
@pytest.mark.usefixtures("sample")
def test_a_file_that_is_not_there(command: str) -> None:
    """A typo in a name must not begin a run that holds nothing."""
    before = records_in_the_log()
    assert report(*command.split(), "no.gz").startswith("no.gz can't be read: No such file or directory.")
    assert records_in_the_log() == before


def test_one_missing_file_among_others_keeps_all_of_them_out() -> None:
    """Half of a list, replayed before the typo is noticed, has to be cleaned up by hand."""
    Path("a.ndjson").write_bytes(a_message(1) + b"\n")
    assert report("replay", "a.ndjson", "b.ndjson").startswith("b.ndjson can't be read")
    assert not Path("tradecap-data").exists()


@pytest.mark.parametrize("command", ["load", "verify", "inject-bad --nulls 1"])
def test_a_log_that_is_not_there(command: str) -> None:
    """Without the sentence a first-time user doesn't learn that there is an order to the commands."""
    answer = report(*command.split())
    assert answer.startswith("There is no log at tradecap-data/log.")
    assert "tradecap replay" in answer


@pytest.mark.parametrize("command", ["replay sample:", "load", "verify", "inject-bad --nulls 1"])
def test_a_folder_that_is_no_log(command: str) -> None:
    """Writing segments between somebody's files, or calling such a folder an empty log, is worse than stopping."""
    Path("photos").mkdir()
    Path("photos/cat.jpg").write_bytes(b"cat")
    assert report(*command.split(), "--log", "file:photos").startswith("photos isn't a log: it holds ")
    assert [file.name for file in Path("photos").iterdir()] == ["cat.jpg"]


def test_a_folder_that_is_no_log_is_no_recording() -> None:
    """A folder of recordings is an easy mistake, and what to type instead is known."""
    Path("photos").mkdir()
    assert report("replay", "photos") == "photos is a folder, but no log.\nhint: name the files in it: photos/*"


@pytest.mark.parametrize("name", ["empty", "empty.gz", "blank"])
def test_an_empty_file(name: str) -> None:
    """A capture that recorded nothing must not look like a replay that went well."""
    Path(name).write_bytes({"empty": b"", "empty.gz": gzip.compress(b""), "blank": b"\n \r\n"}[name])
    assert report("replay", name).startswith(f"{name} isn't a recording: it is empty.")
    assert report("replay", name, "--as", "binance:BTCUSDT").startswith(f"{name} isn't a recording: it is empty.")
    assert not Path("tradecap-data").exists()


def test_a_binary_file() -> None:
    """The wrong file, quarantined by the million and with exit 0, is found days later."""
    Path("noise").write_bytes(random.Random(5).randbytes(300_000))
    answer = report("replay", "noise")
    assert answer.startswith("noise isn't a recording: nothing in its first 1000 lines is a message of a known venue.")
    assert not Path("tradecap-data").exists()


def test_a_gzip_cut_short_gives_what_came_before() -> None:
    """A capture whose machine died is all there is of those hours; and the end that is missing must not go unsaid."""
    lines = b"".join(message + b"\n" for message in some_messages(range(2000)))
    whole = gzip.compress(lines)
    Path("cut.gz").write_bytes(whole[: len(whole) // 2])
    result = CliRunner().invoke(cli, ["replay", "cut.gz", "--json"])
    assert two_lines(result.stderr).startswith("cut.gz is cut short after line ")
    assert result.exit_code == 2
    ran("init-db", "-q")
    ran("load", "-q")
    assert '"ok":true' in ran("verify", "--json").stdout
    assert 500 < records_in_the_log() < 2000


@pytest.mark.usefixtures("sample")
def test_a_damaged_log_is_loaded_as_far_as_it_goes() -> None:
    """One bad sector must not keep the rest of the log out of the store, nor go unsaid."""
    packed = Path("tradecap-data/log/000001.ndjson.zst")
    packed.write_bytes(packed.read_bytes()[:-20_000])
    ran("replay", "sample:", "-q", "--limit", "5")
    ran("init-db", "-q")
    result = ran("load", "--json")
    assert "Segment 000001.ndjson.zst is damaged after line " in result.stderr
    assert '"redelivered":0' in result.stdout


# ---- what is asked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        "replay sample: --speed 0",
        "replay sample: --speed -1",
        "replay sample: --speed nan",
        "replay sample: --limit -3",
        "replay sample: --limit 0",
        "replay sample: --segment-size 0",
        "inject-bad --nulls -1",
        "inject-bad --all -1",
        "inject-bad --nulls 1 --seed -1",
        "candles BTCUSDT --limit -1",
        "verify --expect trades=-1",
        "verify --wait -5s",
    ],
)
def test_numbers_below_what_makes_sense(args: str) -> None:
    """A speed of 0 never ends; a negative count is a typo whose meaning can only be guessed."""
    option = next(word for word in reversed(args.split()) if word.startswith("--"))
    assert report(*args.split()).startswith(f"Invalid value for '{option}': ")
    assert not Path("tradecap-data").exists()


@pytest.mark.parametrize("command", ["replay sample:", "candles BTCUSDT", "verify"])
@pytest.mark.parametrize("since", ["2024-08-10", "2024-08-09"])
def test_a_range_that_ends_before_it_begins(command: str, since: str) -> None:
    """Nothing is ever in such a range: an empty answer would be taken for a fact about the market."""
    answer = report(*command.split(), "--from", since, "--to", "2024-08-09")
    assert answer.startswith(f"--from {since}T00:00:00Z is not before --to 2024-08-09T00:00:00Z.")
    assert not Path("tradecap-data").exists()


@pytest.mark.usefixtures("pipeline")
def test_a_symbol_that_is_not_there() -> None:
    """An empty table, an empty run or a proof of nothing for a mistyped symbol is taken for a quiet market."""
    assert report("candles", "BTCUSD") == "The store has no candles of BTCUSD.\nhint: did you mean BTCUSDT?"
    assert report("candles", "btcusdt", "--channel", "aggTrade").endswith("hint: of BTCUSDT there is: binance trade")
    assert report("verify", "--symbol", "BTCUSD").startswith("Nothing of BTCUSD is in that part of the log")
    result = CliRunner().invoke(cli, ["replay", "sample:", "--symbol", "BTCUSD", "--dry-run"])
    assert two_lines(result.stderr) == "There is no trade of BTCUSD in sample:.\nhint: did you mean BTCUSDT?"
    assert result.exit_code == 2


@pytest.mark.usefixtures("pipeline")
def test_a_run_that_is_not_there() -> None:
    """Expectations of a run that doesn't exist are met by nothing."""
    assert report("verify", "--run", "last-week").startswith("Run last-week isn't in file:")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ("load --log kafka://host/", "'kafka://host/' isn't the URL of a topic."),
        ("load --log kafka://host/a:b", "'a:b' isn't a topic name."),
        ("load --log ftp:x", "'ftp:x' isn't a log URL."),
        ("load --log file:", "'file:' isn't a log URL."),
        ("load --store postgresql://host/db", "postgresql://host/db: stores in PostgreSQL are not supported yet."),
        ("load --store ftp:x", "'ftp:x' is not a store URL."),
        ("init-db --store db", "'db' is not a store URL."),
        ("init-db --print --store ftp:x", "'ftp:x' is not a store URL whose schema is known."),
        ("candles BTCUSDT --store chdb:", "'chdb:' is not a store URL."),
    ],
)
@pytest.mark.usefixtures("sample")
def test_places_of_an_unknown_kind(args: str, sentence: str) -> None:
    """A URL that isn't understood must name the ones that are."""
    assert report(*args.split()).startswith(f"{sentence}\nhint: ")


@pytest.mark.usefixtures("sample")
def test_a_server_that_does_not_answer() -> None:
    """The library's warnings before the sentence bury it."""
    answer = report("load", "--store", "clickhouse://me:secret@localhost:1/market", code=3)
    assert answer.startswith("Store clickhouse://me:***@localhost:1/market can't be reached: ")
    assert "secret" not in answer


def test_standard_input_twice() -> None:
    """The second reading would take what the first left, line by line at random."""
    assert report("replay", "-", "-", stdin=b"").startswith("Standard input can be read only once.")


def test_no_standard_input() -> None:
    """Services run without one: a file must still be readable, and '-' must say what is wrong."""
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec '{PROGRAM}' replay - <&-"], capture_output=True, text=True, timeout=60
    )
    assert two_lines(done.stderr).startswith("There is no standard input to read.")
    assert done.returncode == 2
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec '{PROGRAM}' replay sample: --dry-run <&-"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0


@pytest.mark.usefixtures("sample")
def test_nothing_to_inject() -> None:
    """An empty run looks as if the faults had been written."""
    before = records_in_the_log()
    assert report("inject-bad").startswith("Nothing to inject.")
    assert report("inject-bad", "--all", "0").startswith("Nothing to inject.")
    Path("empty").write_bytes(b"")
    assert report("inject-bad", "--from-file", "empty").startswith(
        "There is nothing to inject: the file holds no lines."
    )
    assert records_in_the_log() == before


def test_a_broken_configuration() -> None:
    """A setting that is passed over in silence writes into the wrong log."""
    Path("tradecap.toml").write_text("log = [")
    assert report("load").startswith("./tradecap.toml")
    assert report("replay", "sample:", "--config", "no.toml").startswith(
        "./no.toml cannot be read: No such file or directory."
    )
    assert not Path("tradecap-data").exists()


@pytest.mark.usefixtures("sample")
def test_a_log_replayed_into_itself() -> None:
    """It would read what it writes, forever."""
    before = records_in_the_log()
    assert report("replay", "tradecap-data/log").startswith("file:tradecap-data/log can't be replayed into itself.")
    assert records_in_the_log() == before


# ---- stores ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["load", "verify", "candles BTCUSDT", "replay sample: --load"])
@pytest.mark.usefixtures("sample")
def test_a_store_that_is_not_there(command: str) -> None:
    """A store made by the way hides that the wrong one was named; and a replay must refuse before it writes."""
    before = records_in_the_log()
    assert report(*command.split()) == "There is no store at tradecap-data/db.\nhint: make one: tradecap init-db"
    assert not Path("tradecap-data/db").exists()
    assert records_in_the_log() == before


@pytest.mark.parametrize("command", ["init-db", "load", "candles BTCUSDT"])
@pytest.mark.usefixtures("sample")
def test_a_store_that_is_a_file(command: str) -> None:
    """A sentence of the database about its metadata folder tells nobody that the path is a file."""
    Path("db").write_bytes(b"x")
    assert report(*command.split(), "--store", "chdb:db").startswith("Store db can't be opened: File exists.")
    assert Path("db").read_bytes() == b"x"


@pytest.mark.usefixtures("sample")
def test_a_store_in_somebody_elses_folder() -> None:
    """A database that unpacks itself among somebody's photographs is never forgiven."""
    Path("photos").mkdir()
    Path("photos/cat.jpg").write_bytes(b"x")
    assert report("init-db", "--store", "chdb:photos").startswith("photos is not a store: it holds cat.jpg.")
    assert [file.name for file in Path("photos").iterdir()] == ["cat.jpg"]


def test_a_log_below_a_file() -> None:
    """'Nothing was written' with the exit code of a full disk sends somebody to the wrong place."""
    Path("file").write_bytes(b"x")
    assert "is a file" in report("replay", "sample:", "--log", "file:file/log")


@pytest.mark.usefixtures("pipeline")
def test_a_store_of_a_newer_version() -> None:
    """An old program that writes into a newer schema spoils it, and reads it wrongly."""
    path = Path("tradecap-data/db")
    with ClickHouseStore.embedded(path, f"chdb:{path}", create=False) as store:
        store.run("INSERT INTO schema_version SELECT 99, store, now('UTC') FROM schema_version LIMIT 1")
    for command in ("init-db", "load", "verify", "candles BTCUSDT"):
        answer = report(*command.split())
        assert answer.startswith(
            "Store chdb:./tradecap-data/db has schema version 99; this tradecap knows versions up to "
        )
        assert answer.endswith("hint: upgrade: pip install -U tradecap")


@pytest.mark.usefixtures("pipeline")
def test_dropping_a_store_is_asked_for_twice() -> None:
    """One option too many in the shell's history empties the store."""
    assert report("init-db", "--drop").startswith("--drop removes all of chdb:./tradecap-data/db.")
    assert "complete" in ran("candles", "BTCUSDT").stdout


# ---- rights and disks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ("replay sample: --log file:locked/log", "locked/log can't be written: Permission denied."),
        ("init-db --store chdb:locked/db", "Store locked/db can't be opened: Permission denied."),
        ("replay locked/secret", "locked/secret can't be read: Permission denied."),
        ("config --init --config locked/tradecap.toml", "locked/tradecap.toml: no permission (Permission denied)."),
    ],
)
def test_no_permission(tradecap: Program, args: str, sentence: str) -> None:
    """A traceback of PermissionError doesn't name the place it was about."""
    Path("locked").mkdir()
    Path("locked/secret").write_bytes(a_message(1) + b"\n")
    Path("locked/secret").chmod(0)
    Path("locked").chmod(0o555)
    try:
        done = tradecap(*args.split(), preexec_fn=without_rights)
    finally:
        Path("locked").chmod(0o755)
    assert two_lines(done.stderr).startswith(sentence)
    assert (done.returncode, done.stdout) == (2, "")
    assert [file.name for file in Path("locked").iterdir()] == ["secret"]


@pytest.mark.usefixtures("sample")
def test_a_log_that_may_only_be_read(tradecap: Program) -> None:
    """What may be read can be loaded; what may not be written is reported and stays as it is."""
    ran("init-db", "-q")
    folder = Path("tradecap-data/log")
    folder.chmod(0o555)
    (folder / "lock").chmod(0o444)
    try:
        loaded = tradecap("load", "--json", preexec_fn=without_rights)
        written = tradecap("replay", "sample:", preexec_fn=without_rights)
    finally:
        folder.chmod(0o755)
    assert loaded.returncode == 0, loaded.stderr
    assert two_lines(written.stderr).startswith("tradecap-data/log can't be written: Permission denied.")
    assert written.returncode == 2
    assert '"ok":true' in ran("verify", "--json").stdout


def at_most(size: int) -> Callable[[], None]:
    """Files may not grow beyond size, in a process that is about to be started: what a full disk does, on any
    machine."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_is_full_for_the_log(tradecap: Program) -> None:
    """Records that didn't fit must be distinguished from those that are safe, and the next run goes on from these."""
    ran("replay", "sample:", "-q", "--limit", "100")
    before = records_in_the_log()
    done = tradecap("replay", "sample:", preexec_fn=at_most(300_000))
    answer = two_lines(done.stderr)
    assert "records of run" in answer
    assert "are safe in tradecap-data/log" in answer
    assert (done.returncode, done.stdout) == (4, "")
    ran("replay", "sample:", "-q", "--limit", "100")
    ran("init-db", "-q")
    ran("load", "-q")
    assert '"ok":true' in ran("verify", "--json").stdout
    assert records_in_the_log() > before + 101


def test_a_disk_that_is_full_for_the_store(tradecap: Program) -> None:
    """A load that can't write must leave the position where it was: else records that never arrived count as loaded."""
    ran("init-db", "-q")
    with open_log(LOG, create=True, segment_bytes=10**9, segment_age_s=600).writer() as writer:
        run = begun(writer, some_messages(range(2000)))
        done = tradecap("load", preexec_fn=at_most(100_000))
        assert two_lines(done.stderr).startswith("a file may not grow any more (File too large).")
        assert (done.returncode, done.stdout) == (4, "")
        run.end()
    ran("load", "-q")
    assert '"ok":true' in ran("verify", "--json", "--expect", "trades=2000").stdout


# ---- early ends ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pipeline")
def test_a_reader_that_leaves_early(tradecap: Program) -> None:
    """`tradecap candles X | head -1` would end in a traceback, or in a failed pipeline."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        for command in (
            "candles BTCUSDT",
            "candles BTCUSDT --csv",
            "candles BTCUSDT --plot",
            "candles BTCUSDT --json",
            "verify",
        ):
            done = tradecap(*command.split(), "-q", stdout=writing)
            assert (done.returncode, done.stderr) == (0, "")
    finally:
        os.close(writing)


@pytest.mark.parametrize(
    "command", ["load", "verify", "candles BTCUSDT", "init-db", "inject-bad --all 20 --seed 1", "replay sample:"]
)
@pytest.mark.usefixtures("sample")
def test_ctrl_c_at_any_moment(command: str) -> None:
    """Whenever it comes, the program ends soon and in words, and what was written stays proven."""
    ran("init-db", "-q")
    rng = random.Random(command)
    with subprocess.Popen(
        [PROGRAM, *command.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("log file:")
        time.sleep(rng.random() * 0.4)
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=60)[1]
    assert "Traceback" not in stderr
    assert process.returncode in (0, 1, 2, 130), stderr
    for args in (["replay", "sample:", "-q", "--limit", "1"], ["init-db", "-q"], ["load", "-q"]):
        ran(*args)
    assert '"ok":true' in ran("verify", "--json").stdout

"""The commands as scripts see them: one JSON object with the promised keys, exact numbers, exit codes, and proper ends.

docs/cli.md promises the keys; they are written down here once more, so that one that is lost fails a test and not
somebody's script.
"""

import fcntl
import json
import os
import random
import re
import signal
import subprocess
import termios
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.flows.builders import a_message, some_messages
from tradecap.cli import cli
from tradecap.flows.records import read_lines
from tradecap.log import open_log
from tradecap.market.faults import FAULTS

from .conftest import PROGRAM, Program

FIRST_LINE = "log file:./tradecap-data/log · store chdb:./tradecap-data/db"
EXACT = re.compile(r"\d+(\.\d*[1-9])?")
"""A number of any length in plain decimals, without needless zeros."""


def ran(*args: str, code: int = 0) -> dict[str, Any]:
    """The one JSON object that a command gives with --json."""
    result = CliRunner().invoke(cli, [*args, "--json"])
    assert result.exit_code == code, result.stderr
    assert result.stderr.splitlines()[0] == FIRST_LINE
    (line,) = result.stdout.splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def pipeline() -> None:
    """A log with the sample and some faults in it, and a store with the log in it."""
    for args in (["replay", "sample:"], ["inject-bad", "--all", "5", "--seed", "1"], ["init-db"], ["load"]):
        ran(*args)


def at_least(found: dict[str, Any], keys: str) -> None:
    assert set(keys.split()) <= set(found)


# ---- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.core
def test_what_replay_says() -> None:
    """A counter that isn't a number by its kind can't be added up."""
    found = ran("replay", "sample:", "--symbol", "BTCUSDT")
    at_least(found, "run lines records valid events filtered ignored quarantined seconds")
    assert "pacing" not in found
    assert set(found["ignored"]) == {"bookTicker", "depthUpdate", "snapshot"}
    assert (
        found["lines"]
        == found["valid"] + sum(found["quarantined"].values()) + sum(found["ignored"].values()) + found["filtered"]
    )
    assert found["records"] == found["valid"] + sum(found["quarantined"].values()) + found["events"]
    assert set(ran("replay", "sample:", "--speed", "1e6", "--limit", "50")["pacing"]) == {"p50_ms", "p99_ms", "max_ms"}


def test_a_dry_run_says_the_same_and_writes_nothing() -> None:
    """A report that differs from what then happens is useless."""
    dry = ran("replay", "sample:", "--dry-run")
    assert not Path("tradecap-data").exists()
    real = ran("replay", "sample:")
    same = set(dry) - {"run", "seconds"}
    assert dry["run"] == ""
    assert {key: dry[key] for key in same} == {key: real[key] for key in same}


def test_replay_can_load_too() -> None:
    """Two commands in one must say what both did."""
    ran("init-db")
    found = ran("replay", "sample:", "--load")
    assert found["load"]["records"] == found["records"]
    assert ran("verify")["ok"]


@pytest.mark.core
def test_what_inject_bad_says() -> None:
    """The seed is what makes a failure again."""
    ran("replay", "sample:")
    found = ran("inject-bad", "--all", "2", "--dupes", "0")
    at_least(found, "run seed injected records")
    assert found["injected"] == dict.fromkeys([fault for fault in FAULTS if fault != "dupes"], 2)
    assert found["records"] == 2 * (len(FAULTS) - 1) + 2


@pytest.mark.usefixtures("pipeline")
def test_a_dry_run_of_inject_bad_gives_the_payloads() -> None:
    """Payloads on bare lines can't be distinguished from other output by a script, and a plan that counts otherwise
    than the run isn't one."""
    before = ran("verify")["counts"]["records"]
    found = ran("inject-bad", "--nulls", "3", "--seed", "4", "--dry-run")
    at_least(found, "run seed injected records payloads")
    assert (found["run"], len(found["payloads"])) == ("", 3)
    plain = CliRunner().invoke(cli, ["inject-bad", "--nulls", "3", "--seed", "4", "--dry-run"])
    assert plain.stdout.splitlines() == found["payloads"]
    assert "seed 4" in plain.stderr
    assert ran("verify")["counts"]["records"] == before
    written = ran("inject-bad", "--nulls", "3", "--seed", "4")
    assert {name: found[name] for name in ("seed", "injected", "records")} == {
        name: written[name] for name in ("seed", "injected", "records")
    }


def test_what_init_db_says() -> None:
    """A provisioning script asks what was created."""
    found = ran("init-db")
    at_least(found, "store version created statements")
    assert {"trades", "ledger", "quarantine", "candles_1m", "v_trades", "v_candles"} <= set(found["created"])
    again = ran("init-db")
    assert (again["created"], again["version"]) == ([], found["version"])


def test_init_db_can_print_its_sql() -> None:
    """Someone who wants to read it first must see all of it, and nothing may have been made."""
    found = ran("init-db", "--print")
    plain = CliRunner().invoke(cli, ["init-db", "--print"])
    assert plain.stdout.split() == "\n".join(found["sql"]).split()
    assert "CREATE TABLE IF NOT EXISTS trades" in plain.stdout
    assert found["statements"] == len(found["sql"]) == ran("init-db")["statements"]


@pytest.mark.usefixtures("pipeline")
def test_init_db_can_begin_again() -> None:
    """A store that can't be emptied has to be deleted by hand; the log must survive."""
    assert ran("init-db", "--drop", "--yes")["created"]
    assert ran("verify", code=1)["ok"] is False
    ran("load")
    assert ran("verify")["ok"]


@pytest.mark.core
def test_what_load_says() -> None:
    """Monitoring reads these."""
    records = ran("replay", "sample:")["records"]
    ran("init-db")
    found = ran("load")
    at_least(found, "records valid quarantined ignored redelivered seconds position")
    assert (found["records"], found["redelivered"]) == (records, 0)
    assert ran("load")["records"] == 0


@pytest.mark.usefixtures("pipeline")
@pytest.mark.core
def test_what_verify_says() -> None:
    """A pipeline decides by these."""
    found = ran("verify", "--expect", "duplicates=5", "--run", "last", "--expect", "quarantined.null_field=5")
    at_least(found, "ok checks counts quarantined runs series")
    names = (
        "log.present log.complete log.identity log.intact ledger.complete accounting trades.accounted "
        "quarantine.accounted ids.contiguous"
    )
    names += " conflicts.none injected.found candles.exact expect.duplicates expect.quarantined.null_field"
    assert {check["name"] for check in found["checks"]} >= set(names.split())
    for check in found["checks"]:
        at_least(check, "name ok expected actual detail fix")
    at_least(found["counts"], "records trades duplicates conflicts quarantined ignored events redelivered candles")
    parts = "trades duplicates conflicts quarantined ignored events"
    assert sum(found["counts"][part] for part in parts.split()) == found["counts"]["records"]
    assert set(found["runs"]) == {"ended", "open", "recovered", "torn", "silent"}
    for series in found["series"]:
        at_least(series, "venue symbol channel trades first_id last_id duplicates conflicts coverage gaps uncovered")
        assert all(first <= last for first, last in series["coverage"])


@pytest.mark.usefixtures("pipeline")
def test_a_failed_check_is_exit_1_and_still_one_object() -> None:
    """A script that reads the object must not need another command for the reason."""
    found = ran("verify", "--expect", "trades=1", code=1)
    assert [check["name"] for check in found["checks"] if not check["ok"]] == ["expect.trades"]


@pytest.mark.usefixtures("pipeline")
@pytest.mark.core
def test_what_candles_says() -> None:
    """A price that went through a float, or a time without its zone, is another one to the reader."""
    found = ran("candles", "pepeusdt", "--interval", "2m")
    assert (found["venue"], found["symbol"], found["channel"], found["interval"]) == (
        "binance",
        "PEPEUSDT",
        "trade",
        "2m",
    )
    for candle in found["candles"]:
        for name in [
            "open",
            "high",
            "low",
            "close",
            "volume",
            "quote_volume",
            "taker_buy_volume",
            "taker_buy_quote_volume",
        ]:
            assert EXACT.fullmatch(candle[name]), (name, candle[name])
        assert candle["low"].startswith("0.0000")
        assert re.fullmatch(r"2024-08-09T1\d:\d[02468]:00Z", candle["open_time"])
        assert isinstance(candle["vwap"], float)
        assert isinstance(candle["volatility"], float)
        assert candle["complete"] in (True, False)
        assert all(isinstance(candle[name], int) for name in ("trades", "first_id", "last_id"))


@pytest.mark.usefixtures("pipeline")
def test_candles_as_csv_hold_the_same() -> None:
    """A table that rounds what JSON keeps gives two truths."""
    candles = ran("candles", "BTCUSDT")["candles"]
    head, *rows = [
        line.split(",") for line in CliRunner().invoke(cli, ["candles", "BTCUSDT", "--csv"]).stdout.splitlines()
    ]
    assert head == list(candles[0])
    assert rows == [
        [str(value).lower() if isinstance(value, bool) else str(value) for value in candle.values()]
        for candle in candles
    ]


def test_demo_says_what_verify_says_and_can_be_run_again() -> None:
    """The first thing anyone tries."""
    for _ in range(2):
        result = CliRunner().invoke(cli, ["demo", "--json"])
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)
        at_least(found, "ok checks counts quarantined runs series")
        assert found["ok"]
        assert (found["counts"]["duplicates"], found["counts"]["conflicts"], found["counts"]["quarantined"]) == (
            20,
            20,
            160,
        )
        assert (found["counts"]["trades"], [series["gaps"] for series in found["series"]]) == (7_922, [[], [], []])
        assert re.search(r"disconnected: .*connected to .*gap in BTCUSDT.*repaired BTCUSDT", result.stderr, re.DOTALL)
    assert "file:tradecap-demo/log" in result.stderr.splitlines()[0]
    assert "\\n" not in result.stderr
    assert "Look around:" in result.stderr.splitlines()


def test_demo_removes_only_its_own() -> None:
    """A folder of that name with somebody's work in it."""
    Path("tradecap-demo").mkdir()
    Path("tradecap-demo/work").write_text("mine")
    result = CliRunner().invoke(cli, ["demo"])
    assert (result.exit_code, Path("tradecap-demo/work").read_text()) == (2, "mine")


def test_what_config_says() -> None:
    """Which of the four places a value comes from is what one asks when the wrong log was written."""
    found = ran("config")
    assert {value["name"] for value in found["values"]} >= {"log", "store", "profile", "config"}
    for value in found["values"]:
        at_least(value, "name value source")


# ---- other processes -------------------------------------------------------------------------------------------------


@contextmanager
def running(*args: str, preexec: Callable[[], object] | None = None) -> Iterator["subprocess.Popen[str]"]:
    """The program, once it has named log and store; killed at the end, should it still be there."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [PROGRAM, *args], stdin=pipe, stdout=pipe, stderr=pipe, text=True, preexec_fn=preexec
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline().rstrip() == FIRST_LINE
            yield process
        finally:
            process.kill()


def wait_until(is_so: Any) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def records_in_the_log() -> int:
    return sum(batch.records for batch in open_log("file:tradecap-data/log").read())


def unread(pipe: int) -> int:
    """Bytes in a pipe that its reader hasn't taken."""
    waiting = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0]


def log_has(records: int) -> bool:
    return Path("tradecap-data/log/log.json").exists() and records_in_the_log() >= records


@pytest.mark.usefixtures("pipeline")
def test_a_store_that_is_held_is_named_with_its_holder() -> None:
    """Two processes in one embedded store would spoil it; the process that has it is the one thing to know."""
    with running("load", "--follow") as holder:
        lock = Path("tradecap-data/db/tradecap.lock")
        wait_until(lambda: lock.read_text().strip() == str(holder.pid))
        for command in ("load", "verify", "candles BTCUSDT", "init-db", "replay sample: --load"):
            result = CliRunner().invoke(cli, [*command.split(), "-q"])
            answer, hint = result.stderr.splitlines()
            assert answer == f"Store tradecap-data/db is in use by process {holder.pid}."
            assert hint.startswith("hint: ")
            assert (result.exit_code, result.stdout) == (3, "")


def test_verify_waits_for_the_process_that_holds_the_store(tradecap: Program) -> None:
    """With an embedded store the process that loads is the one that keeps verify out: waiting must cover that."""
    # nothing is left to load: a slow holder may be stopped before it has loaded anything
    for command in ("init-db", "replay sample:", "load"):
        ran(*command.split())
    with running("load", "--follow") as holder:
        lock = Path("tradecap-data/db/tradecap.lock")
        wait_until(lambda: lock.read_text().strip() == str(holder.pid))
        with subprocess.Popen(
            [PROGRAM, "verify", "--wait", "5m", "--json", "-q"], stdout=subprocess.PIPE, text=True
        ) as waiting:
            time.sleep(1)
            holder.send_signal(signal.SIGTERM)
            holder.communicate(timeout=60)
            answer, _ = waiting.communicate(timeout=60)
    assert json.loads(answer)["ok"]
    assert tradecap("verify", "--wait", "0s", "-q").returncode == 0


@pytest.mark.parametrize("command", ["replay sample:", "inject-bad --nulls 1"])
def test_a_log_that_is_written_is_named_with_its_writer(command: str) -> None:
    """Two writers would number two records alike."""
    ran("replay", "sample:")
    with open_log("file:./tradecap-data/log", segment_bytes=10**8, segment_age_s=600).writer():
        done = subprocess.run([PROGRAM, *command.split(), "-q"], capture_output=True, text=True, timeout=60)
    assert f"is being written by process {os.getpid()}." in done.stderr
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 2)


@pytest.mark.usefixtures("pipeline")
def test_the_first_line_is_all_that_head_takes() -> None:
    """`tradecap candles X | head -1` is how everybody looks first."""
    shell = f"set -o pipefail; '{PROGRAM}' candles BTCUSDT -q | head -1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("BTCUSDT · binance · trade")


# ---- ends ------------------------------------------------------------------------------------------------------------


def recording(minutes: int) -> str:
    lines = [
        b"%d " % (1_723_204_800_000_000_000 + n * 10**8) + message
        for n, message in enumerate(some_messages(range(600 * minutes)))
    ]
    Path("capture").write_bytes(b"\n".join(lines) + b"\n")
    return "capture"


def events() -> list[str]:
    return [envelope.event for envelope, _, _ in read_lines(open_log("file:tradecap-data/log")) if envelope.event]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_replay_that_is_stopped_ends_its_run(number: int, seed: int) -> None:
    """Without the end record a stopped run counts as torn; without the summary nobody knows how far it came."""
    with running("replay", recording(10), "--speed", "10", "--json") as process:
        wait_until(lambda: log_has(1))
        time.sleep(random.Random(seed).random())
        process.send_signal(number)
        answer, report = process.communicate(timeout=60)
    assert process.returncode == 0, report
    assert "stopping: finishing what was taken in" in report
    found = json.loads(answer)
    assert found["lines"] == found["valid"] < 6000
    assert found["records"] == records_in_the_log() == found["valid"] + 2
    assert events() == ["started", "ended"]
    ran("init-db")
    ran("load")
    assert ran("verify", "--expect", f"trades={found['valid']}")["ok"]


def test_nohup_keeps_a_command_running_when_its_terminal_closes() -> None:
    """Someone who starts a capture with nohup and logs out expects it to go on."""
    with running("replay", "-", "--json", preexec=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        assert process.stdin is not None
        process.stdin.write(a_message(1).decode() + "\n")
        process.stdin.flush()
        wait_until(lambda: log_has(1))
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        process.stdin.write(a_message(2).decode() + "\n")
        process.stdin.close()
        process.stdin = None
        answer, report = process.communicate(timeout=60)
    assert process.returncode == 0, report
    assert json.loads(answer)["valid"] == 2


def test_a_replay_that_waits_for_its_input_can_be_stopped() -> None:
    """A pipe that has gone quiet must not keep the run from its end."""
    with running("replay", "-", "--json") as process:
        assert process.stdin is not None
        process.stdin.write(a_message(1).decode() + "\n" + a_message(2).decode() + "\n")
        process.stdin.flush()
        pipe = process.stdin.fileno()
        wait_until(lambda: log_has(1) and unread(pipe) == 0)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: process.poll() is not None)
        answer, report = process.communicate(timeout=60)
    assert process.returncode == 0, report
    assert json.loads(answer)["valid"] == 2
    assert events() == ["started", "ended"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_load_that_follows_can_be_stopped(number: int) -> None:
    """It has no other end; what it loaded has to be counted and kept."""
    ran("init-db")
    ran("replay", "sample:")
    with running("load", "--follow", "--json") as process:
        lock = Path("tradecap-data/db/tradecap.lock")
        wait_until(lambda: lock.exists() and lock.read_text().strip() == str(process.pid))
        time.sleep(random.Random(number).random())
        process.send_signal(number)
        answer, report = process.communicate(timeout=60)
    assert process.returncode in (0, 130), report
    assert "Traceback" not in report
    if process.returncode == 0:
        assert json.loads(answer)["redelivered"] == 0
    ran("load")
    assert ran("verify")["ok"]


def test_a_second_signal_stops_at_once_and_loses_nothing_that_was_safe() -> None:
    """A drain that hangs must be stoppable without kill -9, and the next run says how far this one came."""
    with running("replay", recording(10), "--speed", "10") as process:
        wait_until(lambda: log_has(20))
        safe = records_in_the_log()
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        _, report = process.communicate(timeout=60)
    assert process.returncode in (0, 130), report
    ran("replay", "sample:", "--limit", "1")
    assert records_in_the_log() >= safe + 3
    ran("init-db")
    ran("load")
    assert ran("verify")["ok"]

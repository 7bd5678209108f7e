"""How commands end: one sentence, a hint, the right exit code, whatever happens."""

import errno
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tradecap.cli import COMMANDS, cli, load_command
from tradecap.cli.explain import explain
from tradecap.errors import Exit, TradecapError

from .conftest import PROGRAM, Program, scripted

LOOPS = """
with interruptible(out) as stop:
    out.lines(["ready"])
    while not stop():
        threading.Event().wait(0.01)
    out.lines(["draining"])
    {then}
out.lines(["drained"])
return Exit.CHECK_FAILED
"""


def ending(*args: str) -> Result:
    result = CliRunner().invoke(cli, args)
    assert "Traceback" not in result.output
    return result


@contextmanager
def running(body: str) -> Iterator["subprocess.Popen[str]"]:
    """A scripted command that has reported it is ready; killed at the end, should it still be there."""
    # a suite in the background of a shell script is started with SIGINT ignored, and so would be its children
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        scripted(body), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeding
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def nobody_reads() -> Iterator[int]:
    """The writing end of a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


@pytest.mark.parametrize(
    ("args", "sentence", "hint"),
    [
        (["config", "--nope"], r"No such option(: --nope| '--nope')", "hint: see 'tradecap config --help'."),
        (["nope"], r"No such command 'nope'\.", "hint: see 'tradecap --help'."),
        (["--nope"], r"No such option(: --nope| '--nope')", "hint: see 'tradecap --help'."),
        (["completion"], "Missing argument", "hint: see 'tradecap completion --help'."),
        (["config", "extra"], r"Got unexpected extra argument \(extra\)", "hint: see 'tradecap config --help'."),
        (
            ["config", "--config", "no.toml"],
            r"\./no\.toml cannot be read: No such file or "
            r"directory\.",
            "hint: name another with --config",
        ),
    ],
)
@pytest.mark.core
def test_wrong_usage_is_one_sentence_and_a_hint(args: list[str], sentence: str, hint: str) -> None:
    """Without the two lines, a person reads a usage screen and guesses."""
    result = ending(*args)
    answer, advice = result.stderr.splitlines()
    assert re.match(sentence, answer)
    assert answer.endswith((".", "?"))
    assert advice.startswith(hint)
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("verfy", "verify"), ("Stream", "stream"), ("inject_bad", "inject-bad"), ("candels", "candles")],
)
def test_a_command_that_was_misspelt_is_suggested(typed: str, meant: str) -> None:
    """A typing error would send a person to the list of all commands."""
    result = ending(typed, "--whatever")
    answer, advice = result.stderr.splitlines()
    assert answer == f"No such command {typed!r}."
    assert advice.startswith(f"hint: did you mean 'tradecap {meant}'?")
    assert result.exit_code == 2


def test_a_command_that_does_not_exist_is_unknown() -> None:
    """A promise isn't a command: a script couldn't tell a version that has it from one that hasn't."""
    result = ending("backfill", "--help")
    assert result.stderr.startswith("No such command 'backfill'.\nhint: ")
    assert result.exit_code == 2


def test_the_list_of_commands_holds_what_there_is() -> None:
    """A command that is listed and not there, or there and not listed, is a promise broken."""
    result = ending("--help")
    listed = [line.split()[0] for line in result.stdout.split("Commands:\n")[1].split("\n\n")[0].splitlines()]
    assert listed == list(COMMANDS)
    assert ending().stdout == result.stdout
    assert result.stdout.startswith("Replayable market capture")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    """The list is kept apart so that --help needn't import every command; the two would drift."""
    assert load_command(name).summary == COMMANDS[name]
    assert load_command(name).name == name


def test_starting_loads_no_database_and_draws_nothing() -> None:
    """--help that imports chdb takes a second and a gigabyte of address space."""
    ask = (
        "import sys; from tradecap.cli import run; run(sys.argv[1:]); print({'chdb', 'clickhouse_connect', "
        "'pandas'} & set(sys.modules))"
    )
    for args in (["--help"], ["config", "-q"], ["completion", "bash"]):
        done = subprocess.run([sys.executable, "-c", ask, *args], capture_output=True, text=True, timeout=60)
        assert done.stdout.splitlines()[-1] == "set()"


def test_our_own_mistakes_say_so_and_show_the_traceback_only_when_asked() -> None:
    """A traceback tells most people nothing, and the one who reports the mistake needs it."""
    command = scripted("raise KeyError('pw in clickhouse://u:pw@host/db')")
    short = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert short.stderr.startswith("Internal error: KeyError: ")
    assert "hint: this is a mistake of tradecap; run it again with -vv" in short.stderr
    assert len(short.stderr.splitlines()) == 2
    assert short.returncode == 2
    long = subprocess.run([*command, "-vv"], capture_output=True, text=True, timeout=60)
    assert "Traceback (most recent call last)" in long.stderr
    assert "u:***@host" in long.stderr.splitlines()[-2]
    assert ":pw@" not in short.stderr + long.stderr.replace("raise KeyError('pw in clickhouse://u:pw@host/db')", "")


@pytest.mark.parametrize(
    ("error", "code", "answer"),
    [
        (TradecapError("Held.", "wait.", Exit.UNREACHABLE), 3, "Held."),
        (OSError(errno.ENOSPC, "No space left on device", "log/000.ndjson"), 4, "log/000.ndjson: the disk is full."),
        (PermissionError(errno.EACCES, "Permission denied", "log"), 2, "log: no permission (Permission denied)."),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.gz"), 2, "a.gz: No such file or directory."),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
            3,
            "the connection failed (Connection refused).",
        ),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 3, "the connection failed (Broken pipe)."),
        (TimeoutError(), 3, "the connection failed (TimeoutError)."),
        (KeyboardInterrupt(), 130, "Stopped at once."),
        (ValueError("two\nlines"), 2, "Internal error: ValueError: two lines."),
    ],
)
def test_every_end_has_its_exit_code(error: BaseException, code: int, answer: str) -> None:
    """Scripts act on the exit code: 1 would claim that a check failed, 0 that all is well."""
    report = explain(error)
    assert (report.code, report.message) == (code, answer)
    assert report.hint.endswith(".")


@pytest.mark.parametrize(
    "args", [["config"], ["--help"], ["config", "--help"], ["completion", "bash"], ["--version"], ["config", "--json"]]
)
def test_a_reader_that_has_gone_is_no_error(args: list[str], tradecap: Program) -> None:
    """`tradecap ... | head` would end in a BrokenPipeError, or in exit 120 when Python flushes for the last time."""
    with nobody_reads() as gone:
        done = tradecap(*args, stdout=gone)
    assert "Broken" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.returncode == 0


def test_a_failed_check_stays_failed_when_nobody_reads() -> None:
    """`set -o pipefail; tradecap verify | head -1` would call a broken store sound."""
    with nobody_reads() as gone:
        body = 'out.show({"ok": False}, lambda: "no")\nout.show({"ok": False}, lambda: "no")\nreturn Exit.CHECK_FAILED'
        done = subprocess.run(scripted(body), stdout=gone, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")


def test_messages_that_nobody_reads_stop_nothing(tradecap: Program) -> None:
    """A load must not break off because the terminal with its messages was closed."""
    with nobody_reads() as gone:
        done = tradecap("config", "--json", stderr=gone)
    assert done.returncode == 0
    assert json.loads(done.stdout)["values"]


def test_a_result_that_cannot_be_written_is_an_error(tradecap: Program) -> None:
    """A result cut short on a full disk with exit 0 is taken for the whole."""
    with Path("/dev/full").open("w") as full:
        done = tradecap("config", "--json", "-q", stdout=full)
    assert done.stderr.splitlines()[0] == "The result couldn't be written to standard output: No space left on device."
    assert "Exception" not in done.stderr
    assert done.returncode == 4


def test_closed_streams_are_no_error() -> None:
    """Services are started without a terminal, and some without streams."""
    done = subprocess.run(["/bin/sh", "-c", f"exec '{PROGRAM}' config >&- 2>&-"], timeout=60)
    assert done.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_a_command_drain(number: int) -> None:
    """A capture that is stopped must write what it took in, and end by its result."""
    with running(LOOPS.format(then="pass")) as process:
        process.send_signal(number)
        answer, report = process.communicate(timeout=60)
    assert answer == "draining\ndrained\n"
    assert report == "stopping: finishing what was taken in (once more to stop at once)\n"
    assert process.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_stops_at_once(number: int) -> None:
    """A drain that hangs (a broker that is away) must be stoppable without kill -9."""
    with running(LOOPS.format(then="threading.Event().wait(30)")) as process:
        assert process.stdout is not None
        process.send_signal(number)
        assert process.stdout.readline() == "draining\n"
        process.send_signal(number)
        answer, report = process.communicate(timeout=60)
    assert answer == ""
    assert report.splitlines()[-2:] == [
        "Stopped at once.",
        "hint: what was acknowledged is safe; the same command may be run again.",
    ]
    assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_does_not_loop_is_stopped_and_cleans_up(number: int) -> None:
    """A SIGTERM that skips `finally` leaves locks and temporary files behind."""
    with running(
        'try:\n    out.lines(["ready"])\n    threading.Event().wait(30)\nfinally:\n    out.lines(["closed"])'
    ) as process:
        process.send_signal(number)
        answer, report = process.communicate(timeout=60)
    assert answer == "closed\n"
    assert report.startswith("Stopped at once.\nhint: ")
    assert process.returncode == 130


def test_with_json_messages_errors_are_json_as_well() -> None:
    """A collector of logs that parses every line would lose the one that matters."""
    done = subprocess.run(
        [*scripted("raise TimeoutError"), "--log-format", "json"], capture_output=True, text=True, timeout=60
    )
    line = json.loads(done.stderr)
    assert (line["level"], line["exit_code"]) == ("error", 3)
    assert set(line) == {"time", "level", "message", "hint", "exit_code"}
    assert line["time"].endswith("Z")


@pytest.mark.parametrize(("setting", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
@pytest.mark.core
def test_colours_only_where_they_are_wanted(setting: dict[str, str], coloured: bool) -> None:
    """Escape signs on a terminal that doesn't want them make the message unreadable."""
    ours, theirs = pty.openpty()
    subprocess.run([PROGRAM, "nope"], stderr=theirs, env={**os.environ, "TERM": "xterm", **setting}, timeout=60)
    os.close(theirs)
    answer = os.read(ours, 4096)
    os.close(ours)
    assert b"No such command" in answer
    assert (b"\x1b[31m" in answer) is coloured

"""What is printed, where, and in which form."""

import json
import logging
import pty
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from os import fdopen, read
from threading import Thread

import pytest

from tradecap.cli import output
from tradecap.cli.output import Output, joined, lost, number, proven, span, stacked, table

pytestmark = pytest.mark.core


def speaking(*, json: bool = False, quiet: bool = False, verbosity: int = 0, json_messages: bool = False) -> Output:
    out = Output()
    out.json_messages = json_messages
    out.configure(json=json, quiet=quiet, verbosity=verbosity)
    return out


class Terminal:
    """A terminal of 80 columns. It is read all the time, since a full one would make the writer wait."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        self.stream = fdopen(theirs, "w")
        self._seen: list[bytes] = []
        self._reader = Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # Linux says EIO where a terminal ends
            while piece := read(self._ours, 4096):
                self._seen.append(piece)

    def seen(self) -> str:
        """All that was written, after which the terminal is closed."""
        self.stream.close()
        self._reader.join(timeout=60)
        assert not self._reader.is_alive()
        return b"".join(self._seen).decode()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    window = Terminal()
    yield window
    window.seen()


def test_json_is_one_object_with_exact_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """Money as a JSON number is rounded by most readers; a time without its zone is read as local."""
    when = datetime(2024, 8, 9, tzinfo=UTC)
    speaking(json=True).show(
        {"price": Decimal("0.00000741"), "open_time": when, "n": 18204, "vwap": 1.5}, lambda: "never drawn"
    )
    answer = capsys.readouterr().out
    assert answer == '{"price":"0.00000741","open_time":"2024-08-09T00:00:00Z","n":18204,"vwap":1.5}\n'


def test_people_get_the_picture_and_nothing_that_only_looks_like_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets in the data would vanish, or colour the rest."""
    speaking().show({}, lambda: stacked(joined("gap ", lost("[1,5]"), " lost"), table(("range",), [("[red]",)])))
    assert capsys.readouterr().out == "gap [1,5] lost\nrange\n[red]\n"


def test_tables_group_numbers_and_set_them_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Digits that aren't aligned below each other can't be compared by eye."""
    speaking().show({}, lambda: table(("name", "count"), [("a", 7), ("bb", 18204), ("c", None), ("d", True)]))
    assert capsys.readouterr().out.splitlines() == [
        "name   count",
        "a          7",
        "bb    18\u202f204",
        "c",
        "d        yes",
    ]


def test_a_terminal_gets_colours_and_its_own_width(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The colour is what makes a lost record jump to the eye; a line wider than the terminal breaks where it
    shouldn't."""
    monkeypatch.setattr("sys.stdout", terminal.stream)
    speaking().show({}, lambda: joined("word " * 20, proven("proven")))
    seen = terminal.seen()
    assert "\x1b[32mproven\x1b[0m" in seen
    assert seen.splitlines()[0] == "word " * 15 + "word "


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (18204, "18\u202f204"), (-1000, "-1\u202f000"), (10**9, "1\u202f000\u202f000\u202f000")],
)
def test_numbers_are_grouped(value: int, text: str) -> None:
    """Nobody counts the digits of 100000000."""
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.44, "0.4 s"),
        (12.4, "12 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (3599.9, "1 h 0 min"),
    ],
)
def test_spans_are_written_as_people_say_them(seconds: float, text: str) -> None:
    """`60 s` or `0 min 60 s` looks like a mistake in the count itself."""
    assert span(seconds) == text


@pytest.mark.parametrize(("how", "lines"), [({}, 1), ({"quiet": True}, 0), ({"json": True}, 0)])
def test_progress_in_a_pipe_is_a_line_now_and_then(
    how: dict[str, bool], lines: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CI log without any sign of life for ten minutes is killed; one with a bar in it is unreadable."""
    monkeypatch.setattr(output, "PLAIN_PROGRESS_S", 0.0)
    with speaking(**how).progress("loading", total=5_000_000) as advance:
        time.sleep(0.01)
        advance(1_204_000)
    answer = capsys.readouterr().err.splitlines()
    assert len(answer) == lines
    assert all(
        line.startswith("loading: 24 %, 1\u202f204\u202f000 of 5\u202f000\u202f000 records, ")
        and line.endswith(" left")
        for line in answer
    )


def test_progress_is_silent_before_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each batch would drown what matters."""
    with speaking().progress("loading") as advance:
        advance(1)
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_is_a_bar_that_goes_away(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone who watches wants to see how far it is, and the summary alone when it is done."""
    monkeypatch.setattr("sys.stderr", terminal.stream)
    with speaking().progress("loading") as advance:
        advance(500, total=1000)
    seen = terminal.seen()
    assert "loading" in seen
    assert "500 of 1\u202f000 records" in seen
    assert seen.rstrip().endswith("\x1b[2K")


@pytest.mark.parametrize(
    ("how", "heard"), [({}, ["warning"]), ({"verbosity": 1}, ["info", "warning"]), ({"quiet": True}, [])]
)
def test_messages_of_libraries_follow_v_and_q(
    how: dict[str, int], heard: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """-v that leaves a library's reason out, or -q that lets its chatter through, would be useless."""
    speaking(**how)  # type: ignore[arg-type]  # True and 1 for the keywords above
    logging.getLogger("a.library").info("sees %s", "clickhouse://u:pw@host")
    logging.getLogger("a.library").warning("retries")
    answer = capsys.readouterr().err
    assert [line.split(":")[0] for line in answer.splitlines()] == heard
    assert "pw" not in answer


def test_passwords_are_masked_value_by_value_in_json() -> None:
    """Masked as a whole, a line lost what was between two URLs, or was not JSON any more."""
    out = speaking(json_messages=True)
    log, store = "kafka://broker:19092/trades", "clickhouse://default@host:8123/market?password=hunter2"
    line = out.message("info", f"log {log}", log=log, store=store, series=[{"url": "ws://me:hunter2@host"}])
    answer = json.loads(line)
    assert "hunter2" not in line
    assert (answer["log"], answer["store"]) == (log, "clickhouse://default@host:8123/market?password=***")
    assert answer["series"] == [{"url": "ws://me:***@host"}]


def test_json_messages_are_a_line_of_json_each(capsys: pytest.CaptureFixture[str]) -> None:
    """A collector of logs takes a line for a message."""
    out = speaking(json_messages=True)
    out.note("loaded", records=5)
    logging.getLogger("a.library").warning("two\nlines")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["message"], first["records"], first["level"]) == ("loaded", 5, "info")
    assert (second["message"], second["logger"], second["level"]) == ("two\nlines", "a.library", "warning")


def test_quiet_silences_notes_and_no_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    """-q means: say only what is wrong."""
    out = speaking(quiet=True)
    out.note("loaded")
    out.warn("2 records are late")
    assert capsys.readouterr().err == "2 records are late\n"

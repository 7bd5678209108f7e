"""tradecap stream, as people and scripts run it."""

import io
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from tests.builders import a_trade
from tests.cli.conftest import PROGRAM, Program
from tests.exchange import Running, running, until
from tests.test_listening import has_ipv6
from tests.venues import peer
from tradecap.cli.stream_view import draw
from tradecap.flows.capture.counts import CaptureCounts
from tradecap.flows.capture.status import Status
from tradecap.flows.records import read_lines
from tradecap.log import open_log
from tradecap.market.id_book import IdBook
from tradecap.market.records import Trade
from tradecap.simulate.tls import throw_away

Finished = subprocess.CompletedProcess[str]
FREE = ("--min-free", "1KB")


@pytest.fixture
def exchange() -> Iterator[Running]:
    with running() as exchange:
        yield exchange


def started(exchange: Running, *args: str) -> "subprocess.Popen[str]":
    """A capture that runs, and is connected."""
    process = subprocess.Popen(
        [PROGRAM, "stream", "btcusdt", "--ws-url", exchange.url, *FREE, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    exchange.until_heard()
    return process


def until_captured(trades: int) -> None:
    """Wait until this many trades are in the log: on a slow machine they are still in the socket when it is asked to
    end."""
    until(lambda: Path("tradecap-data/log/log.json").exists() and trades_in_the_log() >= trades)


def trades_in_the_log() -> int:
    return sum(type(reading) is Trade for _, reading, _ in read_lines(open_log("file:tradecap-data/log")))


def ended(process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> tuple[int, str, str]:
    """Ask it to end; exit code, stdout, stderr."""
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.core
def test_the_result_is_one_object_with_the_keys_of_the_contract(exchange: Running) -> None:
    """Scripts read these keys."""
    process = started(exchange, "--json")
    exchange.play(25)
    until_captured(25)
    code, out, _ = ended(process)
    result = json.loads(out)
    assert code == 0
    assert (
        result["valid"],
        result["duplicates_dropped"],
        result["quarantined"],
        result["undelivered"],
        result["reconnects"],
    ) == (25, 0, 0, 0, 0)
    assert (result["gaps_found"], result["gaps_repaired"]) == (0, 0)
    assert result["records"] == 28
    assert result["series"] == [
        {"venue": "binance", "symbol": "BTCUSDT", "channel": "trade", "first_id": 1, "last_id": 25, "trades": 25}
    ]
    assert result["run"]
    assert result["seconds"] > 0


def test_where_no_terminal_is_the_lines_are_json(exchange: Running) -> None:
    """What a log collector can't read is lost to it."""
    process = started(exchange)
    exchange.fire("abort")
    until(lambda: exchange.exchange.counts["connections"] == 2)
    exchange.until_heard()  # a trade before the subscription would be nobody's
    exchange.play(1)
    until_captured(1)
    code, _, err = ended(process)
    printed = [json.loads(line) for line in err.splitlines()]
    assert code == 0
    assert printed[0]["log"] == "file:./tradecap-data/log"
    assert any(line["level"] == "warning" and line.get("failure") == "aborted" for line in printed)


@pytest.mark.parametrize(
    "args",
    [["--duration", "0"], ["--nonsense"], [], ["BTCUSDT", "--ws-url", "nowhere"], ["BTCUSDT", "--log", "x", "-vv"]],
)
def test_where_no_terminal_is_errors_are_json_too(tradecap: Program, args: list[str]) -> None:
    """The line that says why a service doesn't start is the one a log collector must not lose."""
    finished = tradecap("stream", *args)
    printed = [json.loads(line) for line in finished.stderr.splitlines()]
    assert printed[-1]["level"] == "error"
    assert printed[-1]["exit_code"] == finished.returncode == 2


def test_text_can_be_asked_for_without_a_terminal(tradecap: Program) -> None:
    """A person who keeps the lines in a file to read them couldn't."""
    finished = tradecap("stream", "BTCUSDT", "--ws-url", "nowhere", "--log-format", "text")
    assert finished.stderr.startswith("log file:./tradecap-data/log")
    assert "hint: write it like --ws-url" in finished.stderr


@pytest.mark.core
def test_on_a_terminal_it_shows_how_far_it_is_proven(exchange: Running) -> None:
    """A person would look at an empty prompt for hours."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "stream", "BTCUSDT", "--ws-url", exchange.url, "--duration", "4s", *FREE],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    exchange.until_heard()
    exchange.play(12)
    shown = b""
    with suppress(OSError):  # Linux's way to say that the other side has closed
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    assert process.wait(60) == 0
    assert re.search(rb"BTCUSDT\s+\S+\s+12\s+12\s", shown.split(b"proven to id")[-1])
    assert b"1 connection up" in shown
    assert b"connected to" in shown


def test_ctrl_c_is_acknowledged(exchange: Running) -> None:
    """The table went over the word, and for the seconds of a last repair nothing seemed to happen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "stream", "BTCUSDT", "--ws-url", exchange.url, *FREE], stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while b"proven to id" not in shown:
        shown += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    with suppress(OSError):
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    assert process.wait(60) == 0
    assert shown.count(b"stopping: finishing") == 1
    assert shown.split(b"stopping:")[0].endswith((b"\n", b"\x1b[2K"))  # on a line of its own


@pytest.mark.parametrize(("columns", "lines"), [(40, 10), (60, 12), (100, 8), (200, 50)])
def test_on_a_small_terminal_what_matters_is_not_cut_off(columns: int, lines: int) -> None:
    """If a table is higher than the terminal, rich shows its top: rate and gaps were below it."""
    books = {f"S{number}USDT": IdBook() for number in range(30)}
    for book in books.values():
        book.take(a_trade(id=3722410944), 1, 0.0)
    status = Status("run", books, 60.0)
    status.count(CaptureCounts(valid=1, records=1))
    seen = Console(file=io.StringIO(), width=columns, height=lines, highlight=False, force_terminal=True, no_color=True)
    seen.print(draw(status, columns, lines))
    printed = seen.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    assert len(printed) < lines
    assert printed[0].startswith("1 trade, ")
    assert "proven to id" in "".join(printed)
    assert "3722410944" in "".join(printed)
    assert "more" in printed[-1]


@pytest.mark.core
def test_it_captures_loads_and_is_proven_in_one_process(exchange: Running, tradecap: Program) -> None:
    """The shortest way from the venue to a candle that is proven."""
    assert tradecap("init-db", "-q").returncode == 0
    process = started(exchange, "--load", "--json")
    exchange.play(200)
    exchange.fire("drop", count=5)
    exchange.play(100)
    until_captured(300)
    code, out, err = ended(process)
    assert code == 0, err
    result = json.loads(out)
    assert (result["load"]["valid"], result["gaps_repaired"]) == (300, 1)
    verdict = tradecap("verify", "--json", "--expect", "trades=300")
    assert verdict.returncode == 0, verdict.stdout


def test_after_kill_9_the_next_capture_makes_it_whole(exchange: Running, tradecap: Program) -> None:
    """Whoever pulls the plug would have to know which trades are gone."""
    process = started(exchange)
    exchange.play(50)
    until_captured(50)
    assert ended(process, signal.SIGKILL)[0] == -signal.SIGKILL
    until(lambda: not exchange.exchange.sockets)
    exchange.play(30)
    process = started(exchange, "--json")
    exchange.play(1)
    until_captured(81)
    code, out, _ = ended(process)
    assert (code, json.loads(out)["gaps_repaired"]) == (0, 1)
    tradecap("init-db", "-q")
    assert tradecap("load", "-q").returncode == 0
    verdict = json.loads(tradecap("verify", "--json").stdout)
    assert verdict["ok"]
    assert (verdict["counts"]["trades"], verdict["runs"]["recovered"]) == (81, 1)


def test_its_last_line_says_what_is_missing(exchange: Running) -> None:
    """Someone who reads the end of a service's log would take the capture for whole."""
    process = started(exchange, "--no-repair")
    exchange.play(5)
    exchange.fire("drop", count=3)
    exchange.play(5)
    until_captured(7)
    code, out, _ = ended(process)
    assert code == 0
    assert out.splitlines()[-1] == "1 gap stays open: 3 ids missing"
    assert "BTCUSDT 6 to 8 stay open: repair is turned off" in out
    assert "no id is missing" not in out


def test_its_last_line_says_what_is_odd() -> None:
    """'No id is missing' would be printed of a log with an id in it that nobody can place."""
    printed = [peer.trade(number) for number in (1, 2, 10**15, 3)]

    def ws(client: peer.Client) -> None:
        client.accept()
        client.grant()
        for text in printed:
            client.say(text)
        client.until_gone()

    with peer.peering(ws) as venue:
        for args in ((), ("--json",)):
            command = [
                PROGRAM,
                "stream",
                "BTCUSDT",
                "--ws-url",
                venue.url,
                "--max-trades",
                "4",
                "--log",
                f"file:log{len(args)}",
                *FREE,
                *args,
            ]
            finished = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert finished.returncode == 0, finished.stderr
            assert "id 1000000000000000 is far from the expected 3" in finished.stderr
            if args:
                result = json.loads(finished.stdout)
                assert (result["valid"], result["outliers"], result["moves"], result["gaps_open"]) == (4, 1, 0, [])
            else:
                assert finished.stdout.splitlines()[-1] == (
                    "no gap in the series; 1 id far from the series, see the events: verify shows the ids between "
                    "as missing"
                )


def test_an_unknown_symbol_is_refused_before_anything_is_written(exchange: Running, tradecap: Program) -> None:
    """The capture would run forever, and capture nothing."""
    finished = tradecap("stream", "BTCUSD", "--ws-url", exchange.url)
    assert finished.returncode == 2
    assert "did you mean BTCUSDT?" in finished.stderr
    assert not finished.stdout


def test_a_blocked_place_gets_a_hint(exchange: Running, tradecap: Program) -> None:
    """People who live there would think that tradecap is broken."""
    exchange.fire("http", status=451, on="both", for_s=30)
    finished = tradecap("stream", "BTCUSDT", "--ws-url", exchange.url)
    assert finished.returncode == 3
    assert "--venue binance-data" in finished.stderr


def test_a_disk_that_is_too_full_is_refused(exchange: Running, tradecap: Program) -> None:
    """It would begin, and end a moment later."""
    finished = tradecap("stream", "BTCUSDT", "--ws-url", exchange.url, "--min-free", "9000TB")
    assert finished.returncode == 4
    assert "--min-free" in finished.stderr


def test_nobody_there_is_an_error_in_time(tradecap: Program) -> None:
    """A script would wait for a venue that isn't there."""
    finished = tradecap("stream", "BTCUSDT", "--ws-url", "ws://127.0.0.1:9", "--duration", "1s", *FREE)
    assert finished.returncode == 3
    assert "refused" in finished.stderr


@pytest.mark.core
def test_it_speaks_tls_and_checks_the_certificate(tmp_path: Path) -> None:
    """A man in the middle could trade us a market of his own."""
    context, ca = throw_away("127.0.0.1", tmp_path)
    with running(tls=context) as exchange:
        exchange.play(5)
        command = [PROGRAM, "stream", "BTCUSDT", "--ws-url", exchange.url, "--duration", "1s", "--json", *FREE]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert refused.returncode == 3
        assert "certificate" in refused.stderr
        assert "SSL_CERT_FILE" in refused.stderr
        until_five = [*command[: command.index("--duration")], "--max-trades", "5", "--json", *FREE]
        trusting = subprocess.Popen(
            until_five, stdout=subprocess.PIPE, text=True, env={**os.environ, "SSL_CERT_FILE": str(ca)}
        )
        exchange.until_heard()
        exchange.play(5)
        assert json.loads(trusting.communicate(timeout=60)[0])["valid"] == 5


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_without_ca_certificates_the_hint_says_where_they_come_from(tmp_path: Path, kind: str) -> None:
    """In a slim container every venue is untrusted: nobody would think of a missing package."""
    context, _ = throw_away("127.0.0.1", tmp_path)
    store, folder = tmp_path / "none.pem", tmp_path / "none"
    if kind == "empty":
        store.touch()
        folder.mkdir()
    env = {**os.environ, "SSL_CERT_FILE": str(store), "SSL_CERT_DIR": str(folder)}
    with running(tls=context) as exchange:
        command = [PROGRAM, "stream", "BTCUSDT", "--ws-url", exchange.url, "--duration", "3s", *FREE]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    printed = [json.loads(line) for line in finished.stderr.splitlines()]
    checked = next(line["message"] for line in printed if "couldn't be checked" in line["message"])
    assert finished.returncode == 3
    for text in (checked, printed[-1]["hint"]):
        assert "this machine has no CA certificates" in text
        assert "SSL_CERT_FILE" in text
        assert "ca-certificates" in text


@pytest.mark.core
def test_a_monitor_can_ask_how_it_is(exchange: Running) -> None:
    """Nobody would be woken when the capture is blind."""
    process = started(exchange, "--metrics-port", "0")
    assert process.stderr
    port = next(json.loads(line)["port"] for line in process.stderr if '"port"' in line)

    def ask(path: str, host: str = "127.0.0.1") -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    until(lambda: ask("ready") == (503, "nothing of BTCUSDT yet\n"))
    assert ask("health") == (200, "ok\n")
    exchange.play(5)
    until(lambda: ask("ready") == (200, "ok\n"))
    until(lambda: "tradecap_valid_total 5.0" in ask("metrics")[1])
    assert 'tradecap_proven_id{symbol="BTCUSDT"} 5.0' in ask("metrics")[1]
    assert ask("nowhere")[0] == 404
    assert ask("health", "[::1]" if has_ipv6() else "127.0.0.1") == (200, "ok\n")
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by a reset
            rude.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert ask("health") == (200, "ok\n")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert all(json.loads(line) for line in err.splitlines())


def test_a_terminal_that_closes_ends_a_capture_properly(exchange: Running) -> None:
    """The picture that could no longer be drawn ended the capture before its end record was written."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(PROGRAM, [PROGRAM, "stream", "btcusdt", "--ws-url", exchange.url, *FREE])
    exchange.until_heard()
    exchange.play(25)
    read_for(terminal, 1.0)
    os.close(terminal)
    os.waitpid(pid, 0)
    events = [envelope.event for envelope, _, _ in read_lines(open_log("file:tradecap-data/log")) if envelope.event]
    assert (events[0], events[-1]) == ("started", "ended")


def read_for(terminal: int, seconds: float) -> None:
    """Take what a program draws, as a terminal does."""
    until_s = time.monotonic() + seconds
    # select() takes no descriptor above 1023, and each embedded store of the session keeps some fifty open
    drawn_on = select.poll()
    drawn_on.register(terminal, select.POLLIN)
    while (left_s := until_s - time.monotonic()) > 0:
        if drawn_on.poll(left_s * 1000):
            os.read(terminal, 65536)

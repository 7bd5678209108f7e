"""tradecap simulate, as it is typed."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.simulate.talking import HANDSHAKE
from tests.test_listening import has_ipv6
from tradecap.cli.simulate import with_wait

PROGRAM = str(Path(sys.executable).with_name("tradecap"))
PATIENCE_S = 60


@contextmanager
def simulating(*args: str) -> Iterator["subprocess.Popen[str]"]:
    """The running program; ended at the latest when the test ends."""
    with subprocess.Popen(
        [PROGRAM, "simulate", "--json", "--port", "0", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def ended(*args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, "simulate", "--port", "0", *args], capture_output=True, text=True, timeout=PATIENCE_S
    )


def line(program: "subprocess.Popen[str]") -> dict[str, object]:
    assert program.stdout is not None
    report = json.loads(program.stdout.readline())
    assert isinstance(report, dict)
    return report


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.core
def test_first_where_then_what_happened_then_the_counts(number: int) -> None:
    """A script couldn't find the exchange, nor hold a client against what was done to it."""
    with simulating("--symbol", "BTCUSDT", "--rate", "200", "--fault", "clock at=200ms by=1s") as program:
        place = line(program)
        assert set(place) == {"url", "rest_url", "ca"}
        with urllib.request.urlopen(f"{place['rest_url']}/api/v3/exchangeInfo", timeout=60) as answer:
            assert json.load(answer)["symbols"][0]["symbol"] == "BTCUSDT"
        assert line(program)["fault"] == "clock"
        program.send_signal(number)
        counts = line(program)
        assert program.wait(PATIENCE_S) == 0
        assert counts["requests"] == 1
        assert counts["faults"] == {"clock": 1}
        assert program.stdout is not None
        assert program.stdout.read() == ""


def test_a_recording_is_played_from_stdin() -> None:
    """A capture in another packing couldn't be piped in."""
    recorded = (
        b'{"e":"trade","E":1723204800000,"s":"BTCUSDT","t":1,"p":"1.0","q":"1.0","T":1723204800000,"m":true,"M":true}\n'
    )
    command = [PROGRAM, "simulate", "--json", "--port", "0", "-", "--duration", "500ms"]
    done = subprocess.run(command, input=recorded, capture_output=True, timeout=PATIENCE_S)
    assert json.loads(done.stdout.splitlines()[-1])["trades"] == 1


@pytest.mark.core
def test_tls_prints_the_file_of_its_authority() -> None:
    """Nobody could trust the certificate."""
    with simulating("--tls", "--symbol", "BTCUSDT") as program:
        place = line(program)
        assert str(place["url"]).startswith("wss://")
        ca = Path(str(place["ca"]))
        assert ca.read_text().startswith("-----BEGIN CERTIFICATE")
        program.send_signal(signal.SIGINT)
        assert program.wait(PATIENCE_S) == 0
    assert not ca.exists()


def test_a_byte_order_mark_is_no_part_of_the_faults(tmp_path: Path) -> None:
    """Editors of Windows put one in front, and the first fault was refused for it."""
    (tmp_path / "faults.toml").write_text('[[fault]]\nkind = "close"\nat = "10s"\n', encoding="utf-8-sig")
    finished = ended("--faults", str(tmp_path / "faults.toml"), "--port", "0", "--duration", "100ms")
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(
    ("args", "code", "report"),
    [
        (["nofile.gz"], 2, "nofile.gz can't be read"),
        (["--fault", "boom"], 2, "'boom' is unknown"),
        (["--faults", "nofile.toml"], 2, "nofile.toml"),
        (["sample:", "--symbol", "NOPE"], 2, "has no trade of NOPE"),
        (["sample:", "--rate", "5"], 2, "--rate is for the generator"),
        (["-", "--loop"], 2, "--loop can't read stdin twice"),
        (["--host", "203.0.113.7"], 3, "can't listen on 203.0.113.7"),
        (["--port", "99999"], 2, "'99999' is not a port"),
        (["--port", "-1"], 2, "'-1' is not a port"),
        (["--wait", "0"], 2, "0 is too small"),
        (["--wait=some"], 2, "'some' is not a whole number"),
    ],
)
def test_what_is_wrong_is_reported_in_a_sentence(args: list[str], code: int, report: str) -> None:
    """A typing error would end in a traceback or in an exchange that does nothing."""
    done = ended(*args, "--duration", "100ms")
    assert done.returncode == code
    assert report in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_it_is_there_on_both_families_by_default() -> None:
    """A client whose resolver takes `localhost` for ::1 alone would find nobody."""
    with simulating("--symbol", "BTCUSDT") as program:
        port = str(line(program)["rest_url"]).rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]") if has_ipv6() else ("127.0.0.1",):
            with urllib.request.urlopen(f"http://{host}:{port}/api/v3/ping", timeout=60) as answer:
                assert answer.status == 200


@pytest.mark.parametrize(
    ("args", "read"),
    [
        (["--wait", "3", "sample:"], ["--wait=3", "sample:"]),
        (["--wait", "sample:", "--now"], ["--wait=1", "sample:", "--now"]),
        (["sample:", "--wait"], ["sample:", "--wait=1"]),
        (["--wait", "--loop"], ["--wait=1", "--loop"]),
        (["--wait=2", "--", "--wait"], ["--wait=2", "--", "--wait"]),
    ],
)
def test_wait_takes_a_whole_number_and_nothing_else(args: list[str], read: list[str]) -> None:
    """A recording after --wait would be taken for its value."""
    assert list(with_wait(args)) == read


def test_waiting_for_two_streams_and_then_playing() -> None:
    """The number would be read and not used."""
    with simulating("--wait", "2", "sample:") as program:
        url = str(line(program)["url"])
        with connect(f"{url}/ws/btcusdt@trade", close_timeout=0.1) as client:
            with pytest.raises(TimeoutError):
                client.recv(timeout=0.5)
            client.send('{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":1}')
            assert '"id":1' in str(client.recv(timeout=PATIENCE_S))
            assert '"e":"trade"' in str(client.recv(timeout=PATIENCE_S))


def test_without_file_descriptors_it_says_so_once_and_serves_on() -> None:
    """asyncio wrote 95 000 lines, and connections hung."""
    limit = f"ulimit -n 128; exec {PROGRAM} simulate --json --port 0 --symbol BTCUSDT"
    with (
        subprocess.Popen(["sh", "-c", limit], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program,
        ExitStack() as open_ones,
    ):
        try:
            port = int(str(line(program)["rest_url"]).rpartition(":")[2])
            first, *_ = [
                open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60)) for _ in range(200)
            ]
            first.sendall(b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert first.recv(100).startswith(b"HTTP/1.1 200 ")
        finally:
            program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=PATIENCE_S)
        assert errors.count("no file descriptors left (the limit is 128)") == 1
        assert len(errors.splitlines()) == 3


def test_nothing_of_asyncio_is_written() -> None:
    """Reports about clients that break off would hide what matters."""
    with simulating("--tls", "--symbol", "BTCUSDT", "--rate", "2000") as program:
        port = int(str(line(program)["rest_url"]).rpartition(":")[2])
        for sent in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello"):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
                plain.sendall(sent)
        untrusting = ssl.create_default_context()
        with socket.create_connection(("127.0.0.1", port), timeout=60) as raw, pytest.raises(ssl.SSLError):
            untrusting.wrap_socket(raw, server_hostname="localhost")
        for _ in range(3):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with socket.create_connection(("127.0.0.1", port), timeout=60) as raw:
                client = context.wrap_socket(raw)
                client.sendall(HANDSHAKE.replace(b"/ws", b"/ws/btcusdt@trade"))
                client.recv(100)
                raw.close()  # with messages on the way
        time.sleep(0.5)
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=PATIENCE_S)
        assert [each for each in errors.splitlines() if not each.startswith(("serving ", "stopping"))] == []


def test_other_machines_are_a_warning() -> None:
    """An exchange without passwords would be open to everybody unnoticed."""
    assert "warning: listening on 0.0.0.0" in ended("--host", "0.0.0.0", "--duration", "100ms").stderr

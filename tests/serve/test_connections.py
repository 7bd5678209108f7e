"""Connections that send nothing, read nothing or come in crowds; the end of a process that is answering."""

import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.serve.serving import WITHIN_S, Served, run, serving
from tradecap.serve.connections import ConnectionLimits
from tradecap.serve.guard import Receive, Scope, Send, send_whole
from tradecap.serve.server import bound, serve

ASK = b"GET /candles?symbol=BTCUSDT HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connected(served: Served, source: str = "127.0.0.1") -> socket.socket:
    """A connection, from another client's address where one is named."""
    return socket.create_connection(("127.0.0.1", served.port), WITHIN_S, source_address=(source, 0))


def from_another_client(served: Served) -> int:
    """The status that a client with an address of its own gets."""
    client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=WITHIN_S, source_address=("127.0.0.9", 0))
    client.request("GET", "/candles?symbol=BTCUSDT")
    return client.getresponse().status


def wait_for(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until_s = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < until_s, "it never came"
        time.sleep(0.1)


def memory(served: Served) -> int:
    """Bytes of the process that are in memory."""
    return int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1]) * 4096


def is_hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


@contextmanager
def impatient(request_s: float = 0.3, write_s: float = 0.3) -> Iterator[tuple[int, ConnectionLimits]]:
    """A server in this process, on a port, that waits for nobody for long. It answers everything with 10 MB."""
    limits = ConnectionLimits(100, 500, request_s, write_s)
    (listener,) = bound("127.0.0.1", 0)
    port = listener.getsockname()[1]
    is_over, has_begun = threading.Event(), threading.Event()

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send_whole(send, 200, [], b"x" * 10_000_000)

    thread = threading.Thread(target=serve, args=(app, [listener], limits, is_over.is_set, None, has_begun.set))
    thread.start()
    try:
        assert has_begun.wait(WITHIN_S)
        yield port, limits
    finally:
        is_over.set()
        thread.join(WITHIN_S)


def test_a_thousand_idle_connections_keep_nobody_out(served: Served) -> None:
    """One client that opens connections and sends nothing would take the server from everybody."""
    with ExitStack() as stack:
        idle = [stack.enter_context(connected(served)) for _ in range(1000)]
        assert from_another_client(served) == 200
        assert sum(map(is_hung_up, idle[100:])) == 900  # a client has a hundred


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_connection_that_brings_no_whole_request_is_cut(sent: bytes) -> None:
    """A hundred clients that send nothing would hold all connections forever."""
    with impatient() as (port, limits), socket.create_connection(("127.0.0.1", port), WITHIN_S) as connection:
        with suppress(ConnectionError):  # it may be cut already
            connection.sendall(sent)
        assert is_hung_up(connection)
        assert limits.cut == 1


def test_a_request_that_comes_byte_by_byte_is_cut() -> None:
    """Each byte would win a slow client more time."""
    with (
        impatient(request_s=1.0, write_s=WITHIN_S) as (port, limits),
        socket.create_connection(("127.0.0.1", port), WITHIN_S) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        left = 10_000_000
        while left > 0:
            piece = connection.recv(1_000_000)
            assert piece, "it was cut before it had asked"
            left -= len(piece)
        until_s = time.monotonic() + WITHIN_S
        while not limits.cut:
            assert time.monotonic() < until_s
            with suppress(OSError):
                connection.sendall(b"G")
            time.sleep(0.1)


def test_a_client_that_never_reads_is_cut() -> None:
    """Answers that nobody takes would stay in memory."""
    with (
        impatient(request_s=WITHIN_S) as (port, limits),
        socket.create_connection(("127.0.0.1", port), WITHIN_S) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
        wait_for(lambda: limits.cut == 1 and limits.open == 0)


def test_clients_that_never_read_take_no_memory(served: Served) -> None:
    """Each request in a row would hold an answer more, until the process is killed."""
    served.get("/trades?symbol=BTCUSDT&from_id=0&limit=5000")
    before = memory(served)
    with ExitStack() as stack:
        for n in range(20):
            connection = stack.enter_context(connected(served, f"127.0.0.{n + 20}"))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(
                b"GET /trades?symbol=BTCUSDT&from_id=0&limit=5000 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100
            )
        assert from_another_client(served) == 200
        assert memory(served) - before < 150_000_000  # 20 answers of 1 MB; 2 000 were asked for
    assert from_another_client(served) == 200


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/9.9\r\n\r\n",
        b"X" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 50_000,
    ],
)
def test_what_is_no_request_is_refused(served: Served, junk: bytes) -> None:
    """A scanner in the network would end the process."""
    with connected(served) as connection:
        try:
            connection.sendall(junk)
            assert connection.recv(12)[:10] in (b"", b"HTTP/1.1 4")
        except ConnectionError:
            pass
    assert served.get("/health").status == 200


def test_a_taken_port_is_reported(served: Served, tmp_path: Path) -> None:
    """Whoever asks the old process believes it is the new one."""
    assert run(tmp_path, "replay", "sample:").returncode == 0
    done = run(tmp_path, "serve", "--grpc-port", "0", "--port", str(served.port))
    assert done.returncode == 3
    assert "choose another --port" in done.stderr


def test_running_answers_are_given_before_the_end(recorded: Path) -> None:
    """Each deployment would cut somebody's answer in half."""
    with serving(recorded, "--rate", "0") as served:
        statuses: list[int] = []
        failures: list[Exception] = []
        is_over = threading.Event()

        def ask() -> None:
            client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=WITHIN_S)
            while not is_over.is_set():
                try:
                    client.request("GET", "/trades?symbol=BTCUSDT&from_id=0&limit=5000")
                    answer = client.getresponse()
                except OSError:
                    return  # not taken any more: nothing was begun
                except http.client.HTTPException:
                    return
                try:
                    assert json.loads(answer.read())["trades"]
                    statuses.append(answer.status)
                except (OSError, http.client.HTTPException, ValueError) as error:
                    failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(statuses) >= 8)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(WITHIN_S) == 0
        is_over.set()
        for thread in threads:
            thread.join()
        assert not failures
        assert served.process.stdout
        assert json.loads(served.process.stdout.readline())["requests"] >= 8


def test_the_end_doesnt_wait_for_idle_connections(recorded: Path) -> None:
    """A restart would hang until the last browser is closed."""
    with serving(recorded) as served, connected(served) as idle, connected(served) as kept:
        kept.sendall(ASK)
        assert kept.recv(12) == b"HTTP/1.1 200"
        assert served.end() == 0
        assert is_hung_up(idle)


def test_limits_count_what_is_open() -> None:
    """A count that isn't taken back keeps a client out forever."""
    limits = ConnectionLimits(2, 3)
    assert [limits.enter(client) for client in ("a", "a", "a", "b", "c")] == [True, True, False, True, False]
    limits.leave("a")
    assert limits.enter("c")
    assert (limits.open, limits.refused) == (3, 2)
    for client in ("a", "b", "c"):
        limits.leave(client)
    assert not limits.by_client


@pytest.mark.parametrize("missing", ["fastapi", "grpc", "grpc_health", "grpc_reflection", "google.protobuf"])
def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, missing: str) -> None:
    """An ImportError doesn't mention pip install 'tradecap[serve]'."""
    import subprocess
    import sys

    hidden = (
        f"import sys; sys.modules['{missing}'] = None; from tradecap.cli import main; sys.argv = ['tradecap', "
        "'serve']; main()"
    )
    done = subprocess.run([sys.executable, "-c", hidden], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert missing in done.stderr
    assert "pip install 'tradecap[serve]'" in done.stderr

"""Streams of bars: how many there may be, what wakes them, and a client that never reads."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flows.builders import a_message, replayed, some_messages
from tests.flows.test_live import joined
from tests.flows.test_watching import bring
from tests.serve.serving import WITHIN_S
from tests.serve.test_connections import wait_for
from tradecap.flows.joined import Joined
from tradecap.log import open_log
from tradecap.log.folder.log import FileLog
from tradecap.serve.app import application
from tradecap.serve.connections import ConnectionLimits
from tradecap.serve.guard import AccessRules
from tradecap.serve.problems import ProblemError
from tradecap.serve.server import bound, serve
from tradecap.serve.streams import Stream, Streams

SERIES = ("binance", "BTCUSDT", "trade")
OTHER = ("binance", "ETHUSDT", "trade")
MINUTES = 1400


@pytest.fixture
def answers(log: FileLog) -> Iterator[Joined]:
    """What is known of a log with a few trades."""
    replayed(log, some_messages(range(10)))
    with joined(log, None) as there:
        yield there


def test_streams_are_bounded_by_client_and_in_all_and_given_back(answers: Joined) -> None:
    """One client would take all streams, or a stream that ended count forever."""

    async def run() -> None:
        streams = Streams(answers, most=3, per_client=2)
        with streams.entered("a", [SERIES]), streams.entered("a", [SERIES]):
            with pytest.raises(ProblemError) as refused, streams.entered("a", [SERIES]):
                pass
            assert (refused.value.status, streams.open, streams.refused) == (429, 2, 1)
            with streams.entered("b", [SERIES]), pytest.raises(ProblemError), streams.entered("c", [SERIES]):
                pass
        assert (streams.open, streams.refused) == (0, 2)
        with streams.entered("a", [SERIES]), streams.entered("a", [SERIES]):
            pass
        await streams.finish()
        with pytest.raises(ProblemError) as ended, streams.entered("a", [SERIES]):
            pass
        assert ended.value.status == 503

    asyncio.run(run())


def test_a_change_wakes_the_streams_of_its_series_alone(log: FileLog) -> None:
    """A quiet symbol would be drawn with each trade of a busy one, or a busy one not at all."""
    with log.writer() as writer, joined(log, None) as answers:

        async def run() -> None:
            streams = Streams(answers)
            with streams.entered("a", [SERIES]) as mine, streams.entered("a", [OTHER]) as others:
                await asyncio.to_thread(bring, writer, some_messages(range(10)))
                assert await mine.wait(WITHIN_S)
                assert not await others.wait(0.0)
            await streams.finish()

        asyncio.run(run())


def test_a_wake_before_the_wait_is_not_lost() -> None:
    """A bar that changes while the one before is sent would wait for the next trade."""

    async def run() -> None:
        stream = Stream()
        stream.wake()
        assert await stream.wait()
        assert not await stream.wait(0.0)

    asyncio.run(run())


def test_the_end_of_the_server_wakes_every_stream(answers: Joined) -> None:
    """A stream of a quiet symbol would hold the server's end up."""

    async def run() -> None:
        streams = Streams(answers)
        with streams.entered("a", [SERIES]) as one, streams.entered("b", [OTHER]) as other:
            await streams.finish()
            for stream in (one, other):
                assert await stream.wait(WITHIN_S)
                assert stream.is_over

    asyncio.run(run())


@contextmanager
def live(answers: Joined, limits: ConnectionLimits, streams: Streams) -> Iterator[int]:
    """A server in this process, and its port."""
    app = application(answers, AccessRules(), limits, list, streams)[0]
    (listener,) = bound("127.0.0.1", 0)
    is_over, has_begun = threading.Event(), threading.Event()
    arguments = (app, [listener], limits, is_over.is_set, None, has_begun.set, [streams])
    thread = threading.Thread(target=serve, args=arguments)
    thread.start()
    try:
        assert has_begun.wait(WITHIN_S)
        yield listener.getsockname()[1]
    finally:
        is_over.set()
        thread.join(WITHIN_S)


def asked(port: int, last_id: str = "") -> socket.socket:
    """A client of /live that has little room for what it doesn't read."""
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # else the server's side takes megabytes for it
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(WITHIN_S)
    client.connect(("127.0.0.1", port))
    known = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
    client.sendall(f"GET /live?symbol=BTCUSDT HTTP/1.1\r\nHost: localhost\r\n{known}\r\n".encode())
    return client


def first_id(port: int) -> str:
    """The id of the first event that a client gets."""
    with asked(port) as client, client.makefile("rb") as answer:
        return next(line for line in answer if line.startswith(b"id: "))[4:].decode().strip()


def test_a_client_of_live_that_never_reads_is_cut(tmp_path: Path) -> None:
    """Each page that was put to sleep would hold a stream, and what is sent to it, until the server ends."""
    log = open_log(f"file:{tmp_path / 'log'}", create=True)
    messages = [a_message(n, at_s=60 * n) for n in range(MINUTES)]
    limits = ConnectionLimits(100, 500, request_s=WITHIN_S, write_s=0.3)
    with log.writer() as writer, joined(log, None) as answers:
        run = bring(writer, messages[:1])
        wait_for(lambda: bool(answers.live.series()) and answers.known(SERIES).ids.last == 0)
        streams = Streams(answers)
        with live(answers, limits, streams) as port:
            begun = first_id(port)
            wait_for(lambda: limits.open == 0)
            assert limits.cut == 0
            bring(writer, messages[1:], run)
            wait_for(lambda: answers.known(SERIES).ids.last == MINUTES - 1)
            with asked(port, begun):  # each bar has changed since then: 600 kB in one piece
                wait_for(lambda: limits.cut == 1 and limits.open == 0 and streams.open == 0)
            assert first_id(port) != begun

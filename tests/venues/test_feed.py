"""The WebSocket client, against the local exchange over real sockets."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.exchange import Running, running, until
from tradecap.simulate import Rules
from tradecap.venues.binance.control import CONTROL
from tradecap.venues.feed import Arrival, Feed, Message, Notice, Terms
from tradecap.venues.feed.inbox import CAPACITY

pytestmark = pytest.mark.core

QUICK = Terms(
    first_delay_s=0.01,
    longest_delay_s=0.1,
    open_within_s=60.0,
    acknowledge_within_s=60.0,
    dead_after_s=60.0,
    flowing_within_s=1.0,
    lifetime_jitter_s=0.0,
)
"""Reconnects at once; a slow machine is not a failure."""
IMPATIENT = replace(QUICK, ping_after_s=0.2, dead_after_s=0.6)
"""Notices silence soon."""
ONE_READ = 256 * 1024 // 128
"""Messages in what asyncio reads from a socket at once."""


class Tap:
    """Takes what a feed brings."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.messages: list[Message] = []
        self.notices: list[Notice] = []

    def take(self) -> None:
        for arrival in self.feed.take(0.01):
            if isinstance(arrival, Notice):
                self.notices.append(arrival)
            else:
                self.messages.append(arrival)

    def until(self, messages: int = 0, notices: int = 0) -> None:
        self.until_so(lambda: len(self.messages) >= messages and len(self.notices) >= notices)

    def until_so(self, is_so: Callable[[], bool], within_s: float = 60.0) -> None:
        def is_there() -> bool:
            self.take()
            return is_so()

        until(is_there, within_s)

    @property
    def ids(self) -> list[int]:
        return [int(payload.split(b'"t":')[1].split(b",")[0]) for _, _, payload in self.messages]

    def named(self, name: str) -> list[Notice]:
        return [notice for notice in self.notices if notice.name == name]


@contextmanager
def tapped(exchange: Running, terms: Terms = QUICK, streams: tuple[str, ...] = ("btcusdt@trade",)) -> Iterator[Tap]:
    """A feed that is connected."""
    with Feed(f"{exchange.url}/stream", streams, CONTROL, terms) as feed:
        tap = Tap(feed)
        tap.until(notices=terms.connections)
        exchange.until_heard(terms.connections)
        yield tap


def test_messages_leave_as_they_came_with_the_time_they_came() -> None:
    """Everything after the feed would be built on other bytes than the venue's, or on the time of the parser."""
    with running() as exchange, tapped(exchange) as tap:
        before = time.time_ns()
        exchange.play(1)
        tap.until(messages=1)
        number, recv_ns, payload = tap.messages[0]
        assert payload.startswith(b'{"stream":"btcusdt@trade","data":{"e":"trade",')
        assert before < recv_ns < time.time_ns()
        assert number == tap.named("connected")[0].connection


def test_no_more_is_taken_than_there_is_room_for() -> None:
    """A burst would be written as a whole before any of it is durable."""
    with running() as exchange, tapped(exchange) as tap:
        exchange.play(1000)
        taken: list[list[Arrival]] = []
        while sum(len(some) for some in taken) < 1000:
            taken.append(tap.feed.take(1.0, 7))
        assert max(len(some) for some in taken) == 7
        assert len({arrival for some in taken for arrival in some}) == 1000


def test_answers_to_the_client_do_not_leave() -> None:
    """The log would hold what client and venue sent each other, and count it as market data."""
    with running() as exchange, tapped(exchange) as tap:
        exchange.play(3)
        tap.until(messages=3)
        assert tap.ids == [1, 2, 3]


@pytest.mark.parametrize(
    ("kind", "how", "failure"),
    [("abort", {}, "aborted"), ("abort", {"partial": True}, "aborted"), ("close", {"code": 1012}, "close_1012")],
)
def test_a_lost_connection_is_named_and_opened_again(kind: str, how: dict[str, object], failure: str) -> None:
    """The capture would end with the first hiccup, or nobody would know what it was."""
    with running() as exchange, tapped(exchange) as tap:
        exchange.play(2)
        tap.until(messages=2)
        exchange.fire(kind, **how)
        tap.until(notices=3)
        assert [notice.name for notice in tap.notices] == ["connected", "disconnected", "connected"]
        lost = tap.notices[1]
        assert lost.detail["failure"] == failure
        assert lost.detail["messages"] == 2
        exchange.until_heard()
        exchange.play(1)
        tap.until(messages=3)
        assert tap.ids == [1, 2, 3]


def test_a_half_open_connection_is_found() -> None:
    """Tools that wait for data on a dead connection wait forever."""
    with running() as exchange, tapped(exchange, IMPATIENT) as tap:
        exchange.fire("silent")
        tap.until(notices=3)
        assert tap.notices[1].detail["failure"] == "silent"
        assert tap.notices[2].name == "connected"


def test_a_quiet_market_is_no_dead_connection() -> None:
    """A symbol without trades for a minute would be connected again all the time."""
    terms = replace(QUICK, ping_after_s=0.2, dead_after_s=2.0)
    with running() as exchange, tapped(exchange, terms) as tap:
        began = time.monotonic()
        while time.monotonic() - began < 1.5 * terms.dead_after_s:
            tap.take()
        assert len(tap.notices) == 1


@pytest.mark.parametrize("reason", ["serverShutdown", "lifetime", "asked"])
def test_the_new_connection_is_up_before_the_old_one_goes(reason: str) -> None:
    """Each planned change of connection would cost trades."""
    terms = QUICK if reason != "lifetime" else Terms(lifetime_s=1.0, lifetime_jitter_s=0.0, flowing_within_s=1.0)
    with running() as exchange, tapped(exchange, terms) as tap:
        played = 0
        if reason == "serverShutdown":
            exchange.fire("shutdown", by_s=1.0)
        elif reason == "asked":
            tap.feed.replace("asked")
        while not tap.named("handed_over"):
            exchange.play(1)
            played += 1
            tap.take()
            time.sleep(0.01)
        tap.until(messages=played)
        assert tap.named("handed_over")[0].detail["why"] == reason
        assert tap.named("disconnected") == []
        ids = [
            number
            for payload in tap.messages
            if b"serverShutdown" not in payload[2]
            for number in [int(payload[2].split(b'"t":')[1].split(b",")[0])]
        ]
        assert sorted(set(ids)) == list(range(1, max(ids) + 1))


def test_both_connections_of_a_handover_are_reported_when_they_are_lost() -> None:
    """One that nobody tells of would count as up until the end, and each gap would wait for what it might still
    bring."""
    with running() as exchange, tapped(exchange) as tap:
        tap.feed.replace("asked")
        tap.until(notices=2)
        exchange.fire("abort")
        tap.until(notices=5)
        assert sorted(notice.connection for notice in tap.named("disconnected")) == [1, 2]


def test_a_slow_reader_slows_the_socket_and_loses_nothing() -> None:
    """Memory would grow with the backlog, or the backlog would be dropped."""
    many = 3 * CAPACITY
    with (
        running(many, max_behind=1 << 30) as exchange,
        tapped(exchange, replace(QUICK, ping_after_s=0.2, dead_after_s=2.0)) as tap,
    ):
        writer = threading.Thread(target=lambda: exchange.play(many), daemon=True)
        writer.start()
        time.sleep(1.5 * 2.0)  # longer than silence may last: nobody reads, so it isn't silence
        assert len(tap.feed._inbox.queue) <= CAPACITY + ONE_READ
        tap.until(messages=many)
        writer.join(60.0)
        assert tap.ids == list(range(1, many + 1))
        assert tap.named("disconnected") == []


def test_many_streams_are_subscribed_within_the_limits() -> None:
    """The venue disconnects a client that sends more than five messages in a second."""
    streams = tuple(f"s{n}usdt@trade" for n in range(750))
    terms = Terms(request_every_s=0.25)
    with (
        running(rules=Rules(connections_per_5_minutes=None)) as exchange,
        Feed(f"{exchange.url}/stream", [*streams, "btcusdt@trade"], CONTROL, terms) as feed,
    ):
        tap = Tap(feed)
        tap.until(notices=1)
        assert tap.notices[0].name == "connected"
        assert len(next(iter(exchange.exchange.sockets)).session.streams) == 751


def test_every_place_is_filled() -> None:
    """--connections 3 would be a promise."""
    with running() as exchange, tapped(exchange, Terms(connections=3)) as tap:
        exchange.play(1)
        tap.until(messages=3)
        assert sorted(number for number, _, _ in tap.messages) == [1, 2, 3]
        exchange.fire("abort", sockets="newest")
        tap.until(notices=5)
        exchange.until_heard(3)


@pytest.mark.parametrize(("status", "is_final"), [(451, True), (503, False), (429, False)])
def test_a_refused_handshake_is_named(status: int, is_final: bool) -> None:
    """A blocked place and a busy server would look alike."""
    with running() as exchange:
        exchange.fire("http", status=status, on="ws", retry_after_s=1)
        with Feed(f"{exchange.url}/stream", ["btcusdt@trade"], CONTROL, QUICK) as feed:
            tap = Tap(feed)
            tap.until(notices=2)
        refused = tap.notices[0]
        assert refused.failure
        assert (refused.detail["failure"], refused.failure.is_final) == (f"http_{status}", is_final)
        assert tap.notices[1].name == "connected"


def test_nobody_there_and_no_such_host_are_named() -> None:
    """'Connection failed' tells nobody where to look."""
    for url, kind in (("ws://127.0.0.1:9/stream", "refused"), ("ws://no.such.host.invalid/stream", "dns")):
        with Feed(url, ["btcusdt@trade"], CONTROL, QUICK) as feed:
            tap = Tap(feed)
            tap.until(notices=1)
        assert tap.notices[0].detail["failure"] == kind


def test_attempts_are_spaced_with_jitter() -> None:
    """A thousand captures would connect to a restarting venue in the same moment, again and again."""
    with Feed(
        "ws://127.0.0.1:9/stream", ["btcusdt@trade"], CONTROL, Terms(first_delay_s=0.05, longest_delay_s=0.2)
    ) as feed:
        tap = Tap(feed)
        tap.until(notices=12)  # which takes minutes where the pauses double without an end
    times = [notice.at_ns / 1e9 for notice in tap.notices]
    pauses = [after - before for before, after in pairwise(times)]
    assert len({round(pause, 3) for pause in pauses}) > 5


def test_a_server_that_never_answers_the_handshake_is_left() -> None:
    """A port that accepts and stays silent would hold the capture forever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        terms = Terms(open_within_s=0.3)
        with Feed(f"ws://127.0.0.1:{silent.getsockname()[1]}/stream", ["btcusdt@trade"], CONTROL, terms) as feed:
            tap = Tap(feed)
            tap.until(notices=1)
        assert tap.notices[0].detail["failure"] == "timeout"


def test_stopping_closes_the_sockets_and_keeps_what_arrived() -> None:
    """The last trades before Ctrl-C would be lost, or the program would hang."""
    with running() as exchange, tapped(exchange) as tap:
        exchange.play(50)
        until(lambda: len(tap.feed._inbox.queue) == 50)
        tap.feed.close()
        assert not tap.feed.is_running
        tap.take()
        assert len(tap.messages) == 50
        until(lambda: not exchange.exchange.sockets)

"""The WebSocket client against venues that behave badly, over real sockets."""

import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.exchange import running, until
from tests.venues.peer import CLOSE, CONTINUED, PING, TEXT, Client, Peer, framed, peering, trade
from tests.venues.test_feed import QUICK, Tap
from tradecap.venues.binance.control import CONTROL
from tradecap.venues.feed import Feed, Terms

REFUSED = '{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":1}'
MANY = tuple(f"s{number}usdt@trade" for number in range(250))


def feed(peer: Peer, terms: Terms = QUICK, streams: tuple[str, ...] = ("btcusdt@trade",)) -> Feed:
    return Feed(f"{peer.url}/stream", streams, CONTROL, terms)


@pytest.mark.parametrize(
    "reply", [REFUSED, '{"error":{"code":3,"msg":"Invalid JSON"}}', '{"code":2,"msg":"Invalid request","id":1}']
)
@pytest.mark.parametrize("streams", [("btcusdt@trade",), MANY])
def test_a_refused_subscription_is_no_connection(reply: str, streams: tuple[str, ...]) -> None:
    """It would be reported as up, and the reason as a connection that broke off, again and again."""

    def ws(client: Client) -> None:
        client.accept()
        client.requests()
        client.say(reply)
        client.until_gone()

    with peering(ws) as peer, feed(peer, streams=streams) as feeding:
        tap = Tap(feeding)
        tap.until(notices=2)
    assert {notice.detail.get("failure") for notice in tap.notices} == {"refused_subscription"}
    assert tap.notices[0].failure
    assert tap.notices[0].failure.is_final
    assert tap.messages == []


def test_acknowledgements_may_come_in_any_order() -> None:
    """The connection would be given up although all was granted."""

    def ws(client: Client) -> None:
        client.accept()
        for request in reversed(client.requests(3)):
            client.say(f'{{"result":null,"id":{request["id"]}}}')
        client.until_gone()

    with peering(ws) as peer, feed(peer, streams=MANY) as feeding:
        tap = Tap(feeding)
        tap.until(notices=1)
    assert tap.notices[0].name == "connected"


def test_an_acknowledgement_that_does_not_come_is_missed() -> None:
    """Half of the symbols would be captured, and nobody would know."""

    def ws(client: Client) -> None:
        client.accept()
        client.requests()
        client.say(trade(1))
        client.until_gone()

    with peering(ws) as peer, feed(peer, replace(QUICK, acknowledge_within_s=0.2)) as feeding:
        tap = Tap(feeding)
        tap.until(messages=1, notices=1)
    assert tap.notices[0].detail["failure"] == "no_acknowledgement"


def test_a_message_in_parts_keeps_its_place() -> None:
    """It would come after those that were sent later: an id that was never missing would be a gap."""

    def ws(client: Client) -> None:
        client.accept()
        client.grant()
        first = trade(1).encode()
        parts = (
            framed(first[:50], TEXT, is_last=False),
            framed(b"", PING),
            framed(first[50:60], CONTINUED, is_last=False),
        )
        for part in (*parts, framed(first[60:], CONTINUED) + framed(trade(2).encode()) + framed(trade(3).encode())):
            client.sock.sendall(part)
        client.until_gone()

    with peering(ws) as peer, feed(peer) as feeding:
        tap = Tap(feeding)
        tap.until(messages=3)
    assert [payload for _, _, payload in tap.messages] == [trade(number).encode() for number in (1, 2, 3)]


@pytest.mark.parametrize("is_silent", [True, False])
def test_the_first_retry_is_at_once(is_silent: bool) -> None:
    """A quiet symbol would wait for its connection as if the venue had refused it."""

    def ws(client: Client) -> None:
        if client.number == 1 and not is_silent:
            client.sock.close()
            return
        client.accept()
        client.grant()
        if client.number == 1:
            client.abort()
        client.until_gone()

    slow = replace(QUICK, first_delay_s=3600.0, longest_delay_s=3600.0)
    with peering(ws) as peer, feed(peer, slow) as feeding:
        tap = Tap(feeding)
        tap.until_so(lambda: bool(tap.named("disconnected")) and len(tap.named("connected")) == 1 + is_silent)


@pytest.mark.parametrize("is_reset", [True, False])
def test_an_end_without_an_answer_is_named(is_reset: bool) -> None:
    """A venue that restarts would look like something that speaks no WebSocket."""
    with peering(Client.abort if is_reset else lambda client: client.sock.close()) as peer, feed(peer) as feeding:
        tap = Tap(feeding)
        tap.until(notices=1)
    assert tap.notices[0].detail["failure"] == "aborted"


def test_what_speaks_no_websocket_is_named() -> None:
    """A wrong port would look like a venue that breaks off."""
    with peering(lambda client: client.sock.sendall(b"220 mail ready\r\n\r\n")) as peer, feed(peer) as feeding:
        tap = Tap(feeding)
        tap.until(notices=1)
    assert tap.notices[0].detail["failure"] == "no_websocket"


@pytest.mark.parametrize("code", [1001, 1006, 1008, 1011, 1012, 1013, 3001])
def test_each_way_to_close_is_named(code: int) -> None:
    """'Connection closed' tells nobody whether to wait, to ask less or to look at the router."""

    def ws(client: Client) -> None:
        client.accept()
        client.grant()
        if client.number > 1:
            client.until_gone()
        elif code == 1006:
            client.sock.sendall(framed(trade(1).encode())[:40])  # in the middle of a frame
        else:
            client.sock.sendall(framed(struct.pack("!H", code) + b"bye", CLOSE))

    with peering(ws) as peer, feed(peer) as feeding:
        tap = Tap(feeding)
        tap.until_so(lambda: bool(tap.named("disconnected")))
    assert tap.named("disconnected")[0].detail["failure"] == ("aborted" if code == 1006 else f"close_{code}")


@pytest.mark.parametrize("status", [403, 418, 429, 451, 500, 503])
def test_a_refused_connection_is_not_tried_again_before_retry_after(status: int) -> None:
    """A client that comes back earlier is banned; one that waits longer misses trades."""
    attempts: list[float] = []

    def ws(client: Client) -> None:
        attempts.append(time.monotonic())
        client.sock.sendall(b"HTTP/1.1 %d It\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n" % status)

    with peering(ws) as peer, feed(peer) as feeding:
        tap = Tap(feeding)
        tap.until(notices=2)
    assert tap.notices[0].detail["failure"] == f"http_{status}"
    assert attempts[1] - attempts[0] >= 1.0


def test_retry_after_holds_for_every_place() -> None:
    """The venue counts by address: the second connection would turn a wait into a ban."""
    is_shut = threading.Event()
    attempts: list[float] = []

    def ws(client: Client) -> None:
        attempts.append(time.monotonic())
        if client.number == 2:
            client.sock.sendall(b"HTTP/1.1 429 It\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n")
            is_shut.set()
            return
        client.accept()
        client.grant()
        is_shut.wait(60)
        client.abort()

    with peering(ws) as peer, feed(peer, replace(QUICK, connections=2)) as feeding:
        tap = Tap(feeding)
        tap.until_so(lambda: len(attempts) > 2)
    assert attempts[2] - attempts[1] >= 1.0


def test_a_connection_that_flows_is_not_given_for_one_that_does_not() -> None:
    """Make before break would be break: the trades of the silent minutes after it would have to be fetched."""
    is_flowing = threading.Event()

    def ws(client: Client) -> None:
        client.accept()
        client.grant()
        threading.Thread(target=client.until_gone, daemon=True).start()
        if client.number > 1:
            is_flowing.wait(60)
        with suppress(OSError):
            for number in range(1, 10_000):
                client.say(trade(number))
                time.sleep(0.01)

    with peering(ws) as peer, feed(peer, replace(QUICK, flowing_within_s=0.1)) as feeding:
        tap = Tap(feeding)
        tap.until(messages=5)
        feeding.replace("asked")
        tap.until_so(lambda: len(tap.named("connected")) == 2)
        began = len(tap.messages)
        tap.until(messages=began + 50)
        assert {number for number, _, _ in tap.messages} == {1}
        is_flowing.set()
        tap.until_so(lambda: bool(tap.named("handed_over")))
        assert tap.messages[-1][0] == 2


@pytest.mark.parametrize("is_stopped", [False, True])
def test_no_socket_is_left_to_a_peer_that_does_not_answer_a_goodbye(is_stopped: bool) -> None:
    """One socket, with a venue that goes on sending to it, would be left of each day, and two of a capture that ends
    meanwhile."""
    ends: dict[int, bool] = {}

    def ws(client: Client) -> None:
        client.accept()
        client.grant()
        try:
            while True:
                client.say(trade(1))
                time.sleep(0.01)
        except OSError:
            ends[client.number] = True

    with peering(ws) as peer:
        with feed(peer) as feeding:
            tap = Tap(feeding)
            tap.until(messages=1)
            feeding.replace("asked")
            tap.until_so(lambda: any(number == 2 for number, _, _ in tap.messages))
            if is_stopped:
                feeding.stop()
            else:
                tap.until_so(lambda: bool(tap.named("handed_over")))
                until(lambda: ends == {1: True})
        until(lambda: ends == {1: True, 2: True})


@pytest.mark.parametrize("length", [0, 1, 37, 200])
def test_a_refusal_is_read_whatever_it_says(length: int) -> None:
    """The reason, and what to do about it, would be lost where its text looks like a frame."""

    def ws(client: Client) -> None:
        body = (b'{"code":0,"msg":"Service unavailable from a restricted location according to the terms"}' * 3)[
            :length
        ]
        client.sock.sendall(b"HTTP/1.1 451 Unavailable\r\nContent-Length: %d\r\n\r\n%b" % (length, body))
        client.sock.recv(1)

    with peering(ws) as peer, feed(peer) as feeding:
        tap = Tap(feeding)
        tap.until(notices=1)
    assert tap.notices[0].detail["failure"] == "http_451"


def test_a_connection_that_has_just_come_is_not_replaced_for_an_older_wish() -> None:
    """What went by unseen went by on the one before it."""
    wished = threading.Event()

    def ws(client: Client) -> None:
        wished.wait(60)
        client.accept()
        client.grant()
        client.say(trade(1))
        client.until_gone()

    with peering(ws) as peer, feed(peer) as feeding:
        tap = Tap(feeding)
        until(lambda: peer.opened == 1)
        feeding.replace("asked")
        time.sleep(0.05)  # nothing tells when the wish has come over
        wished.set()
        tap.until(messages=1)
        began = time.monotonic()
        tap.until_so(lambda: time.monotonic() - began > 0.3)
    assert [notice.name for notice in tap.notices] == ["connected"]


def test_the_beginning_of_a_message_alone_is_a_message() -> None:
    """A message that was cut off anywhere would end the capture instead of going to quarantine."""

    def ws(client: Client) -> None:
        client.accept()
        client.grant()
        for cut in range(1, 14):
            client.say('{"stream":"!m'[:cut])
        client.until_gone()

    with peering(ws) as peer, feed(peer) as feeding:
        tap = Tap(feeding)
        tap.until(messages=13)
        assert [payload.decode() for _, _, payload in tap.messages] == ['{"stream":"!m'[:cut] for cut in range(1, 14)]
        assert tap.named("disconnected") == []


def test_two_that_end_together_are_both_named() -> None:
    """A connection that nobody says is gone would be waited for with every gap."""
    ending = threading.Event()

    def ws(client: Client) -> None:
        client.accept()
        client.grant()
        threading.Thread(target=client.until_gone, daemon=True).start()
        if client.number == 1:
            while not ending.is_set():
                client.say(trade(1))
                time.sleep(0.01)
        ending.wait(60)
        if client.number < 3:
            time.sleep(0.1 * client.number)  # the old one ends first, while the new one is waited for
            client.sock.shutdown(socket.SHUT_RDWR)

    with peering(ws) as peer, feed(peer, replace(QUICK, flowing_within_s=30.0)) as feeding:
        tap = Tap(feeding)
        tap.until(messages=1)
        feeding.replace("asked")
        tap.until_so(lambda: len(tap.named("connected")) == 2)
        ending.set()
        tap.until_so(lambda: len(tap.named("connected")) >= 3)
        assert {1, 2} <= {notice.connection for notice in tap.named("disconnected")}


def test_a_venue_that_says_goodbye_to_everybody_is_not_stormed() -> None:
    """Each new connection would be replaced at once, until the venue's limit of connections is used up."""

    def ws(client: Client) -> None:
        client.accept()
        client.grant()
        client.say('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}')
        client.until_gone()

    with (
        peering(ws) as peer,
        feed(peer, Terms(flowing_within_s=0.1, first_delay_s=60.0, longest_delay_s=60.0)) as feeding,
    ):
        tap = Tap(feeding)
        tap.until_so(lambda: peer.opened >= 2)
        began = time.monotonic()
        tap.until_so(lambda: time.monotonic() - began > 1.5)
        assert peer.opened <= 5


def test_a_redirect_is_followed() -> None:
    """A venue that moves its streams to another host would be given up."""
    with running() as exchange:

        def moved(client: Client) -> None:
            client.sock.sendall(
                (f"HTTP/1.1 307 Moved\r\nLocation: {exchange.url}/stream\r\nContent-Length: 0\r\n\r\n").encode()
            )

        with peering(ws=moved) as peer, Feed(f"{peer.url}/stream", ["btcusdt@trade"], CONTROL, QUICK) as feed:
            tap = Tap(feed)
            tap.until(notices=1)
            assert tap.named("connected"), tap.notices[0].failure
            exchange.play(1)
            tap.until(messages=1)


@pytest.mark.parametrize("there", ["ws://me:sesame@127.0.0.1:1/", "ftp://127.0.0.1/", "", "wss://[::1"])
def test_a_redirect_to_nowhere_is_a_failure(there: str) -> None:
    """It would end the capture as a mistake of tradecap."""

    def moved(client: Client) -> None:
        client.sock.sendall(f"HTTP/1.1 307 Moved\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode())

    with peering(ws=moved) as peer, Feed(f"{peer.url}/stream", ["btcusdt@trade"], CONTROL, QUICK) as feed:
        tap = Tap(feed)
        tap.until(notices=1)
        failure = tap.notices[0].failure
        assert failure is not None
        assert failure.kind in ("http_307", "no_websocket")
        assert "sesame" not in failure.text

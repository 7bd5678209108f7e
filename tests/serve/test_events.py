"""GET /live over real sockets: what a page sees, what it gets when it comes back, and what it can't do to the
server."""

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.flows.builders import replayed, some_messages
from tests.flows.test_live import joined
from tests.flows.test_watching import bring
from tests.serve.serving import NO_HEADERS, WITHIN_S, Served, serving
from tests.serve.test_connections import wait_for
from tradecap.log import open_log
from tradecap.serve.app import application
from tradecap.serve.connections import ConnectionLimits
from tradecap.serve.guard import AccessRules
from tradecap.serve.server import bound, serve
from tradecap.serve.streams import Streams

TOKEN = "a-token-nobody-guesses"


class Event(NamedTuple):
    """An event that was received."""

    id: str
    name: str
    data: Any


class Events:
    """The events of one stream."""

    def __init__(
        self, served: Served, query: str = "", headers: Mapping[str, str] = NO_HEADERS, source: str = "127.0.0.1"
    ) -> None:
        self._client = http.client.HTTPConnection(
            "127.0.0.1", served.port, timeout=WITHIN_S, source_address=(source, 0)
        )
        self._client.request("GET", f"/live?symbol=BTCUSDT{query}", headers=dict(headers))
        self.answer = self._client.getresponse()
        self.status = self.answer.status

    def next(self) -> Event | None:
        """The next one; None at the end of the stream."""
        fields: dict[str, str] = {}
        while line := self.answer.readline().decode():
            if line == "\n" and "data" in fields:
                return Event(fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"]))
            if line != "\n" and not line.startswith(":"):
                name, _, value = line.rstrip("\n").partition(": ")
                fields[name] = value
        return None

    def until(self, last_id: int) -> list[Event]:
        """All up to the bar that has a trade."""
        found = []
        while event := self.next():
            found.append(event)
            if event.name == "bar" and event.data["last_id"] >= last_id:
                return found
        raise AssertionError("the stream ended")

    def close(self) -> None:
        """Close the connection."""
        self.answer.close()
        self._client.close()


@contextmanager
def captured(folder: Path, count: int = 100) -> Iterator[Any]:
    """A log whose run goes on, in a folder of its own; brings the trades up to an id."""
    messages = some_messages(range(3000))
    with open_log(f"file:{folder / 'tradecap-data/log'}", create=True).writer() as writer:
        run = bring(writer, messages[:count])
        brought = [count]

        def further(until_id: int) -> None:
            bring(writer, messages[brought[-1] : until_id + 1], run)
            brought.append(until_id + 1)

        yield further


def keys(served: Served) -> set[str]:
    """Those of a bar of /candles."""
    return {*served.get("/candles?symbol=BTCUSDT&limit=1").json["candles"][0]}


def test_the_bar_comes_at_once_and_with_each_change(tmp_path: Path) -> None:
    """A page would wait for the next trade, or show a bar that /candles doesn't."""
    with captured(tmp_path) as further, serving(tmp_path) as served:
        events = Events(served)
        assert (events.status, events.answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        first = events.next()
        assert first
        assert first.name == "bar"
        assert {*first.data} == keys(served) | {"revision", "closed"}
        assert (first.data["last_id"], first.data["closed"], first.data["revision"]) == (99, False, 4)
        further(105)
        drawn = {event.data["open_time"]: event.data for event in (first, *events.until(105))}
        for bar in served.bars()[-len(drawn) :]:
            shown = drawn[bar["open_time"]]
            assert {name: shown[name] for name in bar} == bar
        assert [bar["closed"] for bar in drawn.values()] == [True] * (len(drawn) - 1) + [False]
        events.close()


@pytest.mark.parametrize("interval", ["1m", "5m"])
def test_a_client_that_comes_back_gets_what_it_missed_once(tmp_path: Path, interval: str) -> None:
    """A page that was asleep would have a hole until it is loaded again."""
    with captured(tmp_path) as further, serving(tmp_path) as served:
        events = Events(served, f"&interval={interval}")
        first = events.next()
        assert first
        events.close()
        further(299)
        wait_for(lambda: served.get("/coverage?symbol=BTCUSDT").json["proven"] == [[0, 299]])
        back = Events(served, f"&interval={interval}", {"Last-Event-ID": first.id})
        missed = back.until(299)
        back.close()
        bars = served.get(f"/candles?symbol=BTCUSDT&interval={interval}").json["candles"]
        assert [event.data["open_time"] for event in missed] == [
            bar["open_time"] for bar in bars if bar["open_time"] >= first.data["open_time"]
        ]
        for event, bar in zip(missed, bars[-len(missed) :], strict=True):
            assert {name: event.data[name] for name in bar} == bar
        # what was lost in between comes again
        assert [event.id for event in missed[:-1]] == [first.id] * (len(missed) - 1)
        assert Events(served, f"&interval={interval}", {"Last-Event-ID": missed[-1].id}).answer.fp is not None


def test_a_position_that_isnt_known_asks_for_all_again(tmp_path: Path) -> None:
    """A page would believe that nothing happened while it was away."""
    with captured(tmp_path), serving(tmp_path, "--rate", "0") as served:
        first, other = Events(served).next(), Events(served, "&interval=5m").next()
        assert first
        assert other
        process, series, at = first.id.split("-")
        for given in (
            f"0{process[1:]}x-{series}-{at}",
            f"{process}-00000000-{at}",
            other.id,
            "x",
            f"{process}-{series}-999999",
        ):
            events = Events(served, "", {"Last-Event-ID": given})
            refetch, bar = events.next(), events.next()
            assert refetch
            assert bar
            assert (refetch.name, refetch.id, {*refetch.data}) == ("refetch", "", {"reason"})
            assert (bar.name, bar.data) == ("bar", first.data)


def test_streams_have_the_guards_of_all_routes(tmp_path: Path) -> None:
    """A stranger would read along, or a mistyped symbol would look like a quiet market."""
    with captured(tmp_path), serving(tmp_path, environment={"TRADECAP_TOKEN": TOKEN}) as served:
        allowed = {"Authorization": f"Bearer {TOKEN}"}
        assert Events(served).status == 401
        assert Events(served, f"&token={TOKEN}").status == 400
        assert Events(served, "", {**allowed, "Host": "evil.example"}).status == 421
        for query, status in (("&interval=7m", 422), ("&channel=none", 404), ("&form=1", 422)):
            events = Events(served, query, allowed)
            assert (events.status, events.answer.headers["content-type"]) == (status, "application/problem+json")
        assert served.get("/live?symbol=BTCUSDT", allowed, "HEAD").status == 200
        assert served.get("/live?symbol=BTCUSDT", allowed, "POST").status == 405
        assert Events(served, "", allowed).next()


def test_streams_end_with_the_server(tmp_path: Path) -> None:
    """A deployment would hang until the last page is closed."""
    with captured(tmp_path), serving(tmp_path) as served:
        streams = [Events(served) for _ in range(5)]
        assert all(stream.next() for stream in streams)
        assert served.end() == 0
        assert [stream.next() for stream in streams] == [None] * 5


def test_streams_are_counted_and_bounded(tmp_path: Path) -> None:
    """One client that opens streams would take all of them, or an operator wouldn't see it."""
    with captured(tmp_path), serving(tmp_path, "--connections", "300", "--rate", "0") as served:
        streams = [Events(served) for _ in range(200)]
        assert all(stream.status == 200 for stream in streams)
        assert Events(served).status == 429
        other = Events(served, source="127.0.0.9")
        assert other.next()
        assert b"tradecap_streams 201.0" in served.get("/metrics").body
        for stream in streams:
            stream.close()
        wait_for(lambda: b"tradecap_streams 1.0" in served.get("/metrics").body)
        assert Events(served).next()


def test_a_quiet_stream_is_kept_alive(tmp_path: Path) -> None:
    """A proxy in between would cut a stream of a quiet symbol; an event would make the page draw."""
    log = open_log(f"file:{tmp_path / 'log'}", create=True)
    replayed(log, some_messages(range(10)))
    with joined(log, None) as answers:
        streams = Streams(answers, heartbeat_s=0.1)
        app = application(answers, AccessRules(), ConnectionLimits(100, 500), list, streams)[0]
        (listener,) = bound("127.0.0.1", 0)
        is_over, has_begun = threading.Event(), threading.Event()
        thread = threading.Thread(
            target=serve,
            args=(app, [listener], ConnectionLimits(100, 500), is_over.is_set, None, has_begun.set, [streams]),
        )
        thread.start()
        try:
            assert has_begun.wait(WITHIN_S)
            client = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=WITHIN_S)
            client.request("GET", "/live?symbol=BTCUSDT")
            answer = client.getresponse()
            lines = [answer.readline() for _ in range(8)]
            assert [line[:4] for line in lines[:4]] == [b"id: ", b"even", b"data", b"\n"]
            assert lines[4:] == [b": \n", b"\n"] * 2
        finally:
            is_over.set()
            thread.join(WITHIN_S)

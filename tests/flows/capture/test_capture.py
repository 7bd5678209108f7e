"""Capturing from the local exchange, over real sockets, into a real log."""

import gzip
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.exchange import Running, running, until
from tests.venues.peer import peering
from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.counts import Captured
from tradecap.flows.capture.plan import Plan
from tradecap.flows.capture.start import check_symbols
from tradecap.flows.capture.status import Status
from tradecap.flows.capture.wiring import Wiring
from tradecap.flows.records import read_lines
from tradecap.log import open_log
from tradecap.log.folder.log import FileLog
from tradecap.market.records import Trade
from tradecap.venues.api import SITES
from tradecap.venues.feed import Terms
from tradecap.venues.rest import Rest
from tradecap.venues.sites import Site

QUICK = Terms(first_delay_s=0.01, longest_delay_s=0.1, flowing_within_s=0.5)
PLAN = Plan(venue="binance", channel="trade", symbols=("BTCUSDT",))


class Capturing:
    """A capture in a thread of its own, as a command would run it."""

    def __init__(self, exchange: Running, log: FileLog, plan: Plan = PLAN, terms: Terms = QUICK, **how: Any) -> None:
        self.exchange, self.log, self.terms = exchange, log, terms
        self.plan = replace(plan, is_repaired=how.get("repaired", True), is_resumed=how.get("resumed", True))
        self.site: Site = how.get("site") or SITES["binance"].at(exchange.url)
        self.free: Callable[[], int] = how.get("free", lambda: sys.maxsize)
        self.status: Status | None = None
        self.done: Captured | None = None
        self.error: BaseException | None = None
        self._is_asked = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            with open_log(self.log.url, segment_bytes=1_000_000, segment_age_s=60.0).writer() as writer:
                wiring = Wiring(self.site, self.log, writer, self.plan, terms=self.terms)
                self.done = wiring.run(stop=self._is_asked.is_set, see=self._see, free=self.free)
        except BaseException as error:  # noqa: BLE001 -- of a thread: raised again in `end`
            self.error = error

    def _see(self, status: Status) -> None:
        self.status = status

    def start(self) -> None:
        """Begin, whether or not the exchange is heard."""
        self._thread.start()

    def __enter__(self) -> "Capturing":
        self.start()
        self.exchange.until_heard(self.terms.connections)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._is_asked.set()
            self._thread.join(60.0)

    def ask(self) -> None:
        """As Ctrl-C does."""
        self._is_asked.set()

    def end(self) -> Captured:
        """Wait until it has ended by itself, or was asked to."""
        self._thread.join(60.0)
        if self.error:
            raise self.error
        assert self.done is not None, "it didn't end"
        return self.done

    def stop(self) -> Captured:
        """Ask for the end, and wait for it."""
        self.ask()
        return self.end()

    def until_written(self, *ids: int) -> None:
        """Wait until these ids are in the log."""
        until(lambda: set(ids) <= set(ids_of(self.log)))

    def until_event(self, name: str) -> None:
        """Wait until such an event is in the log."""
        until(lambda: bool(events_of(self.log, name)))


def ids_of(log: FileLog, via: str = "") -> list[int]:
    """The ids in the log, in its order."""
    return [
        reading.id
        for envelope, reading, _ in read_lines(log)
        if type(reading) is Trade and envelope.via.startswith(via)
    ]


def events_of(log: FileLog, *names: str) -> list[dict[str, Any]]:
    """The details of events, with their name."""
    found = [
        (envelope.event, json.loads(bytes(envelope.detail))) for envelope, _, _ in read_lines(log) if envelope.event
    ]
    return [{"event": name, **detail} for name, detail in found if not names or name in names]


def test_trades_are_written_byte_for_byte_between_started_and_ended(log: FileLog) -> None:
    """What can't be compared with what the venue sent proves nothing."""
    with running() as exchange, Capturing(exchange, log) as capturing:
        exchange.play(20)
        capturing.until_written(20)
        done = capturing.stop()
    lines = [line for _, _, line in read_lines(log)]
    assert (
        b'"venue":"binance","symbol":"BTCUSDT","channel":"trade","via":"ws","data":{"stream":"btcusdt@trade","data":{"e":"trade"'
        in lines[2]
    )
    assert [event["event"] for event in events_of(log)] == ["started", "connected", "ended"]
    assert (done.counts.valid, done.counts.records, done.counts.gaps_found, done.why) == (20, 23, 0, "asked to stop")
    assert done.series == [
        {"venue": "binance", "symbol": "BTCUSDT", "channel": "trade", "first_id": 1, "last_id": 20, "trades": 20}
    ]


def test_a_jump_of_the_ids_is_fetched_and_reported(log: FileLog) -> None:
    """Messages that were lost on the way would be missing forever, and nobody would know."""
    with running() as exchange, Capturing(exchange, log) as capturing:
        exchange.play(5)
        exchange.fire("drop", count=3)
        exchange.play(5)
        capturing.until_event("gap_repaired")
        done = capturing.stop()
    assert sorted(ids_of(log)) == list(range(1, 11))
    assert ids_of(log, "rest") == [6, 7, 8]
    assert [(event["first"], event["last"]) for event in events_of(log, "gap_found", "gap_repaired")] == [
        (6, 8),
        (6, 8),
    ]
    assert (done.counts.gaps_found, done.counts.gaps_repaired, done.gaps_open) == (1, 1, [])


@pytest.mark.parametrize("kind", ["corrupt", "null", "out_of_range"])
def test_a_trade_that_arrives_spoilt_is_a_gap_too(log: FileLog, kind: str) -> None:
    """Its message is in quarantine, and the trade would be nowhere."""
    with running() as exchange, Capturing(exchange, log) as capturing:
        exchange.play(2)
        exchange.fire(kind, count=1)
        exchange.play(3)
        capturing.until_event("gap_repaired")
        done = capturing.stop()
    assert sorted(ids_of(log)) == [1, 2, 3, 4, 5]
    assert done.counts.quarantined == 1


def test_what_was_traded_during_a_reconnect_is_fetched(log: FileLog) -> None:
    """Every existing tool loses trades here."""
    with running() as exchange, Capturing(exchange, log) as capturing:
        exchange.play(5)
        capturing.until_written(5)
        exchange.play_unheard(7)
        capturing.until_event("disconnected")
        exchange.until_heard()
        exchange.play(1)
        capturing.until_event("gap_repaired")
        done = capturing.stop()
    assert sorted(ids_of(log)) == list(range(1, 14))
    assert done.counts.reconnects == 1


def test_the_end_of_a_run_repairs_what_the_stream_can_not_show_any_more(log: FileLog) -> None:
    """A gap right before Ctrl-C would be left to luck."""
    with running() as exchange, Capturing(exchange, log) as capturing:
        exchange.play(2)
        exchange.fire("slow", by_s=0.5, on="rest")
        exchange.fire("drop", count=1)
        exchange.play(2)
        capturing.until_event("gap_found")
        done = capturing.stop()
    assert sorted(ids_of(log)) == [1, 2, 3, 4]
    assert done.counts.gaps_repaired == 1


def test_two_connections_write_each_trade_once(log: FileLog) -> None:
    """The second connection would double the log, or be useless when the first is lost."""
    with running() as exchange, Capturing(exchange, log, terms=replace(QUICK, connections=2)) as capturing:
        exchange.play(10)
        capturing.until_written(10)
        exchange.fire("abort", sockets="oldest")
        exchange.play(10)
        capturing.until_written(20)
        exchange.until_heard(2)
        done = capturing.stop()
    assert ids_of(log) == list(range(1, 21))
    assert done.counts.duplicates_dropped >= 10
    assert done.counts.gaps_found == 0


def test_a_capture_goes_on_where_the_last_one_ended(log: FileLog) -> None:
    """The hole between two captures would be nobody's."""
    with running() as exchange:
        with Capturing(exchange, log) as first:
            exchange.play(5)
            first.until_written(5)
            first.stop()
        exchange.play(40)
        with Capturing(exchange, log) as second:
            exchange.play(1)
            second.until_event("gap_repaired")
            second.stop()
    assert sorted(ids_of(log)) == list(range(1, 47))
    assert [(gap["first"], gap["last"]) for gap in events_of(log, "gap_found")] == [(6, 45)]


def test_a_hole_that_an_earlier_run_left_is_filled(log: FileLog) -> None:
    """A crash in the middle of a repair would leave the rest of it open forever."""
    with running() as exchange:
        with Capturing(exchange, log, repaired=False) as first:
            exchange.play(3)
            exchange.fire("drop", count=4)
            exchange.play(6)
            first.until_written(9)
            assert first.stop().gaps_open[0]["why"] == "repair is turned off"
        with Capturing(exchange, log) as second:
            second.until_event("gap_repaired")
            done = second.stop()
    assert sorted(ids_of(log)) == list(range(1, 10))
    assert (done.counts.gaps_found, done.counts.gaps_repaired) == (1, 1)


def test_without_resume_the_past_is_left_alone(log: FileLog) -> None:
    """--no-resume would fetch all the same."""
    with running() as exchange:
        with Capturing(exchange, log) as first:
            exchange.play(5)
            first.until_written(5)
        exchange.play(5)
        with Capturing(exchange, log, resumed=False) as second:
            exchange.play(1)
            second.until_written(11)
            assert second.stop().counts.gaps_found == 0
    assert ids_of(log) == [1, 2, 3, 4, 5, 11]


def test_a_hole_that_is_too_long_stays_open_and_is_named(log: FileLog) -> None:
    """Two weeks of absence would be fetched trade by trade, at the price of the venue's patience."""
    with running() as exchange, Capturing(exchange, log, replace(PLAN, repair_max=10)) as capturing:
        exchange.play(1)
        exchange.fire("drop", count=20)
        exchange.play(21)
        capturing.until_event("gap_found")
        done = capturing.stop()
    assert ids_of(log) == [1, 22]
    assert [(gap["first"], gap["last"]) for gap in done.gaps_open] == [(2, 21)]
    assert "--repair-max" in str(done.gaps_open[0]["why"])
    assert events_of(log, "ended")[0]["gaps_open"] == done.gaps_open


def test_what_is_out_of_reach_is_named(log: FileLog) -> None:
    """The data-only hosts have the newest 1 000 trades: promising more would be a lie."""
    with running() as exchange:
        site = SITES["binance-data"].at(exchange.url)
        with Capturing(exchange, log, site=site) as capturing:
            exchange.play(1)
            exchange.fire("drop", count=1500)
            exchange.play(1501)
            capturing.until_event("gap_found")
            done = capturing.stop()
    assert [(gap["first"], gap["last"]) for gap in done.gaps_open] == [(2, 502)]
    assert "out of reach" in str(done.gaps_open[0]["why"])


def test_repairs_survive_errors_of_the_venue(log: FileLog) -> None:
    """One 503 would leave a hole."""
    with running() as exchange, Capturing(exchange, log) as capturing:
        exchange.play(1)
        exchange.fire("http", status=503, count=2)
        exchange.fire("drop", count=1)
        exchange.play(2)
        capturing.until_event("gap_repaired")
        capturing.stop()
    assert sorted(ids_of(log)) == [1, 2, 3]


def test_a_repair_that_can_not_end_does_not_keep_the_capture_from_ending(log: FileLog) -> None:
    """Ctrl-C would wait for a venue that is down."""
    with running() as exchange, Capturing(exchange, log) as capturing:
        exchange.play(1)
        exchange.fire("http", status=503, for_s=3600)
        exchange.fire("drop", count=1)
        exchange.play(2)
        capturing.until_event("gap_found")
        began = time.monotonic()
        done = capturing.stop()
    assert time.monotonic() - began < 60
    assert [(gap["first"], gap["last"]) for gap in done.gaps_open] == [(2, 2)]
    assert len(events_of(log, "ended")) == 1


def test_a_series_that_goes_by_unseen_is_found_by_rest(log: FileLog) -> None:
    """A subscription that the venue forgot looks exactly like a quiet market."""
    with running() as exchange, Capturing(exchange, log, replace(PLAN, stale_s=0.5)) as capturing:
        exchange.play(2)
        capturing.until_written(2)
        exchange.fire("drop", count=5)
        exchange.play(5)
        capturing.until_event("stale")
        capturing.until_event("gap_repaired")
        capturing.until_event("handed_over")
        capturing.stop()
    stale = events_of(log, "stale")[0]
    assert (stale["last"], stale["newest"]) == (2, 7)
    assert sorted(ids_of(log)) == [1, 2, 3, 4, 5, 6, 7]


def test_a_quiet_series_is_not_stale(log: FileLog) -> None:
    """A symbol that nobody trades would be connected again every minute."""
    with running() as exchange, Capturing(exchange, log, replace(PLAN, stale_s=0.3)) as capturing:
        exchange.play(2)
        time.sleep(1.5)
        capturing.stop()
    assert events_of(log, "stale", "handed_over") == []


def test_it_stops_after_so_many_trades(log: FileLog) -> None:
    """--max-trades 10 that gives 11 isn't a limit."""
    with running() as exchange, Capturing(exchange, log, replace(PLAN, max_trades=10)) as capturing:
        exchange.play(50)
        assert capturing.end().counts.valid == 10
    assert ids_of(log) == list(range(1, 11))


def test_a_disk_that_runs_full_ends_the_run_properly(log: FileLog) -> None:
    """The last bytes of the disk would decide where the log breaks off."""
    left = [10_000]
    with (
        running() as exchange,
        Capturing(exchange, log, replace(PLAN, min_free=5_000), free=lambda: left[0]) as capturing,
    ):
        exchange.play(5)
        capturing.until_written(5)
        left[0] = 4_000
        done = capturing.end()
    assert done.problem
    assert done.problem.exit_code is Exit.UNDELIVERED
    assert ids_of(log) == [1, 2, 3, 4, 5]
    assert len(events_of(log, "ended")) == 1


def test_a_venue_that_blocks_this_place_ends_the_capture_at_once(log: FileLog) -> None:
    """It would try again forever."""
    with running() as exchange:
        exchange.fire("http", status=451, on="ws", for_s=60)
        capturing = Capturing(exchange, log)
        capturing.start()
        done = capturing.end()
    assert done.problem
    assert done.problem.exit_code is Exit.UNREACHABLE
    assert "--venue binance-data" in done.problem.hint
    names = [event["event"] for event in events_of(log)]
    assert (names[0], set(names[1:-1]), names[-1]) == ("started", {"disconnected"}, "ended")


def test_a_new_capture_attests_the_one_that_was_killed(log: FileLog) -> None:
    """A torn run without a word would not be proven, however whole it is."""
    with running() as exchange:
        exchange.play(1)
        writer = log.writer()
        writer.append(b'{"run":"%b","seq":0,"recv":1,"event":"started","detail":{}}\n' % writer.run.encode())
        writer.flush()
        writer.close()
        with Capturing(exchange, log) as capturing:
            capturing.stop()
    assert [event["run"] for event in events_of(log, "recovered")] == [writer.run]


def test_health_says_when_nothing_comes_and_when_the_log_is_stuck(log: FileLog) -> None:
    """A monitor that is green while nothing is captured is worse than none."""
    with running() as exchange, Capturing(exchange, log, replace(PLAN, stale_s=5.0)) as capturing:
        until(lambda: capturing.status is not None)
        status = capturing.status
        assert status
        now_s = time.monotonic()
        assert status.ills(now_s) == []
        assert status.not_ready(now_s) == ["nothing of BTCUSDT yet"]
        exchange.play(1)
        until(lambda: not status.not_ready(time.monotonic()))
        assert "no data for" in status.ills(time.monotonic() + 6)[0]
        status.arrived(time.monotonic() + 20)
        status.waits(time.monotonic())
        assert "made nothing durable" in status.ills(time.monotonic() + 20)[0]


def test_failing_to_connect_is_not_a_sign_of_health(log: FileLog) -> None:
    """Each failed attempt would count as data that came."""
    with running() as exchange, Capturing(exchange, log, replace(PLAN, stale_s=1.0)) as capturing:
        until(lambda: capturing.status is not None)
        exchange.play(1)
        exchange.fire("refuse", for_s=3600)
        exchange.fire("abort")
        status = capturing.status
        assert status
        until(lambda: "no data for" in "".join(status.ills(time.monotonic())))
        assert status.not_ready(time.monotonic())[0] == "no connection is up"


def test_aggregates_are_captured_and_repaired_as_well(log: FileLog) -> None:
    """Their ids and rows are others than those of trades."""
    plan = replace(PLAN, channel="aggTrade")
    with running(channel="aggTrade") as exchange, Capturing(exchange, log, plan) as capturing:
        exchange.play(3)
        exchange.fire("drop", count=2)
        exchange.play(3)
        capturing.until_event("gap_repaired")
        done = capturing.stop()
    assert sorted(ids_of(log)) == [1, 2, 3, 4, 5, 6]
    assert (done.counts.quarantined, done.series[0]["channel"]) == (0, "aggTrade")


def test_an_unknown_symbol_is_refused_with_the_one_that_was_meant() -> None:
    """The venue acknowledges any name, and then stays silent."""
    with running() as exchange, Rest(SITES["binance"].at(exchange.url)) as rest:
        assert check_symbols(rest, ["BTCUSDT"]) == ""
        with pytest.raises(TradecapError) as caught:
            check_symbols(rest, ["BTCUSD"])
        assert "BTCUSD isn't traded" in caught.value.message
        assert caught.value.hint == "did you mean BTCUSDT?"
        exchange.fire("http", status=503)
        assert "couldn't be checked" in check_symbols(rest, ["BTCUSDT"])


def listing(*symbols: tuple[str, object]) -> bytes:
    """A venue's list of symbols, each with its status."""
    return json.dumps({"symbols": [{"symbol": symbol, "status": status} for symbol, status in symbols]}).encode()


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, b"<html>Sign in</html>"),
        (200, {}, b""),
        (200, {}, b"null"),
        (200, {}, b"{}"),
        (200, {}, b'{"symbols":null}'),
        (200, {}, b'{"symbols":[]}'),
        (200, {}, gzip.compress(listing(("BTCUSDT", "TRADING")), mtime=0)),
        (200, {"Content-Encoding": "gzip"}, b"<html>"),
        (200, {"Content-Encoding": "br"}, b"\x0b"),
        (202, {}, b""),
        (307, {"Location": "http://127.0.0.1:9/"}, b""),
        (403, {}, b"<html>"),
    ],
)
def test_an_answer_that_is_no_list_of_symbols_is_a_warning(status: int, headers: dict[str, str], body: bytes) -> None:
    """A captive portal or a proxy before REST would keep a stream from being captured that is fine."""
    with peering(rest=lambda _: (status, headers, body)) as peer, Rest(SITES["binance"].at(peer.url)) as rest:
        assert "couldn't be checked: http://127.0.0.1" in check_symbols(rest, ["BTCUSDT"])


def test_a_symbol_that_is_not_traded_now_is_a_warning_with_its_status() -> None:
    """A capture of a delisted symbol would be silent forever, and nobody know why."""
    body = listing(("AUSDT", "TRADING"), ("BUSDT", "BREAK"), ("CUSDT", "HALT"), ("DUSDT", None), ("EUSDT", "\x1b[2J"))
    with peering(rest=lambda _: (200, {}, body)) as peer, Rest(SITES["binance"].at(peer.url)) as rest:
        assert check_symbols(rest, ["AUSDT", "DUSDT"]) == ""
        warning = check_symbols(rest, ["AUSDT", "BUSDT", "CUSDT", "EUSDT"])
    assert "BUSDT is BREAK, CUSDT is HALT, EUSDT is '\\x1b[2J'." in warning
    assert "AUSDT" not in warning

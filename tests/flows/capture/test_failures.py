"""Capturing from venues that behave badly, into a real log."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.exchange import running, until
from tests.flows.capture.test_capture import PLAN, QUICK, Capturing, events_of, ids_of
from tests.venues.peer import Answer, Client, Peer, peering, row, rows, trade
from tradecap.errors import Exit
from tradecap.flows.capture import states
from tradecap.flows.capture.counts import Captured
from tradecap.flows.capture.plan import Plan
from tradecap.flows.capture.wiring import Wiring
from tradecap.flows.records import read_lines
from tradecap.log import open_log
from tradecap.log.folder.log import FileLog
from tradecap.venues.api import SITES
from tradecap.venues.feed import Terms


def captured(
    peer: Peer,
    log: FileLog,
    is_over: Callable[[], bool],
    plan: Plan = PLAN,
    terms: Terms = QUICK,
    site: str = "binance",
) -> Captured:
    """A capture from a peer until something is so; at most a minute."""
    where = SITES[site].at(peer.url)
    deadline = time.monotonic() + 60.0

    def stop() -> bool:
        return is_over() or time.monotonic() > deadline

    with open_log(log.url, segment_bytes=1_000_000, segment_age_s=60.0).writer() as writer:
        return Wiring(where, log, writer, plan, terms=terms).run(stop=stop)


def sending(*texts: str, then: Callable[[Client], None] = Client.until_gone) -> Callable[[Client], None]:
    """A venue that grants the subscription, sends this, and then listens."""

    def ws(client: Client) -> None:
        client.accept()
        client.grant()
        for text in texts:
            client.say(text)
        then(client)

    return ws


def has_event(log: FileLog, name: str) -> Callable[[], bool]:
    return lambda: bool(events_of(log, name))


def test_copies_that_differ_are_both_written(log: FileLog) -> None:
    """One of two prices would be believed, and nobody could tell which it was."""

    def ws(client: Client) -> None:
        sending(trade(1), trade(2, price=f"{client.number}.00000000"), trade(3))(client)

    with peering(ws) as peer:
        done = captured(peer, log, lambda: len(ids_of(log)) >= 4, terms=replace(QUICK, connections=2))
    assert sorted(ids_of(log)) == [1, 2, 2, 3]
    assert (done.counts.conflicts, done.counts.duplicates_dropped, done.counts.gaps_found) == (1, 2, 0)


def test_a_row_that_differs_from_the_stream_is_written_too(log: FileLog) -> None:
    """The answer of REST would be dropped for a copy, or the stream's trade be taken back."""

    def ws(client: Client) -> None:
        sending(trade(1), trade(3))(client) if client.number == 1 else sending(trade(1), then=late)(client)

    def late(client: Client) -> None:
        until(lambda: 2 in ids_of(log))
        client.say(trade(2, price="7.00000000"))
        client.until_gone()

    with peering(ws, lambda _: rows(2, 3)) as peer:
        done = captured(peer, log, lambda: len(ids_of(log)) >= 4, terms=replace(QUICK, connections=2))
    assert ids_of(log) == [1, 3, 2, 2]
    assert ids_of(log, "rest") == [2]
    assert done.counts.conflicts == 1


def test_a_gap_of_one_of_two_connections_waits_for_the_other(log: FileLog) -> None:
    """Each hiccup of one connection would be a gap although the other brings it; or a gap would wait for a connection
    that brings nothing."""

    def ws(client: Client) -> None:
        sending(trade(1), trade(3), trade(6))(client) if client.number == 1 else sending(trade(1), then=late)(client)

    def late(client: Client) -> None:
        until(lambda: 3 in ids_of(log))
        client.say(trade(2))
        client.until_gone()

    with peering(ws, lambda _: rows(4, 5, 6)) as peer:
        began = time.monotonic()
        captured(peer, log, has_event(log, "gap_repaired"), terms=replace(QUICK, connections=2))
    assert [(gap["first"], gap["last"]) for gap in events_of(log, "gap_found")] == [(4, 5)]
    assert time.monotonic() - began >= 2.0
    assert ids_of(log) == [1, 3, 6, 2, 4, 5]


@pytest.mark.parametrize("is_repaired", [True, False])
def test_a_series_that_was_silent_from_the_beginning_is_looked_up(log: FileLog, is_repaired: bool) -> None:
    """A subscription that was granted and forgotten would look like a market that nobody trades, for days."""
    plan = replace(PLAN, symbols=("BTCUSDT", "ETHUSDT"), stale_s=0.3, is_repaired=is_repaired)
    looks = 0

    def ws(client: Client) -> None:
        def flow(client: Client) -> None:
            with suppress(OSError):
                for number in range(1, 2000):
                    client.say(trade(number))
                    time.sleep(0.02)

        threading.Thread(target=lambda: flow(client), daemon=True).start()
        client.until_gone()

    def granted(client: Client) -> None:
        client.accept()
        client.grant()
        ws(client)

    def answer(path: str) -> Answer:
        nonlocal looks
        looks += "historicalTrades" not in path
        return rows(*range(101, 104)) if "historicalTrades" in path else rows(100 if looks == 1 else 103)

    with peering(granted, answer) as peer:
        done = captured(peer, log, has_event(log, "handed_over"), plan)
    stale = events_of(log, "stale")[0]
    assert (stale["symbol"], stale["last"], stale["newest"]) == ("ETHUSDT", 100, 103)
    assert [(gap["symbol"], gap["first"], gap["last"]) for gap in events_of(log, "gap_found")] == [
        ("ETHUSDT", 101, 103)
    ]
    assert events_of(log, "handed_over")[0]["why"] == "ETHUSDT went by unseen"
    assert bool(done.gaps_open) is not is_repaired


ABSURD = 10**15


def test_ids_that_restart_low_are_followed_and_no_gap(log: FileLog) -> None:
    """A venue that starts its ids again would leave a gap of five million ids, and no gap of the new ids would be
    found."""

    def ws(client: Client) -> None:
        if client.number == 1:
            sending(*(trade(number) for number in range(5_000_000, 5_000_004)), then=leave)(client)
        else:
            sending(*(trade(number) for number in (1, 2, 3, 6)))(client)

    def leave(client: Client) -> None:
        until(lambda: 5_000_003 in ids_of(log))
        client.abort()

    with peering(ws, lambda _: rows(4, 5)) as peer:
        done = captured(peer, log, has_event(log, "gap_repaired"))
    assert ids_of(log) == [*range(5_000_000, 5_000_004), 1, 2, 3, 6, 4, 5]
    assert [(moved["first"], moved["expected"]) for moved in events_of(log, "moved")] == [(1, 5_000_004)]
    assert [(gap["first"], gap["last"]) for gap in events_of(log, "gap_found")] == [(4, 5)]
    assert (done.counts.valid, done.counts.conflicts, done.counts.moves, done.gaps_open) == (10, 0, 1, [])
    with peering(sending(trade(10)), lambda _: rows(7, 8, 9)) as peer:
        captured(peer, log, lambda: len(events_of(log, "gap_repaired")) == 2)
    assert ids_of(log)[10:] == [10, 7, 8, 9]


def test_after_an_absurd_id_gaps_are_still_repaired(log: FileLog) -> None:
    """One odd message ended the repair of its series, in this run and in all that followed."""
    sent = [1, 2, 3, ABSURD, 4, 7, 8]

    def answer(path: str) -> Answer:
        first = int(path.split("fromId=")[1].split("&")[0])
        return rows(*(number for number in range(first, 30)))

    with peering(sending(*map(trade, sent)), answer) as peer:
        done = captured(peer, log, has_event(log, "gap_repaired"))
    assert sorted(ids_of(log)) == [1, 2, 3, 4, 5, 6, 7, 8, ABSURD]
    assert [(odd["id"], odd["expected"], odd["symbol"]) for odd in events_of(log, "outlier")] == [
        (ABSURD, 4, "BTCUSDT")
    ]
    assert (done.counts.valid, done.counts.outliers, done.counts.gaps_repaired, done.gaps_open) == (9, 1, 1, [])
    assert (done.series[0]["last_id"], events_of(log, "ended")[0]["outliers"]) == (8, 1)
    with peering(sending(trade(20)), answer) as peer:
        again = captured(peer, log, lambda: len(events_of(log, "gap_repaired")) == 2)
    assert [(gap["first"], gap["last"]) for gap in events_of(log, "gap_found")] == [(5, 6), (9, 19)]
    assert sorted(ids_of(log)) == [*range(1, 21), ABSURD]
    assert (again.counts.outliers, again.gaps_open) == (0, [])


def test_an_absurd_newest_id_of_rest_is_marked_and_moves_nothing(log: FileLog) -> None:
    """A silent series would be missing 10^15 ids from then on."""
    with peering(sending(trade(1), trade(2), trade(3)), lambda _: rows(ABSURD)) as peer:
        done = captured(peer, log, has_event(log, "outlier"), replace(PLAN, stale_s=0.3))
    assert events_of(log, "outlier")[0]["id"] == ABSURD
    assert (done.counts.outliers, done.counts.gaps_found, done.gaps_open) == (1, 0, [])


def test_several_holes_are_gone_on_from(log: FileLog) -> None:
    """A crash in the middle of repairs leaves more than one; and what is injected into the log fills none."""
    with running() as exchange:
        with Capturing(exchange, log, repaired=False) as first:
            for count in (2, 1, 3):
                exchange.play(2)
                exchange.fire("drop", count=count)
                exchange.play(count)
            exchange.play(1)
            first.until_written(13)
        exchange.play(20)
        with Capturing(exchange, log) as second:
            exchange.play(1)
            until(lambda: len(events_of(log, "gap_repaired")) == 4)
            done = second.stop()
    assert sorted(ids_of(log)) == list(range(1, 35))
    assert [(gap["first"], gap["last"], gap.get("cause")) for gap in events_of(log, "gap_found")[3:]] == [
        (3, 4, "left by an earlier run"),
        (7, 7, "left by an earlier run"),
        (10, 12, "left by an earlier run"),
        (14, 33, None),
    ]
    assert (done.counts.gaps_found, done.counts.gaps_repaired) == (4, 4)


def test_an_answer_without_what_is_missing_leaves_it_open_and_named(log: FileLog) -> None:
    """A row that can't be read would close the gap, or go by without a word."""
    spoilt = json.dumps([row(2) | {"price": None}, row(3)]).encode()
    with peering(sending(trade(1), trade(3)), lambda _: (200, {}, spoilt)) as peer:
        done = captured(peer, log, lambda: len(list(read_lines(log))) > 5)
    assert ids_of(log) == [1, 3]
    assert done.counts.quarantined == 1
    assert done.gaps_open[0]["why"] == "the venue doesn't have them"


def test_what_keeps_a_repair_from_ending_is_named(log: FileLog) -> None:
    """'It wasn't repaired' tells nobody whether to wait or to change a URL."""
    with peering(sending(trade(1), trade(3)), lambda _: (200, {}, b"<html>Sign in</html>")) as peer:
        done = captured(peer, log, lambda: len(peer.paths) > 1)
    assert "not a list of rows" in str(done.gaps_open[0]["why"])


def test_a_venue_that_never_answers_is_no_success(log: FileLog) -> None:
    """A script that captures a minute a day would report success, with nothing in its log."""
    with peering(Client.until_gone) as peer:
        done = captured(peer, log, lambda: False, replace(PLAN, duration_s=0.3), Terms())
    assert done.problem
    assert done.problem.exit_code is Exit.UNREACHABLE
    assert "no connection came about" in done.problem.message


def test_a_long_wait_is_reported_in_time(log: FileLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue that says Retry-After: 3600 would keep a person in the dark for an hour."""
    monkeypatch.setattr(states, "START_WITHIN_S", 0.5)

    def ws(client: Client) -> None:
        client.sock.sendall(
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )

    began = time.monotonic()
    with peering(ws) as peer:
        done = captured(peer, log, lambda: False)
    assert time.monotonic() - began < 10.0
    assert done.problem
    assert (done.problem.exit_code, "429" in done.problem.message) == (Exit.UNREACHABLE, True)


def test_usd_m_trades_are_repaired_from_the_newest(log: FileLog) -> None:
    """Without a key the futures have no history: each gap would end in an error, or in trades of the spot market."""

    def futures(number: int) -> str:
        return trade(number).replace(',"M":true', "").replace('"m":true', '"X":"MARKET","m":true')

    with peering(sending(*map(futures, (1, 2, 5))), lambda _: rows(*range(3, 8))) as peer:
        done = captured(
            peer, log, has_event(log, "gap_repaired"), replace(PLAN, venue="binance-usdm"), site="binance-usdm"
        )
        assert peer.paths == ["/fapi/v1/trades?symbol=BTCUSDT&limit=1000"]
    assert (ids_of(log), ids_of(log, "rest"), done.counts.quarantined) == ([1, 2, 5, 3, 4], [3, 4], 0)


def test_an_event_names_its_series_in_the_envelope(log: FileLog) -> None:
    """A reader that filters a log by symbol would see the trades of BTCUSDT and none of its gaps."""
    with peering(sending(trade(1), trade(3)), lambda _: rows(2)) as peer:
        captured(peer, log, has_event(log, "gap_repaired"))
    series = {
        envelope.event: (envelope.venue, envelope.symbol, envelope.channel)
        for envelope, _, _ in read_lines(log)
        if envelope.event
    }
    assert series["gap_found"] == series["gap_repaired"] == ("binance", "BTCUSDT", "trade")
    assert series["connected"] == ("binance", "", "")
    assert series["started"] == ("", "", "")
    line = next(line for envelope, _, line in read_lines(log) if envelope.event == "gap_found")
    assert b',"venue":"binance","symbol":"BTCUSDT","channel":"trade","event":"gap_found","detail":{' in line

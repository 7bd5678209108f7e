"""A further venue is a value and a text of SQL: everything between is the same."""

from collections.abc import Iterable
from io import BytesIO

import pytest

from tests import second_venue as second
from tests.builders import NOON_S
from tests.cases import CASES, TRADE
from tests.flows.builders import a_message, failures, load, never, quietly, verdict_of
from tests.second_venue import second_venue
from tests.store.builders import fill
from tests.store.test_reading import read_by_python, read_by_sql
from tradecap.flows.replay.replay import Choice, Replayed, look_at, replay
from tradecap.log.api import Log
from tradecap.market.records import Rejected, RunWriter, frame, series_head
from tradecap.recordings.reading import Source
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.api import by_shape
from tradecap.venues.venue import Venue

__all__ = ["second_venue"]

RUN = "01930000-0000-7000-8000-000000000002"
NOON_MS = NOON_S * 1000
GOOD = second.message(7, NOON_MS)
BAD = [
    GOOD.replace(b'"no":7', b'"no":null'),
    GOOD.replace(b'"no":7,', b""),
    GOOD.replace(b'"px":"100.50"', b'"px":100.5'),
    second.message(7, NOON_MS, px="1.5"),
    second.message(7, 5),
    second.message(-7, NOON_MS),
    GOOD[:-9],
    b"5,1.50,2",
    b"[1]",
    b"\xff\xfe",
    TRADE,
    b"x" * 300_000,
]


@pytest.fixture
def store_of_both(second_venue: Venue, store: ClickHouseStore) -> ClickHouseStore:  # noqa: ARG001 -- known by now
    """A store that reads both venues: its schema is renewed now that the second one is known."""
    store.create()
    return store


def lines_of(payloads: Iterable[bytes], *heads: bytes) -> list[bytes]:
    """A record for each payload under each head."""
    run = RunWriter(RUN)
    return [run.record(None, head, frame(payload)) for payload in payloads for head in heads]


def replayed(log: Log, messages: Iterable[bytes], choice: Choice) -> Replayed:
    """Replay messages into the log."""
    recording = Source("recording", stream=BytesIO(b"\n".join(messages)))
    with log.writer() as writer:
        return replay(look_at([recording], choice), writer, choice, stop=never, progress=quietly)


def test_both_readings_of_the_second_venue_agree(store_of_both: ClickHouseStore) -> None:
    """Verify would take a sound record for a lost one."""
    lines = lines_of([GOOD, *BAD, b'{"type":"quote","sym":"AB"}'], series_head("second", "AB", "trade", "ws"))
    rows = read_by_sql(store_of_both, lines)
    assert rows == read_by_python(lines)
    assert [row.outcome for row in rows] == ["trade", *["quarantined"] * len(BAD), "ignored"]


def test_each_line_has_one_row_whatever_venue_it_names(store_of_both: ClickHouseStore) -> None:
    """A line that two venues read would be counted twice, and one that none reads would be lost."""
    heads = [series_head(venue, "AB", "trade", "ws") for venue in ("second", "binance", "binance-us", "third", "")]
    nested = b'{"a":{"x":1,"venue":"second"},"b":{"x":1,"venue":"binance"}}'
    lines = lines_of([GOOD, TRADE, nested, b"5,1,2", b"\xff", *(case.payload for case in CASES)], *heads)
    run = RunWriter(RUN, len(lines))
    lines += [run.event(1, "gap_found", {"first": 1}, head) for head in heads]
    fill(store_of_both, *lines)
    assert store_of_both.rows("SELECT count() AS n, uniqExact(run, seq) AS distinct FROM ledger") == [
        {"n": len(lines), "distinct": len(lines)}
    ]


def test_an_unknown_venue_is_quarantined_alike(store: ClickHouseStore) -> None:
    """A log of a newer tradecap holds venues that this one can't read: taken for Binance's, their ids would be false
    trades."""
    lines = lines_of([case.payload for case in CASES], series_head("third", "ETHUSDT", "trade", "ws"))
    rows = read_by_sql(store, lines)
    assert rows == read_by_python(lines)
    assert {(row.outcome, row.reason, row.field) for row in rows} == {("quarantined", "unknown_message", "venue")}


def test_a_message_is_recognised_by_its_shape(second_venue: Venue) -> None:
    """A recording that names no host would end in quarantine as a whole."""
    assert by_shape(GOOD, "", "", "") == second_venue.decode(GOOD, "", "", "")
    assert by_shape(b"{}", "", "", "") == Rejected("unknown_message")


@pytest.mark.parametrize(
    "choice", [Choice(), Choice(now=True), Choice(venue="second", symbol="AB")], ids=["by shape", "now", "--as"]
)
def test_replay_load_and_verify_know_it(log: Log, store_of_both: ClickHouseStore, choice: Choice) -> None:
    """Whatever in between knows only the first venue shows here."""
    ours = [second.message(number, NOON_MS + number * 5000) for number in range(40)]
    theirs = [a_message(number, at_s=number) for number in range(30)] if not choice.venue else []
    done = replayed(log, [*ours, *theirs, GOOD.replace(b'"no":7', b'"no":null')], choice)
    load(log, store_of_both)
    assert failures(log, store_of_both) == {}
    verdict = verdict_of(log, store_of_both)
    assert (done.valid, verdict.counts.trades, verdict.counts.quarantined) == (
        len(ours + theirs),
        len(ours + theirs),
        1,
    )
    found = store_of_both.rows(
        "SELECT venue, symbol, sum(trades) AS trades FROM candles_1m FINAL GROUP BY ALL ORDER BY venue"
    )
    wanted = [("binance", "BTCUSDT", len(theirs))] * bool(theirs) + [("second", "AB", len(ours))]
    assert [(row["venue"], row["symbol"], row["trades"]) for row in found] == wanted


def test_its_host_names_it(log: Log, store_of_both: ClickHouseStore) -> None:
    """A capture that says where it was made would be left out as of nobody's."""
    at = b"wss://feed.second.test/stream <-> 1723204800.5\n"
    lines = [at + b"1723204800.7: " + GOOD, b"1723204801.7: " + second.message(8, NOON_MS + 5)]
    assert replayed(log, lines, Choice()).valid == 2
    load(log, store_of_both)
    assert failures(log, store_of_both) == {}

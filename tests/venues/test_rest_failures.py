"""The HTTP client, and the repair that asks with it, against venues that behave badly."""

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.exchange import until
from tests.venues.peer import Answer, Peer, peering, row, rows
from tradecap.flows.capture.repair import FetchedRows, Gap, GapAnswered, NewestId, NewestWanted, Repair, RepairAnswer
from tradecap.venues.api import SITES
from tradecap.venues.binance.rest import row_id
from tradecap.venues.failures import status_failure
from tradecap.venues.rest import Rest, RestError

DEEP = b"[" * 100_000


def rest_of(peer: Peer, name: str = "binance") -> Rest:
    return Rest(SITES[name].at(peer.url))


def fetched(peer: Peer, *jobs: Gap | NewestWanted, name: str = "binance") -> list[RepairAnswer]:
    """What a repair brings, until all is answered."""
    site = SITES[name].at(peer.url)._replace(weight_per_minute=1_000_000)
    repair = Repair(lambda wait: Rest(site, wait=wait), "trade")
    answers: list[RepairAnswer] = []
    for job in jobs:
        repair.want(job)

    def is_idle() -> bool:
        answers.extend(repair.ready())
        return repair.is_idle

    until(is_idle)
    repair.close()
    return answers


def ids_in(answers: list[RepairAnswer]) -> list[int]:
    return [row_id(each, "trade") for answer in answers if isinstance(answer, FetchedRows) for each in answer.rows]


@pytest.mark.parametrize("status", [429, 418, 503])
def test_retry_after_holds_with_every_status_whatever_the_clock_does(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is set, or a 503 that says how long, would make it ask too early: that is how bans begin."""
    asked: list[float] = []

    def answer(_: str) -> Answer:
        asked.append(time.monotonic())
        return (status, {"Retry-After": "1"}, b"") if len(asked) == 1 else rows(1)

    real = time.time
    with peering(rest=answer) as peer, rest_of(peer) as rest:
        with pytest.raises(RestError):
            rest.newest("BTCUSDT", "trade")
        monkeypatch.setattr("time.time", lambda: real() + 3600)
        rest.newest("BTCUSDT", "trade")
    assert 1.0 <= asked[1] - asked[0] < 60.0  # not the hour by which the clock was set


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Mon, 12 Jan 1970 13:47:00 GMT", "Date": "Mon, 12 Jan 1970 13:46:55 GMT"}, 5.0),
        ({"Retry-After": "Mon, 12 Jan 1970 13:47:00 GMT"}, None),
        ({"Retry-After": "Mon, 12 Jan 1970 13:47:00 GMT", "Date": "Mon Jan 12 13:46:55 1970"}, 5.0),
        ({"Retry-After": "soon", "Date": "now"}, None),
        ({"Retry-After": "Mon, 12 Jan 99999999999 13:47:00 GMT", "Date": "Mon, 12 Jan 1970 13:46:55 GMT"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_read_as_seconds_or_as_a_date(headers: Mapping[str, str], seconds: float | None) -> None:
    """What a proxy in front of the venue says would be ignored."""
    failure = status_failure(503, headers)
    assert failure.retry_after_s == seconds
    assert ("not before" in failure.text) is (seconds is not None)


def test_the_next_request_obeys_the_retry_after_of_the_first() -> None:
    """The look at the symbols would be refused, and the repair ask on at once."""
    asked: list[float] = []

    def answer(_: str) -> Answer:
        asked.append(time.monotonic())
        return (429, {"Retry-After": "1"}, b"") if len(asked) == 1 else rows(1)

    with peering(rest=answer) as peer, rest_of(peer) as first:
        with pytest.raises(RestError):
            first.look_up(["BTCUSDT"])
        with Rest(first.site, budget=first.budget) as second:
            second.newest("BTCUSDT", "trade")
    assert asked[1] - asked[0] >= 1.0


def test_many_symbols_are_looked_up_in_the_whole_list() -> None:
    """A URL of 20 KB is refused, and the symbols would go unchecked."""
    known = [f"S{number}USDT" for number in range(1024)]

    def answer(path: str) -> Answer:
        return (
            (414, {}, b"")
            if len(path) > 8000
            else (200, {}, json.dumps({"symbols": [{"symbol": name} for name in known]}).encode())
        )

    with peering(rest=answer) as peer, rest_of(peer) as rest:
        assert rest.look_up(known).unknown == {}
        assert list(rest.look_up([*known, "S9USD"]).unknown) == ["S9USD"]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b"null", b"[1,2", b"[1,2]", b"\xff\xfe", DEEP, b'[{"id":' + DEEP + b"}]"]
)
def test_what_is_no_list_of_rows_is_named(body: bytes) -> None:
    """A captive portal would end the repair with a traceback, or be taken for a venue without trades."""
    with peering(rest=lambda _: (200, {}, body)) as peer, rest_of(peer) as rest:
        with pytest.raises(RestError) as caught:
            rest.newest("BTCUSDT", "trade")
        assert caught.value.failure.kind == "unreadable"
        assert not caught.value.failure.is_final


@pytest.mark.parametrize("status", [400, 200])
def test_an_answer_of_a_hundred_thousand_brackets_is_only_unreadable(status: int) -> None:
    """It would end the capture with a traceback about recursion."""
    with (
        peering(rest=lambda _: (status, {}, b'{"symbols":' + DEEP)) as peer,
        rest_of(peer) as rest,
        pytest.raises(RestError),
    ):
        rest.look_up(["BTCUSDT"])


@pytest.mark.parametrize(("encoding", "packed"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_an_answer_is_unpacked_whatever_it_is_about(encoding: str, packed: Callable[[bytes], bytes]) -> None:
    """A proxy that packs answers would end the start, all repair, and hide what the venue says."""

    def answer(path: str) -> Answer:
        if "aggTrades" in path:
            return 400, {"Content-Encoding": encoding}, packed(b'{"code":-1121,"msg":"Invalid symbol."}')
        body = b'{"symbols":[{"symbol":"BTCUSDT","status":"TRADING"}]}' if "exchangeInfo" in path else rows(7)[2]
        return 200, {"Content-Encoding": encoding}, packed(body)

    with peering(rest=answer) as peer, rest_of(peer) as rest:
        assert rest.look_up(["BTCUSDT"]) == ({}, {})
        assert row_id(rest.newest("BTCUSDT", "trade")[0], "trade") == 7
        assert row_id(rest.old_trades("BTCUSDT", "trade", 7)[0], "trade") == 7
        with pytest.raises(RestError, match="Invalid symbol"):
            rest.newest("BTCUSDT", "aggTrade")


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_an_answer_that_can_not_be_unpacked_is_unreadable(encoding: str) -> None:
    """It would be a traceback of zlib, or an answer without rows."""
    with peering(rest=lambda _: (200, {"Content-Encoding": encoding}, b"[]")) as peer, rest_of(peer) as rest:
        with pytest.raises(RestError) as caught:
            rest.newest("BTCUSDT", "trade")
        assert (caught.value.failure.kind, caught.value.failure.is_final) == ("unreadable", False)


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    """Half of the rows would be taken for all, or the next request fail for this one's sake."""
    bodies: Iterator[Answer] = iter([(200, {"Content-Length": "500", "Connection": "close"}, rows(1)[2]), rows(2)])

    def answer(_: str) -> Answer:
        return next(bodies)

    with peering(rest=answer) as peer, rest_of(peer) as rest:
        with pytest.raises(RestError) as caught:
            rest.newest("BTCUSDT", "trade")
        assert caught.value.failure.kind == "network"
        assert row_id(rest.newest("BTCUSDT", "trade")[0], "trade") == 2


@pytest.mark.parametrize(
    ("status", "body"), [(400, b'{"code":-2014,"msg":"API-key format invalid."}'), (401, b""), (404, b"")]
)
def test_where_history_takes_a_key_the_newest_trades_have_to_do(status: int, body: bytes) -> None:
    """No gap would be repaired at Binance.US, whose documents ask for a key there, nor by --rest-url at the data-only
    hosts."""

    def answer(path: str) -> Answer:
        return (status, {}, body) if "historicalTrades" in path else rows(5, 6, 7)

    with peering(rest=answer) as peer:
        answers = fetched(peer, Gap("BTCUSDT", (4, 6)), Gap("BTCUSDT", (7, 7)), name="binance-us")
        assert [path.split("?")[0].rsplit("/")[-1] for path in peer.paths] == ["historicalTrades", "trades", "trades"]
    assert ids_in(answers) == [5, 6, 7]
    assert "out of reach" in str(answers[1])


def test_a_rest_that_is_behind_the_stream_is_asked_again() -> None:
    """The venue answers from a database: a gap of a moment ago would be given up as something it doesn't have."""

    def answer(_: str) -> Answer:
        return rows(*range(3, 3 + len(peer.paths)))

    with peering(rest=answer) as peer:
        answers = fetched(peer, Gap("BTCUSDT", (5, 7)))
    assert ids_in(answers) == [5, 6, 7]
    assert answers[-1] == GapAnswered(Gap("BTCUSDT", (5, 7)))


@pytest.mark.parametrize("answer", [rows(), rows(1, 2)])
def test_what_the_venue_never_has_is_given_up_by_name(answer: Answer) -> None:
    """A gap at the end of a series would be asked for, forever."""
    with peering(rest=lambda _: answer) as peer:
        answers = fetched(peer, Gap("BTCUSDT", (6, 7)))
        assert len(peer.paths) < 60
    assert answers == [GapAnswered(Gap("BTCUSDT", (6, 7)), "the venue doesn't have 6 and later ones")]


def test_rows_that_were_not_asked_for_are_not_taken() -> None:
    """A venue that ignores fromId would fill the log with another day."""
    with peering(rest=lambda _: rows(6, 900, 901)) as peer:
        assert ids_in(fetched(peer, Gap("BTCUSDT", (6, 7)))) == [6]


def test_a_spoilt_row_is_handed_on() -> None:
    """It would be dropped without a word: it belongs into quarantine."""
    spoilt = {key: value for key, value in row(7).items() if key != "id"}
    with peering(rest=lambda _: (200, {}, json.dumps([row(6), spoilt, row(8)]).encode())) as peer:
        assert ids_in(fetched(peer, Gap("BTCUSDT", (6, 8)))) == [6, -1, 8]


def test_a_silent_series_is_looked_up_while_a_long_gap_is_fetched() -> None:
    """A connection that shows nothing would be kept for as long as the past is repaired."""

    def answer(path: str) -> Answer:
        if "historicalTrades" not in path:
            return rows(5000)
        first = int(path.split("fromId=")[1].split("&")[0])
        return rows(*range(first, first + 10))

    with peering(rest=answer) as peer:
        answers = fetched(peer, Gap("BTCUSDT", (1, 500)), Gap("BTCUSDT", (600, 700)), NewestWanted("ETHUSDT"))
    assert len(ids_in(answers)) == 601
    assert NewestId("ETHUSDT", 5000) in answers[:3]


def test_a_gap_that_the_venue_does_not_have_yet_keeps_no_other_waiting() -> None:
    """An id that is odd by little would end all repair until the market comes to it."""
    with peering(rest=lambda path: rows(2, 3) if "ETHUSDT" in path else rows(1)) as peer:
        repair = Repair(lambda wait: Rest(SITES["binance"].at(peer.url), wait=wait), "trade")
        for gap in (Gap("BTCUSDT", (2, 49_999)), Gap("ETHUSDT", (2, 2))):
            repair.want(gap)
        answers: list[RepairAnswer] = []

        def has_one() -> bool:
            answers.extend(repair.ready())
            return any(isinstance(answer, GapAnswered) for answer in answers)

        until(has_one)
        repair.close()
    assert answers[-1] == GapAnswered(Gap("ETHUSDT", (2, 2)))
    assert not repair.is_idle
